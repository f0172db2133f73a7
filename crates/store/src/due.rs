//! Rows that are kept for a time only, listed so that nobody has to search for them: deadlines by
//! their time, and remnants of deleted counters.
//!
//! These are the only rows that the store looks into. What it makes of them shows in this table
//! alone: what a key with a deadline shows is for the reader to say.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Family, Row, RowKey, cell, expiry};
use syncline_merkle::{DigestKey, KeyRange};

use crate::commit::ChangedRow;
use crate::engine::{Batch, Bounds, Direction, Engine, EngineError, Snapshot, Table};
use crate::format;
use crate::{StoreError, View};

/// What the keys of the table begin with.
const TIMED: u8 = 0;
const UNTIMED: u8 = 1;
const REMNANT: u8 = 2;

/// The key under which a row is listed, if it is.
///
/// A deadline is listed under the earliest of its siblings: which of them is in force depends on
/// other rows, and it is that one or a later one.
pub(crate) fn entry(key: &RowKey, row: &Row) -> Option<Vec<u8>> {
    let mut entry = match key.family() {
        Family::DEADLINE if !row.is_empty() => {
            let deadlines = expiry::read(row);
            let times = deadlines.iter().filter_map(|deadline| deadline.payload);
            match times.min() {
                Some(at) => timed(at),
                None => vec![UNTIMED],
            }
        }
        Family::CELL | Family::FIELD | Family::SCORE if cell::remnant(row).is_some() => {
            vec![REMNANT]
        }
        _ => return None,
    };
    entry.extend_from_slice(key.as_bytes());
    Some(entry)
}

/// What the entries of deadlines at this time begin with.
fn timed(at: u64) -> Vec<u8> {
    [&[TIMED][..], &at.to_be_bytes()].concat()
}

/// The row that an entry is of.
fn row_key(entry: &[u8]) -> Result<RowKey, StoreError> {
    let key = match entry.split_first() {
        Some((&TIMED, rest)) => rest.get(8..),
        Some((&(UNTIMED | REMNANT), rest)) => Some(rest),
        _ => None,
    };
    key.and_then(|key| RowKey::from_bytes(key.to_vec()).ok())
        .ok_or(StoreError::DamagedTable {
            table: Table::Due.name(),
            detail: "a key is of no row",
        })
}

