//! The seal: a keyed checksum over what nothing else would betray.
//!
//! Rows carry their own checksums, and what is made from rows can be held against them. The context,
//! the counters, the roster and what carriers were heard to say follow from nothing else: a context
//! in which one bit has flipped can still be read as one, and claims to have seen what never came.
//! So each commit seals them, in the row that it moves anyway; opening checks the seal before it
//! believes any of it, and so does a scrub.
//!
//! The sealed rows are summed up as the rows of a range are, which costs a digest for each that
//! changes, however many there are.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use syncline_crdt::Context;
use syncline_merkle::{DigestKey, ItemDigest, RangeDigest};

use crate::engine::{Batch, Direction, EngineError, Snapshot, Table};
use crate::format::{self, SEAL, State, meta};

/// The sum of the sealed rows as of the last commit.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    key: DigestKey,
    sum: RangeDigest,
    /// The digests of those in the `meta` table, which are few; those of the context can be made
    /// again from the context.
    meta: BTreeMap<Vec<u8>, ItemDigest>,
}

impl Seal {
    /// The seal of what is in the tables.
    pub(crate) fn read(snapshot: &impl Snapshot, secret: &[u8; 32]) -> Result<Self, EngineError> {
        let secret = blake3::derive_key("syncline-store v1: seal of a commit", secret);
        let mut seal = Self {
            key: DigestKey::derive(&secret),
            sum: RangeDigest::ZERO,
            meta: BTreeMap::new(),
        };
        seal.sum_up(snapshot)?;
        Ok(seal)
    }

    /// The same anew.
    pub(crate) fn read_again(&self, snapshot: &impl Snapshot) -> Result<Self, EngineError> {
        let mut again = Self {
            key: self.key.clone(),
            sum: RangeDigest::ZERO,
            meta: BTreeMap::new(),
        };
        again.sum_up(snapshot)?;
        Ok(again)
    }

    fn sum_up(&mut self, snapshot: &impl Snapshot) -> Result<(), EngineError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let forward = Direction::Forward;
        snapshot.visit(Table::Meta, all, forward, &mut |key, value| {
            if is_sealed(key) {
                self.put_meta(key, value);
            }
            ControlFlow::Continue(())
        })?;
        snapshot.visit(Table::Context, all, forward, &mut |key, value| {
            self.sum += RangeDigest::of(&self.key.item(key, value));
            ControlFlow::Continue(())
        })
    }

    fn put_meta(&mut self, key: &[u8], value: &[u8]) {
        let digest = self.key.item(key, value);
        self.sum += RangeDigest::of(&digest);
        if let Some(before) = self.meta.insert(key.to_vec(), digest) {
            self.sum -= RangeDigest::of(&before);
        }
    }

    /// Follows a commit, before which the context was this.
    pub(crate) fn follow(&mut self, batch: &mut Batch, before: &Context) {
        for (key, value) in batch.sorted(Table::Meta) {
            if !is_sealed(key) {
                continue;
            }
            match value {
                Some(value) => self.put_meta(key, value),
                None => {
                    if let Some(before) = self.meta.remove(key) {
                        self.sum -= RangeDigest::of(&before);
                    }
                }
            }
        }
        for (key, value) in batch.sorted(Table::Context) {
            let first = format::read_dot_key(key);
            if let Some(end) = first.and_then(|first| before.interval_from(first)) {
                self.sum -= RangeDigest::of(&self.key.item(key, &end.to_be_bytes()));
            }
            if let Some(value) = value {
                self.sum += RangeDigest::of(&self.key.item(key, value));
            }
        }
    }

    /// The seal of the sealed rows and of a state.
    pub(crate) fn of(&self, state: &State) -> [u8; SEAL] {
        let digest = self.key.item(&state.to_bytes(), &self.sum.to_bytes());
        let (seal, _) = digest
            .as_bytes()
            .split_first_chunk()
            .expect("32 bytes begin with 16");
        *seal
    }

    /// The rows of the `meta` table that are not what was sealed, in either direction.
    pub(crate) fn damaged_meta(&self, found: &Self) -> Vec<Vec<u8>> {
        let keys = self.meta.keys().chain(found.meta.keys());
        let mut damaged: Vec<_> = keys
            .filter(|key| self.meta.get(*key) != found.meta.get(*key))
            .cloned()
            .collect();
        damaged.sort();
        damaged.dedup();
        damaged
    }
}

/// Whether a row of the `meta` table is sealed. The state is, besides; how far a scrub has come is
/// not, nor what engines keep there.
fn is_sealed(key: &[u8]) -> bool {
    const SEALED: [&[u8]; 8] = [
        meta::FORMAT,
        meta::NAMESPACE,
        meta::SECRET,
        meta::OPENINGS,
        meta::CONDEMNED,
        meta::CARRIER,
        meta::ROSTER,
        meta::ORIGINS,
    ];
    SEALED.contains(&key) || key.starts_with(meta::HEARD)
}
