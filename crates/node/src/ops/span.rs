//! Which members of a sorted set are meant, and in which order.

use std::ops::{Bound, RangeBounds};

use syncline_crdt::{Family, RowKey, Score};
use syncline_merkle::{KeyRange, after};
use syncline_store::{Direction, read_score_entry};

use crate::error::Error;
use crate::rows::ReadRows;

/// Members of a sorted set: those within bounds, from one end of these, after so many, at most so many.
///
/// Members are in the order of their scores, and those of equal scores in bytewise order.
///
/// ```
/// use syncline::Span;
///
/// // The third to the fifth from the top.
/// let podium = Span::all().descending().skip(2).take(3);
/// // The first ten from 1 on, and below 2.
/// let ones = Span::by_score(1.0..2.0).take(10);
/// # let _ = (podium, ones);
/// ```
#[derive(Clone, Debug)]
pub struct Span {
    within: Within,
    pub(super) direction: Direction,
    pub(super) skip: u64,
    pub(super) take: u64,
}

#[derive(Clone, Debug)]
enum Within {
    All,
    Scores(Bound<f64>, Bound<f64>),
    Members(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl Span {
    /// All members.
    pub const fn all() -> Self {
        Self::of(Within::All)
    }

    /// The members with a score within the bounds.
    pub fn by_score(bounds: impl RangeBounds<f64>) -> Self {
        let (from, to) = (bounds.start_bound().cloned(), bounds.end_bound().cloned());
        Self::of(Within::Scores(from, to))
    }

    /// The members within the bounds bytewise, of those that have the least score of the set. It is meant for sets whose
    /// members all have the same.
    pub fn by_lex<M: AsRef<[u8]>>(bounds: impl RangeBounds<M>) -> Self {
        let owned = |bound: Bound<&M>| bound.map(|member| member.as_ref().to_vec());
        Self::of(Within::Members(
            owned(bounds.start_bound()),
            owned(bounds.end_bound()),
        ))
    }

    const fn of(within: Within) -> Self {
        Self {
            within,
            direction: Direction::Forward,
            skip: 0,
            take: u64::MAX,
        }
    }

    /// The same from the other end: greatest first, and with `skip` and `take` counted from there.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Without the first `n`. They are counted, not read.
    #[must_use]
    pub const fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// At most `n`.
    #[must_use]
    pub const fn take(mut self, n: u64) -> Self {
        self.take = n;
        self
    }

    /// The entries within the bounds, of the set under a key.
    pub(super) fn range<S: ReadRows + ?Sized>(
        &self,
        rows: &S,
        key: &[u8],
    ) -> Result<KeyRange, Error> {
        let prefix = RowKey::family_prefix(key, Family::SCORE);
        let all = KeyRange::prefix(&prefix);
        let place = |score: &f64| {
            let score = Score::new(*score).ok_or_else(|| Error::NotAScore { key: key.to_vec() })?;
            Ok::<_, Error>([&prefix[..], &score.to_bytes()].concat())
        };
        let (lower, upper) = match &self.within {
            Within::All => return Ok(all),
            Within::Scores(from, to) => (
                match from {
                    Bound::Unbounded => all.lower,
                    Bound::Included(score) => place(score)?,
                    Bound::Excluded(score) => behind(&place(score)?),
                },
                match to {
                    Bound::Unbounded => all.upper,
                    Bound::Included(score) => Some(behind(&place(score)?)),
                    Bound::Excluded(score) => Some(place(score)?),
                },
            ),
            Within::Members(from, to) => {
                let first = rows.entries(&all, Direction::Forward, 1)?;
                let least = first.first().and_then(|first| read_score_entry(first));
                let Some((least, _)) = least else {
                    return Ok(all);
                };
                let start = place(&least.get())?;
                let at = |member: &Vec<u8>| [&start[..], member].concat();
                (
                    match from {
                        Bound::Unbounded => start.clone(),
                        Bound::Included(member) => at(member),
                        Bound::Excluded(member) => after(&at(member)),
                    },
                    Some(match to {
                        Bound::Unbounded => behind(&start),
                        Bound::Included(member) => after(&at(member)),
                        Bound::Excluded(member) => at(member),
                    }),
                )
            }
        };
        Ok(KeyRange { lower, upper })
    }

    /// The entries of the span, and how many of them there may be at most: with what is skipped left out.
    pub(super) fn rest<S: ReadRows + ?Sized>(
        &self,
        rows: &S,
        key: &[u8],
    ) -> Result<(KeyRange, u64), Error> {
        let mut range = self.range(rows, key)?;
        if self.skip == 0 || self.take == 0 {
            return Ok((range, self.take));
        }
        let nothing = || (KeyRange::new(Vec::new(), Some(Vec::new())), 0);
        match self.direction {
            Direction::Forward => match rows.entry_at(&range, self.skip)? {
                Some(first) => range.lower = first,
                None => return Ok(nothing()),
            },
            Direction::Backward => {
                let count = rows.count_entries(&range)?;
                let Some(last) = count.checked_sub(self.skip).and_then(|n| n.checked_sub(1)) else {
                    return Ok(nothing());
                };
                match rows.entry_at(&range, last)? {
                    Some(first) => range.upper = Some(after(&first)),
                    None => return Ok(nothing()),
                }
            }
        }
        Ok((range, self.take))
    }
}

/// All members.
impl Default for Span {
    fn default() -> Self {
        Self::all()
    }
}

/// The least bytes behind all entries of a score.
fn behind(place: &[u8]) -> Vec<u8> {
    RowKey::successor(place).expect("what entries begin with is not all ff: it has a terminator")
}
