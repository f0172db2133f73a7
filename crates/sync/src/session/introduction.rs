//! Both sides say which carriers they are, before either tells a row, and what carriers have said.
//!
//! ```text
//! initiator                                            responder
//!    Hello, Carrier ────────────────────────────────────▶         the same roster on both sides:
//!              ◀──────────────────────────── Hello, Carrier, …    nothing more to say
//!
//!    Hello, Carrier ────────────────────────────────────▶         another roster, or
//!    Hello ─────────────────────────────────────────────▶         a peer not known to read more than that:
//!              ◀──────────────────────────── Hello, Roster, …
//!    Roster, or Carrier if it is the same, … ───────────▶
//! ```
//!
//! Whoever made a row that arrives is in the roster of the side that tells it, which is merged durably before. That is
//! what lets a replica rest on what *all* carriers have said. What carriers have said goes along where both count with the
//! same roster, since only then does it mean anything.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, CarrierId, Roster};

use super::{Phase, Role, Session};
use crate::carriers::{Attendance, RosterHash, Statement, WireAdvert, hash_roster, phrase, silent};
use crate::error::{Refusal, RefusalCode, SessionError};
use crate::frame::{Bytes, Frame};
use crate::hello::{Hello, features};
use crate::replica::Replica;

/// What a Carrier frame takes beside what carriers have said: length, flight, kind, name, hash, count.
pub(super) const CARRIER: usize = 4 + 1 + 1 + 16 + 8 + 1;

/// What is said of carriers at the least, and both ways, in a session of replicas that agree.
pub(super) const LEAST: usize = 2 * (CARRIER + 10);

/// What the words of carriers may take in a session that is not quiet anyway.
const AMPLE: usize = 16 << 10;

/// How many Carrier frames a side sends at most.
const MOST: u8 = 2;

/// What one side has said and awaits.
#[derive(Debug)]
pub(super) struct Introduction {
    attendance: Option<Attendance>,
    hash: RosterHash,
    /// Whether we have nothing to say any more without which the peer would have to wait.
    said: bool,
    awaited: Awaited,
    peer: Option<CarrierId>,
    /// Whether both count with the same roster.
    alike: bool,
    /// Whether there is more to say of what carriers have said.
    more: bool,
    /// Carrier frames that have come.
    heard: u8,
    /// What has come and refers to the peer's start context, which has not.
    unresolved: Vec<WireAdvert>,
}

/// What the peer has yet to say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// Who it is, by either frame.
    Name,
    /// Its roster.
    Roster,
}

impl Introduction {
    pub(super) fn new(attendance: Option<Attendance>) -> Self {
        let roster = attendance.as_ref().map(|attendance| &attendance.roster);
        Self {
            hash: roster.map(hash_roster).unwrap_or_default(),
            attendance,
            said: true,
            awaited: Awaited::Nothing,
            peer: None,
            alike: false,
            more: false,
            heard: 0,
            unresolved: Vec::new(),
        }
    }

    pub(super) fn features(&self) -> u64 {
        match self.attendance {
            Some(_) => features::CARRIERS,
            None => 0,
        }
    }

    /// Whether the peer has yet to say who it is.
    pub(super) fn awaits(&self) -> bool {
        self.awaited != Awaited::Nothing
    }

    /// Whether both sides may go on, or this one may.
    pub(super) fn admits(&self, role: Role) -> bool {
        self.said && (role == Role::Responder || !self.awaits())
    }
}

impl<R: Replica> Session<R> {
    /// The initiator says who it is with its greeting, in so many bytes.
    pub(super) fn introduce_at_once(&mut self, room: usize) {
        self.say_name(room);
    }

