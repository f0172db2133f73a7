//! Rows against their checksums; the dot index, the context and the clock against the rows; the
//! digest tree against the rows' fences; the counted index against what it lists of them.

use syncline_crdt::{Dot, RowKey};

use super::{Limits, Read, Scrub, read_entries};
use crate::counted::is_listed;
use crate::engine::{Engine, Snapshot, Table};
use crate::format;
use crate::group::Mend;
use crate::{Mismatch, Store, StoreError, View};

/// What of a row's surroundings is to be mended.
#[derive(Default)]
struct ToMend {
    /// Sound rows that index, context or clock do not agree with.
    rows: Vec<RowKey>,
    /// Entries under what is no key.
    garbage: Vec<Vec<u8>>,
}

impl Scrub {
    pub(super) fn check_rows<E: Engine>(
        &mut self,
        store: &Store<E>,
        limits: Limits,
    ) -> Result<Read, StoreError> {
        let view = store.view()?;
        let (rows, read) = read_entries(&view.snapshot, Table::Rows, &self.from, limits)?;
        self.tally(&view, &rows, self.from.is_empty());
        let mut to_mend = ToMend::default();
        for (bytes, value) in &rows {
            self.check_row(&view, bytes, value, &mut to_mend)?;
        }
        drop(view);
        if !to_mend.rows.is_empty() || !to_mend.garbage.is_empty() {
            store.group()?.mend(|base, mend| {
                for key in &to_mend.rows {
                    mend_row(base, key, mend)?;
                }
                for key in &to_mend.garbage {
                    mend.batch.remove(Table::Rows, key);
                }
                Ok(())
            })?;
        }
        Ok(read)
    }

    fn check_row<E: Engine>(
        &mut self,
        view: &View<E>,
        bytes: &[u8],
        value: &[u8],
        to_mend: &mut ToMend,
    ) -> Result<(), StoreError> {
        let namespace = &view.shared.namespace;
        let damaged = || Mismatch::Damaged {
            key: bytes.to_vec(),
        };
        let Ok(key) = format::read_row_key(bytes) else {
            self.report.note(namespace, damaged());
            to_mend.garbage.push(bytes.to_vec());
            return Ok(());
        };
        let digest_key = &view.shared.digest_key;
        let Some((_, row)) = format::read_row(digest_key, bytes, value) else {
            self.report.note(namespace, damaged());
            self.suspect(key, bytes);
            return Ok(());
        };
        if !self.suspects_counted {
            self.suspects_counted = !is_listed(view, &key, &row)?;
        }
        let before = self.report.damage_count;
        for sibling in &row {
            let dot = sibling.dot;
            let key = || key.clone();
            if !lists(view, dot, bytes)? {
                let mismatch = Mismatch::NotIndexed { key: key(), dot };
                self.report.note(namespace, mismatch);
            }
            if !view.context().contains(&dot) {
                let mismatch = Mismatch::NotSeen { key: key(), dot };
                self.report.note(namespace, mismatch);
            }
            if sibling.stamp > view.clock() {
                self.report.note(namespace, Mismatch::Clock { key: key() });
            }
        }
        if self.report.damage_count > before {
            to_mend.rows.push(key);
        }
        for level in 1..=digest_key.level(bytes) {
            let node = format::node_key(level, bytes);
            self.suspects_tree |= view.snapshot.get(Table::Digests, &node)?.is_none();
        }
        Ok(())
    }
}

/// Whether the index lists a dot under a key.
pub(super) fn lists<E: Engine>(view: &View<E>, dot: Dot, key: &[u8]) -> Result<bool, StoreError> {
    let listed = view.snapshot.get(Table::Dots, &format::dot_key(dot))?;
    Ok(listed.as_deref() == Some(key))
}

/// Makes index, context and clock agree with a row, if it is still there and sound.
fn mend_row<E: Engine>(base: &View<E>, key: &RowKey, mend: &mut Mend) -> Result<(), StoreError> {
    let row = match base.get(key) {
        Ok(row) => row.unwrap_or_default(),
        Err(StoreError::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for sibling in &row {
        let dot = sibling.dot;
        if !lists(base, dot, key.as_bytes())? && !is_live_elsewhere(base, dot, key)? {
            mend.batch
                .put(Table::Dots, &format::dot_key(dot), key.as_bytes());
        }
        mend.see(dot);
        mend.head.state.clock = mend.head.state.clock.max(sibling.stamp);
    }
    Ok(())
}

/// Whether another row holds the dot as well. No disk does that: somebody made a dot twice, and
/// joins decide which of the rows keeps it.
fn is_live_elsewhere<E: Engine>(
    base: &View<E>,
    dot: Dot,
    key: &RowKey,
) -> Result<bool, StoreError> {
    let Ok(Some(other)) = base.indexed(dot) else {
        return Ok(false);
    };
    Ok(other != *key
        && match base.get(&other) {
            Ok(row) => row.is_some_and(|row| row.get(&dot).is_some()),
            Err(StoreError::Damaged { .. }) => false,
            Err(error) => return Err(error),
        })
}
