//! The removal log: which removal took away which rows, so that a peer that missed it can be told
//! where to look.
//!
//! A removal leaves nothing behind that a peer's context could be held against: its dot is live
//! nowhere, and the dots that it dropped are just dead. The log remembers, for a while, the keys of
//! the rows. It is listed for a peer as additions are, by what the peer's context lacks.
//!
//! It is a *hint*, and nothing else may rest on it: joining a row again is always harmless, and a
//! row that it fails to name is found by the sketch or by the walk. It is bounded, and gives up the
//! oldest removals first. It knows of which dots removals may be *missing*, because they were given
//! up, or because they became known without their keys; who misses none of these is told all.
//!
//! A removal of a whole range is one entry, a [`RangeRemoval`](crate::RangeRemoval), however many
//! rows it took: [`View::removals_lacking`] does not name them, [`View::range_removals_lacking`] has
//! the range. What may be missing speaks of both.
//!
//! Sessions hand it on: what a peer's log names is logged here as well, under the removals' own
//! dots, and what is told in full is missing no longer.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Context, Dot, RowKey};

use crate::engine::{Bounds, Direction, Engine, Snapshot, Table};
use crate::{StoreError, View, format};

mod forget;
mod missing;
mod ranges;
mod upkeep;

pub(crate) use forget::forget;
pub(crate) use missing::{all_up_to_the_last_of, read_floors, read_missing, rewrite_missing};
pub(crate) use upkeep::{NewRemovals, Told, write};

/// How much a store remembers of its removals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalLogBounds {
    /// How many removals. One may have removed any number of rows.
    pub removals: u64,
    /// How many bytes of keys and values. A removal of one row takes 58 beside its key.
    pub bytes: u64,
}

/// A million removals, or 64 MiB.
impl Default for RemovalLogBounds {
    fn default() -> Self {
        Self {
            removals: 1_000_000,
            bytes: 64 << 20,
        }
    }
}

/// What a removal log holds: an answer of [`View::removal_log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemovalLogSize {
    /// Removals. One may have removed any number of rows.
    pub removals: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// A removal, and one row that it removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    /// The removal's own dot.
    pub dot: Dot,
    /// The row's key. There may be a row again.
    pub key: RowKey,
}

/// Removals that a peer has not seen: an answer of [`View::removals_lacking`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// In the order of their dots, then keys.
    pub removals: Vec<Removal>,
    /// All removals of the log that were asked for, up to and including those of this dot, are in
    /// this answer or in those before. `None` until there was one.
    pub frontier: Option<Dot>,
    /// Whether the log has no more.
    pub complete: bool,
}

impl<E: Engine> View<E> {
    /// How much the log holds. O(1).
    pub fn removal_log(&self) -> RemovalLogSize {
        let log = self.head.state.log;
        RemovalLogSize {
            removals: log.end.saturating_sub(log.start),
            bytes: log.bytes,
        }
    }

    /// The removals in the log whose dots are in `start` and not in `peer`, in dot order, from the
    /// dot after `after` on.
    ///
    /// `start` is our context as of the session's beginning, `peer` the other's as of theirs. Ends
    /// as soon as the keys take `max_bytes`, but never within what one dot removed, nor without
    /// anything while there is something. Rows that went with a whole range are not named: see
    /// [`range_removals_lacking`](Self::range_removals_lacking). Continue with `after` set to the frontier, on this view
    /// or a later one. Whether it is all that the peer missed,
    /// [`removals_cover`](Self::removals_cover) says.
    ///
    /// Costs a seek for each interval of the difference; the size of the log does not matter.
    ///
    /// ```
    /// use syncline_crdt::{Context, RowKey};
    /// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
    ///
    /// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// let name = RowKey::cell(b"name");
    /// store.transact(Durability::Durable, |txn| txn.put(&name, b"Ada".to_vec()))?;
    /// let peer = store.view()?.context().clone();
    /// store.transact(Durability::Durable, |txn| txn.remove(&name))?;
    ///
    /// let view = store.view()?;
    /// let start = view.context();
    /// let lacking = view.removals_lacking(&peer, start, None, 1 << 20)?;
    /// assert!(lacking.complete && view.removals_cover(&peer, start));
    /// assert_eq!(lacking.removals[0].key, name);
    /// assert!(view.removals_lacking(start, start, None, 1 << 20)?.removals.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn removals_lacking(
        &self,
        peer: &Context,
        start: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Removals, StoreError> {
        let mut found = Removals {
            frontier: after,
            ..Removals::default()
        };
        let mut room = max_bytes.max(1);
        for (replica, first, last) in start.difference(peer).intervals() {
            let (mut first, last) = (Dot::new(replica, first), Dot::new(replica, last));
            match after {
                Some(after) if after >= last => continue,
                Some(after) if after >= first => first.counter = after.counter + 1,
                _ => {}
            }
            let (lower, upper) = (format::removal_key(first, b""), after_removals_of(last));
            let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
            let is_full = self.visit_removals(bounds, |removal| {
                if room == 0 && found.frontier != Some(removal.dot) {
                    return ControlFlow::Break(());
                }
                room = room.saturating_sub(removal.key.as_bytes().len());
                found.frontier = Some(removal.dot);
                found.removals.push(removal);
                ControlFlow::Continue(())
            })?;
            if is_full {
                return Ok(found);
            }
        }
        found.complete = true;
        Ok(found)
    }

