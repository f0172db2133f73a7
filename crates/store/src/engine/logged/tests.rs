//! What is particular to the log: deaths at every step, damage, logs of others, failing devices.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use std::io;

use super::*;
use crate::engine::{Snapshot, Table};
use crate::{FailingEngine, Fault, MemoryDisk, MemoryEngine};

mod damage;
mod deaths;
mod devices;
mod places;

const ALL: super::super::Bounds<'static> = (Bound::Unbounded, Bound::Unbounded);

/// Nothing happens by itself.
const IDLE: LogOptions = LogOptions {
    sync_interval: Duration::from_secs(3_600),
    max_unapplied_bytes: 1 << 20,
    apply_interval: Duration::from_secs(3_600),
};

/// The edits of the `n`-th commit: they overwrite and remove what earlier ones have put.
fn batch(n: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Rows, b"count", &n.to_be_bytes());
    batch.put(
        Table::Rows,
        &(n % 7).to_be_bytes(),
        &vec![n as u8; n as usize % 50],
    );
    batch.remove(Table::Rows, &((n + 3) % 7).to_be_bytes());
    batch.put(Table::Dots, &n.to_be_bytes(), b"");
    batch
}

/// What the first `count` commits come to.
fn model(count: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for n in 0..count {
        for (key, value) in batch(n).sorted(Table::Rows) {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
    }
    rows
}

/// After how many commits an engine is, whose contents must be those after just so many.
#[track_caller]
fn count<E: Engine>(engine: &E) -> u32 {
    let snapshot = engine.snapshot().unwrap();
    let found = snapshot.get(Table::Rows, b"count").unwrap();
    let count = found.map_or(0, |n| 1 + u32::from_be_bytes(n.try_into().unwrap()));
    let rows = snapshot.range(Table::Rows, ALL).map(Result::unwrap);
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), model(count));
    let dots = snapshot.range(Table::Dots, ALL).count();
    assert_eq!(dots, count as usize);
    count
}

fn write<E: Engine>(engine: &E, numbers: std::ops::Range<u32>, durability: Durability) {
    for n in numbers {
        engine.commit(batch(n), durability).unwrap();
    }
}
