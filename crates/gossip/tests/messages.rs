//! The bytes of messages: frozen, and read whatever they are.
#![allow(missing_docs, clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::{Context, Dot, ReplicaId};
use syncline_gossip::{Message, MessageError, Notice, Pushed, Rumour, RumourId};

const A: ReplicaId = ReplicaId::from_bytes([0xaa; 16]);

fn id(first: u64, last: u64) -> RumourId {
    RumourId::new(A, first, last).unwrap()
}

fn notice(first: u64, last: u64, hops: u16) -> Notice {
    let id = id(first, last);
    Notice { id, hops }
}

fn hex(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.replace(&"aa".repeat(16), " A ")
}

#[test]
fn golden() {
    let rumour = Rumour::new(A, 300, 302, b"\x01\x02".to_vec()).unwrap();
    let push = |asked| Message::Push {
        pushed: Pushed {
            rumour: rumour.clone(),
            hops: 7,
        },
        asked,
    };
    let known: Context = [Dot::new(A, 1), Dot::new(A, 2)].into_iter().collect();
    for (message, bytes) in [
        (push(false), "010700 A ac02020102"),
        (push(true), "010701 A ac02020102"),
        (Message::Known(id(1, 1)), "02 A 0100"),
        (
            Message::Announce(vec![notice(1, 3, 4), notice(9, 9, 300)]),
            "0302 A 010204 A 0900ac02",
        ),
        (Message::Graft(Vec::new()), "0400"),
        (Message::Prune, "05"),
        (Message::Link { near: false }, "0600"),
        (Message::Link { near: true }, "0601"),
        (Message::Compare(0x0102), "070000000000000102"),
        (Message::Same, "08"),
        (
            Message::Pull {
                known,
                mutual: true,
            },
            "090101 A 010001",
        ),
        (Message::Unlink, "0a"),
        (
            Message::Batch(vec![
                Pushed {
                    rumour: rumour.clone(),
                    hops: 7,
                },
                Pushed {
                    rumour: Rumour::new(A, 303, 303, Vec::new()).unwrap(),
                    hops: 1,
                },
            ]),
            "0b0207 A ac020202010201 A af020000",
        ),
        (Message::Offer(vec![notice(1, 3, 4)]), "0c01 A 010204"),
        (Message::Want(vec![id(9, 9)]), "0d01 A 0900"),
    ] {
        assert_eq!(hex(&message.to_bytes()), bytes, "{message:?}");
        assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message));
    }
}

#[test]
fn no_rumour_is_without_dots() {
    assert_eq!(RumourId::new(A, 0, 3), None);
    assert_eq!(RumourId::new(A, 4, 3), None);
    // Its dots would end beyond the last there can be.
    let mut bytes = Message::Known(id(1, 1)).to_bytes();
    bytes.truncate(17);
    bytes.extend([
        2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    ]);
    assert!(matches!(
        Message::from_bytes(&bytes),
        Err(MessageError::Malformed(_))
    ));
}

#[test]
fn more_ids_than_are_ever_sent_are_refused() {
    let many = Message::Announce((1..=513).map(|at| notice(at, at, 1)).collect());
    assert_eq!(
        Message::from_bytes(&many.to_bytes()),
        Err(MessageError::TooMany(513))
    );
}

proptest! {
    #[test]
    fn whatever_can_be_read_is_what_would_be_written(bytes in vec(any::<u8>(), 0..200), tag in 0..15u8) {
        for bytes in [bytes.clone(), [vec![tag], bytes].concat()] {
            if let Ok(message) = Message::from_bytes(&bytes) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn a_message_that_was_cut_is_none(at in 1..40usize) {
        let message = Message::Graft(vec![id(1, 2), id(4, 9)]).to_bytes();
        let cut = &message[..at.min(message.len() - 1)];
        prop_assert!(Message::from_bytes(cut).is_err());
    }
}
