//! Rows of families and payloads that this version does not know are carried like any other.

use syncline_crdt::{Family, RowKey, Siblings, Stamp};
use syncline_store::{Durability, Incoming};

use crate::harness::*;

crate::over_all_engines! {
    unknown_families_and_payloads_are_joined_and_forwarded
}

fn unknown_families_and_payloads_are_joined_and_forwarded<H: Harness>() {
    let harness = H::new();
    let (first, last) = (harness.open(), H::new().open());
    let future = [
        (
            RowKey::new(b"k", Family(0), b""),
            Siblings::one(dot(1, 1), Stamp::MAX, vec![]),
        ),
        (
            RowKey::new(b"k", Family(200), &[0, 1, 0, 255]),
            Siblings::one(dot(1, 2), Stamp::ZERO, vec![0xee, 1, 2, 3]),
        ),
        (
            RowKey::new(b"", Family(255), b"\xff"),
            Siblings::one(dot(1, 3), Stamp::new(5, 5), vec![0xff; 300]),
        ),
    ];
    let seen = context((1..=3).map(|n| dot(1, n)));
    let incoming = Incoming {
        rows: future.to_vec(),
        ..Incoming::from_peer(&seen)
    };
    first.join(incoming, Durability::Durable).unwrap();
    drop(first);
    let middle = harness.open();
    assert_sound(&middle);
    let view = middle.view().unwrap();
    let additions = view
        .lacking(&view, last.view().unwrap().context(), None, usize::MAX, 9)
        .unwrap();
    assert_eq!(additions.rows, future, "byte for byte");
    sync(&middle, &last);
    assert_same(&middle, &last);
    assert_eq!(view.key_count(), 2);
}
