//! What a peer has not seen, by way of the dot index: additions and overwrites cost no search.

use std::ops::ControlFlow;

use syncline_crdt::{Context, Dot, Row, RowKey};

use crate::engine::Engine;
use crate::view::damaged;
use crate::{StoreError, View};

/// Rows that hold dots which a peer has not seen, in dot order: an answer of [`View::lacking`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Whole rows, live siblings that the peer knows included.
    pub rows: Vec<(RowKey, Row)>,
    /// Every live dot of the start context that the peer lacks, up to and including this one, is in
    /// the rows of this answer or of those before. `None` until there was one.
    pub frontier: Option<Dot>,
    /// Whether there are no more.
    pub complete: bool,
}

impl<E: Engine> View<E> {
    /// The rows with dots that are in `start` and not in `peer`, in dot order, from the dot after
    /// `after` on.
    ///
    /// `start` is our context as of the session's beginning, `peer` the other's as of theirs. A row
    /// is given at its first such dot only. Ends after `max_rows` rows, or as soon as they take
    /// `max_bytes`, but never without a row while there is one. Continue with `after` set to the
    /// frontier, on this view or a later one.
    ///
    /// When it is complete, and the rows have arrived, the receiver may merge all of `start`;
    /// before that, [`start.up_to(frontier)`](Context::up_to).
    ///
    /// Costs a seek for each interval of the difference, and a look-up for each dot in it that is
    /// live; the size of the store does not matter.
    ///
    /// ```
    /// use syncline_crdt::{Context, RowKey};
    /// use syncline_store::{Config, Durability, Incoming, MemoryEngine, Store, StoreError};
    ///
    /// let here = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// let there = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// here.transact(Durability::Durable, |txn| txn.put(&RowKey::cell(b"name"), b"Ada".to_vec()))?;
    ///
    /// let view = here.view()?;
    /// let start = view.context();
    /// let additions = view.lacking(there.view()?.context(), start, None, 1 << 20, 1000)?;
    /// assert!(additions.complete);
    /// there.join(Incoming { rows: additions.rows, learned: start.clone(), ..Incoming::from_peer(start) }, Durability::Durable)?;
    /// assert_eq!(there.view()?.root()?, view.root()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`] when `start` claims dots that were withdrawn since: the session
    /// must begin anew, because a receiver that merged `start` would take the withdrawn rows for
    /// removed. [`StoreError::Damaged`] for a row that fails its checksum or is not what the index
    /// says; withdraw it.
    pub fn lacking(
        &self,
        peer: &Context,
        start: &Context,
        after: Option<Dot>,
        max_bytes: usize,
        max_rows: usize,
    ) -> Result<Additions, StoreError> {
        if !self.context().covers(start) {
            return Err(StoreError::Withdrawn);
        }
        let mut additions = Additions {
            frontier: after,
            ..Additions::default()
        };
        let mut room = Room {
            max_bytes: max_bytes.max(1),
            max_rows: max_rows.max(1),
        };
        for (replica, first, last) in start.difference(peer).intervals() {
            let interval_end = Dot::new(replica, last);
            if after.is_some_and(|after| interval_end <= after) {
                continue;
            }
            let mut next = Dot::new(replica, first);
            if let Some(after) = after.filter(|after| *after >= next) {
                next.counter = after.counter + 1;
            }
            // Read in runs of keys, so that no row is read inside the visit of the index.
            loop {
                let run = self.dots_between(next, interval_end)?;
                for (dot, key) in &run {
                    if !room.is_left() {
                        return Ok(additions);
                    }
                    let row = self.get(key)?.ok_or_else(|| damaged(key))?;
                    if row.get(dot).is_none() {
                        return Err(damaged(key));
                    }
                    let wanted = |dot: &Dot| start.contains(dot) && !peer.contains(dot);
                    if row.dots().find(wanted) == Some(*dot) {
                        room.take(key, &row);
                        additions.rows.push((key.clone(), row));
                    }
                    additions.frontier = Some(*dot);
                }
                match run.last() {
                    Some((dot, _)) if run.len() == RUN && *dot < interval_end => {
                        next.counter = dot.counter + 1
                    }
                    _ => break,
                }
            }
        }
        additions.complete = true;
        Ok(additions)
    }

    /// The first live dots between two of a replica, inclusive, with their rows' keys; [`RUN`] at
    /// most.
    fn dots_between(&self, first: Dot, last: Dot) -> Result<Vec<(Dot, RowKey)>, StoreError> {
        let mut run = Vec::new();
        let mut outcome = Ok(());
        self.visit_dots(first, last, |dot, key| {
            match crate::format::read_row_key(key) {
                Ok(key) => {
                    run.push((dot, key));
                    if run.len() < RUN {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        outcome.map(|()| run)
    }
}

/// How many entries of the dot index are read at once.
const RUN: usize = 256;

/// What an answer may still take.
struct Room {
    max_bytes: usize,
    max_rows: usize,
}

impl Room {
    fn is_left(&self) -> bool {
        self.max_bytes > 0 && self.max_rows > 0
    }

    fn take(&mut self, key: &RowKey, row: &Row) {
        // About what the canonical encoding takes.
        const SIBLING: usize = 30;
        let payloads: usize = row
            .iter()
            .map(|sibling| SIBLING + sibling.payload.len())
            .sum();
        self.max_bytes = self
            .max_bytes
            .saturating_sub(key.as_bytes().len() + payloads);
        self.max_rows -= 1;
    }
}
