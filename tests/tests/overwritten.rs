//! A value that was durable is not lost to one that never was.
//!
//! A peer that learns of an overwriting drops the old value, also where the session breaks before the new one has come. If the
//! overwriting is then lost here in a crash, neither is left. So a session makes durable what it is about to tell.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use syncline_crdt::RowKey;
use syncline_store::{Config, Durability, MemoryEngine, Store};
use syncline_sync::{Request, Strategy};
use syncline_tests::faulty::{Faulty, Wrong};
use syncline_tests::link::Link;
use syncline_tests::media::{Medium, Memory, Tapped};
use syncline_tests::rng::Rng;

/// Frames moved before the overwriting, and after it until the connection breaks.
const MOMENTS: usize = 20;

#[test]
fn a_durable_value_is_not_lost_to_an_overwriting_that_a_crash_undoes() {
    assert_eq!(loss(None), None, "both values are lost");
}

/// The test can fail: it does where peers are told of what is not durable.
#[test]
fn telling_what_is_not_durable_is_caught() {
    assert!(loss(Some(Wrong::TellUnsynced)).is_some());
}

/// At which moments both values are lost, if at any.
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

/// Whether one of the values is there in the end, on both replicas.
fn is_kept(strategy: Strategy, before: usize, after: usize, wrong: Option<Wrong>) -> bool {
    let (mut here, mut there) = (Memory::default(), Memory::default());
    let (a, b) = (open(&mut here), open(&mut there));
    let (key, other) = (RowKey::cell(b"key"), RowKey::cell(b"other"));
    let put = |store: &Store<_>, key: &RowKey, value: &[u8], durability| {
        store
            .transact(durability, |txn| txn.put(key, value.to_vec()))
            .unwrap();
    };
    put(&b, &other, b"theirs", Durability::Durable);
    put(&a, &key, b"durable", Durability::Durable);

    let request = Request::new([1; 16]).by(strategy);
    let side = |store: &Store<_>, peer: &Store<_>| Faulty::new(store.clone(), peer.clone(), wrong);
    let mut link = Link::open(side(&a, &b), side(&b, &a), "app", request, 1).unwrap();
    let mut rng = Rng::new((before * MOMENTS + after) as u64);
    let mut over = false;
    for step in 0..before + after {
        if step == before {
            put(&a, &key, b"in memory", Durability::Memory);
        }
        over = over || !link.step(&mut rng).unwrap();
    }
    drop(link);
    here.crash();
    drop(a);

    let a = open(&mut here);
    let mut link = Link::open(a.clone(), b.clone(), "app", Request::new([2; 16]), 1).unwrap();
    link.run(&mut rng).unwrap();
    [&a, &b]
        .iter()
        .all(|store| store.view().unwrap().get(&key).unwrap().is_some())
}
