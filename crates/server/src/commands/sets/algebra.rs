//! Intersections, unions and differences of sets.

use std::collections::BTreeSet;

use syncline::Error;
use syncline::ops::{Items, ReadRows, Set};

use crate::commands::beside::Beside;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::among;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Flags, Keys};

/// A key that is written, and then those that are read.
const STORES: Keys = Keys::ALL;

pub(super) const SINTER: Command = Command::read("sinter", -2, |reads, request| {
    shown(intersection(&sets(reads.rows, request, 1), u64::MAX)?)
})
.keys(Keys::ALL)
.slow()
.docs(
    "1.0.0",
    "O(N*M) worst case where N is the size of the smallest set and M is the number of sets.",
    "Returns the intersect of multiple sets.",
);

pub(super) const SINTERCARD: Command = Command::read("sintercard", -3, count)
    .keys(Keys::Counted {
        at: 1,
        before: None,
    })
    .slow()
    .docs(
        "7.0.0",
        "O(N*M) worst case where N is the size of the smallest set and M is the number of sets.",
        "Returns the number of members of the intersect of multiple sets.",
    );

pub(super) const SINTERSTORE: Command = Command::write("sinterstore", -3, |writes, request| {
    let found = intersection(&sets(&*writes.rows, request, 2), u64::MAX)?;
    store(writes, request, &found, "sinterstore")
})
.keys(STORES)
.flags(Flags::DENYOOM)
.docs(
    "1.0.0",
    "O(N*M) worst case where N is the size of the smallest set and M is the number of sets.",
    "Stores the intersect of multiple sets in a key.",
);

pub(super) const SUNION: Command = Command::read("sunion", -2, |reads, request| {
    shown(union(&sets(reads.rows, request, 1))?)
})
.keys(Keys::ALL)
.slow()
.docs(
    "1.0.0",
    "O(N) where N is the total number of members in all given sets.",
    "Returns the union of multiple sets.",
);

pub(super) const SUNIONSTORE: Command = Command::write("sunionstore", -3, |writes, request| {
    let found = union(&sets(&*writes.rows, request, 2))?;
    store(writes, request, &found, "sunionstore")
})
.keys(STORES)
.flags(Flags::DENYOOM)
.docs(
    "1.0.0",
    "O(N) where N is the total number of members in all given sets.",
    "Stores the union of multiple sets in a key.",
);

pub(super) const SDIFF: Command = Command::read("sdiff", -2, |reads, request| {
    shown(difference(&sets(reads.rows, request, 1))?)
})
.keys(Keys::ALL)
.slow()
.docs(
    "1.0.0",
    "O(N) where N is the total number of members in all given sets.",
    "Returns the difference of multiple sets.",
);

pub(super) const SDIFFSTORE: Command = Command::write("sdiffstore", -3, |writes, request| {
    let found = difference(&sets(&*writes.rows, request, 2))?;
    store(writes, request, &found, "sdiffstore")
})
.keys(STORES)
.flags(Flags::DENYOOM)
.docs(
    "1.0.0",
    "O(N) where N is the total number of members in all given sets.",
    "Stores the difference of multiple sets in a key.",
);

/// Those whose keys stand from `at` on.
fn sets<R: ReadRows + Copy>(rows: R, request: &Request, at: usize) -> Vec<Set<R>> {
    request.from(at).map(|key| Set::of(rows, key)).collect()
}

fn shown(members: Vec<Vec<u8>>) -> Result<Reply, Refusal> {
    Ok(Reply::Set(members.into_iter().map(Reply::bulk).collect()))
}

fn count(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let refusal = "ERR numkeys should be greater than 0";
    let keys = among(request.get(1), 1.., refusal)?;
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    if keys > request.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let mut limit = u64::MAX;
    let mut words = request.from(2 + keys);
    while let Some(word) = words.next() {
        let Some(number) = words.next().filter(|_| word.eq_ignore_ascii_case(b"limit")) else {
            return Err(Refusal::SYNTAX);
        };
        limit = among(number, 0.., "ERR LIMIT can't be negative")?.unsigned_abs();
    }
    let sets = request.from(2).take(keys);
    let sets: Vec<_> = sets.map(|key| Set::of(reads.rows, key)).collect();
    let limit = if limit == 0 { u64::MAX } else { limit };
    Ok(Reply::count(intersection(&sets, limit)?.len() as u64))
}

/// Puts a result in place of whatever the key at 1 held.
fn store(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    members: &[Vec<u8>],
    event: &'static str,
) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let was_there = writes.rows.delete(key)?;
    if !members.is_empty() {
        writes.rows.set(key).insert_all(members)?;
        writes.note(Class::Set, event, key);
    } else if was_there {
        writes.note(Class::Generic, "del", key);
    }
    Ok(Reply::count(members.len() as u64))
}

/// What is in all of them, at most `limit`.
fn intersection<R: ReadRows>(sets: &[Set<R>], limit: u64) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut sizes = Vec::with_capacity(sets.len());
    for set in sets {
        sizes.push((set.len()?, set));
    }
    // The fewer members, the fewer have to be looked up elsewhere, and the sooner one is missed.
    sizes.sort_by_key(|(size, _)| *size);
    let Some(((size, least), others)) = sizes.split_first() else {
        return Ok(Vec::new());
    };
    let mut others = others
        .iter()
        .map(|(_, set)| beside(set, *size))
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    'members: for member in least.members()? {
        if found.len() as u64 == limit {
            break;
        }
        let member = member?;
        for other in &mut others {
            if other.find(&member)?.is_none() {
                continue 'members;
            }
        }
        found.push(member);
    }
    Ok(found)
}

/// What is in any of them.
fn union<R: ReadRows>(sets: &[Set<R>]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut found = BTreeSet::new();
    for set in sets {
        for member in set.members()? {
            found.insert(member?);
        }
    }
    Ok(found.into_iter().collect())
}

/// What is in the first and in no other.
fn difference<R: ReadRows>(sets: &[Set<R>]) -> Result<Vec<Vec<u8>>, Refusal> {
    let Some((first, others)) = sets.split_first() else {
        return Ok(Vec::new());
    };
    let size = first.len()?;
    let others = others.iter().map(|set| beside(set, size));
    let mut others = others.collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    'members: for member in first.members()? {
        let member = member?;
        for other in &mut others {
            if other.find(&member)?.is_some() {
                continue 'members;
            }
        }
        found.push(member);
    }
    Ok(found)
}

/// A set that is asked for the members of another, which has so many.
fn beside<R: ReadRows>(set: &Set<R>, asked: u64) -> Result<Beside<'_, ()>, Error> {
    if Beside::<()>::is_walk(set.len()?, asked) {
        let members = set
            .members()?
            .map(|member| member.map(|member| (member, ())));
        let members: Items<'_, _> = Box::new(members);
        return Ok(Beside::Walk(members.peekable()));
    }
    let contains = set.lookup()?;
    let find = move |member: &[u8]| Ok(contains(member)?.then_some(()));
    Ok(Beside::LookUp(Box::new(find)))
}
