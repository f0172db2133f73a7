//! What travels between nodes.

use alloc::string::String;
use alloc::vec::Vec;

use syncline_crdt::{CarrierId, Context, DecodeError};

use super::standing::{ContextHash, Root, Version, Write};

/// What one node says to another. Its bytes are in [`to_bytes`](Self::to_bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<N>(pub(super) Said<N>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<N> {
    /// Standings of whomever.
    Standings {
        namespace: String,
        /// The version of the receiver's own standing from which the first context is told; none for the empty one.
        base: Option<Version>,
        told: Vec<Told<N>>,
    },
    /// The hash of all versions heard, in namespaces: is it the same there?
    Compare(Vec<(String, u64)>),
    /// It is not: these are the versions heard.
    Versions(Versions<N>),
    /// The standings of these are wanted.
    Want { namespace: String, owners: Vec<N> },
    /// Whether the receiver's store has a write durably.
    Ask {
        ask: u64,
        namespace: String,
        write: Write,
    },
    /// Whether the sender's store, which has this name, has it.
    Answer {
        ask: u64,
        carrier: CarrierId,
        has: bool,
    },
}

impl<N> Message<N> {
    /// The namespaces that it is about. Both who says it and who hears it must be allowed to carry all of them, which is for the transport to see to:
    /// it knows what the other side's certificate names. An answer names none; whoever has not asked passes it over.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        let (one, compared): (_, &[(String, u64)]) = match &self.0 {
            Said::Standings { namespace, .. }
            | Said::Versions(Versions { namespace, .. })
            | Said::Want { namespace, .. }
            | Said::Ask { namespace, .. } => (Some(namespace), &[]),
            Said::Compare(compared) => (None, compared),
            Said::Answer { .. } => (None, &[]),
        };
        let compared = compared.iter().map(|(namespace, _)| namespace);
        one.into_iter().chain(compared).map(String::as_str)
    }
}

/// A standing, as it is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told<N> {
    pub(super) owner: N,
    pub(super) version: Version,
    pub(super) carrier: CarrierId,
    pub(super) root: Root,
    pub(super) context: Change,
}

/// A context, in terms of the one before it in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    By {
        more: Context,
        less: Context,
    },
    /// It would take too much room. Those after it are in terms of the one before it.
    Hash(ContextHash),
}

/// Versions heard of the owners after `after`, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Versions<N> {
    pub(super) namespace: String,
    pub(super) after: Option<N>,
    /// Whether it goes on to the last owner; otherwise to the last that is named.
    pub(super) to_end: bool,
    pub(super) heard: Vec<(N, Version)>,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The bytes are not what a message is written as.
    #[error("a message on convergence cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// More bytes than a message ever has.
    #[error("a message on convergence takes {0} bytes, more than ever are sent")]
    TooLong(usize),
}

/// How many owners a message names at most.
pub(super) const MAX_OWNERS: usize = 1_000;

/// How many namespaces are compared in one message at most.
pub(super) const MAX_COMPARED: usize = 64;
