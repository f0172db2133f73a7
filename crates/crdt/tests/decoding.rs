//! Decoders face bytes that anybody may have made: they do not panic, do not reserve what is not there, and accept
//! nothing but what an encoder writes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::laws::{History, Replicated};
use syncline_crdt::{
    Canonical, CausalMap, Context, Decimal, DecodeError, Delta, Dot, EnableWinsFlag, Input, LwwMap,
    LwwRegister, MvRegister, OrSet, PnCounter, ReplicaId, Row, RowKey, Siblings, Stamp,
    VersionVector,
};

/// What is accepted encodes to the very same bytes: there is no second way to write it.
fn accepts_only_canonical<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

/// Every decoder of the crate.
fn every_decoder(bytes: &[u8]) {
    accepts_only_canonical::<bool>(bytes);
    accepts_only_canonical::<u8>(bytes);
    accepts_only_canonical::<u64>(bytes);
    accepts_only_canonical::<u128>(bytes);
    accepts_only_canonical::<i16>(bytes);
    accepts_only_canonical::<i128>(bytes);
    accepts_only_canonical::<String>(bytes);
    accepts_only_canonical::<Vec<u8>>(bytes);
    accepts_only_canonical::<Option<(u8, bool)>>(bytes);
    accepts_only_canonical::<BTreeMap<u16, String>>(bytes);
    accepts_only_canonical::<BTreeSet<u8>>(bytes);
    accepts_only_canonical::<BTreeSet<()>>(bytes);
    accepts_only_canonical::<ReplicaId>(bytes);
    accepts_only_canonical::<Dot>(bytes);
    accepts_only_canonical::<Stamp>(bytes);
    accepts_only_canonical::<Context>(bytes);
    accepts_only_canonical::<VersionVector>(bytes);
    accepts_only_canonical::<RowKey>(bytes);
    accepts_only_canonical::<Row>(bytes);
    accepts_only_canonical::<Siblings<()>>(bytes);
    accepts_only_canonical::<Sum>(bytes);
    accepts_only_canonical::<Delta>(bytes);
    accepts_only_canonical::<CausalMap<u8, u8>>(bytes);
    accepts_only_canonical::<OrSet<String>>(bytes);
    accepts_only_canonical::<LwwMap<String, u8>>(bytes);
    accepts_only_canonical::<LwwRegister<u8>>(bytes);
    accepts_only_canonical::<MvRegister<u8>>(bytes);
    accepts_only_canonical::<PnCounter>(bytes);
    accepts_only_canonical::<EnableWinsFlag>(bytes);
    if let Ok(cell) = Cell::from_bytes(bytes) {
        assert_eq!(cell.to_bytes(), bytes);
    }
    if let Ok(key) = RowKey::from_bytes(bytes.to_vec()) {
        assert_eq!(key.as_bytes(), bytes);
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Delete(prop::sample::Index),
    Cut(prop::sample::Index),
    Double(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 1..=255u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        index().prop_map(Damage::Delete),
        index().prop_map(Damage::Cut),
        (index(), index()).prop_map(|(from, to)| Damage::Double(from, to)),
    ]
}

fn suffer(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len();
    match damage {
        Damage::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
        _ if len == 0 => {}
        Damage::Flip(at, bits) => bytes[at.index(len)] ^= bits,
        Damage::Delete(at) => drop(bytes.remove(at.index(len))),
        Damage::Cut(at) => bytes.truncate(at.index(len)),
        Damage::Double(from, to) => {
            let (from, to) = (from.index(len), to.index(len));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, piece);
        }
    }
}

