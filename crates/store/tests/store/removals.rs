//! The removal log: names the rows whose removal a peer missed, and says where it does not.

mod bounds;

use std::collections::BTreeSet;

use syncline_crdt::{Context, Delta, Dot, RowKey};
use syncline_store::{
    Config, Durability, Engine, Incoming, Removal, RemovalLogBounds, Store, StoreError, Table, View,
};

use crate::harness::*;

crate::over_all_engines! {
    it_lists_exactly_what_a_peer_missed
    it_is_listed_in_parts
    a_removal_by_a_delta_is_logged
    a_delta_that_cannot_be_told_apart_is_said_to_be_missing
    a_large_delta_is_logged_under_its_last_dots
    what_a_session_learns_is_missing_unless_it_is_told
    a_removal_told_twice_is_logged_once
    a_transaction_that_fails_logs_nothing
    it_survives_crashes
    damage_to_it_stops_nothing
}

fn bounded<H: Harness>(harness: &H, removals: u64, bytes: u64) -> Store<H::Engine> {
    let config = Config {
        removal_log: RemovalLogBounds { removals, bytes },
        ..config()
    };
    Store::open(harness.mount(), config).unwrap()
}

fn put_all<E: Engine>(store: &Store<E>, keys: impl IntoIterator<Item = impl AsRef<str>>) {
    for key in keys {
        put(store, key.as_ref(), "x");
    }
}

/// Removes rows in one commit, each under a dot of its own; returns these, in order.
fn removed<E: Engine>(store: &Store<E>, keys: &[&str]) -> Vec<Removal> {
    let before = store.view().unwrap().context().clone();
    let done = store.transact(Durability::Memory, |txn| {
        keys.iter().try_for_each(|key| {
            assert!(txn.remove(&cell(key))?);
            Ok::<_, StoreError>(())
        })
    });
    done.unwrap();
    let view = store.view().unwrap();
    let dots = view.context().difference(&before);
    let dots = dots
        .intervals()
        .flat_map(|(id, first, last)| (first..=last).map(move |n| Dot::new(id, n)));
    dots.zip(keys)
        .map(|(dot, key)| Removal {
            dot,
            key: cell(key),
        })
        .collect()
}

#[track_caller]
fn listed<E: Engine>(view: &View<E>, peer: &Context) -> Vec<Removal> {
    let start = view.context();
    let lacking = view
        .removals_lacking(peer, start, None, usize::MAX)
        .unwrap();
    assert!(lacking.complete);
    lacking.removals
}

fn covers<E: Engine>(view: &View<E>, peer: &Context) -> bool {
    view.removals_cover(peer, view.context())
}

fn it_lists_exactly_what_a_peer_missed<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let mut contexts = Vec::new();
    let mut removals = Vec::new();
    for round in 0..20 {
        contexts.push((store.view().unwrap().context().clone(), removals.len()));
        let keys = ["a", "b", "c", "d"].map(|key| format!("{key}{}", round % 3));
        put_all(&store, keys.iter());
        let gone: Vec<&str> = keys.iter().take(round % 5).map(String::as_str).collect();
        removals.extend(removed(&store, &gone));
        assert!(!remove(&store, "nothing"), "which is no removal");
    }
    let view = store.view().unwrap();
    for (peer, missed) in contexts {
        assert_eq!(listed(&view, &peer), removals[missed..]);
        assert!(covers(&view, &peer));
    }
    assert_eq!(listed(&view, view.context()), []);
    assert!(view.removals_missing().is_empty());
    // A peer with gaps misses what is in the gaps.
    let mut gaps = view.context().clone();
    removals.iter().step_by(3).for_each(|removal| {
        gaps.remove(removal.dot);
    });
    let missed: Vec<_> = removals.into_iter().step_by(3).collect();
    assert_eq!(listed(&view, &gaps), missed);
    assert_sound(&store);
}

