//! Removals of whole ranges: what they take, what they leave, what they cost, and what is said of
//! them.

use syncline_crdt::{Canonical, Context, Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    Chunk, ChunkLimit, Config, Durability, Engine, RangeDelta, RangeRemoval, Remnant,
    RemovalLogBounds, Removing, Store, StoreError, View,
};

use crate::harness::*;

crate::over_all_engines! {
    a_range_goes_in_chunks_and_nothing_else_does
    what_was_not_observed_stays
    remnants_stay_under_fresh_dots
    it_goes_on_after_a_crash
    one_small_entry_is_logged_for_all_chunks
    chunks_between_other_writes_are_one_entry_up_to_a_bound
    an_entry_goes_as_a_whole
    a_delta_removes_elsewhere_what_was_observed
    a_delta_adds_its_dot_only_where_all_was_known
    two_removals_at_once_are_told_apart
    damaged_rows_are_withdrawn_and_not_spoken_of
}

/// Neither what a commit holds nor what others are told grows with what is removed.
#[test]
fn a_large_set_goes_in_small_commits() {
    const MEMBERS: usize = 200_000;
    let limit = ChunkLimit {
        rows: 1_000,
        ..ChunkLimit::default()
    };
    let harness = Memory::new();
    let store = harness.open();
    for first in (0..MEMBERS).step_by(20_000) {
        fill(&store, first..first + 20_000);
    }
    let before = seen(&store);
    let chunks = remove_range(&store, set(), limit);
    assert_eq!(chunks.len(), MEMBERS / limit.rows);
    for chunk in &chunks {
        assert_eq!(chunk.removed, limit.rows as u64);
        let delta = chunk.delta.as_ref().unwrap().to_bytes();
        assert!(delta.len() < 200, "{}", delta.len());
    }
    let view = store.view().unwrap();
    assert_eq!((view.row_count(), view.key_count()), (0, 0));
    assert!(view.root().unwrap().is_zero());
    let [entry] = &entries(&view, &before)[..] else {
        panic!("one entry");
    };
    assert!(entry.to_bytes().len() < 120);
    assert_sound(&store);
}

