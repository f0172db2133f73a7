//! One sum over a part of a set.

use core::ops::{Sub, SubAssign};

use super::Element;

/// A part of a set, summed: an element that occurs in no other symbol's part cannot be told from
/// it, but what two sets have in common cancels out.
///
/// Symbols of one index subtract: the difference is the symbol of what is in the first set, less
/// what is in the second. Everything wraps, so that nothing a peer says overflows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Symbol {
    pub(super) tags: u64,
    pub(super) numbers: u64,
    pub(super) checks: u32,
    /// Modulo 2³²: differences of sets may be smaller than the sets.
    pub(super) count: i32,
}

impl Symbol {
    /// The symbol of nothing.
    pub const ZERO: Self = Self {
        tags: 0,
        numbers: 0,
        checks: 0,
        count: 0,
    };

    /// Whether this is the symbol of nothing.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Adds an element `count` times, which is 1 or -1: but for the count, the same.
    pub(super) fn add(&mut self, element: &Element, count: i32) {
        self.tags ^= element.tag();
        self.numbers ^= element.number();
        self.checks ^= element.check();
        self.count = self.count.wrapping_add(count);
    }
}

impl SubAssign for Symbol {
    fn sub_assign(&mut self, other: Self) {
        self.tags ^= other.tags;
        self.numbers ^= other.numbers;
        self.checks ^= other.checks;
        self.count = self.count.wrapping_sub(other.count);
    }
}

impl Sub for Symbol {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}
