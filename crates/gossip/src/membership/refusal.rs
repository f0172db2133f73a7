//! What is not listened to, and why.

use alloc::collections::BTreeMap;
use core::time::Duration;

use syncline_crdt::DecodeError;

use super::card::CardError;
use super::config::Config;
use super::identity::MemberId;
use super::packet::MAX_PACKET;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal<N> {
    /// The peer sends more than [`max_packets`](Config::max_packets) or [`max_bytes`](Config::max_bytes) in a second.
    #[error("the peer floods: more than {packets} packets or {bytes} bytes within a second")]
    Flood {
        /// How many packets are taken.
        packets: u32,
        /// How many bytes are taken.
        bytes: u32,
    },
    /// The packet is larger than any.
    #[error("a membership packet of {0} bytes, more than {MAX_PACKET}")]
    TooLarge(usize),
    /// The bytes are no packet.
    #[error("a membership packet cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The packet claims to come from another member than it does.
    #[error("the peer speaks in the name of member {claimed:?}")]
    Forged {
        /// In whose name.
        claimed: N,
    },
    /// The packet comes from a member of our own name: two processes share a key.
    #[error("a peer has the same identity as this node: is the same key in use twice?")]
    Ourselves,
    /// The packet can be read, but means nothing to the failure detector.
    #[error("a membership packet that makes no sense here")]
    Senseless,
    /// So many members are known already that there is no room for another.
    #[error("too many members to take in another")]
    Full,
    /// Tables are exchanged among members, and the peer is none that is held to be there.
    #[error("the peer is no member that is held to be alive")]
    Stranger,
    /// The card that this node was given exceeds its bounds. The one before stays.
    #[error(transparent)]
    Card(#[from] CardError),
}

/// How often what has been refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Packets beyond what a peer may send in a second.
    pub flood: u64,
    /// Packets that are too large, cannot be read, or make no sense.
    pub malformed: u64,
    /// Packets in another's name, or in ours.
    pub forged: u64,
    /// News of members for whom there is no room, and packets of such.
    pub full: u64,
    /// Packets of those who are no members.
    pub stranger: u64,
    /// Complaints of the failure detector about its own timers: a defect if it is not 0.
    pub faults: u64,
}

impl Refusals {
    pub(super) fn count<N>(&mut self, why: &Refusal<N>) {
        let counter = match why {
            Refusal::Flood { .. } => &mut self.flood,
            Refusal::TooLarge(_) | Refusal::Malformed(_) | Refusal::Senseless => {
                &mut self.malformed
            }
            Refusal::Forged { .. } | Refusal::Ourselves => &mut self.forged,
            Refusal::Stranger => &mut self.stranger,
            // Counted where it is found, for each member that there is no room for.
            Refusal::Full | Refusal::Card(_) => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// What each peer has sent in the present second.
#[derive(Clone, Debug)]
pub(super) struct Window<N> {
    began: Duration,
    /// Packets and bytes of those heard from in this second.
    sent: BTreeMap<N, (u32, u32)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Taken,
    /// It is the first that is too much.
    Exceeds,
    /// So was one before, in the same second.
    Flood,
}

impl<N: MemberId> Window<N> {
    const LENGTH: Duration = Duration::from_secs(1);

    pub(super) const fn new() -> Self {
        Self {
            began: Duration::ZERO,
            sent: BTreeMap::new(),
        }
    }

    pub(super) fn admit(
        &mut self,
        from: N,
        bytes: usize,
        now: Duration,
        config: &Config,
    ) -> Admission {
        if now.saturating_sub(self.began) >= Self::LENGTH {
            self.began = now;
            self.sent.clear();
        }
        if self.sent.len() >= config.max_members && !self.sent.contains_key(&from) {
            return Admission::Flood;
        }
        let (packets, total) = self.sent.entry(from).or_default();
        let fits =
            |packets: u32, total: u32| packets <= config.max_packets && total <= config.max_bytes;
        let was_fine = fits(*packets, *total);
        *packets = packets.saturating_add(1);
        *total = total.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        match (fits(*packets, *total), was_fine) {
            (true, _) => Admission::Taken,
            (false, true) => Admission::Exceeds,
            (false, false) => Admission::Flood,
        }
    }
}
