//! What a walk finds is exactly what differs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_merkle::reconcile::{Finding, Limits};
use syncline_merkle::{KeyRange, MemoryTree};

use crate::harness::{self, Outcome, act, found, run, truth, walk, walks};
use crate::scenario::{mix, scenarios};

/// The findings of both sides together are the difference; acting on them makes the sides equal.
fn assert_exact(sides: &[MemoryTree; 2], outcome: &Outcome) {
    assert_eq!(outcome.unsettled(), 0);
    assert_eq!(found(sides, outcome), truth(sides, &KeyRange::ALL));
    let mut reconciled = sides.clone();
    for (side, finding) in &outcome.findings {
        act(&mut reconciled, *side, finding);
    }
    assert_eq!(reconciled[0].root(), reconciled[1].root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn findings_are_the_difference(scenario in scenarios()) {
        let sides = scenario.sides();
        assert_exact(&sides, &walk(&sides));
    }

    /// However little is said at once, and whatever one expects.
    #[test]
    fn narrow_limits_change_nothing(
        scenario in scenarios(),
        message in 1..3000usize,
        memory in prop_oneof![Just(100_000usize), Just(1 << 20)],
        reads in 1..5000u64,
        expected in prop_oneof![Just(0u64), Just(1), Just(100), Just(u64::MAX)],
    ) {
        let limits = Limits { message, memory, reads, ..Limits::default() };
        let sides = scenario.sides();
        let mut walks = walks(KeyRange::ALL, &limits);
        walks[0].expect(expected);
        let outcome = run(walks, &sides);
        assert_exact(&sides, &outcome);
        let largest = outcome.messages.iter().map(Vec::len).max();
        // Twice the target, and one part: mostly the keys that an answer describes.
        prop_assert!(largest <= Some(2 * message + (160 << 10)), "{:?}", largest);
    }

    /// A walk over a part says nothing of the rest.
    #[test]
    fn a_part_can_be_walked_alone(scenario in scenarios(), from: u64, len: u64, open in any::<bool>()) {
        let sides = scenario.sides();
        let keys: Vec<&[u8]> = sides[0].iter().map(|(key, _)| key).collect();
        let at = |n: u64| keys.get((n % (keys.len() as u64 + 1)) as usize).map(|key| key.to_vec());
        let lower = at(from).unwrap_or_default();
        let upper = if open { None } else { at(from.wrapping_add(len)).filter(|upper| *upper > lower) };
        let range = KeyRange { lower, upper };
        let outcome = run(walks(range.clone(), &Limits::default()), &sides);
        prop_assert_eq!(outcome.unsettled(), 0);
        prop_assert_eq!(found(&sides, &outcome), truth(&sides, &range));
    }
}

fn numbers(range: impl Iterator<Item = u64>) -> BTreeMap<Vec<u8>, u32> {
    range.map(|n| (mix(n).to_be_bytes().to_vec(), 0)).collect()
}

#[test]
fn equal_sides_find_nothing() {
    for size in [0, 1, 40, 3000, 30_000] {
        let side = harness::tree(&numbers(0..size));
        let outcome = walk(&[side.clone(), side]);
        assert!(outcome.findings.is_empty());
        assert_eq!(outcome.messages.len(), 2);
    }
}

/// An empty side says so in its first words, whoever begins; the other lists none of its items.
#[test]
fn an_empty_side_is_one_finding() {
    let full = harness::tree(&numbers(0..50_000));
    let empty = harness::tree(&BTreeMap::new());
    for sides in [[full.clone(), empty.clone()], [empty, full]] {
        let outcome = walk(&sides);
        let [(side, finding)] = &outcome.findings[..] else {
            panic!("{:?}", outcome.findings);
        };
        assert_eq!(
            *finding,
            Finding::PeerEmpty {
                range: KeyRange::ALL
            }
        );
        assert!(!sides[*side].is_empty());
        assert!(outcome.bytes() < 4000, "{}", outcome.bytes());
        assert_exact(&sides, &outcome);
    }
}

/// Two sets that share no item, key beside key: no fence is common at any level.
#[test]
fn disjoint_sets_are_told_apart() {
    for (ours, theirs) in [(3000, 3000), (20_000, 20_000), (20_000, 300), (300, 20_000)] {
        let sides = [
            harness::tree(&numbers(0..ours)),
            harness::tree(&numbers(1_000_000..1_000_000 + theirs)),
        ];
        let outcome = walk(&sides);
        assert_exact(&sides, &outcome);
        // Each key of one side is named to the other at most once, and so is an id for it.
        let per_item = outcome.bytes() as f64 / ours.min(theirs) as f64;
        assert!(per_item < 100.0, "{ours} {theirs}: {per_item}");
    }
}

/// A few items among many, sharing none: the side with few names its keys, and they bound what it
/// does not hold, before the first item of the other side and after its last.
#[test]
fn the_few_name_their_keys() {
    let many: BTreeMap<Vec<u8>, u32> = (1000..6000u32)
        .map(|n| (n.to_be_bytes().to_vec(), 0))
        .collect();
    for few in [
        &[0u32, 7000][..],
        &[0, 1],
        &[2000, 9000],
        &[1500, 1501, 4000],
        &[7000, 8000],
    ] {
        // Some at keys of the other side's, in another version.
        let few = few.iter().map(|n| (n.to_be_bytes().to_vec(), 1)).collect();
        for sides in [[&many, &few], [&few, &many]] {
            let sides = sides.map(harness::tree);
            let outcome = walk(&sides);
            assert_exact(&sides, &outcome);
            assert!(outcome.bytes() < 3000, "{}", outcome.bytes());
        }
    }
}

/// One side holds a few of the items that the other has many of.
#[test]
fn a_fragment_finds_the_rest() {
    let whole = harness::tree(&numbers(0..100_000));
    for few in [1, 30, 1000] {
        let fragment = harness::tree(&numbers((0..100_000).step_by(100_000 / few)));
        for sides in [
            [whole.clone(), fragment.clone()],
            [fragment.clone(), whole.clone()],
        ] {
            let outcome = walk(&sides);
            assert_exact(&sides, &outcome);
            assert!(
                outcome.bytes() < 3000 + 12 * few,
                "{few}: {}",
                outcome.bytes()
            );
        }
    }
}

/// The same keys throughout, and every version another one.
#[test]
fn everything_overwritten_is_found() {
    let ours = numbers(0..5000);
    let theirs = ours.keys().map(|key| (key.clone(), 1)).collect();
    let sides = [harness::tree(&ours), harness::tree(&theirs)];
    let outcome = walk(&sides);
    assert_exact(&sides, &outcome);
    let differ = |(_, finding): &(usize, Finding)| matches!(finding, Finding::Differ { .. });
    assert!(outcome.findings.iter().all(differ));
}
