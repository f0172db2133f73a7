//! What travels between members, and its bytes.

use alloc::vec::Vec;

use syncline_crdt::{Canonical, Context, DecodeError, Input, ReplicaId};

use crate::rumour::{Rumour, RumourId};

/// What one member says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A rumour.
    Push {
        /// The rumour, and its hops.
        pushed: Pushed,
        /// Whether it was asked for. Whoever asked keeps the link, even if it has come by another meanwhile.
        asked: bool,
    },
    /// Several rumours that were not asked for.
    Batch(Vec<Pushed>),
    /// Rumours that the sender has and will not push, because they are large.
    Offer(Vec<Notice>),
    /// These, of those offered, are wanted.
    Want(Vec<RumourId>),
    /// Feedback: these are known already.
    Known(RumourId),
    /// Rumours that the sender has.
    Announce(Vec<Notice>),
    /// The link is to be a branch of the tree, and these are wanted.
    Graft(Vec<RumourId>),
    /// The link is to be no branch of the tree.
    Prune,
    /// The sender counts the receiver among its neighbours from now on.
    Link {
        /// Because it is near; otherwise, because chance has chosen it.
        near: bool,
    },
    /// The sender does not, or no longer.
    Unlink,
    /// The hash of all that the sender knows: is it the same there?
    Compare(u64),
    /// It is.
    Same,
    /// All that the sender knows. It wants what it lacks, and, if it is an answer and shows that the receiver lacks something, will
    /// be asked for that.
    Pull {
        /// Rumours that the sender has heard.
        known: Context,
        /// Whether the receiver may pull in turn.
        mutual: bool,
    },
}

/// A rumour under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The rumour.
    pub rumour: Rumour,
    /// How many hops it has come, this one included: at least 1.
    pub hops: u16,
}

/// That somebody has a rumour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub id: RumourId,
    /// By how many hops it would come to the receiver.
    pub hops: u16,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The bytes are not what a message is written as.
    #[error("a gossip message cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// More ids in one message than are ever sent.
    #[error("a gossip message names {0} rumours, more than {MAX_IDS}")]
    TooMany(u64),
}

/// How many rumours a message names at most.
pub(crate) const MAX_IDS: usize = 512;

/// The bytes of the shortest id.
const ID: usize = 18;

mod tag {
    pub(super) const PUSH: u8 = 1;
    pub(super) const KNOWN: u8 = 2;
    pub(super) const ANNOUNCE: u8 = 3;
    pub(super) const GRAFT: u8 = 4;
    pub(super) const PRUNE: u8 = 5;
    pub(super) const LINK: u8 = 6;
    pub(super) const COMPARE: u8 = 7;
    pub(super) const SAME: u8 = 8;
    pub(super) const PULL: u8 = 9;
    pub(super) const UNLINK: u8 = 10;
    pub(super) const BATCH: u8 = 11;
    pub(super) const OFFER: u8 = 12;
    pub(super) const WANT: u8 = 13;
}

