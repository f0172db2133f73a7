//! What the answers say of sessions, key ranges, conflicts and the past. Keys and values are escaped: `\\` is a backslash, `\xNN` a byte that is no text,
//! `\u{…}` a character that cannot be seen.

use serde::{Deserialize, Serialize};

/// The sessions of a node with its peers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sessions {
    /// Who answers.
    pub node: String,
    /// Those under way; then those that have ended, the newest first, if rows were exchanged, roots differed in the end, or they failed.
    pub sessions: Vec<Session>,
}

/// A session with a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Who it is with.
    pub peer: String,
    /// What is synced.
    pub namespace: String,
    /// Whether the node that answers began it.
    pub began_here: bool,
    /// When it began.
    pub began_ms: u64,
    /// How long it took, or has taken so far.
    pub seconds: f64,
    /// `running`, `agreed`, `differed` (it ended well, and the roots differed: somebody wrote) or `failed`.
    pub state: String,
    /// Why it failed.
    pub error: Option<String>,
    /// What it cost, once it has ended well.
    pub cost: Option<Cost>,
    /// In which parts of the key range rows were exchanged. Empty if none were.
    pub parts: Vec<Exchange>,
}

/// What a session cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// One after the other.
    pub round_trips: f64,
    /// Bytes of frames.
    pub bytes_sent: u64,
    /// Bytes of frames.
    pub bytes_received: u64,
    /// Rows with a value.
    pub rows_sent: u64,
    /// Rows with a value.
    pub rows_received: u64,
    /// Ranges whose digests were compared.
    pub ranges_compared: u64,
}

/// What a session exchanged in a part of the key range, which ends where the next begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// The key at which it begins, its first 64 bytes.
    pub key: String,
    /// Rows that were there when the session came to exchange its first.
    pub rows: u64,
    /// Rows that were sent.
    pub sent: u64,
    /// Rows that were received, statements of absence included.
    pub received: u64,
}

/// The key range of a namespace in parts of about as many rows each, at fences of the digest tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ranges {
    /// Who answers.
    pub node: String,
    /// The namespace.
    pub namespace: String,
    /// The digest of all rows.
    pub root: String,
    /// At most 64. Two nodes cut at the same keys only if they hold the same.
    pub parts: Vec<RangePart>,
}

/// A part of a key range, which ends where the next begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RangePart {
    /// The key at which it begins, its first 64 bytes.
    pub key: String,
    /// How many rows it has.
    pub rows: u64,
    /// Their digest.
    pub digest: String,
}

/// What concurrency decided in a namespace, and what lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conflicts {
    /// Who answers.
    pub node: String,
    /// The namespace.
    pub namespace: String,
    /// In the order of keys and fields.
    pub conflicts: Vec<Conflict>,
    /// To be given as `after` to go on; nothing at the end. There may be a page without conflicts that is not the last.
    pub next: Option<String>,
}

/// A place in which several values were written without knowledge of each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// Its key, the first 256 bytes.
    pub key: String,
    /// The field, where it is one of a map.
    pub field: Option<String>,
    /// What readers get by default: the value that was written last.
    pub shown: Written,
    /// The others, the latest first. All of them are kept until a write that has seen them.
    pub lost: Vec<Written>,
}

/// A value as it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written {
    /// The first 256 bytes of it.
    pub value: String,
    /// How many it has.
    pub bytes: u64,
    /// When, by the clock of who wrote it.
    pub written_ms: u64,
    /// Its stamp, by which it was decided: milliseconds, and what tells apart those of the same.
    pub stamp: String,
    /// The opening of a store that wrote it.
    pub replica: String,
    /// Which of that one's mutations it was.
    pub counter: u64,
}

/// How a node has done lately, one sample every two seconds, for half an hour. All counts are since its start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// The oldest first.
    pub samples: Vec<Moment>,
}

/// How a node did at a moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at_ms: u64,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Reads.
    pub reads: u64,
    /// Rows that sessions, and rumours that gossip have brought.
    pub arrivals: u64,
    /// Bytes of sessions and gossip that were sent to peers.
    pub bytes_sent: u64,
    /// Bytes that were received from them.
    pub bytes_received: u64,
    /// Mutations that the peer lacks who is there and lacks the most.
    pub behind: u64,
    /// Mutations that the node lacks of the peer who is there and of whom it lacks the most.
    pub ahead: u64,
    /// How many transactions took no longer than each bound in milliseconds, and no less than the one before; without a bound the rest.
    pub transaction_ms: Vec<(Option<f64>, u64)>,
}