/// The bytes of a chunk's delta do not change.
#[test]
fn the_encoding_is_frozen() {
    let mut rows = syncline_crdt::Delta::new();
    rows.observe_all(&context([dot(1, 7)]));
    rows.set_row(cell("counter"), row(dot(1, 7), "left"));
    let delta = RangeDelta {
        rows,
        removal: RangeRemoval {
            dots: context([dot(1, 8)]),
            range: KeyRange::new("set", Some(b"setu".to_vec())),
            observed: context([dot(1, 1), dot(1, 2), dot(2, 5)]),
        },
    };
    let hex: String = (delta.to_bytes().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let [one, two] = ["01", "02"].map(|id| id.repeat(16));
    let expected = [
        // Version; what the rows' context has; a row.
        format!("0101{one}010600010a636f756e74657200010101{one}070000000000070000046c656674"),
        // The removal's dots, its range, what was observed.
        format!("01{one}0107000373657401047365747502{one}010001{two}010400"),
    ];
    assert_eq!(hex, expected.concat());
    assert_eq!(RangeDelta::from_bytes(&delta.to_bytes()).unwrap(), delta);
}

const SMALL: ChunkLimit = ChunkLimit {
    rows: 10,
    bytes: 1 << 20,
};

fn member(n: usize) -> RowKey {
    RowKey::member(b"set", format!("{n:05}").as_bytes())
}

fn set() -> KeyRange {
    KeyRange::prefix(&RowKey::key_prefix(b"set"))
}

fn fill<E: Engine>(store: &Store<E>, members: impl IntoIterator<Item = usize>) {
    let done = store.transact(Durability::Memory, |txn| {
        members
            .into_iter()
            .try_for_each(|n| txn.put(&member(n), Vec::new()).map(drop))
    });
    done.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn step<E: Engine>(store: &Store<E>, removing: &mut Removing, limit: ChunkLimit) -> Chunk {
    let mut group = store.group().unwrap();
    let chunk = group
        .remove_chunk(removing, limit, &mut |_, _, _| None)
        .unwrap();
    group.commit(Durability::Memory).unwrap();
    removing.go_on(chunk.rest.clone());
    chunk
}

fn remove_range<E: Engine>(store: &Store<E>, range: KeyRange, limit: ChunkLimit) -> Vec<Chunk> {
    let mut removing = store.begin_removal(range).unwrap();
    let mut chunks = Vec::new();
    while !removing.is_done() {
        chunks.push(step(store, &mut removing, limit));
    }
    chunks
}

fn entries<E: Engine>(view: &View<E>, peer: &Context) -> Vec<RangeRemoval> {
    view.range_removals_lacking(peer, view.context(), usize::MAX)
        .unwrap()
}

fn seen<E: Engine>(store: &Store<E>) -> Context {
    store.view().unwrap().context().clone()
}

fn a_range_goes_in_chunks_and_nothing_else_does<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..95);
    for other in ["a", "set", "set\0", "setu", "z"] {
        put(&store, other, "x");
    }
    let cells = [cell("a"), cell("set\0"), cell("setu"), cell("z")];
    let chunks = remove_range(&store, set(), SMALL);
    assert_eq!(chunks.len(), 10, "the cell of the key goes along");
    let removed: u64 = chunks.iter().map(|chunk| chunk.removed).sum();
    assert_eq!(removed, 96);
    let view = store.view().unwrap();
    let left: Vec<RowKey> = rows(&view).into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, cells);
    assert_eq!(view.key_count(), 4);
    assert_sound(&store);
    // Again: nothing is there, so nothing is said.
    let chunks = remove_range(&store, set(), SMALL);
    assert_eq!(chunks.len(), 1);
    assert!(chunks[0].delta.is_none());
    assert_eq!(store.view().unwrap().context(), view.context());
    // And all.
    remove_range(&store, KeyRange::ALL, ChunkLimit::default());
    let view = store.view().unwrap();
    assert_eq!((view.row_count(), view.key_count()), (0, 0));
    assert!(view.root().unwrap().is_zero());
    assert_sound(&store);
    let empty = KeyRange::new("b", b"a".to_vec());
    assert!(store.begin_removal(empty).unwrap().is_done());
}

fn what_was_not_observed_stays<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..40);
    let mut removing = store.begin_removal(set()).unwrap();
    step(&store, &mut removing, SMALL);
    // Behind the chunks and before them, new and written again.
    fill(&store, [5, 25, 100]);
    while !removing.is_done() {
        step(&store, &mut removing, SMALL);
    }
    let view = store.view().unwrap();
    let left: Vec<RowKey> = rows(&view).into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [member(5), member(25), member(100)]);
    assert_sound(&store);
}

fn remnants_stay_under_fresh_dots<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    fill(&here, 0..3);
    sync(&here, &there);
    let before = seen(&here);
    let removing = here.begin_removal(set()).unwrap();
    let mut group = here.group().unwrap();
    let kept = member(1);
    let mut remains = |key: &RowKey, row: &syncline_crdt::Row, observed: &Context| {
        assert!(row.dots().all(|dot| observed.contains(&dot)));
        (*key == kept).then(|| Remnant {
            payload: b"was here".to_vec(),
            superseded: row.dots().collect(),
        })
    };
    let chunk = group.remove_chunk(&removing, SMALL, &mut remains).unwrap();
    group.commit(Durability::Memory).unwrap();
    assert_eq!((chunk.removed, &chunk.rest), (2, &None));
    let left = rows(&here.view().unwrap());
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, kept);
    assert!(left[0].1.dots().all(|dot| !before.contains(&dot)));
    assert_sound(&here);
    let delta = chunk.delta.unwrap();
    for _ in 0..2 {
        let limit = ChunkLimit::default();
        there
            .join_range_delta(&delta, limit, Durability::Memory)
            .unwrap();
        assert_same(&here, &there);
        assert_sound(&there);
    }
}

