//! What sessions cost, in flights, bytes and rows. The bounds are those that hold at a million rows; what differs at
//! fewer is the depth of the walk.

use syncline_crdt::RowKey;
use syncline_store::Durability;
use syncline_sync::{Report, Request, Strategy};

use crate::pump::{self, Memory, Random, request, rows, store, sync};

const ROWS: u64 = 20_000;
const DIFFERENCES: usize = 100;
const KEY: usize = 40;
const VALUE: usize = 100;

/// Forty bytes, with prefixes shared as those of real keys are.
fn key(n: u64) -> RowKey {
    let spread = Random::new(n).next();
    let key = format!(
        "tenant:{:03}:user:{:08}:profile:{:07}",
        spread % 100,
        n,
        spread % 99_991
    );
    assert_eq!(key.len(), KEY);
    RowKey::cell(key.as_bytes())
}

fn payload(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let value: Vec<u8> = (0..VALUE).map(|_| random.next() as u8).collect();
    pump::value(&value)
}

/// Two stores with the same rows.
fn twins() -> (Memory, Memory) {
    let (a, b) = (store(1), store(2));
    write(&a, (0..ROWS).map(|n| (key(n), n)));
    let view = a.view().unwrap();
    let incoming = syncline_store::Incoming {
        rows: rows(&a).into_iter().collect(),
        learned: view.context().clone(),
        ..syncline_store::Incoming::from_peer(view.context())
    };
    b.join(incoming, Durability::Durable).unwrap();
    pump::acquaint(&[&a, &b]);
    (a, b)
}

fn write(store: &Memory, rows: impl IntoIterator<Item = (RowKey, u64)>) {
    let done = store.transact(Durability::Memory, |txn| {
        for (key, seed) in rows {
            txn.put(&key, payload(seed))?;
        }
        Ok::<_, syncline_store::StoreError>(())
    });
    done.unwrap();
}

/// Distinct rows from all over.
fn scattered(count: usize) -> Vec<u64> {
    let mut random = Random::new(99);
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < count {
        chosen.insert(random.next() % ROWS);
    }
    chosen.into_iter().collect()
}

/// Both sides tell the same story, and nothing but it.
fn checked((ours, theirs): (Report, Report)) -> Report {
    assert!(ours.agreed && theirs.agreed);
    assert_eq!(ours.root, theirs.root);
    assert_eq!(ours.flights, theirs.flights);
    assert_eq!((ours.sent, ours.received), (theirs.received, theirs.sent));
    assert_eq!(
        (ours.rows_sent, ours.rows_received),
        (theirs.rows_received, theirs.rows_sent)
    );
    assert_eq!(ours.user_bytes_sent, theirs.user_bytes_received);
    ours
}

fn overhead_per_difference(report: &Report, differences: usize) -> f64 {
    let user = report.user_bytes_sent + report.user_bytes_received;
    (report.bytes_total() as f64 - user as f64) / differences as f64
}

#[test]
fn nothing_differs() {
    let (a, b) = twins();
    for strategy in Strategy::ALL {
        let report = checked(sync(&a, &b, request(strategy, 1).introducing(true)));
        assert_eq!(report.round_trips(), 1.0);
        assert!(
            report.bytes_total() <= 512,
            "{} bytes",
            report.bytes_total()
        );
        assert_eq!(
            report.bytes_total(),
            report.sent.hello + report.received.hello
        );
    }
}

#[test]
fn nothing_differs_with_the_largest_context_that_comes_along() {
    let (a, b) = twins();
    // Every opening that writes is another replica id.
    for opening in 0..20 {
        let other = store(10 + opening);
        pump::put(&other, [key(opening)], b"new");
        let view = other.view().unwrap();
        let incoming = syncline_store::Incoming {
            rows: rows(&other).into_iter().collect(),
            learned: view.context().clone(),
            ..syncline_store::Incoming::from_peer(view.context())
        };
        a.join(incoming, Durability::Memory).unwrap();

        let report = checked(sync(&a, &b, request(Strategy::Auto, opening)));
        assert_eq!((report.rows_sent, report.rows_received), (1, 0));
        assert!(report.round_trips() <= 2.0);
        let again = request(Strategy::Auto, opening).introducing(true);
        let report = checked(sync(&a, &b, again));
        assert_eq!(report.round_trips(), 1.0);
        assert!(
            report.bytes_total() <= 512,
            "{} bytes",
            report.bytes_total()
        );
    }
    assert!(pump::context(&a).interval_count() > 15);
}

/// Adds or overwrites on the initiator's side, the responder's, or both.
fn additions(rows_of: impl Fn(usize) -> Vec<u64>, sides: [bool; 2]) -> Report {
    let (a, b) = twins();
    let mut needed = 0;
    for (side, store) in [&a, &b]
        .into_iter()
        .enumerate()
        .filter(|(side, _)| sides[*side])
    {
        let rows = rows_of(side);
        needed += rows.len() as u64;
        write(store, rows.into_iter().map(|n| (key(n), n + 1_000_000)));
    }
    let report = checked(sync(&a, &b, request(Strategy::Auto, 1)));
    assert_eq!(rows(&a), rows(&b));
    assert_eq!(report.rows_sent + report.rows_received, needed);
    assert_eq!(
        report.user_bytes_sent + report.user_bytes_received,
        needed * (KEY + VALUE) as u64
    );
    let overhead = overhead_per_difference(&report, needed as usize);
    assert!(overhead <= 24.0, "{overhead} bytes per difference");
    report
}

