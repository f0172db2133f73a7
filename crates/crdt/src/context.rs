//! Everything a replica has seen: [`Context`], a set of dots as intervals.

use core::ops::Bound;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::dot::{Dot, ReplicaId};
use crate::seen::Seen;

/// A set of dots: for each replica, disjoint intervals of counters that never touch.
///
/// What a replica has seen of another one is mostly "all of it up to n", an interval that starts at 1, with a few
/// intervals above where rows arrived out of order. So a context weighs some 24 bytes for each replica id, not for each
/// write.
///
/// All of it is one ordered map from (replica, start) to end, which is also how a store persists it, one row for an
/// interval; the `_recording` methods say which of those rows they change.
///
/// ```
/// use syncline_crdt::{Context, Dot, ReplicaId, Seen};
///
/// let ada = ReplicaId::from_bytes([1; 16]);
/// let mut context = Context::new();
/// context.insert_range(ada, 1, 10);
/// context.insert(Dot::new(ada, 12));
/// assert_eq!((context.head(ada), context.interval_count()), (10, 2));
/// context.insert(Dot::new(ada, 11)); // fills the gap
/// assert_eq!((context.head(ada), context.interval_count()), (12, 1));
/// assert!(context.contains(&Dot::new(ada, 7)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// From the first dot of each interval to its last counter. Invariant: for one replica, `start <= end` and `end + 1
    /// < next start`; starts are at least 1.
    intervals: BTreeMap<Dot, u64>,
}

/// A change of one persisted interval, which is a row keyed by (replica, start). Apply them in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The interval that starts here now ends there; it may be new.
    Put {
        /// Whose counters.
        replica: ReplicaId,
        /// The first counter, the key with `replica`.
        start: u64,
        /// The last counter, inclusive.
        end: u64,
    },
    /// No interval starts here any more.
    Remove {
        /// Whose counters.
        replica: ReplicaId,
        /// The first counter of what was there.
        start: u64,
    },
}

