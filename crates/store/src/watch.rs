//! What has changed since somebody was last told: changes to follow, from any point on.
//!
//! Whoever keeps a mirror of a range keeps a [`Bookmark`] with it: how far the mirror goes. The rows
//! that have changed since are found in two ways, which together miss none. A row in which a dot
//! came to live that the bookmark's context lacks is found by the dot index. A row that changed
//! otherwise, because it went or lost a sibling, is in the log of [departures], by the number of the
//! commit.
//!
//! A bookmark holds what has been told and nothing else, whatever happens meanwhile. Rows are read
//! as they are now, which may be later than the bookmark says: then they are told again. What it
//! does not allow is to go back: so it also names the newest commit of which anything was told, by
//! the [opening](openings) of the store that made it. Where that commit is not one of the store's,
//! because a power failure took it back, because the file is an older copy, or because the bookmark
//! is of another replica, and where the log does not reach back far enough, all of the range is told
//! anew, and the receiver told so.
//!
//! [`Listener`]s spare whoever follows closely the search: each commit leaves them the keys that it
//! has changed, in a bounded buffer. One who falls behind finds the buffer gone, and searches.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use syncline_crdt::{Dot, Row, RowKey};
use syncline_merkle::KeyRange;

use crate::engine::Engine;
use crate::format;
use crate::view::damaged;
use crate::{StoreError, View};

mod bookmark;
pub(crate) mod departures;
mod feed;
pub(crate) mod openings;

pub use bookmark::Bookmark;
pub use feed::{Arrival, Listener, Signal};

pub(crate) use feed::{Changed, Feed};

/// Rows that have changed: an answer of [`View::changes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Whether all of the range is told anew, so that what was told before counts no more.
    pub anew: bool,
    /// The rows as they are now, each at most once; one that is absent has no siblings.
    pub rows: Vec<(RowKey, Row)>,
    /// How far this goes.
    pub bookmark: Bookmark,
    /// Whether all that was told up to here amounts to the range as this view shows it. If not, go
    /// on from the bookmark, on this view or a later one.
    pub complete: bool,
}

impl<E: Engine> View<E> {
    /// The rows of a range that have changed since a bookmark, as they are now; without one, or
    /// with one that does not fit, all rows of the range.
    ///
    /// Ends after `max_rows` rows, or as soon as they take `max_bytes`, but never without a row
    /// while there is one. Whoever applies what it yields, time after time, holds when it is
    /// [complete](Changes::complete) exactly the rows that the view has in the range.
    ///
    /// Costs a visit of the index for each dot that has come to live since the bookmark, and of the
    /// log for each row that went, in the range or not; the size of the store does not matter.
    ///
    /// ```
    /// use syncline_crdt::RowKey;
    /// use syncline_merkle::KeyRange;
    /// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
    ///
    /// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// let (ada, bob) = (RowKey::member(b"online", b"ada"), RowKey::member(b"online", b"bob"));
    /// store.transact(Durability::Durable, |txn| txn.put(&ada, Vec::new()))?;
    ///
    /// let online = KeyRange::prefix(&RowKey::key_prefix(b"online"));
    /// let all = store.view()?.changes(&online, None, 1 << 20, 1000)?;
    /// assert!(all.anew && all.complete && all.rows[0].0 == ada);
    ///
    /// store.transact(Durability::Durable, |txn| {
    ///     txn.remove(&ada)?;
    ///     txn.put(&bob, Vec::new())
    /// })?;
    /// let news = store.view()?.changes(&online, Some(&all.bookmark), 1 << 20, 1000)?;
    /// let there: Vec<_> = news.rows.iter().map(|(key, row)| (key, !row.is_empty())).collect();
    /// assert_eq!(there, [(&bob, true), (&ada, false)]);
    /// assert!(!news.anew && news.complete);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a row that fails its checksum or is not what the index says;
    /// withdraw it. [`StoreError::DamagedTable`] where the log cannot be read; begin without a
    /// bookmark. Otherwise whatever keeps the engine from being read.
    pub fn changes(
        &self,
        range: &KeyRange,
        from: Option<&Bookmark>,
        max_bytes: usize,
        max_rows: usize,
    ) -> Result<Changes, StoreError> {
        let from = from.filter(|bookmark| self.continues(bookmark));
        let anew = from.is_none();
        let mut at = match from {
            Some(bookmark) => bookmark.clone(),
            None => Bookmark {
                listed_to: Some(range.lower.clone()),
                ..self.bookmark()
            },
        };
        let newest = self.bookmark();
        (at.opening, at.commit) = (newest.opening, newest.commit);
        let mut telling = Telling::new(self, range, max_bytes, max_rows);
        // In this order: what the log has of a row that was withdrawn must not be passed before its
        // dots have left the context.
        let complete =
            telling.list(&mut at)? && telling.additions(&mut at)? && telling.departures(&mut at)?;
        Ok(Changes {
            anew,
            rows: telling.rows,
            bookmark: at,
            complete,
        })
    }

    /// The bookmark of whoever holds just what this view shows.
    pub fn bookmark(&self) -> Bookmark {
        let commit = self.commit();
        Bookmark {
            opening: self.shared.openings.of(commit),
            commit,
            departures: departures::Place::after(commit),
            listed_to: None,
            context: self.shared_context(),
        }
    }

