//! Strings: as a whole here; as numbers, by their parts, and what they have in common in files of their own.

pub(crate) mod common;
pub(crate) mod counting;
pub(crate) mod parts;

use std::time::SystemTime;

use syncline::ExpireIf;
use syncline::ops::{Key, Kind, ReadRows};

use super::deadlines::{self, Unit};
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group, Keys};

/// Each second argument is a key.
const PAIRS: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 2,
};

pub(crate) const FAMILY: Family = Family {
    group: Group::String,
    commands: &[
        Command::read("get", 2, get)
            .key()
            .fast()
            .docs("1.0.0", "O(1)", "Returns the string value of a key."),
        Command::write("set", -3, set).key().flags(Flags::DENYOOM).docs(
            "1.0.0",
            "O(1)",
            "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        ),
        Command::write("setnx", 3, set_new)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Set the string value of a key only when the key doesn't exist.",
            ),
        Command::write("setex", 4, |writes, request| {
            set_until(writes, request, Unit::SECONDS, "setex")
        })
        .key()
        .flags(Flags::DENYOOM)
        .docs(
            "2.0.0",
            "O(1)",
            "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
        ),
        Command::write("psetex", 4, |writes, request| {
            set_until(writes, request, Unit::MILLISECONDS, "psetex")
        })
        .key()
        .flags(Flags::DENYOOM)
        .docs(
            "2.6.0",
            "O(1)",
            "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist.",
        ),
        Command::write("getset", 3, get_and_set)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(1)",
                "Returns the previous string value of a key after setting it to a new value.",
            ),
        Command::write("getex", -2, get_and_expire).key().fast().docs(
            "6.2.0",
            "O(1)",
            "Returns the string value of a key after setting its expiration time.",
        ),
        Command::write("getdel", 2, get_and_delete).key().fast().docs(
            "6.2.0",
            "O(1)",
            "Returns the string value of a key after deleting the key.",
        ),
        Command::read("mget", -2, get_many)
            .keys(Keys::ALL)
            .fast()
            .docs(
                "1.0.0",
                "O(N) where N is the number of keys to retrieve.",
                "Atomically returns the string values of one or more keys.",
            ),
        Command::write("mset", -3, |writes, request| {
            set_many(writes, request, "mset").map(|()| Reply::OK)
        })
        .keys(PAIRS)
        .flags(Flags::DENYOOM)
        .docs(
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            "Atomically creates or modifies the string values of one or more keys.",
        ),
        Command::write("msetnx", -3, set_many_new)
            .keys(PAIRS)
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.1",
                "O(N) where N is the number of keys to set.",
                "Atomically modifies the string values of one or more keys only when all keys don't exist.",
            ),
    ],
};

fn get(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::maybe(Key::of(reads.rows, request.get(1)).value()?))
}

/// A time that is said as an option: what it is counted in, and where its number is.
type Said = (Unit, usize);

/// Reads one word of a time; where the next word is.
fn read_time(request: &Request, at: usize, said: &mut Option<Said>) -> Result<usize, Refusal> {
    let unit = Unit::of(request.get(at)).ok_or(Refusal::SYNTAX)?;
    // Said twice in one unit, the last one counts.
    let is_other = said.is_some_and(|(other, _)| other != unit);
    if is_other || at + 1 >= request.len() {
        return Err(Refusal::SYNTAX);
    }
    *said = Some((unit, at + 1));
    Ok(at + 2)
}

/// The deadline that was said. All words have been understood by then.
fn deadline_of(
    said: Option<Said>,
    request: &Request,
    now_ms: u64,
    command: &str,
) -> Result<Option<SystemTime>, Refusal> {
    let deadline = |(unit, at): Said| unit.deadline(request.get(at), now_ms, command);
    said.map(deadline).transpose()
}

/// What `SET` is asked to do beside setting.
#[derive(Default)]
struct SetOptions {
    /// Only if the key is there, or is not.
    only_if: Option<bool>,
    gets: bool,
    keeps_deadline: bool,
    until: Option<Said>,
}

