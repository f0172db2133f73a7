//! What the server has done, as whoever watches it counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use syncline::Latencies;

use crate::pubsub::Topic;
use crate::server::Shared;
use crate::stats::{BUCKETS, Calls};
use crate::table;

/// Reads what a [`Server`](crate::Server) has done. It does not keep it.
#[derive(Clone)]
pub struct Meter(Weak<Shared>);

/// What a server has done since it was started, or clients have reset the statistics (`CONFIG RESETSTAT`), and what there is now.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Readings {
    /// Clients that are connected.
    pub clients: u64,
    /// As many there may be.
    pub max_clients: u64,
    /// Those of them that have subscribed to something.
    pub subscribers: u64,
    /// Those of them that wait in a blocking command.
    pub blocked: u64,
    /// Channels, patterns and shard channels that are subscribed to.
    pub channels: u64,
    /// Connections that were let in.
    pub connections: u64,
    /// Connections that were not, as there were too many.
    pub refused: u64,
    /// Clients that were disconnected for what waited for them.
    pub dropped: u64,
    /// Bytes that came from clients.
    pub bytes_in: u64,
    /// Bytes that went to them.
    pub bytes_out: u64,
    /// Publications of other nodes that there was no time for.
    pub publications_missed: u64,
    /// How often keyspace notifications of what came from other nodes were passed over.
    pub notifications_missed: u64,
    /// Commands, by their families.
    pub families: Vec<FamilyReadings>,
}

/// What became of the commands of a family.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FamilyReadings {
    /// As `COMMAND DOCS` calls the group.
    pub name: &'static str,
    /// Replies that were no errors.
    pub done: u64,
    /// Replies that were.
    pub failed: u64,
    /// How long they took, what they waited for included.
    pub took: Latencies,
}

impl Meter {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// What there is to be read; `None` once the server is gone. O(n) for n clients.
    pub fn read(&self) -> Option<Readings> {
        let shared = self.0.upgrade()?;
        let (stats, clients) = (&shared.stats, shared.clients.all());
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let subscribers = clients.iter().filter(|it| it.subscriptions() > 0);
        let topics = [Topic::Channel, Topic::Pattern, Topic::Shard];
        let channels = topics.map(|topic| shared.pubsub.len(topic) as u64);
        Some(Readings {
            clients: clients.len() as u64,
            max_clients: shared.settings.max_clients() as u64,
            subscribers: subscribers.count() as u64,
            blocked: clients.iter().filter(|it| it.is_blocked()).count() as u64,
            channels: channels.iter().sum(),
            connections: of(&stats.connections),
            refused: of(&stats.refused_connections),
            dropped: of(&stats.dropped),
            bytes_in: of(&stats.bytes_in),
            bytes_out: of(&stats.bytes_out),
            publications_missed: of(&stats.missed),
            notifications_missed: of(&stats.untold),
            families: families(&shared),
        })
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

fn families(shared: &Shared) -> Vec<FamilyReadings> {
    let mut families = BTreeMap::new();
    for entry in table::entries() {
        let family = families.entry(entry.group).or_insert(FamilyReadings {
            name: entry.group.name(),
            took: Latencies {
                buckets: BOUNDS.map(|bound| (bound, 0)).to_vec(),
                ..Latencies::default()
            },
            ..FamilyReadings::default()
        });
        add(shared.stats.of(entry), family);
    }
    families.into_values().collect()
}

/// Bounds of a family's histogram: 4 times as long each, from 1 microsecond to 16 seconds.
const BOUNDS: [Duration; 13] = {
    let mut bounds = [Duration::ZERO; 13];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = Duration::from_micros(1 << (2 * at));
        at += 1;
    }
    bounds
};

fn add(calls: &Calls, family: &mut FamilyReadings) {
    let count = calls.count.load(Ordering::Relaxed);
    let failed = calls.failed.load(Ordering::Relaxed);
    family.failed += failed;
    family.done += count.saturating_sub(failed);
    family.took.sum += Duration::from_nanos(calls.nanoseconds.load(Ordering::Relaxed));
    for (at, took) in calls.took.iter().enumerate().take(BUCKETS) {
        let took = took.load(Ordering::Relaxed);
        // The first is up to 1 microsecond, and each after it twice as long.
        match family.took.buckets.get_mut(at.div_ceil(2)) {
            Some((_, count)) => *count += took,
            None => family.took.longer += took,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_in_the_buckets_that_they_belong_to() {
        let calls = Calls::default();
        // Parts of a microsecond do not count.
        for nanoseconds in [
            500,
            1_000,
            1_999,
            4_000,
            5_000,
            16_777_216_000,
            40_000_000_000,
        ] {
            calls.add(nanoseconds, nanoseconds == 500);
        }
        let mut family = FamilyReadings {
            took: Latencies {
                buckets: BOUNDS.map(|bound| (bound, 0)).to_vec(),
                ..Latencies::default()
            },
            ..FamilyReadings::default()
        };
        add(&calls, &mut family);
        assert_eq!((family.done, family.failed), (6, 1));
        let within = |at: usize| family.took.buckets[at].1;
        assert_eq!([within(0), within(1), within(2), within(12)], [3, 1, 1, 1]);
        assert_eq!(family.took.longer, 1);
        assert_eq!(family.took.count(), 7);
        let most = BOUNDS[12];
        assert_eq!(most, Duration::from_micros(16_777_216));
    }
}
