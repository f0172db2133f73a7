//! Bringing commits from memory to the tables below, behind the writers.

use std::sync::Arc;

use super::APPLIED;
use super::layer::Layer;
use super::record::Point;
use super::recover::Recovered;
use super::shared::{Shared, State};
use crate::engine::redb::io_error;
use crate::engine::{Durability, Engine, EngineError, Table};

/// A group of commits on its way to the tables below: no more is added to it.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) layer: Arc<Layer>,
    /// Its last record.
    last: Point,
    /// The files that hold it and nothing later.
    files: Vec<u64>,
}

impl From<Recovered> for Sealed {
    fn from(recovered: Recovered) -> Self {
        Self {
            layer: Arc::new(recovered.layer),
            last: recovered.last,
            files: recovered.files,
        }
    }
}

impl<E: Engine> Shared<E> {
    /// Whether enough has gathered to be applied.
    pub(super) fn is_enough(&self, state: &State<E::Snapshot>) -> bool {
        state.active.weight() >= self.options.max_unapplied_bytes / 2
    }

    /// The thread that applies, until the engine is closed and everything is applied.
    pub(super) fn apply_until_closed(&self) {
        loop {
            let mut state = self.lock_state();
            loop {
                if state.stopped.is_some() {
                    return;
                }
                if state.sealed.is_some() || self.is_enough(&state) {
                    break;
                }
                state = match state.active_since.map(|since| since.elapsed()) {
                    Some(_) if state.closing => break,
                    None if state.closing => return,
                    None => self.wait(&self.to_apply, state),
                    Some(age) if age >= self.options.apply_interval => break,
                    Some(age) => {
                        let left = self.options.apply_interval - age;
                        self.wait_for(&self.to_apply, state, left)
                    }
                };
            }
            let is_sealed = state.sealed.is_some();
            drop(state);
            let sealed = if is_sealed { Ok(()) } else { self.seal() };
            if let Err(error) = sealed.and_then(|()| self.apply()) {
                tracing::error!(%error, "commits cannot be brought from the log to the tables");
                self.stop(error);
                return;
            }
        }
    }

    /// Lets later commits begin a new group and a new file. All of the old one is synced before, so
    /// that the tables below are never ahead of the log's files, and no file but the last can be
    /// torn.
    pub(super) fn seal(&self) -> Result<(), EngineError> {
        // Most of what there is to sync is synced while others append.
        self.flush()?;
        let mut log = self.lock_log()?;
        let (last, file) = log.rotate().map_err(io_error)?;
        let mut state = self.lock_state();
        state.synced = last.sequence;
        state.sealed = Some(Arc::new(Sealed {
            layer: Arc::new(std::mem::take(&mut state.active)),
            last,
            files: file.into_iter().collect(),
        }));
        state.active_since = None;
        drop(state);
        drop(log);
        self.progress.notify_all();
        Ok(())
    }

    /// Brings the sealed group to the tables below and removes its files.
    pub(super) fn apply(&self) -> Result<(), EngineError> {
        let Some(sealed) = self.lock_state().sealed.clone() else {
            return Ok(());
        };
        if !sealed.layer.is_empty() {
            let mut batch = sealed.layer.to_batch();
            batch.put(Table::Meta, APPLIED, &sealed.last.to_bytes());
            self.base.commit(batch, Durability::Durable)?;
        }
        let base = Arc::new(self.base.snapshot()?);
        // In order, so that what a crash leaves begins where the tables below end, or before.
        for &file in &sealed.files {
            self.files.remove(file).map_err(io_error)?;
        }
        let mut state = self.lock_state();
        let before = std::mem::replace(&mut state.base, base);
        let applied = state.sealed.take();
        state.recovering = false;
        drop(state);
        self.progress.notify_all();
        // Outside of the lock: these are many small pieces.
        drop((before, applied, sealed));
        Ok(())
    }
}
