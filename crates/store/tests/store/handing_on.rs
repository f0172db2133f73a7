//! Removals that were learned without their keys and are told later, and how far the log then says
//! to reach.

use std::ops::Bound;

use syncline_crdt::{Context, Dot, RowKey};
use syncline_store::{
    Config, Durability, Engine, Incoming, Removal, RemovalLogBounds, Snapshot, Store, Table,
};

use crate::harness::*;

crate::over_all_engines! {
    what_was_missing_is_told_later
    what_was_told_and_given_up_is_missing
    live_rows_between_removals_take_no_intervals
    intervals_are_bounded
    floors_of_format_2_become_intervals
}

fn removal(dot: Dot) -> Removal {
    let key = RowKey::cell(dot.counter.to_string().as_bytes());
    Removal { dot, key }
}

fn dots(replica: u8, counters: impl IntoIterator<Item = u64>) -> Context {
    context(counters.into_iter().map(|counter| dot(replica, counter)))
}

/// Learns dots that are all dead.
fn learn<E: Engine>(store: &Store<E>, learned: &Context) {
    let incoming = Incoming {
        learned: learned.clone(),
        ..Incoming::from_peer(learned)
    };
    store.join(incoming, Durability::Memory).unwrap();
}

/// Is told all removals of some dots: those of `by`.
fn tell<E: Engine>(store: &Store<E>, all_of: &Context, by: impl IntoIterator<Item = Dot>) {
    let nobody = Context::new();
    let incoming = Incoming {
        removals: by.into_iter().map(removal).collect(),
        logged: all_of.clone(),
        learned: all_of.clone(),
        ..Incoming::from_peer(&nobody)
    };
    store.join(incoming, Durability::Memory).unwrap();
    assert_sound(store);
}

#[track_caller]
fn assert_reaches<E: Engine>(store: &Store<E>, missing: &Context) {
    let view = store.view().unwrap();
    assert_eq!(view.removals_missing(), missing);
    // Whoever has seen what is missing is told everything, and nobody else is.
    assert!(view.removals_cover(missing, view.context()));
    for (replica, first, last) in missing.intervals() {
        for counter in [first, last] {
            let mut peer = view.context().clone();
            peer.remove(Dot::new(replica, counter));
            assert!(!view.removals_cover(&peer, view.context()));
        }
    }
}

fn what_was_missing_is_told_later<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    learn(&store, &dots(1, 1..=100));
    assert_reaches(&store, &dots(1, 1..=100));
    // In parts, some of which removed nothing.
    tell(&store, &dots(1, 41..=60), [dot(1, 45), dot(1, 60)]);
    assert_reaches(&store, &dots(1, (1..=40).chain(61..=100)));
    tell(&store, &dots(1, 61..=100), []);
    assert_reaches(&store, &dots(1, 1..=40));
    // A session repeats what was told, and takes nothing back.
    learn(&store, &dots(1, 1..=100));
    tell(&store, &dots(1, 50..=60), [dot(1, 55)]);
    assert_reaches(&store, &dots(1, 1..=40));
    let view = store.view().unwrap();
    let lacking = view
        .removals_lacking(&Context::new(), view.context(), None, usize::MAX)
        .unwrap();
    let told: Vec<Dot> = lacking.removals.iter().map(|told| told.dot).collect();
    assert_eq!(told, [dot(1, 45), dot(1, 60)], "55 is no news");
    drop((view, store));
    assert_reaches(&harness.open(), &dots(1, 1..=40));

    // Within one commit, the last word counts.
    let store = harness.open();
    let mut group = store.group().unwrap();
    let nobody = Context::new();
    let (learned, told) = (dots(2, 1..=10), dots(2, 4..=6));
    for (learned, logged, removals) in [
        (learned.clone(), nobody.clone(), vec![]),
        (nobody.clone(), told.clone(), vec![removal(dot(2, 5))]),
    ] {
        let incoming = Incoming {
            learned,
            logged,
            removals,
            ..Incoming::from_peer(&nobody)
        };
        group.join(incoming).unwrap();
    }
    group.commit(Durability::Memory).unwrap();
    let mut missing = dots(1, 1..=40);
    missing.merge(&learned.difference(&told));
    assert_reaches(&store, &missing);
    assert_sound(&store);
}

