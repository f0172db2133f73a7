//! The symbols that a holder of a set keeps.

use alloc::vec;
use alloc::vec::Vec;

use super::mapping::Indices;
use super::{Element, MAX_SYMBOLS, Symbol};

/// The first symbols of a set's sketch, kept up to date as the set changes.
///
/// It does not know the set: inserting an element twice, or removing one that is not there, is
/// summed like anything else, and undone by its opposite.
///
/// ```
/// use syncline_merkle::sketch::{Prefix, SketchKey};
///
/// let key = SketchKey::derive(&[7; 32]);
/// let mut prefix = Prefix::new(4096);
/// prefix.insert(&key.element(1, 1));
/// prefix.insert(&key.element(1, 2));
/// prefix.remove(&key.element(1, 1));
///
/// let mut other = Prefix::new(4096);
/// other.insert(&key.element(1, 2));
/// assert_eq!(prefix, other, "what matters is the set, not how it came about");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    symbols: Vec<Symbol>,
}

impl Prefix {
    /// The first `symbols` symbols of the empty set, at most [`MAX_SYMBOLS`].
    pub fn new(symbols: usize) -> Self {
        Self {
            symbols: vec![Symbol::ZERO; symbols.min(MAX_SYMBOLS)],
        }
    }

    /// The prefix of these symbols, as read back from where they were stored. Those beyond
    /// [`MAX_SYMBOLS`] are left out.
    pub fn from_symbols(mut symbols: Vec<Symbol>) -> Self {
        symbols.truncate(MAX_SYMBOLS);
        Self { symbols }
    }

    /// The symbols, from index 0 on.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// Adds an element to the set: to some 2 ln *n* - 1 of *n* symbols, 16 of 4,096, in 0.1 to 0.2
    /// µs.
    pub fn insert(&mut self, element: &Element) {
        self.add(element, 1);
    }

    /// Takes an element out of the set, at the same cost.
    pub fn remove(&mut self, element: &Element) {
        self.add(element, -1);
    }

    fn add(&mut self, element: &Element, count: i32) {
        let mut indices = Indices::of(element);
        while let Some(at) = indices.next_below(self.symbols.len()) {
            self.symbols[at].add(element, count);
        }
    }
}
