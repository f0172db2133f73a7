//! Rows that need no search, both ways at once: what the peer's context shows it to lack, or, for a full copy, all of
//! them.

mod sending;

use alloc::vec::Vec;

use syncline_crdt::{Dot, Row, RowKey};
use syncline_merkle::{KeyRange, RangeDigest};

use super::ground::{Batch, Ground};
use super::ranges::{self, Applying, Stated};
use super::removals::{LogUse, Told};
use super::wire::Wire;
use super::{Next, Role};
use crate::error::SessionError;
use crate::forms::WireRoot;
use crate::frame::{Frame, Purpose, RangeRemoved};
use crate::replica::Replica;

/// The exchange as one side sees it: its own stream of rows, and the peer's.
///
/// A side whose start context the other's covers has no additions for it. Both know both contexts, so both know that:
/// its end is *implied*, and not sent.
#[derive(Debug)]
pub(super) struct Exchange {
    role: Role,
    /// The flight of our stream. All of it depends on the peer's context alone, whatever arrives meanwhile.
    flight: u32,
    copying: bool,
    log: LogUse,
    /// Whether both sides tell what their logs name by the removals' dots.
    hands_on: bool,
    /// Dots of ours that the peer had not seen, less those that were sent because they are live.
    dead: u128,
    ours: Outgoing,
    ours_implied: bool,
    sent_rows: bool,
    theirs: Incoming,
    theirs_implied: bool,
    received_rows: bool,
    /// Removals of ranges that the peer has stated.
    stated: Stated,
    /// A root that the peer has stated while we were at work on these.
    heard: Option<RangeDigest>,
    /// The peer's root as of its start.
    start_root: RangeDigest,
    /// Our root as the peer was told it.
    our_root: Option<RangeDigest>,
    /// The responder's root, as of when it had sent all of its rows and received none of ours.
    their_root: Option<RangeDigest>,
}

/// Our rows.
#[derive(Debug)]
enum Outgoing {
    /// Removals of ranges, before anything else.
    Ranges,
    /// Rows with dots that the peer has not seen, after this dot.
    Additions(Option<Dot>),
    /// What the log says was removed, after this dot.
    Removals(Option<Dot>),
    /// All rows from this key on.
    Copy(Vec<u8>),
    Ended,
}

/// The peer's rows.
#[derive(Debug)]
enum Incoming {
    Additions,
    /// What was removed is told by its dots, up to this one so far; at none all of it was.
    Removals(Option<Dot>),
    /// The next frame of the copy begins at this key; at none after the last.
    Copy(Option<Vec<u8>>),
    /// All have come, and removals of ranges are applied.
    Applying(Applying),
    Ended,
}

impl Exchange {
    /// Additions both ways. The peer's context must have come; `start_root` is that of its start.
    pub(super) fn of_additions<R: Replica>(
        role: Role,
        ground: &Ground<R>,
        wire: &Wire,
        start_root: RangeDigest,
        log: LogUse,
    ) -> Result<Self, SessionError> {
        let (ours, theirs) = (&ground.start.context, ground.theirs()?);
        let ours_implied = theirs.covers(ours);
        let theirs_implied = ours.covers(theirs);
        Ok(Self {
            role,
            flight: wire.next_flight(),
            copying: false,
            log,
            hands_on: false,
            dead: ours.difference(theirs).len(),
            ours: match ours_implied {
                true => Outgoing::Ended,
                false => Outgoing::Additions(None),
            },
            ours_implied,
            sent_rows: false,
            theirs: match theirs_implied {
                true => Incoming::Ended,
                false => Incoming::Additions,
            },
            theirs_implied,
            received_rows: false,
            stated: Stated::default(),
            heard: None,
            start_root,
            our_root: ours_implied.then_some(ground.start.root),
            their_root: theirs_implied.then_some(start_root),
        })
    }

    /// The same between sides that both take what the other's log names into their own, or not.
    pub(super) fn handing_on(self, hands_on: bool) -> Self {
        let ours = match self.ours {
            Outgoing::Additions(None) if hands_on && self.log != LogUse::Never => Outgoing::Ranges,
            ours => ours,
        };
        Self {
            hands_on,
            ours,
            ..self
        }
    }

    /// All rows both ways.
    pub(super) fn of_copies<R: Replica>(
        role: Role,
        ground: &Ground<R>,
        wire: &Wire,
        start_root: RangeDigest,
    ) -> Self {
        let lower = &ground.range.lower;
        Self {
            role,
            flight: wire.next_flight(),
            copying: true,
            log: LogUse::Never,
            hands_on: false,
            dead: 0,
            ours: Outgoing::Copy(lower.clone()),
            ours_implied: false,
            sent_rows: false,
            theirs: Incoming::Copy(Some(lower.clone())),
            theirs_implied: false,
            received_rows: false,
            stated: Stated::default(),
            heard: None,
            start_root,
            our_root: None,
            their_root: None,
        }
    }

