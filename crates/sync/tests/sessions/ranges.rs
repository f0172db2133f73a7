//! Removals of whole ranges, told as such, applied in parts.

use syncline_crdt::{Context, RowKey};
use syncline_merkle::KeyRange;
use syncline_sync::{Report, Strategy};

use crate::pump::{self, Memory, Pair, Random, context, request, rows, store, sync};

/// More than are applied in one commit.
const MEMBERS: u64 = 10_000;

fn member(n: u64) -> RowKey {
    RowKey::member(b"set", format!("{n:06}").as_bytes())
}

fn set() -> KeyRange {
    KeyRange::prefix(&RowKey::key_prefix(b"set"))
}

fn others(from: u64) -> impl Iterator<Item = RowKey> {
    (from..from + 300).map(|n| RowKey::cell(format!("user:{n}").as_bytes()))
}

fn alike<const N: usize>() -> [Memory; N] {
    let mut name = 0;
    let stores = [(); N].map(|()| {
        name += 1;
        store(name)
    });
    pump::put(&stores[0], (0..MEMBERS).map(member), b"");
    pump::put(&stores[0], others(0), b"other");
    for store in &stores[1..] {
        assert!(sync(&stores[0], store, request(Strategy::Auto, 1)).0.agreed);
    }
    stores
}

fn searched(report: &Report) -> u64 {
    let traffic = [report.sent, report.received];
    traffic.iter().map(|it| it.digests + it.sketch).sum()
}

fn range_entries(store: &Memory, peer: &Context) -> usize {
    let view = store.view().unwrap();
    let found = view.range_removals_lacking(peer, view.context(), usize::MAX);
    found.unwrap().len()
}

#[test]
fn a_range_is_told_in_a_few_bytes_and_handed_on() {
    for strategy in [Strategy::Auto, Strategy::Log] {
        for initiator in [0, 1] {
            let stores: [Memory; 4] = alike();
            let before = context(&stores[0]);
            // Chunks of a hundred rows, and writes that nobody had observed.
            let unobserved = [member(7), member(MEMBERS + 1)];
            pump::put(&stores[1], unobserved.clone(), b"");
            pump::put(&stores[0], others(1_000), b"new");
            pump::remove_range(&stores[0], set(), 100);
            pump::put(&stores[0], others(2_000), b"newer");
            for pair in stores.windows(2) {
                let (a, b) = (&pair[initiator], &pair[1 - initiator]);
                let (report, other) = sync(a, b, request(strategy, 5));
                assert!(report.agreed && other.agreed);
                assert_eq!(searched(&report), 0);
                let rows = report.sent.rows + report.received.rows;
                assert!(rows < 40 * 600, "{rows}");
                assert!(report.flights <= 4);
                assert_eq!(range_entries(&pair[1], &before), 1);
            }
            for store in &stores[1..] {
                assert_eq!(rows(store), rows(&stores[1]));
                assert_eq!(rows(store).len(), 900 + 2);
                assert!(unobserved.iter().all(|key| rows(store).contains_key(key)));
                assert!(store.view().unwrap().removals_missing().is_empty());
                pump::assert_sound(store);
            }
        }
    }
}

/// Beside removals that are named one by one, on both sides, whatever way is asked for.
#[test]
fn ranges_and_rows_go_both_ways() {
    for strategy in Strategy::ALL {
        let [a, b]: [Memory; 2] = alike();
        pump::remove(&a, others(0).step_by(3));
        pump::remove_range(
            &a,
            KeyRange::new(member(1_000).into_bytes(), member(4_000).into_bytes()),
            500,
        );
        pump::put(&a, (2_000..2_100).map(member), b"again");
        pump::remove(&b, others(0).skip(1).step_by(3));
        pump::remove_range(
            &b,
            KeyRange::new(member(3_000).into_bytes(), member(9_000).into_bytes()),
            500,
        );
        pump::put(&b, (3_500..3_600).map(member), b"again");
        let states = [&a, &b].map(|store| (rows(store), context(store)));
        let [ours, theirs] = &states;
        let joined = pump::join((&ours.0, &ours.1), (&theirs.0, &theirs.1));
        let (report, _) = sync(&a, &b, request(strategy, 5));
        assert!(report.agreed, "{strategy}");
        pump::assert_joined(&a, &b, &joined);
        let by_ranges = matches!(strategy, Strategy::Auto | Strategy::Log);
        assert_eq!(
            searched(&report) == 0,
            by_ranges || strategy == Strategy::Full
        );
    }
}

/// Wherever a session breaks, the next goes on by the log: what a range's removal is called by is not seen before it
/// has taken effect.
#[test]
fn a_session_that_breaks_is_gone_on_with() {
    let mut partly = 0;
    for cut in 0..24 {
        let [a, b]: [Memory; 2] = alike();
        pump::put(&a, others(1_000), b"new");
        pump::remove_range(&a, set(), 500);
        pump::put(&a, others(2_000), b"newer");
        let before = context(&b);
        let made = context(&a).difference(&before);
        let mut pair = Pair::with_batches(&a, &b, request(Strategy::Auto, 5), 4_000);
        let _finished = pair.shuffle(&mut Random::new(cut), 3 * cut as usize, |_| {});
        drop(pair);
        let left = rows(&b)
            .into_keys()
            .filter(|key| set().contains(key.as_bytes()));
        let left = left.count();
        partly += usize::from(left > 0 && context(&b) != before);
        if left > 0 {
            assert!(!context(&b).covers(&made), "{cut}");
        }
        pump::assert_sound(&b);
        let (report, _) = sync(&b, &a, request(Strategy::Auto, cut));
        assert!(report.agreed);
        assert_eq!(searched(&report), 0, "{cut}");
        assert_eq!(rows(&a), rows(&b));
        assert_eq!(context(&a), context(&b));
        pump::assert_sound(&b);
    }
    assert!(partly > 3, "{partly}");
}

#[test]
fn writes_go_on_beside_a_removal_of_a_range() {
    for seed in 0..6 {
        let [a, b]: [Memory; 2] = alike();
        pump::remove_range(&a, set(), 1_000);
        pump::put(&b, others(500), b"new");
        let mut pair = Pair::new(&a, &b, request(Strategy::Auto, seed));
        let mut random = Random::new(seed);
        let finished = pair.shuffle(&mut random, 100_000, |random| {
            let store = [&a, &b][random.below(2)];
            match random.below(3) {
                0 => pump::put(store, [member(random.next() % MEMBERS)], b"meanwhile"),
                1 => pump::remove(store, [member(random.next() % MEMBERS)]),
                _ => pump::put(store, others(random.next() % 900).take(1), b"meanwhile"),
            }
        });
        assert!(finished);
        let states = [&a, &b].map(|store| (rows(store), context(store)));
        let [ours, theirs] = &states;
        let joined = pump::join((&ours.0, &ours.1), (&theirs.0, &theirs.1));
        sync(&a, &b, request(Strategy::Walk, 7));
        pump::assert_joined(&a, &b, &joined);
    }
}
