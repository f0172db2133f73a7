//! From what a group has done to the one batch that makes it so in every table.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use syncline_crdt::{Dot, Edit, RowKey};
use syncline_merkle::{Change, Item, ItemDigest, KeyRange, Node, Nodes, tree};
use tracing::trace_span;

use crate::engine::{Batch, Direction, Engine, Snapshot, Table};
use crate::format::{self, State, meta};
use crate::sketch::{Elements, Sketch};
use crate::staging::{Staged, Staging};
use crate::store::Head;
use crate::watch::departures;
use crate::{StoreError, View, counted, due, removals};

/// What a group comes to.
pub(crate) enum Prepared {
    /// Nothing has changed.
    Unchanged,
    /// The batch that makes the changes, the head that goes with it, and the keys of the rows that
    /// change, if anybody listens.
    Changes(Box<Batch>, Head, Option<Vec<RowKey>>),
    /// Damaged rows were found on the way: they have to be withdrawn first.
    Damaged(BTreeSet<RowKey>),
}

/// Makes the batch of the staged changes.
///
/// Every table changes with its rows: what is written here and what a recount finds must be the
/// same. Each step is a span, so that a subscriber can tell what it takes; without one that is free.
pub(crate) fn prepare<E: Engine>(staging: &Staging<E>) -> Result<Prepared, StoreError> {
    if staging.torn {
        return Err(StoreError::Torn);
    }
    let base = &staging.base;
    let mut batch = Batch::new();
    let changes = trace_span!("rows").in_scope(|| write_rows(staging, &mut batch));
    trace_span!("dots").in_scope(|| write_dots(staging, &changes, &mut batch));
    let keys = count_keys(staging, &changes)?;
    let (rows, damaged) =
        trace_span!("digests").in_scope(|| write_digests(base, &changes, &mut batch))?;
    if !damaged.is_empty() {
        return Ok(Prepared::Damaged(damaged));
    }
    due::write(base, &changes, &mut batch)?;
    trace_span!("counted").in_scope(|| counted::write(base, &changes, &mut batch))?;
    write_context(&staging.context_edits, &mut batch);
    let commits = base.head.state.commits + 1;
    let sketch =
        trace_span!("sketch").in_scope(|| write_sketch(staging, &changes, commits, &mut batch))?;
    let (log, missing) =
        trace_span!("removals").in_scope(|| removals::write(staging, &mut batch))?;
    let departed = changes.iter().filter(|row| row.departs(base));
    let departed = departed.map(|row| row.key);
    let departures = departures::write(base, commits, departed, &mut batch)?;
    if batch.is_empty() {
        return Ok(Prepared::Unchanged);
    }
    if let Some(openings) = base.shared.openings.to_remember(commits) {
        batch.put(Table::Meta, meta::OPENINGS, &openings);
    }
    let listened = base.shared.feed.has_listeners();
    let changed = listened.then(|| changes.iter().map(|row| row.key.clone()).collect());
    let head = Head {
        state: State {
            commits,
            clock: staging.clock.last(),
            rows,
            keys,
            log,
            as_of_ms: base.now_ms(),
        },
        context: Arc::new(staging.context.clone()),
        sketch,
        missing,
        sketch_testifies: base.head.sketch_testifies,
        withdrawals: base.head.withdrawals + staging.withdrawn,
        departures,
    };
    Ok(Prepared::Changes(Box::new(batch), head, changed))
}

/// A row that differs from the snapshot, with its new digest.
pub(crate) struct ChangedRow<'s> {
    pub(crate) key: &'s RowKey,
    pub(crate) staged: &'s Staged,
    digest: Option<ItemDigest>,
}

impl ChangedRow<'_> {
    /// Whether the row changes without a dot that was not seen before, by which the change could be
    /// found. A dot that comes from another row, or comes back, was seen.
    fn departs<E: Engine>(&self, base: &View<E>) -> bool {
        let mut new = self.staged.new_dots();
        !new.any(|dot| !base.context().contains(&dot))
    }
}

/// The rows. Returns those that differ, in key order.
fn write_rows<'s, E: Engine>(staging: &'s Staging<E>, batch: &mut Batch) -> Vec<ChangedRow<'s>> {
    let mut changes = Vec::new();
    let mut value = Vec::new();
    for (key, staged) in staging.rows.iter().filter(|(_, staged)| staged.changed) {
        let digest = if staged.row.is_empty() {
            if !staged.before.present && staged.before.sound {
                continue;
            }
            batch.remove(Table::Rows, key.as_bytes());
            None
        } else {
            value.clear();
            let digest = format::write_row(
                &staging.base.shared.digest_key,
                key,
                &staged.row,
                &mut value,
            );
            if staged.before.sound && staged.before.digest == Some(digest) {
                // Changed and changed back.
                continue;
            }
            batch.put(Table::Rows, key.as_bytes(), &value);
            Some(digest)
        };
        changes.push(ChangedRow {
            key,
            staged,
            digest,
        });
    }
    changes
}

