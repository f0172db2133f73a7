//! Fingerprints so narrow that they coincide all the time. Differences then go unfound, and nothing
//! false is said.

use proptest::prelude::*;

use super::harness::{act, found, run, said, truth, walk};
use super::scenario::scenarios;
use crate::KeyRange;
use crate::reconcile::salted::Salted;
use crate::reconcile::{Limits, Walk};

fn narrow_walks(bits: u32, tag_bits: u32, salt: u8) -> [Walk; 2] {
    let walk = || {
        Walk::with(
            Salted::narrow(&[salt; 16], bits, tag_bits),
            KeyRange::ALL,
            Limits::default(),
        )
    };
    [walk(), walk()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Tags that coincide give the two sides other bounds for what they take to be one range. Such
    /// ranges overlap their neighbours, so a difference may be said twice, but none is invented.
    #[test]
    fn coincidences_hide_differences_and_invent_none(scenario in scenarios(), bits in 1..12u32, salt: u8) {
        let sides = scenario.sides();
        let outcome = run(narrow_walks(bits, bits, salt), &sides);
        let truth = truth(&sides, &KeyRange::ALL);
        prop_assert!(said(&sides, &outcome).iter().all(|missing| truth.contains(missing)));
    }

    /// Both sides know the bounds of what they speak of, and nothing is said twice.
    #[test]
    fn where_fences_are_told_apart_all_is_said_once(scenario in scenarios(), bits in 1..12u32, salt: u8) {
        let sides = scenario.sides();
        let outcome = run(narrow_walks(bits, 24, salt), &sides);
        prop_assert!(found(&sides, &outcome).is_subset(&truth(&sides, &KeyRange::ALL)));
    }

    /// Differences that were hidden leave the roots unequal, and walks with other salts find them.
    #[test]
    fn what_is_hidden_is_found_by_another_salt(scenario in scenarios(), bits in 6..12u32) {
        let mut sides = scenario.sides();
        for salt in 0..20 {
            let outcome = run(narrow_walks(bits, bits, salt), &sides);
            for (side, finding) in &outcome.findings {
                act(&mut sides, *side, finding);
            }
        }
        let outcome = walk(&sides);
        for (side, finding) in &outcome.findings {
            act(&mut sides, *side, finding);
        }
        prop_assert_eq!(sides[0].root(), sides[1].root());
    }
}

/// Ids coincide and the sums tell, so the items are listed again by wider ones, at any width that
/// is narrow by design.
#[test]
fn short_ids_that_coincide_are_widened() {
    use super::harness::tree;
    use super::scenario::mix;

    // Enough rounds of 256 against 256 items that two of 65,536 ids are bound to coincide.
    let mut again = 0;
    for round in 0..60u64 {
        let items = |from: u64| {
            (from..from + 200)
                .map(|n| (mix(round << 32 | n).to_be_bytes().to_vec(), 0))
                .collect()
        };
        let sides = [tree(&items(0)), tree(&items(100))];
        let outcome = walk(&sides);
        assert_eq!(outcome.unsettled(), 0);
        assert_eq!(found(&sides, &outcome), truth(&sides, &KeyRange::ALL));
        again += usize::from(
            outcome
                .stats
                .iter()
                .map(|stats| stats.ids_sent)
                .sum::<u64>()
                > 250,
        );
    }
    assert!(
        again > 0,
        "not one coincidence in {} comparisons",
        60 * 100 * 200
    );
}
