//! What goes in, what comes out, and what is known of members.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::card::Card;
use super::identity::MemberId;
use super::refusal::Refusal;
use super::table::{Entry, State};

/// Seeds that are kept at most.
pub const MAX_SEEDS: usize = 64;

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input<N> {
    /// A member that may be of the cluster has been found at an address: a seed. It is sought until it is there, and again whenever it
    /// is not. Beyond [`MAX_SEEDS`], one that is there makes room, or else this one is only tried once.
    Join(N, SocketAddr),
    /// A packet has come.
    Received {
        /// Who sent it, as the transport knows it.
        from: N,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// The time that was [asked for](Output::Wake) has come. Nothing happens if it comes too early or twice.
    Timer,
    /// What the node says of itself has changed.
    Card(Card),
    /// The node is now reached at another address. Takes a new generation.
    Moved(SocketAddr),
    /// The node is about to stop, and says so. The machine is of no use after that; what is to be sent should be given a moment.
    Leave,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<N> {
    /// Send a packet. It may get lost.
    Send {
        /// To whom.
        to: N,
        /// Where that is.
        address: SocketAddr,
        /// At most [`MAX_PACKET`](super::MAX_PACKET); what is urgent at most [`MAX_DATAGRAM`](super::MAX_DATAGRAM).
        bytes: Vec<u8>,
    },
    /// Give back [`Input::Timer`] after this time. Replaces what was asked for before.
    Wake {
        /// In how long.
        after: Duration,
    },
    /// The members have changed.
    Event(Event<N>),
    /// Write this generation to the disk, durably, before anything that follows is carried out. The next start takes a higher one.
    Persist(u64),
    /// What a peer has sent was refused. That it floods is said once a second; that it is a [stranger](Refusal::Stranger) is only counted.
    Refused {
        /// Who sent it.
        from: N,
        /// Why.
        why: Refusal<N>,
    },
}

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<N> {
    /// One is there that was not.
    Up(Member<N>),
    /// One does not answer. It counts as there until it is down.
    Suspect(N),
    /// One has not answered for too long.
    Down(N),
    /// One has said goodbye.
    Left(N),
    /// One that is there has moved, was started again without anybody noticing, has another card, or is no suspect any more.
    Changed(Member<N>),
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<N> {
    /// Its name.
    pub id: N,
    /// Which of its lives. One that is greater than before says that it was started again, or was held dead by mistake.
    pub generation: u64,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How it is doing.
    pub state: State,
    /// What it says of itself. Nothing if that is still on its way.
    pub card: Option<Arc<Card>>,
}

impl<N: MemberId> Entry<N> {
    pub(super) fn member(&self) -> Member<N> {
        Member {
            id: self.identity.id(),
            generation: self.identity.generation(),
            address: self.identity.address(),
            state: self.state,
            card: self.issue.as_ref().map(|issue| issue.card.clone()),
        }
    }
}
