//! The bytes of messages on convergence: frozen, and read whatever they are.
#![allow(missing_docs, clippy::unwrap_used)]

mod virtual_cluster;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::{Canonical, CarrierId, Context};
use syncline_gossip::convergence::{Config, Found, Input, Message, MessageError, Output, Write};
use virtual_cluster::{APP, Cluster, dots};

fn hex(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let replica = "07".repeat(12);
    text.replace(&replica, " ID ")
        .replace(&"01".repeat(40), " ROOT1 ")
        .replace(&"02".repeat(40), " ROOT2 ")
        .replace(&"ee".repeat(16), " CARRIER ")
}

/// The first message of each kind that a small cluster sends, by their tags.
fn said() -> Vec<Vec<u8>> {
    let config = Config {
        fanout: 0,
        ..Config::default()
    };
    let mut cluster = Cluster::with(3, config);
    cluster.stand(0, 1, &dots(0, 300));
    cluster.stand(1, 1, &dots(0, 300));
    cluster.stand(2, 2, &dots(0, 301));
    cluster.seconds(30);
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for (_, output) in &cluster.seen {
        if let Output::Send { message, .. } = output {
            messages.push(message.to_bytes());
        }
    }
    messages
}

fn with_tag(messages: &[Vec<u8>], tag: u8) -> String {
    let longest = messages.iter().filter(|bytes| bytes[0] == tag);
    hex(longest.max_by_key(|bytes| bytes.len()).unwrap())
}

#[test]
fn golden() {
    let messages = said();
    assert_eq!(
        [2, 3, 4].map(|tag| with_tag(&messages, tag)),
        [
            "020103617070ab40e2ed1c9e8b4f",
            "0303617070000103000101010101020101",
            "04036170700102"
        ]
    );
    // In terms of nothing, and of what the receiver has said.
    assert_eq!(
        [0, 1].map(|based| {
            let is_such = |it: &&Vec<u8>| it[..6] == [b"\x01\x03app", &[based][..]].concat();
            let such: Vec<_> = messages.iter().filter(is_such).cloned().collect();
            with_tag(&such, 1)
        }),
        [
            "0103617070000001010000000000000000000000000000000003 ROOT1 0100000000 ID 0100ab02000101010101010101010101010101010101010100",
            "01036170700101010201010202020202020202020202020202020203 ROOT2 0100000000 ID 01ac020000"
        ]
    );
}

#[test]
fn each_tells_which_namespaces_it_is_about() {
    let about = |bytes: &[u8]| {
        let message = Message::<u8>::from_bytes(bytes).unwrap();
        message.namespaces().collect::<Vec<_>>().join(" ")
    };
    let contexts = [dots(0, 1), dots(1, 2)].map(|it| it.to_bytes()).concat();
    assert_eq!(about(b"\x01\x03app\x00"), "app");
    let compared = [&b"\x02\x02\x03app"[..], &[0; 8], b"\x03web", &[0; 8]];
    assert_eq!(about(&compared.concat()), "app web");
    assert_eq!(about(b"\x03\x03app\x00\x01\x00"), "app");
    assert_eq!(about(b"\x04\x03app\x00"), "app");
    assert_eq!(about(&[&b"\x05\x07\x03app"[..], &contexts].concat()), "app");
    assert_eq!(about(&[&b"\x06\x07"[..], &[0xee; 16], &[1]].concat()), "");
}

#[test]
fn golden_asks() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &dots(0, 3));
    cluster.stand(1, 1, &dots(0, 3));
    cluster.seconds(3);
    cluster.seen.clear();
    let write = Write::new(dots(0, 1), dots(1, 2)).unwrap();
    cluster.input(
        0,
        Input::Ask {
            wait: 300,
            namespace: APP.into(),
            write,
            wanted: 1,
        },
    );
    cluster.seconds(1);
    let looked = Input::Looked {
        from: 0,
        ask: 300,
        carrier: CarrierId::from_bytes([0xee; 16]),
        found: Found::Here,
    };
    cluster.input(1, looked);
    let messages: Vec<_> = cluster
        .seen
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Send { message, .. } => Some(message.to_bytes()),
            _ => None,
        })
        .collect();
    assert_eq!(
        with_tag(&messages, 5),
        "05ac02036170700100000000 ID 0100000100000001 ID 010001"
    );
    assert_eq!(with_tag(&messages, 6), "06ac02 CARRIER 01");
}

proptest! {
    #[test]
    fn whatever_can_be_read_is_what_would_be_written(bytes in vec(any::<u8>(), 0..200), tag in 0..8u8) {
        for bytes in [bytes.clone(), [vec![tag], bytes].concat()] {
            if let Ok(message) = Message::<u32>::from_bytes(&bytes) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn whatever_was_altered_is_read_as_it_is_or_not_at_all(which in 0..1000usize, at in 0..1000usize, byte in any::<u8>()) {
        let messages = said();
        let mut bytes = messages[which % messages.len()].clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(message) = Message::<u32>::from_bytes(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes.clone());
            // And nothing that it says does harm.
            let mut cluster = Cluster::new(3);
            cluster.stand(0, 1, &dots(0, 300));
            cluster.input(0, Input::Received { from: 1, message });
            cluster.seconds(5);
            prop_assert!(cluster.nodes[0].peers(APP, cluster.now).len() == 2);
        }
    }
}

#[test]
fn too_many_bytes_are_refused() {
    let bytes = vec![1; 1 << 17];
    assert_eq!(
        Message::<u32>::from_bytes(&bytes),
        Err(MessageError::TooLong(1 << 17))
    );
    assert!(Write::new(Context::new(), Context::new()).is_some());
}
