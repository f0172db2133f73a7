//! The session: a state machine that takes frames of the peer and gives frames for it.
//!
//! ```text
//! Greeting ──▶ Meeting ──▶ Exchanging ──▶ Sketching ──▶ Walking ──▶ Finished
//!     │           │            │ └────────────│───────────▲ │          ▲
//!     │           └────────────│──────────────│───────────┘ │          │
//!     └─ equal roots ──────────┴──────────────┴─────────────┴──────────┘
//! ```
//!
//! - *Greeting*: the two *starts* cross, each a root digest and a context of one commit.
//! - *Meeting*: the peer's name among the carriers, or a context that did not fit into its greeting, is awaited; see
//!   [`introduction`].
//! - *Exchanging*: rows that need no search, both ways at once; see [`exchange`].
//! - *Sketching*: removals are found by what two sketches of live dots do not have in common; see [`sketching`].
//! - *Walking*: the rest is searched for; see [`walking`]. Which of the two it is, [`searching`] decides.
//!
//! # Why it is safe
//!
//! Write S and C for our row and live context, S′ and C′ for the peer's row and its *start* context. What must not
//! happen: that a replica calls a dot seen (has it in its context) that is neither live in it nor dead for good. Its
//! next peer would take the row for removed, and drop it.
//!
//! 1. **A row that comes is joined under C′ and adds its own dots only.** It may be read later than C′ was. A dot of C′
//!    that is missing from it was dropped by the peer, before its start or since, and dots are dropped only by who has
//!    observed their removal, so it is dead for good. A dot that is new to C′ can only be kept for longer by that than
//!    it might.
//! 2. **That a key is absent, or which dots a row has, is a statement like a row** and is joined the same way: a row
//!    without siblings, or with siblings whose payloads the receiver has. So it does not matter how late it arrives.
//! 3. **C′ is merged only when each dot that was live in it, and is not in C, is joined or dead.** Any of three things
//!    shows that. *The end of the additions*: the dot index, as it was at the start, has listed them all. (The part of
//!    C′ up to a frontier in dot order is merged with the rows up to there, in their commit, so that an interrupted
//!    bootstrap leaves one interval for each writer, and goes on behind it.) A dot that was overwritten since has its row
//!    sent with what replaced it: the end of a value does not travel without the new one, or it would end the copies
//!    of others, and the new one might be lost with its only holder. *The end of a full copy*, which has shown all rows. *Equal roots*: a dot of
//!    C′ is live in the peer when it reads the root, and then live here when we read the equal one; or it was dropped by
//!    the peer in between, and is dead. (Then what C′ has and C has not is dead, too, and a value of it that a rumour has
//!    brought since is dropped: nobody who calls its removal seen will take that from a rumour any more.)
//!
//!    The end of a walk shows nothing of the kind, since short digests may collide. Contexts of a later moment than the
//!    start are never merged: nobody has said which rows belong to them.
//! 4. **Damage.** A row that fails its checksum is withdrawn: its dots leave the context, as if it had never come. Then
//!    the start context claims what nothing backs any more. So nothing is said to the peer, and nothing of its context
//!    merged here, once the replica has withdrawn a row since the start ([`ground`] compares the counts on every read
//!    and has the replica compare them in the commit of every join). The session ends; the next one fetches the row.
//! 5. **Agreement is equal roots**, all bytes of sum and count, each read after everything the other had sent was
//!    joined. Both sides judge the same pair of roots, so they come to the same verdict. Writes during the session may
//!    keep roots apart; that is reported as it is, and the next session has less to do.
//! 6. **What is said is durable first.** A peer that learns, by a context, a row or an absence, that a dot is dead drops it.
//!    If the commit that killed the dot here were then lost in a crash, the value would be back here, dead there, and soon
//!    dead here too, though what replaced it is nowhere. So all commits are made durable before a frame is given out.
//!
//! 7. **Carriers are known before their rows.** Each side merges the other's roster, durably, before it joins a row, and takes
//!    nothing from a carrier that was forgotten. What a replica says of itself is its start, or that of an older
//!    session of its: rows that it tells are told under that. See [`introduction`].
//!
//! A session may end anywhere, by an error or by being dropped: each commit is safe by itself. Any number of sessions
//! may run on one replica: a session relies on nothing between two commits but that contexts grow (4 is the exception)
//! and that dots, once dead, stay dead.
//!
//! # Why it ends
//!
//! Greetings and contexts cross once. Additions are the live dots of a difference of two fixed sets, in ascending
//! order. A full copy ascends in key order, as does the sending of a range in which the peer has nothing; they end
//! unless somebody keeps writing new rows ahead of them faster than they are read. The walk ends by its own argument
//! (see its documentation) and is walked once. Each of its findings is settled once: it causes at most one row of ours,
//! and one wish, which causes at most one row of the peer's; rows cause nothing. Roots are stated once per message of the
//! walk at most, and after it only in answer to a root; see [`walking`]. Nobody waits for anything but the peer's next
//! frame, whose absence is for the driver to judge.
//!
//! # What a hostile peer can do
//!
//! It is authenticated, and may lie like any member: send rows that nobody wrote, or claim to have seen what it has
//! not. It cannot do more. Each frame is bounded, read whole or refused whole, and refused unless due; what rows unfold
//! to is bounded ([`rows`](crate::rows)); what may be asked for at a time is bounded; frames for it are made one at a
//! time when the transport takes them. Our context is handed out, our rows are, and our digests: it is a member.

