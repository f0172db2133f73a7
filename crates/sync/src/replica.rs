//! What a session needs of a replica: the [`Replica`] and [`View`] traits.

use alloc::vec::Vec;

use syncline_crdt::{CarrierId, Context, Dot, Roster, Row, RowKey};
use syncline_merkle::sketch::{Prefix, SketchKey};
use syncline_merkle::{KeyRange, Source};

use crate::carriers::{Attendance, Statement};
use crate::error::ReplicaError;

/// One copy of a namespace: rows with a causal context and digests, whose changes are atomic commits.
///
/// Implement it to sync a store of your own; for one that fits in memory a [`Companion`](crate::companion::Companion) does nearly
/// all of it, as `examples/own_store.rs` shows. Many sessions may use one replica at a time while others write to it, so
/// all methods take `&self`; a session only ever sees it through [`View`]s, each of one commit, and changes it only by
/// [`join`](Self::join).
pub trait Replica {
    /// The replica as of one commit.
    type View: View;

    /// The replica as of its last commit.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn view(&self) -> Result<Self::View, ReplicaError>;

    /// The replica as of its last commit, for a session that begins; and, if it keeps a roster of the carriers of its
    /// namespace, what it says of them. Sessions of replicas that keep none, the default, go as well; but a peer that
    /// keeps one will never know what such a replica has seen, and so never call anything causally stable until it has
    /// forgotten it.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        Ok((self.view()?, None))
    }

    /// Gets to know the peer's carriers, durably. Called before anything is joined that one of them may have made. To be
    /// implemented with [`begin`](Self::begin).
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn enrol(&self, _roster: &Roster) -> Result<(), ReplicaError> {
        Ok(())
    }

    /// Takes in what carriers say who count with this roster; to be ignored if it is not the replica's own any more. To
    /// be implemented with [`begin`](Self::begin).
    fn hear(&self, _roster: &Roster, _said: Vec<(CarrierId, Statement)>) {}

    /// Told of each row that goes out to the peer, for whoever shows where replicas differ. What comes in, [`join`](Self::join) and
    /// [`drop_observed`](Self::drop_observed) are told.
    fn sends(&self, _key: &RowKey) {}

    /// Joins rows of a peer in one commit.
    ///
    /// For each row of `incoming`, and each key without one that it covers, ours (S, C) becomes (S ∩ S′) ∪ (S \ C′) ∪
    /// (S′ \ C), where C is our context *at the moment of the commit* and C′ is `incoming.context`. Our context gains
    /// the rows' own dots and, after the joins and in the same commit, `incoming.learned`.
    ///
    /// # Errors
    /// [`ReplicaError::Withdrawn`], with nothing changed, when rows have been withdrawn since `incoming.since`.
    /// [`ReplicaError::Forgotten`], likewise, when `incoming.from` was forgotten.
    /// Otherwise whatever keeps it from being written; then nothing has changed either.
    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError>;

    /// Makes every commit so far durable, if any is not. A session calls it before each frame that it gives out.
    ///
    /// A peer that was told of a write's end acts on it: an overwritten value is gone there, even if the session breaks
    /// before the new one has come. If the overwriting were then lost here in a crash, so would be both.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn flush(&self) -> Result<(), ReplicaError>;

    /// Drops what others have removed out of the first rows of a range: of each, all siblings whose dots `observed` has.
    /// About as many rows as make a small commit; returns what is left of the range. Nothing is added to the context.
    ///
    /// Only asked of who [keeps removals](View::keeps_removals).
    ///
    /// # Errors
    /// As [`join`](Self::join).
    fn drop_observed(
        &self,
        _range: &KeyRange,
        _observed: &Context,
        _since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        Err(ReplicaError::Failed("it keeps no removal log".into()))
    }

    /// Takes a damaged row out of the rows, digests and dot index, and its dots out of the context, in one commit.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError>;
}

