//! The least or the greatest members of sorted sets, taken out.

use bytes::Bytes;
use syncline::ops::{ReadRows, Scored, SortedSet};
use syncline::{Error, Span};

use super::pairs;
use crate::execute::Writes;
use crate::notes::Class;
use crate::number::among;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group, Keys};

const COST: &str =
    "O(N*log(M)) with M being the size of the sorted set and N the number of members taken out.";

pub(crate) const FAMILY: Family = Family {
    group: Group::SortedSet,
    commands: &[
        Command::write("zpopmin", -2, |writes, request| pop(writes, request, End::Least))
            .key()
            .fast()
            .docs(
                "5.0.0",
                COST,
                "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
            ),
        Command::write("zpopmax", -2, |writes, request| pop(writes, request, End::Greatest))
            .key()
            .fast()
            .docs(
                "5.0.0",
                COST,
                "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
            ),
        Command::write("zmpop", -4, |writes, request| {
            let popped = Wanted::read(request, 1)?.pop(writes)?;
            Ok(popped.map_or(Reply::NullArray, Popped::in_pairs))
        })
        .keys(Keys::Counted {
            at: 1,
            before: None,
        })
        .docs(
            "7.0.0",
            COST,
            "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.",
        ),
    ],
};

/// An end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Least,
    Greatest,
}

/// Takes at most so many members out of a sorted set.
fn take(
    writes: &mut Writes<'_, '_>,
    key: &[u8],
    end: End,
    count: u64,
) -> Result<Vec<Scored>, Refusal> {
    let span = Span::all().take(count);
    let (span, event) = match end {
        End::Least => (span, "zpopmin"),
        End::Greatest => (span.descending(), "zpopmax"),
    };
    let popped = writes.rows.sorted_set(key).pop(&span)?;
    if !popped.is_empty() {
        writes.note(Class::SortedSet, event, key);
        writes.note_if_gone(key)?;
    }
    Ok(popped)
}

fn pop(writes: &mut Writes<'_, '_>, request: &Request, end: End) -> Result<Reply, Refusal> {
    let count = match request.len() {
        2 => None,
        3 => {
            let refusal = "ERR value is out of range, must be positive";
            Some(among(request.get(2), 0.., refusal)?.unsigned_abs())
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let popped = take(writes, request.get(1), end, count.unwrap_or(1))?;
    Ok(match count {
        Some(_) => pairs(popped),
        None => flat(popped),
    })
}

/// Members and scores in turn, by either version of the protocol.
fn flat(members: Vec<Scored>) -> Reply {
    let both = |(member, score)| [Reply::bulk(member), Reply::double(score)];
    Reply::Array(members.into_iter().flat_map(both).collect())
}

/// What `ZMPOP` and the like are asked for: members of the first of these keys that has any.
pub(super) struct Wanted {
    pub(super) keys: Vec<Bytes>,
    pub(super) end: End,
    pub(super) count: u64,
}

/// What was taken out, and where.
pub(super) struct Popped {
    pub(super) key: Bytes,
    pub(super) members: Vec<Scored>,
}

impl Wanted {
    /// From the number of keys on, which is at `at`.
    pub(super) fn read(request: &Request, at: usize) -> Result<Self, Refusal> {
        let keys = among(request.get(at), 1.., "ERR numkeys should be greater than 0")?;
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        let first = at + 1;
        let behind = first.saturating_add(keys);
        if behind >= request.len() {
            return Err(Refusal::SYNTAX);
        }
        let end = match request.get(behind).to_ascii_lowercase().as_slice() {
            b"min" => End::Least,
            b"max" => End::Greatest,
            _ => return Err(Refusal::SYNTAX),
        };
        let count = match request.len() - behind {
            1 => 1,
            3 if request.get(behind + 1).eq_ignore_ascii_case(b"count") => {
                let refusal = "ERR count should be greater than 0";
                among(request.get(behind + 2), 1.., refusal)?.unsigned_abs()
            }
            _ => return Err(Refusal::SYNTAX),
        };
        let keys = request.from(first).take(keys);
        Ok(Self {
            keys: keys.map(Bytes::copy_from_slice).collect(),
            end,
            count,
        })
    }

    /// The first key that has members. Of those before it, none may be of another kind.
    pub(super) fn find(&self, rows: &(impl ReadRows + ?Sized)) -> Result<Option<&Bytes>, Error> {
        for key in &self.keys {
            if !SortedSet::of(rows, key).is_empty()? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    pub(super) fn pop(&self, writes: &mut Writes<'_, '_>) -> Result<Option<Popped>, Refusal> {
        match self.find(&*writes.rows)?.cloned() {
            Some(key) => self.pop_of(writes, key).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn pop_of(
        &self,
        writes: &mut Writes<'_, '_>,
        key: Bytes,
    ) -> Result<Popped, Refusal> {
        let members = take(writes, &key, self.end, self.count)?;
        Ok(Popped { key, members })
    }
}

impl Popped {
    /// The key, and pairs of members and scores.
    pub(super) fn in_pairs(self) -> Reply {
        let pair = |(member, score)| Reply::Array(vec![Reply::bulk(member), Reply::double(score)]);
        let members = self.members.into_iter().map(pair);
        Reply::Array(vec![Reply::Bulk(self.key), Reply::Array(members.collect())])
    }

    /// The key, the member and its score.
    pub(super) fn in_turn(self) -> Reply {
        let members = self.members.into_iter();
        let members =
            members.flat_map(|(member, score)| [Reply::bulk(member), Reply::double(score)]);
        Reply::Array(
            std::iter::once(Reply::Bulk(self.key))
                .chain(members)
                .collect(),
        )
    }
}
