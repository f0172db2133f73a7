//! What a side of a join has seen: the [`Seen`] trait.

use alloc::collections::BTreeSet;

use crate::dot::Dot;

/// A set of dots that can only be asked whether it holds one: all that a join needs of a context.
///
/// `&T` is as good as `T`, and a pair is the union of its parts, so that "our context and these dots" costs no copy.
pub trait Seen {
    /// Whether the dot was seen.
    fn contains(&self, dot: &Dot) -> bool;
}

impl<T: Seen + ?Sized> Seen for &T {
    fn contains(&self, dot: &Dot) -> bool {
        (**self).contains(dot)
    }
}

impl<A: Seen, B: Seen> Seen for (A, B) {
    fn contains(&self, dot: &Dot) -> bool {
        self.0.contains(dot) || self.1.contains(dot)
    }
}

impl Seen for BTreeSet<Dot> {
    fn contains(&self, dot: &Dot) -> bool {
        BTreeSet::contains(self, dot)
    }
}

/// Has seen every dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everything;

impl Seen for Everything {
    fn contains(&self, _: &Dot) -> bool {
        true
    }
}

/// Has seen no dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

impl Seen for Nothing {
    fn contains(&self, _: &Dot) -> bool {
        false
    }
}