/// A replica as of one commit: later commits do not show. The digests of [`Source`] are over its rows.
///
/// [`Source::describe`] of a row is the canonical encoding of its live dots as a `BTreeSet` of
/// [`Dot`](syncline_crdt::Dot)s; of no row, no bytes.
pub trait View: Source<Error = ReplicaError> + Send + Sized {
    /// All dots that were seen: each is live in a row, or dead for good.
    fn context(&self) -> &Context;

    /// How many rows have been withdrawn so far. What a session has said of a context holds only while this stays.
    fn withdrawals(&self) -> u64;

    /// The row at a key, checked against its checksum.
    ///
    /// # Errors
    /// [`ReplicaError::Damaged`], or whatever keeps it from being read.
    fn row(&self, key: &RowKey) -> Result<Option<Row>, ReplicaError>;

    /// The first rows of a range in key order, checked: at least one if there is any, and no more than take up
    /// `max_bytes`. The range is exhausted exactly if [`Rows::complete`].
    ///
    /// # Errors
    /// [`ReplicaError::Damaged`], or whatever keeps it from being read.
    fn rows(&self, range: &KeyRange, max_bytes: usize) -> Result<Rows, ReplicaError>;

    /// Rows with a dot that is live in this view and not in `peer`, in the order of the first such dot of each, from
    /// after `after`; at least one if there is any, and no more than take up `max_bytes`.
    ///
    /// This view is of the session's start, which says which rows; they are given as they are `now`, in a later view. A
    /// row out of which the dot has gone meanwhile is given with what replaced it, if the peer has not seen that: whoever
    /// learns that a value is dead has to have the new one.
    ///
    /// # Errors
    /// [`ReplicaError::Damaged`], or whatever keeps it from being read.
    fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Additions, ReplicaError>;

    /// Whether there is a removal log, which also takes in what peers tell of theirs ([`Incoming::removals`]).
    fn keeps_removals(&self) -> bool {
        false
    }

    /// What was removed by dots that are in `start` and not in `peer`, from after `after`, in dot order; no more than
    /// take up `max_bytes`, but at least one if there is any. A hint: entries may be missing, and too many do no harm.
    ///
    /// To be implemented with [`keeps_removals`](Self::keeps_removals), and not asked for otherwise.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn removals(
        &self,
        _peer: &Context,
        _start: &Context,
        _after: Option<Dot>,
        _max_bytes: usize,
    ) -> Result<Removals, ReplicaError> {
        Ok(Removals::default())
    }

    /// The removals of whole ranges by dots that are in `start` and not in `peer`, as many as take up `max_bytes`. Those
    /// that are left out are the later ones in the order of their dots.
    ///
    /// To be implemented with [`keeps_removals`](Self::keeps_removals), and not asked for otherwise.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn range_removals(
        &self,
        _peer: &Context,
        _start: &Context,
        _max_bytes: usize,
    ) -> Result<Vec<RangeRemoval>, ReplicaError> {
        Ok(Vec::new())
    }

    /// The sketch of all live dots. A replica that keeps none, the default, is searched by the walk.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn sketch(&self) -> Result<Option<Sketch>, ReplicaError> {
        Ok(None)
    }

    /// The live dots that `seen` does not have, in any order; `None` if there are more than `limit`. To be implemented
    /// with [`sketch`](Self::sketch).
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn live_outside(
        &self,
        _seen: &Context,
        _limit: usize,
    ) -> Result<Option<Vec<Dot>>, ReplicaError> {
        Ok(None)
    }

    /// The key of the row in which a dot is live, if it is. To be implemented with [`sketch`](Self::sketch).
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn key_of(&self, _dot: Dot) -> Result<Option<RowKey>, ReplicaError> {
        Ok(None)
    }
}

/// A sketch of live dots as of one commit: each is the element of its replica id's tag and its counter.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// What its elements are made with, derived from the cluster's secret.
    pub key: SketchKey,
    /// Its first symbols.
    pub symbols: Prefix,
}

