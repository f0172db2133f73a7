//! Members of a sorted set between two places, scores or names: read, counted, stored and removed.

use std::ops::Bound;

use syncline::Span;
use syncline::ops::{Scored, SortedSet};

use super::{algebra, of, pairs};
use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::number::required;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Flags, Group, Keys};

const COST: &str = "O(log(M)+N) with M being the size of the sorted set and N the number of members returned. What LIMIT passes is not read.";
const COUNT_COST: &str = "O(log(M)) where M is the size of the sorted set.";
const REMOVAL_COST: &str =
    "O(N*log(M)) with M being the size of the sorted set and N the number of members removed.";

pub(crate) const FAMILY: Family = Family {
    group: Group::SortedSet,
    commands: &[
        Command::read("zrange", -4, |reads, request| {
            range(reads, request, None, None)
        })
        .key()
        .slow()
        .docs(
            "1.2.0",
            COST,
            "Returns members in a sorted set within a range of indexes.",
        ),
        Command::read("zrevrange", -4, |reads, request| {
            range(reads, request, Some(By::Rank), Some(true))
        })
        .key()
        .slow()
        .docs(
            "1.2.0",
            COST,
            "Returns members in a sorted set within a range of indexes in reverse order.",
        ),
        Command::read("zrangebyscore", -4, |reads, request| {
            range(reads, request, Some(By::Score), Some(false))
        })
        .key()
        .slow()
        .docs(
            "1.0.5",
            COST,
            "Returns members in a sorted set within a range of scores.",
        ),
        Command::read("zrevrangebyscore", -4, |reads, request| {
            range(reads, request, Some(By::Score), Some(true))
        })
        .key()
        .slow()
        .docs(
            "2.2.0",
            COST,
            "Returns members in a sorted set within a range of scores in reverse order.",
        ),
        Command::read("zrangebylex", -4, |reads, request| {
            range(reads, request, Some(By::Lex), Some(false))
        })
        .key()
        .slow()
        .docs(
            "2.8.9",
            COST,
            "Returns members in a sorted set within a lexicographical range.",
        ),
        Command::read("zrevrangebylex", -4, |reads, request| {
            range(reads, request, Some(By::Lex), Some(true))
        })
        .key()
        .slow()
        .docs(
            "2.8.9",
            COST,
            "Returns members in a sorted set within a lexicographical range in reverse order.",
        ),
        Command::write("zrangestore", -5, store)
            .keys(Keys::Range {
                first: 1,
                last: 2,
                step: 1,
            })
            .flags(Flags::DENYOOM)
            .docs(
                "6.2.0",
                "O(log(M)+N*log(N)) with M being the size of the sorted set and N the number of members stored.",
                "Stores a range of members from sorted set in a key.",
            ),
        Command::read("zcount", 4, |reads, request| {
            count(reads, request, By::Score)
        })
        .key()
        .fast()
        .docs(
            "2.0.0",
            COUNT_COST,
            "Returns the count of members in a sorted set that have scores within a range.",
        ),
        Command::read("zlexcount", 4, |reads, request| {
            count(reads, request, By::Lex)
        })
        .key()
        .fast()
        .docs(
            "2.8.9",
            COUNT_COST,
            "Returns the number of members in a sorted set within a lexicographical range.",
        ),
        Command::write("zremrangebyrank", 4, |writes, request| {
            remove(writes, request, By::Rank, "zremrangebyrank")
        })
        .key()
        .docs(
            "2.0.0",
            REMOVAL_COST,
            "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
        ),
        Command::write("zremrangebyscore", 4, |writes, request| {
            remove(writes, request, By::Score, "zremrangebyscore")
        })
        .key()
        .docs(
            "1.2.0",
            REMOVAL_COST,
            "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
        ),
        Command::write("zremrangebylex", 4, |writes, request| {
            remove(writes, request, By::Lex, "zremrangebylex")
        })
        .key()
        .docs(
            "2.8.9",
            REMOVAL_COST,
            "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
        ),
    ],
};

/// What the bounds of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The bounds of a range.
enum Bounds {
    /// Places, counted from the end where negative.
    Ranks(i64, i64),
    /// Others; `None` where nothing can be within.
    Other(Option<Span>),
}

