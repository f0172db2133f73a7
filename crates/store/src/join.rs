//! Joining what another replica holds into what we hold.

use std::ops::ControlFlow;

use syncline_crdt::{Context, Delta, Dot, Row, RowKey, Sibling, Stamp};
use syncline_merkle::KeyRange;

use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format;
use crate::removals::Told;
use crate::staging::Staging;
use crate::transaction::{check_key, check_payload};
use crate::{RangeRemoval, Removal, StoreError, View};

/// Rows that another replica holds, and what it has seen.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// Rows as the peer holds them.
    pub rows: Vec<(RowKey, Row)>,
    /// Keys at which the peer holds nothing.
    pub absent: Vec<RowKey>,
    /// A range of which `rows` is everything that the peer holds.
    pub covers: Option<KeyRange>,
    /// What the peer had seen, as of the session's start: says which of our dots it has dropped. It
    /// is used by the join and not added to our context.
    pub context: &'a Context,
    /// What is added to our context in the same commit, after the joins. Beside it only the rows'
    /// own dots are added: a context may be merged once all that was live in it and unknown here
    /// has been joined, and not before.
    pub learned: Context,
    /// Removals that the peer's log names, for ours: those that are news here are logged. What is
    /// at their keys is among `rows` and `absent`, here or in another join.
    pub removals: Vec<Removal>,
    /// Removals of whole ranges that it names. What they had observed in their ranges has been dropped
    /// here before.
    pub ranges: Vec<RangeRemoval>,
    /// The dots all of whose removals are among `removals` and `ranges`, here and not in another join:
    /// our log may have given those up. Of other dots in `learned`, it will say that their removals may be
    /// missing from it; of these it will not, even if it did before.
    pub logged: Context,
    /// Whether the rows as they are after the join are wanted back.
    pub report_rows: bool,
}

impl<'a> Incoming<'a> {
    /// Nothing yet, from a peer that has seen `context`.
    pub fn from_peer(context: &'a Context) -> Self {
        Self {
            rows: Vec::new(),
            absent: Vec::new(),
            covers: None,
            context,
            learned: Context::new(),
            removals: Vec::new(),
            ranges: Vec::new(),
            logged: Context::new(),
            report_rows: false,
        }
    }
}

/// What a join has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// Rows that are not what they were; those added and removed included.
    pub changed: u64,
    /// Rows that were absent and are present.
    pub added: u64,
    /// Rows that were present and are absent.
    pub removed: u64,
    /// Dots that were live in two rows, or under which there were two contents: by a bug or a lie
    /// somewhere. All replicas keep the same of them.
    pub conflicting: u64,
    /// Damaged rows of ours that were withdrawn before they were joined.
    pub withdrawn: u64,
    /// The rows after the join, if asked for: one for each of `rows`, then one for each of
    /// `absent`.
    pub results: Vec<Row>,
}

