//! Changes are told completely, from any point on, whatever happens in between.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use syncline_crdt::{Canonical, Delta, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    Bookmark, Config, Durability, Engine, Incoming, Listener, Signal, Store, StoreError, Table,
};

use crate::harness::*;

crate::over_all_engines! {
    a_mirror_is_the_range_whatever_happens
    what_a_crash_takes_back_is_told_anew
    a_copy_that_went_another_way_begins_anew
    a_removal_that_a_session_finds_late_is_told
    a_dot_that_goes_to_another_row_is_told
    what_was_withdrawn_is_told_when_it_goes_and_when_it_comes_back
    a_log_that_does_not_reach_back_is_no_silence
    large_commits_and_large_ranges_come_in_parts
    a_store_of_format_2_begins_to_log
    a_mirror_keeps_up_with_writers
}

/// What somebody makes of the changes that he is told, and keeps.
struct Mirror {
    range: KeyRange,
    held: BTreeMap<RowKey, Row>,
    kept: Option<Vec<u8>>,
    begun_anew: usize,
}

impl Mirror {
    fn new(range: KeyRange) -> Self {
        Self {
            range,
            held: BTreeMap::new(),
            kept: None,
            begun_anew: 0,
        }
    }

    /// Takes one part of the changes; whether that was the last.
    fn step<E: Engine>(
        &mut self,
        store: &Store<E>,
        listener: Option<&mut Listener>,
        max_bytes: usize,
        max_rows: usize,
    ) -> bool {
        let view = store.view().unwrap();
        let from = self
            .kept
            .as_ref()
            .map(|bytes| Bookmark::from_bytes(bytes).unwrap());
        let changes = match listener {
            Some(listener) => listener.changes(&view, from.as_ref(), max_bytes, max_rows),
            None => view.changes(&self.range, from.as_ref(), max_bytes, max_rows),
        };
        let changes = changes.unwrap();
        assert!(changes.rows.len() <= max_rows.max(1));
        if changes.anew {
            self.held.clear();
            self.begun_anew += 1;
        }
        for (key, row) in changes.rows {
            assert!(self.range.contains(key.as_bytes()));
            match row.is_empty() {
                true => self.held.remove(&key),
                false => self.held.insert(key, row),
            };
        }
        self.kept = Some(changes.bookmark.to_bytes());
        assert_eq!(changes.bookmark.is_complete(), changes.complete);
        if changes.complete {
            let there: BTreeMap<_, _> = view.scan(&self.range).map(Result::unwrap).collect();
            assert_eq!(self.held, there);
        }
        changes.complete
    }

    fn catch_up<E: Engine>(&mut self, store: &Store<E>) {
        while !self.step(store, None, 1 << 20, 1000) {}
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A transaction here (0) or at the peer, whose delta may be delivered later.
    Write {
        at: usize,
        durable: bool,
        edits: Vec<(u8, Option<u8>)>,
    },
    Deliver {
        at: usize,
        delta: prop::sample::Index,
    },
    /// All that lives there and is unknown here, then the context: removals are yet to be found.
    Pull {
        part: usize,
    },
    /// Rows of a session that breaks.
    Broken {
        rows: usize,
    },
    /// A whole session to here (0) or to the peer.
    Sync {
        to: usize,
    },
    Withdraw {
        key: u8,
    },
    Reopen,
    /// Loses what was not synced.
    Crash,
    Follow {
        mirror: usize,
        listening: bool,
        max_bytes: usize,
        max_rows: usize,
        times: usize,
    },
}

const MIRRORS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let edits = || prop::collection::vec((0u8..12, prop::option::weighted(0.6, any::<u8>())), 1..6);
    prop_oneof![
        6 => (0..2usize, any::<bool>(), edits())
            .prop_map(|(at, durable, edits)| Step::Write { at, durable, edits }),
        3 => (0..2usize, any::<prop::sample::Index>())
            .prop_map(|(at, delta)| Step::Deliver { at, delta }),
        2 => (1usize..5).prop_map(|part| Step::Pull { part }),
        1 => (1usize..4).prop_map(|rows| Step::Broken { rows }),
        2 => (0..2usize).prop_map(|to| Step::Sync { to }),
        1 => (0u8..12).prop_map(|key| Step::Withdraw { key }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        8 => (0..MIRRORS, any::<bool>(), 1usize..300, 1usize..5, 1usize..4).prop_map(
            |(mirror, listening, max_bytes, max_rows, times)| {
                Step::Follow { mirror, listening, max_bytes, max_rows, times }
            }
        ),
    ]
}

fn key(n: u8) -> RowKey {
    let user = [b'u', n / 4];
    match n % 4 {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, b"f"),
        2 => RowKey::member(&user, &[n]),
        _ => RowKey::member(&user, b""),
    }
}

