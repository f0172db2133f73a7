//! Range removals: what they drop, and when their own dot may be added.
#![allow(missing_docs)]

use syncline_crdt::{BulkRemoval, Context, Dot, ReplicaId, Siblings, Stamp};

fn dot(replica: u8, counter: u64) -> Dot {
    Dot::new(ReplicaId::from_bytes([replica; 16]), counter)
}

fn removal() -> BulkRemoval {
    BulkRemoval {
        observed: [dot(1, 1), dot(1, 2), dot(2, 1)].into_iter().collect(),
        dot: dot(1, 3),
    }
}

#[test]
fn of_a_row_only_what_was_observed_is_dropped() {
    let both: Siblings<()> = [dot(2, 1), dot(2, 2)]
        .into_iter()
        .flat_map(|dot| Siblings::one(dot, Stamp::ZERO, ()))
        .collect();
    let mut row = both;
    assert!(removal().apply_to(&mut row));
    assert_eq!(row.dots().collect::<Vec<_>>(), [dot(2, 2)]);
    assert!(!removal().apply_to(&mut row), "doubled, it changes nothing");
}

#[test]
fn its_dot_is_added_by_those_who_have_seen_all_that_it_removed() {
    let mut seen: Context = [dot(1, 1), dot(2, 1), dot(3, 1)].into_iter().collect();
    assert_eq!(removal().dot_to_add(&seen), None, "1:2 may still arrive");
    seen.insert(dot(1, 2));
    assert_eq!(removal().dot_to_add(&seen), Some(dot(1, 3)));
}
