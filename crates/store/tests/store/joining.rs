//! Joins: what is added, dropped and learned, and what liars cannot bring about.

use syncline_crdt::{Context, Delta, Row, RowKey, Siblings, Stamp, limits};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, Incoming, Joined, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    fresh_rows_are_added
    rows_add_only_their_own_dots
    what_was_learned_counts_after_the_joins
    a_known_dead_dot_does_not_come_back
    absence_removes_what_the_peer_had_seen
    a_covered_range_says_what_is_absent
    results_come_in_the_order_asked
    deltas_may_be_doubled_and_reordered
    a_removal_reaches_rows_by_their_dots
    a_delta_reaches_rows_staged_in_its_own_group
    a_shared_dot_stays_in_the_lesser_row
    a_shared_dot_within_one_answer_stays_in_the_lesser_row
    a_shared_dot_across_a_group_stays_in_the_lesser_row
    two_contents_of_one_dot_become_one
    a_row_given_twice_is_joined_once
    a_row_given_beats_its_absence
    what_is_over_a_limit_is_refused_whole
}

fn join<E: syncline_store::Engine>(
    store: &Store<E>,
    rows: &[(RowKey, Row)],
    seen: &Context,
) -> Joined {
    let incoming = Incoming {
        rows: rows.to_vec(),
        ..Incoming::from_peer(seen)
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    assert_sound(store);
    joined
}

fn fresh_rows_are_added<H: Harness>() {
    let store = H::new().open();
    let peer = context([dot(1, 1), dot(1, 2)]);
    let theirs = [
        (cell("b"), row(dot(1, 1), "1")),
        (cell("a"), row(dot(1, 2), "2")),
    ];
    let joined = join(&store, &theirs, &peer);
    assert_eq!(
        (
            joined.changed,
            joined.added,
            joined.removed,
            joined.conflicting
        ),
        (2, 2, 0, 0)
    );
    let again = join(&store, &theirs, &peer);
    assert_eq!(again, Joined::default(), "joining again changes nothing");
    assert_eq!(store.view().unwrap().context(), &peer);
}

fn rows_add_only_their_own_dots<H: Harness>() {
    let store = H::new().open();
    let peer = context((1..=9).map(|n| dot(1, n)));
    join(&store, &[(cell("a"), row(dot(1, 5), "5"))], &peer);
    assert_eq!(store.view().unwrap().context(), &context([dot(1, 5)]));
    let gap = [
        (cell("b"), row(dot(1, 4), "4")),
        (cell("c"), row(dot(1, 7), "7")),
        (cell("d"), row(dot(1, 6), "6")),
    ];
    join(&store, &gap, &peer);
    assert_eq!(
        store
            .view()
            .unwrap()
            .context()
            .intervals()
            .collect::<Vec<_>>(),
        [(replica(1), 4, 7)]
    );
}

fn what_was_learned_counts_after_the_joins<H: Harness>() {
    let store = H::new().open();
    let peer = context((1..=9).map(|n| dot(1, n)));
    let incoming = Incoming {
        rows: vec![(cell("a"), row(dot(1, 5), "5"))],
        learned: peer.clone(),
        ..Incoming::from_peer(&peer)
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(
        joined.added, 1,
        "had the context been merged first, the row would have been taken for dead"
    );
    assert_eq!(store.view().unwrap().context(), &peer);
    assert_sound(&store);
}

fn a_known_dead_dot_does_not_come_back<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    put(&a, "x", "1");
    sync(&a, &b);
    remove(&a, "x");
    sync(&b, &a);
    assert_eq!(a.view().unwrap().row_count(), 0);
    sync(&a, &b);
    assert_same(&a, &b);
}

fn absence_removes_what_the_peer_had_seen<H: Harness>() {
    let store = H::new().open();
    let seen = put(&store, "a", "1");
    put(&store, "b", "2");
    let peer = context([seen]);
    let incoming = Incoming {
        absent: vec![cell("b"), cell("a"), cell("never"), cell("a")],
        ..Incoming::from_peer(&peer)
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(
        (joined.changed, joined.removed),
        (1, 1),
        "b was written without their seeing it"
    );
    assert_eq!(payloads(&store.view().unwrap(), "b"), ["2"]);
    assert_sound(&store);
}

fn a_covered_range_says_what_is_absent<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    for key in ["a1", "a2", "a3", "b1"] {
        put(&a, key, "1");
    }
    sync(&a, &b);
    for key in ["a1", "a3", "b1"] {
        remove(&a, key);
    }
    put(&b, "a4", "unseen");
    let view = a.view().unwrap();
    let range = KeyRange::prefix(&RowKey::user_prefix(b"a"));
    let incoming = Incoming {
        rows: view.scan(&range).map(Result::unwrap).collect(),
        covers: Some(range),
        ..Incoming::from_peer(view.context())
    };
    let joined = b.join(incoming, Durability::Durable).unwrap();
    assert_eq!((joined.changed, joined.removed), (2, 2));
    let left: Vec<_> = rows(&b.view().unwrap())
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        left,
        [cell("a2"), cell("a4"), cell("b1")],
        "b1 lies outside the range"
    );
    assert_sound(&b);
}

