//! What the demo's parent and its replicas say to each other: one JSON object a line, orders on standard input, answers on
//! standard output. A replica carries out one order after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::log::{Place, Stamp, Transaction};
use crate::by_kind::BytesByKind;

/// What a replica is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Apply transactions in the order of their numbers, at most `window` of them under way at a time; each is answered by
    /// `Applied` once a kill cannot lose it, all of them by `Done`.
    Apply {
        transactions: Vec<Transaction>,
        window: usize,
    },
    /// Sync with the peer at this address.
    Sync { peer: SocketAddr },
    /// Tell which transactions took place.
    Journal,
    /// Tell the root digest.
    Root,
    /// Write all that readers see to this file, as lines of [`Shown`].
    Dump { path: PathBuf },
    /// Write a value; answered by `Done` once it is acknowledged.
    Put { key: String, value: String },
    /// Wait until a key shows this value; answered by `Done`.
    Await { key: String, value: String },
    /// Tell who is there.
    Members,
    /// Shut down in order.
    Close,
}

/// What a replica answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// The replica listens. Said once, unasked.
    Ready {
        /// Who it is among the members of the cluster.
        node: String,
        address: SocketAddr,
        /// How long the store took to open.
        opened_ms: f64,
    },
    Applied {
        number: u64,
        stamp: Stamp,
    },
    Done,
    Synced(Box<Session>),
    /// The sync failed, as it must when the network is cut.
    NotSynced {
        error: String,
    },
    Journal {
        landed: Vec<(u64, Stamp)>,
    },
    Root {
        /// As `RangeDigest` displays itself.
        digest: String,
        rows: u64,
        keys: u64,
    },
    Dumped,
    /// The other members by who they are, and how each is doing.
    Members {
        states: BTreeMap<String, String>,
    },
    /// The order could not be carried out; the replica ends.
    Failed {
        error: String,
    },
}

/// What one sync session did, as the replica that began it counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) round_trips: f64,
    pub(crate) rows_sent: u64,
    pub(crate) rows_received: u64,
    /// Bytes of keys, fields and values in these rows.
    pub(crate) user_bytes: u64,
    pub(crate) ranges_compared: u64,
    pub(crate) bytes: BytesByKind,
    /// What sending all rows would take.
    pub(crate) full_copy_bytes: u64,
    pub(crate) elapsed_ms: u64,
    pub(crate) agreed: bool,
}

/// A place and what is read there: one line of a dump.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: String,
    /// Values that lost to it without having been observed, the latest first.
    pub(crate) others: Vec<String>,
}
