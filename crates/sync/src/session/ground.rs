//! The replica as a session sees and changes it.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, CarrierId, Context, Dot, Nothing, Roster, Row, RowKey};
use syncline_merkle::{KeyRange, MAX_LEVEL, RangeDigest, Source};

use crate::carriers::{Attendance, Statement};
use crate::config::Config;
use crate::error::{ReplicaError, SessionError};
use crate::forms::{ContextHash, hash_context};
use crate::hello::features;
use crate::replica::{Incoming, RangeRemoval, Removal, Replica, View};
use crate::rows::{Arrival, RowWriter};

/// So many values that came in the middle of a session are looked for at most.
const CAME_MAX: usize = 1 << 16;

/// What a side was when the session began, as of one commit. All that it says in the session rests on this.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) context: Context,
    pub(super) context_hash: ContextHash,
    /// Of the session's range.
    pub(super) root: RangeDigest,
    /// What can be offered to the peer: [`features`].
    pub(super) features: u64,
    withdrawals: u64,
}

/// The replica, our start, and the peer's context as of its start.
pub(super) struct Ground<R: Replica> {
    replica: R,
    pub(super) config: Config,
    /// What the session is over.
    pub(super) range: KeyRange,
    pub(super) start: Start,
    theirs: Option<Context>,
    /// The peer's name among the carriers, if it has said it.
    peer: Option<CarrierId>,
    /// Whether that was merged.
    learned: bool,
    /// Dots of it that are not to be called seen before what they removed is gone here, too.
    withheld: Context,
    /// The replica as of our start, while additions are listed.
    start_view: Option<R::View>,
    /// Bytes joined since the last durable commit.
    unsynced: u64,
}

/// Rows to join.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<(RowKey, Row)>,
    pub(super) covers: Option<KeyRange>,
    pub(super) learned: Option<Context>,
    pub(super) removals: Vec<Removal>,
    pub(super) ranges: Vec<RangeRemoval>,
    pub(super) logged: Context,
    /// How much of a crash's loss this is.
    pub(super) bytes: usize,
    pub(super) durable: bool,
}

impl<R: Replica> Ground<R> {
    /// With what the replica says of the carriers of its namespace.
    pub(super) fn new(
        replica: R,
        config: Config,
        range: KeyRange,
    ) -> Result<(Self, Option<Attendance>), SessionError> {
        let (view, attendance) = replica.begin()?;
        let context = view.context().clone();
        let start = Start {
            context_hash: hash_context(&context.to_bytes()),
            context,
            root: view.digest(&range)?,
            features: match view.sketch()? {
                Some(_) => features::SKETCH,
                None => 0,
            } | match view.keeps_removals() {
                true => features::REMOVALS,
                false => 0,
            },
            withdrawals: view.withdrawals(),
        };
        let ground = Self {
            replica,
            config,
            range,
            start,
            theirs: None,
            peer: None,
            learned: false,
            withheld: Context::new(),
            start_view: Some(view),
            unsynced: 0,
        };
        Ok((ground, attendance))
    }

    /// Whose rows are joined from now on.
    pub(super) fn set_peer(&mut self, peer: CarrierId) {
        self.peer = Some(peer);
    }

    /// Gets to know the peer's carriers.
    pub(super) fn enrol(&self, roster: &Roster) -> Result<(), SessionError> {
        Ok(self.replica.enrol(roster)?)
    }

