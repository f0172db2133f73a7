//! What a session has told of removals, those who have heard it tell on.

use std::collections::BTreeSet;

use syncline_crdt::{Context, Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, MemoryEngine, RemovalLogBounds, Store, StoreError};
use syncline_sync::{Report, Strategy};

use crate::pump::{self, Memory, Pair, Random, context, request, rows, sync};

const ROWS: u64 = 2_000;

fn key(n: u64) -> RowKey {
    RowKey::cell(format!("user:{n:08}").as_bytes())
}

fn store(name: u64, removals: u64) -> Memory {
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

/// So many stores with the same rows.
fn alike<const N: usize>(removals: [u64; N]) -> [Memory; N] {
    let mut name = 0;
    let stores = removals.map(|removals| {
        name += 1;
        store(name, removals)
    });
    pump::put(&stores[0], (0..ROWS).map(key), &[5; 40]);
    for store in &stores[1..] {
        assert!(sync(&stores[0], store, request(Strategy::Auto, 1)).0.agreed);
    }
    stores
}

/// How many bytes of a session were digests, and how many symbols of sketches.
fn searched(report: &Report) -> (u64, u64) {
    let digests = report.sent.digests + report.received.digests;
    (digests, report.sent.sketch + report.received.sketch)
}

fn reaches(store: &Memory, peer: &Memory) -> bool {
    let view = store.view().unwrap();
    view.removals_cover(peer.view().unwrap().context(), view.context())
}

#[test]
fn a_chain_hands_removals_on_by_the_log() {
    for strategy in [Strategy::Auto, Strategy::Log] {
        let stores = alike([1_000_000; 5]);
        // Some of it was overwritten before, so that there are dead dots that removed nothing.
        pump::put(&stores[0], (0..400).map(key), b"again");
        pump::put(&stores[0], (0..200).map(key), b"and again");
        pump::remove(&stores[0], (0..ROWS).step_by(5).map(key));
        for pair in stores.windows(2) {
            for initiator in [0, 1] {
                let (a, b) = (&pair[initiator], &pair[1 - initiator]);
                let (report, _) = sync(a, b, request(strategy, 5));
                assert!(report.agreed);
                assert_eq!(searched(&report), (0, 0));
            }
            assert!(reaches(&pair[1], &stores[4]));
        }
        for store in &stores {
            assert_eq!(rows(store), rows(&stores[0]));
            assert!(store.view().unwrap().removals_missing().is_empty());
            pump::assert_sound(store);
        }
    }
}

/// Whoever has forgotten a part, or found it without the log, says so to the next.
#[test]
fn what_is_not_told_is_searched_for() {
    for (bounds, strategy) in [
        ([1_000_000, 10, 1_000_000], Strategy::Auto),
        ([1_000_000, 1_000_000, 1_000_000], Strategy::Sketch),
        ([1_000_000, 1_000_000, 1_000_000], Strategy::Walk),
    ] {
        let [a, b, c] = alike(bounds);
        pump::remove(&a, (0..ROWS).step_by(5).map(key));
        assert!(sync(&a, &b, request(strategy, 5)).0.agreed);
        assert!(reaches(&a, &c) && !reaches(&b, &c));
        let (report, _) = sync(&b, &c, request(Strategy::Auto, 6));
        assert!(report.agreed);
        assert_ne!(searched(&report), (0, 0));
        assert_eq!(rows(&c), rows(&a));
    }
}

/// A session that breaks has told a part, and what it has taken up beyond that, it may miss.
#[test]
fn a_session_that_breaks_has_handed_on_a_part() {
    let mut told_a_part = 0;
    for cut in 0..30 {
        let [a, b, c] = alike([1_000_000; 3]);
        pump::put(&a, (ROWS..ROWS + 100).map(key), b"new");
        pump::remove(&a, (0..ROWS).step_by(5).map(key));
        let before = context(&c);
        let mut pair = Pair::with_batches(&a, &b, request(Strategy::Log, 5), 500);
        let _finished = pair.shuffle(&mut Random::new(cut), 8 * cut as usize + 4, |_| {});
        drop(pair);
        let view = b.view().unwrap();
        let missing = view.removals_missing();
        let learned = view.context().difference(&before);
        let listed = view
            .removals_lacking(&before, view.context(), None, usize::MAX)
            .unwrap();
        let named: BTreeSet<RowKey> = listed.removals.into_iter().map(|it| it.key).collect();
        for gone in (0..ROWS).step_by(5) {
            // Removed under dots in this order, after all that was put.
            let dot = a_dot(&a, &before, 100 + gone / 5);
            let is_told = learned.contains(&dot) && !missing.contains(&dot);
            assert!(!is_told || named.contains(&key(gone)), "{cut}");
        }
        told_a_part += usize::from(!named.is_empty() && named.len() < 400);
        // The next ones put it right, by whatever means.
        for (a, b) in [(&b, &c), (&a, &b), (&b, &c)] {
            assert!(sync(a, b, request(Strategy::Auto, cut)).0.agreed);
        }
        assert_eq!(rows(&a), rows(&c));
        pump::assert_sound(&b);
    }
    assert!(told_a_part > 4, "{told_a_part}");
}

fn dots(of: &Context) -> Vec<Dot> {
    of.intervals()
        .flat_map(|(id, first, last)| (first..=last).map(move |at| Dot::new(id, at)))
        .collect()
}

/// The dot that a store made so many dots after a context.
fn a_dot(store: &Memory, before: &Context, at: u64) -> Dot {
    let made = context(store).difference(before);
    let (id, first, _) = made.intervals().next().unwrap();
    Dot::new(id, first + at)
}

/// Any sessions, whole and broken, between stores that forget more or less: whenever a log says that it reaches as far
/// as a peer lacks, it names every row that was removed by what the peer lacks.
#[test]
fn a_log_that_reaches_names_all() {
    let mut reached = 0;
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let bounds = [1_000_000, 1_000_000, 15, 1_000_000];
        let stores: Vec<Memory> = (1..).zip(bounds).map(|(n, b)| store(n, b)).collect();
        let mut ever: Vec<(Dot, RowKey)> = Vec::new();
        for _ in 0..60 {
            let at = random.below(stores.len());
            let store = &stores[at];
            match random.below(5) {
                4 => {
                    let range = KeyRange::new(key(random.next() % 40).into_bytes(), None);
                    let (gone, before) = (rows(store), context(store));
                    let gone = gone
                        .into_keys()
                        .filter(|key| range.contains(key.as_bytes()));
                    pump::remove_range(store, range.clone(), 3);
                    let made: Vec<Dot> = dots(&context(store).difference(&before));
                    ever.extend(
                        gone.flat_map(|key| made.iter().map(move |dot| (*dot, key.clone()))),
                    );
                }
                0 => {
                    let keys = (0..random.below(6)).map(|_| key(random.next() % 40));
                    let keys: Vec<_> = keys.collect();
                    pump::put(store, keys, b"x");
                }
                1 => {
                    let removed = key(random.next() % 40);
                    let before = context(store);
                    let done = store.transact(Durability::Memory, |txn| txn.remove(&removed));
                    done.unwrap_or_else(|error: StoreError| panic!("{error}"));
                    let made = context(store).difference(&before);
                    let made = made.intervals().next();
                    ever.extend(made.map(|(id, at, _)| (Dot::new(id, at), removed)));
                }
                _ => {
                    let peer = &stores[(at + 1 + random.below(3)) % 4];
                    let by = [Strategy::Auto, Strategy::Log][random.below(2)];
                    let mut pair = Pair::with_batches(store, peer, request(by, seed), 30);
                    let steps = [10_000, 30][random.below(2)];
                    let _finished = pair.shuffle(&mut random, steps, |_| {});
                }
            }
            for (ours, theirs) in (0..16).map(|n| (&stores[n / 4], &stores[n % 4])) {
                let (view, peer) = (ours.view().unwrap(), context(theirs));
                if !view.removals_cover(&peer, view.context()) {
                    continue;
                }
                let named = view.removals_lacking(&peer, view.context(), None, usize::MAX);
                let named = named.unwrap().removals;
                let ranges = view.range_removals_lacking(&peer, view.context(), usize::MAX);
                let ranges = ranges.unwrap();
                // A chunk took a part of what the whole removal did, so its entry may be shorter than that.
                let in_a_range = |key: &RowKey, by: &Dot| {
                    ranges
                        .iter()
                        .any(|it| it.range.contains(key.as_bytes()) || it.dots.contains(by))
                };
                let lacking = view.context().difference(&peer);
                for (dot, key) in ever.iter().filter(|(dot, _)| lacking.contains(dot)) {
                    let is_named = named.iter().any(|it| it.key == *key);
                    assert!(is_named || in_a_range(key, dot), "{seed}: {dot}");
                    reached += usize::from(!theirs.view().unwrap().context().contains(dot));
                }
            }
        }
        stores.iter().for_each(pump::assert_sound);
    }
    assert!(reached > 1_000, "{reached}");
}
