//! What the answers say. Times are Unix milliseconds unless a field's name says otherwise.

mod detail;

use serde::{Deserialize, Serialize};

pub use self::detail::{
    Conflict, Conflicts, Cost, Exchange, History, Moment, RangePart, Ranges, Session, Sessions,
    Written,
};

/// A node, and what it carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of its program.
    pub version: String,
    /// The hash of its public key, in hexadecimal.
    pub node: String,
    /// The cluster that it is a member of.
    pub cluster: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Where other nodes connect to.
    pub listen: Option<String>,
    /// Its data directory.
    pub data: String,
    /// What it carries.
    pub namespaces: Vec<NamespaceStatus>,
    /// How many other nodes it knows, and how many of these answer.
    pub peers: usize,
    /// How many of them answered last.
    pub peers_up: usize,
    /// Whether every namespace agrees with every peer that answers, as far as is known.
    pub agreement: Agreement,
    /// Whether writes are refused for want of room.
    pub read_only: bool,
    /// The room on its disk, where that is known.
    pub space: Option<Space>,
    /// How it stands as a member.
    pub trust: Trust,
    /// What an operator should look after, in words.
    pub warnings: Vec<String>,
}

/// How a node stands as a member of its cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trust {
    /// When its certificate ends.
    pub expires_ms: u64,
    /// Whether that is in less than thirty days, or over.
    pub expires_soon: bool,
    /// Why the certificate was not renewed when that was last tried.
    pub renewal_error: Option<String>,
    /// The nodes that are known to have been revoked, this one perhaps among them.
    pub revoked: Vec<String>,
    /// The authorities that it trusts: one, or two while one takes the place of the other.
    pub authorities: Vec<String>,
    /// Whether it can admit others.
    pub has_authority: bool,
}

/// Whether replicas hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agreement {
    /// They do.
    Yes,
    /// They do not.
    No,
    /// There is nobody to agree with, or too little is known yet.
    Unknown,
}

impl Agreement {
    /// Of all of them together: one that does not agree decides, then one that is unknown.
    pub(crate) fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<_> = all.into_iter().collect();
        match () {
            () if all.contains(&Self::No) => Self::No,
            () if all.is_empty() || all.contains(&Self::Unknown) => Self::Unknown,
            () => Self::Yes,
        }
    }
}

/// The room on a node's disk, in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Space {
    /// What is free.
    pub free: u64,
    /// With less than this there is a warning.
    pub warn_below: u64,
    /// With less than this the node is read-only.
    pub read_only_below: u64,
    /// `plenty`, `low`, `read-only` or `full`.
    pub state: String,
}

/// One namespace on the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamespaceStatus {
    /// Its name.
    pub name: String,
    /// Why nothing else is known of it, when it cannot be read.
    pub error: Option<String>,
    /// Keys that show something.
    pub keys: u64,
    /// Rows, those of hidden keys and remnants of counters included.
    pub rows: u64,
    /// The digest of all rows. Equal on two nodes exactly if they hold the same.
    pub root: String,
    /// Bytes that it takes on disk.
    pub bytes: u64,
    /// What has been seen.
    pub context: ContextSummary,
    /// Who else carries it.
    pub carriers: Carriers,
}

/// How large the record of what a replica has seen is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ContextSummary {
    /// Openings of stores that have written, of all nodes.
    pub writers: u64,
    /// Intervals that it is kept in; one for each writer when nothing is missing.
    pub intervals: u64,
    /// Mutations that are in it.
    pub dots: u64,
}

/// The carriers of a namespace, and how far all of them are known to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Carriers {
    /// Those that count, this node's own included.
    pub counted: usize,
    /// Those that were forgotten.
    pub forgotten: usize,
    /// The names of those that hold the collection of garbage up.
    pub awaited: Vec<String>,
    /// Mutations that not all of them are known to have seen.
    pub unstable_dots: u64,
    /// A time that all have reached in the knowledge of everything else; 0 while nothing is known.
    pub stable_as_of_ms: u64,
}

/// The other nodes that a node knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peers {
    /// Who answers.
    pub node: String,
    /// The others.
    pub peers: Vec<Peer>,
}

/// Another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Who it is; not known of one that has never answered.
    pub node: Option<String>,
    /// Where it is reached.
    pub address: String,
    /// `alive`, `suspect`, `down` or `left`; `unknown` of one that has never answered.
    pub state: String,
    /// Where it stands, as its operator calls it.
    pub zone: String,
    /// The version of its program, where that is known.
    pub version: String,
    /// The namespaces that it is known to carry.
    pub namespaces: Vec<String>,
    /// How long a packet takes to it and back, where that is known.
    pub round_trip_ms: Option<f64>,
    /// How syncing with it has gone, where that was tried.
    pub sync: Option<LastSync>,
}

/// A change of the members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// `up`, `suspect`, `down`, `left` or `changed`.
    pub kind: String,
    /// Whose.
    pub node: String,
    /// How it is now, where that came along.
    pub peer: Option<Peer>,
}

/// How syncing with a peer has gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastSync {
    /// When a sync last went well.
    pub success_ms: Option<u64>,
    /// Whether both sides held the same in all that they share after it.
    pub agreed: Option<bool>,
    /// How many have failed since.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// The members, and the ways between them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topology {
    /// Who answers, in the middle of it.
    pub node: String,
    /// The others.
    pub peers: Vec<Peer>,
    /// The ways along which this node passes on what is written.
    pub branches: Vec<Branch>,
}

/// A way along which rumours of a namespace go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The namespace.
    pub namespace: String,
    /// Where it begins.
    pub from: String,
    /// Where it leads to.
    pub to: String,
}

/// Who agrees, and how far the others are behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Convergence {
    /// Who answers.
    pub node: String,
    /// Of all namespaces together.
    pub agreement: Agreement,
    /// One by one.
    pub namespaces: Vec<NamespaceConvergence>,
}

/// Who agrees on a namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamespaceConvergence {
    /// Its name.
    pub name: String,
    /// The digest of all rows here.
    pub root: String,
    /// The peers that carry it.
    pub peers: Vec<PeerAgreement>,
}

/// Whether a peer holds the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerAgreement {
    /// Who it is.
    pub node: String,
    /// Whether it is there. Who is not does not count for the agreement of the whole.
    pub up: bool,
    /// Whether it holds what this node does, by what it has said last.
    pub agreement: Agreement,
    /// When they were last known to hold the same.
    pub agreed_ms: Option<u64>,
    /// When it last said something new of itself. Who does not change says nothing new.
    pub heard_ms: Option<u64>,
    /// How many rows it has, where that is known.
    pub rows: Option<u64>,
    /// What it lacks of this node's.
    pub behind: Gap,
    /// What this node lacks of its.
    pub ahead: Gap,
}

/// What one side lacks of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// How many mutations; nothing if that is not known.
    pub dots: Option<u64>,
    /// For how long, about; nothing if it lacks none, or that is not known.
    pub seconds: Option<f64>,
}

/// Whether a node can be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Why not, one for each reason.
    pub reasons: Vec<String>,
}
