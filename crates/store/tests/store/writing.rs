//! Transactions: dots, superseding, deltas, undoing, counting.

use std::panic::{AssertUnwindSafe, catch_unwind};

use syncline_crdt::{Delta, Dot, Family, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    every_mutation_takes_a_fresh_dot
    a_put_supersedes_what_it_observed
    a_chosen_few_can_be_superseded
    a_delta_holds_the_own_dots_and_those_superseded
    a_transaction_reads_its_own_writes
    a_failed_transaction_leaves_no_trace
    a_failed_one_in_a_group_leaves_the_others
    a_panic_in_a_group_leaves_the_others
    nothing_is_seen_of_a_group_before_its_commit
    an_id_is_minted_at_the_first_write_of_each_opening
    writes_beat_what_they_observed
    user_keys_are_counted
    scans_see_the_staged_rows_in_between
    a_dot_that_was_lied_about_is_not_used
    nothing_to_commit_costs_no_commit
}

fn every_mutation_takes_a_fresh_dot<H: Harness>() {
    let store = H::new().open();
    let first = put(&store, "a", "1");
    assert_eq!(first.counter, 1);
    assert_eq!(
        put(&store, "a", "1"),
        Dot::new(first.replica, 2),
        "the same value again is another write"
    );
    assert!(remove(&store, "a"));
    assert!(
        !remove(&store, "a"),
        "there is nothing left to remove, so no dot is taken"
    );
    assert_eq!(put(&store, "b", "2").counter, 4);
    let view = store.view().unwrap();
    assert_eq!(view.context().head(first.replica), 4);
    assert_sound(&store);
}

fn a_put_supersedes_what_it_observed<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    put(&a, "x", "from a");
    put(&b, "x", "from b");
    sync(&a, &b);
    sync(&b, &a);
    assert_eq!(
        payloads(&b.view().unwrap(), "x").len(),
        2,
        "concurrent writes stay side by side"
    );
    put(&a, "x", "both seen");
    sync(&a, &b);
    assert_eq!(payloads(&b.view().unwrap(), "x"), ["both seen"]);
    assert_sound(&b);
}

fn a_chosen_few_can_be_superseded<H: Harness>() {
    let store = H::new().open();
    let key = cell("sum");
    let first = put(&store, "sum", "base");
    let ((second, third), delta) = store
        .transact(Durability::Durable, |txn| {
            let second = txn.put_superseding(&key, b"one".to_vec(), &[])?;
            let third = txn.put_superseding(&key, b"two".to_vec(), &[second, dot(9, 9)])?;
            Ok::<_, StoreError>((second, third))
        })
        .unwrap();
    assert_eq!(payloads(&store.view().unwrap(), "sum"), ["base", "two"]);
    assert!(delta.context().contains(&second) && delta.context().contains(&third));
    assert!(!delta.context().contains(&first), "it was left alone");
    assert!(!delta.context().contains(&dot(9, 9)), "it was not there");
    assert_sound(&store);
}