/// Lists the rows that changed, and no longer those that did not stay what they were.
pub(crate) fn write<E: Engine>(
    base: &View<E>,
    changes: &[ChangedRow<'_>],
    batch: &mut Batch,
) -> Result<(), StoreError> {
    for change in changes {
        let before = &change.staged.before;
        let now = entry(change.key, &change.staged.row);
        // Of a damaged row nobody knows under what it is listed.
        let stale = match before.sound {
            true => before.due.iter().cloned().collect(),
            false => base.due_entries_of(change.key)?,
        };
        for entry in stale.iter().filter(|entry| Some(*entry) != now.as_ref()) {
            batch.remove(Table::Due, entry);
        }
        if let Some(entry) = now.filter(|entry| !stale.contains(entry)) {
            batch.put(Table::Due, &entry, &[]);
        }
    }
    Ok(())
}

/// Lists anew what is due by the rows.
pub(crate) fn list_anew<E: Engine>(base: &View<E>, batch: &mut Batch) -> Result<(), StoreError> {
    for entry in base.due_entries((Bound::Unbounded, Bound::Unbounded), usize::MAX)? {
        batch.remove(Table::Due, &entry);
    }
    Ok(list_all(&base.snapshot, &base.shared.digest_key, batch)?)
}

/// Lists all rows, as of a store of an older format, which listed none.
pub(crate) fn list_all(
    snapshot: &impl Snapshot,
    digest_key: &DigestKey,
    batch: &mut Batch,
) -> Result<(), EngineError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    snapshot.visit(Table::Rows, all, Direction::Forward, &mut |key, value| {
        let row = format::read_row(digest_key, key, value);
        // A damaged row is listed when it has been fetched again.
        if let (Some((_, row)), Ok(key)) = (row, format::read_row_key(key))
            && let Some(entry) = entry(&key, &row)
        {
            batch.put(Table::Due, &entry, &[]);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

impl<E: Engine> View<E> {
    /// Whether any key has a deadline, or had one. A seek.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn has_deadlines(&self) -> Result<bool, StoreError> {
        let bounds = (Bound::Unbounded, Bound::Excluded(&[REMNANT][..]));
        Ok(!self.due_entries(bounds, 1)?.is_empty())
    }

    /// The keys of deadlines that may have been reached at this time, in Unix milliseconds, by their
    /// times, from after `after`; `limit` at most. Which deadline of a key is in force, other rows
    /// say: see [`expiry::in_force`].
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn deadlines_until(
        &self,
        at_ms: u64,
        after: Option<&DueMark>,
        limit: usize,
    ) -> Result<Vec<(DueMark, RowKey)>, StoreError> {
        let end = at_ms.checked_add(1).map_or(vec![UNTIMED], timed);
        self.marked(after, &end, limit)
    }

    /// The rows of which only the remnant of a deleted counter is left, in the order of their keys, from after `after`; `limit` at most.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn remnants(
        &self,
        after: Option<&DueMark>,
        limit: usize,
    ) -> Result<Vec<(DueMark, RowKey)>, StoreError> {
        let first = DueMark(vec![REMNANT]);
        self.marked(Some(after.unwrap_or(&first)), &[REMNANT + 1], limit)
    }

    /// How many deadlines and how many remnants of counters are listed, each counted up to `limit`. O(limit).
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn listed(&self, limit: usize) -> Result<Listed, StoreError> {
        let remnant = &[REMNANT][..];
        let deadlines = self.due_entries((Bound::Unbounded, Bound::Excluded(remnant)), limit)?;
        let remnants = self.due_entries((Bound::Included(remnant), Bound::Unbounded), limit)?;
        Ok(Listed {
            deadlines: deadlines.len() as u64,
            remnants: remnants.len() as u64,
        })
    }

    /// All that is listed up to that time, and what is listed without a time.
    pub(crate) fn due_until(
        &self,
        at_ms: u64,
        after: Option<&DueMark>,
        limit: usize,
    ) -> Result<Vec<(DueMark, RowKey)>, StoreError> {
        let mut due = self.deadlines_until(at_ms, after, limit)?;
        if due.len() < limit {
            let untimed = DueMark(vec![UNTIMED]);
            let after = after.filter(|after| **after > untimed).unwrap_or(&untimed);
            due.extend(self.marked(Some(after), &[REMNANT + 1], limit - due.len())?);
        }
        Ok(due)
    }

    fn marked(
        &self,
        after: Option<&DueMark>,
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<(DueMark, RowKey)>, StoreError> {
        let lower = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.0[..]));
        let entries = self.due_entries((lower, Bound::Excluded(end)), limit)?;
        let marked = entries.into_iter().map(|entry| {
            let key = row_key(&entry)?;
            Ok((DueMark(entry), key))
        });
        marked.collect()
    }

    fn due_entries(&self, bounds: Bounds<'_>, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut entries = Vec::new();
        if crate::engine::bounds_are_empty(bounds) {
            return Ok(entries);
        }
        self.snapshot
            .visit(Table::Due, bounds, Direction::Forward, &mut |entry, _| {
                if entries.len() == limit {
                    return ControlFlow::Break(());
                }
                entries.push(entry.to_vec());
                ControlFlow::Continue(())
            })?;
        Ok(entries)
    }

    /// The entries of a row, by a search of all of its kind.
    fn due_entries_of(&self, key: &RowKey) -> Result<Vec<Vec<u8>>, StoreError> {
        let bounds = match key.family() {
            Family::DEADLINE => (Bound::Unbounded, Bound::Excluded(&[REMNANT][..])),
            Family::CELL | Family::FIELD | Family::SCORE => {
                (Bound::Included(&[REMNANT][..]), Bound::Unbounded)
            }
            _ => return Ok(Vec::new()),
        };
        let mut entries = self.due_entries(bounds, usize::MAX)?;
        entries.retain(|entry| row_key(entry).is_ok_and(|found| found == *key));
        Ok(entries)
    }

    /// Whether the table lists what the rows say, and nothing else. O(n) in the rows, and in memory
    /// in what is listed.
    pub(crate) fn due_is_sound(&self) -> Result<bool, StoreError> {
        let mut expected = BTreeSet::new();
        for row in self.scan(&KeyRange::ALL) {
            match row {
                Ok((key, row)) => expected.extend(entry(&key, &row)),
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let found = self.due_entries((Bound::Unbounded, Bound::Unbounded), usize::MAX)?;
        Ok(found.into_iter().eq(expected))
    }
}

/// How many rows are kept for a time only: an answer of [`View::listed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listed {
    /// Deadlines of keys.
    pub deadlines: u64,
    /// What is left of deleted counters.
    pub remnants: u64,
}

/// A place among the rows that are due, to go on from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueMark(Vec<u8>);

impl DueMark {
    /// Before everything.
    pub(crate) const START: Self = Self(Vec::new());

    /// Behind all deadlines up to this time, in Unix milliseconds.
    #[must_use]
    pub fn after(at_ms: u64) -> Self {
        Self(at_ms.checked_add(1).map_or(vec![UNTIMED], timed))
    }
}