impl Message {
    /// The bytes of the message: a tag, then what the tag says. They are not self-delimiting.
    ///
    /// | tag | message | then |
    /// |---|---|---|
    /// | 1 | push | hops (varint), asked (0 or 1), id, the payload to the end |
    /// | 2 | known | id |
    /// | 3, 12 | announce, offer | varint count, and for each: id, hops (varint) |
    /// | 4, 13 | graft, want | varint count, ids |
    /// | 5, 8, 10 | prune, same, unlink | |
    /// | 6 | link | near (0 or 1) |
    /// | 7 | compare | 8 bytes |
    /// | 9 | pull | mutual (0 or 1), context |
    /// | 11 | batch | varint count, and for each: hops (varint), id, varint length of the payload, payload |
    ///
    /// An id is the 16 bytes of the replica, the varint of its first counter, and the varint of how many follow it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Push { pushed, asked } => {
                let Pushed { rumour, hops } = pushed;
                out.push(tag::PUSH);
                hops.encode(&mut out);
                asked.encode(&mut out);
                put_id(rumour.id(), &mut out);
                out.extend_from_slice(rumour.payload());
            }
            Self::Known(id) => {
                out.push(tag::KNOWN);
                put_id(*id, &mut out);
            }
            Self::Batch(batch) => {
                out.push(tag::BATCH);
                (batch.len() as u64).encode(&mut out);
                for Pushed { rumour, hops } in batch {
                    hops.encode(&mut out);
                    put_id(rumour.id(), &mut out);
                    (rumour.payload().len() as u64).encode(&mut out);
                    out.extend_from_slice(rumour.payload());
                }
            }
            Self::Announce(notices) => {
                out.push(tag::ANNOUNCE);
                put_notices(notices, &mut out);
            }
            Self::Offer(notices) => {
                out.push(tag::OFFER);
                put_notices(notices, &mut out);
            }
            Self::Want(ids) => {
                out.push(tag::WANT);
                put_ids(ids, &mut out);
            }
            Self::Graft(ids) => {
                out.push(tag::GRAFT);
                put_ids(ids, &mut out);
            }
            Self::Prune => out.push(tag::PRUNE),
            Self::Link { near } => {
                out.push(tag::LINK);
                near.encode(&mut out);
            }
            Self::Unlink => out.push(tag::UNLINK),
            Self::Compare(hash) => {
                out.push(tag::COMPARE);
                out.extend_from_slice(&hash.to_be_bytes());
            }
            Self::Same => out.push(tag::SAME),
            Self::Pull { known, mutual } => {
                out.push(tag::PULL);
                mutual.encode(&mut out);
                known.encode(&mut out);
            }
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`] for anything that [`to_bytes`](Self::to_bytes) does not write. Nothing is allocated beyond the
    /// length of the input.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut input = Input::new(bytes);
        let message = match input.byte()? {
            tag::PUSH => {
                let hops = u16::decode(&mut input)?;
                let asked = bool::decode(&mut input)?;
                let id = read_id(&mut input)?;
                let rumour = Rumour::named(id, input.rest().into());
                let pushed = Pushed { rumour, hops };
                Self::Push { pushed, asked }
            }
            tag::BATCH => Self::Batch(read_batch(&mut input)?),
            tag::OFFER => Self::Offer(read_notices(&mut input)?),
            tag::WANT => Self::Want(read_ids(&mut input)?),
            tag::KNOWN => Self::Known(read_id(&mut input)?),
            tag::ANNOUNCE => Self::Announce(read_notices(&mut input)?),
            tag::GRAFT => Self::Graft(read_ids(&mut input)?),
            tag::PRUNE => Self::Prune,
            tag::LINK => Self::Link {
                near: bool::decode(&mut input)?,
            },
            tag::UNLINK => Self::Unlink,
            tag::COMPARE => Self::Compare(u64::from_be_bytes(input.array()?)),
            tag::SAME => Self::Same,
            tag::PULL => Self::Pull {
                mutual: bool::decode(&mut input)?,
                known: Context::decode(&mut input)?,
            },
            tag => return Err(DecodeError::UnknownTag(tag).into()),
        };
        input.finish()?;
        Ok(message)
    }
}

fn put_id(id: RumourId, out: &mut Vec<u8>) {
    id.replica().encode(out);
    id.first().encode(out);
    (id.last() - id.first()).encode(out);
}

fn read_id(input: &mut Input<'_>) -> Result<RumourId, MessageError> {
    let replica = ReplicaId::decode(input)?;
    let first = u64::decode(input)?;
    let more = u64::decode(input)?;
    let id = first
        .checked_add(more)
        .and_then(|last| RumourId::new(replica, first, last));
    Ok(id.ok_or(DecodeError::OutOfRange)?)
}

fn put_ids(ids: &[RumourId], out: &mut Vec<u8>) {
    (ids.len() as u64).encode(out);
    for id in ids {
        put_id(*id, out);
    }
}

fn put_notices(notices: &[Notice], out: &mut Vec<u8>) {
    (notices.len() as u64).encode(out);
    for notice in notices {
        put_id(notice.id, out);
        notice.hops.encode(out);
    }
}

fn read_batch(input: &mut Input<'_>) -> Result<Vec<Pushed>, MessageError> {
    let count = read_count(input, ID + 2)?;
    let pushed = |_| {
        let hops = u16::decode(input)?;
        let id = read_id(input)?;
        let length = input.count(1)?;
        let rumour = Rumour::named(id, input.take(length)?.into());
        Ok(Pushed { rumour, hops })
    };
    (0..count).map(pushed).collect()
}

fn read_ids(input: &mut Input<'_>) -> Result<Vec<RumourId>, MessageError> {
    let count = read_count(input, ID)?;
    (0..count).map(|_| read_id(input)).collect()
}

fn read_notices(input: &mut Input<'_>) -> Result<Vec<Notice>, MessageError> {
    let count = read_count(input, ID + 1)?;
    let notice = |_| {
        let id = read_id(input)?;
        let hops = u16::decode(input)?;
        Ok(Notice { id, hops })
    };
    (0..count).map(notice).collect()
}

/// How many follow, of so many bytes or more each.
fn read_count(input: &mut Input<'_>, bytes: usize) -> Result<usize, MessageError> {
    let count = input.count(bytes)?;
    if count > MAX_IDS {
        return Err(MessageError::TooMany(count as u64));
    }
    Ok(count)
}
