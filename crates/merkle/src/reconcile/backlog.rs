//! Ranges kept back for a later turn.

use alloc::vec::Vec;

use crate::KeyRange;

/// A range of which we owe the next statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deferred {
    pub(super) range: KeyRange,
    /// Splitting it at a level below this one makes sense; at 1, splitting was tried in vain.
    pub(super) below: u8,
    /// How many items the peer holds there, as far as that is known.
    pub(super) theirs: Option<u64>,
    /// Differences expected per item.
    pub(super) density: f64,
}

/// A stack of ranges: the last one in, which lies deepest, goes out first. So the stack grows only
/// while the walk descends, and the bound below is there for peers that mean harm.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    ranges: Vec<Deferred>,
    bytes: usize,
}

impl Backlog {
    /// Puts a range aside, in at most so many bytes of memory, or those of a single range. Returns
    /// how many ranges there are fewer because of that.
    pub(super) fn push(&mut self, deferred: Deferred, bytes: usize) -> usize {
        self.bytes += weight(&deferred);
        self.ranges.push(deferred);
        let before = self.ranges.len();
        while self.bytes > bytes && self.ranges.len() > 1 {
            self.merge_neighbours();
        }
        before - self.ranges.len()
    }

    pub(super) fn pop(&mut self) -> Option<Deferred> {
        let deferred = self.ranges.pop()?;
        self.bytes -= weight(&deferred);
        Some(deferred)
    }

    /// Bytes of memory that it takes, about.
    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Halves the number of ranges by taking neighbours together with what lies between them. That
    /// only means to look again at what was settled there: nothing is lost, and equal digests
    /// settle it again.
    fn merge_neighbours(&mut self) {
        self.ranges
            .sort_by(|a, b| a.range.lower.cmp(&b.range.lower));
        let mut merged: Vec<Deferred> = Vec::with_capacity(self.ranges.len().div_ceil(2));
        for pair in self.ranges.chunks(2) {
            let mut hull = pair[0].clone();
            if let [_, second] = pair {
                hull.range.upper = match (hull.range.upper, &second.range.upper) {
                    (Some(a), Some(b)) => Some(a.max(b.clone())),
                    _ => None,
                };
                hull.below = hull.below.max(second.below);
                hull.density = hull.density.max(second.density);
                hull.theirs = hull
                    .theirs
                    .zip(second.theirs)
                    .map(|(a, b)| a.saturating_add(b));
            }
            merged.push(hull);
        }
        self.bytes = merged.iter().map(weight).sum();
        self.ranges = merged;
    }
}

fn weight(deferred: &Deferred) -> usize {
    let upper = deferred.range.upper.as_ref().map_or(0, Vec::len);
    deferred.range.lower.len() + upper + size_of::<Deferred>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred(n: u32) -> Deferred {
        let range = KeyRange::new(n.to_be_bytes(), (n + 1).to_be_bytes().to_vec());
        Deferred {
            range,
            below: 1,
            theirs: Some(1),
            density: 0.0,
        }
    }

    #[test]
    fn the_last_in_is_the_first_out() {
        let mut backlog = Backlog::default();
        backlog.push(deferred(1), 1000);
        backlog.push(deferred(0), 1000);
        assert_eq!(backlog.pop(), Some(deferred(0)));
        assert_eq!(backlog.pop(), Some(deferred(1)));
        assert!(backlog.pop().is_none() && backlog.bytes == 0);
    }

    #[test]
    fn memory_does_not_grow_beyond_the_bound_and_nothing_is_dropped() {
        let mut backlog = Backlog::default();
        let put_aside: Vec<u32> = (0..20_000).rev().step_by(2).collect();
        for n in &put_aside {
            backlog.push(deferred(*n), 2000);
            assert!(backlog.bytes <= 2000);
            assert_eq!(
                backlog.bytes,
                backlog.ranges.iter().map(weight).sum::<usize>()
            );
        }
        let ranges: Vec<KeyRange> = core::iter::from_fn(|| backlog.pop())
            .map(|deferred| deferred.range)
            .collect();
        let covered = |n: &u32| ranges.iter().any(|range| range.contains(&n.to_be_bytes()));
        assert!(put_aside.iter().all(covered));
    }
}
