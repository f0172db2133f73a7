//! The clients that are connected, as others see them.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::mail::Mail;

/// A client that is connected.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) since: Instant,
    /// Milliseconds from `since` to its last request.
    active: AtomicU64,
    database: AtomicU8,
    said: Mutex<Said>,
    /// How many subscriptions it has.
    subscriptions: AtomicUsize,
    /// What waits for it.
    pub(crate) mail: Mail,
    /// Told when it is to be disconnected.
    pub(crate) ended: Notify,
    /// Told how its wait is to end; there while it waits for something, and nobody has ended that.
    wait: Mutex<Option<oneshot::Sender<Unblock>>>,
}

/// How another client ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were over.
    AsIfOver,
    WithError,
}

/// A client that waits for something, until this is dropped.
pub(crate) struct Blocked<'c> {
    client: &'c Client,
    told: oneshot::Receiver<Unblock>,
}

impl Blocked<'_> {
    /// Waits until another client ends the wait.
    pub(crate) async fn unblocked(&mut self) -> Unblock {
        match (&mut self.told).await {
            Ok(how) => how,
            Err(_) => pending().await,
        }
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        *lock(&self.client.wait) = None;
    }
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
            active: AtomicU64::new(0),
            database: AtomicU8::new(0),
            said: Mutex::default(),
            subscriptions: AtomicUsize::new(0),
            mail: Mail::default(),
            ended: Notify::new(),
            wait: Mutex::default(),
        }
    }

    /// It waits for something.
    pub(crate) fn block(&self) -> Blocked<'_> {
        let (tell, told) = oneshot::channel();
        *lock(&self.wait) = Some(tell);
        Blocked { client: self, told }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        lock(&self.wait).is_some()
    }

    /// Ends its wait; whether it was waiting.
    pub(crate) fn unblock(&self, how: Unblock) -> bool {
        let wait = lock(&self.wait).take();
        wait.is_some_and(|tell| tell.send(how).is_ok())
    }

    /// It has asked for something.
    pub(crate) fn asks(&self, command: &'static str) {
        let active = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active.store(active, Ordering::Relaxed);
        lock(&self.said).command = command;
    }

    /// For how long it has asked for nothing.
    pub(crate) fn idle(&self) -> Duration {
        let active = Duration::from_millis(self.active.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(active)
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(crate) fn subscribed(&self, subscriptions: usize) {
        self.subscriptions.store(subscriptions, Ordering::Relaxed);
    }

    /// Has it disconnected.
    pub(crate) fn end(&self) {
        self.ended.notify_one();
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
    /// Whether `pause` is to be looked at.
    is_paused: AtomicBool,
    pause: Mutex<Option<Pause>>,
    resumed: Notify,
}

#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    /// Whether reads wait as well.
    is_all: bool,
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

    /// Has what clients ask for wait: all of it, or what may change something.
    pub(crate) fn pause(&self, until: Instant, is_all: bool) {
        let mut pause = lock(&self.pause);
        // The stricter of two, and the longer, as in Redis.
        *pause = Some(match *pause {
            Some(before) if before.until > Instant::now() => Pause {
                until: before.until.max(until),
                is_all: before.is_all || is_all,
            },
            _ => Pause { until, is_all },
        });
        self.is_paused.store(true, Ordering::Release);
    }

    pub(crate) fn unpause(&self) {
        *lock(&self.pause) = None;
        self.is_paused.store(false, Ordering::Release);
        self.resumed.notify_waiters();
    }

    /// Waits while clients are paused; one that only reads, while all are.
    pub(crate) async fn turn(&self, writes: bool) {
        while self.is_paused.load(Ordering::Acquire) {
            let resumed = self.resumed.notified();
            let pause = *lock(&self.pause);
            match pause {
                Some(pause) if pause.until > Instant::now() => {
                    if !writes && !pause.is_all {
                        return;
                    }
                    tokio::select! {
                        () = resumed => {}
                        () = tokio::time::sleep_until(pause.until.into()) => {}
                    }
                }
                _ => {
                    self.is_paused.store(false, Ordering::Release);
                }
            }
        }
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
