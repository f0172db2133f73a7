//! Damaged rows: noticed, withdrawn, fetched again, never joined.

use syncline_crdt::{Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, Incoming, Mismatch, Store, StoreError, Table, Withdrawn};

use crate::harness::*;

crate::over_all_engines! {
    a_damaged_row_is_an_error_in_its_place
    whatever_byte_is_wrong_is_noticed_and_repaired
    several_damaged_rows_of_one_leaf_add_up
    a_missing_row_is_fetched_again
    a_stray_row_is_thrown_out
    a_row_missing_from_the_index_is_listed_again
    sound_rows_are_not_withdrawn
    damage_beside_a_new_fence_does_not_enter_the_tree
    damage_does_not_enter_a_join
    damage_does_not_enter_a_delta_join
    a_transaction_goes_on_over_damage
    a_dot_is_never_used_again_after_its_withdrawal
    what_the_index_lost_the_sketch_tells
    a_dot_listed_elsewhere_is_withdrawn_with_its_row
    a_stray_entry_of_the_index_brings_nothing_back
    where_nothing_else_tells_the_row_itself_is_asked
    damage_that_nothing_tells_the_dots_of_is_refused
}

/// Two replicas that hold the same, and the first one's place, closed.
fn twins<H: Harness>(keys: usize) -> (H, Store<H::Engine>) {
    let harness = H::new();
    let store = harness.open();
    for n in 0..keys {
        store
            .transact(Durability::Memory, |txn| {
                txn.put(&key(n), vec![n as u8; 5]).map(drop)
            })
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
    let other = H::new().open();
    sync(&store, &other);
    assert_same(&store, &other);
    (harness, other)
}

fn key(n: usize) -> RowKey {
    cell(&format!("k{n:04}"))
}

fn damage<H: Harness>(harness: &H, key: &RowKey, at: usize) {
    let mut value = stored(harness, key);
    let at = at % value.len();
    value[at] ^= 0x10;
    harness.tamper(|batch| batch.put(Table::Rows, key.as_bytes(), &value));
}

fn a_damaged_row_is_an_error_in_its_place<H: Harness>() {
    let (harness, _) = twins::<H>(5);
    damage(&harness, &key(2), usize::MAX);
    let store = harness.open();
    let view = store.view().unwrap();
    let error = view.get(&key(2)).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { key: named } if named == key(2).as_bytes()));
    assert!(error.to_string().contains("withdraw it"), "{error}");
    let scanned: Vec<bool> = view.scan(&KeyRange::ALL).map(|row| row.is_ok()).collect();
    assert_eq!(scanned, [true, true, false, true, true]);
    let recount = view.recount().unwrap();
    assert!(recount.mismatches.contains(&Mismatch::Damaged {
        key: key(2).into_bytes()
    }));
}

fn whatever_byte_is_wrong_is_noticed_and_repaired<H: Harness>() {
    // The value is 32 bytes of digest, a count, a dot, a stamp, a length and a payload: 64 bytes in
    // all.
    for at in (0..64).step_by(3) {
        let (harness, other) = twins::<H>(40);
        damage(&harness, &key(7), at);
        let store = harness.open();
        assert!(store.view().unwrap().get(&key(7)).is_err(), "byte {at}");
        let withdrawn = store.withdraw(&[key(7)]).unwrap();
        assert_eq!(withdrawn, Withdrawn { rows: 1, dots: 1 }, "byte {at}");
        assert_sound(&store);
        let view = store.view().unwrap();
        assert_eq!((view.row_count(), view.withdrawals()), (39, 1));
        assert!(
            !view.context().covers(other.view().unwrap().context()),
            "its dot is a gap now"
        );
        sync(&other, &store);
        assert_same(&store, &other);
    }
}

fn several_damaged_rows_of_one_leaf_add_up<H: Harness>() {
    for (at, together) in [(0, true), (3, false), (40, true), (40, false)] {
        let (harness, other) = twins::<H>(200);
        let damaged: Vec<RowKey> = (0..200).step_by(11).map(key).collect();
        damaged.iter().for_each(|key| damage(&harness, key, at));
        let store = harness.open();
        if together {
            assert_eq!(store.withdraw(&damaged).unwrap().rows, damaged.len() as u64);
        } else {
            damaged.iter().for_each(|key| {
                assert_eq!(store.withdraw(std::slice::from_ref(key)).unwrap().rows, 1)
            });
        }
        assert_sound(&store);
        sync(&other, &store);
        assert_same(&store, &other);
    }
}