    /// The greeting has come: decides who says what. The answer to it is out.
    pub(super) fn acquaint(&mut self, hello: &Hello, room: usize) -> Result<(), SessionError> {
        let speaks = hello.features & features::CARRIERS != 0;
        let introduced = speaks && hello.features & features::INTRODUCED != 0;
        let listens = self.introduction.attendance.is_some();
        self.wire.report.knows_carriers = speaks;
        self.introduction_room = room;
        let introduction = &mut self.introduction;
        match (listens, speaks) {
            (true, true) => {
                introduction.awaited = Awaited::Name;
                introduction.said = false;
                if self.role == Role::Responder && !introduced {
                    self.say_roster();
                }
                Ok(())
            }
            (true, false) => {
                let peer = silent(hello.node);
                self.take_for(peer)?;
                self.enrol(&Roster::new(peer))
            }
            (false, _) => {
                // What we cannot make use of has to be let pass.
                if introduced {
                    introduction.awaited = Awaited::Name;
                }
                Ok(())
            }
        }
    }

    /// The peer says its name, and what carriers have said.
    pub(super) fn named(
        &mut self,
        name: [u8; 16],
        hash: RosterHash,
        adverts: Vec<WireAdvert>,
        bytes: usize,
    ) -> Result<(), SessionError> {
        self.introduction_room = self.introduction_room.saturating_sub(bytes);
        let introduction = &mut self.introduction;
        introduction.heard += 1;
        let first = introduction.awaited == Awaited::Name;
        let carrier = CarrierId::from_bytes(name);
        if introduction.attendance.is_none() && first {
            introduction.awaited = Awaited::Nothing;
            return self.enter();
        }
        let again = introduction.alike && introduction.peer == Some(carrier);
        if (!first && !again) || introduction.heard > MOST {
            return Err(self.unexpected("its name"));
        }
        if first {
            self.take_for(carrier)?;
            let introduction = &mut self.introduction;
            introduction.alike = introduction.hash == hash;
            match (introduction.alike, introduction.said) {
                (true, _) => introduction.awaited = Awaited::Nothing,
                // It has our roster, and says that it is its own.
                (false, _) if self.role == Role::Initiator => return Err(ANOTHER_ROSTER),
                (false, true) => return Err(ANOTHER_ROSTER),
                (false, false) => introduction.awaited = Awaited::Roster,
            }
        }
        if self.introduction.alike {
            self.introduction.unresolved.extend(adverts);
            self.hear()?;
        }
        self.answer();
        self.enter()
    }

    /// The peer tells its roster.
    pub(super) fn enrolled(&mut self, name: [u8; 16], roster: &[u8]) -> Result<(), SessionError> {
        if !self.introduction.awaits() || self.introduction.attendance.is_none() {
            return Err(self.unexpected("its roster of carriers"));
        }
        let carrier = CarrierId::from_bytes(name);
        self.introduction_room = self
            .introduction_room
            .saturating_sub(CARRIER + roster.len());
        self.take_for(carrier)?;
        let roster = Roster::from_bytes(roster)
            .map_err(|_| SessionError::Malformed("its roster is not canonical"))?;
        if !roster.counts(&carrier) || roster.counted().len() + roster.forgotten().len() > CARRIERS
        {
            return Err(SessionError::Malformed(
                "its roster is too long, or lacks itself",
            ));
        }
        let introduction = &mut self.introduction;
        introduction.awaited = Awaited::Nothing;
        introduction.alike = introduction.hash == hash_roster(&roster);
        self.answer();
        if !self.introduction.alike {
            self.enrol(&roster)?;
        }
        self.enter()
    }

    /// Says of us what the peer waits for.
    fn answer(&mut self) {
        let Introduction { said, alike, .. } = self.introduction;
        match (said, alike) {
            (true, _) => {}
            (false, false) => self.say_roster(),
            // It was said with the greeting.
            (false, true) if self.request.introducing => self.introduction.said = true,
            (false, true) => {
                let quiet = self.their_root == self.ground.start.root;
                self.say_name(if quiet { self.introduction_room } else { AMPLE });
            }
        }
    }

