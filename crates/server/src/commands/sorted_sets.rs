//! Sorted sets.

pub(crate) mod algebra;
pub(crate) mod pops;
pub(crate) mod ranges;
pub(crate) mod waits;

use syncline::Span;
use syncline::ops::{Direction, Scored, SortedSet};

use super::random::Wanted;
use super::scan::scan_parts;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::SortedSet,
    commands: &[
        Command::write("zadd", -4, |writes, request| {
            add(writes, request, Mode::default())
        })
        .key()
        .fast()
        .flags(Flags::DENYOOM)
        .docs(
            "1.2.0",
            "O(log(M)) for each member, where M is the size of the sorted set.",
            "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        ),
        Command::write("zincrby", 4, |writes, request| {
            let mode = Mode {
                is_sum: true,
                ..Mode::default()
            };
            add(writes, request, mode)
        })
        .key()
        .fast()
        .flags(Flags::DENYOOM)
        .docs(
            "1.2.0",
            "O(log(M)) where M is the size of the sorted set.",
            "Increments the score of a member in a sorted set.",
        ),
        Command::write("zrem", -3, remove).key().fast().docs(
            "1.2.0",
            "O(log(M)) for each member, where M is the size of the sorted set.",
            "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
        ),
        Command::read("zscore", 3, score).key().fast().docs(
            "1.2.0",
            "O(log(M)) where M is the size of the sorted set.",
            "Returns the score of a member in a sorted set.",
        ),
        Command::read("zmscore", -3, score_each).key().fast().docs(
            "6.2.0",
            "O(log(M)) for each member, where M is the size of the sorted set.",
            "Returns the score of one or more members in a sorted set.",
        ),
        Command::read("zcard", 2, |reads, request| {
            Ok(Reply::count(of(reads, request).len()?))
        })
        .key()
        .fast()
        .docs(
            "1.2.0",
            "O(log(M)) where M is the size of the sorted set.",
            "Returns the number of members in a sorted set.",
        ),
        Command::read("zrank", 3, |reads, request| {
            rank(reads, request, Direction::Forward)
        })
        .key()
        .fast()
        .docs(
            "2.0.0",
            "O(log(M)) where M is the size of the sorted set.",
            "Returns the index of a member in a sorted set ordered by ascending scores.",
        ),
        Command::read("zrevrank", 3, |reads, request| {
            rank(reads, request, Direction::Backward)
        })
        .key()
        .fast()
        .docs(
            "2.0.0",
            "O(log(M)) where M is the size of the sorted set.",
            "Returns the index of a member in a sorted set ordered by descending scores.",
        ),
        Command::read("zrandmember", -2, random).key().slow().docs(
            "6.2.0",
            "O(N*log(M)) for N members that are drawn, where M is the size of the sorted set; O(M) at most.",
            "Returns one or more random members from a sorted set.",
        ),
        Command::read("zscan", -3, scan).key().slow().docs(
            "2.8.0",
            "O(log(M)) for every call and O(1) for each member, where M is the size of the sorted set.",
            "Iterates over members and scores of a sorted set.",
        ),
    ],
};

/// The sorted set under the key at 1.
fn of<'a>(reads: &Reads<'a>, request: &Request) -> SortedSet<&'a dyn syncline::ops::ReadRows> {
    SortedSet::of(reads.rows, request.get(1))
}

/// Members with their scores, in pairs.
fn pairs(members: Vec<Scored>) -> Reply {
    let pair = |(member, score)| (Reply::bulk(member), Reply::double(score));
    Reply::Pairs(members.into_iter().map(pair).collect())
}

/// How scores are given.
#[derive(Clone, Copy, Default)]
struct Mode {
    only_absent: bool,
    only_present: bool,
    only_greater: bool,
    only_less: bool,
    counts_changed: bool,
    /// Whether what is given is added to what there is.
    is_sum: bool,
}

