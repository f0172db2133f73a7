//! A copy of a range, kept by whoever is told of its changes: the measure of what they are told.

use std::collections::BTreeMap;

use syncline_crdt::{Canonical, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Bookmark, Engine, Listener, Store};

/// What somebody makes of the changes that he is told, and keeps.
pub(crate) struct Mirror {
    pub(crate) range: KeyRange,
    pub(crate) held: BTreeMap<RowKey, Row>,
    pub(crate) kept: Option<Vec<u8>>,
    pub(crate) begun_anew: usize,
}

impl Mirror {
    pub(crate) fn new(range: KeyRange) -> Self {
        Self {
            range,
            held: BTreeMap::new(),
            kept: None,
            begun_anew: 0,
        }
    }

    /// Takes one part of the changes; whether that was the last.
    pub(crate) fn step<E: Engine>(
        &mut self,
        store: &Store<E>,
        listener: Option<&mut Listener>,
        max_bytes: usize,
        max_rows: usize,
    ) -> bool {
        let view = store.view().unwrap();
        let from = self
            .kept
            .as_ref()
            .map(|bytes| Bookmark::from_bytes(bytes).unwrap());
        let changes = match listener {
            Some(listener) => listener.changes(&view, from.as_ref(), max_bytes, max_rows),
            None => view.changes(&self.range, from.as_ref(), max_bytes, max_rows),
        };
        let changes = changes.unwrap();
        assert!(changes.rows.len() <= max_rows.max(1));
        if changes.anew {
            self.held.clear();
            self.begun_anew += 1;
        }
        for (key, row) in changes.rows {
            assert!(self.range.contains(key.as_bytes()));
            match row.is_empty() {
                true => self.held.remove(&key),
                false => self.held.insert(key, row),
            };
        }
        self.kept = Some(changes.bookmark.to_bytes());
        assert_eq!(changes.bookmark.is_complete(), changes.complete);
        if changes.complete {
            let there: BTreeMap<_, _> = view.scan(&self.range).map(Result::unwrap).collect();
            assert_eq!(self.held, there);
        }
        changes.complete
    }

    pub(crate) fn catch_up<E: Engine>(&mut self, store: &Store<E>) {
        while !self.step(store, None, 1 << 20, 1000) {}
    }
}
