//! The endpoints of a node, dialling a peer, and a session with it for each namespace.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use syncline_sync::quic::{BindError, Connection, Endpoint, NodeId};
use syncline_sync::{Config, Report};

use super::peer_addr::PeerAddr;
use super::sync::{SyncError, SyncOptions, SyncReport};
use crate::core::{Core, lock};
use crate::error::Error;
use crate::replica::Replica;

impl Core {
    pub(crate) fn id(&self) -> NodeId {
        self.membership.identity.node_id()
    }

    pub(super) fn bind(&self, address: SocketAddr) -> Result<Endpoint, BindError> {
        let limits = self.network.settings.limits.clone();
        Endpoint::bind_with(address, self.trust.trust(), limits)
    }

    /// The endpoint to connect from.
    pub(crate) fn dialler(&self) -> Result<Endpoint, SyncError> {
        if self.is_refusing() {
            return Err(Error::Closed.into());
        }
        let mut dialler = lock(&self.network.dialler);
        if let Some(endpoint) = &*dialler {
            return Ok(endpoint.clone());
        }
        // Where there is no IPv6, its wildcard address is not to be had.
        let endpoint = self
            .bind((Ipv6Addr::UNSPECIFIED, 0).into())
            .or_else(|_| self.bind((Ipv4Addr::UNSPECIFIED, 0).into()))?;
        *dialler = Some(endpoint.clone());
        Ok(endpoint)
    }

    pub(super) fn stop_dialling(&self) -> Option<Endpoint> {
        self.refuse();
        lock(&self.network.dialler).take()
    }

    /// Syncs every namespace that both carry.
    pub(crate) async fn sync_all(
        &self,
        peer: &PeerAddr,
        options: &SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        let connection = self.connect(peer).await?;
        let report = self.sync_over(&connection, options).await;
        connection.close();
        report
    }

    /// Syncs every namespace that both carry, over a connection.
    pub(crate) async fn sync_over(
        &self,
        connection: &Connection,
        options: &SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        let peer = connection.peer();
        let mut report = SyncReport {
            peer,
            namespaces: BTreeMap::new(),
            not_shared: Vec::new(),
        };
        let mut failed = None;
        for (namespace, replica) in self.carried() {
            match self.session(connection, &replica, options).await {
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

    pub(crate) async fn connect(&self, peer: &PeerAddr) -> Result<Connection, SyncError> {
        let unreachable = |reason: String| SyncError::Address {
            peer: peer.clone(),
            reason,
        };
        let found = tokio::net::lookup_host(peer.as_str()).await;
        let found: Vec<_> = found
            .map_err(|error| unreachable(error.to_string()))?
            .collect();
        match found.is_empty() {
            false => self.dial(&found).await,
            true => Err(unreachable("the name has no address".to_owned())),
        }
    }

    /// Connects to the first of these addresses, of which there is one, at which somebody answers.
    pub(crate) async fn dial(&self, addresses: &[SocketAddr]) -> Result<Connection, SyncError> {
        let dialler = self.dialler()?;
        let mut outcome = Err(Error::Closed.into());
        for address in addresses {
            outcome = dialler.connect(*address).await.map_err(SyncError::from);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    pub(crate) async fn session(
        &self,
        connection: &Connection,
        replica: &Replica,
        options: &SyncOptions,
    ) -> Result<Report, SyncError> {
        let open = replica.open().await?;
        let config = self.session_config(replica.namespace());
        let peer = connection.peer();
        let acquainted = lock(&self.network.acquainted).contains(&peer);
        let request = options.request().introducing(acquainted);
        let ticket = self.network.accounts.begins(peer, replica.namespace());
        let open = open.drawing(ticket.picture.clone());
        let outcome = connection.sync(open, config, request).await;
        ticket.end(&outcome);
        let mut all = lock(&self.network.acquainted);
        match &outcome {
            Ok(report) if report.knows_carriers => all.insert(peer),
            // It may have been set up anew, with another version.
            Ok(_) | Err(_) => all.remove(&peer),
        };
        if let Ok(report) = &outcome {
            self.met(peer, replica, report);
        }
        outcome.map_err(|source| SyncError::Session {
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
        let skew = self.network.settings.max_clock_skew.as_millis();
        config.max_clock_skew_ms = u64::try_from(skew).unwrap_or(u64::MAX);
        config.batch_bytes = self.network.postage.frame_bytes();
        config
    }
}
