//! The walk: finds what differs, whatever the contexts say, and settles each finding by the causal rule.

mod due;
mod verdict;

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use syncline_crdt::{Nothing, Row, RowKey};
use syncline_merkle::reconcile::{Limits, Walk, WalkError};
use syncline_merkle::{KeyRange, RangeDigest, after};

use super::Next;
use super::ground::{Batch, Ground};
use super::wire::{Shipment, Wire};
use crate::error::{ReplicaError, SessionError};
use crate::frame::{Bytes, Frame, Purpose, Wish};
use crate::replica::{Replica, View};
use crate::rows::{self, Arrival, RowWriter};
use due::{Due, Found};
use verdict::Verdict;

/// Findings that may wait while the walk goes on, in bytes; beyond it rows go first, and our next message of the walk
/// after them.
const FINDINGS_WAITING: usize = 1 << 20;

/// What the peer may have asked for and not yet got, in bytes of keys. It asks for rows that our last messages
/// described to it, and those are smaller.
const WANTED_WAITING: usize = 4 << 20;

/// The walk as one side sees it.
#[derive(Debug)]
pub(super) struct Walking {
    walk: Walk,
    /// Our next message, and its flight.
    reply: Option<(u32, Vec<u8>)>,
    /// What the walk found and is not settled.
    found: Due<Found>,
    /// What the peer asked for and is not sent.
    wanted: Due<(Wish, RowKey)>,
    /// Rows that we asked for and that have not come.
    wishes: u64,
    /// Our root as last stated, and how many frames of the peer it takes account of.
    ours: Option<(RangeDigest, u64)>,
    /// The peer's, likewise.
    theirs: Option<(RangeDigest, u64)>,
    /// Whether our root is worth stating, if it has not been as it is: it may be the last word.
    worth_stating: bool,
}

impl Walking {
    /// A walk that the peer begins.
    pub(super) fn new(salt: [u8; 16], range: KeyRange) -> Self {
        Self {
            walk: Walk::new(salt, range, Limits::default()),
            reply: None,
            found: Due::new(),
            wanted: Due::new(),
            wishes: 0,
            ours: None,
            theirs: None,
            worth_stating: false,
        }
    }

    /// Begins the walk, with so many differences to be expected.
    pub(super) fn start<R: Replica>(
        &mut self,
        expected: u64,
        ground: &Ground<R>,
        wire: &Wire,
    ) -> Result<(), SessionError> {
        let walk = &mut self.walk;
        walk.expect(expected);
        let message = ground.read_raw(|view| walk.start(view).map_err(failed))?;
        self.reply = Some((wire.next_flight(), message));
        Ok(())
    }

    /// The peer's message of the walk has come.
    pub(super) fn message<R: Replica>(
        &mut self,
        message: &[u8],
        ground: &Ground<R>,
        wire: &mut Wire,
    ) -> Result<(), SessionError> {
        if self.reply.is_some() {
            return Err(SessionError::Unexpected {
                frame: "a message of the walk",
                phase: "it was our turn",
            });
        }
        let walk = &mut self.walk;
        let digests = walk.stats().digests_sent;
        let step = ground.read_raw(|view| walk.handle(view, message).map_err(failed))?;
        self.worth_stating = walk.stats().digests_sent == digests;
        if step.reply.is_none() {
            wire.uncount_received();
        }
        let flight = wire.next_flight();
        for finding in step.findings {
            self.found.found(flight, finding)?;
        }
        self.reply = step.reply.map(|reply| (flight, reply));
        Ok(())
    }

    /// The peer asks for rows.
    pub(super) fn wanted(
        &mut self,
        wish: Wish,
        keys: &[u8],
        wire: &Wire,
    ) -> Result<(), SessionError> {
        let (arrivals, _) = rows::read(keys)?;
        if arrivals
            .iter()
            .any(|row| !row.row.is_empty() || !row.known.is_empty())
        {
            return Err(SessionError::Malformed(
                "it asks for a row by more than its key",
            ));
        }
        for Arrival { key, .. } in arrivals {
            self.wanted.push(wire.next_flight(), (wish, key));
        }
        match self.wanted.bytes() <= WANTED_WAITING {
            true => Ok(()),
            false => Err(SessionError::Demanding),
        }
    }

