//! What members send each other, and its bytes.

use alloc::vec::Vec;

use foca::Incarnation;
use syncline_crdt::{Canonical, DecodeError, Input};

use super::card::{Edition, Issue};
use super::identity::{Identity, MemberId};
use super::table::{BUCKETS, State};

/// A packet at most.
pub const MAX_PACKET: usize = 16 << 10;
/// What of this fits into a datagram: whatever a packet is about that cannot wait.
pub const MAX_DATAGRAM: usize = 1150;
/// What the failure detector takes of a datagram at most, so that a crowd of news about members leaves room for a card.
pub(super) const MAX_SWIM: usize = 900;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet<N> {
    /// What the failure detector says, and cards on the way.
    Swim {
        swim: Vec<u8>,
        cards: Vec<(N, Issue)>,
    },
    /// The salted hash of the table: is it the same there?
    Compare { salt: u64, hash: u64 },
    /// It is not; these are the hashes of its parts.
    Buckets { salt: u64, hashes: Vec<u32> },
    /// All entries of some buckets; what they lack is wanted in turn. With no bucket named it is an answer.
    Entries {
        buckets: Buckets,
        entries: Vec<Listed<N>>,
    },
    /// The cards of these are wanted.
    Want(Vec<N>),
    /// Here they are.
    Cards(Vec<(N, Issue)>),
}

/// An entry of a table, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed<N> {
    pub(super) identity: Identity<N>,
    pub(super) incarnation: Incarnation,
    pub(super) state: State,
    /// Which card of it the sender has.
    pub(super) edition: Edition,
}

/// A set of buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Buckets([u8; BUCKETS / 8]);

impl Buckets {
    pub(super) fn insert(&mut self, bucket: u8) {
        self.0[usize::from(bucket / 8)] |= 1 << (bucket % 8);
    }

    pub(super) fn contains(&self, bucket: u8) -> bool {
        self.0[usize::from(bucket / 8)] >> (bucket % 8) & 1 == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

mod tag {
    pub(super) const SWIM: u8 = 1;
    pub(super) const COMPARE: u8 = 2;
    pub(super) const BUCKETS: u8 = 3;
    pub(super) const ENTRIES: u8 = 4;
    pub(super) const WANT: u8 = 5;
    pub(super) const CARDS: u8 = 6;
}

impl<N: MemberId> Packet<N> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Swim { swim, cards } => {
                out.push(tag::SWIM);
                swim.encode(&mut out);
                put_all(cards, &mut out, put_card);
            }
            Self::Compare { salt, hash } => {
                out.push(tag::COMPARE);
                out.extend_from_slice(&salt.to_be_bytes());
                out.extend_from_slice(&hash.to_be_bytes());
            }
            Self::Buckets { salt, hashes } => {
                out.push(tag::BUCKETS);
                out.extend_from_slice(&salt.to_be_bytes());
                for hash in hashes {
                    out.extend_from_slice(&hash.to_be_bytes());
                }
            }
            Self::Entries { buckets, entries } => {
                out.push(tag::ENTRIES);
                out.extend_from_slice(&buckets.0);
                put_all(entries, &mut out, Listed::encode);
            }
            Self::Want(wanted) => {
                out.push(tag::WANT);
                put_all(wanted, &mut out, N::encode);
            }
            Self::Cards(cards) => {
                out.push(tag::CARDS);
                put_all(cards, &mut out, put_card);
            }
        }
        out
    }

    /// Reads a packet. Nothing is allocated beyond a small multiple of the length of the input.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let packet = match input.byte()? {
            tag::SWIM => Self::Swim {
                swim: Vec::decode(&mut input)?,
                cards: read_all(&mut input, read_card)?,
            },
            tag::COMPARE => Self::Compare {
                salt: u64::from_be_bytes(input.array()?),
                hash: u64::from_be_bytes(input.array()?),
            },
            tag::BUCKETS => Self::Buckets {
                salt: u64::from_be_bytes(input.array()?),
                hashes: (0..BUCKETS)
                    .map(|_| input.array().map(u32::from_be_bytes))
                    .collect::<Result<_, _>>()?,
            },
            tag::ENTRIES => Self::Entries {
                buckets: Buckets(input.array()?),
                entries: read_all(&mut input, Listed::decode)?,
            },
            tag::WANT => Self::Want(read_all(&mut input, N::decode)?),
            tag::CARDS => Self::Cards(read_all(&mut input, read_card)?),
            tag => return Err(DecodeError::UnknownTag(tag)),
        };
        input.finish()?;
        Ok(packet)
    }
}

/// The identity, the varint of the incarnation, 0 to 3 for alive, suspect, down or left, and the edition of the card.
impl<N: MemberId> Canonical for Listed<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.identity.encode(out);
        self.incarnation.encode(out);
        out.push(match self.state {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
            State::Left => 3,
        });
        self.edition.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            identity: Identity::decode(input)?,
            incarnation: Incarnation::decode(input)?,
            state: match input.byte()? {
                0 => State::Alive,
                1 => State::Suspect,
                2 => State::Down,
                3 => State::Left,
                _ => return Err(DecodeError::Invalid("the state of a member")),
            },
            edition: Edition::decode(input)?,
        })
    }
}

fn put_card<N: MemberId>((owner, issue): &(N, Issue), out: &mut Vec<u8>) {
    owner.encode(out);
    issue.encode(out);
}

fn read_card<N: MemberId>(input: &mut Input<'_>) -> Result<(N, Issue), DecodeError> {
    Ok((N::decode(input)?, Issue::decode(input)?))
}

/// One after the other, to the end of the packet.
fn put_all<T>(items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    for item in items {
        put(item, out);
    }
}

fn read_all<T>(
    input: &mut Input<'_>,
    read: impl Fn(&mut Input<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    while input.remaining() > 0 {
        let before = input.remaining();
        items.push(read(input)?);
        if input.remaining() == before {
            return Err(DecodeError::Invalid("an item without bytes"));
        }
    }
    Ok(items)
}
