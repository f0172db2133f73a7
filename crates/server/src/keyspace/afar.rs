//! What other nodes have done to keys, told to the clients of this one.
//!
//! A change that comes from another node is of places, not of commands: which rows it has changed is known, and what they are now. So each place
//! has an event of its kind, once for a key in what is told together, and what has come twice meanwhile is told once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use syncline::watch::{Arrivals, Change};
use syncline::{Error, Namespace, View};
use tokio::time::sleep;

use super::expired::Told;
use super::{PAUSE, tell};
use crate::notes::{Class, Event};
use crate::server::Shared;

/// Tells what comes from other nodes, until the node is shut down.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    database: u8,
    namespace: &Namespace,
    told: &Arc<Told>,
) {
    let hear = async |mut arrivals: Arrivals| loop {
        let arrived = match arrivals.next().await {
            Ok(arrived) => arrived,
            Err(error) => return error,
        };
        if arrived.has_missed {
            missed(shared, database, None);
        }
        let told = told.clone();
        let changes = arrived.changes;
        let events = namespace.read(move |view| events(view, &changes, &told));
        match events.await {
            Ok(events) => events.iter().for_each(|it| tell(shared, database, it)),
            Err(error) => return error,
        }
    };
    loop {
        match namespace.arrivals("").await {
            Ok(arrivals) => match hear(arrivals).await {
                Error::Closed | Error::Dropped { .. } => return,
                error => {
                    missed(shared, database, Some(&error));
                    sleep(PAUSE).await;
                }
            },
            Err(error) => return missed(shared, database, Some(&error)),
        }
    }
}

/// Some of what has come is not told: too much came at once, or it could not be read.
fn missed(shared: &Shared, database: u8, error: Option<&Error>) {
    shared.stats.untold.fetch_add(1, Ordering::Relaxed);
    let error = error.map(ToString::to_string);
    tracing::warn!(
        database,
        error,
        "keyspace notifications of changes by other nodes were missed"
    );
}

/// What has happened to one key.
#[derive(Default)]
struct Happened {
    /// In the order in which they are told.
    events: Vec<(Class, &'static str)>,
    /// Whether anything was taken from it.
    is_less: bool,
}

impl Happened {
    fn add(&mut self, class: Class, name: &'static str) {
        if !self.events.contains(&(class, name)) {
            self.events.push((class, name));
        }
    }
}

fn events(view: &View, changes: &[Change], told: &Told) -> Result<Vec<Event>, Error> {
    let mut keys: BTreeMap<&[u8], Happened> = BTreeMap::new();
    for change in changes {
        let happened = keys.entry(change.key()).or_default();
        let is_removal = change.is_removal();
        // A deadline that goes is no loss to the key.
        happened.is_less |= is_removal && !matches!(change, Change::Deadline { .. });
        let (class, made, removed) = match change {
            Change::Value { .. } => (Class::String, "set", None),
            Change::Field { .. } => (Class::Hash, "hset", Some("hdel")),
            Change::Member { .. } => (Class::Set, "sadd", Some("srem")),
            Change::Score { .. } => (Class::SortedSet, "zadd", Some("zrem")),
            Change::Deadline { .. } => (Class::Generic, "expire", Some("persist")),
            _ => continue,
        };
        match is_removal {
            false => happened.add(class, made),
            true => removed.into_iter().for_each(|it| happened.add(class, it)),
        }
    }
    let mut events = Vec::new();
    for (key, mut happened) in keys {
        if view.kind(key)?.is_none() {
            // Whatever has come with it: nothing of it is left to see.
            happened.events.clear();
            match view.expired_at(key)? {
                Some(at) if told.first(key, at) => happened.add(Class::Expired, "expired"),
                None if happened.is_less => happened.add(Class::Generic, "del"),
                _ => {}
            }
        } else if happened.events.len() > 1 {
            // A new value takes the deadline away, as `SET` does, and that is not told.
            happened
                .events
                .retain(|it| *it != (Class::Generic, "persist"));
        }
        let key = Bytes::copy_from_slice(key);
        let event = |(class, name)| Event {
            class,
            name,
            key: key.clone(),
        };
        events.extend(happened.events.into_iter().map(event));
    }
    Ok(events)
}
