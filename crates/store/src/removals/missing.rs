//! Which removals the log may lack: dots as intervals, in memory with the head as the context is.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Context, Dot, ReplicaId};

use crate::engine::{Batch, Direction, EngineError, Snapshot, Table};
use crate::format;

/// How many intervals are told apart. Beyond, each replica has one, over all of its own.
const INTERVALS_MAX: usize = 1024;

/// The intervals of `new` that may hold a removal, each from the first to the last dot of it in
/// `dead`, which are some of them.
///
/// What lives in between is no removal. But every second dot of a bootstrap may live, and saying so
/// would take as many intervals.
pub(super) fn spans(new: &Context, dead: &Context) -> Context {
    let mut spans = Context::new();
    let mut dead = dead.intervals().peekable();
    for (replica, _, end) in new.intervals() {
        let mut span: Option<(u64, u64)> = None;
        while let Some((_, first, last)) =
            dead.next_if(|(id, first, _)| (*id, *first) <= (replica, end))
        {
            span = Some((span.map_or(first, |(from, _)| from), last));
        }
        if let Some((first, last)) = span {
            spans.insert_range(replica, first, last);
        }
    }
    spans
}

/// At most a bounded number of intervals that cover these, and one for each replica.
pub(super) fn coarsened(missing: Context) -> Context {
    if missing.interval_count() <= INTERVALS_MAX {
        return missing;
    }
    let mut hulls: BTreeMap<ReplicaId, (u64, u64)> = BTreeMap::new();
    for (replica, first, last) in missing.intervals() {
        hulls.entry(replica).or_insert((first, last)).1 = last;
    }
    let mut coarse = Context::new();
    for (replica, (first, last)) in hulls {
        coarse.insert_range(replica, first, last);
    }
    coarse
}

/// For who knows nothing of a log: any dot so far may be a removal's that it lacks.
pub(crate) fn all_up_to_the_last_of(context: &Context) -> Context {
    let mut all = Context::new();
    for (replica, _, last) in context.intervals() {
        all.insert_range(replica, 1, last);
    }
    all
}

/// Writes the rows that differ.
pub(super) fn write_missing(before: &Context, after: &Context, batch: &mut Batch) {
    let rows = |context: &Context| -> BTreeMap<Dot, u64> {
        context
            .intervals()
            .map(|(replica, first, last)| (Dot::new(replica, first), last))
            .collect()
    };
    let (before, after) = (rows(before), rows(after));
    for first in before.keys().filter(|first| !after.contains_key(first)) {
        batch.remove(Table::Removals, &format::missing_key(*first));
    }
    for (first, last) in &after {
        if before.get(first) != Some(last) {
            let key = format::missing_key(*first);
            batch.put(Table::Removals, &key, &last.to_be_bytes());
        }
    }
}

/// Writes all of it in place of whatever the table has.
pub(crate) fn rewrite_missing(
    snapshot: &impl Snapshot,
    missing: &Context,
    batch: &mut Batch,
) -> Result<(), EngineError> {
    visit(snapshot, |key, _| {
        batch.remove(Table::Removals, key);
        true
    })?;
    write_missing(&Context::new(), missing, batch);
    Ok(())
}

/// What the table has; nothing if that cannot be read.
pub(crate) fn read_missing(snapshot: &impl Snapshot) -> Result<Option<Context>, EngineError> {
    let mut missing = Context::new();
    let readable = visit(snapshot, |key, last| {
        format::read_missing(key, last, &mut missing).is_some()
    })?;
    Ok(readable.then_some(missing))
}

/// The same of a store of format 2.
pub(crate) fn read_floors(snapshot: &impl Snapshot) -> Result<Option<Context>, EngineError> {
    let mut missing = Context::new();
    let readable = visit(snapshot, |key, value| {
        let floor = format::read_floor(key, value);
        floor.inspect(|floor| missing.insert_range(floor.replica, 1, floor.counter));
        floor.is_some()
    })?;
    Ok(readable.then_some(missing))
}

/// Shows the rows of it to `visitor` as long as that returns true; returns whether it always did.
fn visit(
    snapshot: &impl Snapshot,
    mut visitor: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<bool, EngineError> {
    let mut readable = true;
    let (first, end) = ([format::MISSING], [format::MISSING + 1]);
    let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
    snapshot.visit(
        Table::Removals,
        bounds,
        Direction::Forward,
        &mut |key, value| {
            readable = visitor(key, value);
            match readable {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        },
    )?;
    Ok(readable)
}
