//! Views: whole, unmoved by later writes, and at hand while writing goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use syncline_crdt::{Canonical, Context, Dot, RowKey};
use syncline_merkle::{KeyRange, Source};
use syncline_store::{Durability, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    a_view_stands_still
    ranges_and_prefixes_read_in_order
    ranges_are_digested_and_counted
    an_item_is_described_by_its_dots
    reading_goes_on_while_writing_does
    a_handle_can_be_shared_between_threads
}

fn a_view_stands_still<H: Harness>() {
    let store = H::new().open();
    put(&store, "a", "1");
    let view = store.view().unwrap();
    let (context, root) = (view.context().clone(), view.root().unwrap());
    let mut scan = view.scan(&KeyRange::ALL);
    put(&store, "a", "2");
    put(&store, "b", "2");
    assert_eq!(payloads(&view, "a"), ["1"]);
    assert_eq!(scan.next().unwrap().unwrap().0, cell("a"));
    assert!(scan.next().is_none());
    drop(scan);
    assert_eq!(
        (view.context(), view.root().unwrap(), view.row_count()),
        (&context, root, 1)
    );
    assert!(view.recount().unwrap().is_sound());
}

fn ranges_and_prefixes_read_in_order<H: Harness>() {
    let store = H::new().open();
    let keys = [
        cell("a"),
        RowKey::field(b"h", b"f"),
        RowKey::field(b"h", b"g"),
        RowKey::member(b"h", b"m"),
        cell("h2"),
        cell("z"),
    ];
    store
        .transact(Durability::Durable, |txn| {
            keys.iter()
                .rev()
                .try_for_each(|key| txn.put(key, Vec::new()).map(drop))
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let view = store.view().unwrap();
    let scan =
        |range: KeyRange| -> Vec<RowKey> { view.scan(&range).map(|row| row.unwrap().0).collect() };
    assert_eq!(scan(KeyRange::ALL), keys);
    assert_eq!(
        scan(KeyRange::prefix(&RowKey::key_prefix(b"h"))),
        keys[1..4]
    );
    assert_eq!(
        scan(KeyRange::prefix(&RowKey::family_prefix(
            b"h",
            syncline_crdt::Family::FIELD
        ))),
        keys[1..3]
    );
    assert_eq!(
        scan(KeyRange::prefix(&RowKey::user_prefix(b"h"))),
        keys[1..5]
    );
    assert_eq!(
        scan(KeyRange::new(
            keys[2].as_bytes(),
            keys[4].as_bytes().to_vec()
        )),
        keys[2..4]
    );
    assert_eq!(scan(KeyRange::new(*b"z", b"a".to_vec())), []);
    assert_eq!(view.get(&cell("never")).unwrap(), None);
}

fn ranges_are_digested_and_counted<H: Harness>() {
    let store = H::new().open();
    store
        .transact(Durability::Memory, |txn| {
            (0..2_000).try_for_each(|n| txn.put(&cell(&format!("{n:04}")), Vec::new()).map(drop))
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let view = store.view().unwrap();
    let of = |prefix: &[u8]| {
        view.digest(&KeyRange::prefix(&RowKey::user_prefix(prefix)))
            .unwrap()
    };
    assert_eq!(
        [
            of(b"").count(),
            of(b"1").count(),
            of(b"07").count(),
            of(b"x").count()
        ],
        [2_000, 1_000, 100, 0]
    );
    assert_eq!(of(b"0") + of(b"1"), view.root().unwrap());
    let cut = view.cut(&KeyRange::ALL, 1, usize::MAX).unwrap();
    assert_eq!(
        cut.nodes
            .iter()
            .map(|node| node.digest)
            .sum::<syncline_merkle::RangeDigest>(),
        view.root().unwrap()
    );
    let items = Source::items(&view, &KeyRange::ALL, 7).unwrap();
    assert_eq!(items.len(), 7);
}

fn an_item_is_described_by_its_dots<H: Harness>() {
    let (a, b) = (H::new().open(), H::new().open());
    let mut dots = [put(&a, "x", "1"), put(&b, "x", "2")];
    dots.sort();
    sync(&a, &b);
    let view = b.view().unwrap();
    let described = view.describe(cell("x").as_bytes()).unwrap();
    let told = std::collections::BTreeSet::<Dot>::from_bytes(&described).unwrap();
    assert!(told.into_iter().eq(dots));
    assert_eq!(view.describe(cell("y").as_bytes()).unwrap(), [0u8; 0]);
    assert!(view.describe(b"no key").is_err());
}

/// Every view taken while a writer runs is whole, and no older than the last.
fn reading_goes_on_while_writing_does<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // However the writer ends, the reader does too.
        let ends = Ends(&done);
        let reader = scope.spawn(|| {
            let (mut views, mut seen) = (0, Context::new());
            loop {
                // Asked before the last view, so that there is one even of a quick writer.
                let is_last = done.load(Ordering::Relaxed);
                let view = store.view().unwrap();
                assert!(view.context().covers(&seen));
                seen = view.context().clone();
                let recount = view.recount().unwrap();
                assert!(recount.is_sound(), "{:#?}", recount.mismatches);
                views += 1;
                if is_last {
                    return views;
                }
            }
        });
        for n in 0u32..150 {
            let durability = if n % 10 == 0 {
                Durability::Durable
            } else {
                Durability::Memory
            };
            store
                .transact(durability, |txn| {
                    for at in 0..5 {
                        txn.put(
                            &cell(&format!("k{}", (n * 7 + at * 31) % 200)),
                            vec![at as u8; 10],
                        )?;
                    }
                    txn.remove(&cell(&format!("k{}", n % 200))).map(drop)
                })
                .unwrap_or_else(|error: StoreError| panic!("{error}"));
        }
        drop(ends);
        assert!(reader.join().unwrap() > 0);
    });
    assert_sound(&store);
}

fn a_handle_can_be_shared_between_threads<H: Harness>() {
    let store = H::new().open();
    thread::scope(|scope| {
        for thread in 0..4 {
            let store: Store<H::Engine> = store.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    store
                        .transact(Durability::Memory, |txn| {
                            txn.put(&cell(&format!("{thread}-{n}")), Vec::new())
                        })
                        .unwrap_or_else(|error: StoreError| panic!("{error}"));
                }
            });
        }
    });
    let view = store.view().unwrap();
    assert_eq!(
        (view.row_count(), view.context().interval_count()),
        (100, 1)
    );
    assert_sound(&store);
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
