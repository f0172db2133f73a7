//! The counted index held against the rows, and what would mend it.

use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Row, RowKey};
use syncline_merkle::{Item, KeyRange, MAX_LEVEL, Node, NodeEdit, Nodes, RangeDigest, tree};

use super::{Changes, Index, entry, items, row_key, write_entries, write_nodes};
use crate::engine::{Batch, Direction, Engine, Snapshot, Table};
use crate::{StoreError, View};

/// What makes the index agree with the rows.
pub(crate) struct Repairs {
    entries: Changes,
    nodes: Vec<NodeEdit>,
    /// What is filed under no level.
    garbage: Vec<Vec<u8>>,
}

impl Repairs {
    /// Whether there is nothing to mend.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.nodes.is_empty() && self.garbage.is_empty()
    }

    pub(crate) fn apply(&self, batch: &mut Batch) {
        write_entries(&self.entries, batch);
        write_nodes(&self.nodes, batch);
        for key in &self.garbage {
            batch.remove(Table::Counts, key);
        }
    }
}

/// Holds the index against the rows. O(n log n), in memory that grows with the differences only.
pub(crate) fn repairs<E: Engine>(view: &View<E>) -> Result<Repairs, StoreError> {
    let mut entries = Changes::default();
    for row in view.scan(&KeyRange::ALL) {
        match row {
            Ok((key, row)) => {
                if let Some(entry) = entry(&key, &row)
                    && !is_there(view, &entry)?
                {
                    entries.set(entry, true);
                }
            }
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut outcome = Ok(());
    let all = (Bound::Unbounded, Bound::Unbounded);
    let direction = Direction::Forward;
    view.snapshot
        .visit(Table::Counted, all, direction, &mut |entry, _| {
            match is_of_a_row(view, entry) {
                Ok(true) => {}
                Ok(false) => entries.set(entry.to_vec(), false),
                Err(error) => outcome = Err(error),
            }
            match outcome.is_ok() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
    outcome?;
    let mended = Mended {
        base: view,
        changes: &entries,
    };
    let nodes = tree::recount(&view.shared.digest_key, &mended)?.repairs;
    Ok(Repairs {
        entries,
        nodes,
        garbage: garbage(view)?,
    })
}

/// Whether the counts are those of the entries that are there. Reads all of both.
pub(crate) fn counts_are_sound<E: Engine>(view: &View<E>) -> Result<bool, StoreError> {
    let as_they_are = Mended {
        base: view,
        changes: &Changes::default(),
    };
    let recount = tree::recount(&view.shared.digest_key, &as_they_are)?;
    Ok(recount.is_sound() && garbage(view)?.is_empty())
}

/// What is filed among the counts under no level.
fn garbage<E: Engine>(view: &View<E>) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut garbage = Vec::new();
    let no_level = (Bound::Included(&[MAX_LEVEL + 1][..]), Bound::Unbounded);
    for bounds in [(Bound::Unbounded, Bound::Excluded(&[0][..])), no_level] {
        view.snapshot
            .visit(Table::Counts, bounds, Direction::Forward, &mut |key, _| {
                garbage.push(key.to_vec());
                ControlFlow::Continue(())
            })?;
    }
    Ok(garbage)
}

/// Whether a row is listed as it should be.
pub(crate) fn is_listed<E: Engine>(
    view: &View<E>,
    key: &RowKey,
    row: &Row,
) -> Result<bool, StoreError> {
    match entry(key, row) {
        Some(entry) => is_there(view, &entry),
        None => Ok(true),
    }
}

/// Whether the index has an entry, with nothing in it.
fn is_there<E: Engine>(view: &View<E>, entry: &[u8]) -> Result<bool, StoreError> {
    let value = view.snapshot.get(Table::Counted, entry)?;
    Ok(value.is_some_and(|value| value.is_empty()))
}

/// Whether an entry is one of a row that is there. What a damaged row was listed under nobody knows,
/// and goes with it.
pub(crate) fn is_of_a_row<E: Engine>(view: &View<E>, found: &[u8]) -> Result<bool, StoreError> {
    let Some(key) = row_key(found) else {
        return Ok(false);
    };
    match view.get(&key) {
        Ok(row) => Ok(row.and_then(|row| entry(&key, &row)).as_deref() == Some(found)),
        Err(StoreError::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The tree as it is, over entries as they should be. A count that cannot be read is one that is
/// wrong, whatever it should be.
struct Mended<'v, E: Engine> {
    base: &'v View<E>,
    changes: &'v Changes,
}

impl<E: Engine> Nodes for Mended<'_, E> {
    type Error = StoreError;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, StoreError> {
        self.base.last_node(Table::Counts, level, bound, lenient)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, StoreError> {
        self.base
            .nodes_of(Table::Counts, level, range, limit, lenient)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        let Self { base, changes } = *self;
        let entries = Index { base, changes }.page(range, Direction::Forward, limit)?;
        Ok(items(entries))
    }
}

fn lenient(key: &[u8], value: &[u8]) -> Result<Node, StoreError> {
    Ok(
        crate::format::read_count(key, value).unwrap_or_else(|| Node {
            fence: key.get(1..).unwrap_or_default().to_vec(),
            digest: RangeDigest::counting(u64::MAX),
        }),
    )
}