impl Bounds {
    fn read(by: By, from: &[u8], to: &[u8]) -> Result<Self, Refusal> {
        Ok(match by {
            By::Rank => Self::Ranks(required(from)?, required(to)?),
            By::Score => {
                const REFUSAL: Refusal = Refusal::said("ERR min or max is not a float");
                let (from, to) = (score(from).ok_or(REFUSAL)?, score(to).ok_or(REFUSAL)?);
                Self::Other(ascend(&from, &to).then(|| Span::by_score((from, to))))
            }
            By::Lex => {
                const REFUSAL: Refusal =
                    Refusal::said("ERR min or max not valid string range item");
                let (from, to) = (end(from).ok_or(REFUSAL)?, end(to).ok_or(REFUSAL)?);
                Self::Other(match (from, to) {
                    (End::Greatest, _) | (_, End::Least) => None,
                    (from, to) => {
                        let (from, to) = (from.bound(), to.bound());
                        ascend(&from, &to).then(|| Span::by_lex((from, to)))
                    }
                })
            }
        })
    }

    /// The span in a set of so many; `None` where nothing can be within.
    fn span(self, size: impl FnOnce() -> Result<u64, Refusal>) -> Result<Option<Span>, Refusal> {
        let (from, to) = match self {
            Self::Ranks(from, to) => (from, to),
            Self::Other(span) => return Ok(span),
        };
        let size = i64::try_from(size()?).unwrap_or(i64::MAX);
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (from, to) = (place(from).max(0), place(to).min(size - 1));
        if from > to {
            return Ok(None);
        }
        let (skip, take) = (from.unsigned_abs(), (to - from).unsigned_abs() + 1);
        Ok(Some(Span::all().skip(skip).take(take)))
    }
}

/// Whether anything can be between two bounds.
fn ascend<T: PartialOrd>(from: &Bound<T>, to: &Bound<T>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(from), Bound::Included(to)) => from <= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from < to,
    }
}

/// A score, without itself after a parenthesis. Unlike elsewhere, what is too large is an infinity.
fn score(text: &[u8]) -> Option<Bound<f64>> {
    let number = |text: &[u8]| {
        let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (!number.is_nan()).then_some(number)
    };
    match text {
        [b'(', rest @ ..] => number(rest).map(Bound::Excluded),
        text => number(text).map(Bound::Included),
    }
}

/// An end of a range of names.
enum End {
    Least,
    Greatest,
    At(Bound<Vec<u8>>),
}

impl End {
    fn bound(self) -> Bound<Vec<u8>> {
        match self {
            Self::Least | Self::Greatest => Bound::Unbounded,
            Self::At(bound) => bound,
        }
    }
}

fn end(text: &[u8]) -> Option<End> {
    Some(match text {
        b"-" => End::Least,
        b"+" => End::Greatest,
        [b'[', rest @ ..] => End::At(Bound::Included(rest.to_vec())),
        [b'(', rest @ ..] => End::At(Bound::Excluded(rest.to_vec())),
        _ => return None,
    })
}

/// A range as it is asked for.
struct Asked {
    bounds: Bounds,
    is_reverse: bool,
    with_scores: bool,
    /// How many are passed, and how many are taken at most; all where negative.
    limit: Option<(i64, i64)>,
    by: By,
}

