//! What two sides tell each other of the carriers of their namespace: who counts, and what each has seen.
//!
//! A side that keeps a roster introduces itself before it tells a row: by its name and the hash of the roster, where the
//! peer is thought to have the same; with the whole roster otherwise. So a replica knows the makers of all rows that it
//! joins. What carriers have said of themselves goes along, in terms of the two start contexts.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use syncline_crdt::{Canonical, CarrierId, Context, Roster};

use crate::error::SessionError;

/// What a carrier says of itself, or is heard to say: an [`Advert`](syncline_crdt::Advert), by all who count with the
/// same carriers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it has durably seen.
    pub context: Arc<Context>,
    /// All that it made until this time, by its clock, in Unix milliseconds, is in the context, and its clock shows no
    /// earlier time any more.
    pub as_of_ms: u64,
}

/// What a replica that keeps a roster says when a session begins.
pub struct Attendance {
    /// The replica's name among the carriers.
    pub carrier: CarrierId,
    /// Who counts, and who was forgotten.
    pub roster: Roster,
    /// What it says of itself: no more than the oldest session under way began with, this one included.
    pub own: Statement,
    /// What it has heard the others say, all of whom count with this roster.
    pub others: Vec<(CarrierId, Statement)>,
    /// Dropped when the session ends, so that the replica may say more than what it began with.
    pub guard: Box<dyn Send + Sync>,
}

/// Leaves out the guard, and what can be long.
impl core::fmt::Debug for Attendance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Attendance")
            .field("carrier", &self.carrier)
            .field("roster", &self.roster)
            .finish_non_exhaustive()
    }
}

/// The name of a peer that has none, for its node: it counts, and never says anything.
pub(crate) fn silent(node: [u8; 32]) -> CarrierId {
    let mut name = [0; 16];
    name.copy_from_slice(&node[..16]);
    CarrierId::from_bytes(name)
}

/// The first 8 bytes of the BLAKE3 hash of a roster's canonical bytes.
pub(crate) type RosterHash = [u8; 8];

pub(crate) fn hash_roster(roster: &Roster) -> RosterHash {
    let mut hash = [0; 8];
    hash.copy_from_slice(&blake3::hash(&roster.to_bytes()).as_bytes()[..8]);
    hash
}

/// A statement on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireAdvert {
    /// The place of its carrier in the roster.
    place: u64,
    as_of_ms: u64,
    context: Reference,
}

/// A context that the receiver can make out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reference {
    /// The sender's start context.
    Sender,
    /// The receiver's.
    Receiver,
    /// The sender's, without some dots and with others: canonical bytes of both.
    Edited { without: Vec<u8>, with: Vec<u8> },
}

/// Puts statements into words, as many as `room` bytes take; our own comes first, the others in turn from one that
/// `chance` picks. `theirs` is the receiver's start context, if it is known. Returns the words, and whether all fit.
pub(crate) fn phrase(
    attendance: &Attendance,
    start: &Context,
    theirs: Option<&Context>,
    chance: u8,
    room: usize,
) -> (Vec<WireAdvert>, bool) {
    let own = (attendance.carrier, &attendance.own);
    let others = attendance
        .others
        .iter()
        .map(|(carrier, said)| (*carrier, said));
    let count = attendance.others.len();
    let others = others
        .cycle()
        .skip(usize::from(chance) % count.max(1))
        .take(count);
    let (mut adverts, mut left, mut all) = (Vec::new(), room, true);
    for (carrier, said) in core::iter::once(own).chain(others) {
        let Some(place) = attendance.roster.place(&carrier) else {
            continue;
        };
        let context = if *said.context == *start {
            Reference::Sender
        } else if theirs == Some(&*said.context) {
            Reference::Receiver
        } else {
            Reference::Edited {
                without: start.difference(&said.context).to_bytes(),
                with: said.context.difference(start).to_bytes(),
            }
        };
        let advert = WireAdvert {
            place: place as u64,
            as_of_ms: said.as_of_ms,
            context,
        };
        match left.checked_sub(advert.len()) {
            Some(rest) => {
                left = rest;
                adverts.push(advert);
            }
            None => all = false,
        }
    }
    (adverts, all)
}

impl WireAdvert {
    /// About what it takes in a frame, and never less.
    fn len(&self) -> usize {
        const TIME: usize = 7;
        const PLACE: usize = 2;
        TIME + PLACE
            + match &self.context {
                Reference::Sender | Reference::Receiver => 1,
                Reference::Edited { without, with } => 7 + without.len() + with.len(),
            }
    }

    /// Who says what, where `start` is the sender's start context and `ours` is the receiver's.
    pub(crate) fn resolve(
        &self,
        roster: &Roster,
        start: &Context,
        ours: &Context,
    ) -> Result<(CarrierId, Statement), SessionError> {
        let place = usize::try_from(self.place).unwrap_or(usize::MAX);
        let carrier = roster.at(place).ok_or(SessionError::Malformed(
            "it speaks for a carrier that does not count",
        ))?;
        let read = |bytes: &[u8]| {
            Context::from_bytes(bytes)
                .map_err(|_| SessionError::Malformed("a carrier's context is not canonical"))
        };
        let context = match &self.context {
            Reference::Sender => start.clone(),
            Reference::Receiver => ours.clone(),
            Reference::Edited { without, with } => {
                let mut context = start.difference(&read(without)?);
                context.merge(&read(with)?);
                context
            }
        };
        let statement = Statement {
            context: Arc::new(context),
            as_of_ms: self.as_of_ms,
        };
        Ok((carrier, statement))
    }
}

/// A statement by each kind of reference.
#[cfg(test)]
pub(crate) fn examples() -> Vec<WireAdvert> {
    let edited = Reference::Edited {
        without: alloc::vec![0],
        with: alloc::vec![1, 2],
    };
    let references = [Reference::Sender, Reference::Receiver, edited];
    let advert = |(place, context)| WireAdvert {
        place,
        as_of_ms: 1_700_000_000_000,
        context,
    };
    (0..).zip(references).map(advert).collect()
}
