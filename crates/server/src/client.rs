//! The clients that are connected, as others see them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

/// A client that is connected.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) since_wall: SystemTime,
    /// Milliseconds from `since` to its last request.
    active: AtomicU64,
    database: AtomicU8,
    said: Mutex<Said>,
    /// Told when it is to be disconnected.
    pub(crate) ended: Notify,
}

/// What it says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) name: Bytes,
    pub(crate) library: Bytes,
    pub(crate) library_version: Bytes,
    /// The last command.
    pub(crate) command: &'static str,
}

impl Client {
    fn new(id: u64, address: SocketAddr, local: SocketAddr) -> Self {
        Self {
            id,
            address,
            local,
            since: Instant::now(),
            since_wall: SystemTime::now(),
            active: AtomicU64::new(0),
            database: AtomicU8::new(0),
            said: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// It has asked for something.
    pub(crate) fn asks(&self, command: &'static str) {
        let active = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active.store(active, Ordering::Relaxed);
        lock(&self.said).command = command;
    }

    pub(crate) fn select(&self, database: u8) {
        self.database.store(database, Ordering::Relaxed);
    }

    pub(crate) fn database(&self) -> u8 {
        self.database.load(Ordering::Relaxed)
    }

    pub(crate) fn rename(&self, name: Bytes) {
        lock(&self.said).name = name;
    }

    pub(crate) fn said(&self) -> Said {
        lock(&self.said).clone()
    }

    pub(crate) fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut lock(&self.said));
    }
}

/// All clients.
#[derive(Default)]
pub(crate) struct Clients {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last: u64,
    clients: BTreeMap<u64, Arc<Client>>,
}

impl Clients {
    /// Lets one in, if there are fewer than so many.
    pub(crate) fn admit(
        &self,
        address: SocketAddr,
        local: SocketAddr,
        most: usize,
    ) -> Option<Arc<Client>> {
        let mut known = lock(&self.known);
        if known.clients.len() >= most {
            return None;
        }
        known.last += 1;
        let client = Arc::new(Client::new(known.last, address, local));
        known.clients.insert(client.id, Arc::clone(&client));
        Some(client)
    }

    pub(crate) fn leave(&self, id: u64) {
        lock(&self.known).clients.remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.known).clients.len()
    }

    /// By the order in which they came.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        lock(&self.known).clients.values().cloned().collect()
    }
}

/// What is locked here is whole after each step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