    /// What follows from the contexts alone: with equal contexts and different roots there is only a search to make.
    pub(super) fn begin(&self) -> Next {
        match (self.role, self.ours_implied && self.theirs_implied) {
            (Role::Responder, true) => Next::Search(self.start_root),
            _ => Next::Idle,
        }
    }

    /// Sends some more of our rows. Nothing is sent if there are none left.
    pub(super) fn produce<R: Replica>(
        &mut self,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        match core::mem::replace(&mut self.ours, Outgoing::Ended) {
            Outgoing::Ended => self.apply(ground, wire),
            Outgoing::Ranges => {
                self.sent_rows |= ranges::state(self.flight, ground, wire)?;
                self.ours = Outgoing::Additions(None);
                Ok(Next::More)
            }
            Outgoing::Additions(after) => self.send_additions(after, ground, wire),
            Outgoing::Removals(after) => self.send_removals(after, ground, wire),
            Outgoing::Copy(from) => self.send_copy(from, ground, wire),
        }
    }

    /// Applies some more of the removals of ranges that the peer has stated.
    fn apply<R: Replica>(
        &mut self,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let Incoming::Applying(applying) = &mut self.theirs else {
            return Ok(Next::Idle);
        };
        if !applying.go_on(self.flight, ground, wire)? {
            return Ok(Next::More);
        }
        self.theirs = Incoming::Ended;
        match (self.role, self.heard.take()) {
            (Role::Initiator, _) => self.decide(ground, wire),
            (Role::Responder, Some(root)) => self.root(root, ground, wire),
            (Role::Responder, None) => Ok(Next::Idle),
        }
    }

    /// The peer has stated a removal of a range.
    pub(super) fn range_removed<R: Replica>(
        &mut self,
        stated: RangeRemoved,
        bytes: usize,
        ground: &mut Ground<R>,
    ) -> Result<(), SessionError> {
        if !self.hands_on || !matches!(self.theirs, Incoming::Additions) {
            return Err(UNEXPECTED_ROWS);
        }
        self.received_rows = true;
        self.stated.push(stated, bytes, ground)
    }

    /// Our rows are all sent.
    fn end<R: Replica>(
        &mut self,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        ground.let_go_of_start();
        match self.role {
            Role::Initiator => {
                wire.send(self.flight, &Frame::End(None));
                self.decide(ground, wire)
            }
            // Neither side had additions, and the roots are known to differ since the greetings.
            Role::Responder if self.theirs_implied && !self.sent_rows => {
                wire.send(self.flight, &Frame::End(None));
                Ok(Next::Search(self.start_root))
            }
            Role::Responder => {
                let root = ground.root()?;
                self.our_root = Some(root);
                wire.send(self.flight, &Frame::End(Some(root.into())));
                Ok(Next::Idle)
            }
        }
    }

    /// The initiator has sent and received all rows: are the replicas equal now? It knows if it sent none, since then
    /// the responder's root cannot have moved; otherwise it states its own root and has the responder tell.
    fn decide<R: Replica>(
        &mut self,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        let over = matches!(
            (&self.ours, &self.theirs),
            (Outgoing::Ended, Incoming::Ended)
        );
        // Without additions on either side the responder begins the walk by itself.
        if !over
            || (self.ours_implied && self.theirs_implied)
            || (!self.sent_rows && self.their_root.is_none())
        {
            return Ok(Next::Idle);
        }
        let root = ground.root()?;
        let agreed = self.their_root == Some(root);
        if !self.sent_rows && !agreed && !self.copying {
            return Ok(Next::Search(self.their_root.unwrap_or(self.start_root)));
        }
        self.state_root(root, wire);
        match self.sent_rows {
            true => Ok(Next::Idle),
            false => Ok(Next::Finish { agreed, root }),
        }
    }

    fn state_root(&mut self, root: RangeDigest, wire: &mut Wire) {
        self.our_root = Some(root);
        let frame = Frame::Root(root.into(), wire.frames_received);
        wire.send(wire.next_flight(), &frame);
    }

