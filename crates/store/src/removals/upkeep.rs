//! How the removal log is kept: what groups add to it, and what it gives up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use syncline_crdt::{Context, Delta, Dot, RowKey};

use super::Removal;
use super::missing::{coarsened, spans, write_missing};
use super::ranges::{Written, taken_by};
use crate::engine::{Batch, Engine, Table};
use crate::format::{self, LogState};
use crate::staging::Staging;
use crate::{RangeRemoval, StoreError};

/// What a group adds to the log.
#[derive(Debug, Default)]
pub(crate) struct NewRemovals {
    rows: BTreeMap<Dot, BTreeSet<RowKey>>,
    ranges: Vec<RangeRemoval>,
    /// Dots that became known without the keys of what they may have removed.
    missing: Context,
    /// Dots all of whose removals were told, and of which that may not have been so before.
    told: Context,
}

impl NewRemovals {
    pub(crate) fn log(&mut self, removal: Removal) {
        self.rows
            .entry(removal.dot)
            .or_default()
            .insert(removal.key);
    }

    pub(crate) fn log_range(&mut self, removal: RangeRemoval) {
        self.ranges.push(removal);
    }

    /// Notes that `dead`, dots among those that have become known as `new`, may have removed rows,
    /// nobody knows which.
    pub(crate) fn miss(&mut self, new: &Context, dead: &Context) {
        let spans = spans(new, dead);
        if !self.told.is_empty() {
            self.told = self.told.difference(&spans);
        }
        self.missing.merge(&spans);
    }

    /// Notes that of these dots all removals have been logged.
    pub(crate) fn tell(&mut self, dots: &Context) {
        self.missing = self.missing.difference(dots);
        self.told.merge(dots);
    }

    /// The dots whose removals may be missing, where those of `before` were before the group.
    pub(crate) fn missing(&self, before: &Context) -> Context {
        let mut missing = before.difference(&self.told);
        missing.merge(&self.missing);
        missing
    }

    /// Whether a removal by the dot may be missing, where those of `before` were before the group.
    pub(crate) fn may_miss(&self, dot: &Dot, before: &Context) -> bool {
        self.missing.contains(dot) || before.contains(dot) && !self.told.contains(dot)
    }
}

/// What a delta says of removals: which rows of ours it removed, as far as it can be told by whom.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) removals: Vec<Removal>,
    /// The dots whose removals are all among these.
    pub(crate) logged: Context,
}

impl Told {
    /// `removed` are the rows of ours that hold dots of the delta's context, and that it has no row
    /// for.
    ///
    /// What is new in the delta's context and not live are its removals, and writes which it has
    /// superseded and that never came here. If these are of one replica, and no more than rows that
    /// went, they are the transaction's removals and no others, for each has a dot of its own. Which
    /// of them removed which row nothing tells; but whoever knows one mostly knows all. So the rows
    /// are logged under the last of the dots, whom those lack as well who know only the first.
    pub(crate) fn by(delta: &Delta, seen: &Context, removed: &[RowKey]) -> Self {
        let mut dead = delta.context().difference(seen);
        for dot in delta.rows().flat_map(|(_, row)| row.dots()) {
            dead.remove(dot);
        }
        let len = usize::try_from(dead.len()).unwrap_or(usize::MAX);
        if dead.replicas().count() != 1 || len > removed.len() {
            return Self::default();
        }
        let chunks = removed.chunks(ROWS_OF_A_DOT.max(removed.len().div_ceil(len)));
        let dots = dead
            .intervals()
            .flat_map(|(id, first, last)| (first..=last).map(move |at| Dot::new(id, at)));
        let removals = dots
            .skip(len - chunks.len())
            .zip(chunks)
            .flat_map(|(dot, keys)| {
                keys.iter().map(move |key| Removal {
                    dot,
                    key: key.clone(),
                })
            })
            .collect();
        Self {
            removals,
            logged: dead,
        }
    }
}

