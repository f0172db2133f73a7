//! What is to be simulated.

use std::time::Duration;

use syncline_gossip::{Config, Strategy};

use crate::Network;

/// A run, from which everything follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Nodes, at least 2.
    pub nodes: u32,
    /// How they spread rumours.
    pub gossip: Config,
    /// What lies between them.
    pub network: Network,
    /// Of everything that is random.
    pub seed: u64,
    /// Nodes that write in turn. One is the same for the whole run; of several, others are drawn in each round.
    pub writers: u32,
    /// Rumours before measuring begins.
    pub warm_up: u32,
    /// Rumours that are measured.
    pub rumours: u32,
    /// Time from one rumour to the next.
    pub interval: Duration,
    /// Bytes of a rumour's payload.
    pub payload: usize,
    /// How long the last rumours are waited for.
    pub settle: Duration,
    /// What nodes know of who is a member.
    pub membership: Membership,
    /// Nodes that are not there from the beginning.
    pub joins: Vec<Join>,
    /// Nodes that fail.
    pub crashes: Vec<Crash>,
    /// Times in which some nodes cannot talk to the others.
    pub cuts: Vec<Cut>,
    /// Whether nodes have stores: then rumours are the deltas of transactions, and sessions bring what rumours do not.
    pub stores: Option<Stores>,
    /// By which share of it the timers of a node may run too fast or too slow.
    pub drift: f64,
    /// Bytes that a node allows itself to send in a second, if there is a limit: what is more important goes first, the rest waits.
    pub budget: Option<u64>,
}

/// What nodes know of who is a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Membership {
    /// All have one view, which is right but for the time until failures are noticed, and no messages are sent for it.
    #[default]
    Shared,
    /// Each has its own, from a [membership machine](syncline_gossip::membership): joins by seeds, finds out who has failed, and seeks those again. With
    /// stores, sessions begin when a node's own schedule says so, and standings are told.
    Own,
}

/// What nodes do with their stores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stores {
    /// How often a node begins a session: with a member chosen uniformly, a half more or less, where the view of the members is shared. With its own
    /// view, as [`Pace::every`](syncline_gossip::schedule::Pace::every) says, which is what a node does.
    pub sync_every: Duration,
    /// How far the clock of a node may be ahead or behind.
    pub skew: Duration,
}

/// A part of the nodes starts at one instant in mid-run, with empty stores, and stays. The first three nodes, which are the seeds of all others, are never among them.
/// The time is since the first measured rumour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Join {
    /// When.
    pub at: Duration,
    /// Which part, from 0 to less than 1.
    pub share: f64,
}

/// A part of the nodes fails at one instant, and maybe returns. All times are since the first measured rumour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crash {
    /// When.
    pub at: Duration,
    /// Which part, from 0 to less than 1.
    pub share: f64,
    /// After how long they are back, with what they had heard of; never, if nothing.
    pub lasts: Option<Duration>,
    /// After how long the others are told who failed, where they share a view, and only there. Who returns is known at once.
    pub noticed_after: Option<Duration>,
    /// Whether those who return are reached at another address than before. Only where views are not shared: a shared one has no addresses.
    pub moves: bool,
    /// Whether they say goodbye. Only where views are not shared: otherwise there is nobody to say it to.
    pub leaves: bool,
}

impl Crash {
    /// A part of the nodes is gone for good just before the first measured rumour; the others are told after 5 seconds.
    #[must_use]
    pub const fn for_good(share: f64) -> Self {
        Self {
            at: Duration::ZERO,
            share,
            lasts: None,
            noticed_after: Some(Duration::from_secs(5)),
            moves: false,
            leaves: false,
        }
    }

    /// Whether all that it says means something where nodes know of each other in this way.
    fn check(&self, membership: Membership) -> Result<(), ScenarioError> {
        match (membership, self.noticed_after) {
            (Membership::Shared, _) if self.moves || self.leaves => Err(ScenarioError::SharedView),
            (Membership::Shared, None) => Err(ScenarioError::Unnoticed),
            (Membership::Own, Some(_)) => Err(ScenarioError::NoticedByThemselves),
            _ if self.moves && self.lasts.is_none() => Err(ScenarioError::MovesForGood),
            _ => Ok(()),
        }
    }
}

/// A time in which no message passes between two sides, though all count each other as members. Since the first measured rumour.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// When it begins.
    pub from: Duration,
    /// When it is healed.
    pub until: Duration,
    /// Who is on the one side; all others are on the other.
    pub side: Side,
}

/// Some of the nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// About such a share of them, drawn at random.
    Share(f64),
    /// Those of these regions.
    Regions(Vec<u32>),
}

/// Nodes that all are told of when they start: the first so many.
pub(crate) const SEEDS: u32 = 3;

