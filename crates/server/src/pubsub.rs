//! Who has subscribed to what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;

use crate::client::Client;
use crate::glob;
use crate::mail::Limit;
use crate::reply::Reply;

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
pub(crate) struct PubSub([RwLock<HashMap<Bytes, Subscribers>>; 3]);

impl PubSub {
    fn read<T>(&self, topic: Topic, look: impl FnOnce(&HashMap<Bytes, Subscribers>) -> T) -> T {
        let names = self.0[topic as usize].read();
        look(&names.unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, topic: Topic, change: impl FnOnce(&mut HashMap<Bytes, Subscribers>)) {
        let names = self.0[topic as usize].write();
        change(&mut names.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn subscribe(&self, topic: Topic, name: Bytes, client: &Arc<Client>) {
        self.change(topic, |names| {
            let subscribers = names.entry(name).or_default();
            subscribers.insert(client.id, client.clone());
        });
    }

    pub(crate) fn unsubscribe(&self, topic: Topic, name: &Bytes, client: u64) {
        self.change(topic, |names| {
            if let Some(subscribers) = names.get_mut(name) {
                subscribers.remove(&client);
                if subscribers.is_empty() {
                    names.remove(name);
                }
            }
        });
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
