//! Scrubs: everything that is damaged is found, nothing that is wrong stays or spreads, and what can be made anew is.

use std::collections::BTreeSet;
use std::ops::Bound;

use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::{Family, RowKey, Score};
use syncline_store::{
    Batch, Durability, Engine, Mismatch, OpenError, Phase, Scrub, ScrubReport, Snapshot, Store,
    StoreError, Table, Withdrawn,
};

use crate::harness::*;

crate::over_all_engines! {
    a_scrub_of_a_sound_store_finds_nothing
    each_damage_is_found_and_mended
    damage_at_random_is_found_and_never_spreads
    a_scrub_goes_on_beside_writes
    a_scrub_is_taken_up_where_it_was_left
    suspects_are_found_again_by_the_scrub_that_is_taken_up
    what_is_beyond_repair_is_not_served
}

fn key(n: usize) -> RowKey {
    match n % 5 {
        0 => RowKey::member(b"set", format!("m{n:04}").as_bytes()),
        1 => RowKey::score(b"zset", format!("m{n:04}").as_bytes()),
        2 => RowKey::field(b"map", format!("f{n:04}").as_bytes()),
        _ => cell(&format!("k{n:04}")),
    }
}

/// Of a sorted set a score, of a map a field that shows nothing, or the text itself.
fn payload(key: &RowKey, text: &str) -> Vec<u8> {
    match key.family() {
        Family::SCORE => {
            let score = Score::new(text.len() as f64 / 2.0).unwrap();
            [&[1], &score.to_text()[..]].concat()
        }
        Family::FIELD => Cell::Base {
            value: None,
            baselines: [(dot(9, 1), Sum::whole(text.len() as u128, 0))].into(),
        }
        .to_bytes(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Two replicas that hold the same: rows of one sibling and of two, overwritten ones and removed ones, of several
/// replica ids. The first one's place, closed.
fn twins<H: Harness>(keys: usize) -> (H, Store<H::Engine>) {
    let harness = H::new();
    let (store, other) = (harness.open(), H::new().open());
    let write = |store: &Store<H::Engine>, keys: &mut dyn Iterator<Item = usize>, value: &str| {
        let written = store.transact(Durability::Memory, |txn| {
            for n in keys {
                let key = key(n);
                let payload = payload(&key, &format!("{value} {n}"));
                txn.put(&key, payload)?;
            }
            Ok::<_, StoreError>(())
        });
        written.unwrap();
    };
    write(&store, &mut (0..keys), "first");
    write(&other, &mut (0..keys).step_by(3), "beside it");
    sync(&store, &other);
    sync(&other, &store);
    write(&store, &mut (0..keys).step_by(4), "over it");
    for n in (0..keys + 40).filter(|n| *n >= keys || n % 7 == 1) {
        let gone = store.transact(Durability::Memory, |txn| {
            txn.put(&key(n), Vec::new())?;
            txn.remove(&key(n))
        });
        gone.unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
    sync(&store, &other);
    assert_same(&store, &other);
    (harness, other)
}

fn scrub<E: Engine>(store: &Store<E>, mut step: impl FnMut() -> usize) -> ScrubReport {
    let mut scrub = Scrub::new();
    while !scrub.step(store, step(), usize::MAX).unwrap().finished {}
    scrub.report().clone()
}

/// What the tables hold, to be tampered with.
fn entries<H: Harness>(harness: &H, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let engine = harness.mount();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let snapshot = engine.snapshot().unwrap();
    snapshot.range(table, all).map(Result::unwrap).collect()
}

/// After a scrub the store is sound, is taken by the other for what it is, and gets back what it lost.
#[track_caller]
fn assert_heals<E: Engine>(store: &Store<E>, other: &Store<E>, about: &str) {
    let before = rows(&other.view().unwrap());
    let recount = store.view().unwrap().recount().unwrap();
    assert!(recount.is_sound(), "{about}: {:#?}", recount.mismatches);
    sync(store, other);
    let after = rows(&other.view().unwrap());
    let lost: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
    assert!(
        lost.is_empty() && after.len() == before.len(),
        "{about}: damage has spread to {lost:?}"
    );
    sync(other, store);
    assert_same(store, other);
    assert_sound(store);
    assert_sound(other);
}

fn a_scrub_of_a_sound_store_finds_nothing<H: Harness>() {
    let (harness, other) = twins::<H>(300);
    let store = harness.open();
    let rows = store.view().unwrap().row_count();
    for step in [1, 7, 1000] {
        let report = scrub(&store, || step);
        assert!(report.is_clean() && report.finished, "{report:?}");
        assert_eq!(
            (report.rows, report.withdrawn),
            (rows, Withdrawn::default())
        );
        assert!(report.entries > rows && report.bytes > 0);
    }
    assert_same(&store, &other);
    // No step reads more than it was allowed to.
    let mut scrub = Scrub::new();
    let first = scrub.step(&store, 10, usize::MAX).unwrap();
    assert_eq!((first.entries, first.finished), (10, false));
    let second = scrub.step(&store, usize::MAX, 1).unwrap();
    assert_eq!(second.entries, 1);
    // An empty store is sound, too.
    assert!(scrub_of_new::<H>().is_clean());
}

fn scrub_of_new<H: Harness>() -> ScrubReport {
    scrub(&H::new().open(), || 10)
}

const DAMAGES: [&str; 6] = [
    "a value's bit flips",
    "an entry is lost",
    "a value is cut short",
    "a value is garbage",
    "a key's bit flips",
    "an entry appears",
];

/// Damages an entry in one of these ways.
fn damage(
    table: Table,
    kind: usize,
    random: &mut impl FnMut(usize) -> usize,
    all: &[(Vec<u8>, Vec<u8>)],
    batch: &mut Batch,
) {
    if all.is_empty() {
        return;
    }
    let (key, value) = &all[random(all.len())];
    let (mut other_key, mut other_value) = (key.clone(), value.clone());
    let flip = |bytes: &mut Vec<u8>, random: &mut dyn FnMut(usize) -> usize| {
        if bytes.is_empty() {
            bytes.push(7);
        } else {
            let at = random(bytes.len());
            bytes[at] ^= 1 << random(8);
        }
    };
    match kind {
        0 => {
            flip(&mut other_value, random);
            batch.put(table, key, &other_value);
        }
        1 => batch.remove(table, key),
        2 => {
            other_value.truncate(random(value.len().max(1)));
            batch.put(table, key, &other_value);
        }
        3 => {
            other_value.fill_with(|| random(256) as u8);
            batch.put(table, key, &other_value);
        }
        4 => {
            flip(&mut other_key, random);
            batch.remove(table, key);
            batch.put(table, &other_key, value);
        }
        _ => {
            flip(&mut other_key, random);
            batch.put(table, &other_key, value);
        }
    }
}

/// Numbers that are as good as random and the same every time.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below.max(1)
    }
}

/// What a scrub must find out about, whatever it was that was damaged: the derived tables and the rows.
const TABLES: [Table; 7] = [
    Table::Rows,
    Table::Dots,
    Table::Digests,
    Table::Removals,
    Table::Sketch,
    Table::Counted,
    Table::Counts,
];

fn each_damage_is_found_and_mended<H: Harness>() {
    let mut random = numbers(1);
    for table in TABLES {
        for (kind, name) in DAMAGES.iter().enumerate() {
            let (harness, other) = twins::<H>(120);
            let all = entries(&harness, table);
            harness.tamper(|batch| {
                damage(table, kind, &mut random, &all, batch);
            });
            let store = harness.open();
            let about = format!("{table}: {name}");
            let was_sound = store
                .view()
                .unwrap()
                .recount()
                .is_ok_and(|it| it.is_sound());
            let report = scrub(&store, || 50);
            assert_eq!(report.is_clean(), was_sound, "{about}: {report:#?}");
            let lost = matches!((table, kind), (Table::Rows, 0..=4));
            assert_eq!(
                report.withdrawn.rows > 0,
                lost || (table, kind) == (Table::Rows, 5),
                "{about}: {report:#?}"
            );
            assert_eq!(report.withdrawn.dots > 0, lost, "{about}: {report:#?}");
            assert_heals(&store, &other, &about);
        }
    }
}

/// Several tables at once, in every way. Which dots are live two tables tell, the index and the sketch: as long as one of
/// them is sound, nothing is lost.
fn damage_at_random_is_found_and_never_spreads<H: Harness>() {
    let mut beyond_repair = 0;
    for seed in 0..60 {
        let mut random = numbers(seed);
        let (harness, other) = twins::<H>(150);
        let tables = TABLES.map(|table| (table, entries(&harness, table)));
        let spared = [Table::Dots, Table::Sketch][random(2)];
        harness.tamper(|batch| {
            for _ in 0..1 + random(12) {
                let (table, all) = &tables[random(TABLES.len())];
                let kind = random(DAMAGES.len());
                if *table == spared {
                    continue;
                }
                damage(*table, kind, &mut random, all, batch);
            }
        });
        let sound: BTreeSet<_> = tables[0].1.iter().collect();
        let rows_now = entries(&harness, Table::Rows);
        let rows_damaged = rows_now.iter().filter(|row| !sound.contains(row));
        let store = harness.open();
        let about = format!("seed {seed}");
        let mut scrub = Scrub::new();
        let scrubbed = loop {
            match scrub.step(&store, 1 + random(60), usize::MAX) {
                Ok(step) if step.finished => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        match scrubbed {
            Ok(()) => {
                for (key, _) in rows_damaged {
                    let damaged = Mismatch::Damaged { key: key.clone() };
                    assert!(
                        scrub.report().damage.contains(&damaged),
                        "{about}: {damaged:?}"
                    );
                }
                assert_heals(&store, &other, &about);
            }
            Err(StoreError::Irreparable { .. }) => {
                beyond_repair += 1;
                assert!(store.view().is_err() && store.group().is_err(), "{about}");
            }
            Err(error) => panic!("{about}: {error}"),
        }
    }
    assert!(beyond_repair <= 8, "{beyond_repair}");
}

fn a_scrub_goes_on_beside_writes<H: Harness>() {
    for seed in 0..10 {
        let mut random = numbers(seed);
        let (harness, other) = twins::<H>(200);
        let tables = TABLES.map(|table| (table, entries(&harness, table)));
        harness.tamper(|batch| {
            for (table, all) in &tables {
                damage(*table, 0, &mut random, all, batch);
            }
        });
        let store = harness.open();
        let mut scrub = Scrub::new();
        loop {
            let written = store.transact(Durability::Memory, |txn| match random(3) {
                0 => txn.remove(&key(random(240))).map(drop),
                _ => {
                    let key = key(random(240));
                    txn.put(&key, payload(&key, "meanwhile")).map(drop)
                }
            });
            match written {
                // Until the scrub has come there, a write may meet a node that is none.
                Ok(_) | Err(StoreError::DamagedTable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            if scrub.step(&store, 20, usize::MAX).unwrap().finished {
                break;
            }
        }
        sync(&other, &store);
        sync(&store, &other);
        let recount = store.view().unwrap().recount().unwrap();
        assert!(recount.is_sound(), "seed {seed}: {:#?}", recount.mismatches);
        assert_same(&store, &other);
    }
}

fn a_scrub_is_taken_up_where_it_was_left<H: Harness>() {
    let (harness, _) = twins::<H>(100);
    let mut store = harness.open();
    let rows = store.view().unwrap().row_count();
    assert_eq!(Scrub::last_finished_ms(&store).unwrap(), None);
    let (mut read, mut phases) = (0, BTreeSet::new());
    loop {
        let mut scrub = Scrub::resume(&store).unwrap();
        phases.insert(scrub.phase());
        let step = scrub.step(&store, 17, usize::MAX).unwrap();
        read += scrub.report().rows;
        if step.finished {
            break;
        }
        scrub.save(&store).unwrap();
        store.flush().unwrap();
        drop(store);
        store = harness.open();
    }
    assert_eq!(read, rows, "each row is read once");
    assert_eq!(phases.len(), 6);
    assert_eq!(Scrub::last_finished_ms(&store).unwrap(), Some(1_000));
    assert_eq!(Scrub::resume(&store).unwrap().phase(), Phase::Rows);
    // What is kept there and cannot be read is as good as nothing.
    drop(store);
    harness.tamper(|batch| batch.put(Table::Meta, b"scrub", b"damaged"));
    let store = harness.open();
    assert_eq!(Scrub::resume(&store).unwrap().phase(), Phase::Rows);
    assert!(scrub(&store, || 100).is_clean());
}

/// Damaged rows are withdrawn after the index was checked. A scrub that was left before finds them once more.
fn suspects_are_found_again_by_the_scrub_that_is_taken_up<H: Harness>() {
    let (harness, other) = twins::<H>(100);
    let all = entries(&harness, Table::Rows);
    let (damaged, value) = &all[3];
    harness.tamper(|batch| batch.put(Table::Rows, damaged, &value[1..]));
    let store = harness.open();
    let mut first = Scrub::resume(&store).unwrap();
    for _ in 0..4 {
        first.step(&store, 20, usize::MAX).unwrap();
    }
    assert_eq!(
        (first.report().damage_count, first.report().withdrawn.rows),
        (1, 0)
    );
    first.save(&store).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = harness.open();
    let mut second = Scrub::resume(&store).unwrap();
    while !second.step(&store, 20, usize::MAX).unwrap().finished {}
    assert_eq!(second.report().withdrawn.rows, 1);
    assert_heals(&store, &other, "taken up");
}

/// Row, index and sketch are damaged in one place: nothing tells which dots the row held.
fn what_is_beyond_repair_is_not_served<H: Harness>() {
    let (harness, other) = twins::<H>(50);
    let damaged = key(2);
    let row = other.view().unwrap().get(&damaged).unwrap().unwrap();
    harness.tamper(|batch| {
        batch.put(Table::Rows, damaged.as_bytes(), b"damaged");
        for dot in row.dots() {
            let dot = [&dot.replica.as_bytes()[..], &dot.counter.to_be_bytes()].concat();
            batch.remove(Table::Dots, &dot);
        }
        batch.put(Table::Sketch, &[1, 0, 0], b"damaged");
    });
    let store = harness.open();
    let view = store.view().unwrap();
    let mut scrub = Scrub::new();
    let error = loop {
        if let Err(error) = scrub.step(&store, 50, usize::MAX) {
            break error;
        }
    };
    let named = |key: &[u8]| key == damaged.as_bytes();
    assert!(
        matches!(&error, StoreError::Irreparable { key } if named(key)),
        "{error}"
    );
    assert!(
        error.to_string().contains("sync it from another one"),
        "{error}"
    );
    for refused in [
        store.view().map(drop),
        store.group().map(drop),
        store.flush(),
        store.withdraw(std::slice::from_ref(&damaged)).map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Irreparable { .. })));
    }
    drop((store, view));
    harness.crash();
    let Err(error) = Store::open(harness.mount(), config()) else {
        panic!("it was opened again")
    };
    assert!(
        matches!(&error, OpenError::Irreparable { key, .. } if named(key)),
        "{error}"
    );

    // It bootstraps again, in another place.
    let fresh = H::new().open();
    sync(&other, &fresh);
    assert_same(&fresh, &other);
}
