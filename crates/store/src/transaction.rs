//! Writing rows of our own: every mutation gets a fresh dot and supersedes what it observed.

use std::ops::ControlFlow;

use syncline_crdt::{
    Context, Delta, Dot, Family, Hlc, ReplicaId, Row, RowKey, RowKeyError, Sibling, Siblings,
    Stamp, limits,
};
use syncline_merkle::{KeyRange, RangeDigest, tree};

use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format;
use crate::staging::Staging;
use crate::view::damaged;
use crate::{MAX_TRANSACTION_ROWS, Removal, StoreError, ranked};

/// A transaction in progress: what [`Store::transact`](crate::Store::transact) gives to its body.
///
/// It reads what the store holds and what it has itself written. A damaged row that it meets is
/// withdrawn in the same commit, and reads as absent.
///
/// ```
/// use syncline_crdt::RowKey;
/// use syncline_merkle::KeyRange;
/// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
///
/// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// let ada = RowKey::member(b"online", b"ada");
/// store.transact(Durability::Durable, |txn| {
///     txn.put(&ada, Vec::new())?;
///     txn.put(&RowKey::member(b"online", b"bob"), Vec::new())?;
///     assert!(txn.get(&ada)?.is_some());
///     assert!(txn.remove(&ada)?);
///     assert!(!txn.remove(&ada)?, "it is gone");
///     let online = KeyRange::prefix(&RowKey::key_prefix(b"online"));
///     assert_eq!(txn.scan(&online, 100)?.len(), 1);
///     Ok::<_, StoreError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transaction<'g, E: Engine> {
    pub(crate) staging: &'g mut Staging<E>,
    /// The first dot of the transaction's own; the others follow it.
    first: Option<Dot>,
    /// How many dots it has made.
    made: u64,
    stamp: Option<Stamp>,
    /// The dots that were live before and are no more.
    superseded: Vec<Dot>,
    removals: Vec<Removal>,
    /// A dot that the delta is not to have in its context.
    unspoken: Option<Dot>,
    /// Each row touched, as it was before.
    undo: Vec<(RowKey, Row, bool)>,
    clock_before: Hlc,
    finished: bool,
}

impl<'g, E: Engine> Transaction<'g, E> {
    pub(crate) fn new(staging: &'g mut Staging<E>) -> Self {
        staging.transactions += 1;
        Self {
            clock_before: staging.clock.clone(),
            staging,
            first: None,
            made: 0,
            stamp: None,
            superseded: Vec::new(),
            removals: Vec::new(),
            unspoken: None,
            undo: Vec::new(),
            finished: false,
        }
    }

    /// The row at a key, if it is present.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read; [`StoreError::Irreparable`] for a damaged row
    /// that cannot be withdrawn.
    pub fn get(&mut self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        self.staging.read(key)
    }

    /// The first rows of a range in key order, at most `limit`. Go on from the key after the last.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn scan(
        &mut self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(RowKey, Row)>, StoreError> {
        let (rows, broken) = self.read_range(range, limit)?;
        if broken.is_empty() {
            return Ok(rows);
        }
        self.staging.load_all(broken.iter())?;
        let (rows, broken) = self.read_range(range, limit)?;
        // Rows that came into reach because broken ones went may be broken too.
        match broken.first() {
            Some(key) => Err(damaged(key)),
            None => Ok(rows),
        }
    }

