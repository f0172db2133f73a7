//! What a commit does, and what the threads that follow it have in common with it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::applier::Sealed;
use super::files::LogFiles;
use super::layer::Layer;
use super::log::Log;
use super::record::{self, Point};
use super::{APPLIED, LogOptions, recover};
use crate::OpenError;
use crate::engine::redb::io_error;
use crate::engine::{Batch, Durability, Engine, EngineError, Snapshot, Table};

/// What the threads of one engine have in common.
pub(super) struct Shared<E: Engine> {
    pub(super) base: E,
    pub(super) options: LogOptions,
    pub(super) files: Arc<dyn LogFiles>,
    /// Held while a record is appended and until readers see it, so that both happen in one order.
    /// Taken before `state`.
    pub(super) log: Mutex<Log>,
    /// Never held during input or output.
    pub(super) state: Mutex<State<E::Snapshot>>,
    /// Signalled when a sync has ended or a group was applied, and at the end.
    pub(super) progress: Condvar,
    /// Signalled when there is something to be applied, and at the end.
    pub(super) to_apply: Condvar,
    /// Signalled when there is something to be synced, and at the end.
    pub(super) to_sync: Condvar,
}

pub(super) struct State<S> {
    /// The tables below, as of the last group that was applied.
    pub(super) base: Arc<S>,
    /// What is being applied.
    pub(super) sealed: Option<Arc<Sealed>>,
    /// Whether `sealed` is what an earlier process left: until it is applied, and its files are
    /// gone, nothing is appended, and nothing counts as durable.
    pub(super) recovering: bool,
    /// Commits since.
    pub(super) active: Layer,
    /// When the first of them came.
    pub(super) active_since: Option<Instant>,
    /// The last record that readers see.
    pub(super) appended: u64,
    /// The last record known to be on the device.
    pub(super) synced: u64,
    /// Whether somebody is syncing the log, for all who wait.
    pub(super) syncing: bool,
    /// Why no more commits are taken.
    pub(super) stopped: Option<String>,
    pub(super) closing: bool,
}

impl<S> State<S> {
    /// Bytes that have not reached the tables below.
    pub(super) fn unapplied(&self) -> usize {
        let sealed = self.sealed.as_ref();
        self.active.weight() + sealed.map_or(0, |sealed| sealed.layer.weight())
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        match &self.stopped {
            Some(cause) => Err(EngineError::Stopped(cause.clone())),
            None => Ok(()),
        }
    }
}

impl<E: Engine> Shared<E> {
    pub(super) fn open(
        base: E,
        files: Arc<dyn LogFiles>,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        let snapshot = base.snapshot()?;
        let applied = match snapshot.get(Table::Meta, APPLIED)? {
            Some(point) => Point::from_bytes(&point).ok_or_else(|| {
                OpenError::DamagedTables("how far its log was applied cannot be read".into())
            })?,
            None => {
                let left = files.numbers().map_err(io_error)?;
                if let Some(number) = left.first() {
                    return Err(OpenError::ForeignLog {
                        path: files.path(*number),
                        detail: "the store has never had one".into(),
                    });
                }
                // From here on, the history of this store is its own.
                let origin = Point {
                    sequence: 0,
                    checksum: rand::random(),
                };
                let mut batch = Batch::new();
                batch.put(Table::Meta, APPLIED, &origin.to_bytes());
                base.commit(batch, Durability::Durable)?;
                origin
            }
        };
        drop(snapshot);
        let recovered = recover::recover(&*files, applied)?;
        let last = recovered.last;
        if last != applied {
            tracing::info!(
                records = last.sequence - applied.sequence,
                "the log of an earlier process was read"
            );
        }
        let recovering = !recovered.files.is_empty();
        let sealed = recovering.then(|| Arc::new(Sealed::from(recovered)));
        Ok(Self {
            log: Mutex::new(Log::new(Arc::clone(&files), last)),
            state: Mutex::new(State {
                base: Arc::new(base.snapshot()?),
                sealed,
                recovering,
                active: Layer::default(),
                active_since: None,
                appended: last.sequence,
                synced: last.sequence,
                syncing: false,
                stopped: None,
                closing: false,
            }),
            base,
            options,
            files,
            progress: Condvar::new(),
            to_apply: Condvar::new(),
            to_sync: Condvar::new(),
        })
    }

