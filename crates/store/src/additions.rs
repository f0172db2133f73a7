//! What a peer has not seen, by way of the dot index: additions and overwrites cost no search.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use syncline_crdt::{Context, Dot, Family, Row, RowKey};

use crate::engine::Engine;
use crate::view::damaged;
use crate::{StoreError, View};

/// Rows that hold dots which a peer has not seen, in dot order: an answer of [`View::lacking`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Whole rows, live siblings that the peer knows included.
    pub rows: Vec<(RowKey, Row)>,
    /// Every dot that was asked for, up to and including this one, is in the rows of this answer or
    /// of those before, or what has replaced it is, or it is gone for good. `None` until there was
    /// one.
    pub frontier: Option<Dot>,
    /// Whether there are no more.
    pub complete: bool,
}

impl<E: Engine> View<E> {
    /// The rows in which dots are live here that are not in `peer`, in the order of these dots, from
    /// the one after `after` on; each row as it is `now`.
    ///
    /// This view is of the session's beginning, and its context what the peer is told; `peer` is the
    /// other's as of theirs. A row is given at its first such dot, and once more if it is written
    /// meanwhile. Ends after `max_rows` rows, or as soon as they take `max_bytes`, but never without
    /// a row while there is one. Continue with `after` set to the frontier, on the same view with
    /// the same or a later `now`.
    ///
    /// When it is complete, and the rows have arrived, the receiver may merge all of this view's
    /// context; before that, the part of it [up to](Context::up_to) the frontier.
    ///
    /// A dot that was overwritten since the beginning is dead in the context that the receiver
    /// merges. So its row is given with what has replaced it: a receiver that learned of the end of
    /// a value, and not of the new one, would carry the end to others that hold the value, and
    /// should we be lost for good, there would be neither.
    ///
    /// The deadline of a key comes before the key's other rows, and then not once more in one answer.
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
    /// let additions = view.lacking(&here.view()?, there.view()?.context(), None, 1 << 20, 1000)?;
    /// assert!(additions.complete);
    /// there.join(Incoming { rows: additions.rows, learned: start.clone(), ..Incoming::from_peer(start) }, Durability::Durable)?;
    /// assert_eq!(there.view()?.root()?, view.root()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`] when rows were withdrawn between this view and `now`: the session
    /// must begin anew, because a receiver that merged our context would take the withdrawn rows
    /// for removed. [`StoreError::Damaged`] for a row that fails its checksum or is not what the
    /// index says; withdraw it.
    pub fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
        max_rows: usize,
    ) -> Result<Additions, StoreError> {
        let start = self.context();
        if self.withdrawals() != now.withdrawals() {
            return Err(StoreError::Withdrawn);
        }
        let mut additions = Additions {
            frontier: after,
            ..Additions::default()
        };
        let has_deadlines = now.has_deadlines()?;
        let mut ahead = BTreeSet::new();
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
                    let row = now.get(key)?.unwrap_or_default();
                    let unseen = |dot: &Dot| !peer.contains(dot);
                    let is_due = match row.get(dot) {
                        Some(_) => {
                            let wanted = |dot: &Dot| start.contains(dot) && unseen(dot);
                            row.dots().find(wanted) == Some(*dot)
                        }
                        // It was dropped since, or was never there.
                        None => {
                            let listed = self.get(key)?.is_some_and(|row| row.get(dot).is_some());
                            if !listed {
                                return Err(damaged(key));
                            }
                            row.dots().any(|dot| unseen(&dot))
                        }
                    };
                    if is_due && !ahead.contains(key) {
                        if let Some((deadline, row)) =
                            now.deadline_ahead(key, peer, has_deadlines)?
                            && ahead.insert(deadline.clone())
                        {
                            room.take(&deadline, &row);
                            additions.rows.push((deadline, row));
                        }
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

    /// The deadline of a row's key, if the peer has not seen it. It is told before the key's other
    /// rows: with a deadline that has been replaced, and the row that came after it, the key would be
    /// hidden, and a write to it would begin it anew.
    fn deadline_ahead(
        &self,
        key: &RowKey,
        peer: &Context,
        has_deadlines: bool,
    ) -> Result<Option<(RowKey, Row)>, StoreError> {
        if !has_deadlines || key.family() == Family::DEADLINE {
            return Ok(None);
        }
        let deadline = RowKey::deadline(&key.user_key());
        let row = self.get(&deadline)?;
        let row = row.filter(|row| row.dots().any(|dot| !peer.contains(&dot)));
        Ok(row.map(|row| (deadline, row)))
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
        self.max_rows = self.max_rows.saturating_sub(1);
    }
}
