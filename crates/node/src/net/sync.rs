//! Syncing with a peer: how, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_sync::quic::{BindError, ConnectError, DriveError, NodeId};
use syncline_sync::{RefusalCode, Report, Request, Strategy};

use super::peer_addr::PeerAddr;
use crate::error::Error;
use crate::ops::key::rows_of;

/// How to sync. The default finds differences in the cheapest way, over whole namespaces.
///
/// ```
/// use syncline::{Strategy, SyncOptions};
///
/// let check = SyncOptions::default().strategy(Strategy::Walk).prefix("user:");
/// # let _ = check;
/// ```
#[derive(Clone, Debug, Default)]
pub struct SyncOptions {
    strategy: Strategy,
    range: Option<KeyRange>,
}

impl SyncOptions {
    /// Finds differences by this strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Syncs only the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.range = Some(KeyRange::prefix(&RowKey::user_prefix(prefix.as_ref())));
        self
    }

    /// Syncs only what lies under this key.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.range = Some(rows_of(key.as_ref()));
        self
    }

    pub(crate) fn request(&self) -> Request {
        let request = Request::new(rand::random()).by(self.strategy);
        match &self.range {
            Some(range) => request.within(range.clone()),
            None => request,
        }
    }
}

/// What came of syncing all namespaces with a peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SyncReport {
    /// Who the peer is.
    pub peer: NodeId,
    /// The report on each namespace that both carry.
    pub namespaces: BTreeMap<String, Report>,
    /// The namespaces that the peer does not carry, or that one of the two may not.
    pub not_shared: Vec<String>,
}

impl SyncReport {
    /// Whether both sides hold the same in every namespace that they share. Writes during the sync may keep them from
    /// it though nothing is lost.
    pub fn agreed(&self) -> bool {
        self.namespaces.values().all(|report| report.agreed)
    }
}

/// Why a sync failed. What was received before that stays; the next sync goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The address cannot be made out.
    #[error("{peer} cannot be reached ({reason}); use an address such as 10.0.0.7:7400")]
    Address {
        /// The address that was given.
        peer: PeerAddr,
        /// Why it does not do.
        reason: String,
    },
    /// No socket is to be had to connect from.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The peer was not reached, or is not of this cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another node answers where a member was.
    #[error(
        "{found} answers at {address}, and not {expected}; two nodes have been given one address"
    )]
    SomebodyElse {
        /// The address.
        address: SocketAddr,
        /// Who was expected there.
        expected: NodeId,
        /// Who is there.
        found: NodeId,
    },
    /// The session of a namespace failed.
    #[error("namespace {namespace:?}: {source}")]
    Session {
        /// The namespace.
        namespace: String,
        /// What went wrong.
        source: DriveError,
    },
    /// Our own replica of a namespace cannot be used.
    #[error(transparent)]
    Replica(#[from] Error),
}

impl SyncError {
    /// Whether the namespace is not shared: the peer said that it does not carry it, or one of the two may not.
    pub(crate) fn is_not_carried(&self) -> bool {
        let Self::Session { source, .. } = self else {
            return false;
        };
        source
            .refusal()
            .is_some_and(|refusal| refusal.code == RefusalCode::Namespace)
    }
}
