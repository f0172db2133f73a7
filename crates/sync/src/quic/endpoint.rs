//! An address that peers reach us at and that we reach them from, and the connections through it.
//!
//! Nothing here touches quinn's socket traits: the sockets are plain ones that quinn wraps by
//! itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::VarInt;
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::endings::{Ending, Endings};
use super::identity::{CERTIFICATE_NAME, Identity, NodeId};
use super::limits::Limits;
use super::lost::{BindError, ConnectError, Lost};

/// One UDP socket, for connections in both directions.
///
/// Cloning is cheap and yields the same endpoint. It lives on the tokio runtime it was bound on.
///
/// ```no_run
/// use syncline_sync::quic::{Endpoint, Identity, Limits};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = Identity::load("ada/node.pem", "ada/node.key", "ada/ca.pem")?;
/// let endpoint = Endpoint::bind("127.0.0.1:7400".parse()?, &identity, Limits::default())?;
/// let connection = endpoint.connect("10.0.0.7:7400".parse()?).await?;
/// println!("talking to {}", connection.peer());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    shared: Arc<Shared>,
}

/// What all connections of an endpoint have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// One permit per session that may be served.
    pub(crate) sessions: Semaphore,
    pub(crate) node: NodeId,
    endings: Endings,
}

impl Endpoint {
    /// Listens on `address`; port 0 takes a free one, see [`Endpoint::local_addr`].
    ///
    /// # Errors
    /// [`BindError`] when the address is not to be had, or outside of a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        identity: &Identity,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let transport = limits.transport();
        let server = identity.server_config().map_err(BindError::tls)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server
            .transport_config(transport.clone())
            .max_incoming(limits.connections);
        let client = identity.client_config().map_err(BindError::tls)?;
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(transport);

        let mut quinn = quinn::Endpoint::server(server, address)
            .map_err(|source| BindError::Address { address, source })?;
        quinn.set_default_client_config(client);
        Ok(Self {
            quinn,
            shared: Arc::new(Shared {
                sessions: Semaphore::new(limits.sessions),
                limits,
                node: identity.node_id(),
                endings: Endings::default(),
            }),
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// What the operating system says when asked.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// The identity it was bound with.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Connects to a peer and checks that it belongs to our cluster.
    ///
    /// That the peer accepts *us* is not known yet: a TLS 1.3 client is done before the server has
    /// seen its certificate. The first session on the connection tells, and its error is
    /// [`Lost::RefusedByPeer`].
    ///
    /// # Errors
    /// [`ConnectError`]; after [`Limits::connect`] at the latest.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, ConnectError> {
        let connecting =
            self.quinn
                .connect(address, CERTIFICATE_NAME)
                .map_err(|error| match error {
                    quinn::ConnectError::EndpointStopping => ConnectError::Closed,
                    other => ConnectError::Address {
                        address,
                        reason: other.to_string(),
                    },
                })?;
        self.established(address, connecting).await
    }

    /// The next peer that wants to connect; `None` once the endpoint is closed.
    ///
    /// Its handshake has yet to be done, in a task of its own, so that a slow one delays nobody
    /// else. Peers beyond [`Limits::connections`] are refused here and never seen.
    ///
    /// Cancellation safe.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let incoming = self.quinn.accept().await?;
            let (open, limit) = (
                self.quinn.open_connections(),
                self.shared.limits.connections,
            );
            if open >= limit {
                tracing::debug!(peer = %incoming.remote_address(), "refused: too many connections");
                incoming.refuse();
            } else if open >= limit / 2 && incoming.may_retry() {
                // From here on a peer has to show first that its address is its own, which costs it
                // a round trip, so that forged ones cannot take the places that are left.
                incoming.retry().expect("it was asked whether it may");
            } else {
                return Some(Incoming {
                    quinn: incoming,
                    endpoint: self.clone(),
                });
            }
        }
    }

    async fn established(
        &self,
        address: SocketAddr,
        handshake: impl Future<Output = Result<quinn::Connection, quinn::ConnectionError>>,
    ) -> Result<Connection, ConnectError> {
        let limit = self.shared.limits.connect;
        let quinn = timeout(limit, handshake)
            .await
            .map_err(|_| ConnectError::NoAnswer {
                address,
                seconds: limit.as_secs(),
            })?
            .map_err(|error| ConnectError::Handshake {
                address,
                lost: error.into(),
            })?;
        let peer = peer_of(&quinn).ok_or_else(|| ConnectError::Handshake {
            address,
            lost: Lost::Transport {
                reason: "the handshake yielded no certificate".to_owned(),
            },
        })?;
        Ok(Connection {
            quinn,
            peer,
            shared: self.shared.clone(),
            endings: Endings::default(),
        })
    }

    /// Closes all connections, and waits until the peers have been told, two seconds at most.
    ///
    /// Sessions that are over are over for the peers too. Those under way end with
    /// [`Lost::ClosedHere`] here and [`Lost::ClosedByPeer`] there; what they had stored stays.
    pub async fn close(&self) {
        self.shared.endings.over(CLOSING).await;
        self.quinn.close(SHUTDOWN, b"the node shuts down");
        // The peers find out by themselves when the telling fails, so there is no error to report.
        let _told = timeout(CLOSING, self.quinn.wait_idle()).await;
    }
}

/// How long a peer may take to acknowledge what is closed.
const CLOSING: Duration = Duration::from_secs(1);
/// Connection closed because it served its purpose.
const DONE: VarInt = VarInt::from_u32(0);
/// Connection closed because the node goes away.
const SHUTDOWN: VarInt = VarInt::from_u32(1);

fn peer_of(connection: &quinn::Connection) -> Option<NodeId> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    NodeId::of_certificate(chain.first()?).ok()
}

/// A peer that wants to connect.
#[derive(Debug)]
pub struct Incoming {
    quinn: quinn::Incoming,
    endpoint: Endpoint,
}

impl Incoming {
    /// Where it comes from.
    pub fn remote_addr(&self) -> SocketAddr {
        self.quinn.remote_address()
    }

    /// Does the handshake. A peer without a certificate of our cluster never becomes a connection.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`Limits::connect`] at the latest.
    pub async fn established(self) -> Result<Connection, ConnectError> {
        let address = self.quinn.remote_address();
        self.endpoint
            .established(address, self.quinn.into_future())
            .await
    }
}

/// An authenticated connection with a peer of the cluster. Sessions run over it, many at a time if
/// need be.
///
/// Cloning is cheap and yields the same connection, which closes when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) quinn: quinn::Connection,
    pub(crate) peer: NodeId,
    pub(crate) shared: Arc<Shared>,
    endings: Endings,
}

impl Connection {
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
    /// Before the process ends, [`Endpoint::close`] sees to it that the peers are told.
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
