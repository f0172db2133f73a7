//! Keyspace notifications: what commands do to keys, published to the clients of this node.

use std::sync::Arc;

use bytes::Bytes;

use crate::notes::{Class, Event};
use crate::server::Shared;
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
