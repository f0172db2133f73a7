//! How a node is set up, and its start.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use syncline_store::{Durability, Environment, ScrubRate, SystemEnvironment};

use crate::core::Core;
use crate::data_dir::DataDir;
use crate::name::check_name;
use crate::net::Plan;
use crate::node::Node;
use crate::room::{Room, SpaceLimits, SpaceSource};
use crate::scrub::ScrubPlan;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::trust::Membership;

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
    pub(crate) trust: Option<Trust>,
    pub(crate) settings: Settings,
    pub(crate) plan: Plan,
    carried: Vec<String>,
    space: SpaceLimits,
    space_source: Option<SpaceSource>,
}

enum LiesOn {
    Directory(PathBuf),
    Memory,
}

pub(crate) enum Trust {
    Directory(PathBuf),
    Membership(Box<Membership>),
    /// The cluster did not admit the node.
    #[cfg(feature = "net")]
    Refused(crate::trust::TrustError),
}

impl Builder {
    fn new() -> Self {
        Self {
            lies_on: None,
            trust: None,
            settings: Settings {
                durability: Durability::default(),
                cache_bytes: 64 << 20,
                environment: Arc::new(SystemEnvironment),
                scrub: None,
            },
            plan: Plan::default(),
            carried: Vec::new(),
            space: SpaceLimits::default(),
            space_source: None,
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
    /// there, and others may join; a node in memory is alone. Without the feature `net` only the secret is read, or made.
    pub fn identity(mut self, directory: impl AsRef<Path>) -> Self {
        self.trust = Some(Trust::Directory(directory.as_ref().to_owned()));
        self
    }

    /// As [`identity`](Builder::identity), with one that was loaded already.
    pub fn membership(mut self, membership: Membership) -> Self {
        self.trust = Some(Trust::Membership(Box::new(membership)));
        self
    }

    /// Carries this namespace from the start, besides those that the data directory holds: it is synced with peers before anybody asks for
    /// it by [`Node::namespace`]. May be called again for more.
    ///
    /// ```
    /// use syncline::Node;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().in_memory().carry("app").start().await?;
    /// assert_eq!(node.namespaces(), ["app"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn carry(mut self, namespace: impl Into<String>) -> Self {
        self.carried.push(namespace.into());
        self
    }

    /// How much a write survives before it is acknowledged, unless its namespace handle says otherwise. Default
    /// [`Durability::Buffered`]: it survives the end of the process, and a power loss once the last 100 ms have passed.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Bytes of memory for the pages of each namespace's file. Default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.settings.cache_bytes = bytes;
        self
    }

    /// Scrubs the namespaces in the background, one after the other and each again so long after it was last done, across
    /// restarts: everything stored is read, no more than `rate` in a second in all, and checked. What is damaged is logged,
    /// mended or withdrawn; see [`Namespace::scrub`](crate::Namespace::scrub). Opens every namespace that the node carries.
    /// Without it, damage is noticed where it is read.
    ///
    /// ```
    /// use std::time::Duration;
    /// use syncline::{Node, ScrubRate};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let week = Duration::from_secs(7 * 24 * 60 * 60);
    /// let node = Node::builder().in_memory().scrub_every(week, ScrubRate::default()).start().await?;
    /// node.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scrub_every(mut self, interval: Duration, rate: ScrubRate) -> Self {
        self.settings.scrub = Some(ScrubPlan {
            every: interval,
            rate,
        });
        self
    }

    /// How much room the disk should have: with less there is a warning, and with still less the node is read-only, until there is room
    /// again. Looked at every second, and ten times a second where it matters. Not for nodes in memory.
    ///
    /// ```
    /// use syncline::{Node, SpaceLimits, SpaceState};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let scratch = tempfile::tempdir()?;
    /// # let data = scratch.path().join("data");
    /// let limits = SpaceLimits { warn_below: 50 << 30, read_only_below: 10 << 30 };
    /// let node = Node::builder().data_dir(&data).space_limits(limits).start().await?;
    /// if let Some(space) = node.space().filter(|space| space.state > SpaceState::Plenty) {
    ///     println!("{} bytes left", space.free);
    /// }
    /// node.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn space_limits(mut self, limits: SpaceLimits) -> Self {
        self.space = limits;
        self
    }

    /// Who tells how many bytes are free, instead of the operating system: where a quota bounds what the file system has, and for tests.
    /// It is called on threads that may block.
    pub fn space_from(
        mut self,
        source: impl Fn() -> io::Result<u64> + Send + Sync + 'static,
    ) -> Self {
        self.space_source = Some(Arc::new(source));
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
        for name in &self.carried {
            check_name(name)?;
        }
        let network = self.plan.network().await?;
        let (lies_on, trust) = (self.lies_on.ok_or(StartError::NoStorage)?, self.trust);
        let (limits, source) = (self.space, self.space_source);
        let prepared = tokio::task::spawn_blocking(move || {
            let (storage, membership) = prepare(lies_on, trust)?;
            let source = source.or_else(|| storage.space_source());
            Ok::<_, StartError>((storage, membership, Room::new(limits, source)))
        });
        let (storage, membership, room) = prepared.await.map_err(|_| StartError::Interrupted)??;
        let core = Core::new(self.settings, storage, membership, network, room)?;
        for name in &self.carried {
            core.carry(name);
        }
        Node::start(core)
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
        #[cfg(feature = "net")]
        (Some(Trust::Refused(error)), _) => return Err(error.into()),
        (None, Storage::Directory(directory)) => directory.own_membership()?,
        (None, Storage::Memory) => Membership::alone()?,
    };
    Ok((storage, membership))
}

/// Shows no secrets.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