struct World<H: Harness> {
    harness: H,
    departure_bytes: u64,
    store: Option<Store<H::Engine>>,
    mirrors: Vec<Mirror>,
    listeners: Vec<Option<Listener>>,
}

impl<H: Harness> World<H> {
    fn new(departure_bytes: u64) -> Self {
        let range = |n: usize| match n % 2 {
            0 => KeyRange::ALL,
            _ => KeyRange::prefix(&RowKey::user_prefix(&[b'u', 1])),
        };
        let mut world = Self {
            harness: H::new(),
            departure_bytes,
            store: None,
            mirrors: (0..MIRRORS).map(|n| Mirror::new(range(n))).collect(),
            listeners: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let config = Config {
            departure_bytes: self.departure_bytes,
            ..config()
        };
        let store = Store::open(self.harness.mount(), config).unwrap();
        let ranges = self.mirrors.iter().map(|mirror| mirror.range.clone());
        self.listeners = ranges.map(|range| Some(store.listen(range))).collect();
        self.store = Some(store);
    }

    fn store(&self) -> &Store<H::Engine> {
        self.store.as_ref().unwrap()
    }

    fn withdraw(&mut self, key: &RowKey) {
        if self.store().view().unwrap().get(key).unwrap().is_none() {
            return;
        }
        self.store = None;
        let mut value = stored(&self.harness, key);
        *value.last_mut().unwrap() ^= 1;
        self.harness
            .tamper(|batch| batch.put(Table::Rows, key.as_bytes(), &value));
        self.open();
        self.store().withdraw(std::slice::from_ref(key)).unwrap();
    }
}

fn write<E: Engine>(store: &Store<E>, edits: &[(u8, Option<u8>)], durability: Durability) -> Delta {
    let written = store.transact(durability, |txn| {
        for (at, edit) in edits {
            match edit {
                Some(value) if value % 3 == 0 => txn
                    .put_superseding(&key(*at), vec![*value], &[])
                    .map(drop)?,
                Some(value) => txn.put(&key(*at), vec![*value]).map(drop)?,
                None => txn.remove(&key(*at)).map(drop)?,
            }
        }
        Ok::<_, StoreError>(())
    });
    written.unwrap().1
}

fn run<H: Harness>(steps: &[Step], departure_bytes: u64) {
    let mut world = World::<H>::new(departure_bytes);
    let there = Memory::new().open();
    let mut wire: Vec<Delta> = Vec::new();
    for step in steps {
        match step {
            Step::Write { at, durable, edits } => {
                let durability = match durable {
                    true => Durability::Durable,
                    false => Durability::Memory,
                };
                let delta = match at {
                    0 => write(world.store(), edits, durability),
                    _ => write(&there, edits, durability),
                };
                // A peer is told of nothing that a crash could still take back.
                if *at == 1 || *durable {
                    wire.push(delta);
                }
            }
            Step::Deliver { at, delta } if !wire.is_empty() => {
                let delta = delta.get(&wire);
                let joined = match at {
                    0 => world.store().join_delta(delta, Durability::Memory),
                    _ => there.join_delta(delta, Durability::Memory),
                };
                joined.unwrap();
            }
            Step::Deliver { .. } => {}
            Step::Pull { part } => pull(&there, world.store(), *part),
            Step::Broken { rows: count } => {
                let view = there.view().unwrap();
                let some = rows(&view).into_iter().take(*count).collect();
                let incoming = Incoming {
                    rows: some,
                    ..Incoming::from_peer(view.context())
                };
                world.store().join(incoming, Durability::Memory).unwrap();
            }
            Step::Sync { to: 0 } => sync(&there, world.store()),
            Step::Sync { .. } => {
                world.store().flush().unwrap();
                sync(world.store(), &there);
            }
            Step::Withdraw { key: n } => world.withdraw(&key(*n)),
            Step::Reopen => {
                world.store().flush().unwrap();
                world.store = None;
                world.open();
            }
            Step::Crash => {
                world.harness.crash();
                std::mem::forget(world.store.take());
                world.open();
            }
            Step::Follow {
                mirror,
                listening,
                max_bytes,
                max_rows,
                times,
            } => {
                let listener = world.listeners[*mirror].as_mut().filter(|_| *listening);
                let mut listener = listener;
                let store = world.store.as_ref().unwrap();
                for _ in 0..*times {
                    let listener = listener.as_deref_mut();
                    world.mirrors[*mirror].step(store, listener, *max_bytes, *max_rows);
                }
            }
        }
        assert_sound(world.store());
    }
    let store = world.store.as_ref().unwrap();
    for (mirror, listener) in world.mirrors.iter_mut().zip(&mut world.listeners) {
        while !mirror.step(store, listener.as_mut(), 100, 3) {}
    }
}

fn pull<E: Engine, F: Engine>(from: &Store<E>, to: &Store<F>, part: usize) {
    let start_view = from.view().unwrap();
    let start = start_view.context().clone();
    let peer = to.view().unwrap().context().clone();
    let mut after = None;
    loop {
        let additions = start_view
            .lacking(&start_view, &peer, after, usize::MAX, part)
            .unwrap();
        let learned = match additions.frontier {
            _ if additions.complete => start.clone(),
            Some(frontier) => start.up_to(frontier),
            None => context([]),
        };
        let incoming = Incoming {
            rows: additions.rows,
            learned,
            ..Incoming::from_peer(&start)
        };
        to.join(incoming, Durability::Memory).unwrap();
        after = additions.frontier;
        if additions.complete {
            break;
        }
    }
}

fn a_mirror_is_the_range_whatever_happens<H: Harness>() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(step(), 1..60);
    let bytes = prop_oneof![Just(1u64 << 20), Just(90)];
    runner
        .run(&(steps, bytes), |(steps, bytes)| {
            run::<H>(&steps, bytes);
            Ok(())
        })
        .unwrap();
}

