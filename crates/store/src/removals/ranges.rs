//! Removals of whole ranges in the log.

use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Canonical, Context, Dot};

use crate::engine::{Batch, Direction, Engine, Snapshot, Table};
use crate::format::{self, LogState};
use crate::{RangeRemoval, StoreError, View};

/// How many intervals of dots one entry takes in: chunks between which others have written have
/// dots that do not touch.
const DOTS_MAX: usize = 64;

impl<E: Engine> View<E> {
    /// The removals of ranges in the log of which a dot is in `start` and not in `peer`: at most as
    /// many as take `max_bytes`, encoded. Those that were left out are the later ones in dot order.
    ///
    /// Costs a seek or two for each interval of the difference.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn range_removals_lacking(
        &self,
        peer: &Context,
        start: &Context,
        max_bytes: usize,
    ) -> Result<Vec<RangeRemoval>, StoreError> {
        let mut found: Vec<RangeRemoval> = Vec::new();
        let (mut room, mut is_full) = (max_bytes, false);
        for (replica, first, last) in start.difference(peer).intervals() {
            // The entry before may reach into the interval.
            let from = self.last_range_before(Dot::new(replica, first))?;
            let (lower, upper) = (
                format::range_key(from),
                format::range_key(Dot::new(replica, last)),
            );
            let bounds = (Bound::Included(&lower[..]), Bound::Included(&upper[..]));
            let visit = &mut |key: &[u8], value: &[u8]| {
                let Some((dot, removal)) = format::read_range(key, value) else {
                    return ControlFlow::Continue(());
                };
                let concerns = removal
                    .dots
                    .intervals_of(replica)
                    .any(|(from, to)| from <= last && first <= to);
                // One that two intervals lie in was found before.
                let is_new = found.last().and_then(RangeRemoval::first) < Some(dot);
                if concerns && is_new {
                    match room.checked_sub(value.len()) {
                        Some(left) => room = left,
                        None => {
                            is_full = true;
                            return ControlFlow::Break(());
                        }
                    }
                    found.push(removal);
                }
                ControlFlow::Continue(())
            };
            self.snapshot
                .visit(Table::Removals, bounds, Direction::Forward, visit)?;
            if is_full {
                break;
            }
        }
        Ok(found)
    }

    /// The first dot of the last entry that begins before a dot; the dot itself if there is none of
    /// its replica.
    fn last_range_before(&self, dot: Dot) -> Result<Dot, StoreError> {
        let (lower, upper) = (
            format::range_key(Dot::new(dot.replica, 0)),
            format::range_key(dot),
        );
        let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
        let mut before = dot;
        let visit = &mut |key: &[u8], value: &[u8]| match format::read_range(key, value) {
            Some((first, _)) => {
                before = first;
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        };
        self.snapshot
            .visit(Table::Removals, bounds, Direction::Backward, visit)?;
        Ok(before)
    }

    /// The removal of a range that is filed under a dot.
    pub(super) fn range_removed_by(&self, dot: Dot) -> Result<Option<RangeRemoval>, StoreError> {
        let key = format::range_key(dot);
        let value = self.snapshot.get(Table::Removals, &key)?;
        Ok(value
            .and_then(|value| format::read_range(&key, &value))
            .map(|(_, removal)| removal))
    }

    /// How many there are, what they take, and whether all of them can be read.
    pub(super) fn ranges_logged(&self) -> Result<(u64, u64, bool), StoreError> {
        let (mut count, mut bytes, mut readable) = (0, 0, true);
        let bounds = (Bound::Included(&[format::RANGES][..]), Bound::Unbounded);
        let visit = &mut |key: &[u8], value: &[u8]| {
            readable &= format::read_range(key, value).is_some();
            count += 1;
            bytes += (key.len() + value.len()) as u64;
            ControlFlow::Continue(())
        };
        self.snapshot
            .visit(Table::Removals, bounds, Direction::Forward, visit)?;
        Ok((count, bytes, readable))
    }
}

/// What an entry takes.
pub(super) fn taken_by(removal: &RangeRemoval) -> u64 {
    (25 + removal.to_bytes().len()) as u64
}

/// The entries that a group adds or makes longer.
#[derive(Default)]
pub(super) struct Written {
    /// By the first of their dots, which they are filed under, as they now are.
    entries: Vec<(Dot, RangeRemoval)>,
}

impl Written {
    /// Files a removal: as a part of the last entry of the log if it goes on with that, of the entry
    /// that has its first dot if it was known in part, or as a new one at the end of the log.
    ///
    /// Returns the dots whose removal is not in the log any more.
    pub(super) fn add<E: Engine>(
        &mut self,
        base: &View<E>,
        removal: &RangeRemoval,
        log: &mut LogState,
        batch: &mut Batch,
    ) -> Result<Context, StoreError> {
        let mut lost = Context::new();
        let Some(first) = removal.first() else {
            return Ok(removal.dots.clone());
        };
        let mut candidates = vec![first];
        candidates.extend(self.last_of(base, log)?);
        for at in candidates.into_iter().rev() {
            let Some(mut known) = self.known(base, at)? else {
                continue;
            };
            let before = taken_by(&known);
            if known.extend(removal, DOTS_MAX) {
                log.bytes = log.bytes.saturating_sub(before) + taken_by(&known);
                self.put(at, known, batch);
                return Ok(lost);
            }
            if at == first {
                // Somebody tells it in another way.
                lost = known.dots.difference(&removal.dots);
                log.bytes = log.bytes.saturating_sub(before) + taken_by(removal);
                self.put(first, removal.clone(), batch);
                return Ok(lost);
            }
        }
        let place = format::log_key(log.end);
        batch.put(Table::Removals, &place, &format::dot_key(first));
        log.end += 1;
        log.bytes += format::LOG_LEN + taken_by(removal);
        self.put(first, removal.clone(), batch);
        Ok(lost)
    }

    fn put(&mut self, first: Dot, removal: RangeRemoval, batch: &mut Batch) {
        let key = format::range_key(first);
        batch.put_with(Table::Removals, &key, |out| removal.encode(out));
        self.entries.retain(|(dot, _)| *dot != first);
        self.entries.push((first, removal));
    }

    /// The entry that is filed under a dot, as it now is.
    pub(super) fn known<E: Engine>(
        &self,
        base: &View<E>,
        at: Dot,
    ) -> Result<Option<RangeRemoval>, StoreError> {
        match self.entries.iter().find(|(dot, _)| *dot == at) {
            Some((_, removal)) => Ok(Some(removal.clone())),
            None => base.range_removed_by(at),
        }
    }

    /// What the last entry of the log is filed under, which may be this group's.
    fn last_of<E: Engine>(
        &self,
        base: &View<E>,
        log: &LogState,
    ) -> Result<Option<Dot>, StoreError> {
        if let Some((dot, _)) = self.entries.last() {
            return Ok(Some(*dot));
        }
        let mut last = None;
        if let Some(place) = log.end.checked_sub(1) {
            base.visit_log(place, |_, dot| {
                last = Some(dot);
                ControlFlow::Break(())
            })?;
        }
        Ok(last)
    }
}
