//! What the server has done so far.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::client::lock;
use crate::request::Request;
use crate::table::{self, Command};

/// Counters, since the start or the last `CONFIG RESETSTAT`.
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Nanoseconds spent on commands.
    pub(crate) busy: AtomicU64,
    /// Publications of other nodes that there was no time for.
    pub(crate) missed: AtomicU64,
    /// How often keyspace notifications of what came from other nodes were passed over.
    pub(crate) untold: AtomicU64,
    /// Clients disconnected for what waited for them.
    pub(crate) dropped: AtomicU64,
    by_command: Box<[Calls]>,
    pub(crate) slow: SlowLog,
}

/// The buckets of a histogram: up to 1, 2, 4, … microseconds, the last without a bound.
pub(crate) const BUCKETS: usize = 32;

/// What became of one command.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) count: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) nanoseconds: AtomicU64,
    /// How many took so long.
    pub(crate) took: [AtomicU64; BUCKETS],
}

impl Calls {
    pub(crate) fn add(&self, nanoseconds: u64, has_failed: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.failed
            .fetch_add(u64::from(has_failed), Ordering::Relaxed);
        self.took[bucket(nanoseconds / 1000)].fetch_add(1, Ordering::Relaxed);
    }

    fn reset(&self) {
        let all = [&self.count, &self.failed, &self.nanoseconds];
        for number in all.into_iter().chain(&self.took) {
            number.store(0, Ordering::Relaxed);
        }
    }

    /// How many there were, and for each bound in microseconds at which that grows, how many took no longer.
    pub(crate) fn histogram(&self) -> (u64, Vec<(u64, u64)>) {
        let (mut sum, mut grown) = (0, Vec::new());
        for (at, took) in self.took.iter().enumerate() {
            let count = took.load(Ordering::Relaxed);
            if count > 0 {
                sum += count;
                grown.push((1 << at, sum));
            }
        }
        (sum, grown)
    }

    /// A time in microseconds that so many of a hundred did not exceed, as far as the buckets tell.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        let counts: Vec<u64> = self
            .took
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total as f64 * percent / 100.0).ceil() as u64;
        let mut sum = 0;
        let at = counts.iter().position(|count| {
            sum += count;
            sum >= wanted.max(1)
        });
        at.map_or(0, |at| 1 << at)
    }
}

/// The first bucket whose bound is no less.
fn bucket(microseconds: u64) -> usize {
    let bits = u64::BITS - microseconds.saturating_sub(1).leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            by_command: table::entries().map(|_| Calls::default()).collect(),
            slow: SlowLog::default(),
        }
    }
}

impl Stats {
    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    /// A command was executed.
    pub(crate) fn end(
        &self,
        command: &'static Command,
        request: &Request,
        has_failed: bool,
        began: Instant,
    ) {
        let took = began.elapsed();
        let spent = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.commands.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(spent, Ordering::Relaxed);
        self.failed
            .fetch_add(u64::from(has_failed), Ordering::Relaxed);
        self.by_command[command.entry().at].add(spent, has_failed);
        if self.slow.wants(took) {
            self.slow.add(request, took);
        }
    }

    pub(crate) fn of(&self, entry: &table::Entry) -> &Calls {
        &self.by_command[entry.at]
    }

    pub(crate) fn reset(&self) {
        for number in [
            &self.connections,
            &self.refused_connections,
            &self.commands,
            &self.failed,
            &self.bytes_in,
            &self.bytes_out,
            &self.busy,
            &self.missed,
            &self.untold,
            &self.dropped,
        ] {
            number.store(0, Ordering::Relaxed);
        }
        self.by_command.iter().for_each(Calls::reset);
    }
}

/// The slow requests of late: `SLOWLOG`.
pub(crate) struct SlowLog {
    /// In microseconds; nothing is slow if it is negative.
    slower_than: AtomicI64,
    most: AtomicUsize,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    next: u64,
    entries: VecDeque<Slow>,
}

/// One that was slow.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) id: u64,
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    /// What was asked for, not all of it if it was long.
    pub(crate) arguments: Vec<Bytes>,
}

/// Arguments that are kept of a slow request, and how much of each.
const SHOWN: (usize, usize) = (32, 128);

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            slower_than: AtomicI64::new(10_000),
            most: AtomicUsize::new(128),
            log: Mutex::default(),
        }
    }
}

impl SlowLog {
    pub(crate) fn set(&self, slower_than: i64, most: usize) {
        self.slower_than.store(slower_than, Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
        lock(&self.log).entries.truncate(most);
    }

    fn wants(&self, took: Duration) -> bool {
        let slower_than = self.slower_than.load(Ordering::Relaxed);
        u128::try_from(slower_than).is_ok_and(|slower_than| took.as_micros() >= slower_than)
    }

    fn add(&self, request: &Request, took: Duration) {
        let (most, longest) = SHOWN;
        let mut arguments: Vec<_> = request
            .from(0)
            .take(most)
            .map(
                |argument| match argument.len().checked_sub(longest).filter(|more| *more > 0) {
                    None => Bytes::copy_from_slice(argument),
                    Some(more) => {
                        let text = format!("... ({more} more bytes)");
                        [&argument[..longest], text.as_bytes()].concat().into()
                    }
                },
            )
            .collect();
        if request.len() > most {
            let more = request.len() - most + 1;
            arguments[most - 1] = format!("... ({more} more arguments)").into();
        }
        let mut log = lock(&self.log);
        let id = log.next;
        log.next += 1;
        log.entries.push_front(Slow {
            id,
            at: SystemTime::now(),
            took,
            arguments,
        });
        log.entries.truncate(self.most.load(Ordering::Relaxed));
    }

    /// The newest ones, so many at most.
    pub(crate) fn newest(&self, count: usize) -> Vec<Slow> {
        lock(&self.log)
            .entries
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.log).entries.len()
    }

    pub(crate) fn clear(&self) {
        lock(&self.log).entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_tells_about_how_long_it_took() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(bucket), [0, 0, 1, 2, 2, 3]);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        let calls = Calls::default();
        for _ in 0..99 {
            calls.add(3_000, false);
        }
        calls.add(1_000_000, true);
        assert_eq!(calls.percentile(50.0), 4);
        assert_eq!(calls.percentile(99.9), 1024);
        assert_eq!(calls.histogram(), (100, vec![(4, 99), (1 << 10, 100)]));
    }

    #[test]
    fn the_slow_log_is_bounded() {
        let log = SlowLog::default();
        log.set(0, 2);
        let long = vec![b'x'; 200];
        let request = Request::of([&b"set"[..], b"a", &long]);
        for _ in 0..3 {
            log.add(&request, Duration::from_millis(20));
        }
        let newest = log.newest(10);
        assert_eq!(newest.iter().map(|it| it.id).collect::<Vec<_>>(), [2, 1]);
        assert!(newest[0].arguments[2].ends_with(b"... (72 more bytes)"));
        log.set(-1, 2);
        assert!(!log.wants(Duration::from_secs(60)));
    }
}
