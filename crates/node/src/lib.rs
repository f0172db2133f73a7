//! Syncline is a leaderless, replicated key-value store to embed.
//!
//! # What it is
//!
//! A [`Node`] keeps replicas of *namespaces*, in files or in memory. Every node accepts reads and writes at any time, offline
//! or partitioned. Nodes that can reach each other *sync*: they find what differs by comparing digests of key ranges, and
//! exchange only that, over QUIC under mutual TLS. Replicas that have seen the same writes hold the same state, whatever
//! the order in which these arrived, and nothing that was written is lost to a concurrent write silently.
//!
//! Under each key there is a value, which is at once a [`Register`] and a [`Counter`], or a [`Set`], a [`SortedSet`], or a [`Map`].
//!
//! Without the default feature `net` it is built without QUIC and TLS: a store on one machine with the same values and
//! transactions, whose data directory can join a cluster later.
//!
//! # What it is not
//!
//! It has no leader and no consensus, so it cannot say who was first *now*: no locks, no unique numbers, no balance that
//! must not fall below zero across nodes.
//!
//! # In ten lines
//!
//! ```
//! use syncline::Node;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::in_memory().await?;
//! let app = node.namespace("app")?;
//! app.put("motto", "merge, do not fork").await?;
//! app.set("online").insert("ada").await?;
//! let logins = app
//!     .transaction(|t| {
//!         t.map("user:ada").set("city", "London")?;
//!         t.counter("logins").add(1)
//!     })
//!     .await?;
//! assert_eq!(logins, 1);
//! assert!(app.set("online").contains("ada").await?);
//! node.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How a value flows through it
//!
//! 1. A handle, such as `app.set("online")`, makes of an operation a transaction of typed operations ([`ops`]).
//! 2. The namespace's writer thread takes all transactions that wait into one group, and commits it: rows, causal context,
//!    digests and indexes together. Then the callers are answered.
//! 3. A sync, on the schedule of [`Builder::peer`] or by [`Node::sync_with`], runs one session for each namespace. Both sides
//!    send what the other has not seen, and find the rest by their digests.
//! 4. The peer joins each row with its own. Both compare digests in the end, and the [`Report`] says whether they agree.

pub mod backup;
mod builder;
mod carriers;
#[cfg(feature = "net")]
mod cluster;
mod conflicts;
mod core;
mod data_dir;
mod engine;
mod error;
mod expiring;
mod handles;
mod kind;
mod measure;
mod name;
mod namespace;
#[cfg_attr(not(feature = "net"), path = "offline.rs")]
mod net;
mod node;
pub mod ops;
mod outbox;
mod parts;
#[cfg(feature = "net")]
mod publications;
#[cfg(feature = "net")]
mod quorum;
mod registers;
// Sessions, too, work on it, which are not there without networking.
#[cfg_attr(not(feature = "net"), allow(dead_code))]
mod replica;
mod room;
mod rows;
mod scan;
mod scrub;
mod settings;
mod start_error;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod transaction;
pub mod trust;
pub mod typed;
mod upkeep;
mod view;
pub mod watch;
mod writer;

pub use builder::Builder;
#[cfg(feature = "net")]
pub use cluster::{
    Accord, Branch, BudgetStatus, ClassStatus, ClusterView, Epoch, LinkStats, Member, MemberEvent,
    MemberEvents, MemberState, MissedEvents, NamespaceConvergence, PublicationStats, Rumours,
    Topology,
};
pub use conflicts::ConflictPage;
pub use error::Error;
pub use handles::{Counter, Map, Register, Set, SortedSet};
pub use kind::Kind;
#[cfg(feature = "net")]
pub use measure::Exchanged;
pub use measure::{Histogram, Latencies, Sizes, Work};
pub use name::NameError;
pub use namespace::Namespace;
#[cfg(feature = "net")]
pub use net::{
    Outcomes, PeerAddr, PeerStatus, PeerTraffic, SessionStatus, SyncError, SyncOptions, SyncReport,
};
pub use node::Node;
pub use ops::{ExpireIf, Span};
pub use parts::Part;
#[cfg(feature = "net")]
pub use publications::{MissedPublications, Publications, PublishError};
#[cfg(feature = "net")]
pub use quorum::{
    Gathered, Holders, MissingCarrier, MissingPeer, QuorumError, Replicas, Replicated,
};
pub use registers::{Conflict, Registers, Resolver, Sibling};
pub use room::{SpaceLimits, SpaceState, SpaceStatus};
pub use scan::Scan;
pub use scrub::ScrubOptions;
pub use start_error::StartError;
pub use token::{Recorded, Token, TokenError};
pub use transaction::Transaction;
pub use view::{ContextSize, View};
pub use watch::Watch;
pub use writer::WriteStats;

pub use syncline_crdt::{CarrierId, Decimal, Dot, ReplicaId, Roster, Score, Stamp};
#[cfg(feature = "net")]
pub use syncline_gossip::Stats as RumourStats;
#[cfg(feature = "net")]
pub use syncline_gossip::budget::Spent;
#[cfg(feature = "net")]
pub use syncline_gossip::convergence::{Gap, PeerReport};
#[cfg(feature = "net")]
pub use syncline_gossip::publication::{PublicationError, Published, Space};
pub use syncline_merkle::RangeDigest;
pub use syncline_store::{
    Compaction, Durability, Environment, Mismatch, OpenError, Recount, ScrubRate, ScrubReport,
    StabilityStatus, StoreError, SystemEnvironment, Withdrawn,
};
#[cfg(feature = "net")]
pub use syncline_sync::quic::{Limits, NodeId};
#[cfg(feature = "net")]
pub use syncline_sync::{Report, Strategy, Traffic};

/// Runs what may wait for the disk on a thread where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            // As if it had run on the caller's own thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down.
            Err(_) => Err(Error::Closed),
        },
    }
}

/// The README's program has to compile.
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
