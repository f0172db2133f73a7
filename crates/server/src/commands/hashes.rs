//! Hashes.

use syncline::Error;
use syncline::ops::{Entry, Map};

use super::random::Wanted;
use super::scan::scan_parts;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::{self, required};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Hash,
    commands: &[
        Command::write("hset", -4, |writes, request| {
            Ok(Reply::count(set(writes, request, "hset")?))
        })
        .key()
        .fast()
        .flags(Flags::DENYOOM)
        .docs(
            "2.0.0",
            "O(log(M)) for each field, where M is the size of the hash.",
            "Creates or modifies the value of a field in a hash.",
        ),
        Command::write("hmset", -4, |writes, request| {
            set(writes, request, "hmset")?;
            Ok(Reply::OK)
        })
        .key()
        .fast()
        .flags(Flags::DENYOOM)
        .docs(
            "2.0.0",
            "O(log(M)) for each field, where M is the size of the hash.",
            "Sets the values of multiple fields.",
        ),
        Command::write("hsetnx", 4, set_absent)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "2.0.0",
                "O(log(M)) where M is the size of the hash.",
                "Sets the value of a field in a hash only when the field doesn't exist.",
            ),
        Command::read("hget", 3, get).key().fast().docs(
            "2.0.0",
            "O(log(M)) where M is the size of the hash.",
            "Returns the value of a field in a hash.",
        ),
        Command::read("hmget", -3, get_each).key().fast().docs(
            "2.0.0",
            "O(log(M)) for each field, where M is the size of the hash.",
            "Returns the values of all fields in a hash.",
        ),
        Command::read("hgetall", 2, |reads, request| {
            let pair = |(field, value)| (Reply::bulk(field), Reply::bulk(value));
            Ok(Reply::Map(all(reads, request, pair)?))
        })
        .key()
        .slow()
        .docs(
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Returns all fields and values in a hash.",
        ),
        Command::read("hkeys", 2, |reads, request| {
            let fields = all(reads, request, |(field, _)| Reply::bulk(field))?;
            Ok(Reply::Array(fields))
        })
        .key()
        .slow()
        .docs(
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Returns all fields in a hash.",
        ),
        Command::read("hvals", 2, |reads, request| {
            let values = all(reads, request, |(_, value)| Reply::bulk(value))?;
            Ok(Reply::Array(values))
        })
        .key()
        .slow()
        .docs(
            "2.0.0",
            "O(N) where N is the size of the hash.",
            "Returns all values in a hash.",
        ),
        Command::read("hlen", 2, count).key().fast().docs(
            "2.0.0",
            "O(log(M)) where M is the size of the hash.",
            "Returns the number of fields in a hash.",
        ),
        Command::read("hstrlen", 3, length).key().fast().docs(
            "3.2.0",
            "O(log(M)) where M is the size of the hash.",
            "Returns the length of the value of a field.",
        ),
        Command::read("hexists", 3, contains).key().fast().docs(
            "2.0.0",
            "O(log(M)) where M is the size of the hash.",
            "Determines whether a field exists in a hash.",
        ),
        Command::write("hdel", -3, remove).key().fast().docs(
            "2.0.0",
            "O(log(M)) for each field, where M is the size of the hash.",
            "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        ),
        Command::write("hincrby", 4, add)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "2.0.0",
                "O(log(M)) where M is the size of the hash.",
                "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
            ),
        Command::write("hincrbyfloat", 4, add_decimal)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "2.6.0",
                "O(log(M)) where M is the size of the hash.",
                "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
            ),
        Command::read("hscan", -3, scan).key().slow().docs(
            "2.8.0",
            "O(log(M)) for every call and O(1) for each field, where M is the size of the hash.",
            "Iterates over fields and values of a hash.",
        ),
        Command::read("hrandfield", -2, random).key().slow().docs(
            "6.2.0",
            "O(M) where M is the size of the hash: fields are counted up to those that were drawn.",
            "Returns one or more random fields from a hash.",
        ),
    ],
};

