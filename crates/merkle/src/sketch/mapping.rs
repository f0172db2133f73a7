//! Which symbols an element is in.

use super::{Element, MAX_SYMBOLS};

/// The indices of an element's symbols, ascending, from 0 on: symbol *i* is one of them with
/// probability 1 / (1 + *i* / 2), independently of the others.
///
/// They are walked by jumps. Symbols *i* + 1 to *m* are all passed over with the probability of the
/// product of 1 - 2 / (2 + *j*) over these *j*, in which everything cancels but
/// (*i* + 1) / (*m* + 1) × (*i* + 2) / (*m* + 2): that is, if two random numbers lie below one of
/// these factors each. The next index is the first *m* at which one of them does not. All of it is
/// integer arithmetic, so that every machine jumps to the same places.
///
/// They order by the index that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Indices {
    next: u64,
    /// The state of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
    /// generators", OOPSLA 2014), seeded by the keyed hash.
    random: u64,
}

impl Indices {
    pub(super) const fn of(element: &Element) -> Self {
        Self {
            next: 0,
            random: element.hash(),
        }
    }

    /// The index that comes next.
    pub(super) const fn peek(&self) -> u64 {
        self.next
    }

    /// Takes the next index if it is below `end` and [`MAX_SYMBOLS`].
    pub(super) fn next_below(&mut self, end: usize) -> Option<usize> {
        let at = self.next;
        if at >= end.min(MAX_SYMBOLS) as u64 {
            return None;
        }
        let random = self.draw();
        let (low, high) = (random & u64::from(u32::MAX), random >> 32);
        // Below MAX_SYMBOLS these are of 48 bits, and the quotients at least at + 1 and at + 2.
        let first = ((at + 1) << 32) / (low + 1);
        let second = ((at + 2) << 32) / (high + 1);
        self.next = first.min(second - 1);
        Some(at as usize)
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::super::SketchKey;
    use super::*;

    /// Each index is as frequent as it should be, given that the one before was taken and given
    /// that it was not.
    #[test]
    fn indices_are_as_frequent_as_promised() {
        const ELEMENTS: u64 = 100_000;
        const INDICES: usize = 40;
        let key = SketchKey::derive(&[3; 32]);
        let (mut taken, mut after) = ([0u64; INDICES], [0u64; INDICES]);
        for number in 0..ELEMENTS {
            let mut indices = Indices::of(&key.element(1, number));
            let mut before = None;
            while let Some(at) = indices.next_below(INDICES) {
                assert!(before.is_none_or(|before| before < at));
                taken[at] += 1;
                after[at] += u64::from(before.is_some_and(|before| before + 1 == at));
                before = Some(at);
            }
        }
        assert_eq!(taken[0], ELEMENTS);
        for at in 1..INDICES {
            for (count, of) in [(taken[at], ELEMENTS), (after[at], taken[at - 1])] {
                let p = 2.0 / (at as f64 + 2.0);
                let (mean, deviation) = (of as f64 * p, (of as f64 * p * (1.0 - p)).sqrt());
                let off = (count as f64 - mean).abs() / deviation;
                assert!(off < 5.0, "{at}: {count} of {of}, {off} deviations off");
            }
        }
    }

    #[test]
    fn an_element_is_in_sixteen_of_the_first_4096() {
        let key = SketchKey::derive(&[3; 32]);
        let count = |number| {
            let mut indices = Indices::of(&key.element(1, number));
            core::iter::from_fn(|| indices.next_below(4096)).count()
        };
        let mean = (0..10_000).map(count).sum::<usize>() as f64 / 10_000.0;
        assert!((15.6..16.0).contains(&mean), "{mean}");
    }

    /// The extremes of chance neither stand still nor overflow.
    #[test]
    fn jumps_end() {
        for seed in 0..10_000u64 {
            let mut indices = Indices {
                next: seed % MAX_SYMBOLS as u64,
                random: seed.wrapping_mul(0x5851_f42d_4c95_7f2d),
            };
            let mut before = None;
            while let Some(at) = indices.next_below(usize::MAX) {
                assert!(before.is_none_or(|before| before < at) && at < MAX_SYMBOLS);
                before = Some(at);
            }
        }
    }
}