fn a_missing_row_is_fetched_again<H: Harness>() {
    let (harness, other) = twins::<H>(100);
    harness.tamper(|batch| batch.remove(Table::Rows, key(50).as_bytes()));
    let store = harness.open();
    assert!(!store.view().unwrap().recount().unwrap().is_sound());
    assert_eq!(
        store.withdraw(&[key(50)]).unwrap(),
        Withdrawn { rows: 1, dots: 1 }
    );
    assert_sound(&store);
    sync(&other, &store);
    assert_same(&store, &other);
}

/// A row under a key that nobody wrote, as when a key's bytes have changed.
fn a_stray_row_is_thrown_out<H: Harness>() {
    let (harness, _) = twins::<H>(100);
    let value = stored(&harness, &key(3));
    harness.tamper(|batch| batch.put(Table::Rows, cell("k0003x").as_bytes(), &value));
    let store = harness.open();
    assert_eq!(
        store.withdraw(&[cell("k0003x")]).unwrap(),
        Withdrawn { rows: 1, dots: 0 }
    );
    assert_sound(&store);
}

fn a_row_missing_from_the_index_is_listed_again<H: Harness>() {
    let (harness, other) = twins::<H>(20);
    let dot = other
        .view()
        .unwrap()
        .get(&key(4))
        .unwrap()
        .unwrap()
        .dots()
        .next()
        .unwrap();
    let indexed = [&dot.replica.as_bytes()[..], &dot.counter.to_be_bytes()].concat();
    harness.tamper(|batch| batch.remove(Table::Dots, &indexed));
    let store = harness.open();
    assert!(!store.view().unwrap().recount().unwrap().is_sound());
    assert_eq!(
        store.withdraw(&[key(4)]).unwrap(),
        Withdrawn::default(),
        "the row is sound and stays"
    );
    assert_sound(&store);
    assert_same(&store, &other);
}

fn sound_rows_are_not_withdrawn<H: Harness>() {
    let (harness, other) = twins::<H>(20);
    let store = harness.open();
    let withdrawn = store
        .withdraw(&[key(1), key(2), cell("never there")])
        .unwrap();
    assert_eq!(withdrawn, Withdrawn::default());
    assert_same(&store, &other);
    assert_sound(&store);
}