/// What the last state of a history is as bytes, damaged.
fn damaged<T: Replicated + Canonical>(history: &History<T::Operation>, damages: &[Damage]) {
    let run = history.replay::<T>();
    let mut bytes = run.past.last().unwrap().to_bytes();
    for damage in damages {
        suffer(&mut bytes, damage);
        accepts_only_canonical::<T>(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..200)) {
        every_decoder(&bytes);
    }

    /// Small numbers get further into a decoder than random ones.
    #[test]
    fn small_bytes(bytes in vec(prop_oneof![8 => 0..4u8, 1 => any::<u8>()], 0..120)) {
        every_decoder(&bytes);
    }

    #[test]
    fn damaged_maps(
        history in History::strategy(CausalMap::<u8, u8>::operations()),
        damages in vec(damage(), 1..4),
    ) {
        damaged::<CausalMap<u8, u8>>(&history, &damages);
        damaged::<LwwMap<String, u8>>(&history, &damages);
    }

    #[test]
    fn damaged_counters(
        history in History::strategy(PnCounter::operations()),
        damages in vec(damage(), 1..4),
    ) {
        damaged::<PnCounter>(&history, &damages);
    }

    #[test]
    fn damaged_contexts(
        history in History::strategy(Context::operations()),
        damages in vec(damage(), 1..4),
    ) {
        damaged::<Context>(&history, &damages);
    }

    #[test]
    fn damaged_cells(value in vec(any::<u8>(), 0..9), ups in vec(any::<u128>(), 0..3), damages in vec(damage(), 1..4)) {
        let name = |counter| Dot::new(ReplicaId::from_bytes([counter as u8; 16]), counter);
        let sums = ups.iter().zip(1..).map(|(&up, at)| (name(at), Sum::whole(up, up >> 9)));
        let half = Sum { up: Decimal::parse(b"0.5").unwrap().magnitude(), ..Sum::default() };
        let cells = [
            Cell::Contribution { name: None, sum: half },
            Cell::Base { value: None, baselines: sums.clone().chain([(name(9), half)]).collect() },
            Cell::Base { value: Some(value), baselines: sums.clone().collect() },
            Cell::Base { value: None, baselines: sums.clone().collect() },
            Cell::Contribution { name: sums.clone().next().map(|(name, _)| name), sum: Sum::default() },
        ];
        for cell in cells {
            let mut bytes = cell.to_bytes();
            assert_eq!(Cell::from_bytes(&bytes), Ok(cell));
            for damage in &damages {
                suffer(&mut bytes, damage);
                every_decoder(&bytes);
            }
        }
    }
}

#[test]
fn announced_counts_reserve_nothing() {
    // 2^63 items, replicas, bytes, baselines: all refused before memory is asked for.
    let bomb = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    assert_eq!(Input::new(&bomb).varint(), Ok(1 << 63));
    assert_eq!(Row::from_bytes(&bomb), Err(DecodeError::UnexpectedEnd));
    assert_eq!(Vec::from_bytes(&bomb), Err(DecodeError::UnexpectedEnd));
    assert_eq!(String::from_bytes(&bomb), Err(DecodeError::UnexpectedEnd));
    assert_eq!(Context::from_bytes(&bomb), Err(DecodeError::UnexpectedEnd));
    assert_eq!(
        BTreeMap::<u8, u8>::from_bytes(&bomb),
        Err(DecodeError::UnexpectedEnd)
    );
    // Items that take no bytes cannot repeat: keys ascend strictly.
    assert_eq!(
        BTreeSet::<()>::from_bytes(&bomb),
        Err(DecodeError::OutOfOrder)
    );
    let cell = [&[0x02][..], &bomb].concat();
    assert_eq!(Cell::from_bytes(&cell), Err(DecodeError::UnexpectedEnd));
}

