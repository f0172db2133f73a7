//! Engines that can be crashed and looked into, and a world whose clock stands still.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline_crdt::{Context, Dot, ReplicaId, Row, RowKey, Siblings, Stamp};
use syncline_merkle::KeyRange;
use syncline_merkle::sketch::Prefix;
use syncline_store::{
    Batch, Config, Durability, Engine, Environment, Incoming, LogOptions, LoggedEngine, MemoryDisk,
    MemoryEngine, RedbEngine, RedbOptions, SKETCH_SYMBOLS, Store, StoreError, Table, View,
};

/// A place for one store, which outlives the processes that open it.
pub(crate) trait Harness {
    type Engine: Engine;

    fn new() -> Self;

    /// Opens the engine, as a new process would.
    fn mount(&self) -> Self::Engine;

    /// Kills the process that has it open: what was not synced is lost.
    fn crash(&self);

    fn open(&self) -> Store<Self::Engine> {
        Store::open(self.mount(), config()).unwrap()
    }

    /// Changes the tables behind the store's back. No store may be open.
    fn tamper(&self, edit: impl FnOnce(&mut Batch)) {
        let engine = self.mount();
        let mut batch = Batch::new();
        edit(&mut batch);
        engine.commit(batch, Durability::Durable).unwrap();
    }
}

pub(crate) struct Memory(MemoryDisk);

impl Harness for Memory {
    type Engine = MemoryEngine;

    fn new() -> Self {
        Self(MemoryDisk::new())
    }

    fn mount(&self) -> MemoryEngine {
        self.0.mount().unwrap()
    }

    fn crash(&self) {
        self.0.crash();
    }
}

/// Files in a directory. A crash goes on with copies of them in another: what the operating system
/// has is what a killed process leaves.
struct Files(RefCell<PathBuf>);

thread_local! {
    /// Kept until the test ends: stores outlive their harness, and make files as they go.
    static DIRECTORIES: RefCell<Vec<tempfile::TempDir>> = const { RefCell::new(Vec::new()) };
}

fn directory() -> PathBuf {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    DIRECTORIES.with_borrow_mut(|all| all.push(directory));
    path
}

impl Files {
    fn new() -> Self {
        Self(RefCell::new(directory()))
    }

    fn store(&self) -> PathBuf {
        self.0.borrow().join("store")
    }

    fn crash(&self) {
        let left = directory();
        for (name, bytes) in self.content() {
            fs::write(left.join(name), bytes).unwrap();
        }
        *self.0.borrow_mut() = left;
    }

    /// All files as of one moment, of which threads of the engine know nothing: read until two
    /// readings are the same.
    fn content(&self) -> BTreeMap<OsString, Vec<u8>> {
        let read = || -> io::Result<BTreeMap<_, _>> {
            let files = fs::read_dir(&*self.0.borrow())?;
            let read = |file: io::Result<fs::DirEntry>| {
                let file = file?;
                Ok((file.file_name(), fs::read(file.path())?))
            };
            files.map(read).collect()
        };
        let mut before = None;
        loop {
            // A log that was applied is removed.
            let now = read().ok();
            match now {
                Some(content) if before.as_ref() == Some(&content) => return content,
                now => before = now,
            }
        }
    }
}

const OPTIONS: RedbOptions = RedbOptions {
    cache_bytes: 8 << 20,
};

pub(crate) struct Redb(Files);

impl Harness for Redb {
    type Engine = RedbEngine;

    fn new() -> Self {
        Self(Files::new())
    }

    fn mount(&self) -> RedbEngine {
        RedbEngine::open_or_create(self.0.store(), OPTIONS).unwrap()
    }

    fn crash(&self) {
        self.0.crash();
    }
}

/// A log that is synced and applied only when it must be, so that a crash loses all that it may.
const LOG: LogOptions = LogOptions {
    sync_interval: Duration::from_secs(3_600),
    max_unapplied_bytes: 1 << 20,
    apply_interval: Duration::from_secs(3_600),
};

pub(crate) struct Logged(Files);

impl Harness for Logged {
    type Engine = LoggedEngine;

    fn new() -> Self {
        Self(Files::new())
    }

    fn mount(&self) -> LoggedEngine {
        LoggedEngine::open_or_create(self.0.store(), OPTIONS, LOG).unwrap()
    }

    fn crash(&self) {
        self.0.crash();
    }
}

pub(crate) struct LoggedInMemory(MemoryDisk);

impl Harness for LoggedInMemory {
    type Engine = LoggedEngine<MemoryEngine>;

    fn new() -> Self {
        Self(MemoryDisk::new())
    }

    fn mount(&self) -> LoggedEngine<MemoryEngine> {
        self.0.mount_logged(LOG).unwrap()
    }

    fn crash(&self) {
        self.0.crash();
    }
}

pub(crate) const SECRET: [u8; 32] = [7; 32];

pub(crate) fn config() -> Config {
    Config {
        environment: Arc::new(StoppedClock),
        ..Config::new("test", SECRET)
    }
}

