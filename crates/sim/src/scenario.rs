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
    /// Whether nodes fail.
    pub kill: Option<Kill>,
}

/// A part of the nodes fails at one instant, after the warm-up, just before the first measured rumour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kill {
    /// Which part, from 0 to less than 1.
    pub share: f64,
    /// After how long the others are told who failed.
    pub noticed_after: Duration,
}

/// Why a scenario cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Nobody to talk to.
    #[error("a cluster has at least 2 nodes")]
    TooFewNodes,
    /// Nobody to write, or more than there are.
    #[error("there must be at least one writer, and no more writers than nodes")]
    Writers,
    /// Not a share.
    #[error("losses, doubling, reordering and deaths are shares, from 0 to less than 1")]
    Share,
    /// Nobody, or too few, would be left.
    #[error("fewer than 2 nodes would survive")]
    TooFewSurvivors,
    /// Some distances between regions are missing, or there are too many.
    #[error("there must be a distance from each region to each")]
    Regions,
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
            kill: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let is_share = |share: f64| (0.0..1.0).contains(&share);
        let killed = self.kill.map_or(0.0, |kill| kill.share);
        if self.nodes < 2 {
            Err(ScenarioError::TooFewNodes)
        } else if !(1..=self.nodes).contains(&self.writers) {
            Err(ScenarioError::Writers)
        } else if !self.network.shares().into_iter().all(is_share) || !is_share(killed) {
            Err(ScenarioError::Share)
        } else if self.survivors() < 2 {
            Err(ScenarioError::TooFewSurvivors)
        } else if !self.network.is_square() {
            Err(ScenarioError::Regions)
        } else {
            Ok(())
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
        let share = self.kill.map_or(0.0, |kill| kill.share);
        self.nodes - (f64::from(self.nodes) * share).round() as u32
    }
}
