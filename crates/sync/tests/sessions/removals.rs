//! Removals, told by the log and by the sketch; what these cannot tell is walked for.

use syncline_crdt::{Delta, RowKey};
use syncline_store::{Durability, MemoryEngine, RemovalLogBounds, Store, StoreError};
use syncline_sync::{Report, Strategy};

use crate::pump::{self, Memory, Pair, context, request, rows, store, sync};

const ROWS: u64 = 6_000;

fn key(n: u64) -> RowKey {
    RowKey::cell(format!("tenant:{:03}:user:{n:08}:profile:0000000", n % 100).as_bytes())
}

fn keys(of: impl IntoIterator<Item = u64>) -> impl Iterator<Item = RowKey> {
    of.into_iter().map(key)
}

/// So many of the rows, from all over; others for each `from`.
fn some(count: u64, from: u64) -> impl Iterator<Item = u64> {
    (from..ROWS).step_by((ROWS / count) as usize)
}

/// A store that remembers so many removals.
fn forgetful(name: u64, removals: u64) -> Memory {
    let config = syncline_store::Config {
        environment: pump::environment(name),
        removal_log: RemovalLogBounds {
            removals,
            ..RemovalLogBounds::default()
        },
        ..syncline_store::Config::new("app", [7; 32])
    };
    Store::open(MemoryEngine::new(), config).unwrap()
}

/// Two stores with the same rows, which remember so many removals.
fn twins(removals: u64) -> [Memory; 2] {
    let [a, b] = [forgetful(1, removals), forgetful(2, removals)];
    pump::put(&a, keys(0..ROWS), &[5; 40]);
    checked(&a, &b, Strategy::Auto);
    [a, b]
}

/// Syncs, sees to it that both hold the join, and that only needed rows were sent.
fn checked(a: &Memory, b: &Memory, strategy: Strategy) -> Report {
    let states = [a, b].map(|store| (rows(store), context(store)));
    let [ours, theirs] = &states;
    let joined = pump::join((&ours.0, &ours.1), (&theirs.0, &theirs.1));
    let (report, other) = sync(a, b, request(strategy, 5));
    assert!(report.agreed && other.agreed, "{strategy}");
    pump::assert_joined(a, b, &joined);
    if strategy != Strategy::Full {
        let needed = [&ours.1, &theirs.1].map(|seen| pump::needed(seen, &joined.0));
        assert_eq!(
            [report.rows_received, report.rows_sent],
            needed,
            "{strategy}"
        );
    }
    report
}

const MANY: u64 = 1_000_000;

#[test]
fn the_log_tells_what_was_removed() {
    for strategy in [Strategy::Auto, Strategy::Log] {
        // The side that only receives knows the outcome first: three flights instead of four.
        for (removing, flights) in [(0, 4), (1, 3)] {
            let twins = twins(MANY);
            pump::remove(&twins[removing], keys(some(1_000, 3)));
            let report = checked(&twins[0], &twins[1], strategy);
            assert_eq!(report.flights, flights);
            let traffic = [report.sent, report.received];
            assert!(
                traffic
                    .iter()
                    .all(|traffic| traffic.digests + traffic.sketch == 0)
            );
            assert!(
                report.bytes_total() <= 54 * 1_000,
                "{}",
                report.bytes_total()
            );
        }
    }
}

#[test]
fn the_sketch_tells_what_the_log_has_forgotten() {
    for (removals, strategy) in [(10, Strategy::Auto), (MANY, Strategy::Sketch)] {
        for (removing, flights) in [(0, 5), (1, 4)] {
            let twins = twins(removals);
            pump::remove(&twins[removing], keys(some(1_000, 3)));
            let report = checked(&twins[0], &twins[1], strategy);
            assert_eq!(report.flights, flights);
            let traffic = [report.sent, report.received];
            assert!(
                traffic
                    .iter()
                    .all(|traffic| traffic.digests + traffic.rows == 0)
            );
            assert!(traffic.iter().any(|traffic| traffic.sketch > 0));
            assert!(
                report.bytes_total() <= 54 * 1_000,
                "{}",
                report.bytes_total()
            );
        }
    }
}

#[test]
fn both_sides_remove_and_add_at_once() {
    for strategy in Strategy::ALL {
        for removals in [10, MANY] {
            let [a, b] = twins(removals);
            pump::remove(&a, keys(some(100, 0)));
            pump::remove(&b, keys(some(100, 30)));
            pump::put(&a, keys(some(100, 20)), b"overwritten");
            pump::put(&b, keys((0..100).map(|n| ROWS + n)), b"new");
            pump::put(&b, keys(some(50, 20)), b"overwritten as well");
            checked(&a, &b, strategy);
        }
    }
}

/// The value that the peer still holds was not removed but replaced, and what replaced it was removed.
#[test]
fn what_replaced_a_value_and_was_removed_takes_it_along() {
    for strategy in Strategy::ALL {
        let [a, b] = twins(MANY);
        pump::put(&b, keys(some(100, 0)), b"replaced");
        pump::remove(&b, keys(some(100, 0)));
        checked(&a, &b, strategy);
        assert_eq!(rows(&a).len() as u64, ROWS - 100);
    }
}

