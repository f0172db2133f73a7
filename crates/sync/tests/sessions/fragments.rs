//! Rows too large for a frame.

use syncline_crdt::limits::{MAX_FIELD, MAX_KEY, MAX_PAYLOAD};
use syncline_crdt::{Dot, ReplicaId, Row, RowKey, Stamp};
use syncline_store::Durability;
use syncline_sync::frame::MAX_FRAME;
use syncline_sync::{Strategy, frame};

use crate::pump::{
    Pair, Random, assert_joined, config, context, join, put, request, rows, store, sync,
};

fn dot(counter: u64) -> Dot {
    Dot::new(ReplicaId::from_bytes([0; 16]), counter)
}

/// One key with many large values that nobody has decided between.
#[test]
fn a_row_larger_than_any_frame() {
    let key = || [RowKey::cell(b"large")];
    for by in [Strategy::Auto, Strategy::Walk, Strategy::Full] {
        let (a, b) = (store(1), store(2));
        for writer in 0..5 {
            let other = store(10 + writer);
            put(&other, key(), &vec![writer as u8; 5 << 20]);
            sync(&a, &other, request(Strategy::Auto, writer));
        }
        put(&b, key(), b"small");
        assert_eq!(rows(&a).values().map(|row| row.len()).sum::<usize>(), 5);
        let joined = join((&rows(&a), &context(&a)), (&rows(&b), &context(&b)));

        let mut pair = Pair::new(&a, &b, request(by, 1));
        assert!(pair.shuffle(&mut Random::new(1), 10_000, |_| {}));
        let (report, other) = pair.reports();
        assert!(report.agreed && other.agreed);
        assert_eq!((report.rows_sent, other.rows_received), (1, 1));
        assert_eq!(report.user_bytes_sent, other.user_bytes_received);
        assert_joined(&a, &b, &joined);
        assert!(pair.frames.iter().all(|frame| frame.len() <= MAX_FRAME));
        assert!(
            pair.frames
                .iter()
                .filter(|frame| frame.len() > 4 << 20)
                .count()
                >= 5
        );
        let total: usize = pair
            .frames
            .iter()
            .map(|frame| frame.len() + frame::LENGTH_PREFIX)
            .sum();
        assert_eq!(total as u64, report.bytes_total());
    }
}

/// The largest key, field and payload there can be cross, also behind a frame's worth of rows that take many times more
/// on the wire than in the store.
#[test]
fn the_largest_sibling() {
    // The last of all keys, and zeros take twice their length.
    let mut user_key = [0; MAX_KEY];
    user_key[0] = 0xff;
    let largest = RowKey::field(&user_key, &[0xff; MAX_FIELD]);
    let mut random = Random::new(1);
    let mut scattered: Vec<_> = (0..=u16::MAX)
        .map(|key| (key, random.next() >> 1))
        .collect();
    // They take six or seven bytes each in the store: nearly a whole batch, so that the largest row goes with them.
    scattered.truncate(config(1).batch_bytes / 7);
    scattered.sort_by_key(|(_, counter)| *counter);
    let seen = scattered.iter().map(|(_, counter)| dot(*counter)).collect();
    scattered.sort_unstable();
    let small = scattered.iter().map(|(key, counter)| {
        let stamp = Stamp::new(random.next() >> 40, 0);
        let row = Row::one(dot(*counter), stamp, vec![1]);
        (RowKey::cell(&key.to_be_bytes()), row)
    });
    let incoming = syncline_store::Incoming {
        rows: small.collect(),
        ..syncline_store::Incoming::from_peer(&seen)
    };
    for by in [Strategy::Auto, Strategy::Walk, Strategy::Full] {
        let (a, b) = (store(1), store(2));
        a.join(incoming.clone(), Durability::Memory).unwrap();
        put(&a, [largest.clone()], &vec![1; MAX_PAYLOAD - 1]);
        let (report, _) = sync(&a, &b, request(by, 1));
        assert!(report.agreed);
        assert_eq!(rows(&a), rows(&b));
    }
}