mod exchange;
mod ground;
mod introduction;
mod opening;
mod ranges;
mod removals;
mod searching;
mod sketching;
mod walking;
mod wire;

pub use opening::Opening;

use alloc::boxed::Box;
use alloc::vec::Vec;

use syncline_merkle::{KeyRange, RangeDigest};

use crate::config::{Config, Request};
use crate::error::SessionError;
use crate::forms::ContextHash;
use crate::frame::{Frame, LENGTH_PREFIX};
use crate::hello;
use crate::replica::Replica;
use crate::report::Report;
use crate::rows::{self, Arrival, Tally};
use exchange::Exchange;
use ground::Ground;
use introduction::Introduction;
use sketching::Sketching;
use walking::Walking;
use wire::Wire;

/// One side of a session.
///
/// It is driven by two calls: [`handle_frame`](Self::handle_frame) for each frame of the peer, in the order sent, and
/// [`poll_frame`](Self::poll_frame) for the frames to send. Poll until there is none, after the beginning and after
/// each frame handled; while the transport takes no more, do not poll: what is sent is read from the replica only then.
/// Frames of the peer may be handled between any two polls, and have to be, if neither side is to wait for the other
/// for ever.
///
/// It may be dropped at any time. What was joined stays, and the next session goes on from there.
pub struct Session<R: Replica> {
    role: Role,
    request: Request,
    ground: Ground<R>,
    wire: Wire,
    phase: Phase,
    /// Of the peer's start.
    their_root: RangeDigest,
    /// The hash of the peer's context, while that is still to come.
    awaited: Option<ContextHash>,
    /// Whether the peer knows our context.
    told_context: bool,
    /// What both sides offer, once both have greeted.
    features: u64,
    introduction: Introduction,
    /// What a quiet session leaves for introductions, in bytes.
    introduction_room: usize,
}

/// Which side of the session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Initiator,
    Responder,
}

/// What the session is doing.
#[derive(Debug)]
enum Phase {
    /// We have greeted and wait for the answer.
    Greeting,
    /// The roots differ; a context is still to come.
    Meeting,
    /// Rows that need no search cross.
    Exchanging(Box<Exchange>),
    /// Removals are decoded.
    Sketching(Box<Sketching>),
    /// The rest is searched for.
    Walking(Box<Walking>),
    /// All is said, and maybe still to be sent.
    Finished,
    /// It ended by an error.
    Failed,
}

/// How to go on.
#[derive(Debug)]
enum Next {
    /// There may be more to send.
    More,
    /// Nothing to do until the peer says something.
    Idle,
    /// Find what still differs, by a sketch or a walk; the peer's root is this, as far as we know.
    Search(RangeDigest),
    /// Begin the walk; the peer's root is this, as far as we know.
    Walk(RangeDigest),
    /// Nothing is open on either side, and both know these roots.
    Finish { agreed: bool, root: RangeDigest },
}

impl<R: Replica> Session<R> {
    fn new(
        role: Role,
        replica: R,
        config: Config,
        request: Request,
        wire: Wire,
    ) -> Result<Self, SessionError> {
        let range = request.range.clone().unwrap_or(KeyRange::ALL);
        let (ground, attendance) = Ground::new(replica, config, range)?;
        Ok(Self {
            role,
            ground,
            introduction: Introduction::new(attendance),
            introduction_room: 0,
            request,
            wire,
            phase: Phase::Greeting,
            their_root: RangeDigest::ZERO,
            awaited: None,
            told_context: false,
            features: 0,
        })
    }

