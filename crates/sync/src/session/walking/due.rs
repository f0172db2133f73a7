//! Rows that wait to be looked at.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use syncline_crdt::{Canonical, Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_merkle::reconcile::Finding;

use crate::error::SessionError;

/// What an entry of a queue takes beside its key.
const ENTRY: usize = 64;

/// A finding, taken apart.
#[derive(Debug)]
pub(super) enum Found {
    /// The peer holds these dots at this key, and nothing if there are none.
    Row(RowKey, BTreeSet<Dot>),
    /// The peer holds nothing in this range.
    Empty(KeyRange),
}

/// Entries in the order in which they came up, each with the flight that it belongs to.
#[derive(Debug)]
pub(super) struct Due<T> {
    queue: VecDeque<(u32, T)>,
    bytes: usize,
}

/// What an entry takes in memory, about.
pub(super) trait Weigh {
    fn weight(&self) -> usize;
}

impl<T: Weigh> Due<T> {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn push(&mut self, flight: u32, entry: T) {
        self.bytes += entry.weight();
        self.queue.push_back((flight, entry));
    }

    /// Puts back what is left of the entry that was popped last.
    pub(super) fn put_back(&mut self, flight: u32, entry: T) {
        self.bytes += entry.weight();
        self.queue.push_front((flight, entry));
    }

    /// The flight of the next entry.
    pub(super) fn flight(&self) -> Option<u32> {
        self.queue.front().map(|(flight, _)| *flight)
    }

    /// The next entry, if it is of this flight.
    pub(super) fn pop(&mut self, flight: u32) -> Option<T> {
        if self.flight() != Some(flight) {
            return None;
        }
        let (_, entry) = self.queue.pop_front()?;
        self.bytes -= entry.weight();
        Some(entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What the entries take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Weigh for RowKey {
    fn weight(&self) -> usize {
        self.as_bytes().len() + ENTRY
    }
}

impl<T, U: Weigh> Weigh for (T, U) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

impl Weigh for Found {
    fn weight(&self) -> usize {
        match self {
            Self::Row(key, dots) => key.weight() + dots.len() * size_of::<Dot>(),
            Self::Empty(range) => ENTRY + range.lower.len(),
        }
    }
}

impl Due<Found> {
    /// Takes a finding of the walk. Keys and descriptions in it are the peer's and may be anything.
    pub(super) fn found(&mut self, flight: u32, finding: Finding) -> Result<(), SessionError> {
        match finding {
            Finding::PeerEmpty { range } => self.push(flight, Found::Empty(range)),
            Finding::OnlyHere { keys } => {
                for key in keys {
                    self.push(flight, Found::Row(row_key(key)?, BTreeSet::new()));
                }
            }
            Finding::Differ { mine, theirs } => {
                let mut rows = BTreeMap::new();
                for (key, description) in theirs {
                    rows.insert(row_key(key)?, dots(&description)?);
                }
                for key in mine {
                    rows.entry(row_key(key)?).or_default();
                }
                for (key, dots) in rows {
                    self.push(flight, Found::Row(key, dots));
                }
            }
        }
        Ok(())
    }
}

fn row_key(bytes: Vec<u8>) -> Result<RowKey, SessionError> {
    RowKey::from_bytes(bytes)
        .map_err(|_| SessionError::Malformed("its walk names what is no row key"))
}

/// Reads the description of a row: its live dots; no bytes at all for none.
fn dots(description: &[u8]) -> Result<BTreeSet<Dot>, SessionError> {
    if description.is_empty() {
        return Ok(BTreeSet::new());
    }
    BTreeSet::from_bytes(description)
        .map_err(|_| SessionError::Malformed("its walk describes a row by what is no list of dots"))
}