    /// Goes on with a peer of this name, unless it must not be gone on with.
    fn take_for(&mut self, peer: CarrierId) -> Result<(), SessionError> {
        let Some(attendance) = &self.introduction.attendance else {
            return Ok(());
        };
        let refuse = |code, text| Err(SessionError::Refusing(Refusal::new(code, text)));
        if attendance.roster.has_forgotten(&peer) {
            let text = alloc::format!(
                "replica {peer} was forgotten here; it may hold writes that came too late, and comes back only as an empty store"
            );
            return refuse(RefusalCode::Forgotten, text);
        }
        if attendance.carrier == peer {
            let text = alloc::format!(
                "both nodes hold replica {peer}; one is a copy of the other's files, and has to begin as an empty store"
            );
            return refuse(RefusalCode::Copied, text);
        }
        self.introduction.peer = Some(peer);
        self.wire.report.peer_carrier = Some(peer);
        self.ground.set_peer(peer);
        Ok(())
    }

    fn enrol(&mut self, roster: &Roster) -> Result<(), SessionError> {
        let own = self.introduction.attendance.as_ref();
        if own.is_some_and(|own| roster.has_forgotten(&own.carrier)) {
            return Err(SessionError::Forgotten);
        }
        self.ground.enrol(roster)
    }

    fn say_name(&mut self, room: usize) {
        let Some(attendance) = &self.introduction.attendance else {
            return;
        };
        let room = room.saturating_sub(CARRIER);
        let start = &self.ground.start.context;
        let theirs = self.ground.theirs().ok();
        let (adverts, all) = phrase(attendance, start, theirs, self.request.salt[0], room);
        let name = *attendance.carrier.as_bytes();
        let frame = Frame::Carrier(name, self.introduction.hash, adverts);
        self.wire.send(self.wire.next_flight(), &frame);
        self.introduction.said = true;
        self.introduction.more = !all;
    }

    fn say_roster(&mut self) {
        let Some(attendance) = &self.introduction.attendance else {
            return;
        };
        let roster = attendance.roster.to_bytes();
        let frame = Frame::Roster(*attendance.carrier.as_bytes(), Bytes(&roster));
        self.wire.send(self.wire.next_flight(), &frame);
        self.introduction.said = true;
    }

    /// Says what found no room in the greeting, now that the session is not quiet anyway.
    pub(super) fn say_more(&mut self) {
        if self.introduction.alike && core::mem::take(&mut self.introduction.more) {
            self.say_name(AMPLE);
            self.introduction.more = false;
        }
    }

    /// Takes in what the peer has passed on of what carriers say, if its context is there that it is told in terms of.
    pub(super) fn hear(&mut self) -> Result<(), SessionError> {
        let Some(attendance) = &self.introduction.attendance else {
            return Ok(());
        };
        let Ok(theirs) = self.ground.theirs() else {
            return Ok(());
        };
        if !self.introduction.alike {
            return Ok(());
        }
        let unresolved = core::mem::take(&mut self.introduction.unresolved);
        let (start, mut spoken_for) = (&self.ground.start.context, BTreeSet::new());
        let mut said: Vec<(CarrierId, Statement)> = Vec::with_capacity(unresolved.len() + 1);
        for advert in unresolved {
            let (carrier, statement) = advert.resolve(&attendance.roster, theirs, start)?;
            // What was said with the greeting may be said once more. What we say ourselves is ours to say.
            if spoken_for.insert(carrier) && carrier != attendance.carrier {
                said.push((carrier, statement));
            }
        }
        self.ground.vouch()?;
        said.push((attendance.carrier, attendance.own.clone()));
        self.ground.hear(&attendance.roster, said);
        Ok(())
    }

    /// Goes on from the greetings, as far as introductions allow.
    pub(super) fn enter(&mut self) -> Result<(), SessionError> {
        if !matches!(self.phase, Phase::Meeting) || !self.introduction.admits(self.role) {
            return Ok(());
        }
        if self.their_root != self.ground.start.root {
            self.say_more();
            return self.proceed();
        }
        match self.introduction.awaits() {
            true => Ok(()),
            false => {
                self.ground.learn_of_an_equal()?;
                self.finish(true, self.their_root)
            }
        }
    }
}

/// How many carriers a roster may have, those that were forgotten included.
const CARRIERS: usize = 65_536;

const ANOTHER_ROSTER: SessionError =
    SessionError::Malformed("it names itself by another roster than it was told");
