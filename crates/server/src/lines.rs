//! Lines of clients that wait for something to be under a key: who came first is served first.
//!
//! Only the first of a line takes something from its key. It is woken when the key has changed, by whomever and on whichever node. Whoever leaves, served or
//! not, wakes the next of the line, for there may be more. So a change is looked at by as many as it has something for, and one more, however long the line is.
//!
//! What changes is followed by tasks: one for each key or, where more than a few keys of a database are waited for, one for all others of that database.
//! Writers have to tell each follower of each commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use syncline::watch::{Change, Event};
use syncline::{Error, Namespace};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::lock;
use crate::server::{DATABASES, Shared};

/// Keys of a database that have followers of their own, at most.
const NARROW: usize = 32;
/// How long a follower waits where the database cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// All lines of a server.
#[derive(Default)]
pub(crate) struct Lines {
    databases: [Mutex<Database>; DATABASES as usize],
    last_ticket: AtomicU64,
}

#[derive(Default)]
struct Database {
    /// By their keys. None is empty.
    lines: HashMap<Bytes, Line>,
    /// The follower of keys that have none of their own.
    broad: Weak<Follower>,
    /// How many have.
    narrow: usize,
}

struct Line {
    /// By their tickets, in the order in which they came.
    waiting: BTreeMap<u64, Arc<Notify>>,
    follower: Arc<Follower>,
}

impl Line {
    fn is_first(&self, ticket: u64) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(first, _)| *first == ticket)
    }

    fn wake_first(&self) {
        if let Some(first) = self.waiting.values().next() {
            first.notify_one();
        }
    }
}

impl Lines {
    /// Of a database that there is.
    fn of(&self, database: u8) -> &Mutex<Database> {
        &self.databases[usize::from(database % DATABASES)]
    }

    /// Whether nobody waits for a key.
    pub(crate) fn is_free(&self, database: u8, key: &[u8]) -> bool {
        !lock(self.of(database)).lines.contains_key(key)
    }

    /// Wakes the first of the lines of these keys.
    fn wake(&self, database: u8, keys: &BTreeSet<Vec<u8>>) {
        let database = lock(self.of(database));
        let lines = keys.iter().filter_map(|key| database.lines.get(&key[..]));
        lines.for_each(Line::wake_first);
    }

    /// Wakes the first of each line of a follower.
    fn wake_all(&self, database: u8, key: Option<&Bytes>) {
        let database = lock(self.of(database));
        match key {
            Some(key) => database
                .lines
                .get(key)
                .into_iter()
                .for_each(Line::wake_first),
            None => database.lines.values().for_each(Line::wake_first),
        }
    }
}

/// A client's place in the lines of some keys, which it leaves when this is dropped.
pub(crate) struct Place {
    server: Arc<Shared>,
    database: u8,
    keys: Vec<Bytes>,
    ticket: u64,
    woken: Arc<Notify>,
}

impl Place {
    /// At the end of the lines. Its first turn comes at once: what has changed before is told to nobody.
    pub(crate) fn take(
        server: &Arc<Shared>,
        namespace: &Namespace,
        database: u8,
        keys: Vec<Bytes>,
    ) -> Self {
        let place = Self {
            server: server.clone(),
            database,
            keys,
            ticket: server.lines.last_ticket.fetch_add(1, Ordering::Relaxed),
            woken: Arc::default(),
        };
        let mut of = lock(server.lines.of(database));
        for key in &place.keys {
            if let Some(line) = of.lines.get_mut(key) {
                line.waiting.insert(place.ticket, place.woken.clone());
                continue;
            }
            let follower = of.follower(server, namespace, database, key);
            let waiting = BTreeMap::from([(place.ticket, place.woken.clone())]);
            of.lines.insert(key.clone(), Line { waiting, follower });
        }
        drop(of);
        place.woken.notify_one();
        place
    }

    /// Waits until something may have come to a key whose line it is the first of. Nothing is lost when the future is dropped.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Which of the keys it is the turn of this place at.
    pub(crate) fn turns(&self) -> Vec<usize> {
        let of = lock(self.server.lines.of(self.database));
        let is_first = |key: &Bytes| {
            let line = of.lines.get(key);
            line.is_some_and(|line| line.is_first(self.ticket))
        };
        let keys = self.keys.iter().enumerate();
        keys.filter_map(|(at, key)| is_first(key).then_some(at))
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = lock(self.server.lines.of(self.database));
        for key in &self.keys {
            let Some(line) = of.lines.get_mut(key) else {
                continue;
            };
            let was_first = line.is_first(self.ticket);
            line.waiting.remove(&self.ticket);
            if was_first {
                line.wake_first();
            }
            if line.waiting.is_empty() {
                let line = of.lines.remove(key);
                let was_narrow = line.is_some_and(|line| line.follower.is_narrow);
                of.narrow -= usize::from(was_narrow);
            }
        }
    }
}

/// What hears of changes; no more once nobody has use for it.
struct Follower {
    is_narrow: bool,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Database {
    fn follower(
        &mut self,
        server: &Arc<Shared>,
        namespace: &Namespace,
        database: u8,
        key: &Bytes,
    ) -> Arc<Follower> {
        let is_narrow = self.narrow < NARROW;
        if !is_narrow && let Some(follower) = self.broad.upgrade() {
            return follower;
        }
        let followed = Followed {
            server: Arc::downgrade(server),
            namespace: namespace.clone(),
            database,
            key: is_narrow.then(|| key.clone()),
        };
        let follower = Arc::new(Follower {
            is_narrow,
            task: tokio::spawn(followed.follow()),
        });
        match is_narrow {
            true => self.narrow += 1,
            false => self.broad = Arc::downgrade(&follower),
        }
        follower
    }
}

/// A key, or all of a database.
struct Followed {
    server: Weak<Shared>,
    namespace: Namespace,
    database: u8,
    key: Option<Bytes>,
}

impl Followed {
    /// Wakes whom a change concerns, until it is aborted.
    async fn follow(self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!(database = self.database, %error, "changes are not heard of");
                // Who waits is to find out why.
                self.wake_all();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn wake_all(&self) {
        if let Some(server) = self.server.upgrade() {
            server.lines.wake_all(self.database, self.key.as_ref());
        }
    }

    /// Returns where it has fallen behind.
    async fn hear(&self) -> Result<(), Error> {
        // Keys that begin alike are heard of, too: there are few, and nobody is woken.
        let prefix = self.key.as_ref().map_or(&[][..], |key| key);
        let now = self.namespace.resume_from_now(prefix).await?;
        let mut watch = self.namespace.watch_from(prefix, now.to_bytes()).await?;
        // What was written before now is told to nobody.
        self.wake_all();
        let mut changed = BTreeSet::new();
        loop {
            match watch.next().await? {
                // All that there is would be told anew.
                Event::Reset => return Ok(()),
                // A member that is gone is nothing to be had.
                Event::Change(Change::Score { score: None, .. }) => {}
                Event::Change(change) => {
                    changed.insert(change.key().to_vec());
                }
                _ => {
                    let changed = mem::take(&mut changed);
                    if let Some(server) = self.server.upgrade() {
                        server.lines.wake(self.database, &changed);
                    }
                }
            }
        }
    }
}
