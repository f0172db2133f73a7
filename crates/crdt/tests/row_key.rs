//! Row keys order as their parts do, and prefixes take in just what they say.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use syncline_crdt::{Canonical, Family, RowKey, RowKeyError, limits};

/// The bytes that escaping and ordering turn on.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&[0u8, 1, 2, b'a', 0xfe, 0xff][..]), 0..5)
}

fn parts() -> impl Strategy<Value = (Vec<u8>, u8, Vec<u8>)> {
    (bytes(), select(&[0u8, 1, 2, 3, 0xff][..]), bytes())
}

fn key((user, family, field): &(Vec<u8>, u8, Vec<u8>)) -> RowKey {
    RowKey::new(user, Family(*family), field)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_order_as_their_parts(one in parts(), other in parts()) {
        prop_assert_eq!(key(&one).cmp(&key(&other)), one.cmp(&other));
        prop_assert_eq!(key(&one).as_bytes().cmp(key(&other).as_bytes()), one.cmp(&other));
    }

    #[test]
    fn parts_are_read_back(parts in parts()) {
        let key = key(&parts);
        prop_assert_eq!((key.user_key(), key.family().0, key.field_bytes().to_vec()), parts);
        prop_assert_eq!(RowKey::from_bytes(key.as_bytes().to_vec()), Ok(key.clone()));
        prop_assert_eq!(RowKey::decode(&mut syncline_crdt::Input::new(&key.to_bytes())), Ok(key));
    }

    #[test]
    fn what_is_accepted_is_what_is_written(bytes in vec(select(&[0u8, 1, 2, 0xff][..]), 0..9)) {
        if let Ok(key) = RowKey::from_bytes(bytes.clone()) {
            prop_assert_eq!(RowKey::new(&key.user_key(), key.family(), key.field_bytes()).into_bytes(), bytes);
        }
    }

    #[test]
    fn prefixes_take_in_what_they_say(parts in parts(), user in bytes()) {
        let key = key(&parts);
        let begins = |prefix: &[u8]| key.as_bytes().starts_with(prefix);
        prop_assert_eq!(begins(&RowKey::key_prefix(&user)), parts.0 == user);
        prop_assert_eq!(begins(&RowKey::user_prefix(&user)), parts.0.starts_with(&user));
        let family = Family(parts.1);
        prop_assert_eq!(begins(&RowKey::family_prefix(&user, family)), parts.0 == user);
        prop_assert!(!begins(&RowKey::family_prefix(&parts.0, Family(parts.1 ^ 1))));
    }

    #[test]
    fn a_successor_ends_the_range_of_a_prefix(prefix in bytes(), other in bytes()) {
        let in_range = prefix <= other && RowKey::successor(&prefix).is_none_or(|end| other < end);
        prop_assert_eq!(in_range, other.starts_with(&prefix));
    }
}

#[test]
fn limits_are_held_by_what_is_read() {
    let long = vec![b'k'; limits::MAX_KEY + 1];
    let too_long = RowKey::cell(&long);
    let bytes = too_long.as_bytes().to_vec();
    assert_eq!(
        RowKey::from_bytes(bytes),
        Err(RowKeyError::KeyTooLong(limits::MAX_KEY + 1))
    );
    assert!(RowKey::from_bytes(RowKey::cell(&long[1..]).into_bytes()).is_ok());

    let field = vec![0; limits::MAX_FIELD + 1];
    let bytes = RowKey::field(b"k", &field).into_bytes();
    assert_eq!(
        RowKey::from_bytes(bytes),
        Err(RowKeyError::FieldTooLong(limits::MAX_FIELD + 1))
    );
    assert!(RowKey::from_bytes(RowKey::field(b"k", &field[1..]).into_bytes()).is_ok());
}