#[test]
fn second_ways_of_writing_are_refused() {
    use DecodeError::{Invalid, OutOfOrder, OutOfRange, Overlong, TrailingBytes, UnknownTag};
    let id = |id: u8| [id; 16];
    let cat = |parts: &[&[u8]]| parts.concat();

    assert_eq!(u64::from_bytes(&[0x80, 0x00]), Err(Overlong));
    assert_eq!(u64::from_bytes(&[0xff; 10]), Err(OutOfRange));
    assert_eq!(u8::from_bytes(&[0x80, 0x02]), Err(OutOfRange));
    assert_eq!(u128::from_bytes(&[0xff; 19]), Err(OutOfRange));
    assert!(matches!(bool::from_bytes(&[2]), Err(Invalid(_))));
    assert_eq!(String::from_bytes(&[1, 0xff]), Err(DecodeError::NotUtf8));
    assert!(matches!(
        Dot::from_bytes(&cat(&[&id(1), &[0]])),
        Err(Invalid(_))
    ));

    let sibling = |at: u8| cat(&[&id(at), &[1], &[0; 8], &[0]]);
    assert_eq!(
        Row::from_bytes(&cat(&[&[2], &sibling(2), &sibling(1)])),
        Err(OutOfOrder)
    );
    assert_eq!(
        Row::from_bytes(&cat(&[&[2], &sibling(1), &sibling(1)])),
        Err(OutOfOrder)
    );
    assert_eq!(
        Row::from_bytes(&cat(&[&[1], &sibling(1), &[7]])),
        Err(TrailingBytes(1))
    );

    let interval = |at: u8| cat(&[&id(at), &[1, 0, 0]]);
    assert!(Context::from_bytes(&cat(&[&[2], &interval(1), &interval(2)])).is_ok());
    assert_eq!(
        Context::from_bytes(&cat(&[&[2], &interval(2), &interval(1)])),
        Err(OutOfOrder)
    );
    assert!(matches!(
        Context::from_bytes(&cat(&[&[1], &id(1), &[0, 0, 0]])),
        Err(Invalid(_))
    ));
    let last = u64::MAX.to_bytes();
    assert_eq!(
        Context::from_bytes(&cat(&[&[1], &id(1), &[1], &last, &[0]])),
        Err(OutOfRange)
    );
    assert_eq!(
        Context::from_bytes(&cat(&[&[1], &id(1), &[1, 1], &last])),
        Err(OutOfRange)
    );

    assert_eq!(Cell::from_bytes(&[0x06, 1]), Err(UnknownTag(6)));
    assert!(
        matches!(Cell::from_bytes(&[0x02, 0, 1, b'x']), Err(Invalid(_))),
        "a plain value has its own tag"
    );
    assert_eq!(Cell::from_bytes(&[0x02, 0, 0, b'x']), Err(TrailingBytes(1)));
    assert_eq!(
        OrSet::<u8>::from_bytes(&EnableWinsFlag::new().to_bytes()),
        Err(UnknownTag(0x15))
    );
}

#[test]
fn maps_that_break_an_invariant_are_refused() {
    let dot = |counter| Dot::new(ReplicaId::from_bytes([1; 16]), counter);
    let row = |counter| Siblings::one(dot(counter), Stamp::ZERO, 7u8);
    let bytes = |context: &Context, rows: BTreeMap<u8, Siblings<u8>>| {
        [context.to_bytes(), rows.to_bytes()].concat()
    };
    let context: Context = [dot(1), dot(2)].into_iter().collect();
    let decode = CausalMap::<u8, u8>::from_bytes;

    assert!(decode(&bytes(&context, BTreeMap::from([(1, row(1)), (2, row(2))]))).is_ok());
    let broken = [
        ("an empty row", BTreeMap::from([(1, Siblings::new())])),
        (
            "a live dot outside the context",
            BTreeMap::from([(1, row(3))]),
        ),
        (
            "a dot live in two rows",
            BTreeMap::from([(1, row(1)), (2, row(1))]),
        ),
    ];
    for (what, rows) in broken {
        assert!(
            matches!(decode(&bytes(&context, rows)), Err(DecodeError::Invalid(_))),
            "{what}"
        );
    }

    // A counter that was set to text.
    let text = Cell::Base {
        value: Some(b"ten".to_vec()),
        baselines: BTreeMap::new(),
    };
    let row = Siblings::one(dot(1), Stamp::ZERO, text.to_bytes());
    let bytes = [vec![0x14], context.to_bytes(), row.to_bytes()].concat();
    assert!(matches!(
        PnCounter::from_bytes(&bytes),
        Err(DecodeError::Invalid(_))
    ));
}