    /// Rows of the peer have come.
    pub(super) fn rows<R: Replica>(
        &mut self,
        purpose: &Purpose,
        rows: Vec<(RowKey, Row)>,
        bytes: usize,
        ground: &mut Ground<R>,
    ) -> Result<(), SessionError> {
        match purpose {
            Purpose::Found => {}
            Purpose::Wanted => {
                let left = self.wishes.checked_sub(rows.len() as u64);
                self.wishes = left.ok_or(UNASKED)?;
            }
            Purpose::Addition(_) | Purpose::Copy(_) | Purpose::Removed | Purpose::RemovedBy(_) => {
                return Err(UNASKED);
            }
        }
        ground.join(Batch {
            rows,
            bytes,
            ..Batch::default()
        })
    }

    /// The peer has stated its root, as of so many frames of ours.
    pub(super) fn root(&mut self, root: RangeDigest, frames: u64) {
        self.theirs = Some((root, frames));
        self.worth_stating = true;
    }

    /// Sends some more of what is due; nothing if nothing is.
    pub(super) fn produce<R: Replica>(
        &mut self,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        // The walk goes on beside the rows, unless so many are due that the next findings would only pile up.
        if (self.found.bytes() <= FINDINGS_WAITING || self.found.is_empty())
            && let Some((flight, message)) = self.reply.take()
        {
            let frame = Frame::Walk(Bytes(&message));
            // After a message with an answer to come the walk is not done.
            match self.walk.is_done() {
                true => wire.send_uncounted(flight, &frame),
                false => wire.send(flight, &frame),
            }
            return Ok(Next::More);
        }
        if let Some(flight) = self.wanted.flight() {
            self.send_wanted(flight, ground, wire)?;
        } else if let Some(flight) = self.found.flight() {
            self.settle(flight, ground, wire)?;
        } else {
            return self.close(ground, wire);
        }
        Ok(Next::More)
    }

    /// Sends rows that the peer asked for, as many as make a frame; those that are gone too.
    fn send_wanted<R: Replica>(
        &mut self,
        flight: u32,
        ground: &Ground<R>,
        wire: &mut Wire,
    ) -> Result<(), SessionError> {
        let theirs = ground.theirs()?;
        let mut shipment = Shipment::new(wire, flight);
        ground.read(|view| {
            while shipment.size() < ground.config.batch_bytes
                && let Some((wish, key)) = self.wanted.pop(flight)
            {
                let row = view.row(&key)?.unwrap_or_default();
                ground.sends(&key);
                match wish {
                    Wish::Unseen => shipment.push(&key, row, theirs),
                    Wish::Whole => shipment.push(&key, row, &Nothing),
                }
            }
            Ok(())
        })?;
        shipment.flush(Purpose::Wanted);
        Ok(())
    }