fn it_goes_on_after_a_crash<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..100);
    store.flush().unwrap();
    let mut removing = store.begin_removal(set()).unwrap();
    for _ in 0..3 {
        step(&store, &mut removing, SMALL);
    }
    store.flush().unwrap();
    step(&store, &mut removing, SMALL);
    harness.crash();
    std::mem::forget(store);
    let store = harness.open();
    assert_eq!(store.view().unwrap().row_count(), 70);
    assert_sound(&store);
    fill(&store, [1_000]);
    let removed: u64 = remove_range(&store, set(), SMALL)
        .iter()
        .map(|chunk| chunk.removed)
        .sum();
    assert_eq!(removed, 71);
    assert_sound(&store);
}

fn one_small_entry_is_logged_for_all_chunks<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..1_000);
    let before = seen(&store);
    let chunks = remove_range(&store, set(), SMALL);
    let view = store.view().unwrap();
    let [entry] = &entries(&view, &before)[..] else {
        panic!("one entry");
    };
    assert_eq!(entry.range, set());
    assert_eq!(entry.observed, before);
    assert_eq!(entry.dots, view.context().difference(&before));
    assert!(entry.to_bytes().len() < 120, "{}", entry.to_bytes().len());
    assert!(view.removals_cover(&before, view.context()));
    assert_eq!(entries(&view, view.context()), []);
    // Whoever lacks any of its dots is told.
    for dot in [0, 57, 99].map(|at| &chunks[at].delta.as_ref().unwrap().removal.dots) {
        let peer = view.context().difference(dot);
        assert_eq!(entries(&view, &peer).len(), 1);
    }
    // Its encoding can be read, and nothing like it.
    let bytes = entry.to_bytes();
    assert_eq!(RangeRemoval::from_bytes(&bytes).unwrap(), *entry);
    for cut in 0..bytes.len() {
        assert!(RangeRemoval::from_bytes(&bytes[..cut]).is_err());
    }
    drop(view);
    let view = store.view().unwrap();
    assert_eq!(
        view.range_removals_lacking(&before, view.context(), 10)
            .unwrap(),
        []
    );
    drop((store, view));
    assert_sound(&harness.open());
}

fn chunks_between_other_writes_are_one_entry_up_to_a_bound<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..1_000);
    let before = seen(&store);
    let mut removing = store.begin_removal(set()).unwrap();
    while !removing.is_done() {
        step(&store, &mut removing, SMALL);
        put(&store, "other", "x");
    }
    let view = store.view().unwrap();
    let found = entries(&view, &before);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].range.upper.as_ref(), Some(&found[1].range.lower));
    let intervals: usize = found.iter().map(|it| it.dots.interval_count()).sum();
    assert_eq!(intervals, 100);
    assert_sound(&store);
}

fn an_entry_goes_as_a_whole<H: Harness>() {
    let harness = H::new();
    let config = Config {
        removal_log: RemovalLogBounds {
            removals: 3,
            ..RemovalLogBounds::default()
        },
        ..config()
    };
    let store = Store::open(harness.mount(), config).unwrap();
    fill(&store, 0..100);
    let before = seen(&store);
    remove_range(&store, set(), SMALL);
    let after = seen(&store);
    for key in ["a", "b", "c"] {
        let view = store.view().unwrap();
        assert_eq!(entries(&view, &before).len(), 1);
        assert!(view.removals_cover(&before, view.context()));
        put(&store, key, "x");
        remove(&store, key);
        assert_sound(&store);
    }
    let view = store.view().unwrap();
    assert_eq!(entries(&view, &before), []);
    assert!(!view.removals_cover(&before, view.context()));
    assert!(view.removals_cover(&after, view.context()));
}

