//! Intersections, unions and differences of sorted sets, and of sets, whose members count as if each had score 1.

use std::collections::BTreeMap;

use syncline::Error;
use syncline::ops::{Items, Key, Kind, ReadRows, Scored, Set, SortedSet};

use super::pairs;
use crate::commands::beside::Beside;
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::{among, float, required};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group, Keys};

const UNION_COST: &str = "O(N*log(N)) with N being the sum of the sizes of the input sorted sets.";
const INTER_COST: &str = "O(N*K*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M the size of the largest.";
const DIFF_COST: &str = "O(N*K*log(M)) worst case with N being the size of the first sorted set, K the number of the others and M the size of the largest.";

/// As many keys as the argument at 1 says.
const READ: Keys = Keys::Counted {
    at: 1,
    before: None,
};
/// A key that is written, and then those that are read.
const STORED: Keys = Keys::Counted {
    at: 2,
    before: Some(1),
};

pub(crate) const FAMILY: Family = Family {
    group: Group::SortedSet,
    commands: &[
        Command::read("zunion", -3, |reads, request| {
            show(reads, request, Operation::Union, "zunion")
        })
        .keys(READ)
        .slow()
        .docs(
            "6.2.0",
            UNION_COST,
            "Returns the union of multiple sorted sets.",
        ),
        Command::write("zunionstore", -4, |writes, request| {
            keep(writes, request, Operation::Union, "zunionstore")
        })
        .keys(STORED)
        .flags(Flags::DENYOOM)
        .docs(
            "2.0.0",
            UNION_COST,
            "Stores the union of multiple sorted sets in a key.",
        ),
        Command::read("zinter", -3, |reads, request| {
            show(reads, request, Operation::Intersection, "zinter")
        })
        .keys(READ)
        .slow()
        .docs(
            "6.2.0",
            INTER_COST,
            "Returns the intersect of multiple sorted sets.",
        ),
        Command::write("zinterstore", -4, |writes, request| {
            keep(writes, request, Operation::Intersection, "zinterstore")
        })
        .keys(STORED)
        .flags(Flags::DENYOOM)
        .docs(
            "2.0.0",
            INTER_COST,
            "Stores the intersect of multiple sorted sets in a key.",
        ),
        Command::read("zintercard", -3, count)
            .keys(READ)
            .slow()
            .docs(
                "7.0.0",
                INTER_COST,
                "Returns the number of members of the intersect of multiple sorted sets.",
            ),
        Command::read("zdiff", -3, |reads, request| {
            show(reads, request, Operation::Difference, "zdiff")
        })
        .keys(READ)
        .slow()
        .docs(
            "6.2.0",
            DIFF_COST,
            "Returns the difference between multiple sorted sets.",
        ),
        Command::write("zdiffstore", -4, |writes, request| {
            keep(writes, request, Operation::Difference, "zdiffstore")
        })
        .keys(STORED)
        .flags(Flags::DENYOOM)
        .docs(
            "6.2.0",
            DIFF_COST,
            "Stores the difference of multiple sorted sets in a key.",
        ),
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What scores of the same member come to.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number(a + b),
            Self::Least => a.min(b),
            Self::Greatest => a.max(b),
        }
    }
}

/// What is no number counts as 0: opposite infinities, or one of them 0 times.
fn number(sum: f64) -> f64 {
    if sum.is_nan() { 0.0 } else { sum }
}

/// One of those that an operation is of.
struct Source<R> {
    members: Members<R>,
    weight: f64,
}

enum Members<R> {
    Scored(SortedSet<R>),
    Plain(Set<R>),
}

impl<R: ReadRows + Copy> Source<R> {
    fn of(rows: R, key: &[u8]) -> Result<Self, Refusal> {
        let members = match Key::of(rows, key).kind()? {
            None | Some(Kind::SortedSet) => Members::Scored(SortedSet::of(rows, key)),
            Some(Kind::Set) => Members::Plain(Set::of(rows, key)),
            Some(_) => return Err(Refusal::WRONG_TYPE),
        };
        Ok(Self {
            members,
            weight: 1.0,
        })
    }

