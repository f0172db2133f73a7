//! Keyspace notifications: what commands here, and other nodes, do to keys, published to the clients of this node.

mod afar;
mod expired;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use syncline::Namespace;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::expired::Told;

use crate::notes::{Class, Event};
use crate::server::{DATABASES, Shared, database_name};
use crate::settings::Settings;

/// Has what happens to keys published, as far as `notify-keyspace-events` wants it.
pub(crate) fn publish(shared: &Arc<Shared>) {
    let server = Arc::downgrade(shared);
    let is_first = shared.events.listen(Box::new(move |database, event| {
        if let Some(server) = server.upgrade() {
            tell(&server, database, event);
        }
    }));
    debug_assert!(is_first, "a server publishes them once");
}

fn flags(settings: &Settings) -> String {
    settings.get("notify-keyspace-events").unwrap_or_default()
}

/// Those that are wanted: none where no channel is.
pub(crate) fn classes(settings: &Settings) -> Vec<Class> {
    let flags = flags(settings);
    if !flags.contains(['K', 'E']) {
        return Vec::new();
    }
    let letters = flags.replace('A', "g$lshzxetd");
    letters.bytes().filter_map(Class::of).collect()
}

fn tell(server: &Shared, database: u8, event: &Event) {
    let flags = flags(&server.settings);
    let name = Bytes::from_static(event.name.as_bytes());
    let channel = |kind: &str, of: &[u8]| {
        let prefix = format!("__{kind}@{database}__:");
        Bytes::from([prefix.as_bytes(), of].concat())
    };
    let publish = |channel: &Bytes, payload: &Bytes| {
        let limit = server.settings.pubsub_limit();
        server.pubsub.publish(false, channel, payload, limit);
    };
    if flags.contains('K') {
        publish(&channel("keyspace", &event.key), &name);
    }
    if flags.contains('E') {
        publish(&channel("keyevent", &name), &event.key);
    }
}

/// After an error, before it is tried again: what fails once may well fail again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether databases are carried that were not, while somebody listens.
const AGAIN: Duration = Duration::from_secs(1);

/// Has what other nodes do told, and what expires, in the databases of which somebody wants to hear, for as long as that is so.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut followed: BTreeMap<u8, JoinSet<()>> = BTreeMap::new();
    loop {
        let wanted = match classes(&shared.settings).is_empty() {
            true => 0,
            false => shared.pubsub.databases_heard(),
        };
        followed.retain(|database, _| wanted & 1 << database != 0);
        if wanted != 0 {
            // Nobody listening makes the node carry more.
            let carried = shared.node.namespaces();
            for database in 0..DATABASES {
                let is_wanted = wanted & 1 << database != 0;
                if is_wanted
                    && !followed.contains_key(&database)
                    && carried.contains(&database_name(database))
                    && let Ok(namespace) = shared.namespace(database)
                {
                    let mut task = JoinSet::new();
                    task.spawn(tell_of(shared.clone(), database, namespace));
                    followed.insert(database, task);
                }
            }
        }
        let changed = shared.pubsub.databases_changed();
        match wanted {
            0 => changed.await,
            // Whether it has changed or not, it is looked again.
            _ => drop(timeout(AGAIN, changed).await),
        }
    }
}

async fn tell_of(shared: Arc<Shared>, database: u8, namespace: Namespace) {
    let told = Arc::new(Told::default());
    tokio::join!(
        afar::follow(&shared, database, &namespace, &told),
        expired::follow(&shared, database, &namespace, &told),
    );
}

/// The databases, as bits, of whose events a channel tells, or the channels that match a pattern may tell.
pub(crate) fn databases_of(name: &[u8], is_pattern: bool) -> u16 {
    let is_special = |byte: &u8| is_pattern && b"*?[\\".contains(byte);
    let literal = name.iter().position(is_special).unwrap_or(name.len());
    let (literal, is_whole) = (&name[..literal], literal == name.len());
    let mut databases = 0;
    for database in 0..DATABASES {
        for kind in ["keyspace", "keyevent"] {
            let prefix = format!("__{kind}@{database}__:");
            let prefix = prefix.as_bytes();
            if literal.starts_with(prefix) || (!is_whole && prefix.starts_with(literal)) {
                databases |= 1 << database;
            }
        }
    }
    databases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_heard_by_a_subscription_is_known() {
        let of = |name: &str, is_pattern| databases_of(name.as_bytes(), is_pattern);
        assert_eq!(of("__keyspace@0__:a", false), 1);
        assert_eq!(of("__keyevent@15__:del", false), 1 << 15);
        assert_eq!(of("__keyspace@1", false), 0);
        assert_eq!(of("__keyspace@16__:a", false), 0);
        assert_eq!(of("news", false), 0);
        assert_eq!(of("news*", true), 0);
        assert_eq!(of("*", true), u16::MAX);
        assert_eq!(of("__key*", true), u16::MAX);
        assert_eq!(of("__keyspace@1*", true), 1 << 1 | 0b11_1111 << 10);
        assert_eq!(of("__keyevent@2__:*", true), 1 << 2);
        assert_eq!(of("__keyevent@2__:del", true), 1 << 2);
        assert_eq!(of("__keyevent@[23]__:del", true), u16::MAX);
        assert_eq!(of("__keyspace@1", true), 0);
    }
}