    /// Takes a frame of the peer, without the length that a stream puts before it.
    ///
    /// What it says is joined, durably where the protocol needs that, before the call returns, which may therefore take
    /// as long as a commit.
    ///
    /// # Errors
    /// Any [`SessionError`]; the session is over then, and [`SessionError::farewell`] is what the peer should be told.
    pub fn handle_frame(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        if self.is_over() {
            return Err(SessionError::Over);
        }
        self.handle(frame)
            .inspect_err(|_| self.phase = Phase::Failed)
    }

    /// The next frame to send, without the length that a stream puts before it; `None` if there is nothing to say for
    /// now.
    ///
    /// # Errors
    /// Any [`SessionError`]; the session is over then, and [`SessionError::farewell`] is what the peer should be told.
    pub fn poll_frame(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        if matches!(self.phase, Phase::Failed) {
            return Err(SessionError::Over);
        }
        self.poll().inspect_err(|_| self.phase = Phase::Failed)
    }

    /// Whether the session ended as it should: nothing is open, nothing is left to send or to wait for.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished) && self.wire.is_idle()
    }

    const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed)
    }

    /// What has been done so far; all of it once the session [is finished](Self::is_finished).
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.wire.report.clone();
        report.strategy = self.request.strategy;
        report
    }

    fn handle(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if matches!(self.phase, Phase::Greeting) {
            return self.greeted(bytes);
        }
        let frame = self.wire.receive(bytes)?;
        let name = frame.name();
        let is_early = !matches!(
            frame,
            Frame::Refuse(_) | Frame::Context(_) | Frame::Carrier(..) | Frame::Roster(..)
        );
        if is_early && self.introduction.awaits() {
            return Err(SessionError::Unexpected {
                frame: name,
                phase: "its name was due",
            });
        }
        let next = match (frame, &mut self.phase) {
            (Frame::Refuse(refusal), _) => return Err(SessionError::Refused(refusal.received())),
            (Frame::Context(form), _) => return self.context(&form),
            (Frame::Carrier(name, hash, adverts), _) => {
                return self.named(name, hash, adverts, bytes.len() + LENGTH_PREFIX);
            }
            (Frame::Roster(name, roster), _) => return self.enrolled(name, roster.0),
            (Frame::Rows(purpose, rows), Phase::Exchanging(exchange)) => {
                let (arrivals, tally) = rows::read(rows.0)?;
                self.wire.count_rows_received(tally);
                let rows = self.ground.complete(arrivals)?;
                exchange.rows(purpose, rows, bytes.len(), &mut self.ground)?;
                Next::Idle
            }
            (Frame::Rows(purpose, rows), Phase::Walking(walking)) => {
                let (arrivals, tally) = rows::read(rows.0)?;
                self.wire.count_rows_received(tally);
                let rows = self.ground.complete(arrivals)?;
                walking.rows(&purpose, rows, bytes.len(), &mut self.ground)?;
                Next::Idle
            }
            (Frame::RangeRemoved(stated), Phase::Exchanging(exchange)) => {
                exchange.range_removed(stated, bytes.len(), &mut self.ground)?;
                Next::Idle
            }
            // While it is still applying, we may have gone on to a search.
            (Frame::Working, Phase::Exchanging(_) | Phase::Sketching(_) | Phase::Walking(_)) => {
                self.wire.uncount_received();
                Next::Idle
            }
            (Frame::Fragment(last, rows), Phase::Exchanging(_) | Phase::Walking(_)) => {
                self.fragment(last, rows.0)?;
                Next::Idle
            }
            (Frame::End(root), Phase::Exchanging(exchange)) => {
                exchange.ended(root, &mut self.ground, &mut self.wire)?
            }
            (Frame::Walk(message), Phase::Exchanging(exchange)) if exchange.may_search() => {
                self.walk(message.0)?;
                Next::Idle
            }
            (Frame::Walk(message), Phase::Walking(walking)) => {
                walking.message(message.0, &self.ground, &mut self.wire)?;
                Next::Idle
            }
            (Frame::Want(wish, keys), Phase::Walking(walking)) => {
                walking.wanted(wish, keys.0, &self.wire)?;
                Next::Idle
            }
            (Frame::Root(root, frames), Phase::Exchanging(exchange)) => {
                if frames != self.wire.frames_sent {
                    return Err(SessionError::Malformed(
                        "its root takes no account of all that was sent",
                    ));
                }
                exchange.root(root.into(), &mut self.ground, &mut self.wire)?
            }
            (Frame::Symbols(symbols), Phase::Exchanging(exchange)) if exchange.may_search() => {
                self.listen(symbols.0)?
            }
            (Frame::Symbols(symbols), Phase::Sketching(sketching)) => {
                let (ground, wire) = (&mut self.ground, &mut self.wire);
                sketching.symbols(symbols.0, self.their_root, ground, wire)?
            }
            (Frame::MoreSymbols(count), Phase::Sketching(sketching)) => {
                sketching.more(count, self.their_root, &mut self.wire)?
            }
            (Frame::Dropped(dots), Phase::Sketching(sketching)) => {
                sketching.dropped(dots.0, &mut self.ground)?;
                Next::Idle
            }
            (Frame::Root(root, _), Phase::Sketching(sketching)) => {
                sketching.root(root.into(), &self.ground, &mut self.wire)?
            }
            (Frame::Walk(message), Phase::Sketching(_)) => {
                self.walk(message.0)?;
                Next::Idle
            }
            (Frame::Root(root, frames), Phase::Walking(walking)) => {
                walking.root(root.into(), frames);
                Next::Idle
            }
            _ => return Err(self.unexpected(name)),
        };
        self.take(next)
    }

    /// One payload of a large row.
    fn fragment(&mut self, last: bool, rows: &[u8]) -> Result<(), SessionError> {
        let (mut arrivals, _) = rows::read(rows)?;
        let (Some(Arrival { key, row, .. }), []) = (arrivals.pop(), arrivals.as_slice()) else {
            return Err(SessionError::Malformed("a fragment is not of one row"));
        };
        for sibling in &row {
            let tally = Tally::fragment(&key, sibling.payload.len(), last);
            self.wire.count_rows_received(tally);
        }
        self.ground.add(key, row)
    }

    /// The answer to our greeting.
    fn greeted(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        match opening::receive(bytes, &mut self.wire)? {
            Frame::Hello(hello) if hello.asks.is_none() => {
                hello::admit(&hello, None, &self.ground.config).map_err(SessionError::Refusing)?;
                self.meet(&hello, bytes.len())
            }
            Frame::Refuse(refusal) => Err(SessionError::Refused(refusal.received())),
            other => Err(self.unexpected(other.name())),
        }
    }

    fn poll(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        loop {
            if let Some(frame) = self.wire.pop() {
                self.ground.vouch()?;
                return Ok(Some(frame));
            }
            let next = match &mut self.phase {
                Phase::Exchanging(exchange) => {
                    exchange.produce(&mut self.ground, &mut self.wire)?
                }
                Phase::Walking(walking) => walking.produce(&mut self.ground, &mut self.wire)?,
                Phase::Sketching(_) => Next::Idle,
                Phase::Greeting | Phase::Meeting | Phase::Finished | Phase::Failed => {
                    return Ok(None);
                }
            };
            let idle = matches!(next, Next::Idle);
            self.take(next)?;
            if idle && self.wire.is_idle() {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, next: Next) -> Result<(), SessionError> {
        match next {
            Next::More | Next::Idle => Ok(()),
            Next::Search(theirs) => self.search(theirs),
            Next::Walk(theirs) => self.begin_walk(theirs),
            Next::Finish { agreed, root } => self.finish(agreed, root),
        }
    }

    fn finish(&mut self, agreed: bool, root: RangeDigest) -> Result<(), SessionError> {
        if agreed {
            self.ground.learn()?;
        } else {
            self.ground.settle()?;
        }
        let report = &mut self.wire.report;
        if let Phase::Walking(walking) = &self.phase {
            (report.ranges_compared, report.ranges_unsettled) = walking.ranges();
        }
        report.agreed = agreed;
        report.root = root;
        report.full_copy_bytes = self.ground.copy_bytes()?;
        self.phase = Phase::Finished;
        Ok(())
    }

    fn unexpected(&self, frame: &'static str) -> SessionError {
        let phase = match self.phase {
            Phase::Greeting => "its greeting was due",
            Phase::Meeting => "its context was due",
            Phase::Exchanging(_) => "rows were being exchanged",
            Phase::Sketching(_) => "a sketch was being decoded",
            Phase::Walking(_) => "ranges were being walked",
            Phase::Finished | Phase::Failed => "the session was over",
        };
        SessionError::Unexpected { frame, phase }
    }
}

/// Leaves out the replica and what is underway, which can be large.
impl<R: Replica> core::fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("request", &self.request)
            .field("report", &self.wire.report)
            .finish_non_exhaustive()
    }
}