fn what_a_crash_takes_back_is_told_anew<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "kept", "1");
    let mut before = Mirror::new(KeyRange::ALL);
    before.catch_up(&store);
    store
        .transact(Durability::Memory, |txn| txn.put(&cell("lost"), Vec::new()))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let mut after = Mirror::new(KeyRange::ALL);
    after.catch_up(&store);
    harness.crash();
    std::mem::forget(store);

    // As many commits as were lost, so that their numbers stand for others now.
    let store = harness.open();
    put(&store, "other", "2");
    before.catch_up(&store);
    after.catch_up(&store);
    assert_eq!((before.begun_anew, after.begun_anew), (1, 2));
    assert!(!after.held.contains_key(&cell("lost")));

    // Closed in order, nothing is lost.
    drop(store);
    let store = harness.open();
    after.catch_up(&store);
    remove(&store, "kept");
    after.catch_up(&store);
    assert_eq!(after.begun_anew, 2);
}

fn a_copy_that_went_another_way_begins_anew<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.catch_up(&store);
    // What is in the one file and not in the other, though both have seen the same.
    let other_harness = H::new();
    let other = other_harness.open();
    sync(&store, &other);
    mirror.catch_up(&other);
    assert_eq!(mirror.begun_anew, 2, "of another replica");
    remove(&other, "a");
    mirror.catch_up(&other);
    assert_eq!(mirror.begun_anew, 2);
    mirror.catch_up(&store);
    assert_eq!(mirror.begun_anew, 3);
}

