//! Why there was no quorum: who of the carriers is missing, and how that is put to people.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use syncline_crdt::CarrierId;
use syncline_sync::quic::NodeId;

use crate::error::Error;
use crate::net::SyncError;

/// Why there was no quorum. What was written stays written, and may still come to all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// Too few carriers have said in time that they have the write.
    #[error(
        "{} of {carriers} carriers have the write after {timeout:?}, {wanted} were wanted; missing: {}",
        holders.len(), list(missing)
    )]
    NotReplicated {
        /// How many were wanted.
        wanted: usize,
        /// How many there are.
        carriers: usize,
        /// Those that have it.
        holders: BTreeSet<CarrierId>,
        /// Those that have not said so.
        missing: Vec<MissingCarrier>,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// Too few carriers could be asked in time for what they have.
    #[error(
        "{} other carriers were read, {wanted} were wanted; missing: {}", nodes.len(), list(missing)
    )]
    NotGathered {
        /// How many others were wanted.
        wanted: usize,
        /// Those that were read. What they had is here.
        nodes: BTreeSet<NodeId>,
        /// Those that were not. Carriers that are no members now are not among them.
        missing: Vec<MissingPeer>,
    },
    /// More replicas were wanted than there are carriers.
    #[error(
        "{wanted} replicas were wanted and the namespace has {carriers} carriers; want fewer, or have more nodes carry it"
    )]
    TooFew {
        /// How many were wanted.
        wanted: usize,
        /// How many there are.
        carriers: usize,
    },
    /// The token names more than carriers can be asked for.
    #[error("the token names too many writes to ask other nodes for; wait for fewer at a time")]
    TooLarge,
    /// Too much is waited for on this node.
    #[error("too many writes are waited for on this node; wait for fewer at a time")]
    Busy,
    /// The namespace failed here.
    #[error(transparent)]
    Namespace(#[from] Error),
}

/// A carrier that has not said to have a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingCarrier {
    /// Its store; `None` of a member that says to carry the namespace and was not met yet.
    pub carrier: Option<CarrierId>,
    /// Its node; `None` if it is none of the members that are known of.
    pub node: Option<NodeId>,
    /// Whether it has answered that it does not have the write yet. Nothing was heard otherwise.
    pub lacks: bool,
}

impl fmt::Display for MissingCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            Some(carrier) => write!(f, "store {carrier}")?,
            None => write!(f, "a store that was not met yet")?,
        }
        if let Some(node) = &self.node {
            write!(f, " of {node}")?;
        }
        f.write_str(match self.lacks {
            true => ", which does not have it yet",
            false => ", which has not answered",
        })
    }
}

/// A node from which nothing could be gathered.
#[derive(Debug)]
#[non_exhaustive]
pub struct MissingPeer {
    /// Which.
    pub node: NodeId,
    /// Why not; `None` if it took too long.
    pub error: Option<SyncError>,
}

impl fmt::Display for MissingPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{} ({error})", self.node),
            None => write!(f, "{}, which took too long", self.node),
        }
    }
}

/// The first of what is missing, for people.
fn list<T: fmt::Display>(missing: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = missing.iter().take(SHOWN).map(T::to_string).collect();
    if missing.len() > SHOWN {
        text.push(format!("and {} more", missing.len() - SHOWN));
    }
    match text.is_empty() {
        true => "nobody that is known of".to_owned(),
        false => text.join("; "),
    }
}