/// The dot index.
fn write_dots<E: Engine>(staging: &Staging<E>, changes: &[ChangedRow<'_>], batch: &mut Batch) {
    // All removals first: a dot that goes from one row to another must end up indexed.
    for dot in &staging.orphans {
        batch.remove(Table::Dots, &format::dot_key(*dot));
    }
    for change in changes {
        for dot in change.staged.gone_dots() {
            batch.remove(Table::Dots, &format::dot_key(dot));
        }
    }
    for change in changes {
        for dot in change.staged.new_dots() {
            batch.put(Table::Dots, &format::dot_key(dot), change.key.as_bytes());
        }
    }
}

/// The digest tree. Returns the number of rows that it now counts, and damaged rows that were read
/// for it.
fn write_digests<E: Engine>(
    base: &View<E>,
    changes: &[ChangedRow<'_>],
    batch: &mut Batch,
) -> Result<(u64, BTreeSet<RowKey>), StoreError> {
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|change| Change {
            key: change.key.as_bytes(),
            old: change.staged.before.digest,
            new: change.digest,
        })
        .collect();
    let mut rows = base.head.state.rows;
    let tree = Checked {
        base,
        changes: &changes,
        damaged: RefCell::default(),
    };
    for edit in tree::apply(&base.shared.digest_key, &tree, &changes)? {
        if edit.level == 0 {
            rows = edit.digest.map_or(0, |root| root.count());
        }
        let key = format::node_key(edit.level, &edit.fence);
        match edit.digest {
            Some(digest) => batch.put(Table::Digests, &key, &digest.to_bytes()),
            None => batch.remove(Table::Digests, &key),
        }
    }
    Ok((rows, tree.damaged.into_inner()))
}

/// The tree before the group. Where a node is split, it is summed up anew from its rows: these are
/// held against their digests first, because damage that got into a sum would outlive the
/// withdrawal of its row.
struct Checked<'s, E: Engine> {
    base: &'s View<E>,
    /// In key order; of these rows the tree takes nothing from here.
    changes: &'s [Change<'s>],
    damaged: RefCell<BTreeSet<RowKey>>,
}

impl<E: Engine> Nodes for Checked<'_, E> {
    type Error = StoreError;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, StoreError> {
        self.base.last_before(level, bound)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, StoreError> {
        self.base.nodes(level, range, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        let is_changed = |key: &[u8]| {
            let found = self.changes.binary_search_by(|change| change.key.cmp(key));
            found.is_ok()
        };
        self.base.items_as(range, limit, |key, value| {
            let sound = is_changed(key)
                || format::read_row(&self.base.shared.digest_key, key, value).is_some();
            if !sound {
                self.damaged.borrow_mut().insert(format::read_row_key(key)?);
            }
            // That it may be wrong does not matter: nothing is committed on top of damage.
            Ok(format::row_digest_as_it_is(value))
        })
    }
}

/// The sketch of the dot index. Where rows were withdrawn, the index may have been mended, which the
/// sketch follows.
fn write_sketch<E: Engine>(
    staging: &Staging<E>,
    rows: &[ChangedRow<'_>],
    commit: u64,
    batch: &mut Batch,
) -> Result<Arc<Sketch>, StoreError> {
    let base = &staging.base;
    let key = &base.shared.sketch_key;
    let mut elements = Elements::new(key);
    let mut changes = Vec::new();
    for row in rows {
        let gone = row.staged.gone_dots().map(|dot| (dot, false));
        let new = row.staged.new_dots().map(|dot| (dot, true));
        changes.extend(
            gone.chain(new)
                .map(|(dot, live)| elements.change(dot, live)),
        );
    }
    for dot in &staging.orphans {
        if base
            .snapshot
            .get(Table::Dots, &format::dot_key(*dot))?
            .is_some()
        {
            changes.push(elements.change(*dot, false));
        }
    }
    if changes.is_empty() && staging.index.is_none() {
        return Ok(Arc::clone(&base.head.sketch));
    }
    let before = &base.head.sketch;
    let after = match &staging.index {
        Some(index) if *index != before.symbols() => {
            Sketch::mended(&base.snapshot, index.clone(), &changes, commit, batch)?
        }
        _ => before.after(&changes, commit, batch),
    };
    Ok(Arc::new(after))
}

pub(crate) fn write_context(edits: &[Edit], batch: &mut Batch) {
    for edit in edits {
        match *edit {
            Edit::Put {
                replica,
                start,
                end,
            } => {
                let first = format::dot_key(Dot::new(replica, start));
                batch.put(Table::Context, &first, &end.to_be_bytes());
            }
            Edit::Remove { replica, start } => {
                batch.remove(Table::Context, &format::dot_key(Dot::new(replica, start)));
            }
        }
    }
}

/// The number of user keys with a row, after the changes. Only a key whose last row may have gone
/// needs a search: whether it had any before is known from looking its rows up.
fn count_keys<E: Engine>(
    staging: &Staging<E>,
    changes: &[ChangedRow<'_>],
) -> Result<u64, StoreError> {
    let mut keys = staging.base.head.state.keys;
    for rows in changes.chunk_by(|a, b| format::user_part(a.key) == format::user_part(b.key)) {
        let had = rows
            .iter()
            .any(|row| row.staged.before.digest.is_some() || row.staged.before.neighbours);
        let has = rows.iter().any(|row| row.digest.is_some())
            || (had && has_other_rows(&staging.base, rows)?);
        keys = keys
            .wrapping_add(u64::from(has))
            .wrapping_sub(u64::from(had));
    }
    Ok(keys)
}

/// Whether the user key of `removed`, which are all its changed rows, has rows beside them.
fn has_other_rows<E: Engine>(
    base: &View<E>,
    removed: &[ChangedRow<'_>],
) -> Result<bool, StoreError> {
    let range = KeyRange::prefix(format::user_part(removed[0].key));
    let mut found = false;
    if let Some(bounds) = range.bounds() {
        base.snapshot
            .visit(Table::Rows, bounds, Direction::Forward, &mut |key, _| {
                found = removed
                    .binary_search_by(|row| row.key.as_bytes().cmp(key))
                    .is_err();
                if found {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
    }
    Ok(found)
}
