//! What work reads does not grow with the store.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{
    Batch, Bounds, ChunkLimit, Direction, Durability, Engine, EngineError, EngineSize, Entry,
    Incoming, MemoryEngine, Snapshot, Store, StoreError, Table, Transaction, Visitor,
};

use crate::harness::*;

/// An engine that counts the entries that are read.
struct CountingEngine {
    inner: MemoryEngine,
    read: Arc<AtomicU64>,
}

struct CountingSnapshot {
    inner: <MemoryEngine as Engine>::Snapshot,
    read: Arc<AtomicU64>,
}

impl Engine for CountingEngine {
    type Snapshot = CountingSnapshot;

    fn snapshot(&self) -> Result<CountingSnapshot, EngineError> {
        Ok(CountingSnapshot {
            inner: self.inner.snapshot()?,
            read: Arc::clone(&self.read),
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        self.inner.commit(batch, durability)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.inner.size()
    }
}

impl CountingSnapshot {
    fn count(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }
}

impl Snapshot for CountingSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.count();
        self.inner.get(table, key)
    }

    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        let mut counted = |key: &[u8], value: &[u8]| -> ControlFlow<()> {
            self.count();
            visitor(key, value)
        };
        self.inner.visit(table, bounds, direction, &mut counted)
    }

    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's> {
        let entries = self.inner.range(table, bounds);
        Box::new(entries.inspect(|_| self.count()))
    }
}

type Counting = Store<CountingEngine>;

fn member(n: u32) -> RowKey {
    RowKey::member(b"set", &n.to_be_bytes())
}

fn write(
    store: &Counting,
    body: impl FnOnce(&mut Transaction<'_, CountingEngine>) -> Result<(), StoreError>,
) {
    store.transact(Durability::Memory, body).unwrap();
}

fn remove_a_chunk(store: &Counting) {
    let removing = store
        .begin_removal(KeyRange::prefix(&RowKey::key_prefix(b"set")))
        .unwrap();
    let limit = ChunkLimit {
        rows: 50,
        ..ChunkLimit::default()
    };
    let mut group = store.group().unwrap();
    let chunk = group.remove_chunk(&removing, limit, &mut |_, _, _| None);
    assert_eq!(chunk.unwrap().removed, 50);
    group.commit(Durability::Memory).unwrap();
}

fn join_a_row(store: &Counting) {
    let theirs = dot(9, 1);
    let seen = context([theirs]);
    let incoming = Incoming {
        rows: vec![(member(1_000_000), row(theirs, "theirs"))],
        ..Incoming::from_peer(&seen)
    };
    store.join(incoming, Durability::Memory).unwrap();
}

#[test]
fn what_a_commit_reads_does_not_grow_with_the_store() {
    type Work = (&'static str, fn(&Counting));
    let works: [Work; 5] = [
        ("insert", |store| {
            write(store, |txn| {
                txn.put(&member(2_000_000), "x".into()).map(drop)
            });
        }),
        ("overwrite", |store| {
            write(store, |txn| txn.put(&member(700), "y".into()).map(drop));
        }),
        ("remove", |store| {
            write(store, |txn| txn.remove(&member(701)).map(drop));
        }),
        ("a chunk of a range", remove_a_chunk),
        ("join", join_a_row),
    ];
    let read = Arc::new(AtomicU64::new(0));
    let [small, large] = [1_000, 20_000].map(|members| {
        let engine = CountingEngine {
            inner: MemoryEngine::new(),
            read: Arc::clone(&read),
        };
        let store = Store::open(engine, config()).unwrap();
        write(&store, |txn| {
            (0..members).try_for_each(|n| txn.put(&member(n), "x".into()).map(drop))
        });
        works.map(|(_, work)| {
            let before = read.load(Ordering::Relaxed);
            work(&store);
            read.load(Ordering::Relaxed) - before
        })
    });
    for (((name, _), small), large) in works.into_iter().zip(small).zip(large) {
        // A level more of the tree, and leaves of other sizes.
        assert!(
            large <= small + 400,
            "{name}: {small} entries, then {large}"
        );
    }
}
