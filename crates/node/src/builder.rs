//! How a node is set up, and its start.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use syncline_store::{Durability, Environment, SystemEnvironment};
use syncline_sync::quic::Limits;

use crate::core::Core;
use crate::data_dir::DataDir;
use crate::node::Node;
use crate::peer_addr::PeerAddr;
use crate::peers::Peers;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::trust::{Cluster, Membership, TrustError};

/// The ways to a node.
impl Node {
    /// Sets a node up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A node alone in memory: a cluster of its own that listens nowhere.
    ///
    /// # Errors
    /// [`StartError`], when the system yields no randomness.
    pub async fn in_memory() -> Result<Self, StartError> {
        Self::builder().in_memory().start().await
    }

    /// Nodes of one cluster in memory, each listening on loopback: for tests, and for trying things out.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use syncline::Node;
    ///
    /// let [ada, bob, eve] = Node::in_memory_cluster().await?;
    /// for node in [&ada, &bob, &eve] {
    ///     node.namespace("app")?.counter("nodes").increment().await?;
    /// }
    /// assert!(ada.sync_with(&bob).await?.agreed());
    /// assert!(eve.sync_with(&ada).await?.agreed());
    /// assert_eq!(eve.namespace("app")?.counter("nodes").value().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StartError`], when the system yields no randomness or no port.
    pub async fn in_memory_cluster<const N: usize>() -> Result<[Self; N], StartError> {
        let cluster = Cluster::throwaway()?;
        let mut nodes = Vec::with_capacity(N);
        for _ in 0..N {
            let builder = Self::builder().in_memory().cluster(&cluster);
            nodes.push(builder.listen("127.0.0.1:0").start().await?);
        }
        Ok(nodes.try_into().expect("one node was pushed for each of N"))
    }
}

/// What a node is to be. Made by [`Node::builder`]; it needs [`data_dir`](Builder::data_dir) or
/// [`in_memory`](Builder::in_memory), all else has defaults.
///
/// ```
/// use std::time::Duration;
/// use syncline::Node;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scratch = tempfile::tempdir()?;
/// # let data = scratch.path().join("data");
/// let node = Node::builder()
///     .data_dir(&data)
///     .listen("127.0.0.1:0")
///     .peer("10.0.0.7:7400")
///     .sync_every(Duration::from_secs(30))
///     .start()
///     .await?;
/// node.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    lies_on: Option<LiesOn>,
    trust: Option<Trust>,
    listen: Option<String>,
    pub(crate) settings: Settings,
    peers: Vec<PeerAddr>,
}

enum LiesOn {
    Directory(PathBuf),
    Memory,
}

enum Trust {
    Directory(PathBuf),
    Membership(Box<Membership>),
    Refused(TrustError),
}

impl Builder {
    fn new() -> Self {
        Self {
            lies_on: None,
            trust: None,
            listen: None,
            settings: Settings {
                sync_every: Duration::from_secs(10),
                max_clock_skew: Duration::from_secs(60),
                durability: Durability::Durable,
                cache_bytes: 64 << 20,
                limits: Limits::default(),
                environment: Arc::new(SystemEnvironment),
            },
            peers: Vec::new(),
        }
    }

    /// Keeps the namespaces in files under this directory, which is made if need be. One node at a time can use it.
    pub fn data_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.lies_on = Some(LiesOn::Directory(directory.as_ref().to_owned()));
        self
    }

    /// Keeps the namespaces in memory; they are gone with the node.
    pub fn in_memory(mut self) -> Self {
        self.lies_on = Some(LiesOn::Memory);
        self
    }

    /// Makes the node a member of the cluster that issued this identity directory; see
    /// [`Cluster::issue`](crate::trust::Cluster::issue).
    ///
    /// Without it, the first start in a data directory makes a cluster of one, whose authority is kept in `identity/`
    /// there, and others may join; a node in memory is alone.
    pub fn identity(mut self, directory: impl AsRef<Path>) -> Self {
        self.trust = Some(Trust::Directory(directory.as_ref().to_owned()));
        self
    }

    /// As [`identity`](Builder::identity), with one that was loaded already.
    pub fn membership(mut self, membership: Membership) -> Self {
        self.trust = Some(Trust::Membership(Box::new(membership)));
        self
    }

    /// Makes the node a member of this cluster under an identity of its own that is kept nowhere: for nodes in memory,
    /// and tests.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.trust = Some(match cluster.admit() {
            Ok(membership) => Trust::Membership(Box::new(membership)),
            Err(error) => Trust::Refused(error),
        });
        self
    }

    /// Lets peers connect to this address, such as `0.0.0.0:7400`; port 0 takes a free one, see
    /// [`Node::local_addr`]. Without it the node only ever connects by itself.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Syncs with this peer from the start, and then at intervals; may be called again for more peers.
    pub fn peer(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.peers.push(peer.into());
        self
    }

    /// How long to wait from one sync with a peer of the schedule to the next, give or take a tenth. Default 10 s.
    ///
    /// A peer that fails is tried again after the same time, then after twice as long, up to five minutes.
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.settings.sync_every = interval;
        self
    }

    /// How much a write survives before it is acknowledged, unless its namespace handle says otherwise. Default
    /// [`Durability::Durable`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Bytes of memory for the pages of each namespace's file. Default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.settings.cache_bytes = bytes;
        self
    }

    /// What peers are granted in memory and patience; see [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How far a peer's clock may be from ours before it is refused; zero for any distance. Default 60 s.
    pub fn max_clock_skew(mut self, skew: Duration) -> Self {
        self.settings.max_clock_skew = skew;
        self
    }

    /// Where time and entropy come from; for tests and simulations.
    pub fn environment(mut self, environment: Arc<dyn Environment>) -> Self {
        self.settings.environment = environment;
        self
    }

    /// Starts the node on the tokio runtime of the caller.
    ///
    /// # Errors
    /// [`StartError`], whose text says what to do.
    pub async fn start(self) -> Result<Node, StartError> {
        let listen = match &self.listen {
            Some(address) => Some(resolve(address).await?),
            None => None,
        };
        let (lies_on, trust) = (self.lies_on.ok_or(StartError::NoStorage)?, self.trust);
        let prepared = tokio::task::spawn_blocking(move || prepare(lies_on, trust));
        let (storage, membership) = prepared.await.map_err(|_| StartError::Interrupted)??;
        let peers = Peers::new(self.peers);
        let core = Core::new(self.settings, storage, membership, peers);
        Node::start(core, listen)
    }
}

/// Everything of a start that touches files.
fn prepare(lies_on: LiesOn, trust: Option<Trust>) -> Result<(Storage, Membership), StartError> {
    let storage = match lies_on {
        LiesOn::Directory(path) => Storage::Directory(DataDir::open(path)?),
        LiesOn::Memory => Storage::Memory,
    };
    let membership = match (trust, &storage) {
        (Some(Trust::Membership(membership)), _) => *membership,
        (Some(Trust::Directory(path)), _) => Membership::load(path)?,
        (Some(Trust::Refused(error)), _) => return Err(error.into()),
        (None, Storage::Directory(directory)) => directory.own_membership()?,
        (None, Storage::Memory) => Cluster::throwaway()?.admit()?,
    };
    Ok((storage, membership))
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

/// Shows no secrets.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
