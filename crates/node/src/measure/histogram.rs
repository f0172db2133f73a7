//! How long things take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds: two or three for each power of ten, where commits and syncs of disks lie.
const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Counts times by how long they are. Recording one is two additions; there is no lock.
///
/// ```
/// use std::time::Duration;
/// use syncline::Histogram;
///
/// let histogram = Histogram::default();
/// histogram.record(Duration::from_micros(70));
/// histogram.record(Duration::from_secs(60));
/// let read = histogram.read();
/// assert_eq!(read.count(), 2);
/// assert_eq!(read.buckets[1], (Duration::from_micros(100), 1));
/// assert_eq!(read.longer, 1);
/// ```
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len()],
    longer: AtomicU64,
    sum_us: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The upper bound of each bucket, ascending, and how many times lay in it and in none before.
    pub buckets: Vec<(Duration, u64)>,
    /// How many were longer than the last bound.
    pub longer: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    /// Counts a time.
    pub fn record(&self, took: Duration) {
        self.record_each(took, 1);
    }

    /// Counts a time that several took together.
    pub fn record_each(&self, took: Duration, count: u64) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        let bucket = self.buckets.get(bucket).unwrap_or(&self.longer);
        bucket.fetch_add(count, Ordering::Relaxed);
        let sum = us.saturating_mul(count);
        self.sum_us.fetch_add(sum, Ordering::Relaxed);
    }

    /// What was counted until now. Times that are recorded meanwhile may be in a part of it.
    pub fn read(&self) -> Latencies {
        let bounds = BOUNDS_US.map(Duration::from_micros).into_iter();
        let counts = self.buckets.iter().map(|it| it.load(Ordering::Relaxed));
        Latencies {
            buckets: bounds.zip(counts).collect(),
            longer: self.longer.load(Ordering::Relaxed),
            sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)),
        }
    }
}

impl Latencies {
    /// How many times there were.
    pub fn count(&self) -> u64 {
        let within: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        within + self.longer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_a_bound_lies_within_it() {
        let histogram = Histogram::default();
        for us in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.record(Duration::from_micros(us));
        }
        let read = histogram.read();
        let count = |bucket: usize| read.buckets[bucket].1;
        assert_eq!((count(0), count(1), count(15)), (2, 1, 1));
        assert_eq!((read.longer, read.count()), (1, 5));
        assert_eq!(read.sum, Duration::from_micros(20_000_102));
    }
}