fn what_was_told_and_given_up_is_missing<H: Harness>() {
    let harness = H::new();
    let config = Config {
        removal_log: RemovalLogBounds {
            removals: 3,
            ..RemovalLogBounds::default()
        },
        ..config()
    };
    let store = Store::open(harness.mount(), config).unwrap();
    learn(&store, &dots(1, 1..=20));
    // More than it can hold, told at once: it says so in the same commit.
    tell(&store, &dots(1, 1..=10), (1..=5).map(|n| dot(1, n * 2)));
    assert_reaches(&store, &dots(1, (1..=4).chain(11..=20)));
    // What comes later drives out what was told before, whoever believes it to be there.
    tell(&store, &dots(1, 11..=20), [dot(1, 11)]);
    assert_reaches(&store, &dots(1, 1..=6));
    put(&store, "a", "x");
    let before = store.view().unwrap().context().clone();
    remove(&store, "a");
    assert_reaches(&store, &dots(1, 1..=8));
    let view = store.view().unwrap();
    assert!(view.removals_cover(&before, view.context()));
}

/// As a bootstrap brings them.
fn live_rows_between_removals_take_no_intervals<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let peer = dots(1, 1..=1_000);
    for part in [1..=500, 501..=1_000] {
        let live = part.clone().step_by(3);
        let incoming = Incoming {
            rows: live
                .map(|n| (cell(&n.to_string()), row(dot(1, n), "")))
                .collect(),
            learned: dots(1, part),
            ..Incoming::from_peer(&peer)
        };
        store.join(incoming, Durability::Memory).unwrap();
    }
    // One interval for each part.
    assert_reaches(&store, &dots(1, (2..=500).chain(502..=1_000)));
    assert_sound(&store);
}

fn intervals_are_bounded<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    learn(&store, &dots(1, (2..=2_048).step_by(2)));
    assert_reaches(&store, &dots(1, (2..=2_048).step_by(2)));
    learn(&store, &dots(2, [7, 9]));
    let mut missing = dots(1, 2..=2_048);
    missing.merge(&dots(2, 7..=9));
    assert_eq!(store.view().unwrap().removals_missing(), &missing);
    assert_sound(&store);
}

fn floors_of_format_2_become_intervals<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    learn(&store, &dots(1, 5..=9));
    put(&store, "a", "x");
    let before = store.view().unwrap().context().clone();
    remove(&store, "a");
    drop(store);
    let floor = |replica: u8| [&[2][..], dot(replica, 1).replica.as_bytes()].concat();
    become_format_2(&harness);
    let interval = [&floor(1)[..], &5u64.to_be_bytes()].concat();
    harness.tamper(|batch| {
        batch.remove(Table::Removals, &interval);
        batch.put(Table::Removals, &floor(1), &9u64.to_be_bytes());
    });
    for _ in 0..2 {
        let store = harness.open();
        assert_sound(&store);
        let view = store.view().unwrap();
        assert_eq!(view.removals_missing(), &dots(1, 1..=9));
        assert!(view.removals_cover(&before, view.context()));
    }
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let all = (Bound::Included(&[2][..]), Bound::Excluded(&[3][..]));
    assert_eq!(snapshot.range(Table::Removals, all).count(), 1);
    drop((snapshot, engine));

    // One that cannot be read says nothing: any dot may be a removal's that the log lacks.
    become_format_2(&harness);
    harness.tamper(|batch| batch.put(Table::Removals, &floor(1), b"none"));
    let store = harness.open();
    let view = store.view().unwrap();
    assert!(!view.removals_cover(&before, view.context()));
    assert_sound(&store);
}
