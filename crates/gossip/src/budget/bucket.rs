//! A token bucket, exact to the nanosecond.

use core::time::Duration;

/// Bytes that may be sent. It fills at its rate up to what it holds, and may be overdrawn; what is owed is made up for first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// In bytes per second. Nothing: it is never empty.
    rate: Option<u64>,
    /// In bytes times nanoseconds per second, as is the level.
    capacity: i128,
    level: i128,
    as_of: Duration,
}

const SECOND: i128 = 1_000_000_000;

impl Bucket {
    /// A full one, that holds what its rate fills in `burst`.
    pub(super) fn new(rate: Option<u64>, burst: Duration) -> Self {
        let mut bucket = Self {
            rate: None,
            capacity: 0,
            level: 0,
            as_of: Duration::ZERO,
        };
        bucket.set_rate(rate, burst);
        bucket.level = bucket.capacity;
        bucket
    }

    pub(super) fn set_rate(&mut self, rate: Option<u64>, burst: Duration) {
        // A bucket that never fills would stop everything for ever.
        let rate = rate.map(|rate| rate.max(1));
        self.rate = rate;
        self.capacity = i128::from(rate.unwrap_or(0)) * nanos(burst);
        self.level = self.level.min(self.capacity);
    }

    fn level(&self, now: Duration) -> i128 {
        let elapsed = nanos(now.saturating_sub(self.as_of));
        let filled = i128::from(self.rate.unwrap_or(0)).saturating_mul(elapsed);
        self.level.saturating_add(filled).min(self.capacity)
    }

    pub(super) fn spend(&mut self, bytes: u64, now: Duration) {
        if self.rate.is_some() {
            self.level = self.level(now).saturating_sub(i128::from(bytes) * SECOND);
            self.as_of = self.as_of.max(now);
        }
    }

    /// How long until it holds anything.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let lacking = 1 - self.level(now);
        if lacking <= 0 {
            return Duration::ZERO;
        }
        let wait = (lacking + i128::from(rate) - 1) / i128::from(rate);
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.level(now) >= self.capacity
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}
