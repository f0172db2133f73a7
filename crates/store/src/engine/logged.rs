//! An engine over an engine: commits go to a log first, and reach the tables below in large groups.
//!
//! A B-tree pays for each commit with a page for nearly every key, and for each durable one with two
//! syncs. A log pays with the bytes of the commit. So a commit here is one record [appended](log) to
//! a file beside the store, and then an entry in a [layer](layer) of ordered tables in memory, which
//! [snapshots](snapshot) lay over the tables below. A thread brings the layer to the tables below
//! when it has grown large or old, sorted, in one synced commit that says up to which record it goes; then
//! the log's file is removed.
//!
//! What a commit survives is decided by how far its record has come: still in this process
//! ([`Durability::Memory`]), with the operating system ([`Durability::Buffered`]), or on the device
//! ([`Durability::Durable`]). One sync of the log serves every commit that waits for one.
//!
//! Opening [reads](recover) what the log has beyond the tables below and goes on from there. The
//! records are puts and removals, so that applying one again changes nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Batch, Durability, Engine, EngineError, EngineSize, RedbEngine, RedbOptions};
use crate::OpenError;

mod applier;
mod files;
mod layer;
mod log;
mod record;
mod recover;
mod segment;
mod shared;
mod snapshot;

pub(crate) use files::{Beside, LogFile, LogFiles, sync_directory_of};
pub use snapshot::LoggedSnapshot;

use shared::Shared;

/// The key in [`Table::Meta`](super::Table::Meta) below that says up to which record the tables below go. Snapshots
/// hide it.
const APPLIED: &[u8] = b"log";

/// Settings of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// How long a [`Buffered`](Durability::Buffered) commit may be at risk of a power loss. Its sync
    /// is begun after half of it, so that a device has the other half to complete it.
    pub sync_interval: Duration,
    /// Bytes of memory for commits that have not reached the tables below. They are brought there
    /// when they fill half of it; when all of it is full, commits wait.
    pub max_unapplied_bytes: usize,
    /// How long commits may stay out of the tables below while they fill less. Bounds what an idle
    /// store holds in memory, and what the next opening after a kill has to read.
    pub apply_interval: Duration,
}

impl Default for LogOptions {
    /// 100 ms, 256 MiB, 10 s.
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_millis(100),
            max_unapplied_bytes: 256 << 20,
            apply_interval: Duration::from_secs(10),
        }
    }
}

/// An engine with a log before it.
///
/// Closed in order, that is dropped, it leaves everything in the engine below, and no log.
/// After a failure, whose cause is reported by the commit or the flush that met it, or else by the
/// next, it takes no more commits, and leaves everything as it is for the next opening; it can be
/// read on.
///
/// ```
/// use syncline_store::{Batch, Durability, Engine, LoggedEngine, LogOptions, RedbOptions, Snapshot, Table};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("app.store");
/// let options = (RedbOptions::default(), LogOptions::default());
/// let engine = LoggedEngine::create(&path, options.0, options.1)?;
/// let mut batch = Batch::new();
/// batch.put(Table::Rows, b"ada", b"1");
/// engine.commit(batch, Durability::Buffered)?;
/// assert_eq!(engine.snapshot()?.get(Table::Rows, b"ada")?, Some(b"1".to_vec()));
/// engine.flush()?;
/// assert!(engine.is_durable());
///
/// drop(engine);
/// assert_eq!(std::fs::read_dir(directory.path())?.count(), 1, "the log is gone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LoggedEngine<E: Engine = RedbEngine> {
    shared: Arc<Shared<E>>,
    threads: Vec<JoinHandle<()>>,
}

impl LoggedEngine {
    /// Makes a new store file, as [`RedbEngine::create`] does.
    ///
    /// # Errors
    /// As there, and [`OpenError::ForeignLog`] where another store has left its log.
    pub fn create(
        path: impl AsRef<Path>,
        options: RedbOptions,
        log: LogOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let files = Beside::new(path);
        let left = files.numbers().map_err(|cause| OpenError::Unreadable {
            path: path.into(),
            cause,
        })?;
        if let Some(number) = left.first().filter(|_| !path.exists()) {
            return Err(OpenError::ForeignLog {
                path: files.path(*number),
                detail: "there is no store beside it".into(),
            });
        }
        Self::over(RedbEngine::create(path, options)?, Arc::new(files), log)
    }

    /// Opens an existing store file with its log, if there is one.
    ///
    /// What the log holds can be read at once; it costs reading the log, some 3 ms a MiB. The first
    /// commit waits until it has been brought to the file.
    ///
    /// # Errors
    /// As [`RedbEngine::open`], and [`OpenError::ForeignLog`] or [`OpenError::DamagedLog`].
    pub fn open(
        path: impl AsRef<Path>,
        options: RedbOptions,
        log: LogOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let base = RedbEngine::open_without_log(path, options)?;
        Self::over(base, Arc::new(Beside::new(path)), log)
    }

    /// Opens the store file if it exists, makes it otherwise.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(
        path: impl AsRef<Path>,
        options: RedbOptions,
        log: LogOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        match Self::open(path, options, log) {
            Err(OpenError::Missing { .. }) => match Self::create(path, options, log) {
                Err(OpenError::Exists { .. }) => Self::open(path, options, log),
                created => created,
            },
            opened => opened,
        }
    }
}

impl<E: Engine> LoggedEngine<E> {
    /// Puts a log before an engine, and reads what is there of it already.
    pub(crate) fn over(
        base: E,
        files: Arc<dyn LogFiles>,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        let mut engine = Self {
            shared: Arc::new(Shared::open(base, files, options)?),
            threads: Vec::new(),
        };
        engine.spawn("syncline-apply", Shared::apply_until_closed)?;
        engine.spawn("syncline-sync", Shared::sync_until_closed)?;
        Ok(engine)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared<E>)) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let run = move || {
            // Those who wait for this thread must not wait for ever.
            if catch_unwind(AssertUnwindSafe(|| run(&shared))).is_err() {
                shared.stop(EngineError::Stopped("a thread of the log panicked".into()));
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(run);
        self.threads.push(thread.map_err(EngineError::Io)?);
        Ok(())
    }
}

impl<E: Engine> Drop for LoggedEngine<E> {
    fn drop(&mut self) {
        self.shared.lock_state().closing = true;
        self.shared.wake_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

impl<E: Engine> Engine for LoggedEngine<E> {
    type Snapshot = LoggedSnapshot<E::Snapshot>;

    /// Waits for no disk; at most while a commit's edits are put into memory, about a microsecond
    /// each.
    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        let state = self.shared.lock_state();
        Ok(LoggedSnapshot {
            base: Arc::clone(&state.base),
            sealed: state
                .sealed
                .as_ref()
                .map(|sealed| Arc::clone(&sealed.layer)),
            active: state.active.clone(),
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        self.shared.commit(batch, durability)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.shared.flush()
    }

    fn is_durable(&self) -> bool {
        let state = self.shared.lock_state();
        state.synced >= state.appended && !state.recovering && state.stopped.is_none()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        let file = self.shared.base.size()?;
        let state = self.shared.lock_state();
        let sealed = state.sealed.as_ref().map_or(0, |sealed| sealed.layer.bytes);
        let log_bytes = (sealed + state.active.bytes) as u64;
        Ok(EngineSize {
            bytes: file.bytes + log_bytes,
            log_bytes,
        })
    }
}

#[cfg(test)]
mod tests;
