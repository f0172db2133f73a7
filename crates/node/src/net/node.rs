//! Nodes and namespaces among others: who they are, where they are, and what they sync.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use syncline_sync::Report;
use syncline_sync::quic::NodeId;

use super::peer_addr::PeerAddr;
use super::peers::PeerStatus;
use super::sync::{SyncError, SyncOptions, SyncReport};
use crate::data_dir::{DataDir, OWN};
use crate::namespace::Namespace;
use crate::node::Node;
use crate::start_error::StartError;
use crate::trust::join::join;
use crate::trust::{Admission, Invitation, JoinError, RenewError, Token, TrustError, TrustStatus};

/// The node among others (feature `net`).
impl Node {
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
        self.core.network.peers.all()
    }

    /// The address that peers connect to; `None` when the node does not listen.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.running.local_addr
    }

    /// Makes a cluster of one in a data directory, before its node is started, which would do so as well; the directory is made if need be.
    ///
    /// # Errors
    /// [`TrustError::Exists`] when there is an identity already; [`StartError`] besides.
    pub fn found(data: impl AsRef<Path>) -> Result<Admission, StartError> {
        let directory = DataDir::open(data.as_ref().to_owned())?;
        let path = directory.identity_home();
        if path.exists() {
            return Err(TrustError::Exists { path }.into());
        }
        let founded = directory.own_membership();
        directory.release();
        let membership = founded?;
        Ok(Admission {
            node: membership.identity.node_id(),
            cluster: membership.cluster_id(),
            namespaces: None,
            expires_at: membership.expires_at(),
            identity: path.join(OWN),
        })
    }

    /// Makes the node whose data directory this is a member of the cluster that the token invites to, before it is started; the directory is
    /// made if need be. The node's key is made here and never leaves it; all else comes over the network.
    ///
    /// A node that was a member before, and whose certificate has ended, is one again under the key that it had; under another, if it was revoked.
    ///
    /// # Errors
    /// [`JoinError`], whose text says what to do.
    pub async fn join(token: &Token, data: impl AsRef<Path>) -> Result<Admission, JoinError> {
        let path = data.as_ref().to_owned();
        let opened = tokio::task::spawn_blocking(move || DataDir::open(path)).await;
        let directory = opened.map_err(|_| StartError::Interrupted)??;
        let admission = join(token, data.as_ref()).await;
        directory.release();
        admission
    }

    /// Invites somebody to become a member. The node must have an authority, in its data directory or by
    /// [`Builder::authority`](crate::Builder::authority), and be there when the token is made use of.
    ///
    /// # Errors
    /// [`TrustError::NoAuthority`], [`TrustError::Invitation`], and when it cannot be written.
    pub fn invite(&self, invitation: &Invitation) -> Result<Token, TrustError> {
        self.core.trust.office()?.invite(invitation)
    }

    /// How the node stands as a member: when its certificate ends, who was revoked.
    pub fn trust(&self) -> TrustStatus {
        self.core.trust.status()
    }

    /// Has the node's certificate renewed now, over the same key, and goes by it. The node does so by itself when a third of the certificate's time is
    /// left, and when another authority takes the place of the one that has signed it.
    ///
    /// # Errors
    /// [`RenewError`]; the certificate that there is goes on being used.
    pub async fn renew_certificate(&self) -> Result<(), RenewError> {
        self.core.renew_certificate().await
    }

    /// Who this node is: the hash of its public key.
    pub fn id(&self) -> NodeId {
        self.core.id()
    }
}

/// The namespace among its replicas (feature `net`).
impl Namespace {
    /// Syncs this namespace with a peer.
    ///
    /// # Errors
    /// [`SyncError`], whose text says what to do; among others, that the peer does not carry the namespace.
    pub async fn sync_with(&self, peer: impl Into<PeerAddr>) -> Result<Report, SyncError> {
        self.sync(peer, &SyncOptions::default()).await
    }

    /// As [`Namespace::sync_with`], in another way than the usual one.
    ///
    /// # Errors
    /// As [`Namespace::sync_with`].
    pub async fn sync(
        &self,
        peer: impl Into<PeerAddr>,
        options: &SyncOptions,
    ) -> Result<Report, SyncError> {
        let peer = peer.into();
        self.core.sync_one(&peer, &self.replica(), options).await
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
