//! The greetings: a session is admitted, and the two starts cross.

use alloc::boxed::Box;

use super::exchange::Exchange;
use super::removals::LogUse;
use super::walking::Walking;
use super::wire::Wire;
use super::{Next, Phase, Role, Session, introduction};
use crate::config::{Config, Request, Strategy};
use crate::error::{Refusal, RefusalCode, SessionError};
use crate::forms::ContextForm;
use crate::frame::{Frame, LENGTH_PREFIX, MAX_FRAME};
use crate::hello::{self, Asks, Hello, MAX_NAMESPACE, VERSIONS, features};
use crate::replica::Replica;

/// What a session of two replicas that agree takes at most, both ways, with names of namespaces up to 40 bytes or so.
const QUIET_BYTES: usize = 512;

/// A context up to this length comes along with the greeting.
const SMALL_CONTEXT: usize = 192;

/// What a frame takes beside the context in it.
const CONTEXT_OVERHEAD: usize = 32;

/// About what the answer to a greeting takes without a context.
const ANSWER: usize = 120;

/// A session that a peer wants to begin: its first frame, read.
///
/// It says which namespace is asked for, so that the replica can be found; [`Session::respond`] does the rest.
#[derive(Debug)]
pub struct Opening {
    hello: Box<Hello>,
    asks: Asks,
    /// Of the frame.
    bytes: usize,
    wire: Wire,
}

impl Opening {
    /// Reads the first frame of a peer.
    ///
    /// # Errors
    /// [`SessionError::Refusing`] for a peer that speaks other versions of the protocol; otherwise that the frame is no
    /// greeting.
    pub fn read(frame: &[u8]) -> Result<Self, SessionError> {
        let mut wire = Wire::default();
        let mut hello = match receive(frame, &mut wire)? {
            Frame::Hello(hello) => hello,
            other => {
                return Err(SessionError::Unexpected {
                    frame: other.name(),
                    phase: "a greeting was due",
                });
            }
        };
        let asks = hello.asks.take();
        let asks = asks.ok_or(SessionError::Malformed("its greeting asks for nothing"))?;
        if asks.namespace.len() > MAX_NAMESPACE {
            return Err(SessionError::Malformed(
                "its namespace has a name of more than 255 bytes",
            ));
        }
        let bytes = frame.len();
        Ok(Self {
            hello,
            asks,
            bytes,
            wire,
        })
    }

    /// The namespace that is asked for.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.asks.namespace
    }

    /// The strategy that is asked for.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.asks.strategy
    }

    /// A refusal because the namespace is not carried here.
    #[must_use]
    pub fn unknown_namespace(&self) -> Refusal {
        let text = alloc::format!(
            "namespace {:?} is not carried here; check the configuration of both nodes",
            self.asks.namespace
        );
        Refusal::new(RefusalCode::Namespace, text)
    }

    /// A refusal because too much is going on.
    #[must_use]
    pub fn busy(&self) -> Refusal {
        Refusal::new(
            RefusalCode::Busy,
            "too many sessions are under way; try again later",
        )
    }
}

/// Reads the first frame of a peer. What cannot be read may be a greeting of another version; versions are told before
/// anything else.
pub(super) fn receive<'a>(frame: &'a [u8], wire: &mut Wire) -> Result<Frame<'a>, SessionError> {
    let unreadable = match wire.receive(frame) {
        Err(error @ SessionError::Malformed(_)) => error,
        received => return received,
    };
    match hello::versions(frame) {
        Some(versions) => hello::admit_versions(versions).map_err(SessionError::Refusing)?,
        None => return Err(unreadable),
    }
    Err(unreadable)
}

impl<R: Replica> Session<R> {
    /// Begins a session: reads the replica's start and greets.
    ///
    /// # Errors
    /// When the replica cannot be read, or a name is over its limit.
    pub fn initiate(replica: R, config: Config, request: Request) -> Result<Self, SessionError> {
        let asks = Asks::new(&config.namespace, &request);
        let mut session = Self::new(Role::Initiator, replica, config, request, Wire::default())?;
        let introducing = session.request.introducing && session.introduction.features() != 0;
        session.request.introducing = introducing;
        let spared = if introducing { introduction::LEAST } else { 0 };
        let greeting = session.greet(Some(asks), None, QUIET_BYTES - ANSWER - spared);
        if introducing {
            let left = (QUIET_BYTES - ANSWER).saturating_sub(greeting);
            // The answer has as much to say.
            session.introduce_at_once(left / 2);
        }
        Ok(session)
    }

    /// Answers a peer that began a session.
    ///
    /// # Errors
    /// [`SessionError::Refusing`] when its greeting is not acceptable; otherwise that the replica cannot be read.
    pub fn respond(replica: R, config: Config, opening: Opening) -> Result<Self, SessionError> {
        let Opening {
            hello,
            asks,
            bytes,
            wire,
        } = opening;
        hello::admit(&hello, Some(&asks), &config).map_err(SessionError::Refusing)?;
        let mut session = Self::new(Role::Responder, replica, config, asks.into(), wire)?;
        session.meet(&hello, bytes)?;
        Ok(session)
    }