    /// How many rows lie in a range. O(log n), and O(m) in the rows of the range that the group has
    /// loaded. A damaged row counts until somebody meets it.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn count_rows(&self, range: &KeyRange) -> Result<u64, StoreError> {
        let Some(bounds) = range.bounds() else {
            return Ok(0);
        };
        let counted = self.staging.base.digest(range)?.count();
        let staged = self.staging.rows.range::<[u8], _>(bounds);
        let net = staged.map(|(_, staged)| {
            i64::from(!staged.row.is_empty()) - i64::from(staged.before.digest.is_some())
        });
        Ok(counted.saturating_add_signed(net.sum()))
    }

    /// As [`View::row_at`](crate::View::row_at), with what the group has done so far. O(log n), and with m rows of the range that the
    /// group has loaded, O(m + log m log n).
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, StoreError> {
        let Some(bounds) = range.bounds() else {
            return Ok(None);
        };
        let staged = self.staging.rows.range::<[u8], _>(bounds);
        let changes: Vec<_> = staged
            .map(|(key, staged)| (key, !staged.row.is_empty(), staged.before.digest.is_some()))
            .filter(|(_, is_there, was_there)| is_there != was_there)
            .map(|(key, is_there, _)| (key.as_bytes(), is_there))
            .collect();
        let base = &self.staging.base;
        let count = |range: &KeyRange| Ok(base.digest(range)?.count());
        let found = ranked::nth(&changes, range, n, count, |n| tree::nth(base, range, n))?;
        found.map(|key| format::read_row_key(&key)).transpose()
    }

    /// As [`View::count_entries`](crate::View::count_entries), with what the group has done so far. O(log n), and
    /// O(m) in the entries of the range that the group has changed.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn count_entries(&mut self, range: &KeyRange) -> Result<u64, StoreError> {
        self.staging.counted().count(range)
    }

    /// As [`View::entry_at`](crate::View::entry_at), with what the group has done so far. O(log n), and with m entries of the
    /// range that the group has changed, O(m + log m log n).
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn entry_at(&mut self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.staging.counted().nth(range, n)
    }

    /// As [`View::entries`](crate::View::entries), with what the group has done so far.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn entries(
        &mut self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.staging.counted().page(range, direction, limit)
    }

    /// Writes a row, superseding all siblings that are live in it. Returns the dot of the write.
    ///
    /// # Errors
    /// [`StoreError::KeyTooLong`], [`StoreError::FieldTooLong`], [`StoreError::ValueTooLarge`],
    /// [`StoreError::TooManyRows`], or as [`get`](Self::get).
    pub fn put(&mut self, key: &RowKey, payload: Vec<u8>) -> Result<Dot, StoreError> {
        check_payload(&payload)?;
        self.touch(key)?;
        let (dot, stamp) = (self.fresh_dot(), self.stamp());
        let superseded = &mut self.superseded;
        self.staging.edit(key, |row, _| {
            superseded.extend(row.dots());
            *row = Siblings::one(dot, stamp, payload);
            true
        });
        Ok(dot)
    }

    /// Writes a sibling that supersedes just the given ones, as an increment does its own earlier
    /// sum. Dots that are not live in the row are passed over.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_superseding(
        &mut self,
        key: &RowKey,
        payload: Vec<u8>,
        superseded: &[Dot],
    ) -> Result<Dot, StoreError> {
        check_payload(&payload)?;
        self.touch(key)?;
        let (dot, stamp) = (self.fresh_dot(), self.stamp());
        let gone = &mut self.superseded;
        self.staging.edit(key, |row, _| {
            gone.extend(superseded.iter().filter(|dot| row.remove(dot).is_some()));
            row.insert(Sibling {
                dot,
                stamp,
                payload,
            });
            true
        });
        Ok(dot)
    }

    /// Removes a row: supersedes all siblings that are live in it, under a dot of its own. Returns
    /// whether there was any.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn remove(&mut self, key: &RowKey) -> Result<bool, StoreError> {
        self.touch(key)?;
        let superseded = &mut self.superseded;
        let removed = self.staging.edit(key, |row, _| {
            superseded.extend(row.dots());
            !std::mem::take(row).is_empty()
        });
        if removed {
            let (dot, key) = (self.fresh_dot(), key.clone());
            self.removals.push(Removal { dot, key });
        }
        Ok(removed)
    }

    /// The transaction's stamp: later than every stamp observed so far, the same for all its
    /// writes, which their dots tell apart.
    pub fn stamp(&mut self) -> Stamp {
        *self.stamp.get_or_insert_with(|| {
            let now = self.staging.base.shared.environment.wall_ms();
            self.staging.clock.tick(now)
        })
    }

    /// The id under which the transaction writes. Minted here if the store has not written since it
    /// was opened.
    pub fn replica(&mut self) -> ReplicaId {
        self.staging.last_dot().replica
    }

    /// Ends the transaction of a chunk, which removes rows of a range under a dot of its own if it
    /// has `changed` any. The delta does not have this dot.
    pub(crate) fn finish_removal(mut self, changed: bool) -> (Delta, Option<Dot>) {
        let dot = changed.then(|| self.fresh_dot());
        self.unspoken = dot;
        (self.finish(), dot)
    }

    /// The time by the store's clock; see [`View::now_ms`](crate::View::now_ms).
    pub fn now_ms(&self) -> u64 {
        self.staging.base.now_ms()
    }

    /// Whether any key may have a deadline.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn has_deadlines(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.staging.has_deadlines {
            return Ok(known);
        }
        let found = self.staging.base.has_deadlines()?;
        Ok(*self.staging.has_deadlines.insert(found))
    }

    /// Makes the transaction's dots seen, and returns its delta.
    pub(crate) fn finish(mut self) -> Delta {
        self.finished = true;
        for removal in std::mem::take(&mut self.removals) {
            self.staging.removals.log(removal);
        }
        let mut delta = Delta::new();
        let mut context: Context = self.superseded.iter().copied().collect();
        if let Some(Dot { replica, counter }) = self.first {
            let last = counter + (self.made - 1);
            self.staging.last = Some(Dot::new(replica, last));
            context.insert_range(replica, counter, last);
            let Staging {
                context,
                context_edits,
                ..
            } = &mut *self.staging;
            context.insert_recording(replica, counter, last, context_edits);
        }
        if let Some(dot) = self.unspoken {
            context.remove(dot);
        }
        delta.observe_all(&context);
        for (key, ..) in std::mem::take(&mut self.undo) {
            let own = |sibling: &&Sibling<Vec<u8>>| {
                self.first.is_some_and(|first| is_own(first, sibling.dot))
            };
            let written: Row = self.staging.rows[&key]
                .row
                .iter()
                .filter(own)
                .cloned()
                .collect();
            delta.set_row(key, written);
        }
        delta
    }

    /// The digest of the rows of a range as of the group's beginning; `None` if the group has changed any of them since. O(log n),
    /// and linear in what the group has read there.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, StoreError> {
        let staged = range
            .bounds()
            .map(|it| self.staging.rows.range::<[u8], _>(it));
        match staged
            .into_iter()
            .flatten()
            .any(|(_, staged)| staged.changed)
        {
            true => Ok(None),
            false => self.staging.base.digest(range).map(Some),
        }
    }

    /// Loads a row for writing and notes how to put it back.
    fn touch(&mut self, key: &RowKey) -> Result<(), StoreError> {
        check_key(key)?;
        if key.family() == Family::DEADLINE {
            self.staging.has_deadlines = Some(true);
        }
        self.staging.load(key)?;
        let staged = self.staging.rows.get_mut(key).expect("it was just loaded");
        if staged.touched_by != self.staging.transactions {
            if self.undo.len() == MAX_TRANSACTION_ROWS {
                return Err(StoreError::TooManyRows);
            }
            staged.touched_by = self.staging.transactions;
            self.undo
                .push((key.clone(), staged.row.clone(), staged.changed));
        }
        Ok(())
    }

    fn fresh_dot(&mut self) -> Dot {
        let first = *self.first.get_or_insert_with(|| {
            let Dot { replica, counter } = self.staging.last_dot();
            Dot::new(replica, counter + 1)
        });
        let dot = Dot::new(first.replica, first.counter + self.made);
        self.made += 1;
        dot
    }

    /// The rows of a range as the transaction sees them, and the keys of damaged ones in between.
    #[allow(clippy::type_complexity)]
    fn read_range(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<(Vec<(RowKey, Row)>, Vec<RowKey>), StoreError> {
        let (mut rows, mut broken) = (Vec::new(), Vec::new());
        let Some(bounds) = range.bounds() else {
            return Ok((rows, broken));
        };
        let Staging {
            base, rows: staged, ..
        } = &*self.staging;
        // Sought, not searched: a group may have staged very many rows, and each operation looks at
        // a few.
        let mut staged = staged.range::<[u8], _>(bounds).peekable();
        let mut outcome = Ok(());
        if limit > 0 {
            base.snapshot.visit(
                Table::Rows,
                bounds,
                Direction::Forward,
                &mut |key, value| {
                    while let Some((before, staged)) =
                        staged.next_if(|(staged, _)| staged.as_bytes() < key)
                    {
                        if !staged.row.is_empty() && rows.len() < limit {
                            rows.push((before.clone(), staged.row.clone()));
                        }
                    }
                    if rows.len() >= limit {
                        return ControlFlow::Break(());
                    }
                    if let Some((same, staged)) =
                        staged.next_if(|(staged, _)| staged.as_bytes() == key)
                    {
                        if !staged.row.is_empty() {
                            rows.push((same.clone(), staged.row.clone()));
                        }
                        return ControlFlow::Continue(());
                    }
                    match format::read_row_key(key) {
                        Ok(found) => match format::read_row(&base.shared.digest_key, key, value) {
                            Some((_, row)) => rows.push((found, row)),
                            None => broken.push(found),
                        },
                        Err(error) => {
                            outcome = Err(error);
                            return ControlFlow::Break(());
                        }
                    }
                    ControlFlow::Continue(())
                },
            )?;
            outcome?;
        }
        for (key, staged) in staged.filter(|(_, staged)| !staged.row.is_empty()) {
            if rows.len() >= limit {
                break;
            }
            rows.push((key.clone(), staged.row.clone()));
        }
        Ok((rows, broken))
    }
}

