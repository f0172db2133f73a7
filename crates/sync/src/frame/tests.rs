#![allow(clippy::unwrap_used, clippy::panic)]

use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;
use syncline_crdt::{Dot, ReplicaId};
use syncline_merkle::RangeDigest;

use super::*;
use crate::config::{Config, Request, Strategy as By};
use crate::error::RefusalCode;
use crate::hello::Asks;

/// One frame of each kind, and of each shape of its parts.
fn examples() -> Vec<Frame<'static>> {
    let dot = Dot::new(ReplicaId::from_bytes([0xa; 16]), 300);
    let root = || {
        let mut bytes = [0xd; RangeDigest::LEN];
        bytes[..8].copy_from_slice(&1_000_000u64.to_le_bytes());
        WireRoot::from(RangeDigest::from_bytes(&bytes))
    };
    let config = Config::new([0xc; 16], [0xe; 32], "app", 1_700_000_000_000);
    let range = syncline_merkle::KeyRange::prefix(b"user:");
    let asks = Asks::new(
        &config.namespace,
        &Request::new([0xf; 16]).by(By::Walk).within(range),
    );
    let hello = Hello {
        versions: (1, 1),
        features: 0,
        cluster: config.cluster,
        node: config.node,
        clock_ms: config.clock_ms,
        asks: Some(asks),
        root: root(),
        context_hash: [0xb; 16],
        context: Some(ContextForm::Whole(vec![0])),
    };
    let edited = ContextForm::Edited {
        without: vec![0],
        with: vec![1, 2],
    };
    let answer = Hello {
        asks: None,
        context: Some(edited.clone()),
        ..hello.clone()
    };
    vec![
        Frame::Hello(Box::new(hello)),
        Frame::Hello(Box::new(answer)),
        Frame::Refuse(Refusal::new(RefusalCode::Busy, "later")),
        Frame::Context(edited),
        Frame::Rows(Purpose::Addition(Some(dot.into())), Bytes(b"rows")),
        Frame::Rows(Purpose::Addition(None), Bytes(b"")),
        Frame::Rows(Purpose::Copy(Some(b"upper".to_vec())), Bytes(b"rows")),
        Frame::Rows(Purpose::Copy(None), Bytes(b"rows")),
        Frame::Rows(Purpose::Found, Bytes(b"rows")),
        Frame::Rows(Purpose::Wanted, Bytes(b"rows")),
        Frame::Fragment(true, Bytes(b"row")),
        Frame::End(None),
        Frame::End(Some(root())),
        Frame::Walk(Bytes(b"walk")),
        Frame::Want(Wish::Unseen, Bytes(b"keys")),
        Frame::Want(Wish::Whole, Bytes(b"keys")),
        Frame::Root(root(), 7),
        Frame::Rows(Purpose::Removed, Bytes(b"rows")),
        Frame::Rows(
            Purpose::RemovedBy(RemovedBy {
                frontier: Some(dot.into()),
                missing: vec![0],
                removers: vec![1, 2],
            }),
            Bytes(b"rows"),
        ),
        Frame::Symbols(Bytes(b"symbols")),
        Frame::MoreSymbols(300),
        Frame::Dropped(Bytes(b"context")),
        Frame::Carrier([0xa; 16], [0xb; 8], crate::carriers::examples()),
        Frame::Roster([0xa; 16], Bytes(b"roster")),
        Frame::RangeRemoved(RangeRemoved {
            dots: vec![1, 2],
            lower: b"lower".to_vec(),
            upper: Some(b"upper".to_vec()),
            observed: ContextForm::Whole(vec![0]),
        }),
        Frame::Working,
    ]
}

/// The bytes of frames do not change within a version of the protocol.
#[test]
fn golden() {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<alloc::string::String>()
    };
    let lines: Vec<_> = examples()
        .iter()
        .map(|frame| hex(&frame.encode(5)))
        .collect();
    let expected = include_str!("golden.txt");
    assert_eq!(
        lines.join("\n"),
        expected.trim_end(),
        "to be frozen:\n{}\n",
        lines.join("\n")
    );
}

#[test]
fn frames_are_read_as_they_were_written() {
    for frame in examples() {
        for flight in [1, 127, 128, u32::MAX] {
            assert_eq!(
                Frame::decode(&frame.encode(flight)).unwrap(),
                (flight, frame.clone())
            );
        }
    }
}

#[test]
fn cut_and_lengthened_frames_are_refused() {
    for frame in examples() {
        let bytes = frame.encode(1);
        for cut in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..cut]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Frame::decode(&longer).is_err());
    }
}

#[test]
fn refusals_need_no_session() {
    let told = Refusal::new(RefusalCode::Busy, "later");
    let bytes = refusal(told.clone());
    let (_, frame) = Frame::decode(&bytes).unwrap();
    assert_eq!(frame, Frame::Refuse(told.clone()));
    assert_eq!(told.to_string(), "later");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((flight, frame)) = Frame::decode(&bytes) {
            let again = frame.encode(flight);
            prop_assert_eq!(Frame::decode(&again).unwrap(), (flight, frame));
        }
    }
}