    fn len(&self) -> Result<u64, Error> {
        match &self.members {
            Members::Scored(set) => set.len(),
            Members::Plain(set) => set.len(),
        }
    }

    /// With the scores that they have here.
    fn members(&self) -> Result<Items<'_, Scored>, Error> {
        Ok(match &self.members {
            Members::Scored(set) => Box::new(set.members()?.map(|scored| {
                let (member, score) = scored?;
                Ok((member, number(self.weight * score)))
            })),
            Members::Plain(set) => {
                Box::new(set.members()?.map(|member| Ok((member?, self.weight))))
            }
        })
    }

    /// To be asked for the members of another, which has so many.
    fn beside(&self, asked: u64) -> Result<Beside<'_, f64>, Error> {
        if Beside::<f64>::is_walk(self.len()?, asked) {
            return Ok(Beside::Walk(self.members()?.peekable()));
        }
        Ok(Beside::LookUp(match &self.members {
            Members::Scored(set) => {
                let score = set.lookup()?;
                let weigh = |score: f64| number(self.weight * score);
                Box::new(move |member| Ok(score(member)?.map(weigh)))
            }
            Members::Plain(set) => {
                let contains = set.lookup()?;
                Box::new(move |member| Ok(contains(member)?.then_some(self.weight)))
            }
        }))
    }
}

/// An operation as it is asked for.
struct Asked<R> {
    sources: Vec<Source<R>>,
    aggregate: Aggregate,
    with_scores: bool,
}

/// The sources whose number is at `at`, and where they end.
fn sources<R: ReadRows + Copy>(
    rows: R,
    request: &Request,
    at: usize,
    name: &str,
) -> Result<(Vec<Source<R>>, usize), Refusal> {
    let count = required(request.get(at))?;
    if count < 1 {
        let refusal = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(refusal.into());
    }
    let first = at + 1;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > request.len() - first {
        return Err(Refusal::SYNTAX);
    }
    let keys = request.from(first).take(count);
    let sources = keys.map(|key| Source::of(rows, key));
    Ok((sources.collect::<Result<_, _>>()?, first + count))
}

impl<R: ReadRows + Copy> Asked<R> {
    fn read(
        rows: R,
        request: &Request,
        at: usize,
        operation: Operation,
        name: &str,
    ) -> Result<Self, Refusal> {
        let (sources, mut word) = sources(rows, request, at, name)?;
        let is_stored = at == 2;
        let mut asked = Self {
            sources,
            aggregate: Aggregate::Sum,
            with_scores: false,
        };
        let weighs = operation != Operation::Difference;
        while word < request.len() {
            let left = request.len() - word - 1;
            match request.get(word).to_ascii_lowercase().as_slice() {
                b"weights" if weighs && left >= asked.sources.len() => {
                    for source in &mut asked.sources {
                        word += 1;
                        source.weight = float(request.get(word))
                            .ok_or(Refusal::said("ERR weight value is not a float"))?;
                    }
                }
                b"aggregate" if weighs && left >= 1 => {
                    word += 1;
                    asked.aggregate = match request.get(word).to_ascii_lowercase().as_slice() {
                        b"sum" => Aggregate::Sum,
                        b"min" => Aggregate::Least,
                        b"max" => Aggregate::Greatest,
                        _ => return Err(Refusal::SYNTAX),
                    };
                }
                b"withscores" if !is_stored => asked.with_scores = true,
                _ => return Err(Refusal::SYNTAX),
            }
            word += 1;
        }
        Ok(asked)
    }

    /// What it comes to, in the order of the members.
    fn result(&self, operation: Operation) -> Result<Vec<Scored>, Refusal> {
        match operation {
            Operation::Union => self.union(),
            Operation::Intersection => intersection(&self.sources, self.aggregate, u64::MAX),
            Operation::Difference => self.difference(),
        }
    }

