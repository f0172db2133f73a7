//! The log of departures: rows that have changed without a dot that shows it.
//!
//! A row in which a new dot lives is found by the dot index. One that went, or lost a sibling,
//! shows nothing, so its key is logged with the commit that changed it, whatever the reason: a
//! removal of ours, a delta, a session, a withdrawal. Unlike the [removal log](crate::removals),
//! which is a hint for peers by the dots of removals, this one is of this store's commits, and
//! exact. It is bounded, and gives up the oldest commits first.

use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Canonical, Input, RowKey};
use syncline_merkle::KeyRange;

use crate::engine::{Batch, Direction, Engine, Snapshot, Table};
use crate::format::{self, DepartureState};
use crate::group::Mend;
use crate::{StoreError, View};

/// A place in the log: a commit, and which of its departures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) commit: u64,
    pub(crate) index: u32,
}

impl Place {
    /// Behind all departures of a commit and those before it.
    pub(crate) fn after(commit: u64) -> Self {
        Self {
            commit: commit.saturating_add(1),
            index: 0,
        }
    }

    pub(crate) fn next(self) -> Self {
        Self {
            index: self.index.saturating_add(1),
            ..self
        }
    }
}

/// Departures in one entry of the log.
const ENTRY_KEYS: usize = 128;

/// Writes the departures of a commit, ascending keys, and takes out what is over the bound.
pub(crate) fn write<'k, E: Engine>(
    base: &View<E>,
    commit: u64,
    departed: impl Iterator<Item = &'k RowKey>,
    batch: &mut Batch,
) -> Result<DepartureState, StoreError> {
    let mut log = base.head.departures;
    let max_bytes = base.shared.departure_bytes;
    let departed: Vec<&RowKey> = departed.collect();
    if departed.is_empty() {
        return Ok(log);
    }
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for (number, keys) in departed.chunks(ENTRY_KEYS).enumerate() {
        // A transaction cannot have as many rows as would not fit.
        let first = u32::try_from(number * ENTRY_KEYS).unwrap_or(u32::MAX);
        let key = format::departures_key(Place {
            commit,
            index: first,
        });
        let value = pack(keys);
        bytes += (key.len() + value.len()) as u64;
        entries.push((key, value));
        if bytes > max_bytes {
            break;
        }
    }
    // Of more than it can hold, nothing need be written.
    let fits = bytes <= max_bytes;
    let mut keep_from = log.floor + 1;
    let mut left = log.bytes + if fits { bytes } else { 0 };
    let target = if fits { max_bytes } else { 0 };
    let first = format::departures_key(Place {
        commit: keep_from,
        index: 0,
    });
    let end = [format::DEPARTURES + 1];
    let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
    if left > target {
        base.snapshot.visit(
            Table::Removals,
            bounds,
            Direction::Forward,
            &mut |key, value| {
                let Some(place) = format::read_departures_key(key) else {
                    return ControlFlow::Continue(());
                };
                // Commits go as a whole.
                if left <= target && place.commit >= keep_from {
                    return ControlFlow::Break(());
                }
                keep_from = place.commit + 1;
                left = left.saturating_sub((key.len() + value.len()) as u64);
                batch.remove(Table::Removals, key);
                ControlFlow::Continue(())
            },
        )?;
    }
    if fits {
        for (key, value) in &entries {
            batch.put(Table::Removals, key, value);
        }
    } else {
        (keep_from, left) = (commit + 1, 0);
    }
    log.floor = keep_from - 1;
    log.bytes = left;
    batch.put(Table::Removals, &[format::DEPARTURES], &log.to_bytes());
    Ok(log)
}

/// Empties the log, where it cannot be believed: whoever watches from a bookmark of before has to
/// begin anew. What is of no part of the table goes, too.
pub(crate) fn forget<E: Engine>(base: &View<E>, mend: &mut Mend) -> Result<(), StoreError> {
    let first = [format::DEPARTURES];
    let log = (Bound::Included(&first[..]), Bound::Unbounded);
    let direction = Direction::Forward;
    base.snapshot
        .visit(Table::Removals, log, direction, &mut |key, _| {
            mend.batch.remove(Table::Removals, key);
            ControlFlow::Continue(())
        })?;
    mend.head.departures = DepartureState {
        floor: base.head.state.commits + 1,
        bytes: 0,
    };
    let state = mend.head.departures.to_bytes();
    mend.batch.put(Table::Removals, &first, &state);
    Ok(())
}

