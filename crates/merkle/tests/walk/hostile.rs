//! Peers that err or lie: their bytes are refused or answered, never trusted with more than a
//! bounded effort.

use std::convert::Infallible;

use proptest::prelude::*;
use syncline_merkle::reconcile::{Limits, Step, Walk, WalkError};
use syncline_merkle::{KeyRange, MemoryTree};

use crate::harness::{walk, walks};
use crate::scenario::{Scenario, scenarios};

const VERSION: u8 = 1;

/// A walk of the side that listens, after it has taken its share of a genuine transcript's first
/// messages.
fn listener(sides: &[MemoryTree; 2], messages: &[Vec<u8>], turn: usize) -> (Walk, usize) {
    let mut walks = walks(KeyRange::ALL, &Limits::default());
    walks[0].start(&sides[0]).unwrap();
    for (at, message) in messages[..turn].iter().enumerate() {
        walks[1 - at % 2]
            .handle(&sides[1 - at % 2], message)
            .unwrap();
    }
    let side = 1 - turn % 2;
    let [initiator, responder] = walks;
    (if side == 0 { initiator } else { responder }, side)
}

/// Feeds one message, and checks what the walk made of it.
fn feed(walk: &mut Walk, side: &MemoryTree, bytes: &[u8]) -> Result<Step, WalkError<Infallible>> {
    let result = walk.handle(side, bytes);
    match &result {
        Ok(step) => {
            let limits = Limits::default();
            let reply = step.reply.as_ref().map_or(0, Vec::len);
            assert!(reply <= limits.message_max, "{reply}");
        }
        Err(_) => {
            assert_eq!(
                walk.handle(side, bytes),
                Err(WalkError::Over),
                "a failed walk stays failed"
            );
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), framed in any::<bool>()) {
        let sides = small().sides();
        let (mut walk, side) = listener(&sides, &[], 0);
        let bytes = match framed {
            true => [&[VERSION, 0, 0][..], &bytes].concat(),
            false => bytes,
        };
        let _ = feed(&mut walk, &sides[side], &bytes);
    }

    /// A genuine message with some bytes changed, cut off, doubled or put in, at any turn.
    #[test]
    fn garbled_messages_do_no_harm(
        scenario in scenarios().prop_filter("small", |scenario| scenario.common < 3000),
        turn: prop::sample::Index,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6),
    ) {
        let sides = scenario.sides();
        let genuine = walk(&sides).messages;
        let turn = turn.index(genuine.len());
        let mut garbled = genuine[turn].clone();
        for (at, kind, byte) in edits {
            let at = at.index(garbled.len() + 1);
            match kind {
                0 => garbled.insert(at, byte),
                1 => garbled.truncate(at),
                2 if at < garbled.len() => drop(garbled.remove(at)),
                _ if at < garbled.len() => garbled[at] ^= byte,
                _ => garbled.extend_from_within(at / 2..),
            }
        }
        let (mut walk, side) = listener(&sides, &genuine, turn);
        let _ = feed(&mut walk, &sides[side], &garbled);
    }
}

fn small() -> Scenario {
    Scenario {
        seed: 5,
        keys: crate::scenario::Keys::Even,
        common: 2000,
        removed: [20, 20],
        overwritten: [20, 0],
        added: [0, 20],
        clustered: false,
    }
}

#[test]
fn messages_out_of_turn_are_refused() {
    let sides = small().sides();
    let genuine = walk(&sides).messages;
    let (mut walk, side) = listener(&sides, &genuine, 0);
    assert_eq!(
        walk.handle(&sides[side], &genuine[2]),
        Err(WalkError::OutOfTurn {
            got: 2,
            expected: 0
        })
    );
    let (mut walk, side) = listener(&sides, &genuine, 2);
    assert_eq!(
        walk.handle(&sides[side], &genuine[0]),
        Err(WalkError::OutOfTurn {
            got: 0,
            expected: 2
        })
    );
}

#[test]
fn another_version_is_named() {
    let sides = small().sides();
    let (mut walk, side) = listener(&sides, &[], 0);
    let error = walk
        .handle(&sides[side], &[VERSION + 1, 200, 200])
        .unwrap_err();
    assert_eq!(error, WalkError::Version { got: VERSION + 1 });
    assert!(error.to_string().contains("update the older side"));
}

#[test]
fn long_messages_are_refused_unread() {
    let sides = small().sides();
    let (mut walk, side) = listener(&sides, &[], 0);
    let max = Limits::default().message_max;
    let result = walk.handle(&sides[side], &vec![VERSION; max + 1]);
    assert_eq!(result, Err(WalkError::TooLong { len: max + 1, max }));
}

#[test]
fn a_walk_begins_once_and_ends_once() {
    let sides = small().sides();
    let mut walks = walks(KeyRange::ALL, &Limits::default());
    let first = walks[0].start(&sides[0]).unwrap();
    assert_eq!(walks[0].start(&sides[0]), Err(WalkError::Over));
    let empty = [VERSION, 0, 0];
    let step = walks[1].handle(&sides[1], &empty).unwrap();
    assert!(
        step.reply.is_none() && walks[1].is_done(),
        "nothing said, nothing to say"
    );
    assert_eq!(walks[1].handle(&sides[1], &first), Err(WalkError::Over));
}

/// A peer may not keep the walk alive with empty promises, nor speak of what lies outside the range
/// agreed on.
#[test]
fn senseless_statements_are_refused() {
    let sides = small().sides();
    let refused = |range: KeyRange, bytes: &[u8]| {
        let mut walk = Walk::new([0; 16], range, Limits::default());
        let result = walk.handle(&sides[1], bytes);
        assert!(
            matches!(result, Err(WalkError::Malformed(_))),
            "{bytes:?}: {result:?}"
        );
    };
    let all = || KeyRange::ALL;
    refused(all(), &[VERSION, 0, 1]);
    refused(all(), &[VERSION, 0, 2]);
    refused(all(), &[VERSION, 0x80, 0, 0]);
    // A head of no known kind, and with a bit that has no meaning.
    refused(all(), &[VERSION, 0, 0, 0b0110_0000]);
    refused(all(), &[VERSION, 0, 0, 0b1000_0011]);
    // Items of place 1, where only place 0 was listed.
    refused(
        all(),
        &[&[VERSION, 0, 0, 3 | 1 << 3, 1][..], &[0; 17]].concat(),
    );
    // An answer to what was no listing.
    refused(all(), &[&[VERSION, 0, 0, 4][..], &[0; 18]].concat());
    // Items by bounds: from "a" on, in a walk over "b" alone; then within it, which is no offence.
    let items = |lower: u8| {
        [
            &[VERSION, 0, 0, 3 | 3 << 3, 1, lower, 1, 1, b'c'][..],
            &[0; 17],
        ]
        .concat()
    };
    refused(KeyRange::prefix(b"b"), &items(b'a'));
    let mut walk = Walk::new([0; 16], KeyRange::prefix(b"b"), Limits::default());
    assert!(walk.handle(&sides[1], &items(b'b')).is_ok());
}
