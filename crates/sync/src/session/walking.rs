//! The walk: finds what differs, whatever the contexts say, and settles each finding by the causal rule.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::{self, Vec};

use syncline_crdt::{Canonical, Context, Dot, Nothing, Row, RowKey};
use syncline_merkle::reconcile::{Finding, Limits, Walk, WalkError};
use syncline_merkle::{KeyRange, RangeDigest, Source};

use super::Next;
use super::exchange::after;
use super::ground::{Batch, Ground};
use super::wire::{Shipment, Wire};
use crate::error::{ReplicaError, SessionError};
use crate::frame::{Bytes, Frame, Purpose, Wish};
use crate::replica::{Replica, View};
use crate::rows::{self, RowWriter};

/// Findings that may wait while the walk goes on; beyond it, rows go first and our next message of the walk after them.
const FINDINGS_WAITING: usize = 1 << 20;

/// What the peer may have asked for and not yet got, in bytes of keys. It asks for rows that our last messages described to it, and
/// those are smaller.
const WANTED_WAITING: usize = 4 << 20;

/// What an entry of a queue takes beside its key.
const ENTRY: usize = 64;

/// The walk as one side sees it.
#[derive(Debug)]
pub(super) struct Walking {
    walk: Walk,
    /// Our next message, and its flight.
    reply: Option<(u32, Vec<u8>)>,
    due: VecDeque<(u32, Due)>,
    /// What is due takes so much, findings and wishes of the peer apart.
    findings_waiting: usize,
    wanted_waiting: usize,
    /// Rows that we asked for and that have not come.
    wishes: u64,
    /// Our root as last stated, and how many frames of the peer it takes account of.
    ours: Option<(RangeDigest, u64)>,
    /// The peer's, likewise.
    theirs: Option<(RangeDigest, u64)>,
    /// Whether our root is worth stating, if it has not been as it is: it may be the last word.
    worth_stating: bool,
}

/// Rows to look at.
#[derive(Debug)]
enum Due {
    /// The peer holds these dots at these keys, and none where there are none.
    Compare(vec::IntoIter<(RowKey, Vec<Dot>)>),
    /// The peer holds nothing in this range.
    Empty(KeyRange),
    /// The peer asks for these.
    Wanted(Wish, vec::IntoIter<RowKey>),
}

impl Walking {
    /// A walk that the peer begins.
    pub(super) fn new(salt: [u8; 16], range: KeyRange) -> Self {
        Self {
            walk: Walk::new(salt, range, Limits::default()),
            reply: None,
            due: VecDeque::new(),
            findings_waiting: 0,
            wanted_waiting: 0,
            wishes: 0,
            ours: None,
            theirs: None,
            worth_stating: false,
        }
    }

    /// Begins the walk with a peer whose root is this, as far as is known.
    pub(super) fn start<R: Replica>(
        &mut self,
        theirs: RangeDigest,
        ground: &Ground<R>,
        wire: &Wire,
    ) -> Result<(), SessionError> {
        let walk = &mut self.walk;
        let message = ground.read_raw(|view| {
            let ours = view.digest(&ground.range)?;
            walk.expect(ours.count().abs_diff(theirs.count()));
            walk.start(view).map_err(failed)
        })?;
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
            self.found(finding, flight)?;
        }
        self.reply = step.reply.map(|reply| (flight, reply));
        Ok(())
    }

    fn found(&mut self, finding: Finding, flight: u32) -> Result<(), SessionError> {
        let due = match finding {
            Finding::PeerEmpty { range } => Due::Empty(range),
            Finding::OnlyHere { keys } => {
                let keys = keys.into_iter().map(|key| Ok((row_key(key)?, Vec::new())));
                Due::Compare(keys.collect::<Result<Vec<_>, SessionError>>()?.into_iter())
            }
            Finding::Differ { mine, theirs } => {
                let theirs = theirs
                    .into_iter()
                    .map(|(key, description)| Ok((row_key(key)?, dots(&description)?)));
                let mut keys =
                    theirs.collect::<Result<alloc::collections::BTreeMap<_, _>, SessionError>>()?;
                for key in mine {
                    keys.entry(row_key(key)?).or_default();
                }
                Due::Compare(keys.into_iter().collect::<Vec<_>>().into_iter())
            }
        };
        self.findings_waiting += due.weight();
        self.due.push_back((flight, due));
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
        let keys: Vec<RowKey> = arrivals.into_iter().map(|row| row.key).collect();
        let due = Due::Wanted(wish, keys.into_iter());
        self.wanted_waiting += due.weight();
        if self.wanted_waiting > WANTED_WAITING {
            return Err(SessionError::Demanding);
        }
        self.due.push_back((wire.next_flight(), due));
        Ok(())
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
            Purpose::Addition(_) | Purpose::Copy(_) => return Err(UNASKED),
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
        if (self.findings_waiting <= FINDINGS_WAITING || self.due.is_empty())
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
        if let Some((flight, mut due)) = self.due.pop_front() {
            let before = due.weight();
            match &mut due {
                Due::Wanted(wish, keys) => send_wanted(*wish, keys, flight, ground, wire)?,
                Due::Compare(keys) => self.wishes += compare(keys, flight, ground, wire)?,
                Due::Empty(range) => drop_or_send(range, flight, ground, wire)?,
            }
            let done = before - due.weight();
            match due {
                Due::Wanted(..) => self.wanted_waiting -= done,
                Due::Compare(_) | Due::Empty(_) => self.findings_waiting -= done,
            }
            if !due.is_over() {
                self.due.push_front((flight, due));
            }
            return Ok(Next::More);
        }
        self.close(ground, wire)
    }

    /// States our root once nothing is open here, and ends when both roots take account of all that was said.
    ///
    /// Our root is worth stating with a message of the walk that has no digests in it, since the peer may have nothing to say to that; then it can
    /// tell the outcome at once. A root that frames have overtaken is otherwise stated anew only after the peer has stated its own, and not
    /// after each frame of a long stream of rows. That cannot leave both waiting: a side sends frames after its root only in answer to
    /// frames, which overtake its root too; and of two roots that cross or follow one another, at least one is heard after the
    /// other was stated.
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

