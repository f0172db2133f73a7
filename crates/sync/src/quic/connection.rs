//! A connection that has been authenticated both ways, for as long as the peer stays a member.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::VarInt;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::certificate::{Grant, Terms};
use super::endings::{Ending, Endings};
use super::limits::Limits;
use super::lost::Lost;
use super::node_id::NodeId;
use super::trust::{Side, Trust};

/// How long a peer may take to acknowledge what is closed.
pub(super) const CLOSING: Duration = Duration::from_secs(1);
/// Connection closed because it served its purpose.
const DONE: VarInt = VarInt::from_u32(0);
/// Connection closed because the node goes away.
pub(super) const SHUTDOWN: VarInt = VarInt::from_u32(1);
/// Connection closed because the peer is no member any more.
pub(super) const EXPELLED: VarInt = VarInt::from_u32(2);

/// An authenticated connection with a peer of the cluster. Sessions run over it, many at a time if
/// need be.
///
/// Cloning is cheap and yields the same connection, which closes when the last clone is dropped, or
/// when the peer is no member any more: its certificate has ended, it was revoked, its authority is
/// trusted no longer.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) quinn: quinn::Connection,
    pub(crate) peer: NodeId,
    pub(crate) shared: Arc<Shared>,
    grant: Arc<Grant>,
    endings: Endings,
    _watched: Arc<Watched>,
}

/// What all connections of an endpoint have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// One permit per session that may be served.
    pub(crate) sessions: Semaphore,
    pub(crate) node: NodeId,
    pub(super) trust: Trust,
    pub(super) endings: Endings,
}

/// Ends the task that watches over a connection's membership.
#[derive(Debug)]
struct Watched(AbortHandle);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) fn new(
        shared: &Arc<Shared>,
        side: Side,
        quinn: quinn::Connection,
        peer: NodeId,
        terms: Terms,
        chain: Vec<CertificateDer<'static>>,
    ) -> Self {
        let (watched, trust) = (quinn.clone(), shared.trust.clone());
        let watch = tokio::spawn(async move {
            let expelled = trust.expelled(side, &chain, terms.ends);
            tokio::select! {
                reason = expelled => {
                    tracing::warn!(%peer, %reason, "the peer is no member any more; its connection was closed");
                    watched.close(EXPELLED, b"no member any more");
                }
                _ = watched.closed() => {}
            }
        });
        Self {
            quinn,
            peer,
            shared: shared.clone(),
            grant: Arc::new(terms.grant),
            endings: Endings::default(),
            _watched: Arc::new(Watched(watch.abort_handle())),
        }
    }

    /// Whether both nodes' certificates let them carry the namespace. What is of another namespace must
    /// not be told to the peer, nor taken from it.
    pub fn may_carry(&self, namespace: &str) -> bool {
        self.peer_may_carry(namespace) && self.shared.trust.may_carry(namespace)
    }

    pub(crate) fn peer_may_carry(&self, namespace: &str) -> bool {
        self.shared.trust.grants(&self.grant, namespace)
    }

    /// The peer's identity, proven in the handshake.
    pub fn peer(&self) -> NodeId {
        self.peer
    }

    /// Our own identity, the one that the endpoint was bound with.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Where the peer is.
    pub fn remote_addr(&self) -> SocketAddr {
        self.quinn.remote_address()
    }

    /// The current estimate of the round-trip time.
    pub fn rtt(&self) -> Duration {
        self.quinn.rtt()
    }

    /// The bytes that went out of the socket for this connection, those included that were sent again.
    pub fn bytes_sent(&self) -> u64 {
        self.quinn.stats().udp_tx.bytes
    }

    /// Whether both are handles of the same connection.
    pub fn is(&self, other: &Self) -> bool {
        self.quinn.stable_id() == other.quinn.stable_id()
    }

    /// Whether the connection is known to have ended.
    pub fn is_closed(&self) -> bool {
        self.quinn.close_reason().is_some()
    }

    /// Waits for the end of the connection and says why.
    pub async fn closed(&self) -> Lost {
        self.quinn.closed().await.into()
    }

    /// Closes the connection as soon as the peer has the ends of all sessions that are over, a
    /// second from now at the latest. Sessions under way are cut.
    ///
    /// Before the process ends, [`Endpoint::close`](super::Endpoint::close) sees to it that the peers are told.
    pub fn close(&self) {
        if self.endings.are_over() {
            self.quinn.close(DONE, b"done");
            return;
        }
        let connection = self.clone();
        tokio::spawn(async move {
            connection.endings.over(CLOSING).await;
            connection.quinn.close(DONE, b"done");
        });
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Counts the packets' worth of stream data that went out on this connection.
    pub(crate) fn stream_frames_sent(&self) -> u64 {
        self.quinn.stats().frame_tx.stream
    }

    /// Stands for a stream whose end is under way.
    pub(crate) fn ending(&self) -> [Ending; 2] {
        [self.endings.one(), self.shared.endings.one()]
    }
}