fn damage_does_not_enter_a_join<H: Harness>() {
    let (harness, other) = twins::<H>(100);
    for n in [0, 1, 50, 99] {
        damage(&harness, &key(n), 20 + n);
    }
    let store = harness.open();
    put(&store, "k0050", "overwritten blindly");
    let view = other.view().unwrap();
    let incoming = Incoming {
        rows: [0, 1, 99]
            .map(|n| (key(n), view.get(&key(n)).unwrap().unwrap()))
            .to_vec(),
        ..Incoming::from_peer(view.context())
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(
        (joined.withdrawn, joined.added, joined.conflicting),
        (3, 3, 0)
    );
    assert_sound(&store);
    let row = store.view().unwrap().get(&key(0)).unwrap();
    assert_eq!(row, view.get(&key(0)).unwrap());

    // Absence, too, is joined with what is sound only.
    sync(&other, &store);
    assert_eq!(
        payloads(&store.view().unwrap(), "k0050").len(),
        2,
        "what was damaged was not observed"
    );
    sync(&store, &other);
    assert_same(&store, &other);
}

fn damage_does_not_enter_a_delta_join<H: Harness>() {
    let (harness, other) = twins::<H>(30);
    damage(&harness, &key(3), 50);
    damage(&harness, &key(4), 5);
    let ((), delta) = other
        .transact(Durability::Durable, |txn| {
            txn.remove(&key(3))?;
            txn.put(&key(4), b"new".to_vec()).map(drop)
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let store = harness.open();
    let joined = store.join_delta(&delta, Durability::Durable).unwrap();
    assert_eq!(joined.withdrawn, 2);
    assert_sound(&store);
    assert_same(&store, &other);
}

fn a_transaction_goes_on_over_damage<H: Harness>() {
    let (harness, other) = twins::<H>(30);
    for n in [3, 4, 5, 6] {
        damage(&harness, &key(n), 60);
    }
    let store = harness.open();
    store
        .transact(Durability::Durable, |txn| {
            assert_eq!(txn.get(&key(3))?, None);
            txn.put(&key(4), b"new".to_vec())?;
            assert!(!txn.remove(&key(5))?, "it counts as absent");
            assert_eq!(txn.scan(&KeyRange::ALL, 100)?.len(), 30 - 3);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(store.view().unwrap().withdrawals(), 4);
    assert_sound(&store);
    sync(&other, &store);
    assert_sound(&store);
    let view = store.view().unwrap();
    assert_eq!(
        (view.row_count(), view.get(&key(4)).unwrap().unwrap().len()),
        (30, 2)
    );

    // A transaction that fails takes its withdrawals with it, and the next one meets the damage
    // again.
    let (harness, _) = twins::<H>(5);
    damage(&harness, &key(1), 60);
    let store = harness.open();
    let failed = store.transact(Durability::Durable, |txn| {
        txn.put(&key(1), Vec::new())?;
        Err::<(), _>(StoreError::TooManyRows)
    });
    assert!(failed.is_err());
    assert!(store.view().unwrap().get(&key(1)).is_err());
    // Within a group that is committed all the same, the damage is gone with it.
    let mut group = store.group().unwrap();
    let failed = group.transact(|txn| {
        txn.put(&key(1), Vec::new())?;
        Err::<(), _>(StoreError::TooManyRows)
    });
    assert!(failed.is_err());
    group.commit(Durability::Durable).unwrap();
    assert_eq!(store.view().unwrap().get(&key(1)).unwrap(), None);
    assert_sound(&store);
}

/// Other replicas may have seen a dot that we had to withdraw: naming another write with it would
/// lose that one.
fn a_dot_is_never_used_again_after_its_withdrawal<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let last = put(&store, "a", "1");
    // Behind the store's back, while it is open, as a failing device would.
    let engine_value = {
        let view = store.view().unwrap();
        assert_eq!(view.row_count(), 1);
        drop(view);
        drop(store);
        let mut value = stored(&harness, &cell("a"));
        *value.last_mut().unwrap() ^= 1;
        value
    };
    harness.tamper(|batch| batch.put(Table::Rows, cell("a").as_bytes(), &engine_value));
    let store = harness.open();
    store.withdraw(&[cell("a")]).unwrap();
    assert!(store.view().unwrap().context().is_empty());
    let next = put(&store, "b", "2");
    assert_ne!(next, last);
    assert_sound(&store);
}

/// Takes a row's only dot out of the index.
fn unlist<H: Harness>(harness: &H, other: &Store<H::Engine>, key: &RowKey) {
    let row = other.view().unwrap().get(key).unwrap().unwrap();
    let indexed = dot_key(row.dots().next().unwrap());
    harness.tamper(|batch| batch.remove(Table::Dots, &indexed));
}

fn dot_key(dot: Dot) -> Vec<u8> {
    [&dot.replica.as_bytes()[..], &dot.counter.to_be_bytes()].concat()
}

/// The index is damaged in the same place as the row: what the row held, the sketch knows.
fn what_the_index_lost_the_sketch_tells<H: Harness>() {
    let (harness, other) = twins::<H>(30);
    unlist(&harness, &other, &key(4));
    unlist(&harness, &other, &key(9));
    damage(&harness, &key(4), 60);
    damage(&harness, &key(5), 60);
    let store = harness.open();
    // Whoever asks for one has all: the sketch does not tell of which row they are.
    let withdrawn = store.withdraw(&[key(5)]).unwrap();
    assert_eq!(withdrawn, Withdrawn { rows: 2, dots: 2 });
    assert_sound(&store);
    sync(&store, &other);
    assert_eq!(
        other.view().unwrap().row_count(),
        30,
        "nothing was taken for removed"
    );
    sync(&other, &store);
    assert_same(&store, &other);
}

/// The index lists a damaged row's dot under another row, one that is sound.
fn a_dot_listed_elsewhere_is_withdrawn_with_its_row<H: Harness>() {
    for elsewhere in [
        key(20).into_bytes(),
        cell("never there").into_bytes(),
        b"no key".to_vec(),
    ] {
        let (harness, other) = twins::<H>(30);
        let row = other.view().unwrap().get(&key(4)).unwrap().unwrap();
        let indexed = dot_key(row.dots().next().unwrap());
        harness.tamper(|batch| batch.put(Table::Dots, &indexed, &elsewhere));
        damage(&harness, &key(4), 60);
        let store = harness.open();
        assert_eq!(store.withdraw(&[key(4)]).unwrap().dots, 1);
        assert_sound(&store);
        sync(&store, &other);
        sync(&other, &store);
        assert_eq!(
            other.view().unwrap().row_count(),
            30,
            "nothing was taken for removed"
        );
        assert_same(&store, &other);
    }
}

/// An entry of the index that stands for nothing goes; the dot that it names may have been dropped
/// here alone, and stays dropped.
fn a_stray_entry_of_the_index_brings_nothing_back<H: Harness>() {
    let (harness, other) = twins::<H>(30);
    let dropped = other.view().unwrap().get(&key(7)).unwrap().unwrap();
    let dropped = dropped.dots().next().unwrap();
    remove(&harness.open(), "k0007");
    harness.tamper(|batch| batch.put(Table::Dots, &dot_key(dropped), key(8).as_bytes()));
    let store = harness.open();
    assert_eq!(store.withdraw(&[key(8)]).unwrap(), Withdrawn::default());
    assert_sound(&store);
    assert!(store.view().unwrap().context().contains(&dropped));
    sync(&other, &store);
    assert_eq!(store.view().unwrap().get(&key(7)).unwrap(), None);
}

/// The index is damaged in the same place as the row, and so is the sketch, anywhere.
fn damaged_in_three_places<H: Harness>(row: Option<&[u8]>) -> (H, Store<H::Engine>) {
    let (harness, other) = twins::<H>(10);
    unlist(&harness, &other, &key(4));
    harness.tamper(|batch| batch.put(Table::Sketch, &[1, 0, 0], b"damaged"));
    damage(&harness, &key(4), 60);
    damage(&harness, &key(5), 60);
    if let Some(row) = row {
        harness.tamper(|batch| batch.put(Table::Rows, key(4).as_bytes(), row));
    }
    (harness, other)
}

fn where_nothing_else_tells_the_row_itself_is_asked<H: Harness>() {
    let (harness, other) = damaged_in_three_places::<H>(None);
    let store = harness.open();
    let withdrawn = store.withdraw(&[key(5), key(4)]).unwrap();
    assert_eq!(withdrawn, Withdrawn { rows: 2, dots: 2 });
    assert_sound(&store);
    sync(&store, &other);
    sync(&other, &store);
    assert_eq!(other.view().unwrap().row_count(), 10);
    assert_same(&store, &other);
}

fn damage_that_nothing_tells_the_dots_of_is_refused<H: Harness>() {
    let (harness, _) = damaged_in_three_places::<H>(Some(b"no row any more"));
    let store = harness.open();
    let error = store.withdraw(&[key(5), key(4)]).unwrap_err();
    assert!(matches!(&error, StoreError::Irreparable { key: named } if named == key(4).as_bytes()));
    assert!(error.to_string().contains("remove the store"), "{error}");
    assert!(
        store.view().is_err(),
        "others would take its absence for a removal"
    );
}

/// New fences split leaves, which are summed up anew from their rows: a damaged one among them is
/// withdrawn by the commit, or its damage would stay in the sums for ever.
fn damage_beside_a_new_fence_does_not_enter_the_tree<H: Harness>() {
    let (harness, other) = twins::<H>(60);
    for n in [10, 30, 50] {
        damage(&harness, &key(n), n % 32);
    }
    let store = harness.open();
    store
        .transact(Durability::Durable, |txn| {
            (0..600).try_for_each(|n| {
                let between = cell(&format!("k{:04}-{n}", n % 60));
                txn.put(&between, Vec::new()).map(drop)
            })
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    assert_eq!(store.view().unwrap().withdrawals(), 3);
    assert_sound(&store);
    sync(&store, &other);
    sync(&other, &store);
    assert_same(&store, &other);
}
