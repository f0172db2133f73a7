//! The session: a state machine that takes frames of the peer and gives frames for it.

mod exchange;
mod ground;
mod opening;
mod walk_api;
mod walking;
mod wire;

pub use opening::Opening;

use alloc::vec::Vec;

use syncline_merkle::{KeyRange, RangeDigest};

use crate::config::{Config, Request};
use crate::error::{Refusal, SessionError};
use crate::frame::Frame;
use crate::hello::{self, ContextHash};
use crate::replica::Replica;
use crate::report::Report;
use crate::rows;
use exchange::Exchange;
use ground::Ground;
use walking::Walking;
use wire::Wire;

/// One side of a session.
///
/// It is driven by two calls: [`handle_frame`](Self::handle_frame) for each frame of the peer, in the order sent, and
/// [`poll_frame`](Self::poll_frame) for the frames to send. Poll until there is none, after the beginning and after each frame
/// handled; while the transport takes no more, do not poll: what is sent is read from the replica only then. Frames of the peer may be handled
/// between any two polls, and have to be, if neither side is to wait for the other for ever.
///
/// It may be dropped at any time. What was joined stays, and the next session goes on from there.
#[derive(Debug)]
pub struct Session<R> {
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
    Exchanging(Exchange),
    /// The rest is searched for.
    Walking(Walking),
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
    /// Begin the walk.
    Walk,
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
        Ok(Self {
            role,
            ground: Ground::new(replica, config, range)?,
            request,
            wire,
            phase: Phase::Greeting,
            their_root: RangeDigest::ZERO,
            awaited: None,
            told_context: false,
        })
    }

    /// Takes a frame of the peer, without the length that a stream puts before it.
    ///
    /// What it says is joined, durably where the protocol needs that, before the call returns, which may therefore take as long as a commit.
    ///
    /// # Errors
    /// Any [`SessionError`]; the session is over then, and [`SessionError::farewell`] is what the peer should be told.
    pub fn handle_frame(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        let result = self.handle(frame);
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }

    /// The next frame to send, without the length that a stream puts before it; `None` if there is nothing to say for now.
    ///
    /// # Errors
    /// Any [`SessionError`]; the session is over then, and [`SessionError::farewell`] is what the peer should be told.
    pub fn poll_frame(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        let result = self.poll();
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }

    /// Whether the session ended as it should: nothing is open, nothing is left to send or to wait for.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished) && self.wire.is_idle()
    }

    /// What has been done so far; all of it once the session [is finished](Self::is_finished).
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.wire.report.clone();
        report.strategy = self.request.strategy;
        report
    }

    fn handle(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        match self.phase {
            Phase::Finished | Phase::Failed => return Err(SessionError::Over),
            Phase::Greeting => return self.greeted(bytes),
            Phase::Meeting | Phase::Exchanging(_) | Phase::Walking(_) => {}
        }
        let frame = self.wire.receive(bytes)?;
        let name = frame.name();
        let next = match (frame, &mut self.phase) {
            (Frame::Refuse(refusal), _) => return Err(refused(refusal)),
            (Frame::Context(form), _) => return self.context(&form),
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
            (Frame::Fragment(last, rows), Phase::Exchanging(_) | Phase::Walking(_)) => {
                let (arrivals, mut tally) = rows::read(rows.0)?;
                // The row is counted once, with its last fragment.
                tally.rows = u64::from(last);
                self.wire.count_rows_received(tally);
                for arrival in arrivals {
                    self.ground.add(arrival.key, arrival.row)?;
                }
                Next::Idle
            }
            (Frame::End(root), Phase::Exchanging(exchange)) => {
                exchange.ended(root, &mut self.ground, &mut self.wire)?
            }
            (Frame::Walk(message), Phase::Exchanging(exchange)) if exchange.may_walk() => {
                let mut walking = Walking::new(self.request.salt);
                walking.message(message.0, &self.ground, &self.wire)?;
                self.phase = Phase::Walking(walking);
                Next::Idle
            }
            (Frame::Walk(message), Phase::Walking(walking)) => {
                walking.message(message.0, &self.ground, &self.wire)?;
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
            (Frame::Root(root, frames), Phase::Walking(walking)) => {
                walking.root(root.into(), frames);
                Next::Idle
            }
            _ => return Err(self.unexpected(name)),
        };
        self.take(next)
    }

    /// The answer to our greeting.
    fn greeted(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        match opening::receive(bytes, &mut self.wire)? {
            Frame::Hello(hello) if hello.asks.is_none() => {
                hello::admit(&hello, None, &self.ground.config).map_err(SessionError::Refusing)?;
                self.meet(&hello, bytes.len())
            }
            Frame::Refuse(refusal) => Err(refused(refusal)),
            other => Err(self.unexpected(other.name())),
        }
    }

    fn poll(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        loop {
            if let Some(frame) = self.wire.pop() {
                return Ok(Some(frame));
            }
            let next = match &mut self.phase {
                Phase::Exchanging(exchange) => {
                    exchange.produce(&mut self.ground, &mut self.wire)?
                }
                Phase::Walking(walking) => walking.produce(&mut self.ground, &mut self.wire)?,
                Phase::Greeting | Phase::Meeting | Phase::Finished => return Ok(None),
                Phase::Failed => return Err(SessionError::Over),
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
            Next::Walk => {
                let mut walking = Walking::new(self.request.salt);
                walking.start(&self.ground, &self.wire)?;
                self.phase = Phase::Walking(walking);
                Ok(())
            }
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
            Phase::Walking(_) => "ranges were being walked",
            Phase::Finished | Phase::Failed => "the session was over",
        };
        SessionError::Unexpected { frame, phase }
    }
}

/// What the peer says is taken no longer than we would say it.
fn refused(refusal: Refusal) -> SessionError {
    SessionError::Refused(Refusal::new(refusal.code, refusal.text))
}
