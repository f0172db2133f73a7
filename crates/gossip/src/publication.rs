//! Publications: what is said to all who listen at the moment, and kept by nobody.
//!
//! A publication travels as a [rumour](crate::Rumour) does, along a tree of its own, under the [name](crate::RumourId) of its publisher and the
//! number that it has there. What makes it another thing than a rumour of a write: nobody can look it up later. So
//!
//! - it comes *at most once*, and to whoever was cut off, or asleep, never: nothing is [pulled](crate::Config::pulls);
//! - what comes of a publisher comes *in the order* in which that one published it, since nobody could find out the order from what
//!   is left of it. What overtook another waits for it, for [some seconds](Publications) at most; what comes later than that is passed over.
//!
//! | bytes of a payload | |
//! |---|---|
//! | 1 | space: 0 channels, 1 shards |
//! | varint | length of the channel's name |
//! | so many | the channel's name |
//! | the rest | what is said |

mod machine;
mod order;

use alloc::sync::Arc;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, DecodeError, Input};

pub use self::machine::Publications;
use crate::message::{Message, Pushed};
use crate::rumour::RumourId;

/// Names of channels mean something of their own in each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// What Redis's `PUBLISH` is about.
    Channels,
    /// What Redis's `SPUBLISH` is about.
    Shards,
}

/// A publication. Cloning it shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What the name of the channel is a name in.
    pub space: Space,
    /// Where it is said.
    pub channel: Arc<[u8]>,
    /// What is said.
    pub message: Arc<[u8]>,
}

/// Why something is no publication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationError {
    /// Its payload is not what one is written as.
    #[error("a publication cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// It is longer than any is.
    #[error("a publication of {0} bytes, more than {max}", max = Published::MAX_BYTES)]
    TooLong(usize),
    /// It goes by several numbers, or by none that is followed by another.
    #[error("a publication under the numbers {first} to {last}; each has one of its own")]
    Numbers {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
    },
}

impl Published {
    /// The bytes of a payload at most: its channel, its message, and what stands before them.
    pub const MAX_BYTES: usize = 256 << 10;

