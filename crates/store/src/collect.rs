//! What nobody can see any more, and nobody can put off, goes: rows behind deadlines that every
//! carrier has passed, and remnants of counters whose deletion every carrier has seen.
//!
//! Each replica drops them by itself and tells nobody. The dots stay in the context, so a session
//! with a replica that has yet to do so takes them for dropped there, too.

use std::collections::BTreeSet;

use syncline_crdt::{CarrierId, Dot, Family, RowKey, Stability, cell, expiry};
use syncline_merkle::KeyRange;

use crate::due::DueMark;
use crate::engine::Engine;
use crate::staging::Staging;
use crate::{Durability, Store, StoreError};

/// What a [`Store::collect`] has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Rows that are gone.
    pub rows: u64,
    /// Where to go on; `None` when all that was due has been looked at.
    pub next: Option<DueMark>,
}

/// How many entries are looked at in one commit.
const ENTRIES: usize = 1_024;

impl<E: Engine> Store<E> {
    /// Drops garbage: the settled siblings of keys whose deadline every carrier has passed with
    /// nothing to put it off ([`expiry::is_garbage`]), and the remnants of counters whose deletion is
    /// causally stable. Looks at what is due from after `after`, and drops about `max_rows` rows at
    /// most, in one commit. O(n) in what is due and the rows of these keys.
    ///
    /// ```
    /// use syncline_crdt::{RowKey, expiry};
    /// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
    ///
    /// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// store.transact(Durability::Durable, |txn| {
    ///     txn.put(&RowKey::member(b"session", b"ada"), Vec::new())?;
    ///     txn.put(&RowKey::deadline(b"session"), expiry::to_bytes(Some(1_700_000_000_000)))
    /// })?;
    /// // A store that has met nobody need wait for nobody.
    /// store.tend()?;
    /// assert_eq!(store.collect(None, 1_000)?.rows, 2);
    /// assert_eq!(store.view()?.key_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the commit from being made.
    pub fn collect(
        &self,
        after: Option<&DueMark>,
        max_rows: usize,
    ) -> Result<Collected, StoreError> {
        // Read before the rows are: what becomes stable later is left for the next time.
        let stability = self.shared.lock_carriers().stability().clone();
        let mut group = self.group()?;
        let mut sweep = Sweep {
            staging: group.staging(),
            stability: &stability,
            left: max_rows.max(1),
            rows: 0,
        };
        let due = sweep
            .staging
            .base
            .due_until(stability.as_of_ms(), after, ENTRIES)?;
        let mut next = due.last().map(|(mark, _)| mark.clone());
        if due.len() < ENTRIES {
            next = None;
        }
        let mut before = after.cloned().unwrap_or(DueMark::START);
        for (mark, key) in due {
            let left = sweep.left;
            if left == 0 {
                next = Some(before);
                break;
            }
            let done = match key.family() {
                Family::DEADLINE => sweep.key(&key)?,
                _ => sweep.remnant(&key)?,
            };
            // Only where something went, or there would be no end to it.
            if !done && sweep.left < left {
                next = Some(before);
                break;
            }
            before = mark;
        }
        let rows = sweep.rows;
        group.commit(Durability::Buffered)?;
        Ok(Collected { rows, next })
    }
}

/// A commit's worth of collection.
struct Sweep<'s, E: Engine> {
    staging: &'s mut Staging<E>,
    stability: &'s Stability<CarrierId>,
    /// How many rows may still go.
    left: usize,
    rows: u64,
}

impl<E: Engine> Sweep<'_, E> {
    /// Drops the remnant of a counter.
    fn remnant(&mut self, key: &RowKey) -> Result<bool, StoreError> {
        self.staging.load(key)?;
        let delete = cell::remnant(&self.staging.rows[key].row);
        if let Some(delete) = delete.filter(|delete| self.stability.is_stable(delete)) {
            self.drop_dots(key, &[delete]);
        }
        Ok(true)
    }

    /// Drops of a key's rows what is settled, if its deadline says so. Returns whether that is all of
    /// it.
    ///
    /// The rows by which the deadline is judged go last and together. As long as they are there, the
    /// rest is hidden by them, and can go in as many commits as it takes.
    fn key(&mut self, deadline_key: &RowKey) -> Result<bool, StoreError> {
        let user = deadline_key.user_key();
        let cell_key = RowKey::cell(&user);
        self.staging.load(deadline_key)?;
        self.staging.load(&cell_key)?;
        let deadlines = expiry::read(&self.staging.rows[deadline_key].row);
        let set = cell::winning_set(&self.staging.rows[&cell_key].row);
        let range = KeyRange::prefix(&RowKey::key_prefix(&user));
        let settled = self.stability.settled();
        let mut others = Vec::new();
        let (mut complete, mut holds_others) = (true, false);
        for row in self.staging.base.scan(&range) {
            let (key, goes) = match row {
                Ok((key, row)) => (key, row.dots().any(|dot| settled.contains(&dot))),
                // It is withdrawn when it is loaded, below.
                Err(StoreError::Damaged { key }) => (crate::format::read_row_key(&key)?, true),
                Err(error) => return Err(error),
            };
            if key == *deadline_key || key == cell_key {
                continue;
            }
            holds_others = true;
            if !goes {
                // It stays, however many there are, and must not stand before what can go.
                continue;
            }
            if others.len() == self.left {
                complete = false;
                break;
            }
            others.push(key);
        }
        let is_absent = !holds_others && self.staging.rows[&cell_key].row.is_empty();
        let in_force = expiry::in_force(&deadlines, set);
        if !expiry::is_garbage(in_force, is_absent, self.stability) {
            return Ok(true);
        }
        self.staging.load_all(others.iter())?;
        for key in &others {
            self.drop_settled(key);
        }
        if complete {
            self.drop_settled(&cell_key);
            self.drop_settled(deadline_key);
        }
        Ok(complete)
    }

    fn drop_settled(&mut self, key: &RowKey) {
        let settled = self.stability.settled();
        let dots = self.staging.rows[key].row.dots();
        let dots: Vec<Dot> = dots.filter(|dot| settled.contains(dot)).collect();
        self.drop_dots(key, &dots);
    }

    fn drop_dots(&mut self, key: &RowKey, dots: &[Dot]) {
        if dots.is_empty() {
            return;
        }
        let dots: BTreeSet<&Dot> = dots.iter().collect();
        let went = self.staging.edit(key, |row, _| {
            let before = row.len();
            *row = row
                .iter()
                .filter(|it| !dots.contains(&it.dot))
                .cloned()
                .collect();
            row.len() < before
        });
        self.rows += u64::from(went && self.staging.rows[key].row.is_empty());
        self.left = self.left.saturating_sub(1);
    }
}
