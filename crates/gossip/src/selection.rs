//! Whom to talk to: anybody, so that news mix, or somebody near, so that it costs little, and never only those.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use rand::Rng;

use crate::members::Members;
use crate::membership::Card;

/// The peers that there are, with what talking to each costs.
///
/// A choice [for cost](Self::near) draws a few peers uniformly and takes the cheapest of them (the power of d choices; Mitzenmacher 2001), but one choice in
/// [`MIXING`](Self::MIXING) is uniform. So of n peers the one of rank r by cost, 1 for the cheapest, is chosen with probability
/// `(1 - 1/m) ((n - r + 1)^d - (n - r)^d) / n^d + 1/(m n)` for m = [`MIXING`](Self::MIXING), d = [`DRAWN`](Self::DRAWN): the cheap ones often, and each
/// at least once in m n times. Nobody is isolated by being far, and what a peer says of itself cannot attract more than a share of the choices.
///
/// ```
/// use core::time::Duration;
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use syncline_gossip::{Cost, Selection};
///
/// let mut selection = Selection::new();
/// selection.set("next door", Cost { shared: 2, ..Cost::default() });
/// selection.set("overseas", Cost { shared: 2, is_other_zone: true, ..Cost::default() });
/// selection.measured("overseas", Duration::from_millis(140));
/// let mut random = ChaCha8Rng::seed_from_u64(1);
/// let chosen: Vec<_> = (0..100).filter_map(|_| selection.near(&mut random, |_| true)).collect();
/// let near = chosen.iter().filter(|peer| **peer == "next door").count();
/// assert!(near > 70 && near < 100);
/// ```
#[derive(Clone, Debug)]
pub struct Selection<N> {
    peers: Members<N>,
    costs: BTreeMap<N, Cost>,
}

/// What is known of the way to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Whether it is in another zone than this node.
    pub is_other_zone: bool,
    /// How many namespaces it has in common with this node. A peer with none is only talked to about members.
    pub shared: u32,
    /// The round-trip time, as it was measured lately.
    pub round_trip: Option<Duration>,
}

impl Cost {
    /// What is taken for a round-trip time that nobody has measured, within a zone and between two.
    const ASSUMED: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

    /// What two members' cards say of the way between them.
    #[must_use]
    pub fn between(ours: &Card, theirs: &Card) -> Self {
        let shared = ours.namespaces.intersection(&theirs.namespaces).count();
        Self {
            is_other_zone: ours.zone != theirs.zone,
            shared: u32::try_from(shared).unwrap_or(u32::MAX),
            round_trip: None,
        }
    }

    /// In what order peers are preferred: those of our own zone, whose traffic is what operators call cheap, then by the time that it takes for
    /// each namespace that can be talked about.
    fn rank(&self) -> (bool, u128) {
        let (near, far) = Self::ASSUMED;
        let assumed = if self.is_other_zone { far } else { near };
        let time = self.round_trip.unwrap_or(assumed);
        let shared = u128::from(self.shared.max(1));
        (self.is_other_zone, time.as_nanos() / shared)
    }
}

impl<N: Copy + Ord> Default for Selection<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Copy + Ord> Selection<N> {
    /// One choice for cost in so many is uniform.
    pub const MIXING: u32 = 4;
    /// Peers drawn for one choice for cost.
    pub const DRAWN: usize = 4;
    /// Neighbours that are chosen uniformly in any case. Graphs in which each node links to two or more others at random are connected with high
    /// probability (Fenner and Frieze 1982).
    pub const LEAST_MIXED: usize = 3;

    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self {
            peers: Members::new(),
            costs: BTreeMap::new(),
        }
    }

    /// A peer is there, or what is known of it has changed. A round-trip time that was measured is kept if none is given.
    pub fn set(&mut self, peer: N, cost: Cost) {
        self.peers.insert(peer);
        let before = self.costs.insert(peer, cost);
        if let Some(known) = self.costs.get_mut(&peer) {
            known.round_trip = known.round_trip.or(before.and_then(|it| it.round_trip));
        }
    }

    /// A peer has gone.
    pub fn remove(&mut self, peer: N) {
        self.peers.remove(peer);
        self.costs.remove(&peer);
    }

    /// A round-trip time was measured. One in eight of it goes into what is known, as TCP does it (RFC 6298).
    pub fn measured(&mut self, peer: N, round_trip: Duration) {
        if let Some(cost) = self.costs.get_mut(&peer) {
            let before = cost.round_trip.unwrap_or(round_trip);
            cost.round_trip = Some((before * 7 + round_trip) / 8);
        }
    }

    /// What is known of a peer.
    #[must_use]
    pub fn cost(&self, peer: N) -> Option<&Cost> {
        self.costs.get(&peer)
    }

    /// How many peers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// One of those that are wanted, each as likely as any other. O(1), or O(n) where hardly any are wanted.
    pub fn uniform(&self, random: &mut impl Rng, is_wanted: impl Fn(N) -> bool) -> Option<N> {
        let found = self.peers.choose(1, random, &is_wanted).pop();
        found.or_else(|| {
            let wanted = self.costs.keys().copied().filter(|it| is_wanted(*it));
            let wanted: Vec<N> = wanted.collect();
            let last = wanted.len().checked_sub(1)?;
            wanted.get(random.random_range(0..=last)).copied()
        })
    }

    /// One of those that are wanted, a cheap one rather than a dear one.
    pub fn near(&self, random: &mut impl Rng, is_wanted: impl Fn(N) -> bool) -> Option<N> {
        if random.random_ratio(1, Self::MIXING) {
            return self.uniform(random, is_wanted);
        }
        let drawn = (0..Self::DRAWN).filter_map(|_| self.uniform(random, &is_wanted));
        drawn.min_by_key(|peer| (self.costs.get(peer).map(Cost::rank), *peer))
    }

    /// So many different ones to have lasting links with: half of them for cost, and uniform ones, at least [`LEAST_MIXED`](Self::LEAST_MIXED), so that
    /// the links of all nodes together hold all of them together.
    pub fn neighbours(&self, count: usize, random: &mut impl Rng) -> Vec<N> {
        let mixed = (count / 2).max(Self::LEAST_MIXED).min(count);
        let mut chosen = self.peers.choose(mixed, random, |_| true);
        while chosen.len() < count.min(self.len()) {
            let near = self.near(random, |peer| !chosen.contains(&peer));
            let Some(peer) = near else { break };
            chosen.push(peer);
        }
        chosen
    }
}
