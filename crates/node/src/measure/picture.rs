//! In which parts of the key range a session exchanges rows.
//!
//! What differs is what is exchanged, and a session tells both ways of each row. The parts are those of our own digest tree at the moment of the
//! first row; a session in which nothing differs costs nothing here.

use std::sync::OnceLock;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{Store, StoreError};

use super::Count;
use crate::engine::AnyEngine;
use crate::parts::{self, Part};

/// Parts of a picture at most.
const PARTS: usize = 64;
/// Bytes of a bound that are kept: a key may have 64 KiB.
const BOUND: usize = 64;

/// What a session exchanges, as it goes.
#[derive(Debug, Default)]
pub(crate) struct Picture(OnceLock<Vec<Tally>>);

/// What was exchanged in a part.
#[derive(Debug)]
struct Tally {
    /// The row key at which it begins, cut short.
    lower: Vec<u8>,
    /// The user key at which it begins, cut short.
    key: Vec<u8>,
    rows: u64,
    sent: Count,
    received: Count,
}

/// What a session has exchanged in a part of the key range.
#[cfg(feature = "net")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchanged {
    /// The key at which it begins, its first 64 bytes; it ends where the next part begins.
    pub key: Vec<u8>,
    /// Rows that were here when the session came to exchange its first.
    pub rows: u64,
    /// Rows that were sent.
    pub sent: u64,
    /// Rows that were received, those included that only said that something is gone.
    pub received: u64,
}

impl Picture {
    /// A row goes out.
    pub(crate) fn sends(&self, store: &Store<AnyEngine>, key: &RowKey) {
        if let Some(tally) = self.part(store, key.as_bytes()) {
            tally.sent.add(1);
        }
    }

    /// Rows have come.
    pub(crate) fn receives<'a>(
        &self,
        store: &Store<AnyEngine>,
        keys: impl IntoIterator<Item = &'a RowKey>,
    ) {
        for key in keys {
            if let Some(tally) = self.part(store, key.as_bytes()) {
                tally.received.add(1);
            }
        }
    }

    /// A removal of a range has come.
    pub(crate) fn removes(&self, store: &Store<AnyEngine>, range: &KeyRange) {
        let tallies = self.tallies(store);
        let first = index(tallies, &range.lower);
        for tally in tallies.iter().skip(first) {
            if range.upper.as_ref().is_some_and(|it| *it <= tally.lower) {
                return;
            }
            tally.received.add(1);
        }
    }

    #[cfg(feature = "net")]
    pub(crate) fn read(&self) -> Vec<Exchanged> {
        let tallies = self.0.get().map(Vec::as_slice).unwrap_or_default();
        let read = |tally: &Tally| Exchanged {
            key: tally.key.clone(),
            rows: tally.rows,
            sent: tally.sent.get(),
            received: tally.received.get(),
        };
        tallies.iter().map(read).collect()
    }

    fn part(&self, store: &Store<AnyEngine>, key: &[u8]) -> Option<&Tally> {
        let tallies = self.tallies(store);
        tallies.get(index(tallies, key))
    }

    fn tallies(&self, store: &Store<AnyEngine>) -> &[Tally] {
        self.0.get_or_init(|| match tallied(store) {
            Ok(tallies) => tallies,
            // The session meets it, too, and says so.
            Err(error) => {
                tracing::debug!(%error, "a session goes without a picture");
                Vec::new()
            }
        })
    }
}

/// In which part a key lies.
fn index(tallies: &[Tally], key: &[u8]) -> usize {
    let before = tallies.partition_point(|tally| tally.lower.as_slice() <= key);
    before.saturating_sub(1)
}

fn tallied(store: &Store<AnyEngine>) -> Result<Vec<Tally>, StoreError> {
    let mut tallies: Vec<Tally> = Vec::new();
    for Part { lower, key, digest } in parts::of(&store.view()?, PARTS)? {
        let (lower, key) = (cut(lower), cut(key));
        match tallies.last_mut().filter(|last| last.lower >= lower) {
            // They differ behind what is kept.
            Some(last) => last.rows += digest.count(),
            None => tallies.push(Tally {
                lower,
                key,
                rows: digest.count(),
                sent: Count::default(),
                received: Count::default(),
            }),
        }
    }
    Ok(tallies)
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(BOUND);
    bytes
}
