//! The bytes on disk of every table. A change here is a change of format: old files would not be
//! read.

use std::ops::Bound;
use std::sync::Arc;

use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::{CarrierId, Roster, RowKey, Score, Siblings, Stamp, expiry};
use syncline_merkle::{DigestKey, KeyRange};
use syncline_store::{
    Config, Durability, Engine, Environment, Incoming, RangeRemoval, Removal, Scrub, Snapshot,
    Statement, Store, Table, score_entry,
};

use crate::harness::*;

crate::over_all_engines! {
    every_table_has_the_frozen_bytes
    what_is_seldom_there_has_the_frozen_bytes
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
    assert_eq!(dump(&harness), include_str!("golden.txt"));
}

/// What carriers have told, where the rows came from, how far a scrub is, what is due; and that a
/// row is damaged beyond repair.
fn what_is_seldom_there_has_the_frozen_bytes<H: Harness>() {
    let harness = H::new();
    let config = Config {
        environment: Arc::new(AlwaysTheSame),
        ..config()
    };
    let open = || Store::open(harness.mount(), config.clone()).unwrap();
    let store = open();
    let [origin, other, gone] = [9, 8, 7].map(|id| CarrierId::from_bytes([id; 16]));
    let mut roster = Roster::new(origin);
    roster.merge(&Roster::new(other));
    store.adopt(&[origin], &roster, Stamp::new(77, 0)).unwrap();
    store.forget_carrier(gone).unwrap();
    drop(store);
    // They go as soon as another carrier is known to count with this one.
    let origins = format!("\nmeta {} = {}\n", hex(b"origins"), "09".repeat(16));
    assert!(dump(&harness).contains(&origins));
    let store = open();
    let seen = context([dot(1, 1), dot(1, 3), dot(1, 4)]);
    let deadline = |key: &str| RowKey::deadline(key.as_bytes());
    let at =
        |dot, at: Option<u64>| Siblings::one(dot, Stamp::new(dot.counter, 0), expiry::to_bytes(at));
    let incoming = Incoming {
        rows: vec![
            (cell("k"), row(dot(1, 1), "one")),
            (deadline("k"), at(dot(1, 3), Some(2_000))),
            (deadline("l"), at(dot(1, 4), None)),
        ],
        ..Incoming::from_peer(&seen)
    };
    store.join(incoming, Durability::Durable).unwrap();
    let said = Statement {
        context: seen.into(),
        as_of_ms: 0x0102,
    };
    store.hear(&store.carriers(), [(other, said)]);
    store.tend().unwrap();
    let mut scrub = Scrub::new();
    scrub.step(&store, 2, usize::MAX).unwrap();
    scrub.save(&store).unwrap();
    drop(store);
    // Row, index and sketch are damaged, so nothing tells which dots the row had.
    harness.tamper(|batch| {
        batch.put(Table::Rows, cell("k").as_bytes(), b"damaged");
        batch.remove(Table::Dots, &[&[1; 16][..], &1u64.to_be_bytes()].concat());
        batch.put(Table::Sketch, &[1, 0, 0], b"damaged");
    });
    let store = harness.open();
    let mut scrub = Scrub::new();
    while scrub.step(&store, 50, usize::MAX).is_ok() {}
    drop(store);
    let dump = dump(&harness);
    let seldom = |line: &&str| line.starts_with("meta") || line.starts_with("due");
    let lines: Vec<&str> = dump.lines().filter(seldom).collect();
    assert_eq!(lines.join("\n") + "\n", include_str!("golden-seldom.txt"));
}

/// Every row of every table.
fn dump<H: Harness>(harness: &H) -> String {
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let mut dump = String::new();
    for table in Table::ALL {
        for entry in snapshot.range(table, (Bound::Unbounded, Bound::Unbounded)) {
            let (key, value) = entry.unwrap();
            dump += &format!("{table} {} = {}\n", hex(&key), hex(&value));
        }
    }
    dump
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
