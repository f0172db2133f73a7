//! The numeric cell as the rows hold it: values and map fields, both of which count.

use syncline_crdt::cell::{self, AddError, Cell, Value};
use syncline_crdt::limits::MAX_VALUE;
use syncline_crdt::{Row, RowKey, Sibling, Siblings};
use syncline_store::StoreError;

use crate::error::Error;
use crate::rows::{ReadRows, WriteRows};

/// Whether a reader sees anything in the row. What cannot be decoded is there, though not for us to read.
pub(crate) fn is_visible(row: &Row) -> bool {
    match decode(row) {
        Some(siblings) => cell::read(&siblings).is_some(),
        None => !row.is_empty(),
    }
}

/// The value as bytes; a number as its decimal digits.
pub(crate) fn bytes<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
) -> Result<Option<Vec<u8>>, Error> {
    bytes_of(key, &rows.row(key)?)
}

/// As [`bytes`], of a row already read.
pub(crate) fn bytes_of(key: &RowKey, row: &Row) -> Result<Option<Vec<u8>>, Error> {
    Ok(cell::read(&readable(key, row)?).map(|value| match value {
        Value::Bytes(bytes) => bytes,
        Value::Integer(sum) => saturated(sum).to_string().into_bytes(),
    }))
}

/// The value as a number.
pub(crate) fn integer<S: ReadRows + ?Sized>(rows: &S, key: &RowKey) -> Result<Option<i64>, Error> {
    match cell::read(&readable(key, &rows.row(key)?)?) {
        None => Ok(None),
        Some(Value::Integer(sum)) => Ok(Some(saturated(sum))),
        Some(Value::Bytes(_)) => Err(Error::NotANumber {
            key: key.user_key(),
        }),
    }
}

/// Writes a value in place of all that was observed, and remembers how much of each contribution that was. Refuses a
/// value over its limit; the store knows the limit of the whole payload alone.
pub(crate) fn assign<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    value: &[u8],
) -> Result<(), Error> {
    if value.len() > MAX_VALUE {
        let length = value.len();
        return Err(StoreError::ValueTooLarge { length }.into());
    }
    let observed = decodable(&rows.row(key)?);
    let cell = cell::assign(&observed, Some(value.to_vec()));
    rows.put_row(key, cell.to_bytes())
}

/// Adds to the number and returns what it then is.
pub(crate) fn add<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    by: i64,
) -> Result<i64, Error> {
    let observed = readable(key, &rows.row(key)?)?;
    let replica = rows.replica()?;
    let increment = cell::add(&observed, replica, by).map_err(|error| match error {
        AddError::Overflow => Error::Overflow {
            key: key.user_key(),
        },
        _ => Error::NotANumber {
            key: key.user_key(),
        },
    })?;
    rows.put_row_superseding(key, increment.cell.to_bytes(), &increment.supersedes)?;
    Ok(integer(rows, key)?.unwrap_or_default())
}

/// Removes what is there; `false` when a reader saw nothing. Contributions leave a remnant, everything else no row at
/// all: a contribution of another replica may still grow, and only what it has grown since may count.
pub(crate) fn clear<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    row: &Row,
) -> Result<bool, Error> {
    let Some(observed) = decode(row) else {
        return rows.remove_row(key);
    };
    if cell::read(&observed).is_none() {
        return Ok(false);
    }
    match cell::assign(&observed, None) {
        Cell::Base { baselines, .. } if baselines.is_empty() => rows.remove_row(key),
        remnant => {
            rows.put_row(key, remnant.to_bytes())?;
            Ok(true)
        }
    }
}

/// The values written without knowledge of each other, the winner first.
pub(crate) fn siblings<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
) -> Result<Vec<Vec<u8>>, Error> {
    let observed = readable(key, &rows.row(key)?)?;
    let mut values: Vec<_> = observed
        .iter()
        .filter_map(|sibling| match &sibling.payload {
            Cell::Base {
                value: Some(value), ..
            } => Some(((sibling.stamp, sibling.dot), value.clone())),
            _ => None,
        })
        .collect();
    values.sort_by_key(|(order, _)| core::cmp::Reverse(*order));
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// `None` when a newer version wrote some of it.
fn decode(row: &Row) -> Option<Siblings<Cell>> {
    row.try_map(|payload| Cell::from_bytes(payload)).ok()
}

fn readable(key: &RowKey, row: &Row) -> Result<Siblings<Cell>, Error> {
    decode(row).ok_or_else(|| Error::NewerEncoding {
        key: key.user_key(),
    })
}

/// What we can read of it: enough for a write that supersedes all of it anyway.
fn decodable(row: &Row) -> Siblings<Cell> {
    row.iter()
        .filter_map(|sibling| {
            Some(Sibling {
                dot: sibling.dot,
                stamp: sibling.stamp,
                payload: Cell::from_bytes(&sibling.payload).ok()?,
            })
        })
        .collect()
}

/// Sums are kept in 128 bits; where only a merge overflows, readers see the bound.
fn saturated(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}
