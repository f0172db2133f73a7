#![allow(clippy::unwrap_used, clippy::panic)]

use alloc::vec;

use proptest::prelude::*;
use syncline_crdt::{Everything, Nothing};

use super::*;

fn replica(n: u8) -> ReplicaId {
    ReplicaId::from_bytes([n; 16])
}

fn any_key() -> impl Strategy<Value = RowKey> {
    let bytes = prop::collection::vec(
        prop_oneof![Just(0u8), Just(1), Just(b'a'), any::<u8>()],
        0..12,
    );
    (bytes.clone(), 0u8..4, bytes)
        .prop_map(|(user, family, field)| RowKey::new(&user, Family(family), &field))
}

fn any_row() -> impl Strategy<Value = Row> {
    let counter = prop_oneof![1u64..20, Just(u64::MAX), 1u64..u64::MAX];
    let stamp = prop_oneof![0u64..100, any::<u64>()];
    let sibling = (
        0u8..4,
        counter,
        stamp,
        prop::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(id, counter, stamp, payload)| Sibling {
            dot: Dot::new(replica(id), counter),
            stamp: Stamp::from_u64(stamp),
            payload,
        });
    prop::collection::vec(sibling, 0..4).prop_map(|siblings| siblings.into_iter().collect())
}

fn write(rows: &[(RowKey, Row)], known: &impl Seen) -> (Vec<u8>, Tally) {
    let mut writer = RowWriter::default();
    for (key, row) in rows {
        writer.push(key, row, known);
    }
    (writer.bytes().to_vec(), writer.tally())
}

proptest! {
    #[test]
    fn rows_arrive_as_they_were_sent(rows in prop::collection::vec((any_key(), any_row()), 0..20)) {
        let (bytes, tally) = write(&rows, &Nothing);
        let (read, counted) = read(&bytes).unwrap();
        prop_assert_eq!(tally, counted);
        prop_assert!(read.iter().all(|arrival| arrival.known.is_empty()));
        let read: Vec<_> = read.into_iter().map(|arrival| (arrival.key, arrival.row)).collect();
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn known_siblings_go_without_payload(rows in prop::collection::vec((any_key(), any_row()), 0..20), ids in 0u8..4) {
        let known: alloc::collections::BTreeSet<Dot> =
            rows.iter().flat_map(|(_, row)| row.dots()).filter(|dot| dot.replica <= replica(ids)).collect();
        let (bytes, tally) = write(&rows, &known);
        let (read, counted) = read(&bytes).unwrap();
        prop_assert_eq!(tally, counted);
        for (arrival, (key, row)) in read.iter().zip(&rows) {
            prop_assert_eq!(&arrival.key, key);
            let (without, with): (Vec<_>, Vec<_>) = row.iter().cloned().partition(|sibling| known.contains(&sibling.dot));
            prop_assert_eq!(&arrival.row, &with.into_iter().collect());
            prop_assert_eq!(&arrival.known, &without.iter().map(|sibling| sibling.dot).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((rows, _)) = read(&bytes) {
            prop_assert!(rows.iter().all(|arrival| arrival.key.check_limits().is_ok()));
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused(rows in prop::collection::vec((any_key(), any_row()), 1..10), at: usize, to: u8) {
        let (mut bytes, _) = write(&rows, &Nothing);
        let at = at % bytes.len();
        bytes[at] = to;
        let _refused = read(&bytes);
    }
}

#[test]
fn what_a_row_costs() {
    // A thousand rows of one transaction, keys of 40 bytes with a prefix in common, values of 100.
    let rows: Vec<_> = (0..1000u64)
        .map(|n| {
            let key = RowKey::cell(format!("tenant:042:user:{:024}", n * 0x9e37_79b9).as_bytes());
            let row = Row::one(
                Dot::new(replica(1), 5000 + n),
                Stamp::new(1 << 40, n as u16),
                vec![1; 101],
            );
            (key, row)
        })
        .collect();
    let (bytes, tally) = write(&rows, &Nothing);
    assert_eq!(
        tally,
        Tally {
            rows: 1000,
            user_bytes: 1000 * 140
        }
    );
    // Head, shared, tail's length, id, counter, stamp, payload's length, tag: a byte each; less the prefix.
    assert!(bytes.len() < 1000 * (140 + 8 - 16) + 50, "{}", bytes.len());
    let (heads, tally) = write(&rows, &Everything);
    assert_eq!(tally, Tally::default());
    assert!(heads.len() < 1000 * (5 + 24) + 50, "{}", heads.len());
}

/// The bytes of rows do not change within a version of the protocol.
#[test]
fn golden() {
    let sibling = |id, counter, stamp, payload: &[u8]| Sibling {
        dot: Dot::new(replica(id), counter),
        stamp: Stamp::from_u64(stamp),
        payload: payload.to_vec(),
    };
    let rows = [
        (
            RowKey::cell(b"name"),
            [sibling(0xa, 1, 0x100, b"\x01Ada")]
                .into_iter()
                .collect::<Row>(),
        ),
        (
            RowKey::member(b"names", b"x"),
            [sibling(0xa, 2, 0x101, b""), sibling(0xb, 9, 0x90, b"")]
                .into_iter()
                .collect(),
        ),
        (RowKey::member(b"names", b"y"), Row::new()),
    ];
    let known: alloc::collections::BTreeSet<Dot> = [Dot::new(replica(0xb), 9)].into();
    let (bytes, _) = write(&rows, &known);
    let expected = [
        // A cell with one sibling; "name"; a new replica, 1, 0x100, 4 bytes.
        &b"\x03\x00\x04name\x00"[..],
        &[0xa; 16],
        b"\x02\x80\x04\x04\x01Ada",
        // Two siblings; "name" shared, the rest of the key; the first replica, +1, +1, no bytes; a new one, known, 9.
        b"\x04\x04\x05s\x00\x01\x03x\x02\x02\x02\x00\x01",
        &[0xb; 16],
        b"\x12",
        // No siblings; all but the last byte of the key shared.
        b"\x00\x08\x01y",
    ]
    .concat();
    assert_eq!(bytes, expected);
}

/// A frame of a few bytes for each row may not unfold to a key of many for each.
#[test]
fn prefixes_unfold_within_bounds() {
    let mut writer = RowWriter::default();
    let long = vec![b'k'; 64 << 10];
    for n in 0u32..1000 {
        writer.push_key(&RowKey::member(&long, &n.to_be_bytes()));
    }
    assert!(writer.bytes().len() < 80 << 10);
    assert!(read(writer.bytes()).is_err());
}

#[test]
fn siblings_out_of_order_are_refused() {
    let row = |id| Row::one(Dot::new(replica(id), 1), Stamp::ZERO, vec![]);
    let mut writer = RowWriter::default();
    writer.push(&RowKey::cell(b"k"), &row(2), &Nothing);
    writer.push(&RowKey::cell(b"k"), &row(1), &Nothing);
    // The two rows made one of two siblings: their second keys dropped, the first's count raised.
    let mut bytes = writer.bytes().to_vec();
    assert_eq!(bytes[0], 3);
    bytes[0] = 5;
    let second = 4 + 1 + 16 + 3;
    bytes.drain(second..second + 3);
    assert!(read(&bytes).is_err());
}
