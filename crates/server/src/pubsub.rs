//! Who has subscribed to what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use syncline::{Publications, Space};
use tokio::sync::Notify;
use tokio::task::coop;

use crate::client::{Client, lock};
use crate::glob;
use crate::keyspace;
use crate::mail::Limit;
use crate::reply::Reply;
use crate::server::{DATABASES, Shared};

/// Subscriptions of one client at most.
pub(crate) const MOST: usize = 100_000;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Channel,
    /// All channels whose names are as a pattern says.
    Pattern,
    /// A channel of `SPUBLISH`; another than one of the same name of `PUBLISH`.
    Shard,
}

/// What one client has subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions([BTreeSet<Bytes>; 3]);

impl Subscriptions {
    pub(crate) fn of(&self, topic: Topic) -> &BTreeSet<Bytes> {
        &self.0[topic as usize]
    }

    pub(crate) fn of_mut(&mut self, topic: Topic) -> &mut BTreeSet<Bytes> {
        &mut self.0[topic as usize]
    }

    /// As many as the client is told: those of a shard are counted for themselves.
    pub(crate) fn count(&self, topic: Topic) -> usize {
        match topic {
            Topic::Shard => self.of(Topic::Shard).len(),
            _ => self.of(Topic::Channel).len() + self.of(Topic::Pattern).len(),
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }
}

type Subscribers = BTreeMap<u64, Arc<Client>>;

/// All subscribers of this server.
#[derive(Default)]
pub(crate) struct PubSub {
    names: [RwLock<HashMap<Bytes, Subscribers>>; 3],
    /// How many of the names may tell what happens to keys, by database.
    of_keys: Mutex<[usize; DATABASES as usize]>,
    /// Told when there is a first of a database, or none any more.
    of_keys_changed: Notify,
}

impl PubSub {
    fn read<T>(&self, topic: Topic, look: impl FnOnce(&HashMap<Bytes, Subscribers>) -> T) -> T {
        let names = self.names[topic as usize].read();
        look(&names.unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, topic: Topic, change: impl FnOnce(&mut HashMap<Bytes, Subscribers>)) {
        let names = self.names[topic as usize].write();
        change(&mut names.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn subscribe(&self, topic: Topic, name: Bytes, client: &Arc<Client>) {
        self.change(topic, |names| {
            let subscribers = names.entry(name.clone()).or_default();
            if subscribers.is_empty() {
                self.count(topic, &name, |count| count + 1);
            }
            subscribers.insert(client.id, client.clone());
        });
    }

    pub(crate) fn unsubscribe(&self, topic: Topic, name: &Bytes, client: u64) {
        self.change(topic, |names| {
            if let Some(subscribers) = names.get_mut(name) {
                subscribers.remove(&client);
                if subscribers.is_empty() {
                    names.remove(name);
                    self.count(topic, name, |count| count - 1);
                }
            }
        });
    }

    /// A name is subscribed to that was not, or is not any more.
    fn count(&self, topic: Topic, name: &[u8], counted: impl Fn(usize) -> usize) {
        let databases = match topic {
            Topic::Channel => keyspace::databases_of(name, false),
            Topic::Pattern => keyspace::databases_of(name, true),
            Topic::Shard => 0,
        };
        if databases == 0 {
            return;
        }
        for (database, count) in lock(&self.of_keys).iter_mut().enumerate() {
            if databases & 1 << database != 0 {
                *count = counted(*count);
            }
        }
        self.of_keys_changed.notify_one();
    }

    /// The databases, as bits, of whose keys somebody may want to hear what happens to them.
    pub(crate) fn databases_heard(&self) -> u16 {
        let counts = lock(&self.of_keys);
        let bits = counts.iter().enumerate();
        bits.fold(0, |bits, (database, count)| {
            bits | u16::from(*count > 0) << database
        })
    }

    /// Waits until they may be others, or what is to be told of them has [changed](Self::look_again).
    pub(crate) async fn databases_changed(&self) {
        self.of_keys_changed.notified().await;
    }

    /// Other events are wanted.
    pub(crate) fn look_again(&self) {
        self.of_keys_changed.notify_one();
    }

    /// A client has left.
    pub(crate) fn leave(&self, subscriptions: &Subscriptions, client: u64) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            for name in subscriptions.of(topic) {
                self.unsubscribe(topic, name, client);
            }
        }
    }

    /// Leaves a message for all subscribers here, and says how many it reaches. One for whom too much waits already is dropped, and nobody
    /// waits for it.
    pub(crate) fn publish(
        &self,
        is_sharded: bool,
        channel: &Bytes,
        payload: &Bytes,
        limit: Limit,
    ) -> usize {
        let now = Instant::now();
        let mut reached = 0;
        let mut post = |client: &Client, kind: &'static str, pattern: Option<&Bytes>| {
            let mut parts = vec![Reply::word(kind)];
            parts.extend(pattern.cloned().map(Reply::Bulk));
            parts.extend([channel.clone(), payload.clone()].map(Reply::Bulk));
            let bytes = channel.len() + payload.len();
            match client.mail.post(Reply::Push(parts), bytes, limit, now) {
                true => reached += 1,
                false => client.end(),
            }
        };
        let (topic, kind) = match is_sharded {
            true => (Topic::Shard, "smessage"),
            false => (Topic::Channel, "message"),
        };
        self.read(topic, |names| {
            let subscribers = names.get(channel).into_iter().flat_map(BTreeMap::values);
            subscribers.for_each(|client| post(client, kind, None));
        });
        if !is_sharded {
            self.read(Topic::Pattern, |patterns| {
                for (pattern, subscribers) in patterns {
                    if glob::matches(pattern, channel, false) {
                        let subscribers = subscribers.values();
                        subscribers.for_each(|client| post(client, "pmessage", Some(pattern)));
                    }
                }
            });
        }
        reached
    }

    /// The names that somebody has subscribed to, as far as they are as a pattern says.
    pub(crate) fn names(&self, topic: Topic, pattern: &[u8]) -> Vec<Bytes> {
        self.read(topic, |names| {
            let names = names.keys();
            let names = names.filter(|name| glob::matches(pattern, name, false));
            names.cloned().collect()
        })
    }

    /// How many have subscribed to a name.
    pub(crate) fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.read(topic, |names| names.get(name).map_or(0, BTreeMap::len))
    }

    /// How many names are subscribed to.
    pub(crate) fn len(&self, topic: Topic) -> usize {
        self.read(topic, HashMap::len)
    }
}

/// Tells subscribers here what clients of other nodes publish, until the node is shut down.
pub(crate) async fn hear(shared: Arc<Shared>, mut publications: Publications) {
    loop {
        match publications.next().await {
            Ok(Some(published)) => {
                let is_sharded = published.space == Space::Shards;
                let channel = Bytes::from_owner(published.channel);
                let message = Bytes::from_owner(published.message);
                let limit = shared.settings.pubsub_limit();
                let reached = shared.pubsub.publish(is_sharded, &channel, &message, limit);
                tracing::trace!(reached, "heard");
            }
            Ok(None) => return,
            Err(missed) => {
                shared.stats.missed.fetch_add(missed.0, Ordering::Relaxed);
                tracing::warn!(
                    publications = missed.0,
                    "publications of other nodes were missed"
                );
            }
        }
        // However much there is to be told, others have their turn.
        coop::consume_budget().await;
    }
}
