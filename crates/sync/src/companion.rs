//! What a session needs beside the rows, for stores that have nothing but rows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;

use syncline_crdt::{Canonical, Context, Dot, Hlc, ReplicaId, Row, RowKey, Siblings};
use syncline_merkle::{Cut, DigestKey, Item, KeyRange, MemoryTree, RangeDigest, Source};

use crate::error::ReplicaError;
use crate::replica::{Additions, Incoming, Rows, View};

/// Rows in key order, in somebody else's store: all that a [`Companion`] asks for.
///
/// A clone is a snapshot: it does not change with the original.
pub trait OrderedRows: Clone + Send {
    /// The row at a key, if there is one.
    fn get(&self, key: &RowKey) -> Option<Row>;

    /// The rows of a range, in key order.
    fn range(&self, range: &KeyRange) -> impl Iterator<Item = (RowKey, Row)>;

    /// Puts a row in place of what is at the key; an empty one leaves nothing there.
    fn set(&mut self, key: &RowKey, row: Row);
}

/// Rows of somebody else's store with what a session needs beside them, in memory: their digests, the index of their dots, the
/// causal context and the clock.
///
/// It makes a [`Replica`](crate::Replica) of a store in a few lines, as `examples/own_store.rs` shows: every write and every
/// join goes through it, and its [`Snapshot`]s are the views. It takes some 200 bytes a row. A store that is larger than memory, or
/// that can fail, implements [`Replica`](crate::Replica) and [`View`] itself and keeps all of this in its own tables, so
/// that one commit changes it with the rows.
#[derive(Clone, Debug)]
pub struct Companion<R> {
    rows: R,
    tree: MemoryTree,
    dots: BTreeMap<Dot, RowKey>,
    context: Context,
    clock: Hlc,
    withdrawals: u64,
}

impl<R: OrderedRows> Companion<R> {
    /// Beside rows that are there, and the context that was kept with them, of a cluster with this secret. O(n): digests and
    /// index are made anew.
    ///
    /// Of new rows, the context is empty. A context that lacks dots which were seen brings back what was removed; one that has
    /// more loses what peers still hold.
    pub fn new(rows: R, mut context: Context, secret: &[u8; 32]) -> Self {
        let mut tree = MemoryTree::new(DigestKey::derive(secret));
        let (mut dots, mut clock) = (BTreeMap::new(), Hlc::default());
        for (key, row) in rows.range(&KeyRange::ALL) {
            tree.insert(key.as_bytes(), &row.to_bytes());
            for sibling in &row {
                dots.insert(sibling.dot, key.clone());
                context.insert(sibling.dot);
                clock.observe(sibling.stamp);
            }
        }
        Self {
            rows,
            tree,
            dots,
            context,
            clock,
            withdrawals: 0,
        }
    }

    /// The rows.
    pub fn rows(&self) -> &R {
        &self.rows
    }

    /// Every dot seen: to be kept with the rows.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The digest of all rows: two replicas hold the same exactly if these are equal.
    pub fn root(&self) -> RangeDigest {
        self.tree.root()
    }

    /// Writes one value in place of all that are at the key, or with `None` removes them. Returns the dot of the write.
    ///
    /// `replica` is to be minted whenever the store is opened, so that no dot is ever made twice; `now_ms` is the wall clock in
    /// Unix milliseconds.
    pub fn write(
        &mut self,
        replica: ReplicaId,
        now_ms: u64,
        key: &RowKey,
        payload: Option<Vec<u8>>,
    ) -> Dot {
        let (dot, stamp) = (self.context.next_dot(replica), self.clock.tick(now_ms));
        let row = payload.map(|payload| Siblings::one(dot, stamp, payload));
        self.set(key, row.unwrap_or_default());
        self.context.insert(dot);
        dot
    }

    /// What [`Replica::join`](crate::Replica::join) has to do.
    ///
    /// # Errors
    /// [`ReplicaError::Withdrawn`].
    pub fn join(&mut self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        if self.withdrawals != incoming.since {
            return Err(ReplicaError::Withdrawn);
        }
        let mut theirs: BTreeMap<RowKey, Row> = incoming.rows.into_iter().collect();
        // Where the peer told all of a range, it holds nothing at the other keys there.
        if let Some(range) = &incoming.covers {
            for (key, _) in self.rows.range(range) {
                theirs.entry(key).or_default();
            }
        }
        let seen = self.context.clone();
        for (key, mut row) in theirs {
            self.separate(&key, &mut row);
            let ours = self.rows.get(&key).unwrap_or_default();
            for sibling in &row {
                self.context.insert(sibling.dot);
                self.clock.observe(sibling.stamp);
            }
            self.set(&key, ours.join(&seen, &row, incoming.context));
        }
        self.context.merge(&incoming.learned.unwrap_or_default());
        Ok(())
    }

