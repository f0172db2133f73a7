//! The counted index, held against the rows in the order of scores, under random histories.

mod model;

use std::ops::Bound;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use syncline_crdt::cell as cells;
use syncline_crdt::{RowKey, Score, Siblings};
use syncline_merkle::{DigestKey, KeyRange};
use syncline_store::{
    ChunkLimit, Direction, Durability, Engine, Mismatch, Snapshot, Store, StoreError, Table,
    score_entry,
};

use self::model::{Edit, KEYS, check, check_transaction, edit, edits};
use crate::harness::*;

crate::over_all_engines! {
    the_index_is_that_of_the_rows
    an_older_store_is_indexed
    a_damaged_member_is_listed_no_more
    what_the_index_says_of_no_row_is_noticed
}

const REPLICAS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Write {
        at: usize,
        edits: Vec<Edit>,
        fails: bool,
    },
    /// What a transaction sees of what those before it in the group have done.
    Group {
        at: usize,
        edits: Vec<Edit>,
        more: Vec<Edit>,
    },
    Sync {
        from: usize,
    },
    /// A removal of all that had been observed of one of the keys.
    Clear {
        at: usize,
        key: usize,
        rows: usize,
    },
    Restart {
        at: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    prop_oneof![
        5 => (at.clone(), edits(), prop::bool::weighted(0.2)).prop_map(|(at, edits, fails)| Step::Write { at, edits, fails }),
        2 => (at.clone(), edits(), edits()).prop_map(|(at, edits, more)| Step::Group { at, edits, more }),
        3 => at.clone().prop_map(|from| Step::Sync { from }),
        1 => (at.clone(), 0..KEYS.len(), 1..20usize).prop_map(|(at, key, rows)| Step::Clear { at, key, rows }),
        1 => at.prop_map(|at| Step::Restart { at }),
    ]
}

enum Ended {
    Failed(TestCaseError),
    OnPurpose,
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn run<H: Harness>(steps: &[Step]) -> Result<(), TestCaseError> {
    let places: Vec<H> = (0..REPLICAS).map(|_| H::new()).collect();
    let mut stores: Vec<Option<Store<H::Engine>>> =
        places.iter().map(|it| Some(it.open())).collect();
    for step in steps {
        let at = match step {
            Step::Write { at, edits, fails } => {
                let store = stores[*at].as_ref().unwrap();
                let written = store.transact(Durability::Memory, |txn| {
                    for one in edits {
                        edit(txn, one)?;
                    }
                    check_transaction(txn).map_err(Ended::Failed)?;
                    if *fails {
                        Err(Ended::OnPurpose)
                    } else {
                        Ok(())
                    }
                });
                match written {
                    Err(Ended::Failed(error)) => return Err(error),
                    Err(Ended::Store(error)) => panic!("{error}"),
                    Ok(_) | Err(Ended::OnPurpose) => {}
                }
                *at
            }
            Step::Group { at, edits, more } => {
                let mut group = stores[*at].as_ref().unwrap().group().unwrap();
                // Asked for before anything has changed, then followed through transactions that hold and that fail.
                for (edits, fails) in [
                    (&vec![], false),
                    (edits, false),
                    (more, true),
                    (more, false),
                ] {
                    let done = group.transact(|txn| {
                        for one in edits {
                            edit(txn, one)?;
                        }
                        check_transaction(txn).map_err(Ended::Failed)?;
                        if fails { Err(Ended::OnPurpose) } else { Ok(()) }
                    });
                    if let Err(Ended::Failed(error)) = done {
                        return Err(error);
                    }
                    let after = group.transact(|txn| check_transaction(txn).map_err(Ended::Failed));
                    if let Err(Ended::Failed(error)) = after {
                        return Err(error);
                    }
                }
                group.commit(Durability::Memory).unwrap();
                *at
            }
            Step::Sync { from } => {
                let to = 1 - from;
                sync(
                    stores[*from].as_ref().unwrap(),
                    stores[to].as_ref().unwrap(),
                );
                to
            }
            Step::Clear { at, key, rows } => {
                let store = stores[*at].as_ref().unwrap();
                let range = KeyRange::prefix(&RowKey::key_prefix(KEYS[*key]));
                let limit = ChunkLimit {
                    rows: *rows,
                    ..ChunkLimit::default()
                };
                let mut removing = store.begin_removal(range).unwrap();
                while !removing.is_done() {
                    let mut group = store.group().unwrap();
                    let chunk = group
                        .remove_chunk(&removing, limit, &mut |_, _, _| None)
                        .unwrap();
                    group.commit(Durability::Memory).unwrap();
                    removing.go_on(chunk.rest);
                }
                *at
            }
            Step::Restart { at } => {
                stores[*at].take().unwrap().flush().unwrap();
                places[*at].crash();
                stores[*at] = Some(places[*at].open());
                *at
            }
        };
        let store = stores[at].as_ref().unwrap();
        let mut view = store.view().unwrap();
        let rows = rows(&view);
        check(&mut view, &rows)?;
        assert_sound(store);
    }
    let [a, b] = &stores[..] else { unreachable!() };
    let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
    sync(a, b);
    sync(b, a);
    assert_same(a, b);
    let index = |store: &Store<H::Engine>| {
        store
            .view()
            .unwrap()
            .entries(&KeyRange::ALL, Direction::Forward, usize::MAX)
            .unwrap()
    };
    prop_assert_eq!(index(a), index(b));
    Ok(())
}

fn the_index_is_that_of_the_rows<H: Harness>() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&prop::collection::vec(step(), 1..16), |steps| {
            run::<H>(&steps)
        })
        .unwrap();
}