fn a_delta_holds_the_own_dots_and_those_superseded<H: Harness>() {
    let store = H::new().open();
    let first = put(&store, "a", "1");
    put(&store, "b", "2");
    let ((), delta) = store
        .transact(Durability::Durable, |txn| {
            txn.put(&cell("a"), b"3".to_vec())?;
            txn.remove(&cell("b"))?;
            txn.put(&cell("c"), b"4".to_vec())?;
            txn.remove(&cell("c"))?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let id = first.replica;
    assert_eq!(
        delta.context().intervals().collect::<Vec<_>>(),
        [(id, 1, 6)]
    );
    let keys: Vec<_> = delta.rows().map(|(key, _)| key.clone()).collect();
    assert_eq!(
        keys,
        [cell("a")],
        "removed rows are told by their dots alone"
    );

    let other = H::new().open();
    other.join_delta(&delta, Durability::Durable).unwrap();
    assert_eq!(payloads(&other.view().unwrap(), "a"), ["3"]);
    let ((), nothing) = store
        .transact(Durability::Durable, |txn| txn.get(&cell("a")).map(drop))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    assert_eq!(nothing, Delta::new());
}

fn a_transaction_reads_its_own_writes<H: Harness>() {
    let store = H::new().open();
    put(&store, "a", "1");
    store
        .transact(Durability::Durable, |txn| {
            assert_eq!(
                txn.get(&cell("a"))?.unwrap().winner().unwrap().payload,
                b"1"
            );
            txn.put(&cell("a"), b"2".to_vec())?;
            assert_eq!(
                txn.get(&cell("a"))?.unwrap().winner().unwrap().payload,
                b"2"
            );
            txn.remove(&cell("a"))?;
            assert_eq!(txn.get(&cell("a"))?, None);
            assert_eq!(txn.get(&cell("never"))?, None);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_sound(&store);
}

#[derive(Debug, PartialEq)]
struct Refused;

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        panic!("{error}")
    }
}

fn a_failed_transaction_leaves_no_trace<H: Harness>() {
    let store = H::new().open();
    put(&store, "a", "1");
    let before = store.view().unwrap();
    let failed: Result<((), _), _> = store.transact(Durability::Durable, |txn| {
        txn.put(&cell("a"), b"2".to_vec())?;
        txn.put(&cell("b"), b"2".to_vec())?;
        Err(Refused)
    });
    assert_eq!(failed.unwrap_err(), Refused);
    let after = store.view().unwrap();
    assert_eq!(rows(&after), rows(&before));
    assert_eq!(
        (after.context(), after.clock()),
        (before.context(), before.clock())
    );
    assert_eq!(
        put(&store, "c", "3").counter,
        2,
        "its dots were given to nobody"
    );
    assert_sound(&store);
}

fn a_failed_one_in_a_group_leaves_the_others<H: Harness>() {
    let store = H::new().open();
    put(&store, "a", "1");
    let mut group = store.group().unwrap();
    let put_all = |group: &mut syncline_store::Group<'_, H::Engine>,
                   keys: &[&str],
                   payload: &str,
                   fails: bool| {
        group.transact(|txn| {
            for key in keys {
                txn.put(&cell(key), payload.into())?;
            }
            if fails { Err(Refused) } else { Ok(()) }
        })
    };
    put_all(&mut group, &["a", "b"], "2", false).unwrap();
    put_all(&mut group, &["a", "c", "b"], "3", true).unwrap_err();
    let ((), delta) = put_all(&mut group, &["a"], "4", false).unwrap();
    group.commit(Durability::Durable).unwrap();

    let view = store.view().unwrap();
    assert_eq!(payloads(&view, "a"), ["4"]);
    assert_eq!(payloads(&view, "b"), ["2"]);
    assert_eq!(payloads(&view, "c"), [""; 0]);
    let id = delta.context().replicas().next().unwrap();
    assert_eq!(view.context().intervals().collect::<Vec<_>>(), [(id, 1, 4)]);
    assert_sound(&store);
}

fn a_panic_in_a_group_leaves_the_others<H: Harness>() {
    let store = H::new().open();
    let mut group = store.group().unwrap();
    group
        .transact(|txn| txn.put(&cell("a"), b"1".to_vec()))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        group.transact(|txn| -> Result<(), StoreError> {
            txn.put(&cell("a"), b"2".to_vec())?;
            txn.put(&cell("b"), b"2".to_vec())?;
            panic!("a bug in the body")
        })
    }));
    assert!(panicked.is_err());
    group.commit(Durability::Durable).unwrap();
    let view = store.view().unwrap();
    assert_eq!(
        (payloads(&view, "a"), view.row_count()),
        (vec!["1".to_owned()], 1)
    );
    assert_sound(&store);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transact(Durability::Durable, |_| -> Result<(), StoreError> {
            panic!("another")
        })
    }));
    assert!(panicked.is_err());
    put(&store, "c", "the store goes on");
}

