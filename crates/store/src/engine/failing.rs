//! An engine that fails when told to: what full disks, dying devices and lying caches look like
//! from above.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, Engine, EngineError, EngineSize};

/// What goes wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is applied, the disk is full.
    DiskFull,
    /// Nothing is applied, the device fails.
    Io,
    /// Everything is applied, and yet an error is reported: the answer of the device was lost.
    AppliedButReported,
    /// The commit is applied and acknowledged but not synced: the device lies about its cache.
    NotSynced,
}

/// The handle by which a test tells a [`FailingEngine`] what to do, after the store has taken the
/// engine over.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    commits: u64,
    fault: Option<(u64, Fault)>,
    flush_fails: bool,
}

impl Faults {
    /// Lets `fault` befall the commit after the next `healthy` ones. Only one fault is planned at a
    /// time.
    pub fn after(&self, healthy: u64, fault: Fault) {
        let mut plan = self.lock();
        plan.fault = Some((plan.commits + healthy, fault));
    }

    /// Lets the next flush fail: whether it has synced anything, nobody knows.
    pub fn fail_flush(&self) {
        self.lock().flush_fails = true;
    }

    /// How many commits were tried so far.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// The fault that befalls the commit which begins now.
    fn strike(&self) -> Option<Fault> {
        let mut plan = self.lock();
        let at = plan.commits;
        plan.commits += 1;
        plan.fault
            .take_if(|(planned, _)| *planned == at)
            .map(|(_, fault)| fault)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Any engine, with faults injected at its commits and flushes.
///
/// ```
/// use syncline_store::{
///     Batch, Durability, Engine, EngineError, FailingEngine, Fault, MemoryEngine,
/// };
///
/// let (engine, faults) = FailingEngine::new(MemoryEngine::new());
/// faults.after(1, Fault::DiskFull);
/// assert!(engine.commit(Batch::new(), Durability::Durable).is_ok());
/// let failed = engine.commit(Batch::new(), Durability::Durable);
/// assert!(matches!(failed, Err(EngineError::DiskFull(_))));
/// ```
#[derive(Debug)]
pub struct FailingEngine<E> {
    inner: E,
    faults: Faults,
}

impl<E: Engine> FailingEngine<E> {
    /// Wraps an engine; it is healthy until the handle says otherwise.
    pub fn new(inner: E) -> (Self, Faults) {
        let faults = Faults::default();
        let engine = Self {
            inner,
            faults: faults.clone(),
        };
        (engine, faults)
    }
}

impl<E: Engine> Engine for FailingEngine<E> {
    type Snapshot = E::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        match self.faults.strike() {
            None => self.inner.commit(batch, durability),
            Some(Fault::DiskFull) => Err(EngineError::DiskFull(io::ErrorKind::StorageFull.into())),
            Some(Fault::Io) => Err(EngineError::Io(io::Error::other("injected"))),
            Some(Fault::AppliedButReported) => {
                self.inner.commit(batch, durability)?;
                Err(EngineError::Io(io::Error::other(
                    "injected, though applied",
                )))
            }
            Some(Fault::NotSynced) => self.inner.commit(batch, Durability::Memory),
        }
    }

    fn flush(&self) -> Result<(), EngineError> {
        if std::mem::take(&mut self.faults.lock().flush_fails) {
            return Err(EngineError::Io(io::Error::other("injected")));
        }
        self.inner.flush()
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.inner.size()
    }
}
