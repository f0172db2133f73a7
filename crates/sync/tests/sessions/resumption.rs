//! A bootstrap that breaks off goes on where it stopped.

use syncline_crdt::{Context, RowKey};
use syncline_store::{Durability, MemoryDisk};
use syncline_sync::Strategy;

use crate::pump::{self, Memory, Pair, assert_sound, context, request, rows, store, sync};

const ROWS: usize = 40_000;

/// Rows of several writers, in an order of keys that has nothing to do with the order of writing.
fn full() -> Memory {
    let a = store(1);
    for writer in 0..4 {
        let other = store(10 + writer as u64);
        let keys = (0..ROWS / 4)
            .map(|n| n * 4 + writer)
            .map(|n| n * 7919 % ROWS);
        pump::put(
            &other,
            keys.map(|n| RowKey::cell(format!("key {n:08}").as_bytes())),
            &[7; 60],
        );
        sync(&a, &other, request(Strategy::Auto, 1));
    }
    assert_eq!(rows(&a).len(), ROWS);
    a
}

/// A session between stores in which the bootstrapped one is dropped after so many rows; how many it had received.
fn interrupted(from: &Memory, to: &Memory, to_initiates: bool, after: u64) -> u64 {
    // Frames in proportion to the rows that there are.
    let batch = 16 << 10;
    let (request, stores) = (
        request(Strategy::Auto, 1),
        if to_initiates { [to, from] } else { [from, to] },
    );
    let mut pair = Pair::with_batches(stores[0], stores[1], request, batch);
    let (initiator, responder) = (&mut pair.initiator, &mut pair.responder);
    let (source, target) = match to_initiates {
        true => (responder, initiator),
        false => (initiator, responder),
    };
    loop {
        let received = target.report().rows_received;
        if received >= after || (source.is_finished() && target.is_finished()) {
            return received;
        }
        let frame = source.poll_frame().unwrap();
        if let Some(frame) = &frame {
            target.handle_frame(frame).unwrap();
        }
        while let Some(frame) = target.poll_frame().unwrap() {
            source.handle_frame(&frame).unwrap();
        }
    }
}

#[test]
fn an_interrupted_bootstrap_sends_less_than_one_percent_again() {
    for to_initiates in [true, false] {
        let (a, b) = (full(), store(2));
        let mut received = 0;
        for cut in [ROWS / 2, ROWS / 10, ROWS / 10, ROWS] {
            received += interrupted(&a, &b, to_initiates, cut as u64);
            // What has been joined has been learned, and does not lie about in the context in pieces.
            let context: Context = context(&b);
            assert_eq!(context.len(), rows(&b).len() as u128);
            assert!(
                context.interval_count() <= 4,
                "{} intervals",
                context.interval_count()
            );
        }
        assert!(
            received <= ROWS as u64 * 101 / 100,
            "{received} rows for {ROWS}"
        );
        assert_eq!(rows(&a), rows(&b));
        assert_eq!(context(&a), context(&b));
        assert_sound(&b);
    }
}

/// The process dies in the middle: what was made durable on the way is not sent again.
#[test]
fn a_crash_costs_little_of_a_bootstrap() {
    let a = full();
    let disk = MemoryDisk::new();
    let mut received = 0;
    for (name, cut) in [(2, ROWS / 2), (3, ROWS)] {
        let b = pump::open(disk.mount().unwrap(), name);
        received += interrupted(&a, &b, true, cut as u64);
        if cut == ROWS {
            assert_eq!(rows(&a), rows(&b));
        }
        disk.crash();
    }
    assert!(
        received <= ROWS as u64 * 102 / 100,
        "{received} rows for {ROWS}"
    );
    // The end of a session is durable.
    let b = pump::open(disk.mount().unwrap(), 4);
    assert_eq!((rows(&b), context(&b)), (rows(&a), context(&a)));
    assert_sound(&b);
}

/// Withdrawn because damaged, a row is missed by the context too, and comes with the next session.
#[test]
fn a_gap_in_the_context_is_filled() {
    let (a, b) = (store(1), store(2));
    pump::put(
        &a,
        (0u32..100).map(|n| RowKey::cell(&n.to_be_bytes())),
        b"x",
    );
    // The rows of the middle never arrived: as after a loss of rumours.
    let view = a.view().unwrap();
    let arrived = rows(&a)
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !(40..60).contains(at));
    let incoming = syncline_store::Incoming {
        rows: arrived.map(|(_, row)| row).collect(),
        ..syncline_store::Incoming::from_peer(view.context())
    };
    b.join(incoming, Durability::Memory).unwrap();
    assert_eq!(context(&b).interval_count(), 2);
    let (report, _) = sync(&b, &a, request(Strategy::Auto, 1));
    assert_eq!((report.rows_received, report.agreed), (20, true));
    assert_eq!(context(&b).interval_count(), 1);
}
