//! A session between two replicas in one process, frame by frame: [`Link`].

use std::collections::VecDeque;

use syncline_sync::{Config, Opening, Replica, Report, Request, Session, SessionError};

use crate::rng::Choices;

/// The two sides of a session, and the frames under way between them.
///
/// Dropping it is what a broken connection is: frames under way are lost, on each side what has come has come.
pub struct Link<R: Replica> {
    initiator: Session<R>,
    responder: Responder<R>,
    to_initiator: VecDeque<Vec<u8>>,
    to_responder: VecDeque<Vec<u8>>,
}

enum Responder<R: Replica> {
    /// Until the first frame has come.
    Listening(R, Config),
    Running(Box<Session<R>>),
    Gone,
}

/// Why a session came to no end.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// One of the sides failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Neither side has anything to say, and yet they have not finished.
    #[error("both sides wait for one another")]
    Stalled,
    /// It went on for longer than any session can.
    #[error("the session does not end")]
    Endless,
}

/// More frames than a session of these tests can take.
const MAX_STEPS: usize = 200_000;

/// The configuration of a side; sides of one session differ in `node`.
#[must_use]
pub fn config(namespace: &str, node: u8, batch_bytes: usize) -> Config {
    let mut config = Config::new([1; 16], [node; 32], namespace, 0);
    config.batch_bytes = batch_bytes;
    config.sync_every_bytes = 4 * batch_bytes as u64;
    config
}

impl<R: Replica> Link<R> {
    /// Begins a session. The responder hears of it when the first frame is delivered.
    ///
    /// # Errors
    /// When the initiator cannot begin.
    pub fn open(
        initiator: R,
        responder: R,
        namespace: &str,
        request: Request,
        batch_bytes: usize,
    ) -> Result<Self, SessionError> {
        Ok(Self {
            initiator: Session::initiate(initiator, config(namespace, 1, batch_bytes), request)?,
            responder: Responder::Listening(responder, config(namespace, 2, batch_bytes)),
            to_initiator: VecDeque::new(),
            to_responder: VecDeque::new(),
        })
    }

    /// Moves one frame: out of a side, or into one. Returns whether the session goes on.
    ///
    /// # Errors
    /// What a side fails with.
    pub fn step(&mut self, choices: &mut impl Choices) -> Result<bool, LinkError> {
        let mut moves = [
            Self::initiator_speaks,
            Self::responder_speaks,
            Self::initiator_hears,
            Self::responder_hears,
        ];
        choices.shuffle(&mut moves);
        for one in moves {
            if one(self)? {
                return Ok(true);
            }
        }
        match (&self.responder, self.initiator.is_finished()) {
            (Responder::Running(responder), true) if responder.is_finished() => Ok(false),
            _ => Err(LinkError::Stalled),
        }
    }

    /// Steps to the end.
    ///
    /// # Errors
    /// What a side fails with.
    pub fn run(&mut self, choices: &mut impl Choices) -> Result<(), LinkError> {
        for _ in 0..MAX_STEPS {
            if !self.step(choices)? {
                return Ok(());
            }
        }
        Err(LinkError::Endless)
    }

    /// What the two sides have done so far, the initiator first.
    #[must_use]
    pub fn reports(&self) -> [Report; 2] {
        let responder = match &self.responder {
            Responder::Running(session) => session.report().clone(),
            _ => Report::default(),
        };
        [self.initiator.report().clone(), responder]
    }

    fn initiator_speaks(&mut self) -> Result<bool, LinkError> {
        let frame = self.initiator.poll_frame()?;
        let moved = frame.is_some();
        self.to_responder.extend(frame);
        Ok(moved)
    }

    fn responder_speaks(&mut self) -> Result<bool, LinkError> {
        let Responder::Running(session) = &mut self.responder else {
            return Ok(false);
        };
        let frame = session.poll_frame()?;
        let moved = frame.is_some();
        self.to_initiator.extend(frame);
        Ok(moved)
    }

    fn initiator_hears(&mut self) -> Result<bool, LinkError> {
        let Some(frame) = self.to_initiator.pop_front() else {
            return Ok(false);
        };
        self.initiator.handle_frame(&frame)?;
        Ok(true)
    }

    fn responder_hears(&mut self) -> Result<bool, LinkError> {
        let Some(frame) = self.to_responder.pop_front() else {
            return Ok(false);
        };
        match std::mem::replace(&mut self.responder, Responder::Gone) {
            Responder::Listening(replica, config) => {
                let opening = Opening::read(&frame)?;
                self.responder =
                    Responder::Running(Box::new(Session::respond(replica, config, opening)?));
            }
            Responder::Running(mut session) => {
                session.handle_frame(&frame)?;
                self.responder = Responder::Running(session);
            }
            Responder::Gone => {}
        }
        Ok(true)
    }
}