fn it_is_listed_in_parts<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    // One dot may have removed several rows, and keys may be as long as any.
    let long = RowKey::cell(&[255; 300]);
    let mut all: Vec<Removal> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|key| {
            [dot(1, 2), dot(1, 4), dot(2, 1), dot(2, u64::MAX)].map(|dot| Removal {
                dot,
                key: cell(key),
            })
        })
        .collect();
    all.push(Removal {
        dot: dot(1, 4),
        key: long,
    });
    let dots: Context = all.iter().map(|removal| removal.dot).collect();
    let nobody = Context::new();
    let incoming = Incoming {
        removals: all.clone(),
        learned: dots.clone(),
        logged: dots,
        ..Incoming::from_peer(&nobody)
    };
    store.join(incoming, Durability::Memory).unwrap();
    all.sort();
    let view = store.view().unwrap();
    let (peer, start) = (context([dot(2, 1)]), view.context());
    all.retain(|removal| removal.dot != dot(2, 1));
    for max_bytes in [0, 1, 10, 400, 1_000, usize::MAX] {
        let (mut found, mut parts, mut after) = (Vec::<Removal>::new(), 0, None);
        loop {
            let part = view.removals_lacking(&peer, start, after, max_bytes);
            let part = part.unwrap();
            assert!(part.complete || !part.removals.is_empty());
            assert!(
                part.removals
                    .iter()
                    .all(|removal| after < Some(removal.dot))
            );
            parts += 1;
            after = part.frontier;
            found.extend(part.removals);
            if part.complete {
                break;
            }
        }
        assert_eq!(found, all, "in parts of {max_bytes}");
        assert_eq!(after, Some(dot(2, u64::MAX)));
        assert_eq!(parts == 1, max_bytes >= 400, "{max_bytes}");
    }
    // What has come since the session's start is for the next.
    let begun = context([dot(1, 2)]);
    let lacking = view.removals_lacking(&peer, &begun, None, usize::MAX);
    assert_eq!(lacking.unwrap().frontier, Some(dot(1, 2)));
    assert_sound(&store);
}

fn a_removal_by_a_delta_is_logged<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    put_all(&here, ["a", "b", "c"]);
    sync(&here, &there);
    let peer = there.view().unwrap().context().clone();
    let (_, delta) = here
        .transact(Durability::Memory, |txn| {
            txn.remove(&cell("a"))?;
            txn.put(&cell("b"), b"y".to_vec())?;
            txn.remove(&cell("c"))
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    for _ in 0..2 {
        there.join_delta(&delta, Durability::Memory).unwrap();
        let view = there.view().unwrap();
        let keys: Vec<RowKey> = listed(&view, &peer).into_iter().map(|r| r.key).collect();
        assert_eq!(keys, [cell("a"), cell("c")]);
        assert!(covers(&view, &peer));
        assert_eq!(listed(&view, here.view().unwrap().context()), []);
        assert_sound(&there);
    }
}

fn a_delta_that_cannot_be_told_apart_is_said_to_be_missing<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    put(&here, "a", "x");
    let peer = here.view().unwrap().context().clone();
    // The row never came to where its removal comes.
    let (_, delta) = here
        .transact(Durability::Memory, |txn| txn.remove(&cell("a")))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    there.join_delta(&delta, Durability::Memory).unwrap();
    let view = there.view().unwrap();
    assert_eq!(listed(&view, &peer), []);
    assert!(!covers(&view, &peer));
    assert!(
        covers(&view, view.context()),
        "who has seen it misses nothing"
    );

    // What comes later is covered again, for those who know what was before.
    let peer = view.context().clone();
    put(&here, "b", "x");
    sync(&here, &there);
    let before = there.view().unwrap().context().clone();
    let (_, delta) = here
        .transact(Durability::Memory, |txn| txn.remove(&cell("b")))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    there.join_delta(&delta, Durability::Memory).unwrap();
    let view = there.view().unwrap();
    assert!(covers(&view, &before) && covers(&view, &peer));
    assert_eq!(listed(&view, &before).len(), 1);
    assert_sound(&there);
    // Nor is it known by whom, if dots of several are new.
    put_all(&there, ["c", "d"]);
    let before = there.view().unwrap().context().clone();
    let mut delta = Delta::new();
    delta.observe_all(&before);
    delta.observe_all(&context([dot(1, 1), dot(2, 1)]));
    there.join_delta(&delta, Durability::Memory).unwrap();
    let view = there.view().unwrap();
    assert_eq!((view.row_count(), covers(&view, &before)), (0, false));
    assert_sound(&there);
}

