//! What a walk costs, in bytes, messages and items read. The figures at other sizes:
//! `examples/walk_cost.rs`.

use syncline_merkle::reconcile::Limits;
use syncline_merkle::{KeyRange, MemoryTree};

use crate::harness::{Outcome, found, run, tree, truth, walk, walks};
use crate::scenario::mix;

const ITEMS: u64 = 200_000;
const DIFFERENCES: u64 = 1000;

/// 16-byte keys, spread evenly.
fn key(n: u64) -> Vec<u8> {
    [mix(n).to_be_bytes(), n.to_be_bytes()].concat()
}

/// Two equal sides.
fn sides() -> [MemoryTree; 2] {
    sides_of(ITEMS)
}

fn sides_of(items: u64) -> [MemoryTree; 2] {
    let side = tree(&(0..items).map(|n| (key(n), 0)).collect());
    [side.clone(), side]
}

/// Numbers of items here and there: keys are scattered, so any will do.
fn scattered() -> impl Iterator<Item = Vec<u8>> {
    (0..DIFFERENCES).map(|n| key(n * (ITEMS / DIFFERENCES)))
}

/// Neighbours in key order, as under one prefix.
fn clustered(side: &MemoryTree) -> Vec<Vec<u8>> {
    let keys = side.iter().map(|(key, _)| key.to_vec());
    keys.skip(ITEMS as usize / 3)
        .take(DIFFERENCES as usize)
        .collect()
}

/// Walks, and checks the findings and the cost: bytes per difference, messages, and items read per
/// difference on both sides.
fn assert_cost(sides: &[MemoryTree; 2], bytes: u64, messages: usize, read: u64) -> Outcome {
    let outcome = walk(sides);
    assert_eq!(found(sides, &outcome), truth(sides, &KeyRange::ALL));
    let items_read: u64 = outcome.stats.iter().map(|stats| stats.items_read).sum();
    let cost = (
        outcome.bytes() as u64 / DIFFERENCES,
        outcome.messages.len(),
        items_read / DIFFERENCES,
    );
    let bound = (bytes, messages, read);
    assert!(
        cost.0 <= bound.0 && cost.1 <= bound.1 && cost.2 <= bound.2,
        "{cost:?}, not {bound:?}"
    );
    outcome
}

#[test]
fn scattered_removals() {
    for missing in [0, 1] {
        let mut sides = sides();
        scattered().for_each(|key| assert!(sides[missing].remove(&key)));
        assert_cost(&sides, 100, 8, 600);
    }
}

#[test]
fn scattered_removals_on_both_sides() {
    let mut sides = sides();
    for (at, key) in scattered().enumerate() {
        sides[at % 2].remove(&key);
    }
    assert_cost(&sides, 110, 9, 600);
}

/// Of which some 70 are the description of the other version.
#[test]
fn scattered_overwrites() {
    let mut sides = sides();
    scattered().for_each(|key| assert!(sides[1].insert(&key, b"another")));
    assert_cost(&sides, 190, 9, 700);
}

#[test]
fn clustered_removals() {
    for missing in [0, 1] {
        let mut sides = sides();
        for key in clustered(&sides[0]) {
            sides[missing].remove(&key);
        }
        assert_cost(&sides, 12, 8, 12);
    }
}

#[test]
fn clustered_overwrites() {
    let mut sides = sides();
    for key in clustered(&sides[0]) {
        sides[1].insert(&key, b"another");
    }
    assert_cost(&sides, 75, 10, 25);
}

/// Told about how much to expect, a walk begins where it would otherwise arrive with its second
/// message.
#[test]
fn a_good_guess_spares_a_step() {
    let items = 400_000;
    let mut sides = sides_of(items);
    (0..DIFFERENCES).for_each(|n| assert!(sides[1].remove(&key(n * (items / DIFFERENCES)))));
    let unprepared = walk(&sides);
    let mut walks = walks(KeyRange::ALL, &Limits::default());
    walks[0].expect(DIFFERENCES);
    let prepared = run(walks, &sides);
    let first = |outcome: &Outcome| outcome.messages[0].len();
    assert!(
        first(&prepared) > 10 * first(&unprepared),
        "it begins at a finer level"
    );
    assert!(prepared.messages.len() <= unprepared.messages.len());
    assert!(prepared.bytes() < unprepared.bytes());
}
