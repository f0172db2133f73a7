//! What the parts of a running node share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::net::Network;
use crate::outbox::{Outbox, Taker};
use crate::replica::{self, Replica};
use crate::room::Room;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::trust::Membership;
#[cfg(feature = "net")]
use crate::trust::state::TrustState;

/// What the parts of a running node share.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) membership: Membership,
    #[cfg(feature = "net")]
    pub(crate) trust: TrustState,
    pub(crate) room: Arc<Room>,
    #[cfg_attr(
        not(feature = "net"),
        expect(dead_code, reason = "there is nothing in it")
    )]
    pub(crate) network: Network,
    pub(crate) storage: Storage,
    namespaces: Mutex<Namespaces>,
    /// Told when other namespaces are carried than before.
    carrying: Notify,
    /// Who spreads what is written here.
    pub(crate) taker: Taker,
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
        network: Network,
        room: Room,
    ) -> Result<Self, StartError> {
        #[cfg(feature = "net")]
        let trust = TrustState::new(
            &membership,
            storage.identity_home().as_deref(),
            network.authority(),
        )?;
        Ok(Self {
            settings,
            membership,
            #[cfg(feature = "net")]
            trust,
            room: Arc::new(room),
            network,
            storage,
            namespaces: Mutex::default(),
            carrying: Notify::new(),
            taker: Taker::default(),
        })
    }

    /// Carries the namespaces that lie in the storage already.
    pub(crate) fn carry_stored(&self) -> Result<(), StartError> {
        for name in self.storage.namespaces()? {
            self.carry(&name);
        }
        Ok(())
    }

    /// The replica of a namespace whose name was checked; made, unopened, if there is none.
    pub(crate) fn carry(&self, name: &str) -> Replica {
        self.carry_at(name, self.storage.place(name, self.settings.cache_bytes))
    }

    /// The same, where its rows lie at a place of their own if it is made.
    pub(crate) fn carry_at(&self, name: &str, place: replica::Place) -> Replica {
        let mut namespaces = lock(&self.namespaces);
        if let Some(replica) = namespaces.carried.get(name) {
            return replica.clone();
        }
        let settings = self.replica_settings(name, place);
        let replica = match namespaces.closed {
            false => Replica::new(settings),
            true => Replica::closed(settings),
        };
        namespaces.carried.insert(name.to_owned(), replica.clone());
        self.carrying.notify_one();
        replica
    }

    /// What it takes to open a namespace whose rows lie at a place.
    pub(crate) fn replica_settings(&self, name: &str, place: replica::Place) -> replica::Settings {
        replica::Settings {
            namespace: name.to_owned(),
            secret: *self.membership.secret(),
            environment: self.settings.environment.clone(),
            place,
            outbox: Outbox::new(name, self.taker.clone()),
            room: self.room.clone(),
            worked: Arc::default(),
        }
    }

    /// Carries a namespace no longer: closes its replica and removes its files.
    pub(crate) async fn drop_namespace(&self, name: &str) -> Result<(), Error> {
        let replica = lock(&self.namespaces).carried.get(name).cloned();
        let replica = replica.ok_or_else(|| Error::NotCarried {
            namespace: name.to_owned(),
        })?;
        let files = self.storage.files_of(name);
        let namespace = name.to_owned();
        let remove = move || {
            let removed = files.map_or(Ok(()), |files| files.remove());
            removed.map_err(|source| Error::Files { namespace, source })
        };
        // As long as it is carried, nobody makes another replica on the same files.
        replica.drop_files(remove).await?;
        lock(&self.namespaces).carried.remove(name);
        self.carrying.notify_one();
        Ok(())
    }

    /// Where authority, invitations and the own identity lie, if anywhere.
    #[cfg(feature = "net")]
    pub(crate) fn identity_home(&self) -> Option<std::path::PathBuf> {
        self.storage.identity_home()
    }

    /// Those of the namespaces it carries that the node's certificate lets it share.
    #[cfg(feature = "net")]
    pub(crate) fn shared(&self) -> BTreeMap<String, Replica> {
        let mut carried = self.carried();
        carried.retain(|namespace, _| self.trust.trust().may_carry(namespace));
        carried
    }

    /// The namespaces that the node carries.
    pub(crate) fn carried(&self) -> BTreeMap<String, Replica> {
        lock(&self.namespaces).carried.clone()
    }

    /// Waits until other namespaces are carried than when it last returned. For one task.
    #[cfg(feature = "net")]
    pub(crate) async fn carried_others(&self) {
        self.carrying.notified().await;
    }

    /// From now on whatever is asked for is refused.
    pub(crate) fn refuse(&self) {
        lock(&self.namespaces).closed = true;
    }

    #[cfg(feature = "net")]
    pub(crate) fn is_refusing(&self) -> bool {
        lock(&self.namespaces).closed
    }

    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.refuse();
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
