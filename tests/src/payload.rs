//! Payloads for rows that the store looks into: what its indexes make of them has to be right, too.

use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::{Dot, Family, ReplicaId, RowKey};

use crate::rng::Choices;

/// For a member of a sorted set mostly a score, for a field at times what is left of a deleted counter, and else any
/// bytes of this length.
pub fn payload(key: &RowKey, len: usize, choices: &mut impl Choices) -> Vec<u8> {
    const SCORES: [&str; 6] = ["0", "-1.5", "3", "1e300", "inf", "no score"];
    match key.family() {
        Family::SCORE if choices.chance(80) => {
            let score = *choices.pick(&SCORES);
            [&[1], score.as_bytes()].concat()
        }
        Family::FIELD if choices.chance(40) => {
            let counted = Dot::new(ReplicaId::from_bytes([7; 16]), 1);
            let erased = Sum::whole(1 + choices.below(3) as u128, 0);
            Cell::Base {
                value: None,
                baselines: [(counted, erased)].into(),
            }
            .to_bytes()
        }
        _ => choices.bytes(len),
    }
}
