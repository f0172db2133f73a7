//! An engine that counts what its commits take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use syncline_store::{Batch, Durability, Engine, EngineError, EngineSize, RedbEngine};

use super::cpu;

/// A redb engine whose commits are timed.
pub(crate) struct TimedEngine {
    engine: RedbEngine,
    commits: Arc<Commits>,
}

/// What commits have taken so far.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    count: AtomicU64,
    wall_ns: AtomicU64,
    cpu_ns: AtomicU64,
}

/// As [`Commits`], at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) count: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Commits {
    pub(crate) fn spent(&self) -> Spent {
        let duration =
            |nanoseconds: &AtomicU64| Duration::from_nanos(nanoseconds.load(Ordering::Relaxed));
        Spent {
            count: self.count.load(Ordering::Relaxed),
            wall: duration(&self.wall_ns),
            cpu: duration(&self.cpu_ns),
        }
    }
}

impl Spent {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            count: self.count - earlier.count,
            wall: self.wall.saturating_sub(earlier.wall),
            cpu: self.cpu.saturating_sub(earlier.cpu),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
        }
    }
}

impl TimedEngine {
    pub(crate) fn new(engine: RedbEngine, commits: Arc<Commits>) -> Self {
        Self { engine, commits }
    }
}

impl Engine for TimedEngine {
    type Snapshot = <RedbEngine as Engine>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.engine.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        // redb commits on the calling thread, so that thread's processor time is the commit's.
        let (wall, cpu) = (Instant::now(), cpu::of_thread());
        let committed = self.engine.commit(batch, durability);
        let nanoseconds =
            |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let commits = &self.commits;
        commits.count.fetch_add(1, Ordering::Relaxed);
        commits
            .wall_ns
            .fetch_add(nanoseconds(wall.elapsed()), Ordering::Relaxed);
        commits.cpu_ns.fetch_add(
            nanoseconds(cpu::of_thread().saturating_sub(cpu)),
            Ordering::Relaxed,
        );
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