fn a_removal_that_a_session_finds_late_is_told<H: Harness>() {
    let (here, there) = (H::new().open(), H::new().open());
    put(&there, "a", "1");
    put(&there, "b", "2");
    sync(&there, &here);
    remove(&there, "a");
    // The context says that the removal was seen, but it has not reached its row.
    pull(&there, &here, 10);
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.catch_up(&here);
    assert_eq!(mirror.held.len(), 2);
    sync(&there, &here);
    mirror.catch_up(&here);
    assert_eq!((mirror.held.len(), mirror.begun_anew), (1, 1));
}

fn a_dot_that_goes_to_another_row_is_told<H: Harness>() {
    // By a bug or a lie of somebody. The row with the lesser key keeps it.
    let store = H::new().open();
    let mut mirror = Mirror::new(KeyRange::ALL);
    for key in ["b", "a"] {
        let nobody = context([]);
        let incoming = Incoming {
            rows: vec![(cell(key), row(dot(1, 1), "x"))],
            ..Incoming::from_peer(&nobody)
        };
        store.join(incoming, Durability::Memory).unwrap();
        mirror.catch_up(&store);
    }
    assert!(mirror.held.contains_key(&cell("a")) && mirror.held.len() == 1);
}

fn what_was_withdrawn_is_told_when_it_goes_and_when_it_comes_back<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    put(&store, "b", "2");
    let other = H::new().open();
    sync(&store, &other);
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.catch_up(&store);
    drop(store);
    let mut value = stored(&harness, &cell("a"));
    *value.last_mut().unwrap() ^= 1;
    harness.tamper(|batch| batch.put(Table::Rows, cell("a").as_bytes(), &value));

    let store = harness.open();
    store.withdraw(&[cell("a")]).unwrap();
    mirror.catch_up(&store);
    assert_eq!(mirror.held.len(), 1);
    // With the same dot as before.
    sync(&other, &store);
    mirror.catch_up(&store);
    assert_eq!((mirror.held.len(), mirror.begun_anew), (2, 1));
}

fn a_log_that_does_not_reach_back_is_no_silence<H: Harness>() {
    let harness = H::new();
    let config = Config {
        departure_bytes: 200,
        ..config()
    };
    let store = Store::open(harness.mount(), config).unwrap();
    let name = |n: usize| format!("key {n:04}");
    let put_many = |range: std::ops::Range<usize>| {
        let put = store.transact(Durability::Memory, |txn| {
            range
                .clone()
                .try_for_each(|n| txn.put(&cell(&name(n)), Vec::new()).map(drop))
        });
        put.unwrap_or_else(|error: StoreError| panic!("{error}"));
    };
    put_many(0..600);
    let (mut near, mut far) = (Mirror::new(KeyRange::ALL), Mirror::new(KeyRange::ALL));
    far.catch_up(&store);
    for n in 0..40 {
        near.catch_up(&store);
        remove(&store, &name(n));
        assert_sound(&store);
    }
    near.catch_up(&store);
    far.catch_up(&store);
    assert_eq!((near.begun_anew, far.begun_anew), (1, 2));

    // More at once than it holds at all.
    let all = store.transact(Durability::Memory, |txn| {
        (40..600).try_for_each(|n| txn.remove(&cell(&name(n))).map(drop))
    });
    all.unwrap_or_else(|error: StoreError| panic!("{error}"));
    assert_sound(&store);
    near.catch_up(&store);
    assert_eq!((near.held.len(), near.begun_anew), (0, 2));
    put(&store, "a", "1");
    near.catch_up(&store);
    remove(&store, "a");
    near.catch_up(&store);
    assert_eq!(near.begun_anew, 2);
}

