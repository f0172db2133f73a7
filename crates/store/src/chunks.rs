//! Removing everything in a range, chunk by chunk.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use syncline_crdt::{Context, Dot, Nothing, Row, RowKey};
use syncline_merkle::{KeyRange, after};

use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::range_removal::{ChunkLimit, RangeDelta, RangeRemoval};
use crate::staging::{Found, Staged, Staging};
use crate::{Group, Incoming, Store, StoreError, Transaction, format};

/// A removal of everything in a range, between two of its chunks: made by
/// [`Store::begin_removal`].
///
/// It takes away what had been observed when it began; what is written meanwhile stays. Each chunk
/// is a commit of its own, with a dot of its own. Whoever drops it half way, or crashes, has removed a
/// part, and can begin again for the rest.
///
/// ```
/// use syncline_crdt::RowKey;
/// use syncline_merkle::KeyRange;
/// use syncline_store::{ChunkLimit, Config, Durability, MemoryEngine, Store, StoreError};
///
/// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// store.transact(Durability::Memory, |txn| {
///     (0..100u8).try_for_each(|n| txn.put(&RowKey::member(b"online", &[n]), Vec::new()).map(drop))
/// })?;
///
/// let online = KeyRange::prefix(&RowKey::key_prefix(b"online"));
/// let limit = ChunkLimit { rows: 30, ..ChunkLimit::default() };
/// let mut removing = store.begin_removal(online)?;
/// let mut chunks = 0;
/// while !removing.is_done() {
///     let mut group = store.group()?;
///     let chunk = group.remove_chunk(&removing, limit, &mut |_, _, _| None)?;
///     group.commit(Durability::Memory)?;
///     removing.go_on(chunk.rest);
///     chunks += 1;
/// }
/// assert_eq!((chunks, store.view()?.row_count()), (4, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Removing {
    rest: Option<KeyRange>,
    observed: Arc<Context>,
}

impl Removing {
    /// Whether there is nothing left to do.
    pub fn is_done(&self) -> bool {
        self.rest.is_none()
    }

    /// Notes that a chunk was committed, which left this much to do.
    pub fn go_on(&mut self, rest: Option<KeyRange>) {
        self.rest = rest;
    }

    /// What had been observed when it began.
    pub fn observed(&self) -> &Context {
        &self.observed
    }
}

/// What a row leaves behind that may not simply go: a payload, in place of these siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remnant {
    /// Written under a fresh dot.
    pub payload: Vec<u8>,
    /// Siblings that it supersedes, beside all that had been observed.
    pub superseded: Vec<Dot>,
}

/// Says what a row leaves behind, given all of its siblings and what had been observed.
pub type Remains<'r> = dyn FnMut(&RowKey, &Row, &Context) -> Option<Remnant> + 'r;

/// What one chunk has come to.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Rows that are gone.
    pub removed: u64,
    /// For other replicas; `None` if there was nothing to remove.
    pub delta: Option<RangeDelta>,
    /// What is left to do.
    pub rest: Option<KeyRange>,
}

/// What dropping a part of a range has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Rows that are not what they were.
    pub changed: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// What is left to do.
    pub rest: Option<KeyRange>,
}

impl<E: Engine> Store<E> {
    /// Begins to remove everything in a range of row keys that has been observed by now.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn begin_removal(&self, range: KeyRange) -> Result<Removing, StoreError> {
        let observed = self.view()?.context().clone();
        Ok(Removing {
            rest: (!range.is_empty()).then_some(range),
            observed: Arc::new(observed),
        })
    }
}