#[test]
fn adds_and_overwrites() {
    let adds = |side: usize| {
        (0..DIFFERENCES as u64)
            .map(|n| ROWS + n * 7919 + side as u64)
            .collect()
    };
    let overwrites = |_| scattered(DIFFERENCES);
    // The side that only receives knows the outcome first: three flights instead of four.
    assert_eq!(additions(adds, [true, false]).flights, 4);
    assert_eq!(additions(adds, [false, true]).flights, 3);
    assert_eq!(additions(adds, [true, true]).flights, 4);
    assert_eq!(additions(overwrites, [true, false]).flights, 4);
    assert_eq!(additions(overwrites, [false, true]).flights, 3);
    assert_eq!(additions(overwrites, [true, true]).flights, 4);
}

#[test]
fn scattered_deletes() {
    for strategy in [Strategy::Walk, Strategy::Auto] {
        for removing in 0..2 {
            let (a, b) = twins();
            pump::remove(
                [&a, &b][removing],
                scattered(DIFFERENCES).into_iter().map(key),
            );
            let report = checked(sync(&a, &b, request(strategy, 5)));
            assert_eq!((report.rows_sent, report.rows_received), (0, 0));
            let overhead = overhead_per_difference(&report, DIFFERENCES);
            assert!(overhead <= 400.0, "{overhead} bytes per difference");
            assert!(
                report.round_trips() <= 5.0,
                "{} round trips",
                report.round_trips()
            );
            assert_eq!(rows(&a), rows(&b));
            assert_eq!(rows(&a).len() as u64, ROWS - DIFFERENCES as u64);
        }
    }
}

#[test]
fn clustered_deletes() {
    let (a, b) = twins();
    let all: Vec<RowKey> = rows(&a).into_keys().collect();
    let cluster = all[3_000..4_000].to_vec();
    pump::remove(&a, cluster);
    let report = checked(sync(&a, &b, request(Strategy::Walk, 5)));
    assert_eq!((report.rows_sent, report.rows_received), (0, 0));
    let overhead = overhead_per_difference(&report, 1_000);
    assert!(overhead <= 40.0, "{overhead} bytes per difference");
    assert!(report.round_trips() <= 5.0);
}

#[test]
fn adds_and_overwrites_found_by_the_walk() {
    for (side, rows_of) in [
        (0, scattered(DIFFERENCES)),
        (1, (ROWS..ROWS + DIFFERENCES as u64).collect()),
    ] {
        let (a, b) = twins();
        write(
            [&a, &b][side],
            rows_of.iter().map(|n| (key(*n), n + 1_000_000)),
        );
        let report = checked(sync(&a, &b, request(Strategy::Walk, 5)));
        assert_eq!(
            [report.rows_sent, report.rows_received][side],
            DIFFERENCES as u64
        );
        assert_eq!([report.rows_sent, report.rows_received][1 - side], 0);
        assert_eq!(rows(&a), rows(&b));
    }
}

#[test]
fn a_full_copy_is_estimated_by_other_strategies() {
    let (a, b) = (store(1), twins().1);
    let report = checked(sync(&a, &b, request(Strategy::Full, 1)));
    assert_eq!((report.rows_received, report.rows_sent), (ROWS, 0));
    let copied = report.received.rows;
    let estimate = checked(sync(&a, &b, request(Strategy::Auto, 1))).full_copy_bytes;
    let ratio = estimate as f64 / copied as f64;
    assert!(
        (0.8..1.25).contains(&ratio),
        "estimated {estimate}, took {copied}"
    );
}

#[test]
fn a_range_alone() {
    let (a, b) = twins();
    let inside = |n: u64| key(n).user_key().starts_with(b"tenant:042");
    let changed: Vec<u64> = (0..ROWS).filter(|n| n % 7 == 0 || inside(*n)).collect();
    write(&a, changed.iter().map(|n| (key(*n), n + 1_000_000)));
    let context = pump::context(&b);
    let range = syncline_merkle::KeyRange::prefix(&RowKey::user_prefix(b"tenant:042"));
    let request = |strategy| -> Request { pump::request(strategy, 5).within(range.clone()) };

    let report = checked(sync(&a, &b, request(Strategy::Auto)));
    assert_eq!(
        report.rows_sent,
        changed.iter().filter(|n| inside(**n)).count() as u64
    );
    // The dots of the rows, and none of those outside.
    let learned = pump::context(&b).difference(&context);
    assert_eq!(learned.len(), u128::from(report.rows_sent));

    let report = checked(sync(&a, &b, request(Strategy::Full).introducing(true)));
    assert_eq!(report.flights, 2, "the range is equal by now");
    assert!(checked(sync(&a, &b, pump::request(Strategy::Auto, 6))).agreed);
    assert_eq!(rows(&a), rows(&b));
}
