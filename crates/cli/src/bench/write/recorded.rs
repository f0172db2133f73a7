//! What a store commits, kept to be committed again table by table.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline_store::{
    Batch, Durability, Engine, EngineError, EngineSize, LogOptions, LoggedEngine, RedbOptions,
    Table,
};

use crate::bench::cpu;
use crate::failure::{Doing, Failure};

/// The edits of one commit: table, key, value or removal.
type Commit = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

/// Commits in their order.
pub(super) type Recording = Vec<Commit>;

/// What the engine took to keep something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Processor time of the thread that commits: into the log, and into memory.
    pub(super) log: Duration,
    /// Processor time of all others: into the tables.
    pub(super) tables: Duration,
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, more: Self) {
        self.log += more.log;
        self.tables += more.tables;
    }
}

/// An engine that records what goes through it.
pub(super) struct RecordingEngine {
    engine: LoggedEngine,
    recorder: Recorder,
}

#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<(Recording, Duration)>>);

impl Recorder {
    /// What was committed since this was last asked, and the processor time of commits and of recording them.
    pub(super) fn take(&self) -> (Recording, Duration) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RecordingEngine {
    pub(super) fn open(path: &Path, recorder: Recorder) -> Result<Self, Failure> {
        Ok(Self {
            engine: open(path)?,
            recorder,
        })
    }
}

fn open(path: &Path) -> Result<LoggedEngine, Failure> {
    LoggedEngine::open(path, RedbOptions::default(), LogOptions::default())
        .doing(|| format!("cannot open {}", path.display()))
}

impl Engine for RecordingEngine {
    type Snapshot = <LoggedEngine as Engine>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.engine.snapshot()
    }

    fn commit(&self, mut batch: Batch, durability: Durability) -> Result<(), EngineError> {
        let began = cpu::of_thread();
        let mut commit = Commit::new();
        for table in Table::ALL {
            for (key, value) in batch.sorted(table) {
                commit.push((table, key.to_vec(), value.map(<[u8]>::to_vec)));
            }
        }
        let committed = self.engine.commit(batch, durability);
        let mut recorder = self
            .recorder
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        recorder.0.push(commit);
        recorder.1 += cpu::of_thread().saturating_sub(began);
        committed
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.engine.flush()
    }

    fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.engine.size()
    }
}

/// Commits one table's part of a recording again, and waits until all of it is in the tables.
pub(super) fn replay(path: &Path, recording: &Recording, table: Table) -> Result<Kept, Failure> {
    let engine = open(path)?;
    let (process, thread) = (cpu::of_process(), cpu::of_thread());
    let mut log = Duration::ZERO;
    for commit in recording {
        let mut batch = Batch::new();
        for (_, key, value) in commit.iter().filter(|(of, ..)| *of == table) {
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.remove(table, key),
            }
        }
        let began = cpu::of_thread();
        let committed = engine.commit(batch, Durability::Buffered);
        committed.doing(|| "cannot write a part of what was written".to_owned())?;
        log += cpu::of_thread().saturating_sub(began);
    }
    drop(engine);
    let process = cpu::of_process().saturating_sub(process);
    let thread = cpu::of_thread().saturating_sub(thread);
    Ok(Kept {
        log,
        tables: process.saturating_sub(thread),
    })
}