    /// Settles findings of one flight, as many as make a frame.
    fn settle<R: Replica>(
        &mut self,
        flight: u32,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<(), SessionError> {
        let bound = ground.config.batch_bytes;
        let theirs = ground.theirs()?;
        let mut verdicts = ground.read(|view| {
            let (mut verdicts, mut size) = (Vec::new(), 0);
            let mut judge = |key: RowKey, row: Option<Row>, dots| {
                let payloads = row.iter().flatten().map(|sibling| sibling.payload.len());
                let taken = key.as_bytes().len() + payloads.sum::<usize>();
                verdicts.push((key, Verdict::of(row, view.context(), dots, theirs)));
                taken
            };
            while size < bound
                && let Some(found) = self.found.pop(flight)
            {
                match found {
                    Found::Row(key, dots) => {
                        let row = view.row(&key)?;
                        size += judge(key, row, dots);
                    }
                    Found::Empty(range) => {
                        let read = view.rows(&range, bound - size)?;
                        if let Some((last, _)) = read.rows.last().filter(|_| !read.complete) {
                            let rest = KeyRange::new(after(last.as_bytes()), range.upper);
                            self.found.put_back(flight, Found::Empty(rest));
                        }
                        for (key, row) in read.rows {
                            size += judge(key, Some(row), BTreeSet::new());
                        }
                    }
                }
            }
            Ok(verdicts)
        })?;
        // Neighbours share what they are written by.
        verdicts.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.act_on(verdicts, flight, ground, wire)
    }

    /// Joins, sends and asks.
    fn act_on<R: Replica>(
        &mut self,
        verdicts: Vec<(RowKey, Verdict)>,
        flight: u32,
        ground: &mut Ground<R>,
        wire: &mut Wire,
    ) -> Result<(), SessionError> {
        let mut batch = Batch::default();
        let mut wishes = [
            (Wish::Unseen, RowWriter::default()),
            (Wish::Whole, RowWriter::default()),
        ];
        let theirs = ground.theirs()?;
        let mut shipment = Shipment::new(wire, flight);
        for (key, verdict) in verdicts {
            if let Some(wish) = verdict.want {
                self.wishes += 1;
                for (_, keys) in wishes.iter_mut().filter(|(kind, _)| *kind == wish) {
                    keys.push_key(&key);
                }
            }
            if verdict.send.is_some() {
                ground.sends(&key);
            }
            match (verdict.send, verdict.want) {
                (Some(row), Some(Wish::Whole)) => shipment.push(&key, row, &Nothing),
                (Some(row), _) => shipment.push(&key, row, &(theirs, &verdict.held)),
                (None, _) => {}
            }
            if let Some(row) = verdict.join {
                batch.bytes += key.as_bytes().len();
                batch.rows.push((key, row));
            }
        }
        shipment.flush(Purpose::Found);
        for (wish, keys) in wishes.iter().filter(|(_, keys)| !keys.is_empty()) {
            wire.send(flight, &Frame::Want(*wish, Bytes(keys.bytes())));
        }
        match batch.rows.is_empty() {
            true => Ok(()),
            false => ground.join(batch),
        }
    }

    /// States our root once nothing is open here, and ends when both roots take account of all that was said.
    ///
    /// Our root is worth stating with a message of the walk that has no digests in it, since the peer may have nothing
    /// to say to that; then it can tell the outcome at once. A root that frames have overtaken is otherwise stated anew
    /// only after the peer has stated its own, and not after each frame of a long stream of rows. That cannot leave
    /// both waiting: a side sends frames after its root only in answer to frames, which overtake its root too; and of
    /// two roots that cross or follow one another, at least one is heard after the other was stated.
    fn close<R: Replica>(
        &mut self,
        ground: &Ground<R>,
        wire: &mut Wire,
    ) -> Result<Next, SessionError> {
        if self.wishes > 0 {
            return Ok(Next::Idle);
        }
        let frames = wire.frames_received;
        if self.worth_stating && self.ours.is_none_or(|(_, told)| told != frames) {
            self.worth_stating = false;
            let root = ground.root()?;
            self.ours = Some((root, frames));
            wire.send(wire.next_flight(), &Frame::Root(root.into(), frames));
            return Ok(Next::More);
        }
        match (self.ours, self.theirs) {
            (Some((root, told)), Some((theirs, heard)))
                if self.walk.is_done() && told == frames && heard == wire.frames_sent =>
            {
                Ok(Next::Finish {
                    agreed: root == theirs,
                    root,
                })
            }
            _ => Ok(Next::Idle),
        }
    }

    /// What the walk compared, and what it could not settle.
    pub(super) fn ranges(&self) -> (u64, u64) {
        (self.walk.stats().ranges_compared, self.walk.unsettled())
    }
}

fn failed(error: WalkError<ReplicaError>) -> SessionError {
    match error {
        WalkError::Source(error) => error.into(),
        other => SessionError::Walk(other.to_string()),
    }
}

const UNASKED: SessionError = SessionError::Unexpected {
    frame: "rows",
    phase: "none of that kind were asked for",
};