#[test]
fn more_than_a_sketch_tells_is_walked_for() {
    let [a, b] = twins(10);
    pump::remove(&b, keys(some(3_000, 0)));
    let report = checked(&a, &b, Strategy::Auto);
    assert_eq!(report.symbols, 0);
    assert!(report.sent.digests + report.received.digests > 0);

    // More than its symbols are, by far.
    let [a, b] = twins(10);
    pump::remove(&b, keys(0..5_000));
    let report = checked(&a, &b, Strategy::Sketch);
    assert!(report.symbols > 0, "it was insisted on");
    assert!(report.sent.digests + report.received.digests > 0);
}

/// After a session that merged contexts and broke off, nobody can tell how many removals there are to find.
#[test]
fn a_sketch_that_is_too_short_goes_on() {
    let [a, b] = twins(10);
    pump::remove(&a, keys(some(100, 0)));
    pump::remove(&b, keys(some(100, 30)));
    let mut pair = Pair::new(&a, &b, request(Strategy::Sketch, 5));
    // Greetings, contexts and the ends of the additions cross; the symbols are lost.
    for side in [1, 0].into_iter().cycle() {
        pair.poll(side).unwrap();
        pair.deliver(side).unwrap();
        if context(&a) == context(&b) {
            break;
        }
    }
    drop(pair);
    assert_eq!(rows(&a).len(), rows(&b).len());
    assert_ne!(rows(&a), rows(&b));
    let (report, other) = sync(&a, &b, request(Strategy::Sketch, 6));
    assert!(report.agreed && other.agreed);
    assert_eq!(rows(&a), rows(&b));
    assert_eq!(rows(&a).len() as u64, ROWS - 200);
    assert!(report.symbols + other.symbols > 250, "{}", report.symbols);
    assert!(report.flights > 5, "the first symbols were too few");
    assert_eq!(report.sent.digests + report.received.digests, 0);
}

/// A sketch that is decoded while both sides write finds what was removed and takes nothing else away.
#[test]
fn writes_go_on_beside_a_sketch() {
    for seed in 0..8 {
        let [a, b] = twins(10);
        pump::remove(&a, keys(some(200, 0)));
        pump::remove(&b, keys(some(200, 15)));
        let mut pair = Pair::new(&a, &b, request(Strategy::Sketch, seed));
        let mut random = pump::Random::new(seed);
        let mut written = ROWS;
        let finished = pair.shuffle(&mut random, 100_000, |random| {
            let store = [&a, &b][random.below(2)];
            match random.below(4) {
                0 => pump::put(store, [key(written)], b"meanwhile"),
                1 => pump::put(store, [key(random.next() % ROWS)], b"again"),
                2 => pump::remove(store, [key(random.next() % ROWS)]),
                _ => return,
            }
            written += 1;
        });
        assert!(finished);
        let states = [&a, &b].map(|store| (rows(store), context(store)));
        let [ours, theirs] = &states;
        let joined = pump::join((&ours.0, &ours.1), (&theirs.0, &theirs.1));
        sync(&a, &b, request(Strategy::Walk, 7));
        pump::assert_joined(&a, &b, &joined);
    }
}

/// A replica without log and sketch is walked with, whatever it is asked.
#[test]
fn a_new_store_has_nothing_to_remove() {
    for strategy in Strategy::ALL {
        let [a, _] = twins(MANY);
        let b = store(3);
        let report = checked(&b, &a, strategy);
        assert_eq!(report.symbols, 0);
    }
}

/// A delta can tell that a value is dead which an earlier delta, that got lost, has superseded; then both have seen the same and
/// do not hold the same. With many writers the contexts are too long for the greetings, and neither side needs the other's.
#[test]
fn what_equal_contexts_hide_is_found_however_long_they_are() {
    for strategy in STRATEGIES {
        for writers in [0, 200] {
            for swapped in [false, true] {
                let [a, b] = [store(1), store(2)];
                for writer in 0..writers {
                    let other = store(100 + writer);
                    let delta = written(&other, &key(writer), Some(b"theirs"));
                    for store in [&a, &b] {
                        store.join_delta(&delta, Durability::Memory).unwrap();
                    }
                }
                pump::acquaint(&[&a, &b]);
                let contested = key(ROWS);
                let first = written(&a, &contested, Some(b"first"));
                let _lost = written(&a, &contested, Some(b"second"));
                let removed = written(&a, &contested, None);
                for delta in [first, removed] {
                    b.join_delta(&delta, Durability::Memory).unwrap();
                }
                let lost = context(&a).difference(&context(&b));
                assert!(
                    lost.is_empty(),
                    "the removal's delta names what it superseded"
                );
                assert_ne!(rows(&a), rows(&b));

                let pair = if swapped { [&b, &a] } else { [&a, &b] };
                let (report, other) = sync(pair[0], pair[1], request(strategy, 5));
                assert!(
                    report.agreed && other.agreed,
                    "{strategy}, {writers} writers"
                );
                assert_eq!(rows(&a), rows(&b));
                assert!(!rows(&b).contains_key(&contested), "it is dead");
            }
        }
    }
}

const STRATEGIES: [Strategy; 4] = [
    Strategy::Auto,
    Strategy::Log,
    Strategy::Sketch,
    Strategy::Walk,
];

/// Writes or removes a key, and gives the delta.
fn written(store: &Memory, key: &RowKey, bytes: Option<&[u8]>) -> Delta {
    let written = store.transact::<_, StoreError>(Durability::Memory, |txn| match bytes {
        Some(bytes) => txn.put(key, pump::value(bytes)).map(drop),
        None => txn.remove(key).map(drop),
    });
    written.unwrap().1
}
