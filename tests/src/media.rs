//! What a replica's store lies on: something that can be opened, can crash, and can rot.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use syncline_store::{
    Batch, Durability, Engine, EngineError, EngineSize, LogOptions, LoggedEngine, MemoryDisk,
    MemoryEngine, RedbOptions, Snapshot, Table,
};

/// A medium of one store.
pub trait Medium {
    /// The engine that uses it.
    type Engine: Engine;

    /// Opens what is there; the first time, a new store.
    fn open(&mut self) -> Tapped<Self::Engine>;

    /// The process that has it open dies at this instant. Whatever the engine at hand does from now on does not reach what is opened next.
    fn crash(&mut self);
}

/// Memory that keeps what was synced.
#[derive(Debug, Default)]
pub struct Memory(MemoryDisk);

impl Medium for Memory {
    type Engine = MemoryEngine;

    fn open(&mut self) -> Tapped<MemoryEngine> {
        Tapped::new(self.0.mount().unwrap())
    }

    fn crash(&mut self) {
        self.0.crash();
    }
}

/// A file, and its log, in a directory. A crash goes on with copies of them as they are at that instant, which is what a killed
/// process leaves.
#[derive(Debug)]
pub struct File {
    directory: PathBuf,
    crashes: u32,
}

impl File {
    /// A file in this directory, which exists and is otherwise empty.
    pub const fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            crashes: 0,
        }
    }

    fn name(&self) -> String {
        format!("{}.store", self.crashes)
    }
}

impl Medium for File {
    type Engine = LoggedEngine;

    fn open(&mut self) -> Tapped<LoggedEngine> {
        let options = RedbOptions {
            cache_bytes: 4 << 20,
        };
        // What a crash loses must not depend on how fast the test runs.
        let log = LogOptions {
            sync_interval: Duration::from_secs(3_600),
            apply_interval: Duration::from_secs(3_600),
            ..LogOptions::default()
        };
        let path = self.directory.join(self.name());
        Tapped::new(LoggedEngine::open_or_create(path, options, log).unwrap())
    }

    fn crash(&mut self) {
        let before = self.name();
        self.crashes += 1;
        let read = || -> io::Result<Vec<(String, Vec<u8>)>> {
            let mut files = Vec::new();
            for file in fs::read_dir(&self.directory)? {
                let file = file?;
                let name = file.file_name().into_string().unwrap();
                if let Some(rest) = name.strip_prefix(&before) {
                    files.push((rest.to_owned(), fs::read(file.path())?));
                }
            }
            files.sort();
            Ok(files)
        };
        // A thread may still be bringing a recovered log to the tables. What two readings have in common was there
        // between them, all at once.
        let (mut found, mut again) = (read().ok(), read().ok());
        while found.is_none() || found != again {
            (found, again) = (again, read().ok());
        }
        for (rest, bytes) in found.unwrap() {
            fs::write(self.directory.join(self.name() + &rest), bytes).unwrap();
        }
    }
}

/// An engine that can be reached around the store that owns it: for damage.
#[derive(Debug)]
pub struct Tapped<E>(Arc<E>);

impl<E> Clone for Tapped<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Engine> Tapped<E> {
    /// Taps an engine. The store gets one clone, whoever is to do the damage another.
    pub fn new(engine: E) -> Self {
        Self(Arc::new(engine))
    }

    /// Changes the bytes at a key of a table, if there are any; returns whether there were.
    pub fn damage(&self, table: Table, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Some(mut value) = self.0.snapshot().unwrap().get(table, key).unwrap() else {
            return false;
        };
        change(&mut value);
        let mut batch = Batch::new();
        batch.put(table, key, &value);
        self.0.commit(batch, Durability::Memory).unwrap();
        true
    }
}

impl<E: Engine> Engine for Tapped<E> {
    type Snapshot = E::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        self.0.commit(batch, durability)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.0.flush()
    }

    fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.0.size()
    }
}
