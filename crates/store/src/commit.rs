//! From what a group has done to the one batch that makes it so in every table.

use std::ops::ControlFlow;
use std::sync::Arc;

use syncline_crdt::{Dot, Edit, RowKey};
use syncline_merkle::{Change, ItemDigest, KeyRange, tree};

use crate::engine::{Batch, Direction, Engine, Snapshot, Table};
use crate::format::{self, State};
use crate::staging::{Staged, Staging};
use crate::store::Head;
use crate::{StoreError, View};

/// The batch that makes the staged changes durable, and the head that goes with it. `None` if nothing has changed.
///
/// Every table changes with its rows: what is written here and what a recount finds must be the same.
pub(crate) fn prepare<E: Engine>(
    staging: &Staging<E>,
) -> Result<Option<(Batch, Head)>, StoreError> {
    if staging.torn {
        return Err(StoreError::Torn);
    }
    let base = &staging.base;
    let mut batch = Batch::new();
    let changes = write_rows(staging, &mut batch);
    let keys = count_keys(staging, &changes)?;
    let rows = write_digests(base, &changes, &mut batch)?;
    write_context(&staging.context_edits, &mut batch);
    if batch.is_empty() {
        return Ok(None);
    }
    let head = Head {
        state: State {
            commits: base.head.state.commits + 1,
            clock: staging.clock.last(),
            rows,
            keys,
        },
        context: Arc::new(staging.context.clone()),
        withdrawals: base.head.withdrawals + staging.withdrawn,
    };
    Ok(Some((batch, head)))
}

/// A row that differs from the snapshot, with its new digest.
struct ChangedRow<'s> {
    key: &'s RowKey,
    staged: &'s Staged,
    digest: Option<ItemDigest>,
}

/// Rows and dot index. Returns the rows that differ, in key order.
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
    // All removals first: a dot that goes from one row to another must end up indexed.
    for change in &changes {
        for dot in change.staged.gone_dots() {
            batch.remove(Table::Dots, &format::dot_key(dot));
        }
    }
    for change in &changes {
        for dot in change.staged.new_dots() {
            batch.put(Table::Dots, &format::dot_key(dot), change.key.as_bytes());
        }
    }
    changes
}

/// The digest tree. Returns the number of rows that it now counts.
fn write_digests<E: Engine>(
    base: &View<E>,
    changes: &[ChangedRow<'_>],
    batch: &mut Batch,
) -> Result<u64, StoreError> {
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|change| Change {
            key: change.key.as_bytes(),
            old: change.staged.before.digest,
            new: change.digest,
        })
        .collect();
    let mut rows = base.head.state.rows;
    for edit in tree::apply(&base.shared.digest_key, base, &changes)? {
        if edit.level == 0 {
            rows = edit.digest.map_or(0, |root| root.count());
        }
        let key = format::node_key(edit.level, &edit.fence);
        match edit.digest {
            Some(digest) => batch.put(Table::Digests, &key, &digest.to_bytes()),
            None => batch.remove(Table::Digests, &key),
        }
    }
    Ok(rows)
}

fn write_context(edits: &[Edit], batch: &mut Batch) {
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

/// The number of user keys with a row, after the changes. Only a key whose last row may have gone needs a search: whether
/// it had any before is known from looking its rows up.
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
