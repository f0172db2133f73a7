//! The sketch of the live dots: as fresh as they are, through checkpoints, crashes and damage.

use syncline_crdt::RowKey;
use syncline_merkle::sketch;
use syncline_store::{
    Durability, Engine, Incoming, Mismatch, SKETCH_SYMBOLS, Snapshot, Store, StoreError, Table,
    format,
};

use crate::harness::*;

crate::over_all_engines! {
    it_is_of_the_live_dots
    it_goes_through_checkpoints_and_crashes
    a_view_keeps_the_one_of_its_commit
    a_checkpoint_is_all_symbols_as_of_its_commit
    one_that_cannot_be_read_is_made_anew
    one_that_is_wrong_is_noticed_and_mended_with_the_index
    a_store_of_format_1_gets_one
    live_dots_outside_a_context_are_listed_within_bounds
}

fn key(n: usize) -> RowKey {
    RowKey::member(b"set", &n.to_be_bytes())
}

/// Puts these rows in one commit.
fn put_all<E: Engine>(
    store: &Store<E>,
    keys: impl IntoIterator<Item = usize>,
    durability: Durability,
) {
    let put = store.transact(durability, |txn| {
        let mut keys = keys.into_iter();
        keys.try_for_each(|n| txn.put(&key(n), Vec::new()).map(drop))
    });
    put.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn remove_all<E: Engine>(store: &Store<E>, keys: impl IntoIterator<Item = usize>) {
    let removed = store.transact(Durability::Memory, |txn| {
        let mut keys = keys.into_iter();
        keys.try_for_each(|n| txn.remove(&key(n)).map(drop))
    });
    removed.unwrap_or_else(|error: StoreError| panic!("{error}"));
}

fn it_is_of_the_live_dots<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    assert!(store.view().unwrap().sketch() == sketch::Prefix::new(SKETCH_SYMBOLS));
    let first = put(&store, "a", "1");
    put(&store, "b", "1");
    let second = put(&store, "a", "2");
    remove(&store, "b");
    let view = store.view().unwrap();
    let key = view.sketch_key();
    let mut expected = sketch::Prefix::new(SKETCH_SYMBOLS);
    expected.insert(&key.element(key.tag(second.replica.as_bytes()), second.counter));
    assert!(view.sketch() == expected);
    assert_eq!(view.key_of(second).unwrap(), Some(cell("a")));
    assert_eq!(view.key_of(first).unwrap(), None);
    assert_sound(&store);
}

fn it_goes_through_checkpoints_and_crashes<H: Harness>() {
    let harness = H::new();
    let mut store = harness.open();
    // Commits below, at and above what makes a checkpoint, alone and together.
    for (round, size) in [5_000, 1, 4_000, 95, 1, 1, 4_096, 1, 4_097, 10]
        .into_iter()
        .enumerate()
    {
        put_all(&store, 0..size, Durability::Memory);
        remove_all(&store, (0..size).step_by(3));
        assert_sound(&store);
        if round % 2 == 0 {
            store.flush().unwrap();
            put_all(&store, [10_000 + round], Durability::Memory);
        }
        harness.crash();
        std::mem::forget(store);
        store = harness.open();
        assert_sound(&store);
    }
    for n in 0..300 {
        put_all(&store, [n], Durability::Memory);
    }
    store.flush().unwrap();
    harness.crash();
    std::mem::forget(store);
    assert_sound(&harness.open());
}

fn a_view_keeps_the_one_of_its_commit<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put_all(&store, 0..10, Durability::Memory);
    let before = store.view().unwrap();
    let sketch = before.sketch();
    put_all(&store, 5..15, Durability::Memory);
    put_all(&store, 0..5_000, Durability::Memory);
    assert!(before.sketch() == sketch);
    assert!(before.sketch() == sketch_of_rows(&before));
    assert!(before.recount().unwrap().is_sound());
}

fn a_checkpoint_is_all_symbols_as_of_its_commit<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put_all(&store, [1], Durability::Memory);
    put_all(&store, 0..5_000, Durability::Durable);
    let symbols = store.view().unwrap().sketch();
    drop(store);
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    for (at, chunk) in symbols.symbols().chunks(64).enumerate() {
        let [high, low] = (at as u16 * 64).to_be_bytes();
        let value = snapshot.get(Table::Sketch, &[0, high, low]).unwrap();
        let expected = [&2u64.to_be_bytes()[..], &sketch::encode(chunk)].concat();
        assert_eq!(value, Some(expected));
    }
}

/// A store with a checkpoint and changes, of which some are left over from before.
fn with_sketch<H: Harness>() -> H {
    let harness = H::new();
    let store = harness.open();
    for n in 0..5 {
        put_all(&store, [n], Durability::Memory);
    }
    put_all(&store, 0..5_000, Durability::Memory);
    for n in 0..3 {
        put_all(&store, [n], Durability::Durable);
    }
    harness
}

