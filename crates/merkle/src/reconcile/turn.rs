//! One side's turn: the peer's message is being answered.

use alloc::vec::Vec;

use super::backlog::{Backlog, Deferred};
use super::message::{Described, Malformed, Part, Place, write_part};
use super::salted::Salted;
use super::spoken::{Listed, Spoken};
use super::{Finding, Limits, Stats, WalkError};
use crate::{Cut, Item, ItemDigest, KeyRange, RangeDigest, Source};

/// What a digest of a range costs, counted in items read: a leaf at each end and a few nodes.
const DIGEST_READS: u64 = 32;

/// All that a turn works with.
pub(super) struct Turn<'w, S> {
    pub(super) salted: &'w Salted,
    pub(super) limits: &'w Limits,
    pub(super) source: Reads<'w, S>,
    pub(super) backlog: &'w mut Backlog,
    pub(super) stats: &'w mut Stats,
    pub(super) findings: Vec<Finding>,
    pub(super) reply: Reply,
}

/// A range known to differ, of which we owe the next statement.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// How the peer knows the range.
    pub(super) place: Place,
    pub(super) range: KeyRange,
    /// What we hold in it.
    pub(super) digest: RangeDigest,
    /// How many items the peer holds there, as far as that is known.
    pub(super) theirs: Option<u64>,
    /// Splitting at a level below this one makes sense.
    pub(super) below: u8,
    /// Differences expected per item.
    pub(super) density: f64,
}

impl Open {
    /// A range of which nothing is known but how many items the peer holds, and in which no common fence is
    /// left to split it at.
    pub(super) fn whole(
        place: Place,
        range: KeyRange,
        digest: RangeDigest,
        theirs: Option<u64>,
    ) -> Self {
        Self {
            place,
            range,
            digest,
            theirs,
            below: 1,
            density: 0.0,
        }
    }

    /// The same without a place: by its bounds.
    pub(super) fn by_bounds(mut self) -> Self {
        self.place = Place::Bounds(self.range.clone());
        self
    }

    /// The same for a later turn.
    pub(super) fn later(self) -> Deferred {
        let Self {
            range,
            theirs,
            below,
            density,
            ..
        } = self;
        Deferred {
            range,
            theirs,
            below,
            density,
        }
    }
}

impl<S: Source> Turn<'_, S> {
    /// Whether no further range should be opened in this turn.
    ///
    /// Asked before a part is made, not after, so a message may exceed its target by one part: none
    /// is larger than some 64 KiB and the keys that it names.
    pub(super) fn is_full(&self) -> bool {
        self.is_fuller_than(self.limits.message)
    }

    /// Whether not even what the peer said of a range should be answered. To answer is to end it,
    /// mostly, and to put it off means to say it all again; so answers may take as much again as
    /// openings.
    pub(super) fn is_overfull(&self) -> bool {
        self.is_fuller_than(2 * self.limits.message)
    }

    fn is_fuller_than(&self, bytes: usize) -> bool {
        self.reply.parts.len().max(self.reply.keys) >= bytes
            || self.reply.spoken.weight() >= self.limits.memory
            || self.source.spent >= self.limits.reads
    }

    /// Keeps a range back for a later turn.
    pub(super) fn defer(&mut self, deferred: Deferred) {
        self.stats.deferred += 1;
        self.stats.merged += self.backlog.push(deferred, self.limits.memory) as u64;
    }

    /// Makes a statement, and remembers what it lists.
    pub(super) fn say(&mut self, place: &Place, part: &Part<'_>, listed: Option<Listed>) {
        self.reply.keys += place.key_bytes() + part.key_bytes();
        write_part(&mut self.reply.parts, &mut self.reply.next, place, part);
        if let Some(listed) = listed {
            self.reply.spoken.list(listed);
        }
    }

    /// Gives up on a range: a fingerprint coincided, and nothing can be concluded.
    pub(super) fn leave_unsettled(&mut self) {
        self.stats.unsettled += 1;
    }

    /// A range's digest as it is sent.
    pub(super) fn seal(&self, range: &KeyRange, digest: &RangeDigest) -> u128 {
        self.salted.seal(range, digest.low())
    }

    /// The sum of the mixes of some items.
    pub(super) fn mix(&self, items: &[Item]) -> u64 {
        let mixes = items.iter().map(|item| self.salted.mix(low(&item.digest)));
        mixes.fold(0, u64::wrapping_add)
    }

    /// Items with what the peer's application is to know of them.
    pub(super) fn describe(
        &mut self,
        keys: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Vec<Described>, WalkError<S::Error>> {
        keys.into_iter()
            .map(|key| {
                let description = self.source.describe(&key)?;
                Ok((key, description))
            })
            .collect()
    }

    /// Reports what the peer told us: items of ours that it lacks, and items of its own that we
    /// lack.
    pub(super) fn found(&mut self, mine: Vec<Vec<u8>>, theirs: Vec<Described>) {
        match (mine.is_empty(), theirs.is_empty()) {
            (true, true) => {}
            (false, true) => self.findings.push(Finding::OnlyHere { keys: mine }),
            _ => self.findings.push(Finding::Differ { mine, theirs }),
        }
    }

    /// Refuses rows that the peer places outside the range that it speaks about.
    pub(super) fn check_inside(
        &self,
        range: &KeyRange,
        rows: &[Described],
    ) -> Result<(), WalkError<S::Error>> {
        let inside = rows.iter().all(|(key, _)| range.contains(key));
        if inside {
            Ok(())
        } else {
            Err(malformed("a row lies outside its range"))
        }
    }
}

/// The message in the making.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) parts: Vec<u8>,
    pub(super) spoken: Spoken,
    /// Bytes of the keys in it, before they were front-coded.
    keys: usize,
    /// Where the last listed place that it names ends.
    next: u64,
}

/// The source, with a count of what was read of it.
pub(super) struct Reads<'s, S> {
    source: &'s S,
    /// Items and nodes read.
    pub(super) spent: u64,
}

impl<'s, S: Source> Reads<'s, S> {
    pub(super) fn new(source: &'s S) -> Self {
        Self { source, spent: 0 }
    }

    pub(super) fn digest(&mut self, range: &KeyRange) -> Result<RangeDigest, WalkError<S::Error>> {
        self.spent += DIGEST_READS;
        self.source.digest(range).map_err(WalkError::Source)
    }

    pub(super) fn cut(
        &mut self,
        range: &KeyRange,
        level: u8,
        limit: usize,
    ) -> Result<Cut, WalkError<S::Error>> {
        let cut = self
            .source
            .cut(range, level, limit)
            .map_err(WalkError::Source)?;
        self.spent += 2 * DIGEST_READS + cut.nodes.len() as u64;
        Ok(cut)
    }

    pub(super) fn items(
        &mut self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Item>, WalkError<S::Error>> {
        let items = self.source.items(range, limit).map_err(WalkError::Source)?;
        self.spent += 1 + items.len() as u64;
        Ok(items)
    }

    fn describe(&mut self, key: &[u8]) -> Result<Vec<u8>, WalkError<S::Error>> {
        self.spent += 1;
        self.source.describe(key).map_err(WalkError::Source)
    }
}

/// The low half of an item's digest.
pub(super) fn low(item: &ItemDigest) -> u128 {
    RangeDigest::of(item).low()
}

pub(super) fn malformed<E>(reason: Malformed) -> WalkError<E> {
    WalkError::Malformed(reason)
}