impl<E: Engine> Group<'_, E> {
    /// Removes the next part of a range, under a dot of its own. `remains` is asked of each row what it
    /// has to leave behind.
    ///
    /// Costs some microseconds a row, and memory for the rows of the limit.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read, [`StoreError::Irreparable`], or what keeps a
    /// remnant from being written. The group cannot be committed then.
    pub fn remove_chunk(
        &mut self,
        removing: &Removing,
        limit: ChunkLimit,
        remains: &mut Remains<'_>,
    ) -> Result<Chunk, StoreError> {
        let Some(range) = &removing.rest else {
            return Ok(Chunk {
                removed: 0,
                delta: None,
                rest: None,
            });
        };
        self.staging.torn = true;
        let part = self.staging.stage(range, limit)?;
        // What was withdrawn since is not known any more, and not spoken of.
        let observed = match self.staging.context.covers(&removing.observed) {
            true => Context::clone(&removing.observed),
            false => removing.observed.intersection(&self.staging.context),
        };
        let mut transaction = Transaction::new(&mut self.staging);
        let (mut changed, mut removed) = (false, 0);
        for key in &part.keys {
            let row = &transaction.staging.rows[key].row;
            let remnant = remains(key, row, &observed);
            if let Some(Remnant {
                payload,
                superseded,
            }) = remnant
            {
                transaction.put_superseding(key, payload, &superseded)?;
                changed = true;
            }
            changed |= transaction
                .staging
                .edit(key, |row, _| row.join_head(&Nothing, &observed));
            removed += u64::from(transaction.staging.rows[key].row.is_empty());
        }
        let (rows, dot) = transaction.finish_removal(changed);
        let delta = dot.map(|dot| RangeDelta {
            rows,
            removal: RangeRemoval {
                dots: [dot].into_iter().collect(),
                range: part.range,
                observed,
            },
        });
        if let Some(delta) = &delta {
            self.staging.removals.log_range(delta.removal.clone());
        }
        self.staging.torn = false;
        Ok(Chunk {
            removed,
            delta,
            rest: part.rest,
        })
    }

    /// Drops the next part of what others have removed: in a range, all that they had observed. Adds
    /// nothing to the context, and so may be repeated, or never be ended.
    ///
    /// # Errors
    /// As [`remove_chunk`](Self::remove_chunk).
    pub fn drop_observed(
        &mut self,
        range: &KeyRange,
        observed: &Context,
        limit: ChunkLimit,
    ) -> Result<Dropped, StoreError> {
        self.staging.torn = true;
        self.staging.is_joined = true;
        let part = self.staging.stage(range, limit)?;
        let (mut changed, mut removed) = (0, 0);
        for key in &part.keys {
            let dropped = self
                .staging
                .edit(key, |row, _| row.join_head(&Nothing, observed));
            changed += u64::from(dropped);
            removed += u64::from(self.staging.rows[key].row.is_empty());
        }
        self.staging.torn = false;
        Ok(Dropped {
            changed,
            removed,
            rest: part.rest,
        })
    }

    /// Logs removals of ranges that have taken effect here, and adds their dots to the context.
    pub(crate) fn learn_range_removals(
        &mut self,
        removals: &[RangeRemoval],
    ) -> Result<(), StoreError> {
        let mut learned = Context::new();
        removals.iter().for_each(|it| learned.merge(&it.dots));
        self.staging.join(Incoming {
            ranges: removals.to_vec(),
            logged: learned.clone(),
            learned: learned.clone(),
            ..Incoming::from_peer(&learned)
        })?;
        Ok(())
    }
}

/// The rows of a part of a range, all of them staged.
struct Part {
    keys: Vec<RowKey>,
    range: KeyRange,
    rest: Option<KeyRange>,
}

impl<E: Engine> Staging<E> {
    /// Reads the first rows of a range for writing, within the limit: a scan, not a look-up for each.
    fn stage(&mut self, range: &KeyRange, limit: ChunkLimit) -> Result<Part, StoreError> {
        let mut part = Part {
            keys: Vec::new(),
            range: range.clone(),
            rest: None,
        };
        let Some(bounds) = range.bounds() else {
            return Ok(part);
        };
        let (mut found, mut damaged) = (Vec::new(), BTreeSet::new());
        let (mut rows, mut bytes, mut is_full) = (0, 0, false);
        let mut last = Vec::new();
        let mut outcome = Ok(());
        let digest_key = &self.base.shared.digest_key;
        self.base.snapshot.visit(
            Table::Rows,
            bounds,
            Direction::Forward,
            &mut |key, value| {
                is_full = rows >= limit.rows.max(1) || bytes >= limit.bytes.max(1);
                if is_full {
                    return ControlFlow::Break(());
                }
                rows += 1;
                bytes += key.len() + value.len();
                last.clear();
                last.extend_from_slice(key);
                let row_key = match format::read_row_key(key) {
                    Ok(row_key) => row_key,
                    Err(error) => {
                        outcome = Err(error);
                        return ControlFlow::Break(());
                    }
                };
                if !self.rows.contains_key(&row_key) {
                    match format::read_row(digest_key, key, value) {
                        Some((digest, row)) => found.push((row_key, Found::Sound(digest, row))),
                        None => drop(damaged.insert(row_key)),
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        outcome?;
        for (key, found) in found {
            let staged = Staged::new(&key, found);
            self.rows.insert(key, staged);
        }
        // A withdrawal reads the whole dot index.
        if !damaged.is_empty() {
            self.withdraw_all(&damaged, &BTreeSet::new())?;
        }
        if is_full {
            let end = after(&last);
            part.range.upper = Some(end.clone());
            part.rest = Some(KeyRange::new(end, range.upper.clone()));
        }
        if let Some(bounds) = part.range.bounds() {
            let staged = self.rows.range::<[u8], _>(bounds);
            let present = staged.filter(|(_, staged)| !staged.row.is_empty());
            part.keys.extend(present.map(|(key, _)| key.clone()));
        }
        Ok(part)
    }
}