/// Many rows that one transaction removed can be listed in parts.
fn a_large_delta_is_logged_under_its_last_dots<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    let keys: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let edit = |removes: bool| {
        let edited = here.transact(Durability::Memory, |txn| {
            keys.iter().try_for_each(|key| match removes {
                true => txn.remove(&cell(key)).map(drop),
                false => txn.put(&cell(key), Vec::new()).map(drop),
            })
        });
        edited
            .unwrap_or_else(|error: StoreError| panic!("{error}"))
            .1
    };
    there.join_delta(&edit(false), Durability::Memory).unwrap();
    let peer = there.view().unwrap().context().clone();
    there.join_delta(&edit(true), Durability::Memory).unwrap();
    let view = there.view().unwrap();
    let first = view.removals_lacking(&peer, view.context(), None, 1);
    assert_eq!(first.unwrap().removals.len(), 256);
    let all = listed(&view, &peer);
    let named: BTreeSet<RowKey> = all.iter().map(|removal| removal.key.clone()).collect();
    assert_eq!((all.len(), named.len()), (1_000, 1_000));
    let last = view.context().intervals().last().unwrap().2;
    assert!(all.iter().all(|removal| removal.dot.counter > last - 4));
    assert!(covers(&view, &peer));
    assert_sound(&there);
}

fn what_a_session_learns_is_missing_unless_it_is_told<H: Harness>() {
    let harnesses = [H::new(), H::new(), H::new()];
    let [here, deaf, told] = harnesses.each_ref().map(Harness::open);
    put(&here, "a", "x");
    put(&here, "b", "x");
    sync(&here, &deaf);
    sync(&here, &told);
    let peer = here.view().unwrap().context().clone();
    removed(&here, &["a"]);
    sync(&here, &deaf);
    let view = deaf.view().unwrap();
    assert!(!covers(&view, &peer));
    let here_now = here.view().unwrap();
    let untold = here_now.context().difference(&peer);
    assert_eq!(view.removals_missing(), &untold);

    let from = here.view().unwrap();
    let removals = listed(&from, &peer);
    let join = |store: &Store<H::Engine>, logged: Context| {
        let incoming = Incoming {
            rows: rows(&from),
            covers: Some(syncline_merkle::KeyRange::ALL),
            learned: from.context().clone(),
            removals: removals.clone(),
            logged,
            ..Incoming::from_peer(from.context())
        };
        store.join(incoming, Durability::Memory).unwrap();
    };
    join(&told, from.context().clone());
    let view = told.view().unwrap();
    assert_eq!(listed(&view, &peer), removals);
    assert!(covers(&view, &peer));
    assert_sound(&told);
    // Told some, but not that it is all.
    let harness = H::new();
    let half = harness.open();
    put(&half, "other", "x");
    join(&half, Context::new());
    let view = half.view().unwrap();
    assert_eq!(listed(&view, &context([])), removals);
    assert!(!covers(&view, &Context::new()));
    assert_sound(&half);
}

fn a_removal_told_twice_is_logged_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let peer = Context::new();
    let join = |keys: &[&str], learned: Context| {
        let removal = |key: &&str| Removal {
            dot: dot(1, 5),
            key: cell(key),
        };
        let incoming = Incoming {
            removals: keys.iter().map(removal).collect(),
            learned: learned.clone(),
            logged: learned,
            ..Incoming::from_peer(&peer)
        };
        store.join(incoming, Durability::Memory).unwrap();
        assert_sound(&store);
    };
    // A session tells some of it and breaks; the next tells all of it.
    join(&["b"], Context::new());
    join(&["a", "b", "c"], Context::new());
    join(&["c"], context([dot(1, 5)]));
    // Now that it is known, it is no news.
    join(&["d"], Context::new());
    let view = store.view().unwrap();
    let keys: Vec<RowKey> = listed(&view, &peer).into_iter().map(|r| r.key).collect();
    assert_eq!(keys, [cell("a"), cell("b"), cell("c")]);
}