    fn union(&self) -> Result<Vec<Scored>, Refusal> {
        let mut found = BTreeMap::new();
        for source in &self.sources {
            for scored in source.members()? {
                let (member, score) = scored?;
                found
                    .entry(member)
                    .and_modify(|sum| *sum = self.aggregate.of(*sum, score))
                    .or_insert(score);
            }
        }
        Ok(found.into_iter().collect())
    }

    fn difference(&self) -> Result<Vec<Scored>, Refusal> {
        let Some((first, others)) = self.sources.split_first() else {
            return Ok(Vec::new());
        };
        let size = first.len()?;
        let others = others.iter().map(|other| other.beside(size));
        let mut others = others.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        'members: for scored in first.members()? {
            let scored = scored?;
            for other in &mut others {
                if other.find(&scored.0)?.is_some() {
                    continue 'members;
                }
            }
            found.push(scored);
        }
        Ok(found)
    }
}

/// What is in all of them, at most `limit`.
fn intersection<R: ReadRows + Copy>(
    sources: &[Source<R>],
    aggregate: Aggregate,
    limit: u64,
) -> Result<Vec<Scored>, Refusal> {
    let mut by_size = Vec::with_capacity(sources.len());
    for source in sources {
        by_size.push((source.len()?, source));
    }
    // The fewer members, the fewer have to be looked up elsewhere, and the sooner one is missed.
    by_size.sort_by_key(|(size, _)| *size);
    let Some(((size, least), others)) = by_size.split_first() else {
        return Ok(Vec::new());
    };
    let others = others.iter().map(|(_, other)| other.beside(*size));
    let mut others = others.collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    'members: for scored in least.members()? {
        if found.len() as u64 == limit {
            break;
        }
        let (member, mut sum) = scored?;
        for other in &mut others {
            match other.find(&member)? {
                Some(score) => sum = aggregate.of(sum, score),
                None => continue 'members,
            }
        }
        found.push((member, sum));
    }
    Ok(found)
}

fn show(
    reads: &Reads<'_>,
    request: &Request,
    operation: Operation,
    name: &str,
) -> Result<Reply, Refusal> {
    let asked = Asked::read(reads.rows, request, 1, operation, name)?;
    let mut found = asked.result(operation)?;
    // Those of equal scores stay in the order of their names.
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(match asked.with_scores {
        true => pairs(found),
        false => Reply::bulks(found.into_iter().map(|(member, _)| member)),
    })
}

fn keep(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    operation: Operation,
    name: &'static str,
) -> Result<Reply, Refusal> {
    let asked = Asked::read(&*writes.rows, request, 2, operation, name)?;
    let found = asked.result(operation)?;
    store(writes, request.get(1), &found, name)
}

/// Puts a result in place of whatever a key held.
pub(super) fn store(
    writes: &mut Writes<'_, '_>,
    key: &[u8],
    members: &[Scored],
    event: &'static str,
) -> Result<Reply, Refusal> {
    let was_there = writes.rows.delete(key)?;
    if !members.is_empty() {
        let mut set = writes.rows.sorted_set(key);
        for (member, score) in members {
            set.insert(member, *score)?;
        }
        writes.note(Class::SortedSet, event, key);
    } else if was_there {
        writes.note(Class::Generic, "del", key);
    }
    Ok(Reply::count(members.len() as u64))
}

fn count(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let (sources, end) = sources(reads.rows, request, 1, "zintercard")?;
    let mut limit = u64::MAX;
    let mut words = request.from(end);
    while let Some(word) = words.next() {
        let Some(most) = words.next().filter(|_| word.eq_ignore_ascii_case(b"limit")) else {
            return Err(Refusal::SYNTAX);
        };
        limit = among(most, 0.., "ERR LIMIT can't be negative")?.unsigned_abs();
    }
    let limit = if limit == 0 { u64::MAX } else { limit };
    let found = intersection(&sources, Aggregate::Sum, limit)?;
    Ok(Reply::count(found.len() as u64))
}