impl Asked {
    /// The bounds at `at` and behind it, and the words after them. What the command says already cannot be said again.
    fn read(
        request: &Request,
        at: usize,
        by: Option<By>,
        is_reverse: Option<bool>,
        is_stored: bool,
    ) -> Result<Self, Refusal> {
        let (mut said_by, mut said_reverse) = (by, is_reverse);
        let (mut with_scores, mut limit) = (false, None);
        let mut word = at + 2;
        while word < request.len() {
            match request.get(word).to_ascii_lowercase().as_slice() {
                b"withscores" if !is_stored => with_scores = true,
                b"limit" if word + 2 < request.len() => {
                    let numbers = (request.get(word + 1), request.get(word + 2));
                    limit = Some((required(numbers.0)?, required(numbers.1)?));
                    word += 2;
                }
                b"rev" if said_reverse.is_none() => said_reverse = Some(true),
                b"bylex" if said_by.is_none() => said_by = Some(By::Lex),
                b"byscore" if said_by.is_none() => said_by = Some(By::Score),
                _ => return Err(Refusal::SYNTAX),
            }
            word += 1;
        }
        let by = said_by.unwrap_or(By::Rank);
        let is_reverse = said_reverse.unwrap_or(false);
        // Taken for no limit at all.
        let limit = limit.filter(|(_, most)| *most != -1 || by != By::Rank);
        if by == By::Rank && limit.is_some() {
            return Err(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
                    .into(),
            );
        }
        if by == By::Lex && with_scores {
            return Err(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX".into(),
            );
        }
        let (first, second) = (request.get(at), request.get(at + 1));
        let bounds = match is_reverse && by != By::Rank {
            true => Bounds::read(by, second, first)?,
            false => Bounds::read(by, first, second)?,
        };
        Ok(Self {
            bounds,
            is_reverse,
            with_scores,
            limit,
            by,
        })
    }

    fn span(self, size: impl FnOnce() -> Result<u64, Refusal>) -> Result<Option<Span>, Refusal> {
        let Some(mut span) = self.bounds.span(size)? else {
            return Ok(None);
        };
        if self.is_reverse {
            span = span.descending();
        }
        if let Some((offset, most)) = self.limit.filter(|_| self.by != By::Rank) {
            let Ok(offset) = u64::try_from(offset) else {
                return Ok(None);
            };
            span = span
                .skip(offset)
                .take(u64::try_from(most).unwrap_or(u64::MAX));
        }
        Ok(Some(span))
    }
}

/// The members of a span, if there is one.
fn members<R: syncline::ops::ReadRows>(
    set: &SortedSet<R>,
    asked: Asked,
) -> Result<Vec<Scored>, Refusal> {
    // What the key holds is held against the command in any case.
    if set.is_empty()? {
        return Ok(Vec::new());
    }
    let Some(span) = asked.span(|| Ok(set.len()?))? else {
        return Ok(Vec::new());
    };
    Ok(set.range_of(&span)?.collect::<Result<_, _>>()?)
}

fn range(
    reads: &Reads<'_>,
    request: &Request,
    by: Option<By>,
    is_reverse: Option<bool>,
) -> Result<Reply, Refusal> {
    let asked = Asked::read(request, 2, by, is_reverse, false)?;
    let with_scores = asked.with_scores;
    let found = members(&of(reads, request), asked)?;
    Ok(match with_scores {
        true => pairs(found),
        false => Reply::bulks(found.into_iter().map(|(member, _)| member)),
    })
}

fn store(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let asked = Asked::read(request, 3, None, None, true)?;
    let found = members(&SortedSet::of(&*writes.rows, request.get(2)), asked)?;
    algebra::store(writes, request.get(1), &found, "zrangestore")
}

fn count(reads: &Reads<'_>, request: &Request, by: By) -> Result<Reply, Refusal> {
    let bounds = Bounds::read(by, request.get(2), request.get(3))?;
    let set = of(reads, request);
    if set.is_empty()? {
        return Ok(Reply::Integer(0));
    }
    let span = bounds.span(|| Ok(set.len()?))?;
    let count = span.map_or(Ok(0), |span| set.count(&span))?;
    Ok(Reply::count(count))
}

fn remove(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    by: By,
    event: &'static str,
) -> Result<Reply, Refusal> {
    let bounds = Bounds::read(by, request.get(2), request.get(3))?;
    let key = request.get(1);
    let mut set = writes.rows.sorted_set(key);
    if set.is_empty()? {
        return Ok(Reply::Integer(0));
    }
    let span = bounds.span(|| Ok(set.len()?))?;
    let removed = span.map_or(Ok(0), |span| set.remove_range(&span))?;
    if removed > 0 {
        writes.note(Class::SortedSet, event, key);
        writes.note_if_gone(key)?;
    }
    Ok(Reply::count(removed))
}