fn results_come_in_the_order_asked<H: Harness>() {
    let store = H::new().open();
    let kept = put(&store, "k", "kept");
    let dropped = put(&store, "d", "dropped");
    let peer = context([dropped, dot(1, 1), dot(1, 2)]);
    let incoming = Incoming {
        rows: vec![
            (cell("z"), row(dot(1, 1), "z")),
            (cell("k"), row(dot(1, 2), "theirs")),
        ],
        absent: vec![cell("k2"), cell("d")],
        report_rows: true,
        ..Incoming::from_peer(&peer)
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    let dots: Vec<Vec<_>> = joined
        .results
        .iter()
        .map(|row| row.dots().collect())
        .collect();
    let mut both = vec![kept, dot(1, 2)];
    both.sort();
    assert_eq!(dots, [vec![dot(1, 1)], both, vec![], vec![]]);
}

fn deltas_may_be_doubled_and_reordered<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    let mut deltas = Vec::new();
    for step in 0..6 {
        let key = cell(["x", "y"][step % 2]);
        let ((), delta) = a
            .transact(Durability::Memory, |txn| match step {
                3 => txn.remove(&key).map(drop),
                _ => txn.put(&key, vec![step as u8]).map(drop),
            })
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
        deltas.push(delta);
    }
    for at in [4, 1, 5, 5, 0, 3, 2, 0, 1, 4, 3] {
        b.join_delta(&deltas[at], Durability::Memory).unwrap();
        assert_sound(&b);
    }
    assert_same(&a, &b);
}

fn a_removal_reaches_rows_by_their_dots<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    for n in 0..50 {
        put(&a, &format!("k{n}"), "x");
    }
    sync(&a, &b);
    put(&b, "k7", "again, unseen by a");
    let ((), delta) = a
        .transact(Durability::Durable, |txn| {
            (0..50)
                .step_by(7)
                .try_for_each(|n| txn.remove(&cell(&format!("k{n}"))).map(drop))
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    assert_eq!(delta.rows().len(), 0);
    let joined = b.join_delta(&delta, Durability::Durable).unwrap();
    assert_eq!(joined.removed, 7, "k7 was overwritten meanwhile");
    assert_sound(&b);
    // FLUSHDB: no rows, all that was seen.
    let mut everything = Delta::new();
    everything.observe_all(b.view().unwrap().context());
    a.join_delta(&everything, Durability::Durable).unwrap();
    assert_eq!(a.view().unwrap().row_count(), 0);
    assert_sound(&a);
}

fn a_delta_reaches_rows_staged_in_its_own_group<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    let written = |key: &str, payload: &str| {
        let put = a.transact(Durability::Memory, |txn| {
            txn.put(&cell(key), payload.into())
        });
        put.unwrap_or_else(|error: StoreError| panic!("{error}")).1
    };
    let deltas = [
        written("x", "1"),
        written("y", "1"),
        written("x", "2"),
        written("y", "2"),
    ];
    let (_, removal) = a
        .transact(Durability::Memory, |txn| txn.remove(&cell("x")))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let mut group = b.group().unwrap();
    for delta in &deltas {
        group.join_delta(delta).unwrap();
    }
    group.join_delta(&removal).unwrap();
    group.join_delta(&deltas[0]).unwrap();
    group.commit(Durability::Durable).unwrap();
    assert_same(&a, &b);
    assert_sound(&b);
}

/// Two replicas hold one dot in different rows, by a bug somewhere. Whichever they learn of first,
/// they end up alike.
fn a_shared_dot_stays_in_the_lesser_row<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    let shared = dot(5, 1);
    let seen = context([shared]);
    join(&a, &[(cell("m"), row(shared, "in m"))], &seen);
    join(&b, &[(cell("k"), row(shared, "in k"))], &seen);
    let conflicts = join(&a, &[(cell("k"), row(shared, "in k"))], &seen);
    assert_eq!((conflicts.conflicting, conflicts.changed), (1, 1));
    let conflicts = join(&b, &[(cell("m"), row(shared, "in m"))], &seen);
    assert_eq!((conflicts.conflicting, conflicts.changed), (1, 0));
    assert_same(&a, &b);
    assert_eq!(rows(&a.view().unwrap()), [(cell("k"), row(shared, "in k"))]);
}

