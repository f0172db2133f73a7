//! A value that was durable is not lost to one that never was.
//!
//! A transaction moves a value from one key to another. A peer that learns of its end under the old key drops it, also where the
//! session breaks before the other row has come. If the transaction is then lost here in a crash, the value is nowhere. So
//! a session makes durable what it is about to tell.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use syncline_crdt::RowKey;
use syncline_store::{Config, Durability, MemoryEngine, Store};
use syncline_sync::{Request, Strategy};
use syncline_tests::faulty::{Faulty, Wrong};
use syncline_tests::link::Link;
use syncline_tests::media::{Medium, Memory, Tapped};
use syncline_tests::rng::Rng;

/// Frames that cross before the move, and after it until the connection breaks.
const MOMENTS: usize = 20;

#[test]
fn a_durable_value_is_not_lost_to_a_move_that_a_crash_undoes() {
    assert_eq!(loss(None), None, "the value is under neither key");
}

/// The test can fail: it does where peers are told of what is not durable.
#[test]
fn telling_what_is_not_durable_is_caught() {
    assert!(loss(Some(Wrong::TellUnsynced)).is_some());
}

/// At which moments the value is lost, if at any.
fn loss(wrong: Option<Wrong>) -> Option<(Strategy, usize, usize)> {
    let strategies = Strategy::ALL;
    let pairs = (0..MOMENTS * MOMENTS).map(|moment| (moment / MOMENTS, moment % MOMENTS));
    let moments = strategies.into_iter().flat_map(|strategy| {
        pairs
            .clone()
            .map(move |(before, after)| (strategy, before, after))
    });
    moments
        .into_iter()
        .find(|(strategy, before, after)| !is_kept(*strategy, *before, *after, wrong))
}

fn open(medium: &mut Memory) -> Store<Tapped<MemoryEngine>> {
    Store::open(medium.open(), Config::new("app", [7; 32])).unwrap()
}

/// Whether the value is there in the end, under one of the keys, on both replicas.
fn is_kept(strategy: Strategy, before: usize, after: usize, wrong: Option<Wrong>) -> bool {
    let (mut here, mut there) = (Memory::default(), Memory::default());
    let (a, b) = (open(&mut here), open(&mut there));
    let [key, moved, other] = [b"key", b"new", b"his"].map(|key| RowKey::cell(key));
    let put = |store: &Store<_>, key: &RowKey, value: &[u8]| {
        store
            .transact(Durability::Durable, |txn| txn.put(key, value.to_vec()))
            .unwrap();
    };
    put(&b, &other, b"theirs");
    put(&a, &key, b"durable");

    let request = Request::new([1; 16]).by(strategy);
    let side = |store: &Store<_>, peer: &Store<_>| Faulty::new(store.clone(), peer.clone(), wrong);
    let mut link = Link::open(side(&a, &b), side(&b, &a), "app", request, 1).unwrap();
    let mut rng = Rng::new((before * MOMENTS + after) as u64);
    let mut over = false;
    for step in 0..before + after {
        if step == before {
            let renamed = a.transact(Durability::Memory, |txn| {
                txn.remove(&key)?;
                txn.put(&moved, b"durable".to_vec())
            });
            renamed.unwrap();
        }
        over = over || !link.step(&mut rng).unwrap();
    }
    drop(link);
    here.crash();
    drop(a);

    let a = open(&mut here);
    let mut link = Link::open(a.clone(), b.clone(), "app", Request::new([2; 16]), 1).unwrap();
    link.run(&mut rng).unwrap();
    [&a, &b].iter().all(|store| {
        let view = store.view().unwrap();
        [&key, &moved]
            .iter()
            .any(|key| view.get(key).unwrap().is_some())
    })
}