impl Mode {
    /// The words from 2 on, and where they end.
    fn read(mut self, request: &Request) -> Result<(Self, usize), Refusal> {
        let mut at = 2;
        for word in request.from(at) {
            match word.to_ascii_lowercase().as_slice() {
                b"nx" => self.only_absent = true,
                b"xx" => self.only_present = true,
                b"gt" => self.only_greater = true,
                b"lt" => self.only_less = true,
                b"ch" => self.counts_changed = true,
                b"incr" => self.is_sum = true,
                _ => break,
            }
            at += 1;
        }
        let given = request.len() - at;
        if given == 0 || given % 2 == 1 {
            return Err(Refusal::SYNTAX);
        }
        if self.only_absent && self.only_present {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        let orders = [self.only_absent, self.only_greater, self.only_less];
        if orders.into_iter().filter(|is_said| *is_said).count() > 1 {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if self.is_sum && given > 2 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        Ok((self, at))
    }

    /// Whether a member with this score, if it is one, may have the new one.
    fn admits(self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.only_present,
            Some(old) => {
                !self.only_absent
                    && (!self.only_greater || new > old)
                    && (!self.only_less || new < old)
            }
        }
    }
}

/// `ZADD` and `ZINCRBY`.
fn add(writes: &mut Writes<'_, '_>, request: &Request, mode: Mode) -> Result<Reply, Refusal> {
    let (mode, first) = match mode.is_sum {
        true => (mode, 2),
        false => mode.read(request)?,
    };
    let key = request.get(1);
    let scores = request.from(first).step_by(2);
    let scores = scores.map(|score| number::float(score).ok_or(Refusal::NOT_FLOAT));
    let scores = scores.collect::<Result<Vec<_>, _>>()?;
    let (mut added, mut changed, mut sum) = (0, 0, Reply::Null);
    let members = request.from(first + 1).step_by(2);
    let mut set = writes.rows.sorted_set(key);
    for (given, member) in scores.into_iter().zip(members) {
        let old = set.score(member)?;
        let new = match mode.is_sum {
            true => old.unwrap_or(0.0) + given,
            false => given,
        };
        if new.is_nan() {
            return Err("ERR resulting score is not a number (NaN)".into());
        }
        if !mode.admits(old, new) {
            continue;
        }
        let new = match mode.is_sum {
            true => set.increment(member, given)?,
            false => set.insert(member, given).map(|_| given)?,
        };
        added += u64::from(old.is_none());
        changed += u64::from(old != Some(new));
        sum = Reply::double(new);
    }
    if changed > 0 {
        let name = if mode.is_sum { "zincr" } else { "zadd" };
        writes.note(Class::SortedSet, name, key);
    }
    Ok(match mode {
        Mode { is_sum: true, .. } => sum,
        Mode {
            counts_changed: true,
            ..
        } => Reply::count(changed),
        _ => Reply::count(added),
    })
}

fn remove(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let key = request.get(1);
    let mut set = writes.rows.sorted_set(key);
    let mut removed = 0;
    for member in request.from(2) {
        removed += u64::from(set.remove(member)?);
    }
    if removed > 0 {
        writes.note(Class::SortedSet, "zrem", key);
        writes.note_if_gone(key)?;
    }
    Ok(Reply::count(removed))
}

fn score(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let score = of(reads, request).score(request.get(2))?;
    Ok(score.map_or(Reply::Null, Reply::double))
}

fn score_each(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = of(reads, request);
    let mut scores = Vec::with_capacity(request.len() - 2);
    for member in request.from(2) {
        scores.push(set.score(member)?.map_or(Reply::Null, Reply::double));
    }
    Ok(Reply::Array(scores))
}

fn rank(reads: &Reads<'_>, request: &Request, direction: Direction) -> Result<Reply, Refusal> {
    let rank = of(reads, request).rank(request.get(2), direction)?;
    Ok(rank.map_or(Reply::Null, Reply::count))
}

fn random(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let wanted = match request.len() {
        2 => Wanted::Different(1),
        3 => Wanted::read(request.get(2))?,
        4 => {
            let wanted = Wanted::read(request.get(2))?;
            match request.get(3).eq_ignore_ascii_case(b"withscores") {
                true => wanted,
                false => return Err(Refusal::SYNTAX),
            }
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let set = of(reads, request);
    let at = |place| {
        let mut one = set.range_of(&Span::all().skip(place).take(1))?;
        one.next().transpose()
    };
    let picked = wanted.pick(set.len()?, at, || set.range_of(&Span::all()))?;
    let members = |picked: Vec<Scored>| picked.into_iter().map(|(member, _)| member);
    Ok(match request.len() {
        2 => Reply::maybe(members(picked).next()),
        3 => Reply::bulks(members(picked)),
        _ => pairs(picked),
    })
}

fn scan(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let set = of(reads, request);
    scan_parts(reads, request, |bounds| {
        let members = set.members_within(bounds)?;
        let part = |(member, score)| (member, Some(number::print(score).into_bytes()));
        Ok(Box::new(members.map(move |scored| scored.map(part))))
    })
}