    /// The number of the last commit that the view shows. Numbers ascend by one, but after a crash
    /// a number may stand for another commit.
    pub fn commit(&self) -> u64 {
        self.head.state.commits
    }

    /// Whether all that a bookmark includes is in the store's own past, and what has departed since
    /// is known.
    fn continues(&self, bookmark: &Bookmark) -> bool {
        bookmark.commit <= self.commit()
            && bookmark.opening == self.shared.openings.of(bookmark.commit)
            && bookmark.departures.commit > self.head.departures.floor
    }
}

/// A call of [`View::changes`] under way.
pub(crate) struct Telling<'v, E: Engine> {
    view: &'v View<E>,
    range: &'v KeyRange,
    max_bytes: usize,
    max_rows: usize,
    rows: Vec<(RowKey, Row)>,
    told: BTreeSet<RowKey>,
}

/// How many keys are looked up at once.
const RUN: usize = 256;

impl<'v, E: Engine> Telling<'v, E> {
    fn new(view: &'v View<E>, range: &'v KeyRange, max_bytes: usize, max_rows: usize) -> Self {
        Self {
            view,
            range,
            max_bytes: max_bytes.max(1),
            max_rows: max_rows.max(1),
            rows: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    /// Tells the rows that were never told; whether there are no more.
    fn list(&mut self, at: &mut Bookmark) -> Result<bool, StoreError> {
        let Some(lower) = &at.listed_to else {
            return Ok(true);
        };
        let rest = KeyRange::new(lower.clone(), self.range.upper.clone());
        for row in self.view.scan(&rest) {
            let (key, row) = row?;
            if !self.has_room() {
                at.listed_to = Some(key.into_bytes());
                return Ok(false);
            }
            self.tell(key, row);
        }
        at.listed_to = None;
        Ok(true)
    }

    /// Tells the rows in which dots live that the bookmark lacks; whether there are no more.
    fn additions(&mut self, at: &mut Bookmark) -> Result<bool, StoreError> {
        let now = self.view.shared_context();
        let mut frontier = None;
        for (replica, first, last) in now.difference(&at.context).intervals() {
            let (mut next, end) = (Dot::new(replica, first), Dot::new(replica, last));
            loop {
                let run = self.dots_between(next, end)?;
                for (dot, key) in &run {
                    if self.told.contains(key) {
                        continue;
                    }
                    if !self.has_room() {
                        if let Some(frontier) = frontier {
                            Arc::make_mut(&mut at.context).merge(&now.up_to(frontier));
                        }
                        return Ok(false);
                    }
                    let row = self.view.get(key)?.unwrap_or_default();
                    if row.get(dot).is_none() {
                        return Err(damaged(key));
                    }
                    self.tell(key.clone(), row);
                    frontier = Some(*dot);
                }
                match run.last() {
                    Some((dot, _)) if run.len() == RUN && *dot < end => {
                        next.counter = dot.counter + 1;
                    }
                    _ => break,
                }
            }
        }
        // Not merged but set: dots of rows that were withdrawn are told again when they come back.
        at.context = now;
        Ok(true)
    }

    /// Tells the rows that changed otherwise; whether there are no more.
    fn departures(&mut self, at: &mut Bookmark) -> Result<bool, StoreError> {
        loop {
            let run = self.view.departed(at.departures, self.range, RUN)?;
            for (place, key) in &run {
                if !self.told.contains(key) {
                    if !self.has_room() {
                        at.departures = *place;
                        return Ok(false);
                    }
                    let row = self.view.get(key)?.unwrap_or_default();
                    self.tell(key.clone(), row);
                }
            }
            match run.last() {
                Some((place, _)) if run.len() == RUN => at.departures = place.next(),
                _ => break,
            }
        }
        at.departures = departures::Place::after(self.view.commit());
        Ok(true)
    }

    /// The first live dots between two of a replica, inclusive, whose rows are in the range.
    fn dots_between(&self, first: Dot, last: Dot) -> Result<Vec<(Dot, RowKey)>, StoreError> {
        let mut run = Vec::new();
        let mut outcome = Ok(());
        self.view.visit_dots(first, last, |dot, key| {
            if !self.range.contains(key) {
                return ControlFlow::Continue(());
            }
            match format::read_row_key(key) {
                Ok(key) => run.push((dot, key)),
                Err(error) => {
                    outcome = Err(error);
                    return ControlFlow::Break(());
                }
            }
            match run.len() {
                RUN => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })?;
        outcome.map(|()| run)
    }

    fn has_room(&self) -> bool {
        self.max_bytes > 0 && self.max_rows > 0
    }

    fn tell(&mut self, key: RowKey, row: Row) {
        self.max_rows -= 1;
        self.max_bytes = self.max_bytes.saturating_sub(weight(&key, &row));
        self.told.insert(key.clone());
        self.rows.push((key, row));
    }
}

/// About what a row weighs in memory.
fn weight(key: &RowKey, row: &Row) -> usize {
    const SIBLING: usize = 48;
    let payloads: usize = row
        .iter()
        .map(|sibling| SIBLING + sibling.payload.len())
        .sum();
    key.as_bytes().len() + payloads
}
