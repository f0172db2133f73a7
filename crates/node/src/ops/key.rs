//! What a whole key is and how it goes away, whatever is stored under it.

use syncline_crdt::{Context, Family, Row, RowKey};
use syncline_merkle::{KeyRange, after};
use syncline_store::Remnant;

use super::{cell, expiry};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{ReadRows, WriteRows};

/// Every row of `key`, of all kinds.
pub(crate) fn rows_of(key: &[u8]) -> KeyRange {
    KeyRange::prefix(&RowKey::key_prefix(key))
}

/// The rows of one kind under `key`.
pub(crate) fn family_of(key: &[u8], family: Family) -> KeyRange {
    KeyRange::prefix(&RowKey::family_prefix(key, family))
}

/// What one row makes its key show; `None` for rows that show nothing, such as the remnant of a deleted counter.
pub(crate) fn shown_by(key: &RowKey, row: &Row) -> Option<Kind> {
    match key.family() {
        Family::CELL => cell::is_visible(row).then_some(Kind::Value),
        Family::FIELD => cell::is_visible(row).then_some(Kind::Map),
        Family::MEMBER => Some(Kind::Set),
        Family::SCORE => cell::is_visible(row).then_some(Kind::SortedSet),
        Family::DEADLINE => None,
        _ => Some(Kind::Unknown),
    }
}

/// What `key` shows. Families are ordered as kinds are, so the first row with something to show decides.
pub(crate) fn kind<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<Option<Kind>, Error> {
    match held(rows, key)? {
        Some(kind) => Ok((!expiry::is_hidden(rows, key)?).then_some(kind)),
        None => Ok(None),
    }
}

/// What `key` shows, or would if its deadline had not passed.
pub(crate) fn held<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<Option<Kind>, Error> {
    let mut range = rows_of(key);
    // Mostly the first row tells; those before it that do not are remnants, and few.
    while let Some((row_key, row)) = rows.first_row(&range)? {
        if let Some(kind) = shown_by(&row_key, &row) {
            return Ok(Some(kind));
        }
        range.lower = after(row_key.as_bytes());
    }
    Ok(None)
}

/// Every kind that has something to show under `key`.
pub(crate) fn kinds<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<Vec<Kind>, Error> {
    let mut kinds = Vec::new();
    if expiry::is_hidden(rows, key)? {
        return Ok(kinds);
    }
    let mut range = rows_of(key);
    loop {
        let mut found = None;
        for entry in rows.rows(&range)? {
            let (row_key, row) = entry?;
            if let Some(kind) = shown_by(&row_key, &row) {
                found = Some((kind, row_key.family()));
                break;
            }
        }
        let Some((kind, family)) = found else {
            return Ok(kinds);
        };
        if kinds.last() != Some(&kind) {
            kinds.push(kind);
        }
        // On to the next family: one row shows the kind as well as a million.
        match family_of(key, family).upper {
            Some(next) => range.lower = next,
            None => return Ok(kinds),
        }
    }
}

/// Refuses an operation on a key that shows another kind, as Redis does. `Ok(false)` when the key shows nothing.
pub(crate) fn expect_kind<S: ReadRows + ?Sized>(
    rows: &S,
    key: &[u8],
    wanted: Kind,
) -> Result<bool, Error> {
    match kind(rows, key)? {
        None => Ok(false),
        Some(kind) if kind == wanted => Ok(true),
        Some(found) => Err(Error::WrongKind {
            key: key.to_vec(),
            found,
            wanted,
        }),
    }
}

/// The value that `key` shows.
pub(crate) fn get<S: ReadRows + ?Sized>(rows: &S, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let own = RowKey::cell(key);
    let row = rows.row(&own)?;
    // A value comes before all else, so what else there is need not be looked at.
    if !row.is_empty()
        && !expiry::is_hidden(rows, key)?
        && let Some(value) = cell::bytes_of(rows.registers(), &own, &row)?
    {
        return Ok(Some(value));
    }
    match expect_kind(rows, key, Kind::Value)? {
        true => cell::bytes_of(rows.registers(), &own, &row),
        false => Ok(None),
    }
}

/// Writes a value in place of everything observed under the key, of whatever kind.
pub(crate) fn put<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &[u8],
    value: &[u8],
) -> Result<(), Error> {
    let own = RowKey::cell(key);
    // Before the rest is cleared: a value that is refused has changed nothing.
    cell::assign(rows, &own, value)?;
    let mut others = rows_of(key);
    // Families are ordered and a cell has no field, so whatever follows the cell's row is of another kind.
    others.lower = after(own.as_bytes());
    clear_rows(rows, others, usize::MAX)?;
    Ok(())
}

/// Removes the value that `key` shows; `false` when it shows nothing.
pub(crate) fn clear_value<S: WriteRows + ?Sized>(rows: &mut S, key: &[u8]) -> Result<bool, Error> {
    if !expect_kind(rows, key, Kind::Value)? {
        return Ok(false);
    }
    let own = RowKey::cell(key);
    let row = rows.row(&own)?;
    cell::clear(rows, &own, &row)
}

/// What became of a removal that may be of more rows than one transaction should take.
#[derive(Debug, Default)]
pub(crate) struct Cleared {
    /// How many rows that a reader could see are gone.
    pub(crate) shown: u64,
    /// Where to go on, when the limit ended it.
    pub(crate) rest: Option<KeyRange>,
}

/// What a removal of all that had been `observed` comes to in a row of any kind: whether a reader saw any of that, and
/// what must stay.
pub(crate) fn clear_observed(
    key: &RowKey,
    row: &Row,
    observed: &Context,
) -> (bool, Option<Remnant>) {
    match key.family() {
        Family::CELL | Family::FIELD | Family::SCORE => cell::clear_observed(row, observed),
        _ => {
            let was_seen = row.dots().any(|dot| observed.contains(&dot));
            (was_seen && shown_by(key, row).is_some(), None)
        }
    }
}

/// Removes the rows of `range`, at most `limit` of them. What counters must remember stays, as remnants.
pub(crate) fn clear_rows<S: WriteRows + ?Sized>(
    rows: &mut S,
    mut range: KeyRange,
    limit: usize,
) -> Result<Cleared, Error> {
    /// Rows held in memory at a time.
    const PAGE: usize = 1024;
    let mut cleared = Cleared::default();
    let mut left = limit;
    loop {
        let size = PAGE.min(left);
        let page = rows
            .rows(&range)?
            .take(size)
            .collect::<Result<Vec<_>, _>>()?;
        for (key, row) in &page {
            cleared.shown += u64::from(clear_row(rows, key, row)?);
        }
        match page.last() {
            Some((last, _)) if page.len() == size => range.lower = after(last.as_bytes()),
            _ => return Ok(cleared),
        }
        left -= page.len();
        if left == 0 {
            cleared.rest = Some(range);
            return Ok(cleared);
        }
    }
}

/// Removes one row; says whether a reader could see it. An invisible row is left alone: removing it is not what anybody
/// asked for, and a remnant must stay.
fn clear_row<S: WriteRows + ?Sized>(rows: &mut S, key: &RowKey, row: &Row) -> Result<bool, Error> {
    match key.family() {
        Family::CELL | Family::FIELD | Family::SCORE => cell::clear(rows, key, row),
        Family::DEADLINE => rows.remove_row(key).map(|_| false),
        _ => rows.remove_row(key),
    }
}
