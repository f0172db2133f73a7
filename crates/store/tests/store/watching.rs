//! Changes are told completely, from any point on, whatever happens in between.

mod histories;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use syncline_crdt::{Canonical, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Bookmark, Config, Durability, Engine, Incoming, Store, StoreError, Table};

use crate::harness::*;
use crate::mirror::Mirror;

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

fn a_mirror_is_the_range_whatever_happens<H: Harness>() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let steps = prop::collection::vec(histories::step(), 1..60);
    let bytes = prop_oneof![Just(1u64 << 20), Just(90)];
    runner
        .run(&(steps, bytes), |(steps, bytes)| {
            histories::run::<H>(&steps, bytes);
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
    histories::pull(&there, &here, 10);
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
