//! Exact decimals, alone and in the numeric cell.
#![allow(missing_docs, clippy::unwrap_used)]

use proptest::prelude::*;
use syncline_crdt::cell::{self, AddError, Cell, Sum, Value};
use syncline_crdt::decimal::Amount;
use syncline_crdt::{Decimal, DecodeError, Dot, PnCounter, ReplicaId, Siblings, Stamp};

const ADA: ReplicaId = ReplicaId::from_bytes([1; 16]);
const BOB: ReplicaId = ReplicaId::from_bytes([2; 16]);

fn read(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

#[test]
fn numbers_are_read_in_every_form_and_printed_in_one() {
    for (text, printed) in [
        ("0", "0"),
        ("-0.0", "0"),
        ("+7", "7"),
        ("007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-2.50", "-2.5"),
        ("1e3", "1000"),
        ("-12.5E-1", "-1.25"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1e-18", "0.000000000000000001"),
        ("0e999", "0"),
        ("0.1000000000000000000000", "0.1"),
        (
            "170141183460469231731687303715884105727.5",
            "170141183460469231731687303715884105727.5",
        ),
    ] {
        assert_eq!(read(text).to_string(), printed, "{text}");
        assert_eq!(read(printed), read(text), "{text}");
    }
    let long = "0".repeat(65);
    for text in [
        "",
        "-",
        ".",
        "e3",
        "-.e1",
        "1e",
        "1e1001",
        "1e99999999999",
        "1.2.3",
        "1_0",
        " 1",
        "1 ",
        "0x1",
        "inf",
        "nan",
        "--1",
        "1e-19",
        "1e39",
        "170141183460469231731687303715884105728",
        "٣",
        &long,
    ] {
        assert_eq!(Decimal::parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn sums_are_exact_and_saturate() {
    let tenths = read("0.1").saturating_add(read("0.2"));
    assert_eq!(tenths.saturating_add(read("-0.1")), read("0.2"));
    assert_eq!(read("-0.7").saturating_add(read("0.2")), read("-0.5"));
    assert_eq!(
        read("1")
            .saturating_add(read("-0.000000000000000001"))
            .to_string(),
        "0.999999999999999999"
    );
    let max = read("170141183460469231731687303715884105727");
    assert_eq!(max.saturating_add(max), max);
    let least = Decimal::from(-1)
        .saturating_add(max)
        .saturating_add(read("-1e38"))
        .saturating_add(read("-1e38"));
    assert!(least < Decimal::from(0) && least > read("-1e38"));
    assert_eq!(
        Decimal::from(i64::MIN).to_integer(),
        Some(i128::from(i64::MIN))
    );
    assert_eq!(read("0.5").to_integer(), None);
}

/// A row as one replica after another leaves it, each having observed all before.
fn row(cells: impl IntoIterator<Item = (ReplicaId, Cell)>) -> Siblings<Cell> {
    let siblings =
        cells
            .into_iter()
            .zip(1..)
            .map(|((replica, payload), at)| syncline_crdt::Sibling {
                dot: Dot::new(replica, at),
                stamp: Stamp::new(at, 0),
                payload,
            });
    siblings.collect()
}

fn plain(text: &str) -> Cell {
    cell::assign(&Siblings::new(), Some(text.into()))
}

#[test]
fn what_was_set_reads_as_it_was_set_until_something_is_added() {
    for (text, integer_error) in [
        ("3.0", AddError::NotAnInteger),
        ("1e1", AddError::NotAnInteger),
        ("007", AddError::NotAnInteger),
        ("2.5", AddError::NotAnInteger),
        ("9223372036854775808", AddError::NotANumber),
        ("text", AddError::NotANumber),
    ] {
        let set = row([(ADA, plain(text))]);
        match cell::read(&set).unwrap() {
            Value::Bytes(bytes) => assert_eq!(bytes, text.as_bytes()),
            Value::Integer(number) => assert_eq!(number.to_string(), text),
            Value::Decimal(number) => assert_eq!(number.to_string(), text),
        }
        assert_eq!(cell::add(&set, BOB, 1), Err(integer_error), "{text}");
        let half = cell::add_decimal(&set, BOB, read("0.5"));
        let Some(number) =
            Decimal::parse(text.as_bytes()).filter(|_| integer_error == AddError::NotAnInteger)
        else {
            assert_eq!(half, Err(AddError::NotANumber));
            continue;
        };
        let both = row([(ADA, plain(text)), (BOB, half.unwrap().cell)]);
        let sum = number.saturating_add(read("0.5"));
        let want = sum.to_integer().map_or(Value::Decimal(sum), Value::Integer);
        assert_eq!(cell::read(&both), Some(want), "{text}");
    }
}

#[test]
fn integers_and_decimals_add_up_in_one_contribution() {
    let one = cell::add(&Siblings::new(), ADA, 1).unwrap().cell;
    let first = row([(ADA, one)]);
    let more = cell::add_decimal(&first, ADA, read("1.5")).unwrap();
    assert_eq!(more.supersedes, [Dot::new(ADA, 1)]);
    let Cell::Contribution { name, sum } = &more.cell else {
        unreachable!("an increment")
    };
    assert_eq!(
        (*name, sum.up),
        (Some(Dot::new(ADA, 1)), read("2.5").magnitude())
    );
    let second = row([(BOB, plain("text")), (ADA, more.cell)]);
    assert_eq!(cell::read(&second), Some(Value::Bytes(b"text".to_vec())));
    // Back to an integer, integers can be added again.
    let half = cell::add_decimal(&Siblings::new(), ADA, read("0.5"))
        .unwrap()
        .cell;
    let halves = row([(ADA, half.clone()), (BOB, half)]);
    assert_eq!(cell::read(&halves), Some(Value::Integer(1)));
    assert!(cell::add(&halves, ADA, 1).is_ok());
}

#[test]
fn additions_stay_in_the_range_and_merges_can_be_stepped_back() {
    let set = |text: String| row([(ADA, plain(&text))]);
    let max = set(format!("{}.5", i64::MAX - 1));
    let half = cell::add_decimal(&max, BOB, read("0.5")).unwrap().cell;
    assert_eq!(
        cell::add_decimal(&max, ADA, read("0.6")),
        Err(AddError::Overflow)
    );
    let least = set(format!("{}.9", i64::MIN + 1));
    assert!(cell::add_decimal(&least, ADA, read("-0.1")).is_ok());
    assert_eq!(
        cell::add_decimal(&least, ADA, read("-1")),
        Err(AddError::Overflow)
    );
    // A text out of the range is no number, whatever could be taken from it.
    let beyond = set(format!("{}.5", i64::MAX));
    assert_eq!(
        cell::add_decimal(&beyond, ADA, read("-9")),
        Err(AddError::NotANumber)
    );

    let third = ReplicaId::from_bytes([3; 16]);
    let both = [half.clone(), half].into_iter().zip([BOB, third]);
    let base = (ADA, plain(&format!("{}.5", i64::MAX - 1)));
    let over = row(core::iter::once(base).chain(both.map(|(half, id)| (id, half))));
    assert!(
        matches!(cell::read(&over), Some(Value::Decimal(sum)) if sum > Decimal::from(i64::MAX))
    );
    assert_eq!(
        cell::add_decimal(&over, ADA, read("0.1")),
        Err(AddError::Overflow)
    );
    assert!(cell::add_decimal(&over, ADA, read("-0.1")).is_ok());
    assert!(cell::add_decimal(&over, ADA, Decimal::default()).is_ok());
}

#[test]
fn one_number_has_one_encoding() {
    // A whole sum under the tag of decimals, as a contribution and as a base, and a fraction of one.
    for bytes in [&b"\x05\x00\x01\x00\x00\x00"[..], b"\x04\x00\x00"] {
        assert!(matches!(
            Cell::from_bytes(bytes),
            Err(DecodeError::Invalid(_))
        ));
    }
    let mut one = vec![0x05, 0x00, 0x00];
    one.extend(syncline_crdt::Canonical::to_bytes(&10_u64.pow(18)));
    one.extend([0x00, 0x00]);
    assert!(matches!(
        Cell::from_bytes(&one),
        Err(DecodeError::Invalid(_))
    ));
}

#[test]
fn a_counter_of_integers_refuses_decimals() {
    let mut counter = PnCounter::new();
    counter.add(ADA, 5).unwrap();
    let mut bytes = syncline_crdt::Canonical::to_bytes(&counter);
    // The payload is the last thing written, after its length: 03 00 05 00.
    bytes.truncate(bytes.len() - 5);
    bytes.extend([6, 0x05, 0x00, 5, 1, 0, 0]);
    let back = <PnCounter as syncline_crdt::Canonical>::from_bytes(&bytes);
    assert!(matches!(back, Err(DecodeError::Invalid(_))), "{back:?}");
}

fn amounts() -> impl Strategy<Value = (Amount, Decimal)> {
    let text = (
        0..1_000_000_000_000_u64,
        prop_oneof![Just(0), Just(5), Just(18)],
        any::<bool>(),
    );
    text.prop_map(|(digits, places, negative)| {
        let sign = if negative { "-" } else { "" };
        let decimal = read(&format!("{sign}{digits}e-{places}"));
        (decimal.magnitude(), decimal)
    })
}

proptest! {
    #[test]
    fn adding_is_associative_and_taking_away_undoes_it((a, x) in amounts(), (b, y) in amounts(), (c, z) in amounts()) {
        prop_assert_eq!(a.saturating_add(b).saturating_add(c), a.saturating_add(c.saturating_add(b)));
        prop_assert_eq!(a.saturating_add(b).saturating_sub(b), a);
        prop_assert_eq!(a.saturating_sub(b) == Amount::ZERO, a <= b);
        prop_assert_eq!(x.saturating_add(y).saturating_add(z), x.saturating_add(z.saturating_add(y)));
        prop_assert_eq!(x.saturating_add(y) > x, y > Decimal::default());
        prop_assert_eq!(read(&x.to_string()), x);
    }

    #[test]
    fn sums_come_back((up, _) in amounts(), (down, _) in amounts()) {
        let cell = Cell::Contribution { name: None, sum: Sum { up, down } };
        prop_assert_eq!(Cell::from_bytes(&cell.to_bytes()), Ok(cell));
    }
}
