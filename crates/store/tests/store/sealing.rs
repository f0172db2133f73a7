//! Context, counters and carriers are what was committed, or the store says so.

use std::ops::Bound;
use std::sync::Arc;

use syncline_crdt::CarrierId;
use syncline_store::{
    Batch, Durability, Engine, EngineError, EngineSize, Mismatch, OpenError, Scrub, Snapshot,
    Statement, Store, StoreError, Table,
};

use crate::harness::*;

crate::over_all_engines! {
    damage_to_sealed_rows_keeps_a_store_shut
    a_scrub_mends_what_is_sealed_from_memory
    a_store_of_format_3_is_sealed
}

/// A store that has seen much of several replicas, and has met and heard carriers, closed.
fn written<H: Harness>() -> H {
    let harness = H::new();
    let (store, other) = (harness.open(), H::new().open());
    for store in [&store, &other] {
        for n in 0..20 {
            put(store, &format!("{n}"), "value");
        }
        store.tend().unwrap();
    }
    store.enrol(&other.carriers()).unwrap();
    let roster = store.carriers();
    other.enrol(&roster).unwrap();
    sync(&other, &store);
    let said = Statement {
        context: Arc::new(other.view().unwrap().context().clone()),
        as_of_ms: 1_000,
    };
    store.hear(&roster, [(other.carrier(), said)]);
    store.tend().unwrap();
    // Gaps, as they are left where rows come out of order.
    let seen: Vec<_> = (1..40).map(|n| dot(9, 3 * n)).collect();
    let nothing = context([]);
    let gaps = syncline_store::Incoming {
        learned: context(seen),
        ..syncline_store::Incoming::from_peer(&nothing)
    };
    store.join(gaps, Durability::Durable).unwrap();
    harness
}

/// An engine that can be reached around the store that has it open.
struct Tapped<E>(Arc<E>);

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

/// All rows that are sealed, those of the state among them.
fn sealed<E: Engine>(engine: &E) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let snapshot = engine.snapshot().unwrap();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut rows = Vec::new();
    for table in [Table::Meta, Table::Context] {
        for entry in snapshot.range(table, all) {
            let (key, value) = entry.unwrap();
            if key != b"log" {
                rows.push((table, key, value));
            }
        }
    }
    rows
}

fn flip(bytes: &mut [u8], random: u64) {
    let at = random as usize / 8 % bytes.len();
    bytes[at] ^= 1 << (random % 8);
}

/// Changes one of the rows, or takes it out, or puts another beside it.
fn damage(rows: &[(Table, Vec<u8>, Vec<u8>)], seed: u64, batch: &mut Batch) {
    let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17;
    let (table, key, value) = &rows[random as usize % rows.len()];
    let (mut other_key, mut other_value) = (key.clone(), value.clone());
    match seed % 4 {
        0 | 1 => {
            flip(&mut other_value, random / 1_000);
            batch.put(*table, key, &other_value);
        }
        2 => batch.remove(*table, key),
        _ => {
            flip(&mut other_key, random / 1_000);
            batch.remove(*table, key);
            batch.put(*table, &other_key, value);
        }
    }
}

fn damage_to_sealed_rows_keeps_a_store_shut<H: Harness>() {
    let original: H = written();
    let rows = sealed(&original.mount());
    assert!(rows.iter().any(|(_, key, _)| key.starts_with(b"heard")));
    assert!(rows.len() > 45, "{}", rows.len());
    for seed in 0..120 {
        let harness = H::new();
        harness.tamper(|batch| {
            rows.iter()
                .for_each(|(table, key, value)| batch.put(*table, key, value));
            damage(&rows, seed, batch);
        });
        let Err(error) = Store::open(harness.mount(), config()) else {
            panic!("seed {seed}: it was opened")
        };
        let is_known = matches!(
            error,
            OpenError::DamagedTables(_)
                | OpenError::NewerFormat { .. }
                | OpenError::OtherNamespace { .. }
                | OpenError::OtherSecret { .. }
                | OpenError::Irreparable { .. }
        );
        assert!(is_known, "seed {seed}: {error}");
    }
}

/// What was read when the table was sound, and kept up since, is written again.
fn a_scrub_mends_what_is_sealed_from_memory<H: Harness>() {
    let sources: [(&[u8], Option<&[u8]>); 5] = [
        (b"carrier", Some(&[7; 16])),
        (b"roster", None),
        (b"openings", Some(b"")),
        (b"condemned", Some(b"key")),
        (b"heardnobody", Some(b"anything")),
    ];
    for (key, value) in sources {
        let harness: H = written();
        let engine = Tapped(Arc::new(harness.mount()));
        let store = Store::open(Tapped(Arc::clone(&engine.0)), config()).unwrap();
        put(&store, "more", "value");
        let (carrier, roster) = (store.carrier(), store.carriers());
        let mut batch = Batch::new();
        match value {
            Some(value) => batch.put(Table::Meta, key, value),
            None => batch.remove(Table::Meta, key),
        }
        engine.commit(batch, Durability::Memory).unwrap();
        let recount = store.view().unwrap().recount().unwrap();
        assert_eq!(recount.mismatches, [Mismatch::Seal]);
        let mut scrub = Scrub::new();
        while !scrub.step(&store, 100, usize::MAX).unwrap().finished {}
        assert_eq!(scrub.report().damage, [Mismatch::Seal]);
        assert_sound(&store);
        store.flush().unwrap();
        drop((store, engine));
        let store = harness.open();
        assert_eq!((store.carrier(), store.carriers()), (carrier, roster));
        assert_sound(&store);
    }
}

fn a_store_of_format_3_is_sealed<H: Harness>() {
    let harness: H = written();
    let state = {
        let snapshot = harness.mount().snapshot().unwrap();
        snapshot.get(Table::Meta, b"state").unwrap().unwrap()
    };
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &3u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..64]);
    });
    let store = harness.open();
    assert_sound(&store);
    assert!(
        store.carriers().counted().len() > 1,
        "it is not a new carrier"
    );
    let carrier: CarrierId = store.carrier();
    drop(store);
    let store = harness.open();
    assert_eq!(store.carrier(), carrier);
    let gone = store.transact(Durability::Durable, |txn| txn.remove(&cell("3")));
    gone.unwrap_or_else(|error: StoreError| panic!("{error}"));
    assert_sound(&store);
}