fn a_shared_dot_within_one_answer_stays_in_the_lesser_row<H: Harness>() {
    let store = H::new().open();
    let shared = dot(5, 1);
    let two: Row = row(shared, "in b")
        .into_iter()
        .chain(row(dot(5, 2), "own"))
        .collect();
    let theirs = [
        (cell("c"), row(shared, "in c")),
        (cell("b"), two),
        (cell("a"), row(shared, "in a")),
    ];
    let joined = join(&store, &theirs, &context([shared, dot(5, 2)]));
    assert_eq!(joined.conflicting, 2);
    assert_eq!(
        rows(&store.view().unwrap()),
        [
            (cell("a"), row(shared, "in a")),
            (cell("b"), row(dot(5, 2), "own"))
        ]
    );
}

fn a_shared_dot_across_a_group_stays_in_the_lesser_row<H: Harness>() {
    let store = H::new().open();
    let shared = dot(5, 1);
    let seen = context([shared]);
    let mut group = store.group().unwrap();
    for (key, conflicting) in [("m", 0), ("k", 1), ("z", 1), ("b", 1)] {
        let incoming = Incoming {
            rows: vec![(cell(key), row(shared, key))],
            ..Incoming::from_peer(&seen)
        };
        assert_eq!(
            group.join(incoming).unwrap().conflicting,
            conflicting,
            "{key}"
        );
    }
    group.commit(Durability::Durable).unwrap();
    assert_sound(&store);
    assert_eq!(
        rows(&store.view().unwrap()),
        [(cell("b"), row(shared, "b"))]
    );
}

fn two_contents_of_one_dot_become_one<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    let seen = context([dot(5, 1)]);
    let versions = [row(dot(5, 1), "one"), row(dot(5, 1), "two")];
    join(&a, &[(cell("x"), versions[0].clone())], &seen);
    join(&b, &[(cell("x"), versions[1].clone())], &seen);
    assert_eq!(
        join(&a, &[(cell("x"), versions[1].clone())], &seen).conflicting,
        1
    );
    assert_eq!(
        join(&b, &[(cell("x"), versions[0].clone())], &seen).conflicting,
        1
    );
    assert_same(&a, &b);
    assert_eq!(
        join(&a, &rows(&b.view().unwrap()), &seen),
        Joined::default(),
        "and that is the end of it"
    );
}

fn a_row_given_twice_is_joined_once<H: Harness>() {
    let store = H::new().open();
    let twice = [
        (cell("x"), row(dot(5, 1), "x")),
        (cell("x"), row(dot(5, 1), "x")),
    ];
    let joined = join(&store, &twice, &context([dot(5, 1)]));
    assert_eq!(
        (joined.changed, joined.added, joined.conflicting),
        (1, 1, 0)
    );
}

fn what_is_over_a_limit_is_refused_whole<H: Harness>() {
    let store = H::new().open();
    let seen = context([dot(5, 1), dot(5, 2)]);
    let sound = (cell("a"), row(dot(5, 1), "1"));
    let large = Siblings::one(dot(5, 2), Stamp::ZERO, vec![0; limits::MAX_PAYLOAD + 1]);
    let long = RowKey::cell(&[b'k'; (64 << 10) + 1]);
    let wide = RowKey::member(b"k", &[b'm'; (64 << 10) + 1]);
    for (bad, named) in [
        ((cell("b"), large), "a value of 17301505 bytes"),
        ((long, row(dot(5, 2), "x")), "a key of 65537 bytes"),
        (
            (wide, row(dot(5, 2), "x")),
            "a field or member of 65537 bytes",
        ),
    ] {
        let incoming = Incoming {
            rows: vec![sound.clone(), bad],
            ..Incoming::from_peer(&seen)
        };
        let error = store.join(incoming, Durability::Durable).unwrap_err();
        assert!(error.to_string().starts_with(named), "{error}");
        assert_eq!(store.view().unwrap().row_count(), 0);
    }
}

fn a_row_given_beats_its_absence<H: Harness>() {
    let store = H::new().open();
    let seen = context([dot(5, 1)]);
    let theirs = (cell("x"), row(dot(5, 1), "x"));
    join(&store, std::slice::from_ref(&theirs), &seen);
    let incoming = Incoming {
        rows: vec![theirs],
        absent: vec![cell("x")],
        ..Incoming::from_peer(&seen)
    };
    let joined = store.join(incoming, Durability::Durable).unwrap();
    assert_eq!(joined, Joined::default());
    assert_eq!(payloads(&store.view().unwrap(), "x"), ["x"]);
}
