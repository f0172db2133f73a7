//! What a builder is told of other nodes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use syncline_sync::quic::Limits;

use super::Network;
use super::peer_addr::PeerAddr;
use super::peers::Peers;
use crate::builder::{Builder, Trust};
use crate::cluster::Seeds;
use crate::start_error::StartError;
use crate::trust::{Authority, Cluster};

/// What a builder was told of other nodes.
#[derive(Default)]
pub(crate) struct Plan {
    listen: Option<String>,
    peers: Vec<PeerAddr>,
    pub(crate) seeds: Seeds,
    settings: Settings,
    authority: Option<Arc<dyn Authority>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A frame of a session, of which some may be waiting, has to go out within seconds.
const LEAST_BUDGET: u64 = 64 << 10;

/// How peers are treated.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) sync_every: Duration,
    pub(super) max_clock_skew: Duration,
    pub(super) limits: Limits,
    pub(super) budget: Option<u64>,
    pub(super) peer_budget: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_every: Duration::from_secs(10),
            max_clock_skew: Duration::from_secs(60),
            limits: Limits::default(),
            budget: None,
            peer_budget: None,
        }
    }
}

impl Plan {
    pub(crate) async fn network(self) -> Result<Network, StartError> {
        let listen = match &self.listen {
            Some(address) => Some(resolve(address).await?),
            None => None,
        };
        if listen.is_none() && !self.seeds.join.is_empty() {
            return Err(StartError::Unreachable);
        }
        let mut seeds = self.seeds;
        seeds.resolve().await?;
        let peers = Peers::new(self.peers);
        Ok(Network::new(
            self.settings,
            listen,
            peers,
            seeds,
            self.authority,
        ))
    }
}

/// The node among others (feature `net`).
impl Builder {
    /// Makes the node a member of this cluster under an identity of its own that is kept nowhere: for nodes in memory,
    /// and tests.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.trust = Some(match cluster.admit() {
            Ok(membership) => Trust::Membership(Box::new(membership)),
            Err(error) => Trust::Refused(error),
        });
        self
    }

    /// Lets the node decide on petitions with this authority, in place of the one in its data directory, if any; the lists of who was
    /// invited and who has come are kept in the data directory all the same.
    pub fn authority(mut self, authority: Arc<dyn Authority>) -> Self {
        self.plan.authority = Some(authority);
        self
    }

    /// Lets peers connect to this address, such as `0.0.0.0:7400`; port 0 takes a free one, see
    /// [`Node::local_addr`](crate::Node::local_addr). Without it the node only ever connects by itself.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.plan.listen = Some(address.into());
        self
    }

    /// Syncs with this peer from the start, and then at intervals; may be called again for more peers.
    pub fn peer(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.plan.peers.push(peer.into());
        self
    }

    /// How long to wait from one sync with a peer of the schedule to the next, give or take a tenth. Default 10 s.
    ///
    /// A peer that fails is tried again after the same time, then after twice as long, up to five minutes.
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.plan.settings.sync_every = interval;
        self
    }

    /// What peers are granted in memory and patience; see [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.settings.limits = limits;
        self
    }

    /// The bytes that the node sends in a second at most, on average over a second or so, to all peers together; at least 64 KiB. Default
    /// as many as there are.
    ///
    /// What matters more goes first: news of the members, then writes, then what was missed, and last whole namespaces. Counted are gossip and what
    /// sessions send, without the few percent that the transport adds.
    pub fn budget(mut self, bytes_per_second: u64) -> Self {
        self.plan.settings.budget = Some(bytes_per_second.max(LEAST_BUDGET));
        self
    }

    /// As [`budget`](Builder::budget), for each peer.
    pub fn peer_budget(mut self, bytes_per_second: u64) -> Self {
        self.plan.settings.peer_budget = Some(bytes_per_second.max(LEAST_BUDGET));
        self
    }

    /// How far a peer's clock may be from ours before it is refused; zero for any distance. Default 60 s.
    pub fn max_clock_skew(mut self, skew: Duration) -> Self {
        self.plan.settings.max_clock_skew = skew;
        self
    }
}

async fn resolve(address: &str) -> Result<SocketAddr, StartError> {
    let unusable = |reason: String| StartError::Listen {
        address: address.to_owned(),
        reason,
    };
    let mut found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| unusable(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| unusable("the name has no address".to_owned()))
}
