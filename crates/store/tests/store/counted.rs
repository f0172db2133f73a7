//! The counted index, held against the rows in the order of scores, under random histories.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use syncline_crdt::cell::{self as cells, Cell};
use syncline_crdt::{Family, RowKey, Score, Siblings, score};
use syncline_merkle::{DigestKey, KeyRange};
use syncline_store::{
    ChunkLimit, Direction, Durability, Engine, Mismatch, Snapshot, Store, StoreError, Table,
    Transaction, View, read_score_entry, score_entry,
};

use crate::harness::*;

crate::over_all_engines! {
    the_index_is_that_of_the_rows
    an_older_store_is_indexed
    a_damaged_member_is_listed_no_more
    what_the_index_says_of_no_row_is_noticed
}

const REPLICAS: usize = 2;

/// Zeros of both signs, infinities, numbers that no decimal holds, and some that are equal.
const SCORES: [f64; 9] = [
    0.0,
    -0.0,
    1.5,
    1.5,
    -2.0,
    1e300,
    -1e-30,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

#[derive(Debug, Clone)]
enum Edit {
    Score {
        member: u8,
        score: usize,
    },
    Add {
        member: u8,
        by: i64,
    },
    Remove {
        member: u8,
    },
    /// A field is set, or added to and deleted, which leaves a remnant.
    Field {
        field: u8,
        is_left: bool,
    },
    /// What no reader understands.
    Strange {
        member: u8,
        payload: Vec<u8>,
    },
}

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

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let member = 0..40u8;
    let edit = prop_oneof![
        6 => (member.clone(), 0..SCORES.len()).prop_map(|(member, score)| Edit::Score { member, score }),
        4 => (member.clone(), -3..4i64).prop_map(|(member, by)| Edit::Add { member, by }),
        3 => member.clone().prop_map(|member| Edit::Remove { member }),
        2 => (member.clone(), any::<bool>()).prop_map(|(field, is_left)| Edit::Field { field, is_left }),
        1 => (member, prop::sample::select(vec![vec![], vec![0x7f], b"\x01ten".to_vec(), b"\x01nan".to_vec()]))
            .prop_map(|(member, payload)| Edit::Strange { member, payload }),
    ];
    prop::collection::vec(edit, 1..40)
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

/// One of them ends in bytes that are escaped, and begins as the other does.
const KEYS: [&[u8]; 2] = [b"game", b"game\0\xff"];

fn member_key(member: u8) -> RowKey {
    RowKey::score(KEYS[usize::from(member % 2)], &[member / 2])
}

fn edit<E: Engine>(txn: &mut Transaction<'_, E>, edit: &Edit) -> Result<(), StoreError> {
    let observed =
        |txn: &mut Transaction<'_, E>, key: &RowKey| -> Result<Siblings<Cell>, StoreError> {
            let row = txn.get(key)?.unwrap_or_default();
            Ok(row.try_map(|it| Cell::from_bytes(it)).unwrap_or_default())
        };
    match edit {
        Edit::Score { member, score } => {
            let key = member_key(*member);
            let text = Score::new(SCORES[*score]).unwrap().to_text();
            let set = cells::assign(&observed(txn, &key)?, Some(text));
            txn.put(&key, set.to_bytes())?;
        }
        Edit::Add { member, by } => {
            let key = member_key(*member);
            let more = score::add(&observed(txn, &key)?, txn.replica(), (*by).into()).unwrap();
            txn.put_superseding(&key, more.cell.to_bytes(), &more.supersedes)?;
        }
        Edit::Remove { member } => {
            let key = member_key(*member);
            match cells::assign(&observed(txn, &key)?, None) {
                Cell::Base { baselines, .. } if baselines.is_empty() => drop(txn.remove(&key)?),
                remnant => drop(txn.put(&key, remnant.to_bytes())?),
            }
        }
        Edit::Field { field, is_left } => {
            let key = RowKey::field(KEYS[0], &[*field]);
            let more = cells::add(&observed(txn, &key)?, txn.replica(), 1).ok();
            let Some(more) = more else { return Ok(()) };
            txn.put_superseding(&key, more.cell.to_bytes(), &more.supersedes)?;
            if *is_left {
                let delete = cells::assign(&observed(txn, &key)?, None);
                txn.put(&key, delete.to_bytes())?;
            }
        }
        Edit::Strange { member, payload } => {
            txn.put(&member_key(*member), payload.clone())?;
        }
    }
    Ok(())
}

