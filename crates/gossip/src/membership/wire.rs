//! What the failure detector says, in bytes of our own: they do not change when the crate does.

use alloc::vec::Vec;

use bytes::{Buf, BufMut};
use foca::{Header, Incarnation, Member, Message, State};
use syncline_crdt::{Canonical, DecodeError, Input};

use super::identity::{Identity, MemberId};

/// The codec that the failure detector is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire;

/// Why something cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It does not fit into what is left of the packet.
    #[error("the packet is full")]
    Full,
}

mod tag {
    pub(super) const PING: u8 = 1;
    pub(super) const ACK: u8 = 2;
    pub(super) const PING_REQUEST: u8 = 3;
    pub(super) const INDIRECT_PING: u8 = 4;
    pub(super) const INDIRECT_ACK: u8 = 5;
    pub(super) const FORWARDED_ACK: u8 = 6;
    pub(super) const ANNOUNCE: u8 = 7;
    pub(super) const FEED: u8 = 8;
    pub(super) const GOSSIP: u8 = 9;
    pub(super) const BROADCAST: u8 = 10;
    pub(super) const DOWN: u8 = 11;
}

impl<N: MemberId> foca::Codec<Identity<N>> for Wire {
    type Error = WireError;

    fn encode_header(
        &mut self,
        header: &Header<Identity<N>>,
        buf: impl BufMut,
    ) -> Result<(), WireError> {
        let mut out = Vec::new();
        put_header(header, &mut out);
        put(&out, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity<N>>, WireError> {
        read(buf, read_header)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity<N>>,
        buf: impl BufMut,
    ) -> Result<(), WireError> {
        let mut out = Vec::new();
        put_member(member, &mut out);
        put(&out, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity<N>>, WireError> {
        read(buf, read_member)
    }
}

fn put(bytes: &[u8], mut buf: impl BufMut) -> Result<(), WireError> {
    if buf.remaining_mut() < bytes.len() {
        return Err(WireError::Full);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// The bytes always lie in one piece: they come out of one packet.
fn read<T>(
    mut buf: impl Buf,
    read: impl FnOnce(&mut Input<'_>) -> Result<T, DecodeError>,
) -> Result<T, WireError> {
    let mut input = Input::new(buf.chunk());
    let value = read(&mut input)?;
    let left = input.remaining();
    let taken = buf.chunk().len() - left;
    buf.advance(taken);
    Ok(value)
}

/// The sender, the varint of its incarnation, the receiver, a tag, and what the tag says.
fn put_header<N: MemberId>(header: &Header<Identity<N>>, out: &mut Vec<u8>) {
    header.src.encode(out);
    header.src_incarnation.encode(out);
    header.dst.encode(out);
    match &header.message {
        Message::Ping(number) => out.extend([tag::PING, *number]),
        Message::Ack(number) => out.extend([tag::ACK, *number]),
        Message::PingReq {
            target,
            probe_number,
        } => put_indirect(tag::PING_REQUEST, *probe_number, target, out),
        Message::IndirectPing {
            origin,
            probe_number,
        } => put_indirect(tag::INDIRECT_PING, *probe_number, origin, out),
        Message::IndirectAck {
            target,
            probe_number,
        } => put_indirect(tag::INDIRECT_ACK, *probe_number, target, out),
        Message::ForwardedAck {
            origin,
            probe_number,
        } => put_indirect(tag::FORWARDED_ACK, *probe_number, origin, out),
        Message::Announce => out.push(tag::ANNOUNCE),
        Message::Feed => out.push(tag::FEED),
        Message::Gossip => out.push(tag::GOSSIP),
        Message::Broadcast => out.push(tag::BROADCAST),
        Message::TurnUndead => out.push(tag::DOWN),
    }
}

fn put_indirect<N: MemberId>(tag: u8, number: u8, other: &Identity<N>, out: &mut Vec<u8>) {
    out.extend([tag, number]);
    other.encode(out);
}

fn read_header<N: MemberId>(input: &mut Input<'_>) -> Result<Header<Identity<N>>, DecodeError> {
    Ok(Header {
        src: Identity::decode(input)?,
        src_incarnation: Incarnation::decode(input)?,
        dst: Identity::decode(input)?,
        message: read_message(input)?,
    })
}

fn read_message<N: MemberId>(input: &mut Input<'_>) -> Result<Message<Identity<N>>, DecodeError> {
    Ok(match input.byte()? {
        tag::PING => Message::Ping(input.byte()?),
        tag::ACK => Message::Ack(input.byte()?),
        tag::PING_REQUEST => Message::PingReq {
            probe_number: input.byte()?,
            target: Identity::decode(input)?,
        },
        tag::INDIRECT_PING => Message::IndirectPing {
            probe_number: input.byte()?,
            origin: Identity::decode(input)?,
        },
        tag::INDIRECT_ACK => Message::IndirectAck {
            probe_number: input.byte()?,
            target: Identity::decode(input)?,
        },
        tag::FORWARDED_ACK => Message::ForwardedAck {
            probe_number: input.byte()?,
            origin: Identity::decode(input)?,
        },
        tag::ANNOUNCE => Message::Announce,
        tag::FEED => Message::Feed,
        tag::GOSSIP => Message::Gossip,
        tag::BROADCAST => Message::Broadcast,
        tag::DOWN => Message::TurnUndead,
        tag => return Err(DecodeError::UnknownTag(tag)),
    })
}

/// The identity, the varint of the incarnation, and 0, 1 or 2 for alive, suspect or down.
fn put_member<N: MemberId>(member: &Member<Identity<N>>, out: &mut Vec<u8>) {
    member.id().encode(out);
    member.incarnation().encode(out);
    out.push(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

fn read_member<N: MemberId>(input: &mut Input<'_>) -> Result<Member<Identity<N>>, DecodeError> {
    let id = Identity::decode(input)?;
    let incarnation = Incarnation::decode(input)?;
    let state = match input.byte()? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return Err(DecodeError::Invalid("the state of a member")),
    };
    Ok(Member::new(id, incarnation, state))
}

/// The header of a packet that the failure detector has made.
pub(super) fn header<N: MemberId>(swim: &[u8]) -> Result<Header<Identity<N>>, DecodeError> {
    read_header(&mut Input::new(swim))
}

/// Whether a packet of the failure detector passes on news, so that those which belong to them should go with it.
pub(super) const fn passes_on<N>(message: &Message<Identity<N>>) -> bool {
    !matches!(message, Message::Announce | Message::TurnUndead)
}

/// A packet of the failure detector: its header, then, unless it is an announcement or says "down", the count of updates in two bytes,
/// big-endian, and the updates.
#[derive(Debug)]
pub(super) struct SwimPacket<N: MemberId> {
    pub(super) header: Header<Identity<N>>,
    pub(super) updates: Vec<Member<Identity<N>>>,
}

impl<N: MemberId> SwimPacket<N> {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let header = read_header(&mut input)?;
        let mut updates = Vec::new();
        if passes_on(&header.message) && input.remaining() > 0 {
            let count = u16::from_be_bytes(input.array()?);
            for _ in 0..count {
                updates.push(read_member(&mut input)?);
            }
        }
        input.finish()?;
        Ok(Self { header, updates })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&self.header, &mut out);
        if passes_on(&self.header.message) {
            // So many came in a packet, whose count has two bytes.
            out.extend_from_slice(&(self.updates.len() as u16).to_be_bytes());
            for update in &self.updates {
                put_member(update, &mut out);
            }
        }
        out
    }
}
