//! An address that peers reach us at and that we reach them from, and how connections come about through it.
//!
//! Nothing here touches quinn's socket traits: the sockets are plain ones that quinn wraps by
//! itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::{CLOSING, Connection, EXPELLED, SHUTDOWN, Shared};
use super::endings::Endings;
use super::identity::{CERTIFICATE_NAME, Identity};
use super::limits::Limits;
use super::lost::{Alert, BindError, ConnectError, Lost};
use super::node_id::NodeId;
use super::petition::{Petition, Petitioner};
use super::tls::{self, ALPN, PETITION_ALPN};
use super::trust::{Admitted, Side, Trust};

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
        let trust = Trust::new(identity.clone()).map_err(|error| BindError::Tls {
            reason: error.to_string(),
        })?;
        Self::bind_with(address, &trust, limits)
    }

    /// As [`Endpoint::bind`], going by what may change later and is shared with other endpoints.
    ///
    /// # Errors
    /// As [`Endpoint::bind`].
    pub fn bind_with(
        address: SocketAddr,
        trust: &Trust,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let transport = limits.transport();
        let server = tls::server_config(trust).map_err(BindError::tls)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server
            .transport_config(transport.clone())
            .max_incoming(limits.connections);
        let client = tls::client_config(trust, ALPN).map_err(BindError::tls)?;
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
                node: trust.identity().node_id(),
                trust: trust.clone(),
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
        let connecting = self.quinn.connect(address, CERTIFICATE_NAME);
        let limit = self.shared.limits.connect;
        let quinn = handshake(address, connecting_to(address, connecting)?, limit).await?;
        match self.judge(Side::Server, &quinn)? {
            (peer, Admitted::Member(terms), chain) => Ok(Connection::new(
                &self.shared,
                Side::Server,
                quinn,
                peer,
                terms,
                chain,
            )),
            // Whom we connect to is never a guest.
            (_, Admitted::Guest, _) => Err(refused(&quinn, ACCESS_DENIED, "it is no member")),
        }
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

    /// Who the peer is, by the certificates that it has shown.
    fn judge(
        &self,
        side: Side,
        quinn: &quinn::Connection,
    ) -> Result<(NodeId, Admitted, Vec<CertificateDer<'static>>), ConnectError> {
        let chain = quinn
            .peer_identity()
            .and_then(|it| it.downcast::<Vec<CertificateDer<'static>>>().ok())
            .map(|chain| *chain)
            .unwrap_or_default();
        let judged = self.shared.trust.judge(side, &chain, UnixTime::now());
        let peer = chain.first().and_then(|it| NodeId::of_certificate(it).ok());
        match (peer, judged) {
            (Some(peer), Ok(admitted)) => Ok((peer, admitted, chain)),
            // It was good a moment ago.
            (_, Err(error)) => Err(refused(quinn, ACCESS_DENIED, &error.to_string())),
            (None, Ok(_)) => Err(refused(quinn, ACCESS_DENIED, "it shows no certificate")),
        }
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.shared.trust
    }

    pub(super) fn quinn(&self) -> &quinn::Endpoint {
        &self.quinn
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
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

/// The TLS alert for somebody whose certificate is good, yet not for what it is used for.
const ACCESS_DENIED: Alert = Alert(49);

/// Ends a connection whose handshake went well, as if it had not.
fn refused(quinn: &quinn::Connection, alert: Alert, reason: &str) -> ConnectError {
    quinn.close(EXPELLED, b"no member");
    ConnectError::Handshake {
        address: quinn.remote_address(),
        lost: Lost::RefusedByUs {
            alert,
            reason: reason.to_owned(),
        },
    }
}

/// Connects to a node, under a configuration of its own.
pub(super) async fn dial(
    endpoint: &quinn::Endpoint,
    config: quinn::ClientConfig,
    address: SocketAddr,
    limit: Duration,
) -> Result<quinn::Connection, ConnectError> {
    let connecting = endpoint.connect_with(config, address, CERTIFICATE_NAME);
    handshake(address, connecting_to(address, connecting)?, limit).await
}

fn connecting_to(
    address: SocketAddr,
    connecting: Result<quinn::Connecting, quinn::ConnectError>,
) -> Result<quinn::Connecting, ConnectError> {
    connecting.map_err(|error| match error {
        quinn::ConnectError::EndpointStopping => ConnectError::Closed,
        other => ConnectError::Address {
            address,
            reason: other.to_string(),
        },
    })
}

async fn handshake(
    address: SocketAddr,
    handshake: impl Future<Output = Result<quinn::Connection, quinn::ConnectionError>>,
    limit: Duration,
) -> Result<quinn::Connection, ConnectError> {
    timeout(limit, handshake)
        .await
        .map_err(|_| ConnectError::NoAnswer {
            address,
            seconds: limit.as_secs(),
        })?
        .map_err(|error| ConnectError::Handshake {
            address,
            lost: error.into(),
        })
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

    /// Does the handshake. A peer without a certificate of our cluster never becomes a connection, and the log says why.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`Limits::connect`] at the latest.
    pub async fn established(self) -> Result<Arrival, ConnectError> {
        let from = self.remote_addr();
        let arrival = self.arrive().await;
        if let Err(error) = &arrival {
            match error.was_member() {
                true => tracing::warn!(%from, %error, "turned away"),
                false => tracing::info!(%from, %error, "turned away"),
            }
        }
        arrival
    }

    async fn arrive(self) -> Result<Arrival, ConnectError> {
        let (address, endpoint) = (self.remote_addr(), self.endpoint);
        let limit = endpoint.shared.limits.connect;
        let quinn = handshake(address, self.quinn.into_future(), limit).await?;
        let (peer, admitted, chain) = endpoint.judge(Side::Client, &quinn)?;
        let petitioner = match (speaks(&quinn, PETITION_ALPN), admitted) {
            (false, Admitted::Member(terms)) => {
                return Ok(Arrival::Member(Connection::new(
                    &endpoint.shared,
                    Side::Client,
                    quinn,
                    peer,
                    terms,
                    chain,
                )));
            }
            (false, Admitted::Guest) => {
                let reason = "an invitation is good for a petition and nothing else";
                return Err(refused(&quinn, ACCESS_DENIED, reason));
            }
            (true, Admitted::Guest) => Petitioner::Guest { key: peer },
            (true, Admitted::Member(terms)) => Petitioner::Member {
                node: peer,
                grant: terms.grant,
            },
        };
        Ok(Arrival::Petitioner(Petition {
            quinn,
            petitioner,
            doorkeeper: endpoint.shared.trust.doorkeeper(),
            limits: endpoint.shared.limits.clone(),
        }))
    }
}

/// Which protocol a handshake has settled on.
fn speaks(quinn: &quinn::Connection, protocol: &[u8]) -> bool {
    quinn
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .is_some_and(|data| data.protocol.as_deref() == Some(protocol))
}

/// Who has come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Arrival {
    /// A member, for sessions.
    Member(Connection),
    /// Somebody with a petition, which is to be [answered](Petition::answer).
    Petitioner(Petition),
}