    /// What [`Replica::withdraw`](crate::Replica::withdraw) has to do.
    pub fn withdraw(&mut self, key: &RowKey) {
        let row = self.rows.get(key).unwrap_or_default();
        row.dots().for_each(|dot| {
            self.context.remove(dot);
        });
        self.set(key, Row::new());
        self.withdrawals += 1;
    }

    /// A dot that is live in two rows was used twice, by a bug or a lie. The row with the lesser key keeps it, on every
    /// replica.
    fn separate(&mut self, key: &RowKey, theirs: &mut Row) {
        for dot in theirs.dots().collect::<Vec<_>>() {
            match self.dots.get(&dot).cloned() {
                Some(holder) if holder < *key => {
                    theirs.remove(&dot);
                }
                Some(holder) if holder > *key => {
                    let mut row = self.rows.get(&holder).unwrap_or_default();
                    row.remove(&dot);
                    self.set(&holder, row);
                    // It is news to this row.
                    self.context.remove(dot);
                }
                _ => {}
            }
        }
    }

    /// Every change of a row comes through here, so that digests and index always are those of the rows.
    fn set(&mut self, key: &RowKey, row: Row) {
        for dot in self.rows.get(key).iter().flat_map(Row::dots) {
            self.dots.remove(&dot);
        }
        match row.is_empty() {
            true => self.tree.remove(key.as_bytes()),
            false => self.tree.insert(key.as_bytes(), &row.to_bytes()),
        };
        self.dots.extend(row.dots().map(|dot| (dot, key.clone())));
        self.rows.set(key, row);
    }
}

/// A [`Companion`] as of one commit: what [`Replica::view`](crate::Replica::view) returns. Kept in an `Arc` that writers change by
/// `Arc::make_mut`, it is copied only while a snapshot is held.
#[derive(Clone, Debug)]
pub struct Snapshot<R>(pub Arc<Companion<R>>);

impl<R: OrderedRows + Sync> View for Snapshot<R> {
    fn context(&self) -> &Context {
        &self.0.context
    }

    fn withdrawals(&self) -> u64 {
        self.0.withdrawals
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>, ReplicaError> {
        Ok(self.0.rows.get(key))
    }

    fn rows(&self, range: &KeyRange, max_bytes: usize) -> Result<Rows, ReplicaError> {
        let mut found = Rows::default();
        let mut bytes = 0;
        for (key, row) in self.0.rows.range(range) {
            if bytes > 0 && bytes >= max_bytes {
                return Ok(found);
            }
            bytes += size(&key, &row);
            found.rows.push((key, row));
        }
        found.complete = true;
        Ok(found)
    }

    fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Additions, ReplicaError> {
        let start = &self.0.context;
        let mut found = Additions {
            frontier: after,
            ..Additions::default()
        };
        let mut bytes = 0;
        for (replica, first, last) in start.difference(peer).intervals() {
            let (first, last) = (Dot::new(replica, first), Dot::new(replica, last));
            for (dot, key) in self.0.dots.range(first..=last) {
                if Some(*dot) <= after {
                    continue;
                }
                if bytes > 0 && bytes >= max_bytes {
                    return Ok(found);
                }
                let row = now.0.rows.get(key).unwrap_or_default();
                let is_unseen = |dot: &Dot| !peer.contains(dot);
                // Once, at its first dot; and where the dot has gone since, what has replaced it.
                let is_due = match row.get(dot) {
                    Some(_) => {
                        let wanted = |it: &Dot| start.contains(it) && is_unseen(it);
                        row.dots().find(wanted) == Some(*dot)
                    }
                    None => row.dots().any(|it| is_unseen(&it)),
                };
                if is_due {
                    bytes += size(key, &row);
                    found.rows.push((key.clone(), row));
                }
                found.frontier = Some(*dot);
            }
        }
        found.complete = true;
        Ok(found)
    }
}

impl<R: OrderedRows> Source for Snapshot<R> {
    type Error = ReplicaError;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, ReplicaError> {
        sure(self.0.tree.digest(range))
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, ReplicaError> {
        sure(self.0.tree.cut(range, level, limit))
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, ReplicaError> {
        sure(Source::items(&self.0.tree, range, limit))
    }

    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, ReplicaError> {
        let key = RowKey::from_bytes(key.to_vec());
        let row = key.ok().and_then(|key| self.0.rows.get(&key));
        let dots = |row: Row| row.dots().collect::<BTreeSet<Dot>>().to_bytes();
        Ok(row.map(dots).unwrap_or_default())
    }
}

/// About what a row takes in a frame.
fn size(key: &RowKey, row: &Row) -> usize {
    key.as_bytes().len() + row.iter().map(|it| 30 + it.payload.len()).sum::<usize>()
}

/// Reading memory does not fail.
fn sure<T>(outcome: Result<T, Infallible>) -> Result<T, ReplicaError> {
    let Ok(value) = outcome;
    Ok(value)
}
