//! Removals of whole ranges as they are logged and as they travel: without a list of what was in
//! them.

use syncline_crdt::{BulkRemoval, Canonical, Context, DecodeError, Delta, Dot, Input};
use syncline_merkle::KeyRange;

use crate::StoreError;
use crate::engine::Engine;
use crate::{Durability, Joined, Store};

/// The statement that of everything in `observed`, nothing lives in `range` any more: the removals
/// of `dots` took it away.
///
/// It stays true, whoever makes it and however late. `observed` is a filter for the rows of the
/// range and for nothing else: it must not be merged into anybody's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRemoval {
    /// The removals' own dots, all of one replica: one for each chunk.
    pub dots: Context,
    /// Which row keys.
    pub range: KeyRange,
    /// What the maker had observed when it began.
    pub observed: Context,
}

impl RangeRemoval {
    /// The first of its dots, by which it is filed. `None` for one that has no dot, or dots of
    /// several replicas, and so is none.
    pub(crate) fn first(&self) -> Option<Dot> {
        let mut replicas = self.dots.replicas();
        let (first, None) = (replicas.next()?, replicas.next()) else {
            return None;
        };
        let (counter, _) = self.dots.intervals_of(first).next()?;
        Some(Dot::new(first, counter))
    }

    /// Takes in the one that follows it, if that is by the same removal and goes on where this
    /// ends. `most` bounds the intervals of its dots.
    pub(crate) fn extend(&mut self, next: &Self, most: usize) -> bool {
        let mut dots = self.dots.clone();
        dots.merge(&next.dots);
        let adjoins = self.range.lower <= next.range.lower
            && (self.range.upper.as_ref()).is_none_or(|upper| next.range.lower <= *upper);
        let extends = adjoins
            && self.observed == next.observed
            && dots.interval_count() <= most
            && dots.replicas().nth(1).is_none();
        if extends {
            self.dots = dots;
            self.range.upper = match (self.range.upper.take(), next.range.upper.clone()) {
                (Some(ours), Some(theirs)) => Some(ours.max(theirs)),
                _ => None,
            };
        }
        extends
    }
}

/// The dots, the lower bound, the upper if there is one, what was observed.
impl Canonical for RangeRemoval {
    fn encode(&self, out: &mut Vec<u8>) {
        self.dots.encode(out);
        self.range.lower.encode(out);
        self.range.upper.encode(out);
        self.observed.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let removal = Self {
            dots: Context::decode(input)?,
            range: KeyRange {
                lower: Vec::decode(input)?,
                upper: Option::decode(input)?,
            },
            observed: Context::decode(input)?,
        };
        match removal.first() {
            Some(_) => Ok(removal),
            None => Err(DecodeError::Invalid(
                "a removal of a range that is not of one replica",
            )),
        }
    }
}

/// What one chunk of a removal of a range has done, for other replicas: a few hundred bytes, however
/// many rows it removed.
///
/// Like any delta it may be lost, doubled or come late. It is joined by
/// [`Store::join_range_delta`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeDelta {
    /// What was written in place of rows that must leave something behind, such as counters. Its
    /// context does not have the removal's own dot.
    pub rows: Delta,
    /// What was removed, under one dot.
    pub removal: RangeRemoval,
}

/// The version of the encoding.
const VERSION: u8 = 1;

/// A byte of version, the rows, the removal.
impl Canonical for RangeDelta {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.rows.encode(out);
        self.removal.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        if input.byte()? != VERSION {
            return Err(DecodeError::Invalid("a delta of an unknown version"));
        }
        Ok(Self {
            rows: Delta::decode(input)?,
            removal: RangeRemoval::decode(input)?,
        })
    }
}

impl<E: Engine> Store<E> {
    /// Joins what a chunk of another replica's removal of a range has done, in commits of at most
    /// `limit` rows: what it wrote, then, part by part, what it removed.
    ///
    /// The removal's own dot is added with the last part, and only if all that its maker had
    /// observed was known here before the first: what was not may still arrive and stay, until a
    /// session shows it dead. If the process ends in between, the next session does the rest.
    ///
    /// # Errors
    /// As [`join_delta`](Self::join_delta). What was committed before stays, and is sound.
    pub fn join_range_delta(
        &self,
        delta: &RangeDelta,
        limit: ChunkLimit,
        durability: Durability,
    ) -> Result<Joined, StoreError> {
        let removal = &delta.removal;
        let seen = self.view()?.context().clone();
        let covered = removal.dots.intervals().all(|(replica, _, last)| {
            let bulk = BulkRemoval {
                observed: removal.observed.clone(),
                dot: Dot::new(replica, last),
            };
            bulk.dot_to_add(&seen).is_some()
        });
        let mut joined = self.join_delta(&delta.rows, durability)?;
        let mut rest = Some(removal.range.clone());
        while let Some(range) = rest {
            let mut group = self.group()?;
            let dropped = group.drop_observed(&range, &removal.observed, limit)?;
            joined.changed += dropped.changed;
            joined.removed += dropped.removed;
            rest = dropped.rest;
            if rest.is_none() && covered {
                group.learn_range_removals(std::slice::from_ref(removal))?;
            }
            group.commit(durability)?;
        }
        Ok(joined)
    }
}

/// How much of a range one commit takes, so that memory and the commit stay small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimit {
    /// Rows looked at.
    pub rows: usize,
    /// Bytes of keys and values of these; the last row may go beyond.
    pub bytes: usize,
}

/// 4,096 rows, or 4 MiB.
impl Default for ChunkLimit {
    fn default() -> Self {
        Self {
            rows: 4096,
            bytes: 4 << 20,
        }
    }
}