/// A transaction that fails or panics leaves the group as it was. Rows that it found damaged stay
/// withdrawn.
impl<E: Engine> Drop for Transaction<'_, E> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for (key, row, changed) in std::mem::take(&mut self.undo) {
            self.staging.restore(&key, row, changed);
        }
        self.staging.clock = self.clock_before.clone();
    }
}

impl<E: Engine> Staging<E> {
    /// The last dot made since the store was opened, with a counter of zero under an id that has
    /// made none.
    ///
    /// The id changes when somebody claims to have seen more of it than was ever made: by a bug or
    /// a lie. Going on under it would name our writes with dots that are taken for dead.
    fn last_dot(&mut self) -> Dot {
        let sound = |last: &Dot| self.context.next_dot(last.replica).counter <= last.counter + 1;
        if let Some(last) = self.last.filter(sound) {
            return last;
        }
        let environment = &self.base.shared.environment;
        let (mut now, entropy) = (environment.wall_ms(), environment.entropy());
        let mut fresh = ReplicaId::mint(now, entropy);
        // Never continue an id that anybody has used, even if time and entropy repeat.
        while self.context.intervals_of(fresh).next().is_some() {
            now += 1;
            fresh = ReplicaId::mint(now, entropy);
        }
        *self.last.insert(Dot::new(fresh, 0))
    }
}

fn is_own(first: Dot, dot: Dot) -> bool {
    dot.replica == first.replica && dot.counter >= first.counter
}

pub(crate) fn check_key(key: &RowKey) -> Result<(), StoreError> {
    key.check_limits().map_err(|error| match error {
        RowKeyError::KeyTooLong(length) => StoreError::KeyTooLong { length },
        RowKeyError::FieldTooLong(length) => StoreError::FieldTooLong { length },
        _ => damaged(key),
    })
}

pub(crate) fn check_payload(payload: &[u8]) -> Result<(), StoreError> {
    if payload.len() > limits::MAX_PAYLOAD {
        return Err(StoreError::ValueTooLarge {
            length: payload.len(),
        });
    }
    Ok(())
}