    /// The payload under which it travels: [`payload`] of its parts.
    ///
    /// # Errors
    /// [`PublicationError::TooLong`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, PublicationError> {
        payload(self.space, &self.channel, &self.message)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PublicationError`] for anything that [`to_bytes`](Self::to_bytes) does not write.
    pub fn from_bytes(payload: &[u8]) -> Result<Self, PublicationError> {
        let (space, channel, message) = parts(payload)?;
        Ok(Self {
            space,
            channel: channel.into(),
            message: message.into(),
        })
    }
}

/// The payload under which something travels that is said in a channel. It is not self-delimiting.
///
/// # Errors
/// [`PublicationError::TooLong`].
pub fn payload(space: Space, channel: &[u8], message: &[u8]) -> Result<Vec<u8>, PublicationError> {
    let size = 1 + length(channel) + channel.len() + message.len();
    if size > Published::MAX_BYTES {
        return Err(PublicationError::TooLong(size));
    }
    let mut bytes = Vec::with_capacity(size);
    bytes.push(match space {
        Space::Channels => 0,
        Space::Shards => 1,
    });
    (channel.len() as u64).encode(&mut bytes);
    bytes.extend_from_slice(channel);
    bytes.extend_from_slice(message);
    Ok(bytes)
}

/// The bytes of the varint before a channel.
const fn length(channel: &[u8]) -> usize {
    let bits = (usize::BITS - channel.len().leading_zeros()) as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

fn parts(payload: &[u8]) -> Result<(Space, &[u8], &[u8]), PublicationError> {
    if payload.len() > Published::MAX_BYTES {
        return Err(PublicationError::TooLong(payload.len()));
    }
    let mut input = Input::new(payload);
    let space = match input.byte()? {
        0 => Space::Channels,
        1 => Space::Shards,
        tag => return Err(DecodeError::UnknownTag(tag).into()),
    };
    let length = u64::decode(&mut input)?;
    let length = usize::try_from(length).map_err(|_| DecodeError::UnexpectedEnd)?;
    let channel = input.take(length)?;
    Ok((space, channel, input.rest()))
}

/// Whether a message that has come passes on nothing but publications. One that does not must go no further: whoever passed it on would be
/// taken for its origin.
///
/// # Errors
/// [`PublicationError`] of the first that is none.
pub fn check(message: &Message) -> Result<(), PublicationError> {
    let check = |pushed: &Pushed| {
        check_number(pushed.rumour.id())?;
        parts(pushed.rumour.payload()).map(|_| ())
    };
    match message {
        Message::Push { pushed, .. } => check(pushed),
        Message::Batch(batch) => batch.iter().try_for_each(check),
        Message::Announce(notices) | Message::Offer(notices) => notices
            .iter()
            .try_for_each(|notice| check_number(notice.id)),
        Message::Graft(ids) | Message::Want(ids) => ids.iter().copied().try_for_each(check_number),
        Message::Known(id) => check_number(*id),
        Message::Prune
        | Message::Link { .. }
        | Message::Unlink
        | Message::Compare(_)
        | Message::Same
        | Message::Pull { .. } => Ok(()),
    }
}

fn check_number(id: RumourId) -> Result<(), PublicationError> {
    let (first, last) = (id.first(), id.last());
    if first == last && last < u64::MAX {
        return Ok(());
    }
    Err(PublicationError::Numbers { first, last })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use syncline_crdt::ReplicaId;

    use super::*;
    use crate::rumour::Rumour;

    fn news() -> Published {
        Published {
            space: Space::Shards,
            channel: (*b"news").into(),
            message: (*b"hello").into(),
        }
    }

    #[test]
    fn publications_have_fixed_bytes() {
        let bytes = news().to_bytes().unwrap();
        assert_eq!(bytes, b"\x01\x04newshello");
        assert_eq!(Published::from_bytes(&bytes).unwrap(), news());
        for length in 0..6 {
            assert!(Published::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let strange = DecodeError::UnknownTag(2);
        assert_eq!(
            Published::from_bytes(b"\x02\x00"),
            Err(PublicationError::Malformed(strange))
        );
        let nothing = Published::from_bytes(b"\x00\x00").unwrap();
        assert!(nothing.channel.is_empty() && nothing.message.is_empty());
    }

    #[test]
    fn what_is_too_long_is_none() {
        // A byte for the space, and one for the length of the channel.
        let most = Published::MAX_BYTES - 2 - 4;
        let long = |length| Published {
            message: vec![0; length].into(),
            ..news()
        };
        assert!(long(most).to_bytes().is_ok());
        let size = Published::MAX_BYTES + 1;
        let too_long = Err(PublicationError::TooLong(size));
        assert_eq!(long(most + 1).to_bytes(), too_long);
        assert_eq!(
            Published::from_bytes(&vec![0; size]),
            Err(PublicationError::TooLong(size))
        );
    }

    #[test]
    fn messages_that_pass_on_something_else_are_found() {
        let replica = ReplicaId::from_bytes([7; 16]);
        let pushed = |first, last, payload: &[u8]| Pushed {
            rumour: Rumour::new(replica, first, last, payload.to_vec()).unwrap(),
            hops: 1,
        };
        let good = pushed(3, 3, b"\x00\x01ab");
        assert_eq!(check(&Message::Batch([good.clone()].into())), Ok(()));
        let cut = pushed(4, 4, b"\x00\x05ab");
        let both = Message::Batch([good, cut].into());
        assert_eq!(
            check(&both),
            Err(PublicationError::Malformed(DecodeError::UnexpectedEnd))
        );
        for (first, last) in [(3, 4), (u64::MAX, u64::MAX)] {
            let many = Message::Push {
                pushed: pushed(first, last, b"\x00\x00"),
                asked: false,
            };
            let numbers = PublicationError::Numbers { first, last };
            assert_eq!(check(&many), Err(numbers.clone()));
            let id = RumourId::new(replica, first, last).unwrap();
            assert_eq!(check(&Message::Graft([id].into())), Err(numbers));
        }
        assert_eq!(check(&Message::Prune), Ok(()));
    }
}
