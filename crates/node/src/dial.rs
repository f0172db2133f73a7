//! Dialling a peer, and a session with it for each namespace.

use std::collections::BTreeMap;

use syncline_sync::quic::Connection;
use syncline_sync::{Config, Report};

use crate::core::Core;
use crate::peer_addr::PeerAddr;
use crate::replica::Replica;
use crate::sync::{SyncError, SyncOptions, SyncReport};

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
        let found = tokio::net::lookup_host(peer.as_str()).await;
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