impl<E: Engine> Staging<E> {
    /// Joins each row under our live context, then adds the rows' own dots and what was learned to
    /// it.
    pub(crate) fn join(&mut self, mut incoming: Incoming<'_>) -> Result<Joined, StoreError> {
        self.is_joined = true;
        for (key, row) in &incoming.rows {
            check_key(key)?;
            row.iter()
                .try_for_each(|sibling| check_payload(&sibling.payload))?;
        }
        for Removal { key, .. } in &incoming.removals {
            check_key(key)?;
        }
        let wanted: Vec<RowKey> = if incoming.report_rows {
            let keys = incoming.rows.iter().map(|(key, _)| key);
            keys.chain(&incoming.absent).cloned().collect()
        } else {
            Vec::new()
        };
        // Ascending keys read neighbouring pages.
        if !incoming.rows.is_sorted_by(|a, b| a.0 <= b.0) {
            incoming.rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut joined = Joined {
            conflicting: separate_shared_dots(&mut incoming.rows),
            ..Joined::default()
        };
        let absent = self.absent_keys(&incoming)?;

        self.torn = true;
        let withdrawn_before = self.withdrawn;
        self.load_all(incoming.rows.iter().map(|(key, _)| key))?;
        self.load_all(absent.iter())?;
        for key in &absent {
            self.join_row(key, Row::new(), incoming.context, &mut joined)?;
        }
        let mut dots = Vec::with_capacity(incoming.rows.len());
        let mut latest = Stamp::ZERO;
        for (key, row) in incoming.rows {
            dots.extend(row.dots());
            let stamps = row.iter().map(|sibling| sibling.stamp);
            latest = stamps.fold(latest, Stamp::max);
            self.join_row(&key, row, incoming.context, &mut joined)?;
        }
        self.clock.observe(latest);
        let missing = &self.base.head.missing;
        for removal in incoming.removals {
            let dot = &removal.dot;
            if !self.context.contains(dot) || self.removals.may_miss(dot, missing) {
                self.removals.log(removal);
            }
        }
        for removal in incoming.ranges {
            let unknown = removal.dots.difference(&self.context);
            let untold = removal.dots.intersection(&self.removals.missing(missing));
            if !unknown.is_empty() || !untold.is_empty() {
                self.removals.log_range(removal);
            }
        }
        self.removals.tell(&incoming.logged);
        let new = incoming.learned.difference(&self.context);
        self.see(dots);
        // What is learned and not live in a row is dead: by removals or otherwise, nobody knows.
        let dead = new.difference(&self.context);
        self.removals.miss(
            &new.difference(&incoming.logged),
            &dead.difference(&incoming.logged),
        );
        self.context
            .merge_recording(&incoming.learned, &mut self.context_edits);
        self.torn = false;

        if joined.conflicting > 0 {
            tracing::warn!(
                namespace = self.base.shared.namespace,
                dots = joined.conflicting,
                "dots were used twice, by a bug or a lie; all replicas keep the same of them"
            );
        }
        joined.withdrawn = self.withdrawn - withdrawn_before;
        joined.results = wanted
            .iter()
            .map(|key| self.rows[key].row.clone())
            .collect();
        Ok(joined)
    }

    /// Joins a delta: its rows, and every row of ours that holds a dot which the delta has
    /// superseded.
    pub(crate) fn join_delta(&mut self, delta: &Delta) -> Result<Joined, StoreError> {
        let superseded = self.rows_of(delta.context())?;
        let absent: Vec<RowKey> = superseded
            .into_iter()
            .filter(|key| delta.row(key).is_none())
            .collect();
        let Told { removals, logged } = Told::by(delta, &self.context, &absent);
        self.join(Incoming {
            absent,
            removals,
            logged,
            rows: delta
                .rows()
                .map(|(key, row)| (key.clone(), row.clone()))
                .collect(),
            learned: delta.context().clone(),
            ..Incoming::from_peer(delta.context())
        })
    }

    /// The keys at which the peer holds nothing: those it names, and ours in the covered range.
    /// Where it gives a row as well, the row counts: joining both would take the row's dots for
    /// dropped.
    fn absent_keys(&self, incoming: &Incoming<'_>) -> Result<Vec<RowKey>, StoreError> {
        let mut absent = incoming.absent.clone();
        if let Some(range) = &incoming.covers {
            self.base.visit_keys(range, |key| absent.push(key))?;
            if let Some(bounds) = range.bounds() {
                let staged = self.rows.range::<[u8], _>(bounds);
                absent.extend(staged.map(|(key, _)| key.clone()));
            }
        }
        absent.sort();
        absent.dedup();
        absent.retain(|key| {
            let given = incoming.rows.binary_search_by(|(given, _)| given.cmp(key));
            given.is_err()
        });
        Ok(absent)
    }

    fn join_row(
        &mut self,
        key: &RowKey,
        theirs: Row,
        context: &Context,
        joined: &mut Joined,
    ) -> Result<(), StoreError> {
        let ours = &self.rows[key].row;
        let was_present = !ours.is_empty();
        let mut seen = Vec::new();
        for sibling in &theirs {
            match ours.get(&sibling.dot) {
                Some(mine) => joined.conflicting += u64::from(mine != sibling),
                None if self.context.contains(&sibling.dot) => seen.push(sibling.clone()),
                None => {}
            }
        }
        let mut changed = if !was_present && seen.is_empty() {
            // Nothing to join with: most rows that arrive are new, and are taken as they are.
            self.edit(key, |ours, _| {
                *ours = theirs;
                !ours.is_empty()
            })
        } else {
            self.edit(key, |ours, seen| ours.join_in_place(seen, &theirs, context))
        };
        for sibling in seen {
            changed |= self.claim(key, sibling, joined)?;
        }
        joined.changed += u64::from(changed);
        match (was_present, !self.rows[key].row.is_empty()) {
            (false, true) => joined.added += 1,
            (true, false) => joined.removed += 1,
            _ => {}
        }
        Ok(())
    }

    /// A dot that we have seen and that is not live in this row: mostly we have dropped it, and so
    /// does the join. But if it is live in another row, somebody has used it twice. Then the row
    /// with the lesser key keeps it, here as on every replica.
    fn claim(
        &mut self,
        key: &RowKey,
        sibling: Sibling<Vec<u8>>,
        joined: &mut Joined,
    ) -> Result<bool, StoreError> {
        let Some(holder) = self.row_of(sibling.dot)?.filter(|holder| holder != key) else {
            return Ok(false);
        };
        joined.conflicting += 1;
        if holder < *key {
            return Ok(false);
        }
        self.load(&holder)?;
        self.edit(&holder, |row, _| row.remove(&sibling.dot).is_some());
        Ok(self.edit(key, |row, _| row.insert(sibling).is_none()))
    }

    /// Adds dots to the context, as few intervals as they make.
    fn see(&mut self, mut dots: Vec<Dot>) {
        dots.sort_unstable();
        let runs = dots.chunk_by(|a, b| a.replica == b.replica && b.counter - a.counter <= 1);
        for run in runs {
            let (first, last) = (run[0], run[run.len() - 1]);
            self.context.insert_recording(
                first.replica,
                first.counter,
                last.counter,
                &mut self.context_edits,
            );
        }
    }
}

impl<E: Engine> View<E> {
    /// The keys of the rows of a range, whose values are not looked at.
    fn visit_keys(
        &self,
        range: &KeyRange,
        mut visitor: impl FnMut(RowKey),
    ) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        if let Some(bounds) = range.bounds() {
            self.snapshot
                .visit(Table::Rows, bounds, Direction::Forward, &mut |key, _| {
                    match format::read_row_key(key) {
                        Ok(key) => {
                            visitor(key);
                            ControlFlow::Continue(())
                        }
                        Err(error) => {
                            outcome = Err(error);
                            ControlFlow::Break(())
                        }
                    }
                })?;
        }
        outcome
    }
}

/// Takes a dot that occurs in several of the rows, which are in key order, out of all but the
/// first. Returns how many siblings went.
fn separate_shared_dots(rows: &mut [(RowKey, Row)]) -> u64 {
    let mut dots: Vec<(Dot, usize)> = Vec::with_capacity(rows.len());
    for (at, (_, row)) in rows.iter().enumerate() {
        dots.extend(row.dots().map(|dot| (dot, at)));
    }
    dots.sort_unstable();
    let mut separated = 0;
    for pair in dots.windows(2) {
        let [(kept, _), (dot, at)] = *pair else {
            continue;
        };
        // One row given twice holds its dots twice, and rightly.
        let first = dots.partition_point(|entry| *entry < (dot, 0));
        if kept == dot && rows[dots[first].1].0 != rows[at].0 {
            rows[at].1.remove(&dot);
            separated += 1;
        }
    }
    separated
}