fn a_transaction_that_fails_logs_nothing<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "x");
    put(&store, "b", "x");
    let peer = store.view().unwrap().context().clone();
    let mut group = store.group().unwrap();
    let failed = group.transact(|txn| {
        txn.remove(&cell("a"))?;
        Err::<(), _>(StoreError::TooManyRows)
    });
    assert!(failed.is_err());
    group
        .transact(|txn| txn.remove(&cell("b")))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    group.commit(Durability::Memory).unwrap();
    let view = store.view().unwrap();
    let keys: Vec<RowKey> = listed(&view, &peer).into_iter().map(|r| r.key).collect();
    assert_eq!(keys, [cell("b")]);
    assert_sound(&store);
}

/// As many rows, removed one by one, or a few at a time.
fn remove_many<E: Engine>(store: &Store<E>, count: usize, at_a_time: usize) -> Vec<Removal> {
    let keys: Vec<String> = (0..count).map(|n| format!("{n:04}")).collect();
    put_all(store, keys.iter());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.chunks(at_a_time)
        .flat_map(|keys| removed(store, keys))
        .collect()
}

fn it_survives_crashes<H: Harness>() {
    let harness = H::new();
    let mut store = bounded(&harness, 25, 1 << 20);
    let mut durable: Vec<Removal> = Vec::new();
    for round in 0..8 {
        let keys: Vec<String> = (0..6).map(|n| format!("{round}-{n}")).collect();
        put_all(&store, keys.iter());
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        durable.extend(removed(&store, &keys[..4]));
        store.flush().unwrap();
        removed(&store, &keys[4..]);
        harness.crash();
        std::mem::forget(store);
        store = bounded(&harness, 25, 1 << 20);
        durable.drain(..durable.len().saturating_sub(25));
        let mut found = listed(&store.view().unwrap(), &Context::new());
        found.sort();
        let mut expected = durable.clone();
        expected.sort();
        assert_eq!(found, expected, "round {round}");
        assert_sound(&store);
    }
}

fn damage_to_it_stops_nothing<H: Harness>() {
    let harness = H::new();
    let store = bounded(&harness, 10, 1 << 20);
    let all = remove_many(&store, 10, 1);
    drop(store);
    harness.tamper(|batch| {
        let removal = |at: usize| {
            let Removal { dot, key } = &all[at];
            [
                &[0][..],
                dot.replica.as_bytes(),
                &dot.counter.to_be_bytes(),
                key.as_bytes(),
            ]
            .concat()
        };
        batch.remove(Table::Removals, &removal(1));
        batch.put(Table::Removals, b"\0stray", b"x");
        batch.put(Table::Removals, &[0, 1], b"");
        let place = |n: u64| [&[1][..], &n.to_be_bytes()].concat();
        batch.remove(Table::Removals, &place(2));
        batch.put(Table::Removals, &place(3), b"no dot");
        batch.put(Table::Removals, b"\x01stray", b"x");
        let missing = [&[2][..], all[0].dot.replica.as_bytes()].concat();
        batch.put(Table::Removals, &missing, b"none");
    });
    let store = bounded(&harness, 10, 1 << 20);
    let view = store.view().unwrap();
    assert!(!view.recount().unwrap().is_sound());
    assert_eq!(listed(&view, &Context::new()).len(), 9);
    assert!(
        !covers(&view, &Context::new()),
        "nobody knows how far it reaches"
    );
    // All of it is given up in the end, and what comes after is right.
    let newer = remove_many(&store, 30, 4);
    let view = store.view().unwrap();
    let found = listed(&view, &Context::new());
    assert_eq!(found[found.len() - 10..], newer[20..]);
}