/// How many rows of a delta are logged under one dot, so that answers can end between dots.
const ROWS_OF_A_DOT: usize = 256;

/// How many entries of the log are read at once.
const RUN: usize = 256;

/// Writes the group's removals to the log, and takes out what is over its bounds. Entries that
/// cannot be read are passed over: a hint is not worth a failed commit.
///
/// Returns what the log then is, and what may be missing from it.
pub(crate) fn write<E: Engine>(
    staging: &Staging<E>,
    batch: &mut Batch,
) -> Result<(LogState, Arc<Context>), StoreError> {
    let base = &staging.base;
    let rows = &staging.removals.rows;
    let mut log = base.head.state.log;
    let mut missing = staging.removals.missing(&base.head.missing);
    let bounds = base.shared.removal_log;
    // Of more than it can hold, the first need not be written at all.
    let over = (rows.len() as u64).saturating_sub(bounds.removals) as usize;
    for dot in rows.keys().take(over) {
        missing.insert_range(dot.replica, 1, dot.counter);
    }
    let kept: BTreeMap<Dot, &BTreeSet<RowKey>> = rows
        .iter()
        .skip(over)
        .map(|(dot, keys)| (*dot, keys))
        .collect();
    let mut new = Vec::new();
    for (dot, keys) in &kept {
        let before = base.removed_by(*dot)?;
        if before.is_empty() {
            let place = format::log_key(log.end);
            batch.put(Table::Removals, &place, &format::dot_key(*dot));
            new.push((log.end, *dot));
            log.end += 1;
            log.bytes += format::LOG_LEN;
        }
        for key in keys.difference(&before) {
            let entry = format::removal_key(*dot, key.as_bytes());
            batch.put(Table::Removals, &entry, b"");
            log.bytes += entry.len() as u64;
        }
    }
    let mut written = Written::default();
    for removal in &staging.removals.ranges {
        let end = log.end;
        let lost = written.add(base, removal, &mut log, batch)?;
        missing.merge(&lost);
        if log.end > end
            && let Some(first) = removal.first()
        {
            new.push((end, first));
        }
    }
    let mut oldest = VecDeque::new();
    while log.end - log.start > bounds.removals || log.bytes > bounds.bytes {
        if oldest.is_empty() {
            base.visit_log(log.start, |place, dot| {
                oldest.push_back((place, dot));
                match oldest.len() {
                    RUN => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            })?;
            // What is logged now comes after all that was.
            if oldest.len() < RUN {
                oldest.extend(new.drain(..));
            }
        }
        let Some((place, dot)) = oldest.pop_front() else {
            // All that could be read is gone.
            (log.start, log.bytes) = (log.end, 0);
            break;
        };
        let mut keys = base.removed_by(dot)?;
        keys.extend(kept.get(&dot).into_iter().copied().flatten().cloned());
        for key in keys {
            let entry = format::removal_key(dot, key.as_bytes());
            batch.remove(Table::Removals, &entry);
            log.bytes = log.bytes.saturating_sub(entry.len() as u64);
        }
        if let Some(removal) = written.known(base, dot)? {
            batch.remove(Table::Removals, &format::range_key(dot));
            log.bytes = log.bytes.saturating_sub(taken_by(&removal));
            for (replica, _, last) in removal.dots.intervals() {
                missing.insert_range(replica, 1, last);
            }
        }
        batch.remove(Table::Removals, &format::log_key(place));
        log.bytes = log.bytes.saturating_sub(format::LOG_LEN);
        log.start = place + 1;
        missing.insert_range(dot.replica, 1, dot.counter);
    }
    let missing = coarsened(missing);
    if missing == *base.head.missing {
        return Ok((log, Arc::clone(&base.head.missing)));
    }
    write_missing(&base.head.missing, &missing, batch);
    Ok((log, Arc::new(missing)))
}
