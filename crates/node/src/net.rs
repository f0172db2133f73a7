//! What of a node reaches other nodes: all that the feature `net` adds. Without it, `offline.rs` takes its place.

mod builder;
mod dial;
mod node;
mod peer_addr;
mod peers;
mod running;
mod schedule;
mod serve;
mod sync;

pub(crate) use self::builder::Plan;
pub use self::peer_addr::PeerAddr;
pub use self::peers::PeerStatus;
pub(crate) use self::running::Running;
pub use self::sync::{SyncError, SyncOptions, SyncReport};

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;

use syncline_sync::quic::{Endpoint, NodeId};

use self::builder::Settings;
use self::peers::Peers;

/// What the parts of a node that reach other nodes share.
pub(crate) struct Network {
    settings: Settings,
    /// Where to listen, if anywhere.
    listen: Option<SocketAddr>,
    peers: Peers,
    /// The nodes that are known to read what is said of carriers, so that it may go out with the greeting.
    acquainted: Mutex<BTreeSet<NodeId>>,
    /// For connections that we make, bound when it is first needed. It is not the one we listen on, whose address may be
    /// one that reaches nobody, such as loopback.
    dialler: Mutex<Option<Endpoint>>,
}

impl Network {
    fn new(settings: Settings, listen: Option<SocketAddr>, peers: Peers) -> Self {
        Self {
            settings,
            listen,
            peers,
            acquainted: Mutex::default(),
            dialler: Mutex::default(),
        }
    }
}
