//! The bytes of packets: frozen, and read whatever they are.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::{Canonical, DecodeError};

use super::card::{Card, Issue};
use super::identity::Identity;
use super::packet::{Buckets, Listed, Packet};
use super::table::{BUCKETS, State};
use super::wire::SwimPacket;
use foca::{Header, Member, Message};

type Name = [u8; 2];

/// A name of two bytes, as a node's has 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(Name);

impl Canonical for Id {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }

    fn decode(input: &mut syncline_crdt::Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ada() -> Identity<Id> {
    Identity::new(Id(*b"aa"), 300, ([10, 0, 0, 1], 7400).into())
}

fn bob() -> Identity<Id> {
    let ip: std::net::Ipv6Addr = "2001:db8::2".parse().unwrap();
    Identity::new(Id(*b"bb"), 1, (ip, 7401).into())
}

const ADA: &str = "6161ac02040a0000011ce8";
const BOB: &str = "6262010620010db80000000000000000000000021ce9";

fn issue() -> Issue {
    let card = Card {
        zone: "west".into(),
        namespaces: ["app".into()].into(),
        features: 5,
        version: "1.0".into(),
    };
    Issue::new((300, 2), card).unwrap()
}

/// Generation, count, no farewell, length; zone, version, features, namespaces.
const ISSUE: &str = "ac0202000f047765737403312e30050103617070";

fn swim(message: Message<Identity<Id>>, updates: Vec<Member<Identity<Id>>>) -> SwimPacket<Id> {
    let (src, dst) = (ada(), bob());
    let header = Header {
        src,
        src_incarnation: 7,
        dst,
        message,
    };
    SwimPacket { header, updates }
}

#[test]
fn golden_packets_of_the_failure_detector() {
    let probe_number = 9;
    let updates = vec![
        Member::new(ada(), 7, foca::State::Alive),
        Member::new(bob(), 128, foca::State::Suspect),
        Member::new(bob(), 0, foca::State::Down),
    ];
    let three = format!("0003{ADA}0700{BOB}800101{BOB}0002");
    let cases = [
        (Message::Ping(9), vec![], "01090000".into()),
        (Message::Ack(9), updates, format!("0209{three}")),
        (
            Message::PingReq {
                target: bob(),
                probe_number,
            },
            vec![],
            format!("0309{BOB}0000"),
        ),
        (
            Message::IndirectPing {
                origin: bob(),
                probe_number,
            },
            vec![],
            format!("0409{BOB}0000"),
        ),
        (
            Message::IndirectAck {
                target: bob(),
                probe_number,
            },
            vec![],
            format!("0509{BOB}0000"),
        ),
        (
            Message::ForwardedAck {
                origin: bob(),
                probe_number,
            },
            vec![],
            format!("0609{BOB}0000"),
        ),
        (Message::Announce, vec![], "07".into()),
        (Message::Feed, vec![], "080000".into()),
        (Message::Gossip, vec![], "090000".into()),
        (Message::TurnUndead, vec![], "0b".into()),
    ];
    for (message, updates, expected) in cases {
        let packet = swim(message, updates);
        let bytes = packet.to_bytes();
        assert_eq!(hex(&bytes), format!("{ADA}07{BOB}{expected}"));
        let read = SwimPacket::from_bytes(&bytes).unwrap();
        assert_eq!((read.header, read.updates), (packet.header, packet.updates));
    }
}

#[test]
fn what_the_failure_detector_writes_is_what_is_read_here() {
    let config = super::Config::new();
    let mut random = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
    let mut swim = super::swim::new(ada(), &config, &mut random);
    let mut runtime = foca::AccumulatingRuntime::new();
    swim.announce(bob(), &mut runtime).unwrap();
    let (to, bytes) = runtime.to_send().unwrap();
    assert_eq!(to, bob());
    assert_eq!(hex(&bytes), format!("{ADA}00{BOB}07"));
}

#[test]
fn golden_packets() {
    let mut buckets = Buckets::default();
    buckets.insert(0);
    buckets.insert(255);
    let listed = |state| Listed {
        identity: ada(),
        incarnation: 3,
        state,
        edition: (300, 2),
    };
    let states = [State::Alive, State::Suspect, State::Down, State::Left];
    let id = ada().id();
    let cases = [
        (
            Packet::Swim {
                swim: vec![1, 2],
                cards: vec![(id, issue())],
            },
            format!("01020102{}{ISSUE}", "6161"),
        ),
        (
            Packet::Compare { salt: 1, hash: 2 },
            format!("02{:016x}{:016x}", 1, 2),
        ),
        (
            Packet::Buckets {
                salt: 1,
                hashes: vec![0xa1b2_c3d4; BUCKETS],
            },
            format!("03{:016x}{}", 1, "a1b2c3d4".repeat(256)),
        ),
        (
            Packet::Entries {
                buckets,
                entries: states.map(listed).to_vec(),
            },
            format!(
                "0401{}80{ADA}0300ac0202{ADA}0301ac0202{ADA}0302ac0202{ADA}0303ac0202",
                "00".repeat(30)
            ),
        ),
        (Packet::Want(vec![id, bob().id()]), "0561616262".into()),
        (Packet::Cards(vec![(id, issue())]), format!("066161{ISSUE}")),
    ];
    for (packet, expected) in cases {
        assert_eq!(hex(&packet.to_bytes()), expected);
        assert_eq!(Packet::from_bytes(&packet.to_bytes()), Ok(packet));
    }
}

#[test]
fn what_later_versions_add_to_a_card_is_passed_on() {
    let mut bytes = issue().to_bytes();
    let length = bytes.len() - 16;
    assert_eq!(bytes[length], 15);
    bytes[length] += 3;
    bytes.extend(b"new");
    let read = Issue::from_bytes(&bytes).unwrap();
    assert_eq!(*read.card, *issue().card);
    assert_eq!(read.to_bytes(), bytes);
}

#[test]
fn addresses_have_one_form() {
    let mapped: std::net::Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(Identity::new(ada().id(), 300, (mapped, 7400).into()), ada());
    let mut bytes = b"aa\x01\x06".to_vec();
    bytes.extend(mapped.octets());
    bytes.extend([0, 80]);
    assert!(Identity::<Id>::from_bytes(&bytes).is_err());
    let beyond = Identity::new(ada().id(), u64::MAX, ada().address());
    assert_eq!(Identity::from_bytes(&beyond.to_bytes()), Ok(beyond));
}

#[test]
fn cards_have_bounds() {
    let check = |change: fn(&mut Card)| {
        let mut card = Card::default();
        change(&mut card);
        card.check().map_err(|why| why.to_string())
    };
    assert_eq!(check(|_| ()), Ok(()));
    let names = |card: &mut Card| {
        card.namespaces = (0..40).map(|it| format!("{it:0100}")).collect();
    };
    assert_eq!(check(names), Ok(()));
    for (change, why) in [
        (
            (|card: &mut Card| card.zone = "z".repeat(65)) as fn(&mut Card),
            "a zone of 65 bytes",
        ),
        (
            |card| card.version = "1".repeat(33),
            "a version of 33 bytes",
        ),
        (
            |card| card.namespaces = [String::new()].into(),
            "a namespace's name of 0 bytes",
        ),
        (
            |card| card.namespaces = ["n".repeat(256)].into(),
            "a namespace's name of 256 bytes",
        ),
        (
            |card| card.namespaces = (0..41).map(|it| format!("{it:0100}")).collect(),
            "a card of 4145 bytes",
        ),
    ] {
        let said = check(change).unwrap_err();
        assert!(said.starts_with(why), "{said}");
    }
}

#[test]
fn what_passes_nothing_on_has_no_updates() {
    let updates = vec![Member::new(ada(), 7, foca::State::Alive)];
    for message in [Message::Announce, Message::TurnUndead] {
        let said = swim(message, Vec::new()).to_bytes();
        assert_eq!(
            SwimPacket::<Id>::from_bytes(&said).unwrap().to_bytes(),
            said
        );
        let with_updates = swim(Message::Feed, updates.clone()).to_bytes();
        let from = swim(Message::Feed, Vec::new()).to_bytes().len() - 2;
        let bytes = [&said, &with_updates[from..]].concat();
        assert!(SwimPacket::<Id>::from_bytes(&bytes).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_can_be_read_is_what_would_be_written(bytes in vec(any::<u8>(), 0..300), tag in 0..8_u8) {
        for bytes in [bytes.clone(), [vec![tag], bytes].concat()] {
            if let Ok(packet) = Packet::<Id>::from_bytes(&bytes) {
                prop_assert_eq!(packet.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn packets_that_were_damaged_are_read_as_others_or_not_at_all(at in 0..400_usize, by in 1..=255_u8) {
        let updates = vec![Member::new(ada(), 7, foca::State::Alive), Member::new(bob(), 1, foca::State::Down)];
        let mut bytes = swim(Message::Feed, updates).to_bytes();
        let len = bytes.len();
        bytes[at % len] ^= by;
        if let Ok(packet) = SwimPacket::<Id>::from_bytes(&bytes) {
            prop_assert_eq!(packet.to_bytes(), bytes.clone());
        }
    }
}