impl Context {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            intervals: BTreeMap::new(),
        }
    }

    /// Whether the dot was seen. O(log n) in the intervals.
    #[must_use]
    pub fn contains(&self, dot: &Dot) -> bool {
        self.at_or_before(*dot)
            .is_some_and(|(_, end)| dot.counter <= end)
    }

    /// Adds a dot; returns whether it is new. A zero counter names nothing and is ignored.
    pub fn insert(&mut self, dot: Dot) -> bool {
        let new = dot.counter > 0 && !self.contains(&dot);
        if new {
            self.insert_each(dot.replica, dot.counter, dot.counter, &mut |_| {});
        }
        new
    }

    /// Adds the counters `start..=end` of a replica. An empty range adds nothing; a start of zero counts as 1.
    pub fn insert_range(&mut self, replica: ReplicaId, start: u64, end: u64) {
        self.insert_each(replica, start, end, &mut |_| {});
    }

    /// [`insert_range`](Self::insert_range) that appends the changed intervals to `edits`.
    pub fn insert_recording(
        &mut self,
        replica: ReplicaId,
        start: u64,
        end: u64,
        edits: &mut Vec<Edit>,
    ) {
        self.insert_each(replica, start, end, &mut |edit| edits.push(edit));
    }

    /// Takes a dot out and leaves a gap, as when a damaged row is withdrawn so that it will be fetched again. Returns
    /// whether it was there.
    pub fn remove(&mut self, dot: Dot) -> bool {
        self.remove_each(dot, &mut |_| {})
    }

    /// [`remove`](Self::remove) that appends the changed intervals to `edits`.
    pub fn remove_recording(&mut self, dot: Dot, edits: &mut Vec<Edit>) -> bool {
        self.remove_each(dot, &mut |edit| edits.push(edit))
    }

    /// Adds all that the other one has. O(m log n), m being the other one's intervals.
    pub fn merge(&mut self, other: &Self) {
        for (replica, start, end) in other.intervals() {
            self.insert_range(replica, start, end);
        }
    }

    /// [`merge`](Self::merge) that appends the changed intervals to `edits`.
    pub fn merge_recording(&mut self, other: &Self, edits: &mut Vec<Edit>) {
        for (replica, start, end) in other.intervals() {
            self.insert_recording(replica, start, end, edits);
        }
    }

    /// Whether all that the other one has is here too. O(m log n), m being the other one's intervals.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // Intervals never touch, so what covers an interval is a single one.
        other.intervals().all(|(replica, start, end)| {
            self.at_or_before(Dot::new(replica, start))
                .is_some_and(|(_, last)| end <= last)
        })
    }

    /// What is here and not in the other one. O(n log m), plus the other one's intervals in between.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = BTreeMap::new();
        for (replica, start, end) in self.intervals() {
            let mut from = start;
            for (their_start, their_end) in other.overlapping(replica, start, end) {
                if from < their_start {
                    left.insert(Dot::new(replica, from), their_start - 1);
                }
                match their_end.checked_add(1) {
                    Some(after) if after <= end => from = after,
                    _ => {
                        from = 0;
                        break;
                    }
                }
            }
            // Zero, which no interval starts at, says that the other one has all the rest.
            if from > 0 {
                left.insert(Dot::new(replica, from), end);
            }
        }
        Self { intervals: left }
    }

    /// What is in both. O(n log m + m log n) for n intervals here and m there.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.difference(&self.difference(other))
    }

    /// The part up to and including a dot in dot order: all of the replicas before it, and of its own the counters
    /// up to its own.
    #[must_use]
    pub fn up_to(&self, dot: Dot) -> Self {
        let intervals = self.intervals.range(..=dot).map(|(&first, &end)| {
            let clip = first.replica == dot.replica;
            (first, if clip { end.min(dot.counter) } else { end })
        });
        Self {
            intervals: intervals.collect(),
        }
    }

    /// The counter up to which everything of a replica was seen; 0 when its first is missing.
    #[must_use]
    pub fn head(&self, replica: ReplicaId) -> u64 {
        self.intervals
            .get(&Dot::new(replica, 1))
            .copied()
            .unwrap_or(0)
    }

    /// The dot after all that was seen of a replica: the name for its next mutation.
    ///
    /// At the end of the 64-bit range it repeats; a replica would have to make a mutation every nanosecond for
    /// centuries, or be lied about by a peer, which then has killed all its writes anyway.
    #[must_use]
    pub fn next_dot(&self, replica: ReplicaId) -> Dot {
        let last = self
            .at_or_before(Dot::new(replica, u64::MAX))
            .map_or(0, |(_, end)| end);
        Dot::new(replica, last.saturating_add(1))
    }

    /// All intervals as (replica, first counter, last counter), in dot order.
    pub fn intervals(
        &self,
    ) -> impl DoubleEndedIterator<Item = (ReplicaId, u64, u64)> + ExactSizeIterator + '_ {
        self.intervals
            .iter()
            .map(|(first, &end)| (first.replica, first.counter, end))
    }

    /// The intervals of one replica as (first counter, last counter), ascending.
    pub fn intervals_of(
        &self,
        replica: ReplicaId,
    ) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.intervals
            .range(Dot::new(replica, 0)..=Dot::new(replica, u64::MAX))
            .map(|(first, &end)| (first.counter, end))
    }

    /// The last counter of the interval that starts at this dot, if one does. O(log n) in the intervals.
    #[must_use]
    pub fn interval_from(&self, first: Dot) -> Option<u64> {
        self.intervals.get(&first).copied()
    }

    /// The replicas of which anything was seen, ascending. O(log n) for each.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let mut next = self.intervals.keys().next().map(|first| first.replica);
        core::iter::from_fn(move || {
            let replica = next?;
            let past = (
                Bound::Excluded(Dot::new(replica, u64::MAX)),
                Bound::Unbounded,
            );
            next = self
                .intervals
                .range(past)
                .next()
                .map(|(first, _)| first.replica);
            Some(replica)
        })
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The number of dots. O(n) in the intervals.
    #[must_use]
    pub fn len(&self) -> u128 {
        self.intervals()
            .map(|(_, start, end)| u128::from(end - start) + 1)
            .sum()
    }

    /// The number of intervals.
    #[must_use]
    pub fn interval_count(&self) -> usize {
        self.intervals.len()
    }

    /// The last interval of the dot's replica that starts at or before it.
    fn at_or_before(&self, dot: Dot) -> Option<(u64, u64)> {
        let (first, &end) = self.intervals.range(..=dot).next_back()?;
        (first.replica == dot.replica).then_some((first.counter, end))
    }

    /// The intervals of a replica that share a counter with `start..=end`, ascending.
    fn overlapping(
        &self,
        replica: ReplicaId,
        start: u64,
        end: u64,
    ) -> impl Iterator<Item = (u64, u64)> + '_ {
        let from = self
            .at_or_before(Dot::new(replica, start))
            .map_or(start, |(earlier, _)| earlier);
        self.intervals
            .range(Dot::new(replica, from)..=Dot::new(replica, end))
            .map(|(first, &last)| (first.counter, last))
            .filter(move |&(_, last)| start <= last)
    }

    fn insert_each(
        &mut self,
        replica: ReplicaId,
        start: u64,
        end: u64,
        record: &mut impl FnMut(Edit),
    ) {
        let mut start = start.max(1);
        let mut end = end;
        if end < start {
            return;
        }
        if let Some((earlier, earlier_end)) = self.at_or_before(Dot::new(replica, start)) {
            if end <= earlier_end {
                return;
            }
            // Overlaps or touches from below: extend it instead of starting another one.
            if start <= earlier_end.saturating_add(1) {
                start = earlier;
            }
        }
        // Swallow those above that overlap or touch.
        while let Some((above, above_end)) = self.next_within(replica, start, end.saturating_add(1))
        {
            self.intervals.remove(&Dot::new(replica, above));
            record(Edit::Remove {
                replica,
                start: above,
            });
            end = end.max(above_end);
        }
        self.intervals.insert(Dot::new(replica, start), end);
        record(Edit::Put {
            replica,
            start,
            end,
        });
    }

    /// The first interval that starts after `start` and at `last` at the latest.
    fn next_within(&self, replica: ReplicaId, start: u64, last: u64) -> Option<(u64, u64)> {
        let after = Bound::Excluded(Dot::new(replica, start));
        let within = (after, Bound::Included(Dot::new(replica, last)));
        if start >= last {
            return None;
        }
        let (first, &end) = self.intervals.range(within).next()?;
        Some((first.counter, end))
    }

    fn remove_each(&mut self, dot: Dot, record: &mut impl FnMut(Edit)) -> bool {
        let Dot { replica, counter } = dot;
        let Some((start, end)) = self.at_or_before(dot).filter(|&(_, end)| counter <= end) else {
            return false;
        };
        if start == counter {
            self.intervals.remove(&dot);
            record(Edit::Remove { replica, start });
        } else {
            self.intervals.insert(Dot::new(replica, start), counter - 1);
            record(Edit::Put {
                replica,
                start,
                end: counter - 1,
            });
        }
        if counter < end {
            let start = counter + 1;
            self.intervals.insert(Dot::new(replica, start), end);
            record(Edit::Put {
                replica,
                start,
                end,
            });
        }
        true
    }
}

