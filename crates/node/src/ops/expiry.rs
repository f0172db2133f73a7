//! Deadlines of keys: what they hide, and how they are set.
//!
//! A deadline is a row of its key. It hides the key by this node's clock and writes nothing; see
//! [`syncline_crdt::expiry`] for what makes that safe.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline_crdt::expiry::{self, Deadline};
use syncline_crdt::{RowKey, cell};

use super::key;
use crate::error::Error;
use crate::rows::{ReadRows, WriteRows};

/// When a deadline is to be set, by the one that the key has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExpireIf {
    /// In any case.
    #[default]
    Always,
    /// Only if the key has none.
    Absent,
    /// Only if the key has one.
    Present,
    /// Only to put it off. A key without a deadline has the latest of all.
    Later,
    /// Only to bring it forward.
    Sooner,
}

impl ExpireIf {
    fn admits(self, now: Deadline, new: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => now.is_none(),
            Self::Present => now.is_some(),
            Self::Later => now.is_some_and(|now| new > now),
            Self::Sooner => now.is_none_or(|now| new < now),
        }
    }
}

/// The deadline in force of a key, whatever else there is of it; `None` where there is not even "no deadline".
fn in_force<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<Option<Deadline>, Error> {
    if !rows.has_deadlines()? {
        return Ok(None);
    }
    let row = rows.row(&RowKey::deadline(key))?;
    if row.is_empty() {
        return Ok(None);
    }
    let set = cell::winning_set(&rows.row(&RowKey::cell(key))?);
    Ok(expiry::in_force(&expiry::read(&row), set).map(|sibling| sibling.payload))
}

/// The deadline that a reader of the key's rows is to hold against its clock, whatever it shows.
pub(crate) fn stored<S: ReadRows + ?Sized>(
    rows: &S,
    key: &[u8],
) -> Result<Option<SystemTime>, Error> {
    let deadline = in_force(rows, key)?.flatten();
    // What is too far away for the system's clock is as good as none.
    Ok(deadline.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_millis(at))))
}

/// Whether the key's deadline has passed, by the clock of these rows.
pub(crate) fn is_hidden<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<bool, Error> {
    let deadline = in_force(rows, key)?.flatten();
    Ok(deadline.is_some_and(|deadline| deadline <= rows.now_ms()))
}

/// Before a write that gives a key something to show: where it showed nothing, its rows and deadlines of before go, so that
/// it begins anew.
pub(crate) fn begin<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &[u8],
    is_shown: bool,
) -> Result<(), Error> {
    if is_shown || !rows.has_deadlines()? {
        return Ok(());
    }
    let deadline = RowKey::deadline(key);
    // Without a deadline there is nothing hidden, and what shows nothing otherwise stays.
    if !rows.row(&deadline)?.is_empty() {
        key::clear_rows(rows, key::rows_of(key), usize::MAX)?;
    }
    Ok(())
}

/// The deadline of a key that shows something.
pub(crate) fn deadline<S: ReadRows + ?Sized>(
    rows: &S,
    key: &[u8],
) -> Result<Option<SystemTime>, Error> {
    if key::kind(rows, key)?.is_none() {
        return Ok(None);
    }
    stored(rows, key)
}

/// Has a key that shows something expire; whether that was done.
pub(crate) fn expire_at<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &[u8],
    at_ms: u64,
    condition: ExpireIf,
) -> Result<bool, Error> {
    if key::kind(rows, key)?.is_none() {
        return Ok(false);
    }
    let now = in_force(rows, key)?.flatten();
    if !condition.admits(now, at_ms) {
        return Ok(false);
    }
    write(rows, key, Some(at_ms))?;
    Ok(true)
}

/// Takes the deadline of a key back; whether it had one.
pub(crate) fn persist<S: WriteRows + ?Sized>(rows: &mut S, key: &[u8]) -> Result<bool, Error> {
    if key::kind(rows, key)?.is_none() || in_force(rows, key)?.flatten().is_none() {
        return Ok(false);
    }
    // "None" has to be there to win over a deadline that is set elsewhere meanwhile.
    write(rows, key, None)?;
    Ok(true)
}

/// Writes a value as `put` does, and keeps the deadline of what it replaces: written again, after the value, since one
/// that is stamped before does not apply to it.
pub(crate) fn put_keeping<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &[u8],
    value: &[u8],
) -> Result<(), Error> {
    let kept = match key::kind(rows, key)? {
        Some(_) => in_force(rows, key)?.flatten(),
        None => None,
    };
    key::put(rows, key, value)?;
    match kept {
        Some(_) => write(rows, key, kept),
        None => Ok(()),
    }
}

fn write<S: WriteRows + ?Sized>(rows: &mut S, key: &[u8], deadline: Deadline) -> Result<(), Error> {
    rows.put_row(&RowKey::deadline(key), expiry::to_bytes(deadline))
}

/// Unix milliseconds; a time before 1970 counts as 1970.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// So long after the time that it is now.
pub(crate) fn in_so_long<S: ReadRows + ?Sized>(rows: &S, span: Duration) -> u64 {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    rows.now_ms().saturating_add(span)
}