/// What the rows say the index should be, worked out without it.
fn expected(rows: &[(RowKey, syncline_crdt::Row)]) -> BTreeSet<Vec<u8>> {
    let mut entries = BTreeSet::new();
    for (key, row) in rows {
        let cell = row.try_map(|it| Cell::from_bytes(it)).ok();
        if key.family() == Family::SCORE
            && let Some(score) = cell.as_ref().and_then(score::read)
        {
            entries.insert(score_entry(&key.user_key(), score, key.field_bytes()));
        }
        if key.family() == Family::FIELD && cell.is_some_and(|it| cells::read(&it).is_none()) {
            entries.insert(key.as_bytes().to_vec());
        }
    }
    entries
}

/// Reading an index, of a view or in a transaction.
trait Index {
    fn count(&mut self, range: &KeyRange) -> u64;
    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>>;
    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>>;
    fn rows(&mut self, range: &KeyRange) -> u64;
}

impl<E: Engine> Index for View<E> {
    fn count(&mut self, range: &KeyRange) -> u64 {
        self.count_entries(range).unwrap()
    }

    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>> {
        self.entry_at(range, n).unwrap()
    }

    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
        self.entries(range, direction, limit).unwrap()
    }

    fn rows(&mut self, range: &KeyRange) -> u64 {
        self.digest(range).unwrap().count()
    }
}

impl<E: Engine> Index for Transaction<'_, E> {
    fn count(&mut self, range: &KeyRange) -> u64 {
        self.count_entries(range).unwrap()
    }

    fn nth(&mut self, range: &KeyRange, n: u64) -> Option<Vec<u8>> {
        self.entry_at(range, n).unwrap()
    }

    fn page(&mut self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
        self.entries(range, direction, limit).unwrap()
    }

    fn rows(&mut self, range: &KeyRange) -> u64 {
        self.count_rows(range).unwrap()
    }
}

/// Holds all that an index tells of some ranges against the rows.
fn check(
    index: &mut impl Index,
    rows: &[(RowKey, syncline_crdt::Row)],
) -> Result<(), TestCaseError> {
    let expected = expected(rows);
    let prefix = |user| RowKey::family_prefix(user, Family::SCORE);
    let bound = |number: f64| score_entry(KEYS[0], Score::new(number).unwrap(), b"");
    let ranges = [
        KeyRange::ALL,
        KeyRange::prefix(&prefix(KEYS[0])),
        KeyRange::prefix(&prefix(KEYS[1])),
        KeyRange::prefix(&RowKey::family_prefix(KEYS[0], Family::FIELD)),
        KeyRange::new(bound(0.0), Some(bound(1.5))),
        KeyRange::new(bound(1.5), Some(bound(f64::INFINITY))),
        KeyRange::new(bound(1.5), Some(bound(0.0))),
        KeyRange::new(bound(9.0), None),
    ];
    for range in &ranges {
        let held: Vec<&Vec<u8>> = expected.iter().filter(|it| range.contains(it)).collect();
        prop_assert_eq!(index.count(range), held.len() as u64, "{:?}", range);
        for n in 0..held.len() + 2 {
            let nth = index.nth(range, n as u64);
            prop_assert_eq!(nth.as_ref(), held.get(n).copied(), "{} of {:?}", n, range);
        }
        for limit in [0, 1, 3, held.len(), usize::MAX] {
            let forward = index.page(range, Direction::Forward, limit);
            let wanted: Vec<Vec<u8>> = held.iter().copied().take(limit).cloned().collect();
            prop_assert_eq!(forward, wanted);
            let backward = index.page(range, Direction::Backward, limit);
            let wanted: Vec<Vec<u8>> = held.iter().copied().rev().take(limit).cloned().collect();
            prop_assert_eq!(backward, wanted);
        }
        let rows = rows
            .iter()
            .filter(|(key, _)| range.contains(key.as_bytes()));
        prop_assert_eq!(index.rows(range), rows.count() as u64);
    }
    for entry in &expected {
        let read = read_score_entry(entry);
        prop_assert_eq!(
            read.is_some(),
            entry.contains(&Family::SCORE.0) && is_of_a_set(entry)
        );
        if let Some((score, member)) = read {
            let key = if entry.starts_with(&prefix(KEYS[0])) {
                KEYS[0]
            } else {
                KEYS[1]
            };
            prop_assert_eq!(&score_entry(key, score, member), entry);
        }
    }
    Ok(())
}

fn is_of_a_set(entry: &[u8]) -> bool {
    KEYS.iter()
        .any(|key| entry.starts_with(&RowKey::family_prefix(key, Family::SCORE)))
}

fn check_transaction<E: Engine>(txn: &mut Transaction<'_, E>) -> Result<(), TestCaseError> {
    let rows = txn.scan(&KeyRange::ALL, usize::MAX).unwrap();
    check(txn, &rows)
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
