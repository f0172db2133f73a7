//! The counter of user keys against the rows.
//!
//! It is a sum over all rows as of one commit, and a scrub reads them as of many. So it is checked in
//! passing where nobody writes meanwhile, and where there was damage, which is what makes it wrong,
//! by reading all rows' keys once more.

use std::ops::{Bound, ControlFlow};

use super::{Scrub, mend_at_leisure};
use crate::engine::{Direction, Engine, Entry, Snapshot, Table};
use crate::{Mismatch, Store, StoreError, View, format};

/// User keys, counted as their rows go by.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// As of which commit; none if the rows were read as of several, or not all of them.
    commit: Option<u64>,
    keys: u64,
    /// What the rows of the last one begin with.
    last: Vec<u8>,
}

impl Tally {
    fn count(&mut self, key: &[u8]) {
        // What is under no key is taken out, and counts for nothing.
        if let Ok(key) = format::read_row_key(key)
            && self.last != format::user_part(&key)
        {
            self.keys += 1;
            self.last = format::user_part(&key).to_vec();
        }
    }
}

impl Scrub {
    /// Counts the keys of rows read on a view, the first ones of the table if `is_first`.
    pub(super) fn tally<E: Engine>(&mut self, view: &View<E>, rows: &[Entry], is_first: bool) {
        let commits = view.head.state.commits;
        if is_first {
            self.keys = Tally {
                commit: Some(commits),
                ..Tally::default()
            };
        }
        if self.keys.commit == Some(commits) {
            rows.iter().for_each(|(key, _)| self.keys.count(key));
        } else {
            self.keys.commit = None;
        }
    }

    pub(super) fn check_keys<E: Engine>(&mut self, store: &Store<E>) -> Result<(), StoreError> {
        let view = store.view()?;
        let counted = (self.keys.commit == Some(view.head.state.commits)).then_some(self.keys.keys);
        let is_sound = counted.is_none_or(|keys| keys == view.key_count());
        drop(view);
        if is_sound && self.report.is_clean() {
            return Ok(());
        }
        let count = |view: &View<E>| Ok((view.key_count(), count_keys(view)?));
        let (was, keys) = mend_at_leisure(store, count, |(_, keys), mend| {
            mend.head.state.keys = *keys;
        })?;
        if was != keys {
            let mismatch = Mismatch::KeyCount { counted: was };
            self.report.note(store.namespace(), mismatch);
        }
        Ok(())
    }
}

fn count_keys<E: Engine>(view: &View<E>) -> Result<u64, StoreError> {
    let mut tally = Tally::default();
    let all = (Bound::Unbounded, Bound::Unbounded);
    view.snapshot
        .visit(Table::Rows, all, Direction::Forward, &mut |key, _| {
            tally.count(key);
            ControlFlow::Continue(())
        })?;
    Ok(tally.keys)
}