    /// Sends our greeting, with the context if it fits into `room` and the peer does not have the same one.
    /// Returns what the frame takes.
    fn greet(&mut self, asks: Option<Asks>, peer: Option<&Hello>, room: usize) -> usize {
        let introduced = match self.request.introducing && asks.is_some() {
            true => features::INTRODUCED,
            false => 0,
        };
        let config = &self.ground.config;
        let start = &self.ground.start;
        let mut hello = Hello {
            versions: VERSIONS,
            features: self.ground.start.features | self.introduction.features() | introduced,
            cluster: config.cluster,
            node: config.node,
            clock_ms: config.clock_ms,
            asks,
            root: start.root.into(),
            context_hash: start.context_hash,
            context: None,
        };
        let flight = self.wire.next_flight();
        self.told_context = peer.is_some_and(|peer| peer.context_hash == start.context_hash);
        if !self.told_context {
            let bare =
                Frame::Hello(Box::new(hello.clone())).encode(flight).len() + 2 * LENGTH_PREFIX;
            let form = self.our_context();
            if form.len() <= SMALL_CONTEXT.min(room.saturating_sub(bare)) {
                hello.context = Some(form);
                self.told_context = true;
            }
        }
        let frame = Frame::Hello(Box::new(hello));
        self.wire.send(flight, &frame);
        frame.encode(flight).len() + LENGTH_PREFIX
    }

    /// Our start context, in the shortest form that the peer can read.
    fn our_context(&self) -> ContextForm {
        let context = &self.ground.start.context;
        ContextForm::of(context, self.ground.theirs().ok())
    }

    /// The peer's greeting has come, in a frame of so many bytes; the responder answers it. Now both know both roots.
    pub(super) fn meet(&mut self, hello: &Hello, bytes: usize) -> Result<(), SessionError> {
        let start = &self.ground.start;
        if hello.context_hash == start.context_hash {
            self.ground.set_theirs(start.context.clone());
            // It is one and the same: the peer waits for it no more than we do, and takes it for a breach of the protocol.
            self.told_context = true;
        } else if let Some(form) = &hello.context {
            self.ground
                .set_theirs(form.resolve(&start.context, hello.context_hash)?);
        } else {
            self.awaited = Some(hello.context_hash);
        }
        let told = match self.role {
            Role::Initiator => self.wire.report.sent.total(),
            Role::Responder => 0,
        };
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        let mut room = QUIET_BYTES.saturating_sub(told.saturating_add(bytes + LENGTH_PREFIX));
        if self.role == Role::Responder {
            let spared = match self.introduction.features() {
                0 => 0,
                _ => introduction::LEAST,
            };
            room = room.saturating_sub(self.greet(None, Some(hello), room.saturating_sub(spared)));
        }
        self.their_root = hello.root.into();
        self.features = hello.features & self.ground.start.features;
        self.phase = Phase::Meeting;
        self.acquaint(hello, room)?;
        self.enter()
    }

    /// The peer's context has come in a frame of its own.
    pub(super) fn context(&mut self, form: &ContextForm) -> Result<(), SessionError> {
        let Some(hash) = self.awaited.take() else {
            return Err(self.unexpected("a context"));
        };
        let theirs = form.resolve(&self.ground.start.context, hash)?;
        self.ground.set_theirs(theirs);
        self.hear()?;
        self.enter()
    }

    /// Goes on from the greetings as soon as the contexts allow.
    pub(super) fn proceed(&mut self) -> Result<(), SessionError> {
        let known = self.awaited.is_none();
        // The initiator waits for the responder's, so that it need send only what is different in its own.
        if !self.told_context && (known || self.role == Role::Responder) {
            self.tell_context()?;
        }
        let searching = match self.request.strategy {
            Strategy::Walk => true,
            // The dot index knows no ranges, nor do the log and the sketch.
            Strategy::Auto | Strategy::Log | Strategy::Sketch => !self.ground.is_whole(),
            Strategy::Full => false,
        };
        if searching || self.request.strategy == Strategy::Full {
            self.ground.let_go_of_start();
        }
        match (searching, self.role) {
            // Contexts are needed for what the walk finds, not for its beginning.
            (true, Role::Responder) => self.take(Next::Walk(self.their_root)),
            (true, Role::Initiator) if known => {
                self.phase = Phase::Walking(Box::new(Walking::new(
                    self.request.salt,
                    self.ground.range.clone(),
                )));
                Ok(())
            }
            (false, role) if known => {
                let (ground, wire) = (&self.ground, &self.wire);
                let exchange = match self.request.strategy {
                    Strategy::Full => Exchange::of_copies(role, ground, wire, self.their_root),
                    strategy => {
                        let log = LogUse::of(strategy, self.has_sketch());
                        let exchange =
                            Exchange::of_additions(role, ground, wire, self.their_root, log)?;
                        exchange.handing_on(self.features & features::REMOVALS != 0)
                    }
                };
                let next = exchange.begin();
                self.phase = Phase::Exchanging(Box::new(exchange));
                self.take(next)
            }
            _ => Ok(()),
        }
    }

    fn tell_context(&mut self) -> Result<(), SessionError> {
        let form = self.our_context();
        let bound = MAX_FRAME - CONTEXT_OVERHEAD;
        if form.len() > bound {
            let bytes = form.len();
            return Err(SessionError::ContextTooLarge { bytes, bound });
        }
        self.wire
            .send(self.wire.next_flight(), &Frame::Context(form));
        self.told_context = true;
        Ok(())
    }
}