impl<E: Engine> View<E> {
    /// The first departures in a range from a place on, at most `limit`.
    pub(crate) fn departed(
        &self,
        from: Place,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Place, RowKey)>, StoreError> {
        let mut found = Vec::new();
        let mut outcome = Ok(());
        // The entry that has the place begins at most this much before it.
        let first = Place {
            index: from.index.saturating_sub(ENTRY_KEYS as u32 - 1),
            ..from
        };
        self.visit_departures(first, |mut place, value| {
            let read = unpack(value, |key| {
                if place >= from && range.contains(key) {
                    found.push((place, format::read_row_key(key)?));
                }
                place = place.next();
                Ok(found.len() < limit)
            });
            outcome = read;
            match (&outcome, found.len() < limit) {
                (Ok(()), true) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        outcome.map(|()| found)
    }

    /// Shows the entries from a place on to `visitor`, until it breaks off.
    fn visit_departures(
        &self,
        from: Place,
        mut visitor: impl FnMut(Place, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (first, end) = (format::departures_key(from), [format::DEPARTURES + 1]);
        let bounds = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        let mut outcome = Ok(());
        self.snapshot.visit(
            Table::Removals,
            bounds,
            Direction::Forward,
            &mut |key, value| match format::read_departures_key(key) {
                Some(place) => visitor(place, value),
                None => {
                    outcome = Err(unreadable());
                    ControlFlow::Break(())
                }
            },
        )?;
        outcome
    }

    /// Whether the log holds as much as it is said to, and all of it can be read.
    pub(crate) fn departures_are_sound(&self) -> Result<bool, StoreError> {
        let DepartureState { floor, bytes } = self.head.departures;
        let (mut is_sound, mut counted) = (true, 0);
        let all = Place {
            commit: 0,
            index: 0,
        };
        let mut next = all;
        let read = self.visit_departures(all, |place, value| {
            is_sound &= place.commit > floor && place.commit <= self.commit();
            is_sound &= place == next || (place > next && place.index == 0);
            counted += (format::departures_key(place).len() + value.len()) as u64;
            next = place;
            let keys = unpack(value, |key| {
                next = next.next();
                format::read_row_key(key).map(|_| true)
            });
            is_sound &= keys.is_ok();
            ControlFlow::Continue(())
        });
        match read {
            Err(StoreError::DamagedTable { .. }) => Ok(false),
            read => read.map(|()| is_sound && counted == bytes),
        }
    }
}

fn unreadable() -> StoreError {
    StoreError::DamagedTable {
        table: Table::Removals.name(),
        detail: "an entry of the log of departures cannot be read",
    }
}

/// Ascending keys, each as the length of what it has in common with the one before it, the length
/// of the rest, and the rest.
fn pack(keys: &[&RowKey]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut before: &[u8] = b"";
    for key in keys {
        let key = key.as_bytes();
        let common = key.iter().zip(before).take_while(|(a, b)| a == b).count();
        (common as u64).encode(&mut packed);
        ((key.len() - common) as u64).encode(&mut packed);
        packed.extend_from_slice(&key[common..]);
        before = key;
    }
    packed
}

/// Shows each key to `visitor`, as long as it wants more.
fn unpack(
    packed: &[u8],
    mut visitor: impl FnMut(&[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut input = Input::new(packed);
    let mut key = Vec::new();
    let length = |input: &mut Input<'_>| {
        let length = u64::decode(input).map_err(|_| unreadable())?;
        usize::try_from(length).map_err(|_| unreadable())
    };
    while input.remaining() > 0 {
        let common = length(&mut input)?;
        if common > key.len() {
            return Err(unreadable());
        }
        let rest = length(&mut input)?;
        key.truncate(common);
        key.extend_from_slice(input.take(rest).map_err(|_| unreadable())?);
        if !visitor(&key)? {
            break;
        }
    }
    Ok(())
}
