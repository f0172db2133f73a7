//! Frames: what the two sides of a session say to each other, and their bytes.
//!
//! A frame is the number of its flight (a varint), then its kind and content in postcard's encoding. A transport that
//! does not keep the bounds of messages puts the length before each frame, four bytes, little-endian; [`MAX_FRAME`]
//! bounds it.
//!
//! Encodings of frames are not canonical: nobody digests them. What has to have the same bytes everywhere, contexts and
//! row keys, travels in its canonical encoding inside of them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use syncline_crdt::limits::{MAX_FIELD, MAX_KEY, MAX_PAYLOAD};

use crate::carriers::{RosterHash, WireAdvert};
use crate::error::{Refusal, SessionError};
use crate::forms::{ContextForm, WireDot, WireRoot};
use crate::hello::Hello;

/// The greatest frame, in bytes: room for the longest payload with the longest key.
pub const MAX_FRAME: usize = 17 << 20;

// A zero byte of a user key takes two in its row key. Counts, lengths, dot and stamp take less than 256 bytes.
const _: () = assert!(MAX_PAYLOAD + 2 * MAX_KEY + MAX_FIELD + 256 <= MAX_FRAME);

/// What a length before a frame takes. Counted in the [`Traffic`](crate::Traffic) of a session.
pub const LENGTH_PREFIX: usize = 4;

/// Bytes that are taken over as they are, without a copy when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Self)
    }
}

/// One frame's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame<'a> {
    /// The greeting of each side, and its first frame.
    Hello(Box<Hello>),
    /// The sender does not go on.
    Refuse(Refusal),
    /// The sender's context as of the session's start, when it did not come with the greeting.
    Context(ContextForm),
    /// Rows in the encoding of [`crate::rows`].
    Rows(Purpose, #[serde(borrow)] Bytes<'a>),
    /// Siblings of a row that may be too large for one frame, in the same encoding: additions to it, no statement of what
    /// it holds. Says whether it is the row's last.
    Fragment(bool, #[serde(borrow)] Bytes<'a>),
    /// The sender's rows of the exchange are all sent. If it names the sender's root as of now, the receiver is to
    /// compare.
    End(Option<WireRoot>),
    /// A message of the walk.
    Walk(#[serde(borrow)] Bytes<'a>),
    /// Asks for rows by key; keys encoded as rows without siblings.
    Want(Wish, #[serde(borrow)] Bytes<'a>),
    /// The sender has nothing open: its root, after it had handled so many frames of the receiver's. Roots are not
    /// counted, nor is the message that closes the walk.
    Root(WireRoot, u64),
    /// The next symbols of the sender's sketch.
    Symbols(#[serde(borrow)] Bytes<'a>),
    /// Asks for so many symbols more.
    MoreSymbols(u64),
    /// Dots that the sketch showed to be live in the receiver, and that the sender has dropped: a context.
    Dropped(#[serde(borrow)] Bytes<'a>),
    /// The sender's name among the carriers, the hash of its roster, and what carriers have said who count with that.
    Carrier([u8; 16], RosterHash, Vec<WireAdvert>),
    /// The sender's name among the carriers, and its roster in canonical bytes.
    Roster([u8; 16], #[serde(borrow)] Bytes<'a>),
    /// A whole range was removed: to be applied when all additions have come.
    RangeRemoved(RangeRemoved),
    /// The sender is at work on removals of ranges. Nothing is to be done about it.
    Working,
}

/// A removal of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RangeRemoved {
    /// The removals' own dots: a canonical context.
    pub(crate) dots: Vec<u8>,
    pub(crate) lower: Vec<u8>,
    pub(crate) upper: Option<Vec<u8>>,
    /// What is dead in the range.
    pub(crate) observed: ContextForm,
}

/// What rows are sent for, and what may be concluded from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// The receiver's context does not have them. All that lived in the sender at the session's start, up to this dot,
    /// has now been sent.
    Addition(Option<WireDot>),
    /// They are all that the sender holds, from where its last frame of the copy ended (the start of the range, for the
    /// first) up to this key, exclusive; up to the end of the range, if none. Rows may be missing that hold only dots
    /// which the receiver had seen at the session's start and the sender had not.
    Copy(Option<Vec<u8>>),
    /// The walk found them to differ.
    Found,
    /// They were asked for.
    Wanted,
    /// The removal log names their keys: this is what the sender holds there now, mostly nothing.
    Removed,
    /// The same, with what removed them, for the receiver's own log: to those who offer to take it.
    RemovedBy(RemovedBy),
}

/// Which removals the rows of a frame are named for, and of how many that is all.
///
/// The frame goes on from where the one before of its kind ended, in dot order, among the dots that the sender had seen
/// at its start and the receiver had not. Of these, all removals are in the frame up to `frontier`, save by dots in
/// `missing`; and all that lived in the sender was sent before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedBy {
    /// None is the last of all dots.
    pub(crate) frontier: Option<WireDot>,
    /// Dots whose removals the sender's log may lack: a canonical context.
    pub(crate) missing: Vec<u8>,
    /// For each row, the dots that removed something out of it, in the encoding of [`crate::rows::removers`].
    pub(crate) removers: Vec<u8>,
}

/// In what form wanted rows are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// Siblings that the asking side had seen when the session began need not come with their payload.
    Unseen,
    /// All payloads: the two sides hold different ones under the same dot.
    Whole,
}

impl<'a> Frame<'a> {
    /// What it is called in errors.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "a greeting",
            Self::Refuse(_) => "a refusal",
            Self::Context(_) => "a context",
            Self::Rows(..) => "rows",
            Self::Fragment(..) => "a fragment of a row",
            Self::End(_) => "the end of its rows",
            Self::Walk(_) => "a message of the walk",
            Self::Want(..) => "a wish for rows",
            Self::Root(..) => "its root",
            Self::Symbols(_) => "symbols of its sketch",
            Self::MoreSymbols(_) => "a wish for more symbols",
            Self::Dropped(_) => "dots that it dropped",
            Self::Carrier(..) => "its name",
            Self::Roster(..) => "its roster of carriers",
            Self::RangeRemoved(_) => "a removal of a range",
            Self::Working => "a sign of work",
        }
    }

    /// The frame's bytes, to go in this flight.
    pub(crate) fn encode(&self, flight: u32) -> Vec<u8> {
        // Writing to a vector fails only where a type cannot be told its length beforehand; none here is of that kind.
        postcard::to_allocvec(&(flight, self)).expect("frames are made of types of known length")
    }

    /// Reads a frame and the number of its flight.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<(u32, Self), SessionError> {
        if bytes.len() > MAX_FRAME {
            return Err(SessionError::FrameTooLarge {
                bytes: bytes.len(),
                bound: MAX_FRAME,
            });
        }
        match postcard::take_from_bytes(bytes) {
            Ok((frame, [])) => Ok(frame),
            Ok(_) => Err(SessionError::Malformed("bytes follow its content")),
            Err(_) => Err(SessionError::Malformed("it is no frame of this protocol")),
        }
    }
}

/// The frame that tells a peer why there will be no session, or none any more.
#[must_use]
pub fn refusal(refusal: Refusal) -> Vec<u8> {
    // A refusal answers whatever came before it; its flight is not counted by anybody.
    Frame::Refuse(refusal).encode(0)
}

#[cfg(test)]
mod tests;
