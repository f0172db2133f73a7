//! Reconciliation of a range of keys by walking down its digests.

mod align;
mod answers;
mod backlog;
mod identify;
mod listings;
mod message;
mod open;
mod salted;
mod splits;
mod spoken;
mod sums;
#[cfg(test)]
mod tests;
mod turn;
mod walk;

pub use walk::Walk;

use alloc::vec::Vec;

use crate::KeyRange;

/// Something that differs.
///
/// Each finding is exact: what it says of the peer was true when the peer wrote the message that
/// led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The peer holds nothing at these keys, which are in order.
    OnlyHere {
        /// Keys of items here.
        keys: Vec<Vec<u8>>,
    },
    /// The peer holds nothing in the whole range. Perhaps millions of items lie in it here, so they
    /// are not listed.
    PeerEmpty {
        /// The range.
        range: KeyRange,
    },
    /// In one range each side holds items that the other lacks, perhaps at the same keys in other
    /// versions.
    Differ {
        /// Keys of items here that the peer does not hold as they are here. At those that are not
        /// among `theirs` it holds nothing.
        mine: Vec<Vec<u8>>,
        /// Keys of items that the peer holds and that are not here as they are there, each with its
        /// [description](crate::Source::describe).
        theirs: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

/// What a message led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The message to send. None only when the walk is over.
    pub reply: Option<Vec<u8>>,
    /// What was found by it.
    pub findings: Vec<Finding>,
}

/// Bounds on what one side sends, accepts, remembers and reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after which no further part is begun in a message. 256 KiB.
    pub message: usize,
    /// Bytes beyond which a message is refused. 1 MiB.
    pub message_max: usize,
    /// Bytes of keys remembered from one turn to the next, and as many for ranges kept back. 16
    /// MiB.
    pub memory: usize,
    /// Items and nodes read in one turn, after which no further part is answered. 2^21.
    pub reads: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 256 << 10,
            message_max: 1 << 20,
            memory: 16 << 20,
            reads: 1 << 21,
        }
    }
}

/// What one side of a walk did, in counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages made, the closing one included.
    pub messages_sent: u64,
    /// Messages taken.
    pub messages_received: u64,
    /// Bytes of the messages made.
    pub bytes_sent: u64,
    /// Bytes of the messages taken.
    pub bytes_received: u64,
    /// Ranges of the peer's messages that were compared with ours.
    pub ranges_compared: u64,
    /// Digests of sub-ranges said.
    pub digests_sent: u64,
    /// One-byte hints said.
    pub hints_sent: u64,
    /// Sums of ranges said.
    pub sums_sent: u64,
    /// Sums said in answer to sums.
    pub echoes_sent: u64,
    /// Items listed by their short ids.
    pub ids_sent: u64,
    /// Answers to listings.
    pub answers_sent: u64,
    /// Items described to the peer.
    pub described_sent: u64,
    /// Ranges whose difference was found by subtraction.
    pub explained: u64,
    /// Ranges kept back for a later turn.
    pub deferred: u64,
    /// Ranges given up on.
    pub unsettled: u64,
    /// Items and nodes read, roughly.
    pub items_read: u64,
}

/// Why a walk ended early. What it had found before stays true, and the next walk begins anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError<E> {
    /// The items could not be read.
    #[error("the items could not be read: {0}")]
    Source(E),
    /// The message does not follow the grammar, or does not fit what was said before.
    #[error("the peer's message makes no sense: {0}")]
    Malformed(&'static str),
    /// The message is longer than [`Limits::message_max`].
    #[error("the peer's message has {len} bytes, more than the {max} that are accepted")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The message is of another version of the protocol.
    #[error(
        "the peer's message is of version {got}, which this one does not speak; update the older side"
    )]
    Version {
        /// Its version.
        got: u8,
    },
    /// A message was lost, doubled or taken from another walk.
    #[error("message {got} of the walk came when it was the turn of message {expected}")]
    OutOfTurn {
        /// Its number.
        got: u64,
        /// The number of the message that was due.
        expected: u64,
    },
    /// The walk has ended, or failed before.
    #[error("the walk is over; begin another one")]
    Over,
}
