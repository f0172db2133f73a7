//! Damaged rows go, and their dots leave the context, so that other replicas' copies count as news
//! again.
//!
//! Damage must never enter a join: its dots would stand for a row that nobody wrote. Once a row
//! fails its checksum none of its bytes is believed, so what it held is taken from the indexes: its
//! dots from the dot index, its share of the digest tree from the sum of its leaf, less what the
//! leaf's other rows make up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Dot, Row, RowKey};
use syncline_merkle::{ItemDigest, KeyRange, Nodes, RangeDigest};

use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format;
use crate::staging::{Before, Found, Staged, Staging};
use crate::view::damaged_index;
use crate::{StoreError, View};

/// What a withdrawal took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withdrawn {
    /// Rows that were damaged, or not what the indexes said.
    pub rows: u64,
    /// Dots that left the context.
    pub dots: u64,
}

impl<E: Engine> Staging<E> {
    /// Withdraws those of the rows that are damaged, and makes the indexes agree with the others.
    pub(crate) fn withdraw(&mut self, keys: &[RowKey]) -> Result<Withdrawn, StoreError> {
        // A row that the group has loaded was withdrawn then, if it was damaged.
        let keys = keys
            .iter()
            .filter(|key| !self.rows.contains_key(*key))
            .cloned()
            .collect();
        self.withdraw_all(&keys)
    }

    /// [`withdraw`](Self::withdraw) of keys that were not loaded yet. Reads the whole dot index.
    pub(crate) fn withdraw_all(
        &mut self,
        keys: &BTreeSet<RowKey>,
    ) -> Result<Withdrawn, StoreError> {
        let mut withdrawn = Withdrawn::default();
        if keys.is_empty() {
            return Ok(withdrawn);
        }
        let mut indexed = self.base.index_of(keys)?;
        let mut repaired = Vec::new();
        for key in keys {
            let dots = indexed.remove(key.as_bytes()).unwrap_or_default();
            let found = self.find(key)?;
            let digest = self.base.counted_digest(key, &mut self.settled_leaves)?;
            if matches!(found, Found::Damaged) && dots.is_empty() && digest.is_some() {
                return Err(StoreError::Irreparable {
                    key: key.as_bytes().to_vec(),
                });
            }
            repaired.push((key, found, dots, digest));
        }
        // Nothing was changed until here, so a withdrawal that fails leaves the group as it was.
        self.mends_index = true;
        for (key, found, dots, digest) in repaired {
            let is_damaged = matches!(found, Found::Damaged);
            let present = !matches!(found, Found::Absent { .. });
            let neighbours = matches!(found, Found::Absent { neighbours: true });
            let row = match found {
                Found::Sound(_, row) => row,
                Found::Absent { .. } | Found::Damaged => Row::new(),
            };
            let lost: Vec<Dot> = dots
                .iter()
                .copied()
                .filter(|dot| row.get(dot).is_none())
                .collect();
            for dot in &lost {
                self.context.remove_recording(*dot, &mut self.context_edits);
            }
            for dot in row.dots() {
                self.context.insert_recording(
                    dot.replica,
                    dot.counter,
                    dot.counter,
                    &mut self.context_edits,
                );
            }
            if is_damaged || !lost.is_empty() {
                tracing::warn!(
                    namespace = self.base.shared.namespace,
                    ?key,
                    dots = lost.len(),
                    "a damaged row was withdrawn; the next sync will fetch it again"
                );
                withdrawn.rows += 1;
                withdrawn.dots += lost.len() as u64;
            }
            let staged = Staged {
                before: Before {
                    present,
                    sound: false,
                    digest,
                    dots,
                    neighbours,
                },
                row,
                changed: true,
                touched_by: 0,
            };
            self.rows.insert(key.clone(), staged);
        }
        self.withdrawn += withdrawn.rows;
        Ok(withdrawn)
    }
}

impl<E: Engine> View<E> {
    /// The dots that the index lists under each of the keys, ascending, by a scan of it all.
    fn index_of(&self, keys: &BTreeSet<RowKey>) -> Result<BTreeMap<Vec<u8>, Vec<Dot>>, StoreError> {
        let keys: BTreeSet<&[u8]> = keys.iter().map(RowKey::as_bytes).collect();
        let mut dots: BTreeMap<Vec<u8>, Vec<Dot>> = BTreeMap::new();
        let mut outcome = Ok(());
        let all = (Bound::Unbounded, Bound::Unbounded);
        self.snapshot
            .visit(Table::Dots, all, Direction::Forward, &mut |dot, key| {
                if keys.contains(key) {
                    match format::read_dot_key(dot) {
                        Some(dot) => dots.entry(key.to_vec()).or_default().push(dot),
                        None => {
                            outcome = Err(damaged_index());
                            return ControlFlow::Break(());
                        }
                    }
                }
                ControlFlow::Continue(())
            })?;
        outcome.map(|()| dots)
    }

    /// What the digest tree counts for a key, whatever is stored with the row: what its leaf's sum
    /// has and the leaf's other rows do not account for. Of several damaged rows in one leaf the
    /// first is given what is unaccounted for, the others (whose leaf is in `settled` then) what is
    /// stored with them: it adds up.
    fn counted_digest(
        &self,
        key: &RowKey,
        settled: &mut BTreeSet<Vec<u8>>,
    ) -> Result<Option<ItemDigest>, StoreError> {
        let leaf = match self.floor(1, key.as_bytes())? {
            Some(leaf) => leaf,
            None => match self.floor(0, b"")? {
                Some(root) => root,
                None => return Ok(None),
            },
        };
        let mut after_fence = leaf.fence.clone();
        after_fence.push(0);
        let next = self.nodes(1, &KeyRange::new(after_fence, None), 1)?.pop();
        let range = KeyRange::new(leaf.fence.clone(), next.map(|next| next.fence));

        let mut others = RangeDigest::ZERO;
        let mut stored = None;
        let mut rest = range;
        loop {
            const CHUNK: usize = 256;
            let items = self.items(&rest, CHUNK)?;
            for item in &items {
                if item.key == key.as_bytes() {
                    stored = Some(item.digest);
                } else {
                    others += RangeDigest::of(&item.digest);
                }
            }
            match items.last() {
                Some(last) if items.len() == CHUNK => {
                    rest.lower.clone_from(&last.key);
                    rest.lower.push(0);
                }
                _ => break,
            }
        }
        if !settled.insert(leaf.fence) {
            return Ok(stored);
        }
        let unaccounted = leaf.digest - others;
        Ok(match unaccounted.count() {
            _ if unaccounted.is_zero() => None,
            1 => Some(as_item(&unaccounted)),
            _ => stored,
        })
    }
}

/// The item digest of a range digest of one item.
fn as_item(one: &RangeDigest) -> ItemDigest {
    let bytes = one.to_bytes();
    let (_, sum) = bytes
        .split_last_chunk::<32>()
        .expect("a range digest ends with a sum of 32 bytes");
    ItemDigest::from_bytes(*sum)
}