fn one_that_cannot_be_read_is_made_anew<H: Harness>() {
    let mangled: [(&[u8], Option<&[u8]>); 8] = [
        (&[0, 0, 0], None),
        (&[0, 0x0f, 0xc0], None),
        (&[0, 1, 0], Some(b"garbage")),
        (&[0, 0x10, 0], Some(b"\0\0\0\0\0\0\0\x06 one too many")),
        (&[1, 0, 0], Some(b"short")),
        (&[1, 0, 1], Some(b"\0\0\0\0\0\0\0\x06 no change")),
        (&[1, 0, 2], Some(b"\0\0\0\0\0\0\0\x06\x02 a change that")),
        (&[1, 0, 3], Some(b"\0\0\0\0\0\0\0\x07of a later one")),
    ];
    for (key, value) in mangled {
        let harness: H = with_sketch();
        harness.tamper(|batch| match value {
            Some(value) => batch.put(Table::Sketch, key, value),
            None => batch.remove(Table::Sketch, key),
        });
        let store = harness.open();
        assert_sound(&store);
        put_all(&store, 0..10, Durability::Durable);
        drop(store);
        assert_sound(&harness.open());
    }
    // Nor does it matter if all is gone but the changes.
    let harness: H = with_sketch();
    harness.tamper(|batch| {
        for at in 0..64u16 {
            let [high, low] = (at * 64).to_be_bytes();
            batch.remove(Table::Sketch, &[0, high, low]);
        }
    });
    assert_sound(&harness.open());
}

fn one_that_is_wrong_is_noticed_and_mended_with_the_index<H: Harness>() {
    let harness: H = with_sketch();
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let mut value = snapshot.get(Table::Sketch, &[1, 0, 0]).unwrap().unwrap();
    drop((engine, snapshot));
    *value.last_mut().unwrap() ^= 1;
    harness.tamper(|batch| batch.put(Table::Sketch, &[1, 0, 0], &value));
    let store = harness.open();
    let recount = store.view().unwrap().recount().unwrap();
    assert_eq!(recount.mismatches, [Mismatch::Sketch]);

    let before = store.view().unwrap().context().clone();
    store.withdraw(&[key(7)]).unwrap();
    assert_sound(&store);
    assert_eq!(store.view().unwrap().context(), &before);
    drop(store);
    assert_sound(&harness.open());
}

/// As the first version left it.
fn make_format_1<H: Harness>(harness: &H) {
    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let state = snapshot.get(Table::Meta, b"state").unwrap().unwrap();
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let tables = [Table::Sketch, Table::Removals];
    let keys = tables.map(|table| {
        let entries = snapshot.range(table, all);
        (
            table,
            entries.map(|entry| entry.unwrap().0).collect::<Vec<_>>(),
        )
    });
    drop((engine, snapshot));
    harness.tamper(|batch| {
        batch.put(Table::Meta, b"format", &1u32.to_be_bytes());
        batch.put(Table::Meta, b"state", &state[..32]);
        for (table, keys) in &keys {
            keys.iter().for_each(|key| batch.remove(*table, key));
        }
    });
}

fn a_store_of_format_1_gets_one<H: Harness>() {
    let harness: H = with_sketch();
    let store = harness.open();
    remove_all(&store, 0..3);
    let context = store.view().unwrap().context().clone();
    drop(store);
    make_format_1(&harness);

    let store = harness.open();
    assert_sound(&store);
    let view = store.view().unwrap();
    assert_eq!((view.row_count(), view.context()), (4_997, &context));
    let missing = view.removals_missing();
    assert!(missing.covers(&context), "nothing was logged then");
    assert!(!view.removals_cover(&context_without_last(&context), &context));
    drop(view);
    put_all(&store, [0], Durability::Memory);
    remove_all(&store, [0]);
    let view = store.view().unwrap();
    let lacking = view
        .removals_lacking(&context, view.context(), None, 1 << 20)
        .unwrap();
    assert_eq!(lacking.removals.len(), 1);
    assert!(view.removals_cover(&context, view.context()));
    drop((store, view));

    let engine = harness.mount();
    let snapshot = engine.snapshot().unwrap();
    let format = snapshot.get(Table::Meta, b"format").unwrap();
    assert_eq!(format, Some(format::FORMAT.to_be_bytes().to_vec()));
    drop((engine, snapshot));
    assert_sound(&harness.open());
}

fn context_without_last(context: &syncline_crdt::Context) -> syncline_crdt::Context {
    let (replica, _, last) = context.intervals().last().unwrap();
    let mut without = context.clone();
    without.remove(syncline_crdt::Dot::new(replica, last));
    without
}

fn live_dots_outside_a_context_are_listed_within_bounds<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let nobody = context([]);
    let incoming = Incoming {
        rows: vec![
            (cell("a"), row(dot(1, 1), "")),
            (cell("b"), row(dot(1, 3), "")),
            (cell("c"), row(dot(2, 1), "")),
        ],
        learned: context([dot(1, 2), dot(3, 1)]),
        ..Incoming::from_peer(&nobody)
    };
    store.join(incoming, Durability::Memory).unwrap();
    let view = store.view().unwrap();
    let outside = |seen, max| view.live_outside(&context(seen), max).unwrap();
    let all = vec![dot(1, 1), dot(1, 3), dot(2, 1)];
    assert_eq!(outside(vec![], 3), Some(all));
    assert_eq!(outside(vec![], 2), None);
    assert_eq!(
        outside(vec![dot(1, 3), dot(2, 1)], 1),
        Some(vec![dot(1, 1)])
    );
    let all = view.context().clone();
    assert_eq!(view.live_outside(&all, 0).unwrap(), Some(vec![]));
}
