//! A cluster on one machine, for the tests of whatever embeds this (feature `testing`).
//!
//! The nodes are real ones, in memory, each listening on loopback under mutual TLS. Between any two of them is a wire that
//! can be cut, so that a test can have them write apart and heal:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = syncline::testing::cluster(3).await?;
//! let carts = cluster.namespaces("carts")?;
//!
//! cluster.cut(0, 1);
//! cluster.cut(0, 2);
//! carts[0].set("ada").insert("tea").await?;
//! carts[1].set("ada").insert("scones").await?;
//! cluster.sync_all().await?;
//! assert!(carts[2].set("ada").contains("scones").await?);
//! assert!(!cluster.converged().await?);
//!
//! cluster.heal().await?;
//! assert!(cluster.converged().await?);
//! assert_eq!(carts[2].set("ada").len().await?, 2);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Index;
use std::sync::Mutex;
use std::time::Duration;

use syncline_sync::quic::{Forwarder, Limits};

use crate::builder::Builder;
use crate::core::lock;
use crate::error::Error;
use crate::name::NameError;
use crate::namespace::Namespace;
use crate::net::{PeerAddr, SyncError};
use crate::node::Node;
use crate::registers::Registers;
use crate::start_error::StartError;
use crate::trust;

/// Why there is no cluster to test with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No socket is to be had for a wire.
    #[error("no socket is to be had on loopback ({0}); raise the limits of this process")]
    Wire(#[from] io::Error),
}

/// Starts a cluster of so many nodes, all of which trust each other. They sync only when they are told to.
///
/// # Errors
/// [`ClusterError`], when the system yields no randomness or no ports.
pub async fn cluster(nodes: usize) -> Result<Cluster, ClusterError> {
    cluster_with(nodes, |_, builder| builder).await
}

/// As [`cluster`], with nodes that are set up as `set_up` has it: given the number of the node, and what it would be.
///
/// # Errors
/// As [`cluster`].
pub async fn cluster_with(
    nodes: usize,
    set_up: impl Fn(usize, Builder) -> Builder,
) -> Result<Cluster, ClusterError> {
    let trust = trust::Cluster::throwaway().map_err(StartError::from)?;
    let mut limits = Limits::default();
    // Nobody wants to wait long in a test to be told that a wire was cut.
    limits.connect = Duration::from_secs(3);
    let mut started = Vec::with_capacity(nodes);
    for number in 0..nodes {
        let node = Node::builder()
            .in_memory()
            .cluster(&trust)
            .limits(limits.clone())
            .listen("127.0.0.1:0");
        started.push(set_up(number, node).start().await?);
    }
    let mut wires = BTreeMap::new();
    for (to, node) in started.iter().enumerate() {
        for from in (0..nodes).filter(|from| *from != to) {
            if let Some(address) = node.local_addr() {
                let wire = Forwarder::start(address, Duration::ZERO).await?;
                wires.insert((from, to), wire);
            }
        }
    }
    Ok(Cluster {
        nodes: started,
        wires,
        cut: Mutex::default(),
    })
}

/// Nodes of one cluster, numbered from 0, with wires between them. Made by [`cluster`].
///
/// `cluster[0]` is the first node. What a method is told of a node that is not there is without effect.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// By who dials whom. Each carries both directions.
    wires: BTreeMap<(usize, usize), Forwarder>,
    /// The pairs that are apart, the lesser first.
    cut: Mutex<BTreeSet<(usize, usize)>>,
}

impl Cluster {
    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The namespace of this name on each node, in their order.
    ///
    /// # Errors
    /// As [`Node::namespace`].
    pub fn namespaces(&self, name: &str) -> Result<Vec<Namespace>, NameError> {
        let each = self.nodes.iter().map(|node| node.namespace(name));
        each.collect()
    }

    /// Where the one node reaches the other through the wire between them; `None` when there is no such wire.
    ///
    /// A node that is synced with directly, as in `cluster[0].sync_with(&cluster[1])`, is reached past the wire.
    pub fn address(&self, from: usize, to: usize) -> Option<PeerAddr> {
        let wire = self.wires.get(&(from, to))?;
        Some(wire.local_addr().into())
    }

    /// Cuts the wire between two nodes, both ways; neither is told. Dialling through it fails after three seconds.
    pub fn cut(&self, a: usize, b: usize) {
        lock(&self.cut).insert(ordered(a, b));
        self.between(a, b).for_each(Forwarder::cut);
    }

    /// Joins the wire between two nodes again.
    pub fn mend(&self, a: usize, b: usize) {
        lock(&self.cut).remove(&ordered(a, b));
        self.between(a, b).for_each(Forwarder::restore);
    }

    /// Syncs whoever can reach each other, directly or through others, in all namespaces that any node carries, until
    /// each has what the others of its part of the cluster had at the beginning.
    ///
    /// # Errors
    /// The first [`SyncError`].
    pub async fn sync_all(&self) -> Result<(), SyncError> {
        self.carry_alike();
        // In each round what is news crosses at least one more wire, and the longest way is one along all nodes.
        for _ in 1..self.nodes.len() {
            for (&(from, to), wire) in &self.wires {
                let apart = lock(&self.cut).contains(&(from, to));
                if from < to && !apart {
                    self.nodes[from].sync_with(wire.local_addr()).await?;
                }
            }
            if self.converged().await? {
                break;
            }
        }
        Ok(())
    }

    /// Mends every wire, and syncs all.
    ///
    /// # Errors
    /// As [`Cluster::sync_all`].
    pub async fn heal(&self) -> Result<(), SyncError> {
        lock(&self.cut).clear();
        self.wires.values().for_each(Forwarder::restore);
        self.sync_all().await
    }

    /// Whether all nodes hold the same in all namespaces that any of them carries: whether the digests of all rows are
    /// equal.
    ///
    /// # Errors
    /// When a namespace cannot be read.
    pub async fn converged(&self) -> Result<bool, Error> {
        for name in self.carry_alike() {
            let mut roots = Vec::with_capacity(self.nodes.len());
            for node in &self.nodes {
                let namespace = node.carry(&name, Registers::default());
                roots.push(namespace.read(|view| view.root()).await?);
            }
            if roots.windows(2).any(|pair| pair[0] != pair[1]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has every node carry what any of them carries, which is returned.
    fn carry_alike(&self) -> BTreeSet<String> {
        let names: BTreeSet<_> = self.nodes.iter().flat_map(Node::namespaces).collect();
        for name in &names {
            for node in &self.nodes {
                node.carry(name, Registers::default());
            }
        }
        names
    }

    fn between(&self, a: usize, b: usize) -> impl Iterator<Item = &Forwarder> {
        [(a, b), (b, a)]
            .into_iter()
            .filter_map(|ends| self.wires.get(&ends))
    }
}

fn ordered(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Index<usize> for Cluster {
    type Output = Node;

    fn index(&self, node: usize) -> &Node {
        &self.nodes[node]
    }
}
