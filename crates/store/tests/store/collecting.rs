//! What is listed as due, and what of it goes, when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::{CarrierId, Context, Dot, RowKey, Sibling, Stamp, cell as cells, expiry};
use syncline_store::{
    Config, Durability, Engine, Environment, Incoming, Scrub, Snapshot, Store, StoreError, Table,
    Transaction,
};

use crate::harness::*;

crate::over_all_engines! {
    a_deadline_that_every_carrier_has_passed
    a_carrier_that_is_away_is_waited_for
    a_large_key_goes_in_parts
    what_was_written_since_stays
    what_stays_keeps_nothing_else_from_going
    a_deadline_of_before_the_set_does_not_apply
    a_leftover_of_an_absent_key_goes
    the_remnant_of_a_counter_goes
    an_older_store_lists_what_is_due
    a_damaged_deadline_is_listed_no_more
    a_deadline_is_told_before_the_rows_of_its_key
}

struct Clock(AtomicU64);

impl Environment for Clock {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        StoppedClock.entropy()
    }
}

/// A store with a clock of its own.
struct Timed<E: Engine> {
    store: Store<E>,
    clock: Arc<Clock>,
}

impl<E: Engine> Timed<E> {
    fn new(harness: &impl Harness<Engine = E>) -> Self {
        let clock = Arc::new(Clock(AtomicU64::new(1_000)));
        let environment = clock.clone();
        let config = Config {
            environment,
            ..config()
        };
        let store = Store::open(harness.mount(), config).unwrap();
        Self { store, clock }
    }

    fn at(&self, ms: u64) -> &Self {
        self.clock.0.store(ms, Ordering::Relaxed);
        self
    }

    fn write<T>(&self, body: impl FnOnce(&mut Transaction<'_, E>) -> Result<T, StoreError>) -> T {
        self.store.transact(Durability::Durable, body).unwrap().0
    }

    fn expire(&self, key: &str, at: Option<u64>) -> Dot {
        self.write(|txn| txn.put(&deadline(key), expiry::to_bytes(at)))
    }

    /// Everything that is due, in chunks of so many rows.
    fn collect(&self, max_rows: usize) -> u64 {
        self.store.tend().unwrap();
        let (mut rows, mut mark) = (0, None);
        loop {
            let done = self.store.collect(mark.as_ref(), max_rows).unwrap();
            rows += done.rows;
            mark = done.next;
            assert_sound(&self.store);
            if mark.is_none() {
                return rows;
            }
        }
    }

    fn rows(&self) -> u64 {
        self.store.view().unwrap().row_count()
    }
}

fn deadline(key: &str) -> RowKey {
    RowKey::deadline(key.as_bytes())
}

fn member(key: &str, n: u32) -> RowKey {
    RowKey::member(key.as_bytes(), &n.to_be_bytes())
}

fn set(value: &str) -> Vec<u8> {
    cells::assign(&Default::default(), Some(value.into())).to_bytes()
}

fn a_deadline_that_every_carrier_has_passed<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| txn.put(&cell("k"), set("1")));
    timed.expire("k", Some(2_000));
    timed.write(|txn| txn.put(&cell("other"), set("1")));
    timed.expire("other", Some(9_000));
    let context = timed.store.view().unwrap().context().clone();
    assert!(timed.store.view().unwrap().has_deadlines().unwrap());
    assert_eq!(timed.at(1_999).collect(100), 0);
    assert_eq!(timed.at(2_000).collect(100), 2);
    let view = timed.store.view().unwrap();
    assert_eq!((view.row_count(), view.key_count()), (2, 1));
    assert_eq!(view.context(), &context, "its dots are dead, and seen");
    // A replica that has not collected learns so in a session.
    let late = late(&context);
    sync(&timed.store, &late);
    assert_same(&timed.store, &late);
}

/// A store that holds the first row that the other one made, which is collected there.
fn late(context: &Context) -> Store<syncline_store::MemoryEngine> {
    let (replica, first, _) = context.intervals().next().unwrap();
    let row = [Sibling {
        dot: Dot::new(replica, first),
        stamp: Stamp::new(1, 0),
        payload: set("1"),
    }];
    let late = Memory::new().open();
    let seen = Context::new();
    let incoming = Incoming {
        rows: vec![(cell("k"), row.into_iter().collect())],
        ..Incoming::from_peer(&seen)
    };
    late.join(incoming, Durability::Durable).unwrap();
    late
}

fn a_carrier_that_is_away_is_waited_for<H: Harness>() {
    const AWAY: CarrierId = CarrierId::from_bytes([9; 16]);
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| txn.put(&cell("k"), set("1")));
    timed.expire("k", Some(2_000));
    timed
        .store
        .enrol(&syncline_crdt::Roster::new(AWAY))
        .unwrap();
    assert_eq!(timed.at(5_000).collect(100), 0);
    timed.store.forget_carrier(AWAY).unwrap();
    assert_eq!(timed.collect(100), 2);
}

fn a_large_key_goes_in_parts<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| {
        for n in 0..50 {
            txn.put(&member("k", n), Vec::new())?;
        }
        txn.put(&cell("k"), set("a conflict"))
    });
    for n in 0..7 {
        timed.expire(&format!("small {n}"), Some(1_500));
    }
    timed.expire("k", Some(2_000));
    assert_eq!(timed.at(2_000).collect(8), 50 + 2 + 7);
    assert_eq!(timed.rows(), 0);
}

fn what_was_written_since_stays<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| txn.put(&member("k", 1), Vec::new()));
    timed.expire("k", Some(2_000));
    timed.at(2_000).store.tend().unwrap();
    // It is not settled, and hidden all the same: a transaction that got here in part.
    timed.write(|txn| txn.put(&member("k", 2), Vec::new()));
    assert_eq!(timed.store.collect(None, 100).unwrap().rows, 2);
    assert_eq!(timed.rows(), 1);
    assert_eq!(timed.collect(100), 0);
}

