//! The engine in memory, with the durability of a disk: it can lose what was not synced, and what
//! the operating system was not given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imbl::OrdMap;

use super::{
    Batch, Bounds, Direction, Durability, Engine, EngineError, EngineSize, Entry, LogOptions,
    LoggedEngine, Snapshot, Table, Visitor, bounds_are_empty,
};
use crate::OpenError;

mod files;

use files::Files;
pub(super) use files::MemoryFiles;

/// Shared bytes: the persistent maps copy their nodes on write, and must not copy keys and values
/// with them.
type Bytes = Arc<[u8]>;
type Tables = [OrdMap<Bytes, Bytes>; Table::ALL.len()];

/// What a [`MemoryEngine`] writes to, and what is left of it when the process that used it is gone.
///
/// ```
/// use syncline_store::{Batch, Durability, Engine, MemoryDisk, Snapshot, Table};
///
/// let disk = MemoryDisk::new();
/// let engine = disk.mount()?;
/// let mut batch = Batch::new();
/// batch.put(Table::Rows, b"ada", b"1");
/// engine.commit(batch, Durability::Buffered)?;
///
/// disk.kill();
/// let reopened = disk.mount()?;
/// assert!(reopened.snapshot()?.get(Table::Rows, b"ada")?.is_some(), "the operating system had it");
///
/// disk.crash();
/// let reopened = disk.mount()?;
/// assert_eq!(reopened.snapshot()?.get(Table::Rows, b"ada")?, None, "it was never synced");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<Disk>>,
}

#[derive(Debug, Clone, Default)]
struct Disk {
    /// What readers and the writer see.
    current: Tables,
    /// What the end of the process leaves.
    written: Tables,
    /// What the end of the machine leaves.
    synced: Tables,
    /// Whether `current` may be ahead of `synced`.
    unsynced: bool,
    /// The log before the tables, if there is one.
    files: Files,
    mounted: bool,
    /// Counts crashes; an engine mounted before one is cut off, as a killed process is.
    generation: u64,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one engine that may use this disk at a time.
    ///
    /// # Errors
    /// [`OpenError::AlreadyOpen`] while another is alive; [`OpenError::HasLog`] if one with a log
    /// has left it.
    pub fn mount(&self) -> Result<MemoryEngine, OpenError> {
        let engine = self.mount_without_log()?;
        if self.lock().files.is_empty() {
            return Ok(engine);
        }
        Err(OpenError::HasLog {
            path: "memory".into(),
        })
    }

    /// As [`mount`](Self::mount), with a log before the tables, on the same disk.
    ///
    /// # Errors
    /// As [`LoggedEngine::open`].
    pub fn mount_logged(
        &self,
        options: LogOptions,
    ) -> Result<LoggedEngine<MemoryEngine>, OpenError> {
        let (engine, files) = self.mount_parts()?;
        LoggedEngine::over(engine, Arc::new(files), options)
    }

    /// The tables, and the files of a log before them.
    pub(super) fn mount_parts(&self) -> Result<(MemoryEngine, MemoryFiles), OpenError> {
        let engine = self.mount_without_log()?;
        let files = MemoryFiles::new(self.clone(), engine.generation);
        Ok((engine, files))
    }

    fn mount_without_log(&self) -> Result<MemoryEngine, OpenError> {
        let mut disk = self.lock();
        if disk.mounted {
            return Err(OpenError::AlreadyOpen {
                path: "memory".into(),
            });
        }
        disk.mounted = true;
        let generation = disk.generation;
        drop(disk);
        Ok(MemoryEngine {
            disk: self.clone(),
            generation,
        })
    }

    /// Ends the process, as `SIGKILL` does: loses what the operating system was not given, and cuts
    /// off the engine.
    pub fn kill(&self) {
        let mut disk = self.lock();
        disk.current = disk.written.clone();
        disk.cut_off();
    }

    /// Ends the machine, as a power loss does: loses everything since the last sync, and cuts off the
    /// engine.
    pub fn crash(&self) {
        self.crash_keeping(|_| Vec::new());
    }