impl SetOptions {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut at = 3;
        while at < request.len() {
            match request.get(at).to_ascii_lowercase().as_slice() {
                b"nx" if options.only_if != Some(true) => options.only_if = Some(false),
                b"xx" if options.only_if != Some(false) => options.only_if = Some(true),
                b"get" => options.gets = true,
                b"keepttl" if options.until.is_none() => options.keeps_deadline = true,
                _ if !options.keeps_deadline => {
                    at = read_time(request, at, &mut options.until)?;
                    continue;
                }
                _ => return Err(Refusal::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Writes a value as `SET` does, and its deadline.
fn put(
    writes: &mut Writes<'_, '_>,
    key: &[u8],
    value: &[u8],
    deadline: Option<SystemTime>,
) -> Result<(), Refusal> {
    writes.rows.put(key, value)?;
    writes.note(Class::String, "set", key);
    if let Some(deadline) = deadline {
        writes.rows.expire_at(key, deadline, ExpireIf::Always)?;
        writes.note(Class::Generic, "expire", key);
    }
    Ok(())
}

fn set(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let options = SetOptions::read(request)?;
    let deadline = deadline_of(options.until, request, writes.rows.now_ms(), "set")?;
    let (key, value) = (request.get(1), request.get(2));
    let mut old = Reply::OK;
    if options.only_if.is_some() || options.gets {
        let there = writes.rows.kind(key)?;
        if options.gets {
            old = match there {
                None => Reply::Null,
                Some(Kind::Value) => Reply::maybe(writes.rows.get(key)?),
                Some(_) => return Err(Refusal::WRONG_TYPE),
            };
        }
        if options
            .only_if
            .is_some_and(|wanted| wanted != there.is_some())
        {
            return Ok(if options.gets { old } else { Reply::Null });
        }
    }
    if options.keeps_deadline {
        writes.rows.put_keeping_deadline(key, value)?;
        writes.note(Class::String, "set", key);
    } else {
        put(writes, key, value, deadline)?;
    }
    Ok(old)
}

fn set_new(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    if writes.rows.kind(key)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    put(writes, key, request.get(2), None)?;
    Ok(Reply::Integer(1))
}

fn set_until(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    unit: Unit,
    command: &str,
) -> Result<Reply, Refusal> {
    let deadline = unit.deadline(request.get(2), writes.rows.now_ms(), command)?;
    put(writes, request.get(1), request.get(3), Some(deadline))?;
    Ok(Reply::OK)
}

fn get_and_set(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let old = writes.rows.get(key)?;
    put(writes, key, request.get(2), None)?;
    Ok(Reply::maybe(old))
}

fn get_and_expire(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (mut until, mut persists, mut at) = (None, false, 2);
    while at < request.len() {
        if request.get(at).eq_ignore_ascii_case(b"persist") && until.is_none() {
            persists = true;
            at += 1;
        } else if !persists {
            at = read_time(request, at, &mut until)?;
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    let key = request.get(1);
    let Some(value) = writes.rows.get(key)? else {
        return Ok(Reply::Null);
    };
    let deadline = deadline_of(until, request, writes.rows.now_ms(), "getex")?;
    if let Some(deadline) = deadline {
        deadlines::set(writes, key, deadline)?;
    } else if persists && writes.rows.persist(key)? {
        writes.note(Class::Generic, "persist", key);
    }
    Ok(Reply::bulk(value))
}

fn get_and_delete(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let Some(value) = writes.rows.get(key)? else {
        return Ok(Reply::Null);
    };
    writes.rows.delete(key)?;
    writes.note(Class::Generic, "del", key);
    Ok(Reply::bulk(value))
}

fn get_many(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let values = request.from(1).map(|key| {
        let key = Key::of(reads.rows, key);
        // What is no string reads as nothing here.
        Ok(match key.kind()? {
            Some(Kind::Value) => Reply::maybe(key.value()?),
            _ => Reply::Null,
        })
    });
    Reply::bounded(values)
}

fn set_many(writes: &mut Writes<'_, '_>, request: &Request, command: &str) -> Result<(), Refusal> {
    if request.len().is_multiple_of(2) {
        return Err(Refusal::arity(command));
    }
    for at in (1..request.len()).step_by(2) {
        put(writes, request.get(at), request.get(at + 1), None)?;
    }
    Ok(())
}

fn set_many_new(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    if request.len().is_multiple_of(2) {
        return Err(Refusal::arity("msetnx"));
    }
    for key in request.from(1).step_by(2) {
        if writes.rows.kind(key)?.is_some() {
            return Ok(Reply::Integer(0));
        }
    }
    set_many(writes, request, "msetnx")?;
    Ok(Reply::Integer(1))
}
