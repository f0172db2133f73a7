//! The node: its start, and its end.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::core::Core;
use crate::error::Error;
use crate::name::{NameError, check_name};
use crate::namespace::Namespace;
use crate::net::Running;
use crate::registers::Registers;
use crate::room::keep_looking;
use crate::scrub::Scrubbing;
use crate::start_error::StartError;
use crate::trust::ClusterId;
#[cfg(feature = "net")]
use crate::trust::renewal::keep_trust;
use crate::upkeep::keep_up;

/// A member of a cluster: replicas of some namespaces, peers to sync them with, and an address for peers that come by
/// themselves.
///
/// Cloning is cheap and yields the same node. When the last clone is dropped, syncing ends at once and the node no longer
/// listens; what was acknowledged stays. [`shutdown`](Node::shutdown) is the orderly way, and the only one after which the
/// data directory is sure to be free.
#[derive(Clone)]
pub struct Node {
    pub(crate) core: Arc<Core>,
    /// Listening and the schedule, which end with the last clone.
    pub(crate) running: Arc<Running>,
    /// So does this.
    scrubbing: Arc<Scrubbing>,
}

impl Node {
    pub(crate) fn start(core: Core) -> Result<Self, StartError> {
        core.carry_stored()?;
        let core = Arc::new(core);
        let running = Arc::new(Running::start(&core)?);
        // They end when the node is gone.
        drop(tokio::spawn(keep_up(Arc::downgrade(&core))));
        drop(tokio::spawn(keep_looking(Arc::downgrade(&core))));
        #[cfg(feature = "net")]
        drop(tokio::spawn(keep_trust(Arc::downgrade(&core))));
        let scrubbing = Arc::new(Scrubbing::start(&core));
        Ok(Self {
            core,
            running,
            scrubbing,
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

    /// Carries a namespace no longer: ends it here and removes its files. Other nodes keep theirs; to remove what is in it
    /// everywhere, there is [`Namespace::clear`].
    ///
    /// Whoever uses it has five seconds to let go: operations and sessions under way end by themselves in that time, or the drop
    /// fails; what is asked of older handles from then on fails with [`Error::Dropped`]. The drop is one step: after a crash the namespace is
    /// there with all it held, or gone. Asked for again, it begins empty, as a new replica, and heals from its peers.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let old = node.namespace("old")?;
    /// old.put("motto", "merge, do not fork").await?;
    /// node.drop_namespace("old").await?;
    /// assert!(node.namespaces().is_empty());
    /// assert!(matches!(old.get("motto").await, Err(syncline::Error::Dropped { .. })));
    /// assert_eq!(node.namespace("old")?.count().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotCarried`] when there is none of this name, [`Error::InUse`] when somebody has not let go in time, among them views and scans
    /// that were not dropped, [`Error::Files`] when its files cannot be removed, [`Error::Closed`] after the node's shutdown. Then it is
    /// carried as before.
    pub async fn drop_namespace(&self, name: &str) -> Result<(), Error> {
        self.core.drop_namespace(name).await
    }

    /// The names of the namespaces that the node carries: those with a file, and those that were asked for.
    pub fn namespaces(&self) -> Vec<String> {
        self.core.carried().into_keys().collect()
    }

    /// The directory that its data lies in; `None` in memory.
    pub fn data_dir(&self) -> Option<&Path> {
        self.core.storage.directory()
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
        self.scrubbing.stop();
        self.running.stop(&self.core).await;
        let closed = self.core.close().await;
        tracing::info!(cluster = %self.cluster_id(), "shut down");
        closed
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("membership", &self.core.membership)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}
