//! Sets.

mod algebra;

use syncline::ops::Set;

use super::random::Wanted;
use super::scan::scan_parts;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::among;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group, Keys};

pub(crate) const FAMILY: Family = Family {
    group: Group::Set,
    commands: &[
        Command::write("sadd", -3, add)
            .key()
            .fast()
            .flags(Flags::DENYOOM)
            .docs(
                "1.0.0",
                "O(log(M)) for each member, where M is the size of the set.",
                "Adds one or more members to a set. Creates the key if it doesn't exist.",
            ),
        Command::write("srem", -3, remove).key().fast().docs(
            "1.0.0",
            "O(log(M)) for each member, where M is the size of the set.",
            "Removes one or more members from a set. Deletes the set if the last member was removed.",
        ),
        Command::read("sismember", 3, contains).key().fast().docs(
            "1.0.0",
            "O(log(M)) where M is the size of the set.",
            "Determines whether a member belongs to a set.",
        ),
        Command::read("smismember", -3, contains_each)
            .key()
            .fast()
            .docs(
                "6.2.0",
                "O(log(M)) for each member, where M is the size of the set.",
                "Determines whether multiple members belong to a set.",
            ),
        Command::read("scard", 2, count).key().fast().docs(
            "1.0.0",
            "O(log(M)) where M is the size of the set.",
            "Returns the number of members in a set.",
        ),
        Command::read("smembers", 2, members).key().slow().docs(
            "1.0.0",
            "O(N) where N is the size of the set.",
            "Returns all members of a set.",
        ),
        Command::write("smove", 4, move_member)
            .keys(Keys::Range {
                first: 1,
                last: 2,
                step: 1,
            })
            .fast()
            .docs(
                "1.0.0",
                "O(log(M)) where M is the size of the larger set.",
                "Moves a member from one set to another.",
            ),
        Command::write("spop", -2, pop).key().fast().docs(
            "1.0.0",
            "O(M) where M is the size of the set: members are counted up to those that were drawn.",
            "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
        ),
        Command::read("srandmember", -2, random).key().slow().docs(
            "1.0.0",
            "O(M) where M is the size of the set: members are counted up to those that were drawn.",
            "Get one or multiple random members from a set",
        ),
        Command::read("sscan", -3, scan).key().slow().docs(
            "2.8.0",
            "O(log(M)) for every call and O(1) for each member, where M is the size of the set.",
            "Iterates over members of a set.",
        ),
        algebra::SINTER,
        algebra::SINTERCARD,
        algebra::SINTERSTORE,
        algebra::SUNION,
        algebra::SUNIONSTORE,
        algebra::SDIFF,
        algebra::SDIFFSTORE,
    ],
};

fn add(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let added = writes.rows.set(key).insert_all(request.from(2))?;
    if added > 0 {
        writes.note(Class::Set, "sadd", key);
    }
    Ok(Reply::count(added))
}

fn remove(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let removed = writes.rows.set(key).remove_all(request.from(2))?;
    if removed > 0 {
        writes.note(Class::Set, "srem", key);
        writes.note_if_gone(key)?;
    }
    Ok(Reply::count(removed))
}

fn contains(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = Set::of(reads.rows, request.get(1));
    Ok(Reply::Integer(i64::from(set.contains(request.get(2))?)))
}

fn contains_each(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = Set::of(reads.rows, request.get(1));
    let contains = set.lookup()?;
    let mut replies = Vec::with_capacity(request.len() - 2);
    for member in request.from(2) {
        replies.push(Reply::Integer(i64::from(contains(member)?)));
    }
    Ok(Reply::Array(replies))
}

fn count(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    Ok(Reply::count(Set::of(reads.rows, request.get(1)).len()?))
}

fn members(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = Set::of(reads.rows, request.get(1));
    let members = set.members()?.map(|member| Ok(Reply::bulk(member?)));
    Ok(Reply::Set(members.collect::<Result<_, Refusal>>()?))
}

fn move_member(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let (from, to, member) = (request.get(1), request.get(2), request.get(3));
    let source = Set::of(&*writes.rows, from);
    if source.is_empty()? {
        return Ok(Reply::Integer(0));
    }
    // Looked at before anything is written: it may be of another kind.
    Set::of(&*writes.rows, to).is_empty()?;
    let is_there = source.contains(member)?;
    if is_there && from != to {
        writes.rows.set(from).remove(member)?;
        writes.note(Class::Set, "srem", from);
        writes.note_if_gone(from)?;
        if writes.rows.set(to).insert(member)? {
            writes.note(Class::Set, "sadd", to);
        }
    }
    Ok(Reply::Integer(i64::from(is_there)))
}

/// Members at random.
fn pick(set: &Set<impl syncline::ops::ReadRows>, wanted: Wanted) -> Result<Vec<Vec<u8>>, Refusal> {
    let at = |place| set.nth(place);
    Ok(wanted.pick(set.len()?, at, || set.members())?)
}

fn pop(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let wanted = match request.len() {
        2 => 1,
        3 => {
            let refusal = "ERR value is out of range, must be positive";
            among(request.get(2), 0.., refusal)?.unsigned_abs()
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let key = request.get(1);
    let mut popped = pick(&Set::of(&*writes.rows, key), Wanted::Different(wanted))?;
    if writes.rows.set(key).remove_all(&popped)? > 0 {
        writes.note(Class::Set, "spop", key);
        writes.note_if_gone(key)?;
    }
    Ok(match request.len() {
        2 => Reply::maybe(popped.pop()),
        _ => Reply::Set(popped.into_iter().map(Reply::bulk).collect()),
    })
}

fn scan(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = Set::of(reads.rows, request.get(1));
    scan_parts(reads, request, |bounds| {
        let members = set.members_within(bounds)?;
        Ok(Box::new(members.map(|member| Ok((member?, None)))))
    })
}

fn random(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = Set::of(reads.rows, request.get(1));
    match request.len() {
        2 => Ok(Reply::maybe(pick(&set, Wanted::Different(1))?.pop())),
        3 => Ok(Reply::bulks(pick(&set, Wanted::read(request.get(2))?)?)),
        _ => Err(Refusal::SYNTAX),
    }
}
