//! What the parts of a running node share.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_sync::quic::{BindError, Endpoint, NodeId};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::peers::Peers;
use crate::replica::{self, Replica};
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::sync::SyncError;
use crate::trust::Membership;

/// What the parts of a running node share.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) membership: Membership,
    pub(crate) peers: Peers,
    storage: Storage,
    namespaces: Mutex<Namespaces>,
    /// For connections that we make, bound when it is first needed. It is not the one we listen on, whose address may be
    /// one that reaches nobody, such as loopback.
    dialler: Mutex<Option<Endpoint>>,
}

#[derive(Default)]
struct Namespaces {
    carried: BTreeMap<String, Replica>,
    /// Whether the node was shut down: replicas asked for from then on cannot be opened, nor peers dialled.
    closed: bool,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        storage: Storage,
        membership: Membership,
        peers: Peers,
    ) -> Self {
        Self {
            settings,
            membership,
            peers,
            storage,
            namespaces: Mutex::default(),
            dialler: Mutex::default(),
        }
    }

    /// Carries the namespaces that lie in the storage already.
    pub(crate) fn carry_stored(&self) -> Result<(), StartError> {
        for name in self.storage.namespaces()? {
            self.carry(&name);
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> NodeId {
        self.membership.identity.node_id()
    }

    /// The replica of a namespace whose name was checked; made, unopened, if there is none.
    pub(crate) fn carry(&self, name: &str) -> Replica {
        let mut namespaces = lock(&self.namespaces);
        if let Some(replica) = namespaces.carried.get(name) {
            return replica.clone();
        }
        let settings = replica::Settings {
            namespace: name.to_owned(),
            secret: *self.membership.secret(),
            environment: self.settings.environment.clone(),
            place: self.storage.place(name, self.settings.cache_bytes),
        };
        let replica = match namespaces.closed {
            false => Replica::new(settings),
            true => Replica::closed(settings),
        };
        namespaces.carried.insert(name.to_owned(), replica.clone());
        replica
    }

    /// The namespaces that the node carries.
    pub(crate) fn carried(&self) -> BTreeMap<String, Replica> {
        lock(&self.namespaces).carried.clone()
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> Result<Endpoint, BindError> {
        Endpoint::bind(
            address,
            &self.membership.identity,
            self.settings.limits.clone(),
        )
    }

    /// The endpoint to connect from.
    pub(crate) fn dialler(&self) -> Result<Endpoint, SyncError> {
        if lock(&self.namespaces).closed {
            return Err(Error::Closed.into());
        }
        let mut dialler = lock(&self.dialler);
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

    pub(crate) fn stop_dialling(&self) -> Option<Endpoint> {
        lock(&self.namespaces).closed = true;
        lock(&self.dialler).take()
    }

    pub(crate) async fn close(&self) -> Result<(), Error> {
        let mut closing = JoinSet::new();
        for replica in self.carried().into_values() {
            closing.spawn(async move { replica.close().await });
        }
        let mut outcome = Ok(());
        while let Some(closed) = closing.join_next().await {
            // A panic in there was reported by whoever panicked.
            let closed = closed.unwrap_or(Err(Error::Closed));
            if outcome.is_ok() {
                outcome = closed;
            }
        }
        self.storage.release();
        outcome
    }
}

/// Locks what no holder can leave half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
