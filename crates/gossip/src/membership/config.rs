//! How often to probe, and how long to wait.

use core::num::{NonZeroU8, NonZeroUsize};
use core::time::Duration;

use super::packet::MAX_SWIM;

/// What a [`Membership`](super::Membership) is made with. All members should agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How often one member is probed: each in its turn, in random order. With few members, somebody probes each about once in a period.
    pub probe_period: Duration,
    /// How long an answer may take before others are asked to probe the member too. An answer counts until the period is over, so
    /// the period must be longer than the slowest round trip.
    pub probe_timeout: Duration,
    /// How long a suspect of a small cluster has to object. It grows with the logarithm of the cluster's size.
    pub suspicion: Duration,
    /// How often news of members are passed on, to three of them, while there are any.
    pub gossip_period: Duration,
    /// How often a table is compared with that of another member, chosen at random.
    pub exchange_period: Duration,
    /// How often those who are down, and seeds that are not there, are sought again. Once a second while nobody is there.
    pub seek_period: Duration,
    /// How soon after one renewal of the generation the next may follow: a renewal is a write to the disk, and anybody can cause it.
    pub renew_after: Duration,
    /// How long those who are down or have left are remembered. What is told of them after that is taken for news.
    pub forget_after: Duration,
    /// Members that are remembered at most, whatever their state.
    pub max_members: usize,
    /// Packets that one peer may send in a second. What exceeds it is dropped.
    pub max_packets: u32,
    /// Bytes that one peer may send in a second. What exceeds it is dropped.
    pub max_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The usual times and bounds: a member of five that dies is found out within about three seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            probe_period: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(200),
            suspicion: Duration::from_millis(1500),
            gossip_period: Duration::from_millis(200),
            exchange_period: Duration::from_secs(1),
            seek_period: Duration::from_secs(5),
            renew_after: Duration::from_secs(1),
            forget_after: Duration::from_secs(24 * 60 * 60),
            max_members: 16 << 10,
            max_packets: 500,
            max_bytes: 1 << 20,
        }
    }

    /// What the failure detector is to know with so many active members.
    pub(super) fn swim(&self, active: usize) -> foca::Config {
        let log2 = (active + 1).ilog2();
        foca::Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_timeout,
            num_indirect_probes: THREE,
            max_transmissions: transmissions(active),
            // The base times the decimal logarithm of the size, but at least once.
            suspect_to_down_after: self.suspicion * (3 * log2).max(10) / 10,
            // The table remembers, and bounds how many.
            remove_down_after: None,
            max_packet_size: PACKET,
            notify_down_members: true,
            // What follows is done here: exchanges of tables in place of announcements, and the search also when nobody is there.
            periodic_announce: None,
            periodic_announce_to_down_members: None,
            periodic_gossip: Some(foca::PeriodicParams {
                frequency: self.gossip_period,
                num_members: THREE,
            }),
        }
    }
}

const THREE: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");
const PACKET: NonZeroUsize = NonZeroUsize::new(MAX_SWIM).expect("packets have room");

/// How often a piece of news is sent on: about four times the decimal logarithm of the size, and a few more for small clusters.
pub(super) fn transmissions(active: usize) -> NonZeroU8 {
    let log2 = (active + 1).ilog2() as u8;
    NonZeroU8::MIN.saturating_add(2 + 5 * log2 / 4)
}
