//! The node: its start, and its end.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_sync::quic::{Endpoint, NodeId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::core::{Core, lock};
use crate::error::Error;
use crate::name::{NameError, check_name};
use crate::namespace::Namespace;
use crate::peer_addr::PeerAddr;
use crate::peers::PeerStatus;
use crate::registers::Registers;
use crate::schedule::keep_in_sync;
use crate::serve::serve;
use crate::start_error::StartError;
use crate::sync::{SyncError, SyncOptions, SyncReport};
use crate::trust::ClusterId;

/// How long a shutdown waits for sessions under way before it cuts them.
const GRACE: Duration = Duration::from_secs(3);

/// A member of a cluster: replicas of some namespaces, peers to sync them with, and an address for peers that come by
/// themselves.
///
/// Cloning is cheap and yields the same node. When the last clone is dropped, syncing ends at once and the node no longer
/// listens; what was acknowledged stays. [`shutdown`](Node::shutdown) is the orderly way, and the only one after which the
/// data directory is sure to be free.
#[derive(Clone)]
pub struct Node {
    core: Arc<Core>,
    /// Listening and the schedule, which end with the last clone.
    running: Arc<Running>,
}

struct Running {
    endpoint: Mutex<Option<Endpoint>>,
    local_addr: Option<SocketAddr>,
    closing: watch::Sender<bool>,
    /// Aborted when dropped.
    tasks: Mutex<JoinSet<()>>,
}

impl Node {
    pub(crate) fn start(core: Core, listen: Option<SocketAddr>) -> Result<Self, StartError> {
        core.carry_stored()?;
        let core = Arc::new(core);
        let endpoint = match listen {
            Some(address) => Some(core.bind(address)?),
            None => None,
        };
        let local_addr = match &endpoint {
            Some(endpoint) => Some(endpoint.local_addr().map_err(StartError::Address)?),
            None => None,
        };
        let (closing, closed) = watch::channel(false);
        let mut tasks = JoinSet::new();
        if let Some(endpoint) = &endpoint {
            tasks.spawn(serve(core.clone(), endpoint.clone(), closed.clone()));
        }
        for (index, peer) in core.peers.all().into_iter().enumerate() {
            let core = core.clone();
            tasks.spawn(keep_in_sync(core, index, peer.address, closed.clone()));
        }
        tracing::info!(node = %core.id(), listen = ?local_addr, "started");
        Ok(Self {
            core,
            running: Arc::new(Running {
                endpoint: Mutex::new(endpoint),
                local_addr,
                closing,
                tasks: Mutex::new(tasks),
            }),
        })
    }

    /// The namespace of this name. Nothing is opened or made before it is used, but from now on the node carries it: it
    /// syncs it, and takes it from peers.
    ///
    /// # Errors
    /// [`NameError`] unless the name is 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit.
    pub fn namespace(&self, name: &str) -> Result<Namespace, NameError> {
        self.namespace_with(name, Registers::default())
    }

    /// As [`Node::namespace`], where conflicts between registers are read in another way than by the last writer. The choice
    /// is that of the handle, its clones and whatever is made of them.
    ///
    /// # Errors
    /// As [`Node::namespace`].
    pub fn namespace_with(&self, name: &str, registers: Registers) -> Result<Namespace, NameError> {
        check_name(name)?;
        Ok(self.carry(name, registers))
    }

    /// The namespace of a name that was checked.
    pub(crate) fn carry(&self, name: &str, registers: Registers) -> Namespace {
        let core = self.core.clone();
        let replica = core.carry(name);
        let durability = core.settings.durability;
        Namespace::new(core, replica, durability, registers)
    }

    /// The names of the namespaces that the node carries: those with a file, and those that were asked for.
    pub fn namespaces(&self) -> Vec<String> {
        self.core.carried().into_keys().collect()
    }

    /// Syncs all namespaces that both nodes carry, one after the other, and reports on each.
    ///
    /// # Errors
    /// [`SyncError`]: of the connection, or else of the first session that failed; the other namespaces are synced
    /// nevertheless.
    pub async fn sync_with(&self, peer: impl Into<PeerAddr>) -> Result<SyncReport, SyncError> {
        self.sync(peer, &SyncOptions::default()).await
    }

    /// As [`Node::sync_with`], in another way than the usual one.
    ///
    /// # Errors
    /// As [`Node::sync_with`].
    pub async fn sync(
        &self,
        peer: impl Into<PeerAddr>,
        options: &SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        self.core.sync_all(&peer.into(), options).await
    }

    /// The peers of the schedule, and how syncing with each has gone.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.core.peers.all()
    }

    /// The address that peers connect to; `None` when the node does not listen.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.running.local_addr
    }

    /// Who this node is: the hash of its public key.
    pub fn id(&self) -> NodeId {
        self.core.id()
    }

    /// The cluster that it is a member of.
    pub fn cluster_id(&self) -> ClusterId {
        self.core.membership.cluster_id()
    }

    /// Ends the node in order: stops syncing and listening, has every write that was accepted committed, makes everything
    /// durable, closes the files and gives the data directory up.
    ///
    /// Sessions under way have three seconds to end by themselves. What a handle is asked for from now on fails with
    /// [`Error::Closed`]; views and scans can still be read, and keep their file open until they are dropped. A second call
    /// does nothing.
    ///
    /// # Errors
    /// The first failure to commit or sync. The other namespaces are closed nevertheless.
    pub async fn shutdown(&self) -> Result<(), Error> {
        // With no receiver left there is nobody to be told.
        let _nobody = self.running.closing.send(true);
        let mut tasks = std::mem::take(&mut *lock(&self.running.tasks));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(GRACE, ended).await.is_err() {
            tracing::warn!("sessions were cut by the shutdown");
        }
        tasks.shutdown().await;
        let listening = lock(&self.running.endpoint).take();
        let dialling = self.core.stop_dialling();
        for endpoint in [listening, dialling].into_iter().flatten() {
            endpoint.close().await;
        }
        if let Some(address) = self.local_addr() {
            free(address).await;
        }
        let closed = self.core.close().await;
        tracing::info!(node = %self.id(), "shut down");
        closed
    }
}

/// Where a node of this process listens. One that does not cannot be reached.
impl From<&Node> for PeerAddr {
    fn from(node: &Node) -> Self {
        let Some(mut address) = node.local_addr() else {
            return Self::from(NOWHERE);
        };
        if address.ip().is_unspecified() {
            let loopback = match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            address.set_ip(loopback);
        }
        address.into()
    }
}

/// What no address is.
const NOWHERE: &str = "a node that does not listen";

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// Waits until an address that was listened on can be taken again, within reason. The transport gives its socket up by
/// itself, a moment after the endpoint was closed.
async fn free(address: SocketAddr) {
    let taken = async {
        while UdpSocket::bind(address).is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    if timeout(Duration::from_secs(1), taken).await.is_err() {
        tracing::warn!(%address, "the address is still in use after the shutdown");
    }
}
