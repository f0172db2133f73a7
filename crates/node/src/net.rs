//! What of a node reaches other nodes: all that the feature `net` adds. Without it, `offline.rs` takes its place.

mod accounts;
mod builder;
mod dial;
mod gone;
mod node;
mod peer_addr;
mod peers;
mod running;
mod schedule;
mod serve;
mod sync;

pub(crate) use self::accounts::Accounts;
pub use self::accounts::{Outcomes, PeerTraffic, SessionStatus};
pub(crate) use self::builder::Plan;
pub use self::peer_addr::PeerAddr;
pub use self::peers::PeerStatus;
pub(crate) use self::running::Running;
pub(crate) use self::serve::Doorkeeper;
pub use self::sync::{SyncError, SyncOptions, SyncReport};

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use syncline_sync::quic::{Endpoint, NodeId};

use self::builder::Settings;
use self::gone::Met;
use self::peers::Peers;
use crate::cluster::{Handle, Postage, Seeds};
use crate::trust::Authority;

/// What the parts of a node that reach other nodes share.
pub(crate) struct Network {
    settings: Settings,
    /// Where to listen, if anywhere.
    listen: Option<SocketAddr>,
    peers: Peers,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) postage: Postage,
    /// Its place in a cluster.
    pub(crate) seeds: Seeds,
    /// The way to the driver of the cluster, once there is one.
    pub(crate) cluster: OnceLock<Handle>,
    /// The nodes that are known to read what is said of carriers, so that it may go out with the greeting.
    acquainted: Mutex<BTreeSet<NodeId>>,
    /// For connections that we make, bound when it is first needed. It is not the one we listen on, whose address may be
    /// one that reaches nobody, such as loopback.
    dialler: Mutex<Option<Endpoint>>,
    /// Which carriers were met at which nodes.
    met: Met,
    /// The authority that the node was given, if it was.
    authority: Option<Arc<dyn Authority>>,
}

impl Network {
    fn new(
        mut settings: Settings,
        listen: Option<SocketAddr>,
        peers: Peers,
        seeds: Seeds,
        authority: Option<Arc<dyn Authority>>,
    ) -> Self {
        let postage = Postage::new(settings.budget, settings.peer_budget);
        if settings.budget.or(settings.peer_budget).is_some() {
            settings.limits.pacer = Some(Arc::new(postage.clone()));
        }
        Self {
            met: Met::default(),
            accounts: Arc::default(),
            authority,
            postage,
            settings,
            listen,
            peers,
            seeds,
            cluster: OnceLock::new(),
            acquainted: Mutex::default(),
            dialler: Mutex::default(),
        }
    }

    pub(crate) fn sync_every(&self) -> Duration {
        self.settings.sync_every
    }

    /// How far ahead of ours a clock may be; `u64::MAX` for any distance.
    pub(crate) fn max_clock_skew_ms(&self) -> u64 {
        let skew = self.settings.max_clock_skew.as_millis();
        match u64::try_from(skew) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(skew) => skew,
        }
    }

    pub(crate) fn authority(&self) -> Option<Arc<dyn Authority>> {
        self.authority.clone()
    }
}
