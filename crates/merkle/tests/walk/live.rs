//! Sides that are written to while they walk.

use proptest::prelude::*;
use syncline_merkle::reconcile::Limits;
use syncline_merkle::{KeyRange, MemoryTree};

use crate::harness::{act, check, found, run_with, truth, walk, walks};
use crate::scenario::{mix, scenarios};

/// Writes here and there: new items, overwritten ones and removed ones, some of them close
/// together.
fn scribble(side: &mut MemoryTree, dice: &mut u64, writes: u64) {
    for _ in 0..writes {
        *dice = mix(*dice);
        let existing = side.iter().nth((*dice % (side.len() as u64 + 1)) as usize);
        let key = match existing.map(|(key, _)| key.to_vec()) {
            Some(key) if !dice.is_multiple_of(3) => key,
            Some(key) => [key, vec![*dice as u8]].concat(),
            None => dice.to_be_bytes().to_vec(),
        };
        let _ = match (*dice >> 20) % 3 {
            0 => side.remove(&key),
            _ => side.insert(&key, &dice.to_le_bytes()),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each finding is true of what the peer held when it wrote the message, whatever was written
    /// before and since.
    #[test]
    fn findings_are_true_of_the_moment_they_speak_of(
        scenario in scenarios(),
        mut dice: u64,
        writes in 1..40u64,
        acting in any::<bool>(),
        small in any::<bool>(),
    ) {
        let limits = match small {
            true => Limits { message: 600, ..Limits::default() },
            false => Limits::default(),
        };
        let mut sides = scenario.sides();
        let mut when_spoken = sides.clone();
        let mut turns = 0;
        run_with(walks(KeyRange::ALL, &limits), &mut sides, |sides, side, findings| {
            for finding in findings {
                check(side, finding, &sides[side], &when_spoken[1 - side]);
            }
            when_spoken[side] = sides[side].clone();
            if acting {
                findings.iter().for_each(|finding| act(sides, side, finding));
            }
            turns += 1;
            if turns <= 20 {
                sides.iter_mut().for_each(|side| scribble(side, &mut dice, writes));
            }
        });
        // What was written meanwhile, and what could not be told because of it, is left to the next
        // walk.
        let outcome = walk(&sides);
        prop_assert_eq!(found(&sides, &outcome), truth(&sides, &KeyRange::ALL));
    }

    /// With findings acted on at once, a quiet walk ends in agreement: what is written between
    /// turns does no harm.
    #[test]
    fn acting_at_once_ends_in_agreement(scenario in scenarios(), small in any::<bool>()) {
        let limits = match small {
            true => Limits { message: 600, ..Limits::default() },
            false => Limits::default(),
        };
        let mut sides = scenario.sides();
        run_with(walks(KeyRange::ALL, &limits), &mut sides, |sides, side, findings| {
            findings.iter().for_each(|finding| act(sides, side, finding));
        });
        prop_assert_eq!(sides[0].root(), sides[1].root());
    }
}