fn a_delta_removes_elsewhere_what_was_observed<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    fill(&here, 0..50);
    sync(&here, &there);
    fill(&there, [7, 60]);
    let before = seen(&there);
    let chunks = remove_range(&here, set(), SMALL);
    let deltas: Vec<RangeDelta> = chunks.into_iter().filter_map(|it| it.delta).collect();
    assert_eq!(deltas.len(), 5);
    // In any order, doubled, and in parts smaller than the chunks.
    let tiny = ChunkLimit {
        rows: 3,
        bytes: 1 << 20,
    };
    for delta in deltas.iter().rev().chain(&deltas) {
        let bytes = delta.to_bytes();
        assert!(bytes.len() < 200, "{}", bytes.len());
        let delta = RangeDelta::from_bytes(&bytes).unwrap();
        there
            .join_range_delta(&delta, tiny, Durability::Memory)
            .unwrap();
        assert_sound(&there);
    }
    let view = there.view().unwrap();
    let left: Vec<RowKey> = rows(&view).into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [member(7), member(60)]);
    assert!(view.context().covers(&seen(&here)));
    // It can tell others.
    let dots: u128 = entries(&view, &before).iter().map(|it| it.dots.len()).sum();
    assert_eq!(dots, 5);
    assert!(view.removals_cover(&before, view.context()));
}

fn a_delta_adds_its_dot_only_where_all_was_known<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let [here, there] = harnesses.each_ref().map(Harness::open);
    fill(&here, 0..5);
    sync(&here, &there);
    // Somewhere else, and unknown there.
    put(&here, "other", "x");
    let chunks = remove_range(&here, set(), SMALL);
    let delta = chunks[0].delta.clone().unwrap();
    let join = || {
        let limit = ChunkLimit::default();
        there
            .join_range_delta(&delta, limit, Durability::Memory)
            .unwrap()
    };
    let before = seen(&there);
    assert_eq!(join().removed, 5);
    let view = there.view().unwrap();
    assert_eq!((view.row_count(), view.context()), (0, &before));
    assert_eq!(entries(&view, &Context::new()), []);
    sync(&here, &there);
    join();
    assert_same(&here, &there);
    assert_sound(&there);
}

fn two_removals_at_once_are_told_apart<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    fill(&store, 0..100);
    for n in 0..50 {
        put(&store, &format!("cell{n:03}"), "x");
    }
    let before = seen(&store);
    let cells = KeyRange::prefix(b"cell");
    let mut both = [cells, set()].map(|range| store.begin_removal(range).unwrap());
    while both.iter().any(|removing| !removing.is_done()) {
        for removing in &mut both {
            step(&store, removing, SMALL);
        }
    }
    let view = store.view().unwrap();
    assert_eq!(view.row_count(), 0);
    let found = entries(&view, &before);
    let mut dots = Context::new();
    found.iter().for_each(|it| dots.merge(&it.dots));
    assert_eq!(dots, view.context().difference(&before));
    // From any dot on, all that goes on behind it is found.
    for (replica, first, last) in dots.intervals() {
        for counter in first..=last {
            let peer = view
                .context()
                .difference(&context([Dot::new(replica, counter)]));
            assert_eq!(entries(&view, &peer).len(), 1);
            let rest = view.context().up_to(Dot::new(replica, counter - 1));
            let told: u128 = entries(&view, &rest).iter().map(|it| it.dots.len()).sum();
            assert!(told >= u128::from(last - counter + 1));
        }
    }
    assert_sound(&store);
}

fn damaged_rows_are_withdrawn_and_not_spoken_of<H: Harness>() {
    let harnesses = [H::new(), H::new()];
    let store = harnesses[0].open();
    fill(&store, 0..30);
    drop(store);
    let damaged = member(14);
    let mut value = stored(&harnesses[0], &damaged);
    value[3] ^= 1;
    harnesses[0].tamper(|batch| {
        batch.put(syncline_store::Table::Rows, damaged.as_bytes(), &value);
    });
    let store = harnesses[0].open();
    let before = seen(&store);
    let chunks = remove_range(&store, set(), SMALL);
    assert_eq!(store.view().unwrap().row_count(), 0);
    assert_sound(&store);
    let lost = before.difference(&seen(&store));
    assert_eq!(lost.len(), 1);
    for (chunk, observed) in chunks.iter().zip([
        before.clone(),
        before.difference(&lost),
        before.difference(&lost),
    ]) {
        assert_eq!(chunk.delta.as_ref().unwrap().removal.observed, observed);
    }
}
