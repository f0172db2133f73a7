//! The sketch, the removal log, what is due, the context, and what the store says of itself.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use syncline_crdt::Dot;

use super::{Read, Scrub};
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::format::{self, meta};
use crate::opening::read_context;
use crate::sketch::Sketch;
use crate::watch::departures;
use crate::{Mismatch, Store, StoreError, View, due, removals};

impl Scrub {
    pub(super) fn check_sketch<E: Engine>(&mut self, store: &Store<E>) -> Result<Read, StoreError> {
        let view = store.view()?;
        let entries = view.row_count();
        let is_sound = view.sketch_is_sound()?;
        if !is_sound || !view.head.sketch_testifies {
            if !is_sound {
                self.report.note(store.namespace(), Mismatch::Sketch);
            }
            drop(view);
            store.group()?.mend(|base, mend| {
                let index = Sketch::of_index(&base.snapshot, &base.shared.sketch_key)?;
                let commit = base.head.state.commits + 1;
                let sketch = Sketch::mended(&base.snapshot, index, &[], commit, &mut mend.batch)?;
                mend.head.sketch = Arc::new(sketch);
                // The rows have just borne the index out.
                mend.head.sketch_testifies = true;
                Ok(())
            })?;
        }
        // About what the index takes, which was read for it.
        Ok(Read {
            entries,
            bytes: entries * 48,
            next: None,
        })
    }

    pub(super) fn check_rest<E: Engine>(&mut self, store: &Store<E>) -> Result<Read, StoreError> {
        let view = store.view()?;
        let log = view.head.state.log;
        let read = Read {
            entries: 2 * (log.end - log.start) + view.context().interval_count() as u64,
            bytes: log.bytes,
            next: None,
        };
        if !view.removal_log_is_sound()? {
            self.report.note(store.namespace(), Mismatch::RemovalLog);
            store.group()?.mend(removals::forget)?;
        }
        if !view.departures_are_sound()? {
            self.report.note(store.namespace(), Mismatch::Departures);
            store.group()?.mend(departures::forget)?;
        }
        if !view.due_is_sound()? {
            self.report.note(store.namespace(), Mismatch::Due);
            store
                .group()?
                .mend(|base, mend| due::list_anew(base, &mut mend.batch))?;
        }
        if read_context(&view.snapshot).ok().as_ref() != Some(view.context()) {
            self.report.note(store.namespace(), Mismatch::Context);
            store
                .group()?
                .mend(|base, mend| write_context(base, &mut mend.batch))?;
        }
        if !identity_is_sound(&view)? {
            self.report.note(store.namespace(), Mismatch::Identity);
            store.group()?.mend(|base, mend| {
                for (key, value) in identity(base) {
                    mend.batch.put(Table::Meta, key, &value);
                }
                Ok(())
            })?;
        }
        // What was mended above is sealed anew by that.
        drop(view);
        if !seal_is_sound(&store.view()?)? {
            self.report.note(store.namespace(), Mismatch::Seal);
            store
                .group()?
                .mend(|base, mend| write_sealed(base, &mut mend.batch))?;
        }
        Ok(read)
    }
}

/// Whether the sealed rows are what was sealed with the commit that the view is of.
pub(crate) fn seal_is_sound<E: Engine>(view: &View<E>) -> Result<bool, StoreError> {
    let found = view.shared.lock_seal().clone();
    let found = found.read_again(&view.snapshot)?;
    let sealed = view.snapshot.get(Table::Meta, meta::STATE)?;
    let sealed = sealed.as_deref().and_then(format::State::from_sealed);
    Ok(sealed.is_some_and(|(state, seal)| seal == found.of(&state)))
}

/// Writes what is sealed anew, as it is in memory. What a carrier was heard to say is forgotten in the
/// table, if it is not what it was: it will be written again.
fn write_sealed<E: Engine>(base: &View<E>, batch: &mut crate::Batch) -> Result<(), StoreError> {
    let shared = &base.shared;
    let seal = shared.lock_seal().clone();
    let found = seal.read_again(&base.snapshot)?;
    let mut carriers = shared.lock_carriers();
    for key in seal.damaged_meta(&found) {
        match carriers.as_written(&key) {
            Some(value) => batch.put(Table::Meta, &key, &value),
            None if key == meta::OPENINGS => {
                batch.put(Table::Meta, &key, &shared.openings.to_bytes());
            }
            None => batch.remove(Table::Meta, &key),
        }
    }
    // A commit of anything at all seals it.
    batch.put(Table::Meta, meta::FORMAT, &format::FORMAT.to_be_bytes());
    write_context(base, batch)
}

/// Writes the context anew as it is in memory, where it was read when the table was still sound, and
/// kept up since.
fn write_context<E: Engine>(base: &View<E>, batch: &mut crate::Batch) -> Result<(), StoreError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let direction = Direction::Forward;
    base.snapshot
        .visit(Table::Context, all, direction, &mut |key, _| {
            batch.remove(Table::Context, key);
            ControlFlow::Continue(())
        })?;
    for (replica, first, last) in base.context().intervals() {
        let key = format::dot_key(Dot::new(replica, first));
        batch.put(Table::Context, &key, &last.to_be_bytes());
    }
    Ok(())
}

/// What the store says of itself, as it was when it was opened.
fn identity<E: Engine>(view: &View<E>) -> [(&'static [u8], Vec<u8>); 3] {
    let shared = &view.shared;
    [
        (meta::FORMAT, format::FORMAT.to_be_bytes().to_vec()),
        (meta::NAMESPACE, shared.namespace.as_bytes().to_vec()),
        (meta::SECRET, shared.digest_key.fingerprint().to_vec()),
    ]
}

pub(crate) fn identity_is_sound<E: Engine>(view: &View<E>) -> Result<bool, StoreError> {
    for (key, value) in identity(view) {
        if view.snapshot.get(Table::Meta, key)? != Some(value) {
            return Ok(false);
        }
    }
    Ok(true)
}
