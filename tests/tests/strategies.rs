//! Whatever a session goes by, it ends in the same state.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use syncline_sync::Strategy;
use syncline_tests::live::{Size, outcome};

fn all_end_in_the_same(seed: u64, size: Size) {
    let ends = Strategy::ALL.map(|strategy| outcome(seed, size, strategy));
    for (end, strategy) in ends.iter().zip(Strategy::ALL) {
        assert_eq!(*end, ends[0], "seed {seed}, {strategy}");
    }
}

/// Replicas in a chain, which remember all of their removals, few or none; rows and whole sets removed on any of them; deltas that came
/// and sessions that broke before.
#[test]
fn strategies_end_in_the_same_state() {
    (0..150).for_each(|seed| all_end_in_the_same(seed, Size::Small));
}

#[test]
fn strategies_end_in_the_same_state_where_sketches_overflow() {
    (0..4).for_each(|seed| all_end_in_the_same(seed, Size::Large));
}