/// What nodes are given to learn of each other: a thousand need less.
const JOINING: Duration = Duration::from_secs(18);

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Nobody to talk to.
    #[error("a cluster has at least 2 nodes")]
    TooFewNodes,
    /// Nobody to write, or more than there are.
    #[error("there must be at least one writer, and no more writers than nodes")]
    Writers,
    /// Not a share.
    #[error("losses, doubling, reordering, crashes and drift are shares, from 0 to less than 1")]
    Share,
    /// Nobody, or too few, would be left.
    #[error("fewer than 2 nodes would survive")]
    TooFewSurvivors,
    /// Newcomers have to find somebody.
    #[error(
        "nodes that join in mid-run can only be nodes that do not fail for good, and none of the first 3"
    )]
    TooManyJoin,
    /// Some distances between regions are missing, or there are too many.
    #[error("there must be a distance from each region to each")]
    Regions,
    /// Where there is one view of the members, nobody has an address, and nobody listens to a goodbye.
    #[error("nodes that crash can move or leave only if each has a membership of its own")]
    SharedView,
    /// Somebody has to say when a shared view changes.
    #[error(
        "where nodes share one view of the members, a crash has to say after how long it is noticed"
    )]
    Unnoticed,
    /// Nodes with memberships of their own find out who has failed.
    #[error(
        "nodes with memberships of their own notice a crash by themselves, and nobody can say when"
    )]
    NoticedByThemselves,
    /// Who never comes back is reached nowhere.
    #[error("nodes that move have to come back")]
    MovesForGood,
    /// A store failed, in the middle of the run.
    #[error("a simulated store failed: {0}")]
    Store(String),
}

impl Scenario {
    /// 1,000 nodes on links of 10 to 50 ms, without losses, one writer.
    #[must_use]
    pub const fn new(strategy: Strategy) -> Self {
        Self {
            nodes: 1_000,
            gossip: Config::new(strategy),
            network: Network::new(),
            seed: 1,
            writers: 1,
            warm_up: 30,
            rumours: 30,
            interval: Duration::from_secs(1),
            payload: 128,
            settle: Duration::from_secs(30),
            membership: Membership::Shared,
            joins: Vec::new(),
            crashes: Vec::new(),
            cuts: Vec::new(),
            stores: None,
            drift: 0.0,
            budget: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let is_share = |share: f64| (0.0..1.0).contains(&share);
        let mut shares = self.network.shares().to_vec();
        shares.extend(self.crashes.iter().map(|crash| crash.share));
        shares.extend(self.joins.iter().map(|join| join.share));
        shares.push(self.drift);
        if self.nodes < 2 {
            Err(ScenarioError::TooFewNodes)
        } else if !(1..=self.nodes).contains(&self.writers) {
            Err(ScenarioError::Writers)
        } else if !shares.into_iter().all(is_share) {
            Err(ScenarioError::Share)
        } else if self.survivors() < 2 {
            Err(ScenarioError::TooFewSurvivors)
        } else if self.newcomers() > self.survivors().saturating_sub(SEEDS) {
            Err(ScenarioError::TooManyJoin)
        } else if !self.network.is_square() {
            Err(ScenarioError::Regions)
        } else {
            let mut crashes = self.crashes.iter();
            crashes.try_for_each(|crash| crash.check(self.membership))
        }
    }

    /// The share of all nodes that pushing without pulls reaches, if a rumour takes off: the root s > 0 of s = 1 − exp(−f·s), where f is
    /// the fanout of which losses have been taken. Nothing for other strategies.
    #[must_use]
    pub fn expected_reach(&self) -> Option<f64> {
        let Strategy::Push { fanout } = self.gossip.strategy else {
            return None;
        };
        let fanout = fanout as f64 * (1.0 - self.network.loss);
        // From above, the iteration falls to the greatest root.
        Some((0..1_000).fold(1.0, |share: f64, _| 1.0 - (-fanout * share).exp()))
    }

    /// How many nodes are there to the end.
    pub(crate) fn survivors(&self) -> u32 {
        let gone = self.crashes.iter().filter(|crash| crash.lasts.is_none());
        let gone: u32 = gone.map(|crash| self.part(crash.share)).sum();
        self.nodes.saturating_sub(gone)
    }

    /// How many nodes are not there from the beginning.
    fn newcomers(&self) -> u32 {
        self.joins.iter().map(|join| self.part(join.share)).sum()
    }

    /// So many nodes are such a share.
    pub(crate) fn part(&self, share: f64) -> u32 {
        (f64::from(self.nodes) * share).round() as u32
    }

    /// From when on nothing more happens of itself: all is written, all cuts are healed, who joins is there, and who returns is back.
    pub(crate) fn quiet_from(&self) -> Duration {
        let written = self.interval * self.rumours.saturating_sub(1);
        let healed = self.cuts.iter().map(|cut| cut.until);
        let back = self
            .crashes
            .iter()
            .map(|it| it.at + it.lasts.unwrap_or_default());
        let joined = self.joins.iter().map(|join| join.at);
        self.begins()
            + healed
                .chain(back)
                .chain(joined)
                .fold(written, Duration::max)
    }

    /// When measuring begins: after time to find members and neighbours in, and the warm-up.
    pub(crate) fn begins(&self) -> Duration {
        let joining = match self.membership {
            Membership::Shared => Duration::ZERO,
            Membership::Own => JOINING,
        };
        joining + self.gossip.period * 2 + self.interval * self.warm_up
    }
}
