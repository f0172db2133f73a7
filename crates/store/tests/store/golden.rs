//! The bytes on disk of every table. A change here is a change of format: old files would not be
//! read.

use std::ops::Bound;
use std::sync::Arc;

use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::{RowKey, Score, Siblings, Stamp};
use syncline_merkle::{DigestKey, KeyRange};
use syncline_store::{
    Config, Durability, Engine, Environment, Incoming, RangeRemoval, Removal, Snapshot, Store,
    Table, score_entry,
};

use crate::harness::*;

crate::over_all_engines! {
    every_table_has_the_frozen_bytes
}

fn every_table_has_the_frozen_bytes<H: Harness>() {
    let harness = H::new();
    let config = Config {
        environment: Arc::new(AlwaysTheSame),
        ..config()
    };
    let store = Store::open(harness.mount(), config).unwrap();
    let both: syncline_crdt::Row = [
        Siblings::one(
            dot(1, 300),
            Stamp::new(0x0102_0304_0506, 0x0708),
            b"one".to_vec(),
        ),
        Siblings::one(dot(2, 1), Stamp::new(1, 2), b"two".to_vec()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let deleted = Cell::Base {
        value: None,
        baselines: [(dot(1, 1), Sum::whole(2, 0))].into(),
    };
    let is_fence = |member: &String| {
        let score = Score::new(-1.5).unwrap();
        let entry = score_entry(b"game", score, member.as_bytes());
        DigestKey::derive(&SECRET).level(&entry) == 1
    };
    let member = (0..).map(|n| format!("ada {n}")).find(is_fence).unwrap();
    // This key is a fence, of level 1.
    let fence = cell("fence 2");
    let seen = context([dot(1, 300), dot(2, 1), dot(2, 2), dot(2, 4)]);
    let incoming = Incoming {
        rows: vec![
            (cell("a\0b"), both),
            (RowKey::member(b"online", b"ada"), row(dot(2, 2), "")),
            (RowKey::member(b"online", b"bob"), row(dot(2, 7), "")),
            (RowKey::member(b"online", b"eve"), row(dot(2, 8), "")),
            (fence, row(dot(2, 4), "")),
            // A member whose entry is a fence, and a field of which a baseline is left.
            (
                RowKey::score(b"game", member.as_bytes()),
                row(dot(2, 10), "\x01-1.5"),
            ),
            (
                RowKey::field(b"map", b"hits"),
                Siblings::one(dot(2, 11), Stamp::new(11, 0), deleted.to_bytes()),
            ),
        ],
        // One removal is told, of another replica nobody knows what it has done.
        removals: vec![Removal {
            dot: dot(2, 6),
            key: cell("gone"),
        }],
        ranges: vec![RangeRemoval {
            dots: context([dot(2, 9)]),
            range: KeyRange::prefix(b"set"),
            observed: context([dot(1, 1), dot(1, 2)]),
        }],
        learned: context([dot(2, 6), dot(2, 9), dot(3, 5)]),
        logged: context([dot(2, 6), dot(2, 9)]),
        ..Incoming::from_peer(&seen)
    };
    store.join(incoming, Durability::Durable).unwrap();
    // Two rows depart, which a session has found to be gone.
    store
        .join(
            Incoming {
                absent: vec![
                    RowKey::member(b"online", b"bob"),
                    RowKey::member(b"online", b"eve"),
                ],
                ..Incoming::from_peer(&context([dot(2, 7), dot(2, 8)]))
            },
            Durability::Durable,
        )
        .unwrap();
    drop(store);
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let mut dump = String::new();
    for table in Table::ALL {
        for entry in snapshot.range(table, (Bound::Unbounded, Bound::Unbounded)) {
            let (key, value) = entry.unwrap();
            dump += &format!("{table} {} = {}\n", hex(&key), hex(&value));
        }
    }
    assert_eq!(dump, include_str!("golden.txt"));
}

struct AlwaysTheSame;

impl Environment for AlwaysTheSame {
    fn wall_ms(&self) -> u64 {
        1_000
    }

    fn entropy(&self) -> [u8; 10] {
        [0xab; 10]
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
