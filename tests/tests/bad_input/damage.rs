//! Rows that rot in the store: never read as they are, never joined, fetched again.

use syncline_crdt::{Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Config, Durability, Engine, Store, StoreError, Table};
use syncline_sync::{Request, Strategy};
use syncline_tests::link::{Link, LinkError};
use syncline_tests::media::{File, Medium, Memory, Tapped};
use syncline_tests::rng::Rng;

fn open<E: Engine>(engine: &Tapped<E>) -> Store<Tapped<E>> {
    Store::open(engine.clone(), Config::new("app", [7; 32])).unwrap()
}

fn key(n: u8) -> RowKey {
    RowKey::member(b"set", &[n])
}

fn put<E: Engine>(store: &Store<E>, key: &RowKey, value: &[u8]) -> Dot {
    store
        .transact(Durability::Durable, |txn| txn.put(key, value.to_vec()))
        .unwrap()
        .0
}

fn sync<E: Engine>(
    a: &Store<E>,
    b: &Store<E>,
    strategy: Strategy,
    salt: u8,
) -> Result<bool, LinkError> {
    let request = Request::new([salt; 16]).by(strategy);
    let mut link = Link::open(a.clone(), b.clone(), "app", request, 1 << 10)?;
    link.run(&mut Rng::new(u64::from(salt)))?;
    Ok(link.reports().iter().all(|report| report.agreed))
}

/// Flips a bit of a row at every one of its bytes in turn.
fn every_byte_matters<M: Medium>(mut medium: impl FnMut(&str) -> M) {
    let (here, there) = (medium("here").open(), medium("there").open());
    let (a, b) = (open(&here), open(&there));
    for n in 0..60 {
        put(&a, &key(n), b"value");
    }
    assert!(sync(&a, &b, Strategy::Auto, 0).unwrap());
    let root = b.view().unwrap().root().unwrap();
    let length = 32
        + a.view()
            .unwrap()
            .get(&key(7))
            .unwrap()
            .map(|row| syncline_crdt::Canonical::to_bytes(&row).len())
            .unwrap();
    for (at, strategy) in (0..length).zip([Strategy::Walk, Strategy::Full].into_iter().cycle()) {
        assert!(here.damage(Table::Rows, key(7).as_bytes(), |value| value[at] ^= 0x10));
        assert!(
            matches!(
                a.view().unwrap().get(&key(7)),
                Err(StoreError::Damaged { .. })
            ),
            "byte {at}"
        );
        let scanned = a
            .view()
            .unwrap()
            .scan(&KeyRange::ALL)
            .filter(Result::is_err)
            .count();
        assert_eq!(scanned, 1, "the rows after it are read");
        if at % 2 == 0 {
            assert_eq!(a.withdraw(&[key(7)]).unwrap().rows, 1);
            assert!(a.view().unwrap().recount().unwrap().is_sound());
        }
        // Sessions that come across it withdraw it and end; the next one fetches it.
        let agreed = (0..4).any(|again| sync(&a, &b, strategy, again).is_ok_and(|agreed| agreed));
        assert!(agreed);
        // A stored digest that was untouched lets roots agree before anybody has read the row.
        if a.view().unwrap().get(&key(7)).is_err() {
            a.withdraw(&[key(7)]).unwrap();
            assert!(sync(&a, &b, Strategy::Auto, 9).unwrap());
        }
        for store in [&a, &b] {
            let view = store.view().unwrap();
            assert_eq!(
                view.get(&key(7))
                    .unwrap()
                    .unwrap()
                    .winner()
                    .unwrap()
                    .payload,
                b"value",
                "byte {at}"
            );
            assert_eq!(view.root().unwrap(), root, "byte {at}: damage was joined");
            assert!(view.recount().unwrap().is_sound());
        }
    }
}

#[test]
fn a_damaged_row_in_memory_is_fetched_again() {
    every_byte_matters(|_| Memory::default());
}

#[test]
fn a_damaged_row_in_a_file_is_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    every_byte_matters(|name| {
        let own = directory.path().join(name);
        std::fs::create_dir(&own).unwrap();
        File::new(own)
    });
}

/// The gap that a withdrawal leaves must not be filled by a later write of our own: peers know the dot as the old one.
#[test]
fn the_dots_of_a_withdrawn_row_are_not_used_again() {
    let engine = Memory::default().open();
    let store = open(&engine);
    let dot = put(&store, &key(0), b"old");
    engine.damage(Table::Rows, key(0).as_bytes(), |value| value.truncate(40));
    store.withdraw(&[key(0)]).unwrap();
    assert_ne!(put(&store, &key(1), b"new"), dot);
    // Nor when the damage is found by the writing itself.
    let dot = put(&store, &key(2), b"old");
    engine.damage(Table::Rows, key(2).as_bytes(), |value| value.truncate(40));
    assert_ne!(put(&store, &key(2), b"new"), dot);
    assert!(store.view().unwrap().recount().unwrap().is_sound());
}

/// The peer must not take the gap for a removal, though it was told the context before.
#[test]
fn a_row_that_is_damaged_here_stays_there() {
    let (here, there) = (Memory::default().open(), Memory::default().open());
    let (a, b) = (open(&here), open(&there));
    for n in 0..10 {
        put(&a, &key(n), b"value");
    }
    assert!(sync(&a, &b, Strategy::Auto, 0).unwrap());
    put(&a, &key(200), b"news");
    here.damage(Table::Rows, key(3).as_bytes(), |value| value[33] ^= 1);
    for strategy in Strategy::ALL {
        let request = Request::new([1; 16]).by(strategy);
        let mut link = Link::open(a.clone(), b.clone(), "app", request, 1).unwrap();
        // It is found at some point of the session by somebody else.
        let mut rng = Rng::new(1);
        for _ in 0..5 {
            let _ = link.step(&mut rng);
        }
        a.withdraw(&[key(3)]).unwrap();
        let _ = link.run(&mut rng);
        assert!(
            b.view().unwrap().get(&key(3)).unwrap().is_some(),
            "{strategy}: the gap was taken for a removal"
        );
        let healed =
            (0..3).any(|again| sync(&a, &b, Strategy::Auto, again).is_ok_and(|agreed| agreed));
        assert!(
            healed && a.view().unwrap().get(&key(3)).unwrap().is_some(),
            "{strategy}"
        );
        here.damage(Table::Rows, key(3).as_bytes(), |value| value[33] ^= 1);
    }
}

/// Rows that come near it make the digest tree sum its neighbourhood up anew. What has rotted, here the digests of two rows, must not
/// get into the sums.
#[test]
fn damage_does_not_spread_into_the_digests_of_others() {
    for byte in [0, 31, 32, 50] {
        let engine = Memory::default().open();
        let store = open(&engine);
        for n in 0..20 {
            put(&store, &key(n), b"value");
        }
        for n in [7, 8] {
            engine.damage(Table::Rows, key(n).as_bytes(), |value| value[byte] ^= 0x20);
        }
        let crowd: Vec<RowKey> = (0..=255u8)
            .map(|n| RowKey::member(b"set", &[3, n]))
            .collect();
        for key in &crowd {
            put(&store, key, b"neighbour");
        }
        store.withdraw(&[key(7), key(8)]).unwrap();
        let view = store.view().unwrap();
        let recount = view.recount().unwrap();
        assert!(recount.is_sound(), "byte {byte}: {:?}", recount.mismatches);
        assert_eq!(view.row_count(), 18 + crowd.len() as u64);
        assert!(crowd.iter().all(|key| view.get(key).unwrap().is_some()));
    }
}