/// Some of what was removed.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// In the order of their dots.
    pub removals: Vec<Removal>,
    /// All removals of the log that were asked for, up to and including this dot, are in `removals` now or were so
    /// before.
    pub frontier: Option<Dot>,
    /// Whether there are no more.
    pub complete: bool,
    /// Of the dots that were asked for, those whose removals the log may lack.
    pub missing: Context,
}

/// The statement that of everything in `observed`, nothing lives in `range` any more: the removals of `dots` took it
/// away. `observed` is a filter for the rows of the range, and must not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRemoval {
    /// The removals' own dots, all of one replica.
    pub dots: Context,
    /// Which row keys.
    pub range: KeyRange,
    /// What the maker had observed when it began.
    pub observed: Context,
}

/// A removal, and a row out of which it removed something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    /// The removal's own dot.
    pub dot: Dot,
    /// The row's key.
    pub key: RowKey,
}

/// Some rows of a range.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// In key order.
    pub rows: Vec<(RowKey, Row)>,
    /// Whether the range holds no more.
    pub complete: bool,
}

/// Some rows that a peer lacks.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// In the order of the first dot that the peer lacks.
    pub rows: Vec<(RowKey, Row)>,
    /// All dots that were asked for, up to and including this one in dot order, are in `rows` now or were so before, or
    /// are dead.
    pub frontier: Option<Dot>,
    /// Whether there are no more.
    pub complete: bool,
}

/// What a peer has told, to be joined in one commit.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Rows as the peer holds them; an empty one says that it holds none at the key.
    pub rows: Vec<(RowKey, Row)>,
    /// If given, `rows` is everything that the peer holds in this range.
    pub covers: Option<KeyRange>,
    /// What the peer had seen when it said this, or at some earlier moment of the session.
    pub context: &'a Context,
    /// What may be called seen from now on, if anything.
    pub learned: Option<Context>,
    /// Removals that the peer's log names, for ours. `rows` has what the peer holds at their keys.
    pub removals: Vec<Removal>,
    /// Removals of whole ranges that it names, which have been [applied](Replica::drop_observed) before.
    pub ranges: Vec<RangeRemoval>,
    /// The dots all of whose removals are in `removals` and `ranges`. Of other dots that are learned, nobody knows what they removed.
    pub logged: Context,
    /// [`View::withdrawals`] as of the session's start.
    pub since: u64,
    /// The peer's name among the carriers, if both sides keep a roster.
    pub from: Option<CarrierId>,
    /// Whether the commit is to be durable, with all before it, when the call returns.
    pub durable: bool,
}

impl<R: Replica + ?Sized> Replica for &R {
    type View = R::View;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        (**self).view()
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        (**self).begin()
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        (**self).enrol(roster)
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        (**self).hear(roster, said);
    }

    fn sends(&self, key: &RowKey) {
        (**self).sends(key);
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        (**self).join(incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        (**self).flush()
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        (**self).drop_observed(range, observed, since)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        (**self).withdraw(key)
    }
}

impl<R: Replica + ?Sized> Replica for alloc::sync::Arc<R> {
    type View = R::View;

    fn view(&self) -> Result<Self::View, ReplicaError> {
        (**self).view()
    }

    fn begin(&self) -> Result<(Self::View, Option<Attendance>), ReplicaError> {
        (**self).begin()
    }

    fn enrol(&self, roster: &Roster) -> Result<(), ReplicaError> {
        (**self).enrol(roster)
    }

    fn hear(&self, roster: &Roster, said: Vec<(CarrierId, Statement)>) {
        (**self).hear(roster, said);
    }

    fn sends(&self, key: &RowKey) {
        (**self).sends(key);
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        (**self).join(incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        (**self).flush()
    }

    fn drop_observed(
        &self,
        range: &KeyRange,
        observed: &Context,
        since: u64,
    ) -> Result<Option<KeyRange>, ReplicaError> {
        (**self).drop_observed(range, observed, since)
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        (**self).withdraw(key)
    }
}