/// How many of the fields are new.
fn set(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    command: &'static str,
) -> Result<u64, Refusal> {
    if !request.len().is_multiple_of(2) {
        return Err(Refusal::arity(command));
    }
    let fields = request.from(2).step_by(2);
    let values = request.from(3).step_by(2);
    let key = request.get(1);
    let added = writes.rows.map(key).set_all(fields.zip(values))?;
    writes.note(Class::Hash, "hset", key);
    Ok(added)
}

fn set_absent(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (key, field) = (request.get(1), request.get(2));
    let is_absent = !Map::of(&*writes.rows, key).contains(field)?;
    if is_absent {
        writes.rows.map(key).set(field, request.get(3))?;
        writes.note(Class::Hash, "hset", key);
    }
    Ok(Reply::Integer(i64::from(is_absent)))
}

fn get(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    Ok(Reply::maybe(map.get(request.get(2))?))
}

fn get_each(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    let values = map.get_all(request.from(2))?;
    Reply::bounded(values.map(|value| Ok(Reply::maybe(value?))))
}

/// What is wanted of all fields.
fn all<T>(
    reads: &Reads<'_>,
    request: &Request,
    wanted: impl Fn(Entry) -> T,
) -> Result<Vec<T>, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    map.fields()?.map(|entry| Ok(wanted(entry?))).collect()
}

fn count(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::count(Map::of(reads.rows, request.get(1)).len()?))
}

fn length(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    let length = map.get(request.get(2))?.map_or(0, |value| value.len());
    Ok(Reply::count(length as u64))
}

fn contains(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    Ok(Reply::Integer(i64::from(map.contains(request.get(2))?)))
}

fn remove(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let removed = writes.rows.map(key).remove_all(request.from(2))?;
    if removed > 0 {
        writes.note(Class::Hash, "hdel", key);
        writes.note_if_gone(key)?;
    }
    Ok(Reply::count(removed))
}

fn add(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let by = required(request.get(3))?;
    let key = request.get(1);
    match writes.rows.map(key).increment(request.get(2), by) {
        Ok(sum) => {
            writes.note(Class::Hash, "hincrby", key);
            Ok(Reply::Integer(sum))
        }
        Err(Error::NotANumber { .. } | Error::NotAnInteger { .. }) => {
            Err("ERR hash value is not an integer".into())
        }
        Err(error) => Err(error.into()),
    }
}

fn add_decimal(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let by =
        number::decimal(request.get(3)).ok_or_else(|| match number::float(request.get(3)) {
            Some(_) => Refusal::said("ERR value is NaN or Infinity"),
            None => Refusal::NOT_FLOAT,
        })?;
    let key = request.get(1);
    match writes.rows.map(key).increment_decimal(request.get(2), by) {
        Ok(sum) => {
            writes.note(Class::Hash, "hincrbyfloat", key);
            Ok(Reply::bulk(sum.to_string()))
        }
        Err(Error::NotANumber { .. }) => Err("ERR hash value is not a float".into()),
        Err(error) => Err(error.into()),
    }
}

fn scan(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let map = Map::of(reads.rows, request.get(1));
    scan_parts(reads, request, |bounds| {
        let fields = map.fields_within(bounds)?;
        let part = |(field, value)| (field, Some(value));
        Ok(Box::new(fields.map(move |entry| entry.map(part))))
    })
}

fn random(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let wanted = match request.len() {
        2 => Wanted::Different(1),
        3 => Wanted::read(request.get(2))?,
        4 => {
            let wanted = Wanted::read(request.get(2))?;
            match request.get(3).eq_ignore_ascii_case(b"withvalues") {
                true => wanted,
                false => return Err(Refusal::SYNTAX),
            }
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let map = Map::of(reads.rows, request.get(1));
    let picked = wanted.pick(map.len()?, |place| map.nth(place), || map.fields())?;
    let mut fields = picked.into_iter();
    Ok(match request.len() {
        2 => Reply::maybe(fields.next().map(|(field, _)| field)),
        3 => Reply::bulks(fields.map(|(field, _)| field)),
        _ => {
            let pair = |(field, value)| (Reply::bulk(field), Reply::bulk(value));
            Reply::Pairs(fields.map(pair).collect())
        }
    })
}
