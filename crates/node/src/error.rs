//! What can go wrong with an operation on a namespace; each text ends with what to do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use syncline_crdt::RowKey;
use syncline_store::{OpenError, StoreError};

use crate::kind::Kind;
use crate::registers::Sibling;
use crate::typed::TypeError;

/// Why an operation on a namespace failed. A write that failed has changed nothing, unless its text says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key shows something of another kind.
    #[error(
        "the key {} holds a {found} and was used as a {wanted}; use the handle of what it holds, or delete it first",
        show(key)
    )]
    WrongKind {
        /// The key.
        key: Vec<u8>,
        /// What it shows.
        found: Kind,
        /// What the operation is for.
        wanted: Kind,
    },
    /// The value is not a number in the range of 64 bits.
    #[error(
        "the value at {} is not a number of 64 bits, so it cannot be counted with; write a number first",
        show(key)
    )]
    NotANumber {
        /// The key.
        key: Vec<u8>,
    },
    /// The value is a number, but not written as an integer.
    #[error(
        "the value at {} is not an integer; read and add it as a decimal, or write an integer first",
        show(key)
    )]
    NotAnInteger {
        /// The key.
        key: Vec<u8>,
    },
    /// The value is not of the type asked for, or cannot be encoded; see [`typed`](crate::typed).
    #[error("the value at {} {source}", show(key))]
    Mistyped {
        /// The key.
        key: Vec<u8>,
        /// What does not fit.
        source: TypeError,
    },
    /// More than one value was written without knowledge of each other, and the namespace's registers are read as
    /// [`Registers::AllSiblings`](crate::Registers::AllSiblings).
    #[error(
        "the value at {} was written in {} ways without knowledge of each other; choose one of the siblings and write it",
        show(key),
        siblings.len()
    )]
    Conflict {
        /// The key.
        key: Vec<u8>,
        /// What was written, the last writer's first.
        siblings: Vec<Sibling>,
    },
    /// A score would not be a number, such as the sum of two infinities of either sign.
    #[error(
        "what would be the score at {} is not a number, so it was not written; use a number or an infinity",
        show(key)
    )]
    NotAScore {
        /// The key.
        key: Vec<u8>,
    },
    /// The result would not fit 64 bits.
    #[error(
        "the addition at {} would leave the range of 64 bits, so it was not made; reset the counter or add less",
        show(key)
    )]
    Overflow {
        /// The key.
        key: Vec<u8>,
    },
    /// A newer version wrote the value, in an encoding that this one does not know.
    #[error(
        "the value at {} was written by a newer version of syncline; upgrade this node to read it",
        show(key)
    )]
    NewerEncoding {
        /// The key.
        key: Vec<u8>,
    },
    /// A row failed its checksum and was taken out.
    #[error(
        "a row of the key {} was damaged on disk and has been withdrawn; sync with a peer to fetch it, or write it anew",
        show(key)
    )]
    Damaged {
        /// The key.
        key: Vec<u8>,
    },
    /// The disk is nearly full. Removals are still taken, down to a last reserve; see [`SpaceLimits`](crate::SpaceLimits).
    #[error(
        "the disk has {free} bytes left, so the node is read-only; free some space: with {needed} bytes it goes on by itself"
    )]
    ReadOnly {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to be, for this to be taken.
        needed: u64,
    },
    /// The transaction's own closure gave up.
    #[error("the transaction was given up and nothing was written: {0}")]
    Aborted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A view or a scan of the namespace is held, and what was asked for cannot be done under it.
    #[error("a view or a scan of the namespace is held; drop it and try again")]
    InView,
    /// What a token names has not come here in time.
    #[error(
        "what was written elsewhere has not come to this node within {timeout:?}; sync with a node that has it, or wait longer"
    )]
    NotArrived {
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The node was shut down.
    #[error("the node was shut down; start one anew to go on")]
    Closed,
    /// The node carries no namespace of this name.
    #[error(
        "there is no namespace {namespace:?} on this node; `namespaces()` lists those that are"
    )]
    NotCarried {
        /// The name.
        namespace: String,
    },
    /// The namespace cannot be dropped while views, scans, operations or sessions use it.
    #[error(
        "namespace {namespace:?} is still used by a view, a scan, an operation or a session; end these and drop it again"
    )]
    InUse {
        /// The namespace.
        namespace: String,
    },
    /// The namespace was dropped from this node after the handle was made.
    #[error(
        "namespace {namespace:?} was dropped from this node; ask the node for it anew to carry it again"
    )]
    Dropped {
        /// The namespace.
        namespace: String,
    },
    /// The files of a dropped namespace cannot be removed.
    #[error(
        "the files of namespace {namespace:?} cannot be removed ({source}); see to the permissions of the data directory, and drop it again"
    )]
    Files {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The namespace's store cannot be opened.
    #[error("namespace {namespace:?} cannot be opened: {source}")]
    Open {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: OpenError,
    },
    /// The namespace's writer thread cannot be started.
    #[error(
        "no thread can be started for the namespace's writer ({0}); raise the limits of this process"
    )]
    Thread(#[source] std::io::Error),
    /// The store failed. Shared, since one failed commit can be that of many writes.
    ///
    /// After a failed commit the next operation opens the store again by itself: on a full disk, make room and go on.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl Error {
    /// Gives up a transaction for a reason of the application's own: return it from the closure, and nothing is written.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use syncline::{Error, Node};
    ///
    /// let app = Node::in_memory().await?.namespace("app")?;
    /// let outcome = app.transaction(|t| {
    ///     if t.counter("balance").add(-5)? < 0 {
    ///         return Err(Error::abort("the balance does not cover it"));
    ///     }
    ///     Ok(())
    /// });
    /// assert!(matches!(outcome.await, Err(Error::Aborted(_))));
    /// assert_eq!(app.counter("balance").value().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn abort(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Aborted(reason.into())
    }

    /// Whether a transaction had more rows than one takes. Removals have ways of their own without that limit:
    /// [`Namespace::delete`](crate::Namespace::delete) and its like.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::TooManyRows))
    }

    /// The row that a read has found damaged, if that is what this is about.
    pub(crate) fn damaged_row(&self) -> Option<RowKey> {
        match self {
            Self::Store(error) => match &**error {
                StoreError::Damaged { key } => RowKey::from_bytes(key.clone()).ok(),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// A key for people: as text where it is, escaped where not, cut where long.
fn show(key: &[u8]) -> impl fmt::Display {
    const SHOWN: usize = 64;
    let mut text = key[..key.len().min(SHOWN)].escape_ascii().to_string();
    if key.len() > SHOWN {
        text.push('…');
    }
    format!("\"{text}\"")
}