/// A clock that stands still, and entropy that never repeats.
pub(crate) struct StoppedClock;

impl Environment for StoppedClock {
    fn wall_ms(&self) -> u64 {
        1_000
    }

    fn entropy(&self) -> [u8; 10] {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        let mut entropy = [0; 10];
        entropy[2..].copy_from_slice(&DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        entropy
    }
}

pub(crate) fn cell(name: &str) -> RowKey {
    RowKey::cell(name.as_bytes())
}

pub(crate) fn replica(id: u8) -> ReplicaId {
    ReplicaId::from_bytes([id; 16])
}

pub(crate) fn dot(id: u8, counter: u64) -> Dot {
    Dot::new(replica(id), counter)
}

/// A row of one sibling, stamped with its counter.
pub(crate) fn row(dot: Dot, payload: &str) -> Row {
    Siblings::one(dot, Stamp::new(dot.counter, 0), payload.as_bytes().to_vec())
}

pub(crate) fn context(dots: impl IntoIterator<Item = Dot>) -> Context {
    dots.into_iter().collect()
}

pub(crate) fn put<E: Engine>(store: &Store<E>, key: &str, payload: &str) -> Dot {
    let put = store.transact(Durability::Durable, |txn| {
        txn.put(&cell(key), payload.into())
    });
    put.unwrap_or_else(|error: StoreError| panic!("{error}")).0
}

pub(crate) fn remove<E: Engine>(store: &Store<E>, key: &str) -> bool {
    let removed = store.transact(Durability::Durable, |txn| txn.remove(&cell(key)));
    removed
        .unwrap_or_else(|error: StoreError| panic!("{error}"))
        .0
}

/// The payloads of a cell, in dot order.
pub(crate) fn payloads<E: Engine>(view: &View<E>, key: &str) -> Vec<String> {
    let row = view.get(&cell(key)).unwrap().unwrap_or_default();
    row.iter()
        .map(|sibling| String::from_utf8(sibling.payload.clone()).unwrap())
        .collect()
}

pub(crate) fn rows<E: Engine>(view: &View<E>) -> Vec<(RowKey, Row)> {
    view.scan(&KeyRange::ALL).map(Result::unwrap).collect()
}

/// Holds everything that a commit maintains against the rows.
#[track_caller]
pub(crate) fn assert_sound<E: Engine>(store: &Store<E>) {
    let view = store.view().unwrap();
    let recount = view.recount().unwrap();
    assert!(recount.is_sound(), "{:#?}", recount.mismatches);
    assert_eq!(recount.root, view.root().unwrap());
    assert!(view.sketch() == sketch_of_rows(&view));
}

/// The sketch of the dots that are live in the rows.
pub(crate) fn sketch_of_rows<E: Engine>(view: &View<E>) -> Prefix {
    let key = view.sketch_key();
    let mut sketch = Prefix::new(SKETCH_SYMBOLS);
    for dot in rows(view).iter().flat_map(|(_, row)| row.dots()) {
        sketch.insert(&key.element(key.tag(dot.replica.as_bytes()), dot.counter));
    }
    sketch
}

/// A whole session in one step: everything that `from` holds, with what it has seen.
pub(crate) fn sync<E: Engine, F: Engine>(from: &Store<E>, to: &Store<F>) {
    let view = from.view().unwrap();
    let incoming = Incoming {
        rows: rows(&view),
        covers: Some(KeyRange::ALL),
        learned: view.context().clone(),
        ..Incoming::from_peer(view.context())
    };
    to.join(incoming, Durability::Durable).unwrap();
}

#[track_caller]
pub(crate) fn assert_same<E: Engine, F: Engine>(a: &Store<E>, b: &Store<F>) {
    let (a, b) = (a.view().unwrap(), b.view().unwrap());
    assert_eq!(rows(&a), rows(&b));
    assert_eq!(a.root().unwrap(), b.root().unwrap());
    assert_eq!(a.context(), b.context());
}

/// The raw value of a row, to be tampered with.
pub(crate) fn stored<H: Harness>(harness: &H, key: &RowKey) -> Vec<u8> {
    use syncline_store::Snapshot;
    let engine = harness.mount();
    let value = engine
        .snapshot()
        .unwrap()
        .get(Table::Rows, key.as_bytes())
        .unwrap();
    value.unwrap()
}

/// Takes out what stores before format 3 did not have.
pub(crate) fn become_format_2<H: Harness>(harness: &H) {
    use syncline_store::Snapshot;
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    // It had no time as of which all is known.
    let state = snapshot.get(Table::Meta, b"state").unwrap().unwrap();
    let departures = (Bound::Included(&[3][..]), Bound::Excluded(&[4][..]));
    let entries = snapshot.range(Table::Removals, departures);
    let keys: Vec<_> = entries.map(|entry| entry.unwrap().0).collect();
    drop((engine, snapshot));
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &2u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..56]);
        batch.remove(Table::Meta, b"openings");
        keys.iter()
            .for_each(|key| batch.remove(Table::Removals, key));
    });
}
