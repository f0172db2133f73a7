//! Syncing with a peer: whom, how, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_sync::quic::{BindError, ConnectError, Connection, DriveError, NodeId};
use syncline_sync::{Config, RefusalCode, Report, Request, SessionError, Strategy};

use crate::error::Error;
use crate::node::{Core, Node};
use crate::replica::Replica;

/// Where a peer is: a socket address or `host:port`, or a node of this process.
///
/// ```
/// use std::net::SocketAddr;
/// use syncline::PeerAddr;
///
/// let there = PeerAddr::from("10.0.0.7:7400");
/// assert_eq!(there, PeerAddr::from(SocketAddr::from(([10, 0, 0, 7], 7400))));
/// assert_eq!(there.to_string(), "10.0.0.7:7400");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(String);

impl From<&str> for PeerAddr {
    fn from(address: &str) -> Self {
        Self(address.to_owned())
    }
}

impl From<String> for PeerAddr {
    fn from(address: String) -> Self {
        Self(address)
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

/// Where a node of this process listens. One that does not cannot be reached.
impl From<&Node> for PeerAddr {
    fn from(node: &Node) -> Self {
        let Some(mut address) = node.local_addr() else {
            return Self(NOWHERE.to_owned());
        };
        if address.ip().is_unspecified() {
            let loopback = match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            address.set_ip(loopback);
        }
        address.into()
    }
}

/// What no address is.
const NOWHERE: &str = "a node that does not listen";

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

    fn request(&self) -> Request {
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
    /// The namespaces that the peer does not carry.
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
    /// Whether the peer said that it does not carry the namespace.
    fn is_not_carried(&self) -> bool {
        let Self::Session {
            source: DriveError::Session(SessionError::Refused(refusal)),
            ..
        } = self
        else {
            return false;
        };
        refusal.code == RefusalCode::Namespace
    }
}

impl Core {
    /// Syncs every namespace that both carry.
    pub(crate) async fn sync_all(
        &self,
        peer: &PeerAddr,
        options: &SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        let connection = self.connect(peer).await?;
        let mut report = SyncReport {
            peer: connection.peer(),
            namespaces: BTreeMap::new(),
            not_shared: Vec::new(),
        };
        let mut failed = None;
        for (namespace, replica) in self.carried() {
            match self.session(&connection, &replica, options).await {
                Ok(done) => {
                    report.namespaces.insert(namespace, done);
                }
                Err(error) if error.is_not_carried() => report.not_shared.push(namespace),
                Err(error) => {
                    tracing::warn!(%peer, namespace, %error, "the session failed");
                    failed.get_or_insert(error);
                }
            }
        }
        connection.close();
        match failed {
            None => Ok(report),
            Some(error) => Err(error),
        }
    }

    /// Syncs one namespace.
    pub(crate) async fn sync_one(
        &self,
        peer: &PeerAddr,
        replica: &Replica,
        options: &SyncOptions,
    ) -> Result<Report, SyncError> {
        let connection = self.connect(peer).await?;
        let report = self.session(&connection, replica, options).await;
        connection.close();
        report
    }

    async fn connect(&self, peer: &PeerAddr) -> Result<Connection, SyncError> {
        let unreachable = |reason: String| SyncError::Address {
            peer: peer.clone(),
            reason,
        };
        let found = tokio::net::lookup_host(&peer.0).await;
        let found: Vec<_> = found
            .map_err(|error| unreachable(error.to_string()))?
            .collect();
        let dialler = self.dialler()?;
        let mut last = None;
        for address in found {
            match dialler.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => error.into(),
            None => unreachable("the name has no address".to_owned()),
        })
    }

    async fn session(
        &self,
        connection: &Connection,
        replica: &Replica,
        options: &SyncOptions,
    ) -> Result<Report, SyncError> {
        let open = replica.open().await?;
        let config = self.session_config(replica.namespace());
        let session = connection.sync(open, config, options.request());
        session.await.map_err(|source| SyncError::Session {
            namespace: replica.namespace().to_owned(),
            source,
        })
    }

    pub(crate) fn session_config(&self, namespace: &str) -> Config {
        let mut config = Config::new(
            *self.membership.cluster_id().as_bytes(),
            *self.id().as_bytes(),
            namespace,
            self.settings.environment.wall_ms(),
        );
        let skew = self.settings.max_clock_skew.as_millis();
        config.max_clock_skew_ms = u64::try_from(skew).unwrap_or(u64::MAX);
        config
    }
}
