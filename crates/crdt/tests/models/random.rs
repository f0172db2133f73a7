//! Reproducible chance for the models: a seed is a bug report.

use std::fmt::Debug;

/// SplitMix64, after G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators" (2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`. The bias of the remainder is below 2^-50 for the bounds of a model.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of `low..=high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Two different ones of `0..bound`.
    pub(crate) fn pair(&mut self, bound: usize) -> (usize, usize) {
        let one = self.below(bound);
        (one, (one + 1 + self.below(bound - 1)) % bound)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// The seeds at which a model ended wrong.
pub(crate) struct Violations {
    seeds: Vec<u64>,
    runs: u64,
}

/// So many catches show that a wrong variant is caught by more than chance; a search for more would be idle.
const ENOUGH: usize = 11;

/// Runs a model from seeds 0, 1, ... until it was run so often or went wrong often enough.
pub(crate) fn violations(runs: u64, is_violated: impl Fn(u64) -> bool) -> Violations {
    let seeds = (0..runs).filter(|seed| is_violated(*seed));
    let seeds = seeds.take(ENOUGH).collect();
    Violations { seeds, runs }
}

impl Violations {
    /// What must hold for a right variant.
    #[track_caller]
    pub(crate) fn are_none(&self, variant: impl Debug) {
        assert_eq!(self.seeds, [], "seeds at which {variant:?} ends wrong");
    }

    /// What must hold for a wrong variant, or the model could not tell it from a right one.
    #[track_caller]
    pub(crate) fn are_many(&self, variant: impl Debug) {
        let (found, runs) = (self.seeds.len(), self.runs);
        assert!(
            found >= ENOUGH,
            "{variant:?} was caught only {found} times in {runs}"
        );
    }
}