    /// Takes in what carriers say.
    pub(super) fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        self.replica.hear(roster, said);
    }

    /// Whether the session is over all rows, so that contexts may be merged by it.
    pub(super) fn is_whole(&self) -> bool {
        self.range == KeyRange::ALL
    }

    /// The peer's context as of its start. The phases see to it that it has come before it is needed; a frame that
    /// needs it too early is the peer's fault.
    pub(super) fn theirs(&self) -> Result<&Context, SessionError> {
        self.theirs.as_ref().ok_or(SessionError::Unexpected {
            frame: "rows or digests",
            phase: "its context was awaited",
        })
    }

    /// How many dots one side had seen at its start and the other had not; none as long as the peer's context has not
    /// come.
    pub(super) fn unshared_dots(&self) -> u64 {
        let ours = &self.start.context;
        let unshared = self.theirs.as_ref().map_or(0, |theirs| {
            ours.difference(theirs).len() + theirs.difference(ours).len()
        });
        u64::try_from(unshared).unwrap_or(u64::MAX)
    }

    /// What both sides had seen at their starts.
    pub(super) fn common(&self) -> Result<Context, SessionError> {
        let ours = &self.start.context;
        Ok(ours.difference(&ours.difference(self.theirs()?)))
    }

    /// How many dots of the common part may be live on one side only, where the peer's root is `theirs` and so many of
    /// our live dots are outside of it: one for each dot that one side had not seen and that is not live any more. A
    /// removal of many rows has one dot, so the difference in rows counts as well.
    pub(super) fn removals_feared(
        &self,
        theirs: RangeDigest,
        outside: usize,
    ) -> Result<usize, SessionError> {
        let dead = self.unshared_dots().saturating_sub(outside as u64);
        let rows = self.root()?.count().abs_diff(theirs.count());
        Ok(usize::try_from(dead.max(rows)).unwrap_or(usize::MAX))
    }

    /// Drops dots that are dead in the peer, those that still live here.
    pub(super) fn drop_dots(&mut self, dots: &[Dot]) -> Result<(), SessionError> {
        let mut keys = BTreeSet::new();
        self.read(|view| {
            for dot in dots {
                keys.extend(view.key_of(*dot)?);
            }
            Ok(())
        })?;
        // About what a crash would lose of it.
        self.unsynced += keys
            .iter()
            .map(|key| key.as_bytes().len() as u64)
            .sum::<u64>();
        // A context of these dots alone drops them and nothing else, whatever is written to the rows meanwhile.
        let context: Context = dots.iter().copied().collect();
        self.replica.join(Incoming {
            rows: keys.into_iter().map(|key| (key, Row::default())).collect(),
            covers: None,
            context: &context,
            learned: None,
            removals: Vec::new(),
            ranges: Vec::new(),
            logged: Context::new(),
            since: self.start.withdrawals,
            from: self.peer,
            durable: false,
        })?;
        Ok(())
    }

    pub(super) fn set_theirs(&mut self, context: Context) {
        self.theirs = Some(context);
    }

    /// Reads from the replica as of its last commit. What is read may be said to the peer: it is in keeping with our
    /// start context.
    ///
    /// A damaged row that comes up is withdrawn. Then, and when somebody else has withdrawn one, the session ends: the
    /// dots of that row are in the context that the peer was given, and it would take our not having them for a
    /// removal.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&R::View) -> Result<T, ReplicaError>,
    ) -> Result<T, SessionError> {
        self.read_raw(|view| Ok(read(view)?))
    }

    /// The same for reads that fail in other ways too.
    pub(super) fn read_raw<T>(
        &self,
        read: impl FnOnce(&R::View) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let view = self.replica.view()?;
        if view.withdrawals() != self.start.withdrawals {
            return Err(ReplicaError::Withdrawn.into());
        }
        let result = read(&view);
        drop(view);
        if let Err(SessionError::Replica(ReplicaError::Damaged { key })) = &result {
            let key = RowKey::from_bytes(key.clone())
                .map_err(|error| ReplicaError::Failed(error.to_string().into()))?;
            self.replica.withdraw(&key)?;
        }
        result
    }

    /// Reads what has become of our start.
    pub(super) fn read_since_start<T>(
        &self,
        read: impl FnOnce(&R::View, &R::View) -> Result<T, ReplicaError>,
    ) -> Result<T, SessionError> {
        let start = self.start_view.as_ref();
        let start = start.expect("additions are listed before the start is let go");
        self.read(|now| read(start, now))
    }

    /// Lets go of the replica as it was at our start, which keeps old pages alive.
    pub(super) fn let_go_of_start(&mut self) {
        self.start_view = None;
    }

    /// The digest of the session's range now.
    pub(super) fn root(&self) -> Result<RangeDigest, SessionError> {
        self.read(|view| view.digest(&self.range))
    }

    /// A row goes out.
    pub(super) fn sends(&self, key: &RowKey) {
        self.replica.sends(key);
    }

    /// Joins what the peer has told.
    pub(super) fn join(&mut self, batch: Batch) -> Result<(), SessionError> {
        let unsynced = self.unsynced + batch.bytes as u64;
        let durable = batch.durable || unsynced >= self.config.sync_every_bytes;
        self.replica.join(Incoming {
            rows: batch.rows,
            covers: batch.covers,
            context: self.theirs()?,
            learned: batch.learned.map(|learned| self.without_withheld(learned)),
            removals: batch.removals,
            ranges: batch.ranges,
            logged: self.without_withheld(batch.logged),
            since: self.start.withdrawals,
            from: self.peer,
            durable,
        })?;
        self.unsynced = if durable { 0 } else { unsynced };
        Ok(())
    }

    /// Joins siblings of a row as additions to it: under a context that has seen nothing but them, so that ours all
    /// stay.
    pub(super) fn add(&mut self, key: RowKey, row: Row) -> Result<(), SessionError> {
        let bytes: usize = row.iter().map(|sibling| sibling.payload.len()).sum();
        self.unsynced += bytes as u64;
        let context: Context = row.dots().collect();
        self.replica.join(Incoming {
            rows: Vec::from([(key, row)]),
            covers: None,
            context: &context,
            learned: None,
            removals: Vec::new(),
            ranges: Vec::new(),
            logged: Context::new(),
            since: self.start.withdrawals,
            from: self.peer,
            durable: false,
        })?;
        Ok(())
    }

    fn without_withheld(&self, context: Context) -> Context {
        match self.withheld.is_empty() {
            true => context,
            false => context.difference(&self.withheld),
        }
    }

    /// From now on, these dots are not merged with the peer's context.
    pub(super) fn withhold(&mut self, dots: &Context) {
        self.withheld.merge(dots);
    }

    /// Applies a part of a removal of a range; returns what is left to do.
    pub(super) fn drop_observed(
        &mut self,
        removal: &RangeRemoval,
        range: &KeyRange,
    ) -> Result<Option<KeyRange>, SessionError> {
        let since = self.start.withdrawals;
        // Whatever it was, something may have been dropped that a crash would bring back.
        self.unsynced += 1;
        Ok(self
            .replica
            .drop_observed(range, &removal.observed, since)?)
    }

    /// Merges the peer's start context with the removals of ranges that it knew of, all of which were applied.
    pub(super) fn learn_ranges(&mut self, ranges: Vec<RangeRemoval>) -> Result<(), SessionError> {
        self.withheld = Context::new();
        let mut logged = Context::new();
        ranges
            .iter()
            .for_each(|removal| logged.merge(&removal.dots));
        let learned = Some(self.theirs()?.clone());
        self.join(Batch {
            learned,
            ranges,
            logged,
            durable: true,
            ..Batch::default()
        })?;
        self.learned = true;
        Ok(())
    }

    /// Merges the peer's start context (unless the session is over a part), and makes all that was joined durable.
    pub(super) fn learn(&mut self) -> Result<(), SessionError> {
        let Some(theirs) = self
            .theirs
            .as_ref()
            .filter(|_| self.is_whole() && !self.learned)
        else {
            return self.settle();
        };
        if self.start.context.covers(theirs) {
            return self.settle();
        }
        self.join(Batch {
            learned: Some(theirs.clone()),
            durable: true,
            ..Batch::default()
        })?;
        self.learned = true;
        Ok(())
    }

    /// Merges the start context of a peer whose root was ours at both starts.
    ///
    /// What the peer had seen and we had not is dead, all of it: else it would have been live there, and so here. A value of it may have come
    /// since by another way, a rumour, and its removal be still to come. Whoever has merged the context calls that removal seen and takes no notice of
    /// it any more, so it is made good here.
    pub(super) fn learn_of_an_equal(&mut self) -> Result<(), SessionError> {
        let Some(theirs) = &self.theirs else {
            return Ok(());
        };
        let dead = theirs.difference(&self.start.context);
        if dead.is_empty() || !self.is_whole() {
            return Ok(());
        }
        // From here on none of it is taken any more.
        self.learn()?;
        let came = self.read(|view| {
            let others = view.context().difference(&dead);
            view.live_outside(&others, CAME_MAX)
        })?;
        // Where that is not to be had, the next session finds it.
        match came.unwrap_or_default() {
            came if came.is_empty() => Ok(()),
            came => self.drop_dots(&came),
        }
    }

    /// Makes all that was joined durable.
    pub(super) fn settle(&mut self) -> Result<(), SessionError> {
        if self.unsynced == 0 {
            return Ok(());
        }
        self.join(Batch {
            durable: true,
            ..Batch::default()
        })
    }

    /// Makes durable whatever the peer may be told of.
    pub(super) fn vouch(&self) -> Result<(), SessionError> {
        Ok(self.replica.flush()?)
    }

    /// Puts back the siblings that came without payload: those live here are kept, the others are dead.
    pub(super) fn complete(
        &self,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<(RowKey, Row)>, SessionError> {
        if arrivals.iter().all(|arrival| arrival.known.is_empty()) {
            return Ok(arrivals
                .into_iter()
                .map(|arrival| (arrival.key, arrival.row))
                .collect());
        }
        self.read_raw(|view| {
            let complete = |arrival: Arrival| {
                let Arrival {
                    key,
                    mut row,
                    known,
                } = arrival;
                let ours = match known.is_empty() {
                    true => None,
                    false => view.row(&key)?,
                };
                for dot in known {
                    match ours.as_ref().and_then(|ours| ours.get(&dot)) {
                        Some(sibling) => {
                            row.insert(sibling.clone());
                        }
                        None if view.context().contains(&dot) => {}
                        None => {
                            return Err(SessionError::Malformed(
                                "a row lacks payloads that were never sent",
                            ));
                        }
                    }
                }
                Ok((key, row))
            };
            arrivals.into_iter().map(complete).collect()
        })
    }

    /// About what a copy of all rows of the range would take on the wire: their number, and the size of some from all
    /// over it.
    pub(super) fn copy_bytes(&self) -> Result<u64, SessionError> {
        const PLACES: usize = 8;
        const FENCES: usize = 256;
        const BYTES: usize = 4 << 10;
        self.read(|view| {
            let count = view.digest(&self.range)?.count();
            // The highest level with a fence or two gives places from all over the range.
            let mut places = Vec::new();
            for level in (1..=MAX_LEVEL).rev() {
                places = view.cut(&self.range, level, FENCES)?.nodes;
                if places.len() > 1 {
                    break;
                }
            }
            let step = places.len().div_ceil(PLACES).max(1);
            let (mut rows, mut writer) = (0u64, RowWriter::default());
            for place in places.iter().step_by(step) {
                let from = KeyRange::new(place.fence.clone(), self.range.upper.clone());
                for (key, row) in view.rows(&from, BYTES)?.rows {
                    rows += 1;
                    writer.push(&key, &row, &Nothing);
                }
            }
            let bytes = u128::from(count) * writer.bytes().len() as u128 / u128::from(rows.max(1));
            Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
        })
    }
}