impl Due {
    fn weight(&self) -> usize {
        match self {
            Self::Compare(keys) => keys
                .as_slice()
                .iter()
                .map(|(key, dots)| key.as_bytes().len() + ENTRY + dots.len() * size_of::<Dot>())
                .sum(),
            Self::Empty(_) => ENTRY,
            Self::Wanted(_, keys) => keys
                .as_slice()
                .iter()
                .map(|key| key.as_bytes().len() + ENTRY)
                .sum(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Compare(keys) => keys.as_slice().is_empty(),
            Self::Empty(range) => range.is_empty(),
            Self::Wanted(_, keys) => keys.as_slice().is_empty(),
        }
    }
}

/// What is to be done about one row of which the peer holds these dots.
#[derive(Debug, Default)]
struct Verdict {
    /// To be joined here, under the peer's context: its siblings as far as they are here too.
    join: Option<Row>,
    /// To be sent; without the payloads that the peer has seen, unless `whole`.
    send: Option<Row>,
    whole: bool,
    /// To be asked for.
    want: Option<Wish>,
}

impl Verdict {
    /// Ours is (S, C), theirs (S′, C′) with the payloads of S′ unknown.
    fn of(ours: Option<Row>, seen: &Context, theirs: &[Dot], their_seen: &Context) -> Self {
        let ours = ours.unwrap_or_default();
        let is_news = |row: &Row| row.dots().any(|dot| !their_seen.contains(&dot));
        // S′ \ C is not empty: their row has to come, and its join will drop what is to be dropped here. Doing it now would show
        // readers neither the old value nor the new one. What is to be dropped there, only our row tells.
        if theirs.iter().any(|dot| !seen.contains(dot)) {
            let dropped = |dot: &Dot| seen.contains(dot) && ours.get(dot).is_none();
            return Self {
                send: (is_news(&ours) || theirs.iter().any(dropped)).then_some(ours),
                want: Some(Wish::Unseen),
                ..Self::default()
            };
        }
        let held = |dot: &Dot| theirs.binary_search(dot).is_ok();
        let joined: Row = ours
            .iter()
            .filter(|sibling| held(&sibling.dot) || !their_seen.contains(&sibling.dot))
            .cloned()
            .collect();
        if joined.len() < ours.len() {
            let common = ours
                .into_iter()
                .filter(|sibling| held(&sibling.dot))
                .collect();
            return Self {
                join: Some(common),
                send: (is_news(&joined) || !joined.dots().eq(theirs.iter().copied()))
                    .then_some(joined),
                ..Self::default()
            };
        }
        // Nothing to drop here; perhaps there.
        if is_news(&joined) || !joined.dots().eq(theirs.iter().copied()) {
            return Self {
                send: Some(joined),
                ..Self::default()
            };
        }
        // The same dots, yet the rows were found to differ. Somebody has changed one meanwhile, or the payloads under a dot differ, which the
        // join will decide. The bytes have to cross either way.
        Self {
            want: (!joined.is_empty()).then_some(Wish::Whole),
            send: (!joined.is_empty()).then_some(joined),
            whole: true,
            ..Self::default()
        }
    }
}

/// Settles some rows that the peer has other versions of; returns for how many we ask.
fn compare<R: Replica>(
    keys: &mut vec::IntoIter<(RowKey, Vec<Dot>)>,
    flight: u32,
    ground: &mut Ground<R>,
    wire: &mut Wire,
) -> Result<u64, SessionError> {
    let bound = ground.config.batch_bytes;
    let theirs = ground.theirs()?;
    let verdicts = ground.read(|view| {
        let (mut verdicts, mut size) = (Vec::new(), 0);
        while size < bound
            && let Some((key, dots)) = keys.next()
        {
            let ours = view.row(&key)?;
            size += key.as_bytes().len() + ENTRY + ours.as_ref().map_or(0, payload_bytes);
            let verdict = Verdict::of(ours, view.context(), &dots, theirs);
            verdicts.push((key, verdict));
        }
        Ok(verdicts)
    })?;
    apply(verdicts, flight, ground, wire)
}

/// Settles some rows of a range in which the peer holds nothing, and cuts the range down to the rest.
fn drop_or_send<R: Replica>(
    range: &mut KeyRange,
    flight: u32,
    ground: &mut Ground<R>,
    wire: &mut Wire,
) -> Result<(), SessionError> {
    let bound = ground.config.batch_bytes;
    let theirs = ground.theirs()?;
    let (verdicts, rest) = ground.read(|view| {
        let read = view.rows(range, bound)?;
        let rest = match read.rows.last() {
            Some((last, _)) if !read.complete => {
                KeyRange::new(after(last.as_bytes()), range.upper.clone())
            }
            _ => KeyRange::new(Vec::new(), Vec::new()),
        };
        let verdict = |(key, row)| (key, Verdict::of(Some(row), view.context(), &[], theirs));
        Ok((read.rows.into_iter().map(verdict).collect(), rest))
    })?;
    *range = rest;
    apply(verdicts, flight, ground, wire).map(|_| ())
}

/// Joins, sends and asks.
fn apply<R: Replica>(
    verdicts: Vec<(RowKey, Verdict)>,
    flight: u32,
    ground: &mut Ground<R>,
    wire: &mut Wire,
) -> Result<u64, SessionError> {
    let mut batch = Batch::default();
    let mut wishes = [
        (Wish::Unseen, RowWriter::default()),
        (Wish::Whole, RowWriter::default()),
    ];
    let mut asked = 0;
    let bound = ground.config.batch_bytes;
    let theirs = ground.theirs()?;
    let mut shipment = Shipment::new(wire, flight);
    for (key, verdict) in verdicts {
        if let Some(wish) = verdict.want {
            asked += 1;
            for (_, keys) in wishes.iter_mut().filter(|(kind, _)| *kind == wish) {
                keys.push_key(&key);
            }
        }
        match verdict.send {
            Some(row) if verdict.whole => shipment.push(&key, row, &Nothing),
            Some(row) => shipment.push(&key, row, theirs),
            None => {}
        }
        if shipment.size() >= bound {
            shipment.flush(Purpose::Found);
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
    if !batch.rows.is_empty() {
        ground.join(batch)?;
    }
    Ok(asked)
}

/// Sends some of the rows that the peer asks for, those that are gone too.
fn send_wanted<R: Replica>(
    wish: Wish,
    keys: &mut vec::IntoIter<RowKey>,
    flight: u32,
    ground: &mut Ground<R>,
    wire: &mut Wire,
) -> Result<(), SessionError> {
    let bound = ground.config.batch_bytes;
    let theirs = ground.theirs()?;
    let mut shipment = Shipment::new(wire, flight);
    ground.read(|view| {
        let mut size = 0;
        while size < bound
            && let Some(key) = keys.next()
        {
            let row = view.row(&key)?.unwrap_or_default();
            size += key.as_bytes().len() + ENTRY + payload_bytes(&row);
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

fn payload_bytes(row: &Row) -> usize {
    row.iter().map(|sibling| sibling.payload.len()).sum()
}

fn row_key(bytes: Vec<u8>) -> Result<RowKey, SessionError> {
    RowKey::from_bytes(bytes)
        .map_err(|_| SessionError::Malformed("its walk names what is no row key"))
}

/// Reads the description of a row: its live dots, ascending; no bytes at all for none.
fn dots(description: &[u8]) -> Result<Vec<Dot>, SessionError> {
    if description.is_empty() {
        return Ok(Vec::new());
    }
    alloc::collections::BTreeSet::from_bytes(description)
        .map(|dots| dots.into_iter().collect())
        .map_err(|_| SessionError::Malformed("its walk describes a row by what is no list of dots"))
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
