//! The dot index against the rows that it names.

use syncline_crdt::Dot;

use super::{Limits, Read, Scrub, read_entries};
use crate::engine::{Engine, Table};
use crate::{Mismatch, Store, StoreError, View, format};

impl Scrub {
    pub(super) fn check_dots<E: Engine>(
        &mut self,
        store: &Store<E>,
        limits: Limits,
    ) -> Result<Read, StoreError> {
        let view = store.view()?;
        let (entries, read) = read_entries(&view.snapshot, Table::Dots, &self.from, limits)?;
        let mut garbage = Vec::new();
        for (bytes, value) in &entries {
            let dot = format::read_dot_key(bytes);
            if let Some(dot) = dot
                && is_live(&view, dot, value)?
            {
                continue;
            }
            let key = value.clone();
            self.report
                .note(&view.shared.namespace, Mismatch::StrayDot { key, dot });
            match (dot, format::read_row_key(value)) {
                (None, _) => garbage.push(bytes),
                (Some(_), Ok(key)) => self.suspect(key, bytes),
                (Some(dot), Err(_)) => {
                    self.keep_position(bytes);
                    self.unplaced.insert(dot);
                }
            }
        }
        if !garbage.is_empty() {
            store.group()?.mend(|_, mend| {
                for key in garbage {
                    mend.batch.remove(Table::Dots, key);
                }
                Ok(())
            })?;
        }
        Ok(read)
    }
}

/// Whether a dot is live in the row under a key, and that is sound.
fn is_live<E: Engine>(view: &View<E>, dot: Dot, key: &[u8]) -> Result<bool, StoreError> {
    let Ok(key) = format::read_row_key(key) else {
        return Ok(false);
    };
    match view.get(&key) {
        Ok(row) => Ok(row.is_some_and(|row| row.get(&dot).is_some())),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