fn nothing_is_seen_of_a_group_before_its_commit<H: Harness>() {
    let store = H::new().open();
    let mut group = store.group().unwrap();
    for n in 0..10 {
        group
            .transact(|txn| txn.put(&cell(&n.to_string()), Vec::new()))
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
    assert_eq!(store.view().unwrap().row_count(), 0);
    drop(group);
    assert!(store.view().unwrap().context().is_empty());
    put(&store, "a", "1");
    assert_sound(&store);
}

fn an_id_is_minted_at_the_first_write_of_each_opening<H: Harness>() {
    let harness = H::new();
    let first = put(&harness.open(), "a", "1");
    let store = harness.open();
    store.view().unwrap();
    let foreign = row(dot(9, 1), "theirs");
    let peer = context([dot(9, 1)]);
    let incoming = syncline_store::Incoming {
        rows: vec![(cell("b"), foreign)],
        ..syncline_store::Incoming::from_peer(&peer)
    };
    store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(
        store.view().unwrap().context().replicas().count(),
        2,
        "reading and joining mint nothing"
    );
    let second = put(&store, "a", "2");
    assert_ne!(first.replica, second.replica);
    assert_eq!((second.counter, put(&store, "a", "3").counter), (1, 2));
    drop(store);
    assert_ne!(put(&harness.open(), "a", "4").replica, second.replica);
    assert_sound(&harness.open());
}

fn writes_beat_what_they_observed<H: Harness>() {
    let store = H::new().open();
    let ahead = syncline_crdt::Stamp::new(1_000_000, 3);
    let theirs = syncline_crdt::Siblings::one(dot(9, 1), ahead, b"from the future".to_vec());
    let peer = context([dot(9, 1)]);
    let incoming = syncline_store::Incoming {
        rows: vec![(cell("a"), theirs)],
        ..syncline_store::Incoming::from_peer(&peer)
    };
    store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(store.view().unwrap().clock(), ahead);
    put(&store, "b", "later");
    let view = store.view().unwrap();
    let stamp = view
        .get(&cell("b"))
        .unwrap()
        .unwrap()
        .winner()
        .unwrap()
        .stamp;
    assert!(stamp > ahead, "{stamp:?}");
    assert_sound(&store);
}

fn user_keys_are_counted<H: Harness>() {
    let store = H::new().open();
    let counts = || {
        let view = store.view().unwrap();
        assert_sound(&store);
        (view.row_count(), view.key_count())
    };
    let edit = |puts: &[RowKey], removals: &[RowKey]| {
        store
            .transact(Durability::Memory, |txn| {
                puts.iter()
                    .try_for_each(|key| txn.put(key, Vec::new()).map(drop))?;
                removals
                    .iter()
                    .try_for_each(|key| txn.remove(key).map(drop))
            })
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
        counts()
    };
    let (member, field) = (
        |m: &str| RowKey::member(b"k", m.as_bytes()),
        |f: &str| RowKey::field(b"k", f.as_bytes()),
    );
    assert_eq!(edit(&[member("a")], &[]), (1, 1));
    assert_eq!(edit(&[member("b"), field("f"), cell("k")], &[]), (4, 1));
    assert_eq!(
        edit(&[cell("j"), cell("k\0"), cell("ka"), cell("")], &[]),
        (8, 5),
        "neighbours are other keys"
    );
    assert_eq!(edit(&[], &[member("a"), cell("k")]), (6, 5));
    assert_eq!(
        edit(&[member("c")], &[member("b"), field("f")]),
        (5, 5),
        "one row for another"
    );
    assert_eq!(edit(&[], &[member("c")]), (4, 4));
    assert_eq!(edit(&[field("f")], &[field("f")]), (4, 4), "come and gone");
    assert_eq!(
        edit(&[], &[cell("j"), cell("k\0"), cell("ka"), cell("")]),
        (0, 0)
    );
    let opaque = RowKey::new(b"k", Family(0), b"");
    assert_eq!(edit(std::slice::from_ref(&opaque), &[]), (1, 1));
    assert_eq!(
        edit(&[cell("k")], &[opaque]),
        (1, 1),
        "a row that sorts before the cell counts too"
    );
}

fn scans_see_the_staged_rows_in_between<H: Harness>() {
    let store = H::new().open();
    for key in ["b", "d", "f"] {
        put(&store, key, "old");
    }
    let mut group = store.group().unwrap();
    group
        .transact(|txn| {
            for key in ["a", "c", "d", "g"] {
                txn.put(&cell(key), b"new".to_vec())?;
            }
            txn.remove(&cell("b"))?;
            let mut scan = |range: KeyRange, limit| -> Result<Vec<String>, StoreError> {
                let rows = txn.scan(&range, limit)?;
                let name = |(key, row): &(RowKey, syncline_crdt::Row)| {
                    let payload = row.winner().unwrap().payload.clone();
                    String::from_utf8([key.user_key(), payload].concat()).unwrap()
                };
                Ok(rows.iter().map(name).collect())
            };
            assert_eq!(
                scan(KeyRange::ALL, 9)?,
                ["anew", "cnew", "dnew", "fold", "gnew"]
            );
            assert_eq!(scan(KeyRange::ALL, 3)?, ["anew", "cnew", "dnew"]);
            assert_eq!(scan(KeyRange::ALL, 0)?, [""; 0]);
            assert_eq!(
                scan(KeyRange::new(*b"c", b"g".to_vec()), 9)?,
                ["cnew", "dnew", "fold"]
            );
            assert_eq!(
                scan(KeyRange::prefix(&RowKey::key_prefix(b"f")), 9)?,
                ["fold"]
            );
            assert_eq!(scan(KeyRange::new(*b"x", b"c".to_vec()), 9)?, [""; 0]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

/// A peer that claims to have seen more of our id than we ever made would have our next writes
/// taken for dead.
fn a_dot_that_was_lied_about_is_not_used<H: Harness>() {
    let store = H::new().open();
    let first = put(&store, "a", "1");
    let mut lie = Delta::new();
    lie.observe(Dot::new(first.replica, 7));
    store.join_delta(&lie, Durability::Durable).unwrap();
    let next = put(&store, "a", "2");
    assert_ne!(next.replica, first.replica);
    assert_sound(&store);
}

fn nothing_to_commit_costs_no_commit<H: Harness>() {
    let harness = H::new();
    let (engine, faults) = syncline_store::FailingEngine::new(harness.mount());
    let store = Store::open(engine, config()).unwrap();
    put(&store, "a", "1");
    let commits = faults.commits();
    assert!(!remove(&store, "b"));
    store.flush().unwrap();
    assert_eq!(faults.commits(), commits);
    store
        .transact(Durability::Memory, |txn| txn.put(&cell("b"), Vec::new()))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    store.flush().unwrap();
    store.flush().unwrap();
    assert_eq!(faults.commits(), commits + 1, "a sync is none");
}