/// More of it than goes in one commit, before rows of its own key and of others that are due.
fn what_stays_keeps_nothing_else_from_going<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| (100..110).try_for_each(|n| txn.put(&member("k", n), Vec::new()).map(drop)));
    timed.expire("k", Some(2_000));
    timed.write(|txn| txn.put(&cell("later"), set("1")));
    timed.expire("later", Some(2_001));
    timed.at(2_001).store.tend().unwrap();
    timed.write(|txn| (0..40).try_for_each(|n| txn.put(&member("k", n), Vec::new()).map(drop)));
    let (mut gone, mut mark) = (0, None);
    loop {
        let done = timed.store.collect(mark.as_ref(), 4).unwrap();
        gone += done.rows;
        mark = done.next;
        if mark.is_none() {
            break;
        }
    }
    assert_eq!((gone, timed.rows()), (10 + 1 + 2, 40));
}

fn a_deadline_of_before_the_set_does_not_apply<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.expire("k", Some(2_000));
    timed.write(|txn| txn.put(&cell("k"), set("1")));
    assert_eq!(timed.at(2_000).collect(100), 0);
    // Of several the latest is in force.
    timed.write(|txn| {
        txn.put_superseding(&deadline("k"), expiry::to_bytes(Some(3_000)), &[])?;
        txn.put_superseding(&deadline("k"), expiry::to_bytes(Some(2_500)), &[])
    });
    assert_eq!(timed.at(2_999).collect(100), 0);
    assert_eq!(timed.at(3_000).collect(100), 2);
}

fn a_leftover_of_an_absent_key_goes<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.write(|txn| txn.put(&member("k", 1), Vec::new()));
    timed.expire("k", None);
    assert_eq!(timed.collect(100), 0);
    timed.write(|txn| txn.remove(&member("k", 1)));
    assert_eq!(timed.collect(100), 1);
}

fn the_remnant_of_a_counter_goes<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    count_and_delete(&timed.store);
    assert_eq!(
        timed.store.collect(None, 100).unwrap().rows,
        0,
        "not stable"
    );
    assert_eq!((timed.collect(100), timed.rows()), (1, 0));
    // One beside which something is left stays.
    count_and_delete(&timed.store);
    timed.write(|txn| {
        let replica = txn.replica();
        let one = cells::add(&Default::default(), replica, 1);
        txn.put_superseding(&cell("n"), one.unwrap().cell.to_bytes(), &[])
    });
    assert_eq!((timed.collect(100), timed.rows()), (0, 1));
}

fn count_and_delete<E: Engine>(store: &Store<E>) {
    let counted = store.transact(Durability::Durable, |txn| {
        let replica = txn.replica();
        let one = cells::add(&Default::default(), replica, 5);
        txn.put(&cell("n"), one.unwrap().cell.to_bytes())?;
        let row = txn.get(&cell("n"))?.unwrap();
        let row = row
            .try_map(|payload| cells::Cell::from_bytes(payload))
            .unwrap();
        txn.put(&cell("n"), cells::assign(&row, None).to_bytes())
    });
    counted.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn an_older_store_lists_what_is_due<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    count_and_delete(&timed.store);
    timed.expire("k", Some(500));
    timed.expire("l", None);
    drop(timed);
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let state = snapshot.get(Table::Meta, b"state").unwrap().unwrap();
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let due: Vec<_> = snapshot
        .range(Table::Due, all)
        .map(Result::unwrap)
        .collect();
    assert_eq!(due.len(), 3);
    drop((snapshot, engine));
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &2u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..56]);
        due.iter()
            .for_each(|(key, _)| batch.remove(Table::Due, key));
    });
    assert_sound(&harness.open());
    assert_eq!(Timed::new(&harness).collect(100), 3);
}

fn a_damaged_deadline_is_listed_no_more<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    timed.expire("k", Some(500));
    timed.expire("l", Some(500));
    drop(timed);
    let mut value = stored(&harness, &deadline("k"));
    *value.last_mut().unwrap() ^= 1;
    harness.tamper(|batch| batch.put(Table::Rows, deadline("k").as_bytes(), &value));
    let store = harness.open();
    assert!(!store.view().unwrap().recount().unwrap().is_sound());
    store.withdraw(&[deadline("k")]).unwrap();
    assert_sound(&store);
    // A list that lacks a row, or has one too many, is found out.
    drop(store);
    harness.tamper(|batch| batch.put(Table::Due, b"\x02stray\x00\x01\x01", &[]));
    let store = harness.open();
    assert!(!store.view().unwrap().recount().unwrap().is_sound());
    let mut scrub = Scrub::new();
    while !scrub.step(&store, 1_000, usize::MAX).unwrap().finished {}
    assert_sound(&store);
}

fn a_deadline_is_told_before_the_rows_of_its_key<H: Harness>() {
    let harness = H::new();
    let timed = Timed::new(&harness);
    for n in 0..3 {
        timed.write(|txn| txn.put(&member("k", n), Vec::new()));
    }
    timed.expire("k", Some(9_000));
    let view = timed.store.view().unwrap();
    let told = |after, max_rows| {
        let now = timed.store.view().unwrap();
        view.lacking(&now, &Context::new(), after, 1 << 20, max_rows)
            .unwrap()
    };
    let keys: Vec<RowKey> = told(None, 100)
        .rows
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let members = [0, 1, 2].map(|n| member("k", n));
    assert_eq!(keys, [&[deadline("k")], &members[..]].concat());
    // However small the frames are.
    let first = told(None, 1);
    assert_eq!(first.rows[0].0, deadline("k"));
}
