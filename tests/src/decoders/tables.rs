//! A store opened on tables that somebody has altered: a typed error, or a store that works and knows what is wrong.

use std::ops::Bound;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{
    Batch, Config, Durability, Engine, MemoryDisk, Snapshot, Store, StoreError, Table,
};

use crate::cluster::{NAMESPACE, SECRET};
use crate::rng::{Bytes, Choices};

pub(super) fn open(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let disk = MemoryDisk::new();
    let config = Config::new(NAMESPACE, SECRET);
    let rows = 1 + choices.below(40);
    fill(
        &Store::open(disk.mount().unwrap(), config.clone()).unwrap(),
        rows,
    );
    let engine = disk.mount().unwrap();
    while !choices.is_empty() {
        alter(&engine, &mut choices);
    }
    drop(engine);
    let Ok(store) = Store::open(disk.mount().unwrap(), config) else {
        return;
    };
    let _ = use_it(&store);
}

fn fill(store: &Store<impl Engine>, rows: usize) {
    let put = |txn: &mut syncline_store::Transaction<'_, _>| {
        for row in 0..rows {
            txn.put(&RowKey::member(b"set", &[row as u8]), Vec::new())?;
        }
        txn.put(&RowKey::cell(b"cell"), b"\x01text".to_vec())
    };
    store
        .transact::<_, StoreError>(Durability::Durable, put)
        .unwrap();
    store
        .transact(Durability::Durable, |txn| {
            txn.remove(&RowKey::member(b"set", &[0]))
        })
        .unwrap();
}

/// Changes, removes or adds an entry of a table.
pub(crate) fn alter(engine: &impl Engine, choices: &mut Bytes<'_>) {
    let table = *choices.pick(&Table::ALL);
    let snapshot = engine.snapshot().unwrap();
    let entries: Vec<_> = snapshot
        .range(table, (Bound::Unbounded, Bound::Unbounded))
        .map(Result::unwrap)
        .collect();
    let mut batch = Batch::new();
    let at = choices.below(entries.len().max(1));
    match (choices.below(5), entries.get(at)) {
        (0, Some((key, _))) => batch.remove(table, key),
        (1 | 2, Some((key, value))) if !value.is_empty() => {
            let mut value = value.clone();
            let byte = choices.below(value.len());
            value[byte] ^= 1 << choices.below(8);
            batch.put(table, key, &value);
        }
        (3, Some((key, value))) => {
            let value = &value[..choices.below(value.len() + 1)];
            batch.put(table, key, value);
        }
        _ => {
            let key = choices.below(40);
            let key = choices.take(key).to_vec();
            let value = choices.below(64);
            batch.put(table, &key, choices.take(value));
        }
    }
    engine.commit(batch, Durability::Durable).unwrap();
}

/// Everything that can be done with a store; errors are fine, panics are not.
pub(crate) fn use_it(store: &Store<impl Engine>) -> Result<(), StoreError> {
    let view = store.view()?;
    let damaged: Vec<RowKey> = view
        .scan(&KeyRange::ALL)
        .filter_map(|row| match row {
            Err(StoreError::Damaged { key }) => RowKey::from_bytes(key).ok(),
            _ => None,
        })
        .collect();
    let _ = view.recount();
    let _ = view.root();
    let _ = view.lacking(&view, &Default::default(), None, 1 << 10, 10);
    let _ = store.withdraw(&damaged);
    let put = |txn: &mut syncline_store::Transaction<'_, _>| {
        txn.remove(&RowKey::cell(b"cell"))?;
        txn.put(&RowKey::cell(b"cell"), Vec::new())
    };
    store.transact::<_, StoreError>(Durability::Memory, put)?;
    store.view()?.recount().map(drop)
}
