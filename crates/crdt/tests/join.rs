//! The row join against its formula, and what it does when a writer broke its promise.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_crdt::{Context, Dot, Everything, Nothing, ReplicaId, Sibling, Siblings, Stamp};

type Row = Siblings<u8>;

fn dot() -> impl Strategy<Value = Dot> {
    (1..3u8, 1..5u64).prop_map(|(id, counter)| Dot::new(ReplicaId::from_bytes([id; 16]), counter))
}

/// A row under a context that has at least its dots. With `promise`, content follows from the dot, as it should.
fn side(promise: bool) -> impl Strategy<Value = (Row, Context)> {
    let sibling = (dot(), 0..2u64, 0..2u8).prop_map(move |(dot, stamp, payload)| Sibling {
        dot,
        stamp: Stamp::from_u64(if promise { dot.counter } else { stamp }),
        payload: if promise { dot.counter as u8 } else { payload },
    });
    (vec(sibling, 0..5), vec(dot(), 0..6)).prop_map(|(siblings, seen)| {
        let row: Row = siblings.into_iter().collect();
        let context = row.dots().chain(seen).collect();
        (row, context)
    })
}

fn dots(row: &Row) -> BTreeSet<Dot> {
    row.dots().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_join_keeps_what_its_formula_says((ours, seen) in side(true), (theirs, their_seen) in side(true)) {
        let joined = ours.join(&seen, &theirs, &their_seen);
        let (s, t) = (dots(&ours), dots(&theirs));
        let want = s.union(&t).copied().filter(|dot| {
            s.contains(dot) && t.contains(dot) || !seen.contains(dot) || !their_seen.contains(dot)
        });
        prop_assert_eq!(dots(&joined), want.collect::<BTreeSet<_>>());
        prop_assert!(joined.iter().all(|sibling| sibling.payload == sibling.dot.counter as u8));
        prop_assert!(joined.dots().is_sorted());

        // What it takes from us alone is what the other side's dots alone decide.
        let mut head = ours.clone();
        let dropped = head.join_head(&t, &their_seen);
        prop_assert_eq!(dropped, head != ours);
        prop_assert_eq!(head, ours.join(&Everything, &theirs, &their_seen));
        // And a row that is a pure addition, as a fragment of a row is, takes nothing away.
        let added = ours.join(&seen, &theirs, &theirs);
        prop_assert!(dots(&added).is_superset(&s));
    }

    #[test]
    fn in_place_is_the_same((ours, seen) in side(false), (theirs, their_seen) in side(false)) {
        let joined = ours.join(&seen, &theirs, &their_seen);
        let mut in_place = ours.clone();
        let changed = in_place.join_in_place(&seen, &theirs, &their_seen);
        prop_assert_eq!(&in_place, &joined);
        prop_assert_eq!(changed, in_place != ours);
    }

    #[test]
    fn all_keep_the_same_of_two_contents_under_one_dot(
        (a, a_seen) in side(false),
        (b, b_seen) in side(false),
        (c, c_seen) in side(false),
    ) {
        let ab = a.join(&a_seen, &b, &b_seen);
        prop_assert_eq!(&ab, &b.join(&b_seen, &a, &a_seen));
        let bc = b.join(&b_seen, &c, &c_seen);
        let one = ab.join(&(&a_seen, &b_seen), &c, &c_seen);
        let other = a.join(&a_seen, &bc, &(&b_seen, &c_seen));
        prop_assert_eq!(dots(&one), dots(&other));
    }
}

#[test]
fn who_has_seen_nothing_takes_all_and_who_has_seen_all_takes_nothing_new() {
    let dot = |counter| Dot::new(ReplicaId::from_bytes([1; 16]), counter);
    let theirs = Siblings::one(dot(1), Stamp::ZERO, "x");
    let absent = Siblings::new();
    assert_eq!(absent.join(&Nothing, &theirs, &theirs), theirs);
    assert_eq!(absent.join(&Everything, &theirs, &theirs), absent);
    assert_eq!(theirs.join(&theirs, &absent, &Nothing), theirs);
    assert_eq!(theirs.join(&theirs, &absent, &Everything), absent);
}
