//! Rows too large for a frame.

use syncline_crdt::RowKey;
use syncline_sync::frame::MAX_FRAME;
use syncline_sync::{Strategy, frame};

use crate::pump::{Pair, Random, assert_joined, context, join, put, request, rows, store, sync};

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

/// The largest key, field and value there can be fit one frame.
#[test]
fn the_largest_sibling() {
    let (a, b) = (store(1), store(2));
    let largest = RowKey::field(&vec![0; 64 << 10], &vec![7; 64 << 10]);
    put(&a, [largest], &vec![1; (16 << 20) - 1]);
    let (report, _) = sync(&a, &b, request(Strategy::Auto, 1));
    assert!(report.agreed);
    assert_eq!(rows(&a), rows(&b));
}
