//! Why a session ends before its time.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Why one side does not go on with a session, as it tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RefusalCode {
    /// No version of the protocol is known to both.
    Version,
    /// The peer belongs to another cluster.
    Cluster,
    /// The namespace is not carried here.
    Namespace,
    /// The clocks are too far apart.
    Clock,
    /// The peer is ourselves.
    Itself,
    /// Too many sessions are under way; try again later.
    Busy,
    /// A frame was over the bound.
    FrameTooLarge,
    /// A frame could not be read, or was not due.
    Malformed,
    /// The replica could not be read or written, or lost a damaged row. No fault of the peer's.
    Replica,
    /// The peer says that it is another node than its certificate does.
    Identity,
    /// The peer's replica was forgotten by the carriers of the namespace: nothing is taken from it any more.
    Forgotten,
    /// The peer's replica is a copy of our own, under the same name.
    Copied,
}

/// A refusal: what it is about, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What it is about.
    pub code: RefusalCode,
    /// The reason with its remedy, at most [`Refusal::MAX_TEXT`] bytes.
    pub text: String,
}

impl Refusal {
    /// The longest text that is sent or shown, in bytes.
    pub const MAX_TEXT: usize = 1024;

    /// A refusal; a text over the limit is cut.
    #[must_use]
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > Self::MAX_TEXT {
            let end = (0..=Self::MAX_TEXT)
                .rev()
                .find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
        }
        Self { code, text }
    }

    /// As a peer has sent it, fit to be shown. The text stands in errors and logs, where a peer's line breaks would look
    /// like our own lines and its control characters act on a terminal.
    pub(crate) fn received(self) -> Self {
        Self::new(self.code, printable(&self.text))
    }
}

/// A peer's text with everything escaped that is not to be seen as what it is. Quotes and backslashes are.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\'' | '\\' => shown.push(char),
            _ => shown.extend(char.escape_debug()),
        }
    }
    shown
}

/// Why a session failed. What was joined before stays: it is as valid as any other delta, and the next session goes on
/// from it.
///
/// After an error the session takes and gives nothing any more; [`SessionError::farewell`] is what the peer may be
/// told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer refused.
    #[error("the peer refused: {0}")]
    Refused(#[source] Refusal),
    /// We refuse the peer.
    #[error("refused the peer: {0}")]
    Refusing(#[source] Refusal),
    /// A frame is over the bound.
    #[error(
        "the peer sent a frame of {bytes} bytes, over the bound of {bound}; it runs other software, or is broken"
    )]
    FrameTooLarge {
        /// Its length.
        bytes: usize,
        /// The bound.
        bound: usize,
    },
    /// A frame cannot be read.
    #[error("the peer sent a malformed frame ({0}); it runs other software, or is broken")]
    Malformed(&'static str),
    /// A frame came that was not due.
    #[error("the peer sent {frame} while {phase}; it runs other software, or is broken")]
    Unexpected {
        /// What came.
        frame: &'static str,
        /// What the session was doing.
        phase: &'static str,
    },
    /// The peer asked for more at a time than an honest one can.
    #[error("the peer asks for more than it was told of; it runs other software, or is broken")]
    Demanding,
    /// Our context does not fit into a frame.
    #[error(
        "the causal context takes {bytes} bytes, a frame at most {bound}; sync ranges, or set up a new replica"
    )]
    ContextTooLarge {
        /// Its encoded length.
        bytes: usize,
        /// The bound.
        bound: usize,
    },
    /// The peer's message of the walk is not acceptable.
    #[error("the peer's walk went wrong ({0}); it runs other software, or is broken")]
    Walk(String),
    /// The replica could not go on.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Our replica was forgotten by the carriers of the namespace.
    #[error(
        "this replica was forgotten by the others, so they take nothing from it any more; keep a copy of what only it may hold, and begin with an empty store"
    )]
    Forgotten,
    /// The session is over.
    #[error("the session is over; begin another one")]
    Over,
}

/// Why a replica could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// A row failed its checksum. The session has it withdrawn and ends; the next one fetches it.
    #[error("the row at \"{}\" was damaged and is withdrawn; sync again to fetch it", key.escape_ascii())]
    Damaged {
        /// The bytes of its row key.
        key: Vec<u8>,
    },
    /// A row was withdrawn since the session began, so that what the session has said no longer holds.
    #[error("a damaged row was withdrawn while the session ran; sync again")]
    Withdrawn,
    /// The peer's replica was forgotten while the session ran.
    #[error(
        "the peer's replica was forgotten; it may hold writes that came too late, and comes back only as an empty store"
    )]
    Forgotten,
    /// Anything else.
    #[error("the replica failed: {0}")]
    Failed(#[source] Box<dyn core::error::Error + Send + Sync>),
}

impl SessionError {
    /// What the peer should be told, if anything: not a peer that refused, nor one that was told already.
    #[must_use]
    pub fn farewell(&self) -> Option<Refusal> {
        use alloc::string::ToString;

        let code = match self {
            Self::Refused(_) | Self::Over => return None,
            Self::Refusing(refusal) => return Some(refusal.clone()),
            Self::FrameTooLarge { .. } => RefusalCode::FrameTooLarge,
            Self::Malformed(_) | Self::Unexpected { .. } | Self::Demanding | Self::Walk(_) => {
                RefusalCode::Malformed
            }
            Self::Forgotten => RefusalCode::Forgotten,
            Self::Replica(ReplicaError::Forgotten) => RefusalCode::Forgotten,
            // Our keys and files are none of the peer's business.
            Self::ContextTooLarge { .. } | Self::Replica(_) => {
                let text = "the peer's replica could not go on; its log says why";
                return Some(Refusal::new(RefusalCode::Replica, text));
            }
        };
        Some(Refusal::new(code, self.to_string()))
    }
}