    /// Whether the log names every row, or the range it was in, that was removed by a dot which is in
    /// `start` and not in `peer`. As all of the log, this is a hint: where it errs, roots will differ.
    ///
    /// That a peer's context has a removal's dot does not say that the removal has reached its rows:
    /// a session that was broken off may have merged the one and not have found the others.
    ///
    /// O(n log m) in the intervals of what the peer has not seen, and of what is missing.
    pub fn removals_cover(&self, peer: &Context, start: &Context) -> bool {
        let asked = start.difference(peer);
        asked.intersection(&self.head.missing).is_empty()
    }

    /// The dots whose removals may be missing from the log. Some may be no removal's.
    pub fn removals_missing(&self) -> &Context {
        &self.head.missing
    }

    /// Shows removals to `visitor` until it breaks off; returns whether it did.
    fn visit_removals(
        &self,
        bounds: Bounds<'_>,
        mut visitor: impl FnMut(Removal) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let mut flow = ControlFlow::Continue(());
        self.snapshot.visit(
            Table::Removals,
            bounds,
            Direction::Forward,
            &mut |key, _| {
                flow = format::read_removal(key).map_or(flow, &mut visitor);
                flow
            },
        )?;
        Ok(flow.is_break())
    }

    /// Shows removals in the order in which they were logged, from a place on, to `visitor` until
    /// it breaks off.
    fn visit_log(
        &self,
        from: u64,
        mut visitor: impl FnMut(u64, Dot) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (first, end) = (format::log_key(from), format::log_key(u64::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&end[..]));
        let visit = &mut |key: &[u8], dot: &[u8]| match format::read_log(key, dot) {
            Some((place, dot)) => visitor(place, dot),
            None => ControlFlow::Continue(()),
        };
        Ok(self
            .snapshot
            .visit(Table::Removals, bounds, Direction::Forward, visit)?)
    }

    /// Whether the log holds as much as it is said to, each removal in it has a place, and each
    /// place a removal.
    pub(crate) fn removal_log_is_sound(&self) -> Result<bool, StoreError> {
        let log = self.head.state.log;
        let (mut is_sound, mut bytes, mut removals, mut last) = (true, 0, 0, None);
        let (first, end) = ([format::REMOVED], [format::LOGGED]);
        let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        let removed = &mut |key: &[u8], _: &[u8]| {
            bytes += key.len() as u64;
            let dot = format::read_removal(key).map(|removal| removal.dot);
            is_sound &= dot.is_some();
            removals += u64::from(last != dot);
            last = dot;
            ControlFlow::Continue(())
        };
        let direction = Direction::Forward;
        self.snapshot
            .visit(Table::Removals, bounds, direction, removed)?;
        let (ranges, range_bytes, readable) = self.ranges_logged()?;
        is_sound &= readable;
        bytes += range_bytes;
        removals += ranges;
        let mut places = log.start..log.end;
        let mut outcome = Ok(());
        self.visit_log(0, |place, dot| {
            is_sound &= places.next() == Some(place);
            bytes += format::LOG_LEN;
            match (self.removed_by(dot), self.range_removed_by(dot)) {
                (Ok(keys), Ok(range)) => is_sound &= keys.is_empty() == range.is_some(),
                (Err(error), _) | (_, Err(error)) => outcome = Err(error),
            }
            ControlFlow::Continue(())
        })?;
        outcome?;
        is_sound &= read_missing(&self.snapshot)?.as_ref() == Some(self.removals_missing());
        Ok(is_sound && places.is_empty() && removals == log.end - log.start && bytes == log.bytes)
    }

    /// The rows that the log has under a dot.
    fn removed_by(&self, dot: Dot) -> Result<BTreeSet<RowKey>, StoreError> {
        let (lower, upper) = (format::removal_key(dot, b""), after_removals_of(dot));
        let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
        let mut keys = BTreeSet::new();
        self.visit_removals(bounds, |removal| {
            keys.insert(removal.key);
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }
}

/// What follows all removals of a dot.
fn after_removals_of(dot: Dot) -> Vec<u8> {
    let mut key = format::removal_key(dot, b"");
    // The first byte is not the greatest, so this ends.
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    key
}
