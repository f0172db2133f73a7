//! How far somebody was told, in a form that can be kept.

use std::sync::Arc;

use syncline_crdt::{Canonical, Context, DecodeError, Input};

use super::departures::Place;
use super::openings::OpeningId;

/// How far somebody was told of the changes in a range: see [`View::changes`](crate::View::changes).
///
/// It weighs what the context does, some 24 bytes for each replica id, and cloning it copies
/// nothing. [`to_bytes`](Canonical::to_bytes) makes of it what can be kept; later versions read it.
/// It is of one range, and of no use with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// The opening that made the newest commit of which anything was told.
    pub(crate) opening: OpeningId,
    /// The newest commit of which anything was told.
    pub(crate) commit: u64,
    /// The first departure that was not told.
    pub(crate) departures: Place,
    /// Where the first listing of the range goes on, until it is done.
    pub(crate) listed_to: Option<Vec<u8>>,
    /// Each dot in it that is live was told, or lies where the listing has yet to come.
    pub(crate) context: Arc<Context>,
}

impl Bookmark {
    /// Whether it is of whoever holds the range as it was at one commit.
    pub fn is_complete(&self) -> bool {
        self.listed_to.is_none() && self.departures == Place::after(self.commit)
    }
}

const VERSION: u8 = 1;

/// The byte 1; 16 bytes of the opening; the commit; commit and index of the first departure to be
/// told; 0, or 1 and the length and bytes of the key to be listed first; the context. Numbers are
/// varints.
impl Canonical for Bookmark {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.opening);
        self.commit.encode(out);
        self.departures.commit.encode(out);
        u64::from(self.departures.index).encode(out);
        match &self.listed_to {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                (key.len() as u64).encode(out);
                out.extend_from_slice(key);
            }
        }
        self.context.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        if input.byte()? != VERSION {
            return Err(DecodeError::Invalid("a bookmark of a version not known"));
        }
        let opening = input.array()?;
        let commit = u64::decode(input)?;
        let departures = Place {
            commit: u64::decode(input)?,
            index: u32::try_from(u64::decode(input)?).map_err(|_| DecodeError::OutOfRange)?,
        };
        let listed_to = match input.byte()? {
            0 => None,
            1 => {
                let length =
                    usize::try_from(u64::decode(input)?).map_err(|_| DecodeError::UnexpectedEnd)?;
                Some(input.take(length)?.to_vec())
            }
            _ => return Err(DecodeError::Invalid("neither listing nor listed")),
        };
        Ok(Self {
            opening,
            commit,
            departures,
            listed_to,
            context: Arc::new(Context::decode(input)?),
        })
    }
}