fn scores<E: Engine>(store: &Store<E>, members: std::ops::Range<u32>) {
    let put = store.transact(Durability::Durable, |txn| {
        for n in members {
            let score = Score::new(f64::from(n % 7)).unwrap();
            let set = cells::assign(&Siblings::new(), Some(score.to_text()));
            txn.put(&RowKey::score(b"game", &n.to_be_bytes()), set.to_bytes())?;
        }
        edit(
            txn,
            &Edit::Field {
                field: 1,
                is_left: true,
            },
        )
    });
    put.unwrap();
}

fn tables<E: Engine>(engine: &E, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    engine
        .snapshot()
        .unwrap()
        .range(table, all)
        .map(Result::unwrap)
        .collect()
}

fn an_older_store_is_indexed<H: Harness>() {
    let harness = H::new();
    scores(&harness.open(), 0..300);
    let engine = harness.mount();
    let (counted, counts) = (
        tables(&engine, Table::Counted),
        tables(&engine, Table::Counts),
    );
    assert_eq!(counted.len(), 301);
    assert!(counts.len() > 3);
    let state = engine
        .snapshot()
        .unwrap()
        .get(Table::Meta, b"state")
        .unwrap()
        .unwrap();
    drop(engine);
    // Format 3 had no seal, and neither had any index.
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &3u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..64]);
        counted
            .iter()
            .for_each(|(key, _)| batch.remove(Table::Counted, key));
        counts
            .iter()
            .for_each(|(key, _)| batch.remove(Table::Counts, key));
    });
    assert_sound(&harness.open());
    let engine = harness.mount();
    assert_eq!(tables(&engine, Table::Counted), counted);
    assert_eq!(tables(&engine, Table::Counts), counts);
}

fn a_damaged_member_is_listed_no_more<H: Harness>() {
    let harness = H::new();
    scores(&harness.open(), 0..100);
    let damaged = [
        RowKey::score(b"game", &7u32.to_be_bytes()),
        RowKey::field(KEYS[0], &[1]),
    ];
    for key in &damaged {
        let mut value = stored(&harness, key);
        *value.last_mut().unwrap() ^= 1;
        harness.tamper(|batch| batch.put(Table::Rows, key.as_bytes(), &value));
    }
    let store = harness.open();
    let seen = store.transact(Durability::Durable, |txn| {
        // Whoever reads the row has it withdrawn, and sees so in the index at once.
        assert_eq!(txn.count_entries(&KeyRange::ALL)?, 101);
        assert_eq!(txn.get(&damaged[0])?, None);
        assert_eq!(txn.count_entries(&KeyRange::ALL)?, 100);
        Ok::<_, StoreError>(())
    });
    seen.unwrap();
    store.withdraw(&damaged).unwrap();
    assert_sound(&store);
    let entries = store.view().unwrap().count_entries(&KeyRange::ALL);
    assert_eq!(entries.unwrap(), 99);
}

fn what_the_index_says_of_no_row_is_noticed<H: Harness>() {
    let key = DigestKey::derive(&SECRET);
    let ada = score_entry(b"game", Score::new(3.0).unwrap(), &3u32.to_be_bytes());
    assert_eq!(key.level(&ada), 0, "so that its end is that of no node");
    let node = |level: u8| vec![level];
    type Tamper<'t> = &'t dyn Fn(&mut syncline_store::Batch);
    let tampers: [Tamper<'_>; 7] = [
        &|batch| batch.remove(Table::Counted, &ada),
        &|batch| batch.put(Table::Counted, &ada, b"x"),
        &|batch| {
            batch.put(
                Table::Counted,
                &score_entry(b"game", Score::MIN, b"eve"),
                &[],
            )
        },
        &|batch| batch.put(Table::Counted, b"no entry", &[]),
        &|batch| batch.put(Table::Counts, &node(0), &7u64.to_be_bytes()),
        &|batch| batch.put(Table::Counts, &node(1), b"short"),
        &|batch| batch.put(Table::Counts, &node(99), &7u64.to_be_bytes()),
    ];
    for (n, tamper) in tampers.into_iter().enumerate() {
        let harness = H::new();
        scores(&harness.open(), 0..100);
        harness.tamper(tamper);
        let store = harness.open();
        let recount = store.view().unwrap().recount().unwrap();
        assert_eq!(recount.mismatches, [Mismatch::Counted], "{n}");
        let mut scrub = syncline_store::Scrub::new();
        while !scrub.step(&store, 30, usize::MAX).unwrap().finished {}
        assert_eq!(scrub.report().damage, [Mismatch::Counted], "{n}");
        assert_sound(&store);
    }
}
