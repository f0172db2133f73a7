//! What the benchmark and its members say to each other, as JSON lines. A member speaks whenever something happens to it.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    Put {
        key: String,
        value: String,
    },
    Remove {
        key: String,
    },
    /// Write so many rows of 1,000 bytes.
    Fill {
        rows: u64,
    },
    Root,
    /// Tell what has been sent.
    Traffic,
    Close,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Said {
    Ready {
        address: SocketAddr,
        node: String,
    },
    /// So many other members are there, and carry the namespace.
    Members(usize),
    Down {
        node: String,
        at: u64,
    },
    /// A key shows this; nothing when it was removed.
    Shown {
        key: String,
        value: Option<String>,
        at: u64,
    },
    /// An order that writes was begun at this time, and is carried out.
    Written {
        key: String,
        at: u64,
    },
    Filled,
    Root {
        digest: String,
        rows: u64,
    },
    Traffic {
        /// All that went out of the sockets of its connections.
        bytes: u64,
        at: u64,
    },
    Failed {
        error: String,
    },
}

/// Nanoseconds of the clock that all processes of a machine share.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