impl Seen for Context {
    fn contains(&self, dot: &Dot) -> bool {
        Context::contains(self, dot)
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::new();
        context.extend(dots);
        context
    }
}

impl Extend<Dot> for Context {
    fn extend<I: IntoIterator<Item = Dot>>(&mut self, dots: I) {
        for dot in dots {
            self.insert(dot);
        }
    }
}

/// The number of replicas as a varint; for each, ascending: 16 bytes of id, the number of its intervals as a varint (at
/// least one), and for each interval two varints, the gap before it and its length.
///
/// The gap counts the unseen counters since the interval before, less the one that must be there (since counter 0 for
/// the first, of which none must); the length is the last counter less the first. So no two sequences of numbers say
/// the same.
impl Canonical for Context {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.replicas().count() as u64).encode(out);
        for replica in self.replicas() {
            replica.encode(out);
            (self.intervals_of(replica).count() as u64).encode(out);
            let mut least = 1;
            for (start, end) in self.intervals_of(replica) {
                (start - least).encode(out);
                (end - start).encode(out);
                // Saturates only past the last interval that can be.
                least = end.saturating_add(2);
            }
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        // An id, a count, one interval of two varints.
        const LEAST: usize = 16 + 1 + 2;
        let mut intervals = BTreeMap::new();
        let mut before: Option<ReplicaId> = None;
        for _ in 0..input.count(LEAST)? {
            let replica = ReplicaId::decode(input)?;
            if before.is_some_and(|before| before >= replica) {
                return Err(DecodeError::OutOfOrder);
            }
            before = Some(replica);
            let count = input.count(2)?;
            if count == 0 {
                return Err(DecodeError::Invalid("a replica without intervals"));
            }
            let mut least = Some(1u64);
            for _ in 0..count {
                let gap = u64::decode(input)?;
                let length = u64::decode(input)?;
                let start = least.and_then(|least| least.checked_add(gap));
                let start = start.ok_or(DecodeError::OutOfRange)?;
                let end = start.checked_add(length).ok_or(DecodeError::OutOfRange)?;
                intervals.insert(Dot::new(replica, start), end);
                least = end.checked_add(2);
            }
        }
        Ok(Self { intervals })
    }
}