fn large_commits_and_large_ranges_come_in_parts<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let key = |n: u32| RowKey::member(b"set", &n.to_be_bytes());
    let put = store.transact(Durability::Memory, |txn| {
        (0..1500).try_for_each(|n| txn.put(&key(n), Vec::new()).map(drop))
    });
    put.unwrap_or_else(|error: StoreError| panic!("{error}"));
    let mut listener = store.listen(KeyRange::ALL);
    let mut mirror = Mirror::new(KeyRange::ALL);
    let mut parts = 0;
    while !mirror.step(&store, Some(&mut listener), 1 << 20, 100) {
        parts += 1;
        // What goes on meanwhile is not missed, before and behind where the listing is.
        super_put(&store, &key(parts), "later");
        super_put(&store, &key(1499 - parts), "later");
        remove_row(&store, &key(700 + parts));
    }
    assert_eq!((parts, mirror.begun_anew), (15, 1));

    let cleared = store.transact(Durability::Memory, |txn| {
        (0..1500).try_for_each(|n| txn.remove(&key(n)).map(drop))
    });
    cleared.unwrap_or_else(|error: StoreError| panic!("{error}"));
    let mut parts = 1;
    while !mirror.step(&store, Some(&mut listener), 1 << 20, 100) {
        parts += 1;
    }
    assert_eq!((parts, mirror.begun_anew, mirror.held.len()), (15, 1, 0));
}

fn super_put<E: Engine>(store: &Store<E>, key: &RowKey, payload: &str) {
    let put = store.transact(Durability::Memory, |txn| txn.put(key, payload.into()));
    put.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn remove_row<E: Engine>(store: &Store<E>, key: &RowKey) {
    let removed = store.transact(Durability::Memory, |txn| txn.remove(key));
    removed.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn a_store_of_format_2_begins_to_log<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    put(&store, "b", "1");
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.catch_up(&store);
    remove(&store, "a");
    drop(store);
    become_format_2(&harness);

    let store = harness.open();
    assert_sound(&store);
    mirror.catch_up(&store);
    assert_eq!(mirror.begun_anew, 2);
    remove(&store, "b");
    mirror.catch_up(&store);
    assert_eq!((mirror.begun_anew, mirror.held.len()), (2, 0));
    drop(store);
    assert_sound(&harness.open());
}

fn a_mirror_keeps_up_with_writers<H: Harness>() {
    let store = H::new().open();
    let range = KeyRange::prefix(b"1");
    let mut listener = store.listen(range.clone());
    let mut mirror = Mirror::new(range);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..600 {
                let key = cell(&format!("{}{}", n % 3, n % 7));
                match n % 5 {
                    0 => remove_row(&store, &key),
                    _ => super_put(&store, &key, &n.to_string()),
                }
            }
        });
        while !writer.is_finished() {
            mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
        }
    });
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    assert_eq!(mirror.begun_anew, 1);
    assert!(!mirror.held.is_empty());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_listener_is_woken_by_what_concerns_it() {
    let store = Memory::new().open();
    let range = KeyRange::prefix(b"user:");
    let mut listener = store.listen(range.clone());
    let mut mirror = Mirror::new(range);
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    let counted = Arc::<Counted>::default();
    let waker = Waker::from(Arc::clone(&counted));
    let mut task = Task::from_waker(&waker);
    let woken = || counted.0.load(Ordering::Relaxed);

    assert_eq!(listener.poll_due(&mut task), Poll::Pending);
    put(&store, "other", "1");
    assert_eq!((listener.poll_due(&mut task), woken()), (Poll::Pending, 0));
    put(&store, "user:ada", "1");
    assert_eq!(woken(), 1);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Due));
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    assert_eq!(mirror.held.len(), 1);
    assert_eq!(listener.poll_due(&mut task), Poll::Pending);

    // So that what it keeps does not grow old, it is due now and then though nothing concerns it.
    let old = mirror.kept.clone();
    for n in 0..1023 {
        put(&store, "other", &n.to_string());
    }
    assert_eq!((listener.poll_due(&mut task), woken()), (Poll::Pending, 1));
    put(&store, "other", "1024");
    assert_eq!(woken(), 2);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Due));
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    assert_ne!(mirror.kept, old);

    assert_eq!(listener.poll_due(&mut task), Poll::Pending);
    store.close_feed();
    assert_eq!(woken(), 3);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Closed));
}