    /// Rows of the peer have come.
    pub(super) fn rows<R: Replica>(
        &mut self,
        purpose: Purpose,
        rows: Vec<(RowKey, Row)>,
        bytes: usize,
        ground: &mut Ground<R>,
    ) -> Result<(), SessionError> {
        self.received_rows |= self.copying || !rows.is_empty();
        let mut batch = Batch {
            rows,
            bytes,
            ..Batch::default()
        };
        match (&mut self.theirs, purpose) {
            (Incoming::Additions, Purpose::Addition(frontier)) => {
                batch.learned = match frontier {
                    Some(frontier) => Some(ground.theirs()?.up_to(frontier.into())),
                    None => None,
                };
            }
            (Incoming::Additions, Purpose::Removed) => {}
            (
                theirs @ (Incoming::Additions | Incoming::Removals(Some(_))),
                Purpose::RemovedBy(by),
            ) if self.hands_on => {
                let after = match theirs {
                    Incoming::Removals(after) => *after,
                    _ => None,
                };
                let keys = batch.rows.iter().map(|(key, _)| key);
                let told = Told::read(&by, keys, after, ground)?;
                *theirs = Incoming::Removals(told.frontier);
                batch.removals = told.removals;
                batch.logged = told.all_of;
                batch.learned = Some(told.learned);
            }
            (Incoming::Copy(lower), Purpose::Copy(upper)) => {
                let from = lower.take().ok_or(UNEXPECTED_ROWS)?;
                batch.covers = Some(covered(&batch.rows, from, upper.as_deref(), &ground.range)?);
                *lower = upper;
            }
            _ => return Err(UNEXPECTED_ROWS),
        }
        ground.join(batch)
    }

    /// The peer's rows are all here. So everything that was live there at its start is joined, and its start context
    /// may be merged.
    pub(super) fn ended<R: Replica>(
        &mut self,
        root: Option<WireRoot>,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        if !matches!(
            self.theirs,
            Incoming::Additions | Incoming::Removals(None) | Incoming::Copy(None)
        ) {
            return Err(SessionError::Unexpected {
                frame: "the end of its rows",
                phase: "some were still to come, or none",
            });
        }
        self.their_root = root.map(Into::into);
        if !self.stated.is_empty() {
            let stated = core::mem::take(&mut self.stated);
            self.theirs = Incoming::Applying(stated.apply());
            return Ok(Next::More);
        }
        self.theirs = Incoming::Ended;
        ground.learn()?;
        match self.role {
            Role::Initiator => self.decide(ground, wire),
            Role::Responder => Ok(Next::Idle),
        }
    }

    /// The peer has stated its root.
    pub(super) fn root<R: Replica>(
        &mut self,
        theirs: RangeDigest,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        if matches!(
            (&self.ours, &self.theirs),
            (Outgoing::Ended, Incoming::Applying(_))
        ) && self.role == Role::Responder
            && self.heard.is_none()
        {
            self.heard = Some(theirs);
            return Ok(Next::Idle);
        }
        let (Outgoing::Ended, Incoming::Ended, Some(told)) =
            (&self.ours, &self.theirs, self.our_root)
        else {
            return Err(SessionError::Unexpected {
                frame: "its root",
                phase: "rows were still to come",
            });
        };
        // What the peer was told still stands, and was what it compared with.
        if self.role == Role::Initiator || !self.received_rows {
            return Ok(Next::Finish {
                agreed: told == theirs,
                root: told,
            });
        }
        let root = ground.root()?;
        let agreed = root == theirs;
        if !agreed && !self.copying {
            return Ok(Next::Search(theirs));
        }
        self.state_root(root, wire);
        Ok(Next::Finish { agreed, root })
    }

    /// Whether a search that the peer begins may follow.
    pub(super) fn may_search(&self) -> bool {
        !self.copying
            && matches!(
                (&self.ours, &self.theirs),
                (Outgoing::Ended, Incoming::Ended)
            )
    }
}

/// The range that a frame of a copy speaks for, if its rows bear that out.
fn covered(
    rows: &[(RowKey, Row)],
    lower: Vec<u8>,
    upper: Option<&[u8]>,
    whole: &KeyRange,
) -> Result<KeyRange, SessionError> {
    let upper = upper.map(<[u8]>::to_vec).or_else(|| whole.upper.clone());
    let covered = KeyRange::new(lower, upper);
    let inside = rows.iter().all(|(key, _)| covered.contains(key.as_bytes()));
    match inside && whole.covers(&covered) {
        true => Ok(covered),
        false => Err(SessionError::Malformed(
            "its copy is not of the range that it claims",
        )),
    }
}

const UNEXPECTED_ROWS: SessionError = SessionError::Unexpected {
    frame: "rows",
    phase: "others, or none, were due",
};
