//! Frozen bytes. These encodings are on disks and on wires: a change here is a change of format, which needs a new tag
//! and goes by the rules for that, never an update of this file.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use syncline_crdt::cell::{Cell, Sum};
use syncline_crdt::{
    Canonical, Context, Decimal, Delta, Dot, EnableWinsFlag, LwwMap, LwwRegister, MvRegister,
    OrSet, PnCounter, ReplicaId, Row, RowKey, Sibling, Siblings, Stamp, VersionVector,
};

const A: ReplicaId = ReplicaId::from_bytes([0xaa; 16]);
const B: ReplicaId = ReplicaId::from_bytes([0xbb; 16]);
const T: Stamp = Stamp::new(0x0102_0304_0506, 0x0708);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs of the two replica ids are written A and B, so that the rest can be read.
fn abbreviated(bytes: &[u8]) -> String {
    hex(bytes)
        .replace(&"aa".repeat(16), " A ")
        .replace(&"bb".repeat(16), " B ")
        .trim()
        .to_owned()
}

#[track_caller]
fn golden<T: Canonical + PartialEq + std::fmt::Debug>(value: &T, want: &str) {
    let bytes = value.to_bytes();
    assert_eq!(abbreviated(&bytes), want, "the encoding of {value:?}");
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
}

#[track_caller]
fn golden_cell(cell: &Cell, want: &str) {
    let bytes = cell.to_bytes();
    assert_eq!(abbreviated(&bytes), want, "the encoding of {cell:?}");
    assert_eq!(Cell::from_bytes(&bytes).as_ref(), Ok(cell));
}

#[test]
fn primitives() {
    golden(&0u64, "00");
    golden(&127u64, "7f");
    golden(&128u64, "8001");
    golden(&u64::MAX, "ffffffffffffffffff01");
    golden(&u128::MAX, "ffffffffffffffffffffffffffffffffffff03");
    golden(&-1i64, "01");
    golden(&i64::MIN, "ffffffffffffffffff01");
    golden(&i128::MIN, "ffffffffffffffffffffffffffffffffffff03");
    golden(&true, "01");
    golden(&String::from("ab"), "026162");
    golden(&b"ab".to_vec(), "026162");
    golden(&Some(7u8), "0107");
    golden(&None::<u8>, "00");
    golden(&BTreeMap::from([(1u8, false), (2, true)]), "0201000201");
}

#[test]
fn kernel() {
    golden(
        &ReplicaId::mint(0x018b_cfe5_6800, [0xff; 10]),
        "018bcfe568007fffbfffffffffffffff",
    );
    golden(&Dot::new(A, 300), "A ac02");
    golden(&T, "0102030405060708");
    golden(&RowKey::field(b"a\0b", b"f"), "086100ff6200010266");

    let mut vector = VersionVector::new();
    golden(&vector, "00");
    vector.observe(Dot::new(A, 300));
    golden(&vector, "01 A ac02");
}

#[test]
fn contexts() {
    let mut context = Context::new();
    golden(&context, "00");
    context.insert_range(A, 1, 10);
    golden(&context, "01 A 010009");
    // 11 is the gap that must be there, so the next interval begins no step after it.
    context.insert_range(A, 12, 12);
    context.insert_range(A, 20, 22);
    context.insert_range(B, 5, u64::MAX);
    golden(&context, "02 A 03000900000602 B 0104faffffffffffffffff01");
}

#[test]
fn rows() {
    golden(&Row::new(), "00");
    let sibling = |replica, counter, payload: &[u8]| Sibling {
        dot: Dot::new(replica, counter),
        stamp: T,
        payload: payload.to_vec(),
    };
    golden(
        &Row::from_iter([sibling(A, 1, b"")]),
        "01 A 01010203040506070800",
    );
    golden(
        &Row::from_iter([sibling(B, 300, b"\x01v"), sibling(A, 1, b"\x01w")]),
        "02 A 010102030405060708020177 B ac020102030405060708020176",
    );
}

#[test]
fn cells() {
    let baselines = BTreeMap::from([
        (Dot::new(A, 1), Sum::whole(300, 2)),
        (Dot::new(B, 7), Sum::default()),
    ]);
    let base = |value: Option<&[u8]>, baselines| Cell::Base {
        value: value.map(<[u8]>::to_vec),
        baselines,
    };
    golden_cell(&base(Some(b"v"), BTreeMap::new()), "0176");
    golden_cell(&base(Some(b""), BTreeMap::new()), "01");
    golden_cell(&base(None, BTreeMap::new()), "020000");
    golden_cell(
        &base(Some(b"v"), baselines.clone()),
        "0202 A 01ac0202 B 0700000176",
    );
    golden_cell(&base(None, baselines), "0202 A 01ac0202 B 07000000");
    let sum = Sum::whole(u128::MAX, 1);
    golden_cell(
        &Cell::Contribution {
            name: None,
            sum: Sum::whole(1, 0),
        },
        "03000100",
    );
    golden_cell(
        &Cell::Contribution {
            name: Some(Dot::new(A, 1)),
            sum,
        },
        "0301 A 01ffffffffffffffffffffffffffffffffffff0301",
    );

    // One and a half, and the smallest there is.
    let sum = Sum {
        up: Decimal::parse(b"1.5").unwrap().magnitude(),
        down: Decimal::parse(b"1e-18").unwrap().magnitude(),
    };
    golden_cell(
        &base(Some(b"v"), BTreeMap::from([(Dot::new(A, 1), sum)])),
        "0401 A 01018080c89d9deb96f80600010176",
    );
    golden_cell(
        &Cell::Contribution { name: None, sum },
        "0500018080c89d9deb96f8060001",
    );
}

#[test]
fn delta() {
    let mut delta = Delta::new();
    golden(&delta, "0000");
    delta.set_row(
        RowKey::cell(b"k"),
        Siblings::one(Dot::new(A, 2), T, b"\x01v".to_vec()),
    );
    delta.observe(Dot::new(B, 9));
    golden(
        &delta,
        "02 A 010100 B 01080001046b00010101 A 020102030405060708020176",
    );
}

#[test]
fn typed() {
    let mut set = OrSet::new();
    set.insert(A, 5u8);
    set.insert(B, 6);
    set.remove(B, &5);
    golden(&set, "1002 A 010000 B 010001010601 B 010000000000000000");

    let mut map = LwwMap::new();
    map.insert(A, T, String::from("k"), 7u8);
    golden(&map, "1101 A 01000001016b01 A 01010203040506070807");

    let mut register = LwwRegister::new();
    register.set(A, T, 7u8);
    golden(&register, "1201 A 0100000101 A 01010203040506070807");

    let mut register = MvRegister::new();
    register.set(A, 7u8);
    golden(&register, "1301 A 0100000101 A 01000000000000000007");

    let mut counter = PnCounter::new();
    counter.add(A, 5).unwrap();
    golden(&counter, "1401 A 01000001 A 0100000000000000000403000500");
    counter.set(B, T, 9);
    golden(
        &counter,
        "1402 A 010000 B 01000001 B 010102030405060708170201 A 0105000139",
    );

    let mut flag = EnableWinsFlag::new();
    golden(&flag, "150000");
    flag.enable(A);
    golden(&flag, "1501 A 0100000101 A 010000000000000000");
}