    pub(super) fn commit(
        &self,
        mut batch: Batch,
        durability: Durability,
    ) -> Result<(), EngineError> {
        let is_empty = batch.is_empty();
        if !is_empty {
            let record = record::encode(&mut batch)?;
            drop(batch);
            let synced = self.wait_for_room()?;
            let mut log = self.lock_log()?;
            let write = durability != Durability::Memory;
            let (point, payload) = log
                .append(record, synced, write)
                .map_err(|error| self.stop(io_error(error)))?;
            let mut state = self.lock_state();
            let was_synced = state.synced == state.appended;
            state.appended = point.sequence;
            if let Err(error) = state.active.absorb(&payload) {
                drop(state);
                return Err(self.stop(EngineError::Damaged(error.to_string())));
            }
            let was_empty = state.active_since.is_none();
            if was_empty {
                state.active_since = Some(Instant::now());
            }
            if was_synced {
                self.to_sync.notify_all();
            }
            if was_empty || self.is_enough(&state) {
                self.to_apply.notify_all();
            }
        }
        match durability {
            Durability::Durable => self.flush(),
            Durability::Buffered if is_empty => self.write_log(),
            // What has a record went to the operating system with it.
            Durability::Buffered | Durability::Memory => Ok(()),
        }
    }

    /// Gives the operating system what commits before have kept back: an empty one has no record
    /// that would take them along.
    fn write_log(&self) -> Result<(), EngineError> {
        let written = self.lock_log()?.write();
        written.map_err(|error| self.stop(io_error(error)))
    }

    /// Waits until another commit may be held in memory. Returns up to which record all are on the
    /// device.
    pub(super) fn wait_for_room(&self) -> Result<u64, EngineError> {
        let mut state = self.lock_state();
        loop {
            state.check()?;
            if !state.recovering && state.unapplied() < self.options.max_unapplied_bytes {
                return Ok(state.synced);
            }
            state = self.wait(&self.progress, state);
        }
    }

    /// Returns when all that readers could see when it was called is on the device. One who waits
    /// syncs for all who do.
    pub(super) fn flush(&self) -> Result<(), EngineError> {
        let mut state = self.lock_state();
        let target = state.appended;
        loop {
            state.check()?;
            if !state.recovering && state.synced >= target {
                return Ok(());
            }
            if state.recovering || state.syncing {
                state = self.wait(&self.progress, state);
                continue;
            }
            state.syncing = true;
            drop(state);
            let synced = self.sync_log();
            state = self.lock_state();
            state.syncing = false;
            match synced {
                Ok(sequence) => state.synced = state.synced.max(sequence),
                Err(error) => {
                    drop(state);
                    // A device that could not write something may have dropped it and succeed the
                    // next time. So there is no next time.
                    return Err(self.stop(error));
                }
            }
            self.progress.notify_all();
        }
    }

    /// Syncs the log as far as it goes; others may append meanwhile. Returns how far it went.
    pub(super) fn sync_log(&self) -> Result<u64, EngineError> {
        let (file, last) = self.lock_log()?.unsynced().map_err(io_error)?;
        if let Some(file) = file {
            file.sync().map_err(io_error)?;
        }
        Ok(last)
    }

    /// The thread that lets no commit wait longer for its sync than it may.
    pub(super) fn sync_until_closed(&self) {
        let mut state = self.lock_state();
        while !state.closing && state.stopped.is_none() {
            if state.synced == state.appended {
                state = self.wait(&self.to_sync, state);
                continue;
            }
            let waited = self
                .to_sync
                .wait_timeout_while(state, self.options.sync_interval / 2, |state| {
                    !state.closing && state.stopped.is_none()
                })
                .unwrap_or_else(PoisonError::into_inner);
            drop(waited);
            // A failure stops the engine, which is how those who commit hear of it.
            if let Err(error) = self.flush() {
                tracing::error!(%error, "the log cannot be synced");
            }
            state = self.lock_state();
        }
    }

    /// Takes no more commits. The first failure is the one that is remembered; it is returned.
    pub(super) fn stop(&self, error: EngineError) -> EngineError {
        let mut state = self.lock_state();
        if state.stopped.is_none() {
            state.stopped = Some(error.to_string());
        }
        drop(state);
        self.wake_all();
        error
    }

    pub(super) fn wake_all(&self) {
        self.progress.notify_all();
        self.to_apply.notify_all();
        self.to_sync.notify_all();
    }

    pub(super) fn wait_for<'s>(
        &self,
        signal: &Condvar,
        state: MutexGuard<'s, State<E::Snapshot>>,
        timeout: Duration,
    ) -> MutexGuard<'s, State<E::Snapshot>> {
        let waited = signal.wait_timeout(state, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn wait<'s>(
        &self,
        signal: &Condvar,
        state: MutexGuard<'s, State<E::Snapshot>>,
    ) -> MutexGuard<'s, State<E::Snapshot>> {
        signal.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    // Nothing under either lock panics half way through what it changes.
    pub(super) fn lock_state(&self) -> MutexGuard<'_, State<E::Snapshot>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log, unless something has failed: what it ends with then is not known.
    pub(super) fn lock_log(&self) -> Result<MutexGuard<'_, Log>, EngineError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock_state().check()?;
        Ok(log)
    }
}

impl<E: Engine> fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