    /// As [`crash`](Self::crash), where of what was appended to a file of the log since its last
    /// sync, `survives` says what is found in its place.
    pub(super) fn crash_keeping(&self, survives: impl FnMut(&[u8]) -> Vec<u8>) {
        let mut disk = self.lock();
        disk.written = disk.synced.clone();
        disk.current = disk.synced.clone();
        disk.files.crash(survives);
        disk.unsynced = false;
        disk.cut_off();
    }

    /// Another disk with what this one holds, for one process.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        let copy = Disk {
            mounted: false,
            ..self.lock().clone()
        };
        Self {
            state: Arc::new(Mutex::new(copy)),
        }
    }

    /// Changes a file of the log behind everybody's back.
    #[cfg(test)]
    pub(super) fn damage(&self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        self.lock().files.damage(number, change);
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // No code that could panic half way runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn cut_off(&mut self) {
        self.generation += 1;
        self.mounted = false;
    }

    fn sync(&mut self) {
        self.written = self.current.clone();
        self.synced = self.current.clone();
        self.unsynced = false;
    }
}

/// Tables in memory: the twin of [`RedbEngine`](super::RedbEngine) for tests, simulations and nodes
/// without a disk.
///
/// A snapshot is a clone of persistent maps, O(1). Memory is what keys and values take, plus about
/// 100 bytes an entry.
#[derive(Debug)]
pub struct MemoryEngine {
    disk: MemoryDisk,
    generation: u64,
}

impl MemoryEngine {
    /// An engine on an empty disk of its own, which ends with it.
    pub fn new() -> Self {
        let disk = MemoryDisk::new();
        disk.lock().mounted = true;
        Self {
            disk,
            generation: 0,
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Disk>, EngineError> {
        let disk = self.disk.lock();
        if disk.generation != self.generation {
            return Err(EngineError::Stopped("the memory disk crashed".into()));
        }
        Ok(disk)
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.generation == self.generation {
            // Closing in order writes everything out, as closing a file does.
            disk.sync();
            disk.mounted = false;
        }
    }
}

impl Engine for MemoryEngine {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> Result<MemorySnapshot, EngineError> {
        let tables = self.lock()?.current.clone();
        Ok(MemorySnapshot { tables })
    }

    fn commit(&self, mut batch: Batch, durability: Durability) -> Result<(), EngineError> {
        let mut disk = self.lock()?;
        for table in Table::ALL {
            let entries = &mut disk.current[table as usize];
            for (key, value) in batch.sorted(table) {
                match value {
                    Some(value) => {
                        entries.insert(key.into(), value.into());
                    }
                    None => {
                        entries.remove(key);
                    }
                }
            }
        }
        disk.unsynced = true;
        match durability {
            Durability::Memory => {}
            Durability::Buffered => disk.written = disk.current.clone(),
            Durability::Durable => disk.sync(),
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.lock()?.sync();
        Ok(())
    }

    fn is_durable(&self) -> bool {
        self.lock().is_ok_and(|disk| !disk.unsynced)
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        let tables = self.lock()?.current.clone();
        let bytes = tables
            .iter()
            .flat_map(OrdMap::iter)
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum();
        Ok(EngineSize {
            bytes,
            log_bytes: 0,
        })
    }
}

/// The tables as they were when the snapshot was taken.
#[derive(Debug, Clone)]
pub struct MemorySnapshot {
    tables: Tables,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.tables[table as usize]
            .get(key)
            .map(|value| value.to_vec()))
    }

    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        if bounds_are_empty(bounds) {
            return Ok(());
        }
        let mut entries = self.tables[table as usize].range::<_, [u8]>(bounds);
        loop {
            let entry = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            match entry {
                Some((key, value)) if visitor(key, value).is_continue() => {}
                _ => return Ok(()),
            }
        }
    }

    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's> {
        if bounds_are_empty(bounds) {
            return Box::new(std::iter::empty());
        }
        let entries = self.tables[table as usize].range::<_, [u8]>(bounds);
        Box::new(entries.map(|(key, value)| Ok((key.to_vec(), value.to_vec()))))
    }
}
