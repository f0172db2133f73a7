//! From the difference of two sketches to the elements that differ.

use alloc::collections::binary_heap::PeekMut;
use alloc::collections::{BTreeSet, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::mapping::Indices;
use super::{Element, MAX_SYMBOLS, SketchKey, Symbol};

/// Which of two sets holds an element that the other does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Side {
    /// The set whose symbols were subtracted.
    Ours,
    /// The set whose symbols they were subtracted from.
    Theirs,
}

/// How far a decoding has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// More symbols are needed.
    Incomplete,
    /// Every symbol has come to zero: what was found is all that differs.
    Complete,
    /// No symbols will help: as many as were allowed are here, or they contradict each other, by an
    /// accident of the checks or by a lie. What was found may be true, but it is not all.
    Failed,
}

/// Recovers the difference of two sets from the differences of their symbols, as these arrive.
///
/// Each element found is taken out of all symbols that sum it, those that are still to come
/// included; symbols are looked at when they change, and never searched. So 1,000 differences take
/// less than a millisecond, and a batch costs what it brings to light. Memory is bounded by the
/// number of symbols.
///
/// The [module](super) has an example.
#[derive(Debug)]
pub struct Decoder {
    key: SketchKey,
    max_symbols: usize,
    /// The differences, less what was found.
    symbols: Vec<Symbol>,
    found: Vec<(Side, Element)>,
    known: BTreeSet<Element>,
    /// The elements found, by where they continue in symbols that have not come yet.
    pending: BinaryHeap<Reverse<Pending>>,
    /// Indices of symbols that may have come down to one element.
    suspects: Vec<usize>,
    progress: Progress,
}

/// An element found that goes on beyond the symbols received.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    indices: Indices,
    /// Its place among those found.
    found: usize,
}

impl Decoder {
    /// A decoder of up to `max_symbols` symbols of sketches under this key; never more than
    /// [`MAX_SYMBOLS`].
    pub fn new(key: SketchKey, max_symbols: usize) -> Self {
        Self {
            key,
            max_symbols: max_symbols.min(MAX_SYMBOLS),
            symbols: Vec::new(),
            found: Vec::new(),
            known: BTreeSet::new(),
            pending: BinaryHeap::new(),
            suspects: Vec::new(),
            progress: Progress::Incomplete,
        }
    }

    /// Takes the next symbols, in order: each theirs less ours. Symbols over the bound are not
    /// taken.
    pub fn extend(&mut self, differences: impl IntoIterator<Item = Symbol>) -> Progress {
        let before = self.symbols.len();
        let room = self.max_symbols - before;
        self.symbols.extend(differences.into_iter().take(room));
        self.suspects.extend(before..self.symbols.len());
        self.take_out_pending();
        let contradicted = self.progress == Progress::Failed || !self.peel();
        self.progress = if contradicted {
            Progress::Failed
        } else if self.is_zero() {
            Progress::Complete
        } else if self.symbols.len() == self.max_symbols {
            Progress::Failed
        } else {
            Progress::Incomplete
        };
        self.progress
    }

    /// How far it has come.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// How many symbols were taken.
    pub const fn symbols(&self) -> usize {
        self.symbols.len()
    }

    /// What was found so far, in the order of finding: no element twice, and no more elements than
    /// symbols.
    pub fn found(&self) -> &[(Side, Element)] {
        &self.found
    }

    /// Takes elements found before out of symbols that have come since.
    fn take_out_pending(&mut self) {
        let end = self.symbols.len();
        while let Some(mut next) = self.pending.peek_mut() {
            let Reverse(Pending { indices, found }) = &mut *next;
            if indices.peek() >= end as u64 {
                return;
            }
            let (side, element) = &self.found[*found];
            while let Some(at) = indices.next_below(end) {
                self.symbols[at].add(element, side.opposite());
            }
            if indices.peek() >= self.max_symbols as u64 {
                PeekMut::pop(next);
            }
        }
    }

    /// Finds elements until no symbol is left that sums a single one. Returns whether there was no
    /// contradiction.
    fn peel(&mut self) -> bool {
        let mut indices_of = Vec::new();
        while let Some(at) = self.suspects.pop() {
            let Some((side, element)) = self.single(at) else {
                continue;
            };
            let mut indices = Indices::of(&element);
            indices_of.clear();
            indices_of.extend(core::iter::from_fn(|| {
                indices.next_below(self.symbols.len())
            }));
            // A sum of several that passes for one mostly does not lead to where it was found.
            if indices_of.binary_search(&at).is_err() {
                continue;
            }
            // Each finding settles a symbol for good, unless somebody made them up.
            if self.found.len() == self.symbols.len() || !self.known.insert(element) {
                return false;
            }
            for &at in &indices_of {
                self.symbols[at].add(&element, side.opposite());
                if self.symbols[at].count.unsigned_abs() == 1 {
                    self.suspects.push(at);
                }
            }
            if indices.peek() < self.max_symbols as u64 {
                let found = self.found.len();
                self.pending.push(Reverse(Pending { indices, found }));
            }
            self.found.push((side, element));
        }
        true
    }

    /// The element that a symbol sums, if it is a single one.
    fn single(&self, at: usize) -> Option<(Side, Element)> {
        let symbol = &self.symbols[at];
        let side = match symbol.count {
            1 => Side::Theirs,
            -1 => Side::Ours,
            _ => return None,
        };
        let element = self.key.element(symbol.tags, symbol.numbers);
        (element.check() == symbol.checks).then_some((side, element))
    }

    /// Whether there are symbols, and all of them are zero. The first sums everything, so that
    /// while anything is left no other is looked at.
    fn is_zero(&self) -> bool {
        !self.symbols.is_empty() && self.symbols.iter().all(Symbol::is_zero)
    }
}

impl Side {
    /// What takes an element of this side out of a difference.
    const fn opposite(self) -> i32 {
        match self {
            Self::Ours => 1,
            Self::Theirs => -1,
        }
    }
}
