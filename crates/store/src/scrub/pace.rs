//! How fast a scrub goes.

use std::time::Duration;

/// How much a scrub reads in a second, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubRate {
    /// Rows, and other entries.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl ScrubRate {
    /// As fast as the disk gives it.
    pub const UNBOUNDED: Self = Self {
        entries: u64::MAX,
        bytes: u64::MAX,
    };
}

/// 50,000 entries and 4 MiB: a few per cent of a core and of a slow disk. A million rows of 100
/// bytes take a minute, a terabyte three days.
impl Default for ScrubRate {
    fn default() -> Self {
        Self {
            entries: 50_000,
            bytes: 4 << 20,
        }
    }
}

/// Says when the next step is due. Knows no clock: the time is passed in.
///
/// What a step read too much is made up for by a longer pause; a pause that was longer than asked
/// for is not made up for, so that after hours asleep nothing is read in a burst.
///
/// ```
/// use std::time::Duration;
/// use syncline_store::{Pace, ScrubRate};
///
/// let second = Duration::from_secs(1);
/// let mut pace = Pace::new(ScrubRate { entries: 100, bytes: 1 << 20 });
/// assert_eq!(pace.after(Duration::ZERO, 50, 10), second / 2, "50 of 100 entries a second");
/// assert_eq!(pace.after(second / 2, 10, 1 << 20), second, "a whole second's bytes");
/// assert_eq!(pace.after(5 * second, 0, 0), Duration::ZERO);
/// ```
#[derive(Debug, Clone)]
pub struct Pace {
    rate: ScrubRate,
    due: Duration,
}

impl Pace {
    /// At this rate. A rate of nothing counts as one of 1.
    pub fn new(rate: ScrubRate) -> Self {
        Self {
            rate,
            due: Duration::ZERO,
        }
    }

    /// How long to pause after a step that has ended `now` and read so much. `now` is by any clock
    /// that only goes forward.
    pub fn after(&mut self, now: Duration, entries: u64, bytes: u64) -> Duration {
        let time = |read: u64, rate: u64| {
            let nanos = u128::from(read) * 1_000_000_000 / u128::from(rate.max(1));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        let takes = time(entries, self.rate.entries).max(time(bytes, self.rate.bytes));
        self.due = self.due.max(now).saturating_add(takes);
        self.due - now
    }

    /// How much to read in one step: what a twentieth of a second allows, so that pauses are many
    /// and short, within bounds that keep a step short by itself.
    pub fn step(&self) -> (usize, usize) {
        let part = |rate: u64, least: u64, most: u64| (rate / 20).clamp(least, most) as usize;
        (
            part(self.rate.entries, 1, 1024),
            part(self.rate.bytes, 1, 1 << 20),
        )
    }
}