#[test]
fn who_does_not_listen_for_long_has_fallen_behind_and_misses_nothing() {
    let store = Memory::new().open();
    let mut listener = store.listen(KeyRange::ALL);
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    // More than is held for it.
    let long = "k".repeat(60 << 10);
    for n in 0..10 {
        put(&store, &format!("{n}{long}"), "");
    }
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    assert_eq!((mirror.held.len(), mirror.begun_anew), (10, 1));
    // What is asked for in vain is not lost either.
    put(&store, "a", "");
    let view = store.view().unwrap();
    let from = Bookmark::from_bytes(mirror.kept.as_ref().unwrap()).unwrap();
    drop(listener.changes(&view, Some(&from), 1 << 20, 1000));
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    assert_eq!(mirror.held.len(), 11);
}

#[test]
fn whoever_waits_is_woken_by_the_commit_that_brings_it() {
    let (here, there) = (Memory::new().open(), Memory::new().open());
    let dot = put(&there, "a", "1");
    let counted = Arc::<Counted>::default();
    let waker = Waker::from(Arc::clone(&counted));
    let mut task = Task::from_waker(&waker);
    let woken = || counted.0.load(Ordering::Relaxed);
    let mut arrival = pin!(here.arrival(context([dot]), 0));
    assert_eq!(arrival.as_mut().poll(&mut task), Poll::Pending);
    put(&here, "b", "1");
    assert_eq!(woken(), 0);
    sync(&there, &here);
    assert_eq!(woken(), 1);
    assert_eq!(arrival.poll(&mut task), Poll::Ready(Signal::Due));

    let commit = here.view().unwrap().commit();
    let mut next = pin!(here.arrival(context([dot]), commit));
    assert_eq!(next.as_mut().poll(&mut task), Poll::Pending);
    put(&here, "b", "2");
    assert_eq!(next.poll(&mut task), Poll::Ready(Signal::Due));

    let mut never = pin!(here.arrival(context([self::dot(9, 9)]), 0));
    assert_eq!(never.as_mut().poll(&mut task), Poll::Pending);
    here.close_feed();
    assert_eq!(woken(), 3);
    assert_eq!(never.poll(&mut task), Poll::Ready(Signal::Closed));
}

#[test]
fn bookmarks_have_the_frozen_bytes() {
    let bytes = [
        "01",
        "0102030405060708090a0b0c0d0e0f10",         // the opening
        "ac02",                                     // commit 300
        "0703",                                     // from the fourth departure of commit 7 on
        "0102aabb",                                 // the listing goes on at the key aa bb
        "0101010101010101010101010101010101010004", // 1 to 5 of one replica
    ]
    .concat();
    let bytes: Vec<u8> = bytes
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let bookmark = Bookmark::from_bytes(&bytes).unwrap();
    assert!(!bookmark.is_complete());
    assert_eq!(bookmark.to_bytes(), bytes);
    for end in 0..bytes.len() {
        assert!(Bookmark::from_bytes(&bytes[..end]).is_err());
    }
    assert!(Bookmark::from_bytes(&[&[2], &bytes[1..]].concat()).is_err());
    // One that nobody has given out fits nowhere.
    let store = Memory::new().open();
    put(&store, "a", "1");
    let view = store.view().unwrap();
    assert!(
        view.changes(&KeyRange::ALL, Some(&bookmark), 100, 100)
            .unwrap()
            .anew
    );
}
