//! The numeric cell as the rows hold it: values and map fields, both of which count.

pub(crate) use syncline_crdt::cell::is_visible;
use syncline_crdt::cell::{self, AddError, Cell, Increment, Value};
use syncline_crdt::limits::MAX_VALUE;
use syncline_crdt::{Context, Decimal, ReplicaId, Row, RowKey, Score, Sibling, Siblings, score};
use syncline_store::{Remnant, StoreError};

use crate::error::Error;
use crate::registers::{self, Registers};
use crate::rows::{ReadRows, WriteRows};

/// The value as bytes; a number in its shortest decimal form.
pub(crate) fn bytes<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
) -> Result<Option<Vec<u8>>, Error> {
    bytes_of(rows.registers(), key, &rows.row(key)?)
}

/// As [`bytes`], of a row already read.
pub(crate) fn bytes_of(
    registers: &Registers,
    key: &RowKey,
    row: &Row,
) -> Result<Option<Vec<u8>>, Error> {
    let cell = readable(key, row)?;
    match Shown::of(registers, &cell) {
        Shown::Winner => Ok(read(&cell)),
        Shown::Chosen(value) => Ok(read_as_if(&cell, value)),
        Shown::All(siblings) => Err(Error::Conflict {
            key: key.user_key(),
            siblings,
        }),
    }
}

/// As [`bytes`], of a row already read, with every sibling where all are to be shown.
pub(crate) fn all_bytes_of(
    registers: &Registers,
    key: &RowKey,
    row: &Row,
) -> Result<Vec<Vec<u8>>, Error> {
    let cell = readable(key, row)?;
    let seen = match Shown::of(registers, &cell) {
        Shown::Winner => read(&cell).into_iter().collect(),
        Shown::Chosen(value) => read_as_if(&cell, value).into_iter().collect(),
        Shown::All(siblings) => siblings
            .into_iter()
            .filter_map(|it| read_as_if(&cell, it.payload))
            .collect(),
    };
    Ok(seen)
}

/// What of a cell's values a reader is to see.
enum Shown {
    Winner,
    Chosen(Vec<u8>),
    All(Vec<registers::Sibling>),
}

impl Shown {
    fn of(registers: &Registers, cell: &Siblings<Cell>) -> Self {
        match registers {
            Registers::LastWriter => Self::Winner,
            Registers::AllSiblings => in_conflict(cell).map_or(Self::Winner, Self::All),
            Registers::Resolve(resolver) => {
                in_conflict(cell).map_or(Self::Winner, |siblings| Self::Chosen(resolver(&siblings)))
            }
        }
    }
}

fn read(cell: &Siblings<Cell>) -> Option<Vec<u8>> {
    cell::read(cell).map(|value| match value {
        Value::Bytes(bytes) => bytes,
        Value::Integer(sum) => saturated(sum).to_string().into_bytes(),
        Value::Decimal(sum) => within(sum).to_string().into_bytes(),
    })
}

/// What the cell would read as if this value had been written in place of all those in conflict: what was added to them
/// unobserved still counts.
fn read_as_if(cell: &Siblings<Cell>, chosen: Vec<u8>) -> Option<Vec<u8>> {
    let mut chosen = Some(chosen);
    read(&cell.map(|payload| match payload {
        Cell::Base {
            value: Some(_),
            baselines,
        } => Cell::Base {
            value: chosen.take(),
            baselines: baselines.clone(),
        },
        other => other.clone(),
    }))
}

/// The value as an integer.
pub(crate) fn integer<S: ReadRows + ?Sized>(rows: &S, key: &RowKey) -> Result<Option<i64>, Error> {
    match cell::read(&readable(key, &rows.row(key)?)?) {
        None => Ok(None),
        Some(Value::Integer(sum)) => Ok(Some(saturated(sum))),
        Some(Value::Decimal(_)) => Err(not_an_integer(key)),
        Some(Value::Bytes(_)) => Err(not_a_number(key)),
    }
}

/// The value as a number, in whatever form it was written.
pub(crate) fn decimal<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
) -> Result<Option<Decimal>, Error> {
    match cell::read(&readable(key, &rows.row(key)?)?) {
        None => Ok(None),
        Some(Value::Integer(sum)) => Ok(Some(saturated(sum).into())),
        Some(Value::Decimal(sum)) => Ok(Some(within(sum))),
        Some(Value::Bytes(text)) => {
            let number = cell::parse_decimal(&text).ok_or_else(|| not_a_number(key))?;
            Ok(Some(number))
        }
    }
}

/// The value as the score of a member; nothing where it was set to what is none.
pub(crate) fn score<S: ReadRows + ?Sized>(rows: &S, key: &RowKey) -> Result<Option<Score>, Error> {
    score_of(key, &rows.row(key)?)
}

/// As [`score`](fn@score), of a row already read.
pub(crate) fn score_of(key: &RowKey, row: &Row) -> Result<Option<Score>, Error> {
    Ok(score::read(&readable(key, row)?))
}

fn not_a_number(key: &RowKey) -> Error {
    Error::NotANumber {
        key: key.user_key(),
    }
}

fn not_an_integer(key: &RowKey) -> Error {
    Error::NotAnInteger {
        key: key.user_key(),
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

/// Adds to the integer and returns what it then is.
pub(crate) fn add<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    by: i64,
) -> Result<i64, Error> {
    write_increment(rows, key, |observed, replica| {
        cell::add(observed, replica, by)
    })?;
    Ok(integer(rows, key)?.unwrap_or_default())
}

/// Adds to the number and returns what it then is.
pub(crate) fn add_decimal<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    by: Decimal,
) -> Result<Decimal, Error> {
    write_increment(rows, key, |observed, replica| {
        cell::add_decimal(observed, replica, by)
    })?;
    Ok(decimal(rows, key)?.unwrap_or_default())
}

/// Adds to the score and returns what it then is.
pub(crate) fn add_score<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    by: Decimal,
) -> Result<Score, Error> {
    write_increment(rows, key, |observed, replica| {
        score::add(observed, replica, by)
    })?;
    score(rows, key)?.ok_or_else(|| not_a_number(key))
}

fn write_increment<S: WriteRows + ?Sized>(
    rows: &mut S,
    key: &RowKey,
    increment: impl FnOnce(&Siblings<Cell>, ReplicaId) -> Result<Increment, AddError>,
) -> Result<(), Error> {
    let observed = readable(key, &rows.row(key)?)?;
    let replica = rows.replica()?;
    let increment = increment(&observed, replica).map_err(|error| match error {
        AddError::Overflow => Error::Overflow {
            key: key.user_key(),
        },
        AddError::NotAnInteger => not_an_integer(key),
        _ => not_a_number(key),
    })?;
    rows.put_row_superseding(key, increment.cell.to_bytes(), &increment.supersedes)
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
            rows.put_remnant(key, remnant.to_bytes())?;
            Ok(true)
        }
    }
}

/// What a removal of all that had been `observed` comes to in a row: whether a reader saw any of that, and what must stay.
/// That is the remnant of contributions, as [`clear`] leaves it. A contribution goes by its name: what it has grown since goes
/// with it, because the sum that had been observed is gone.
pub(crate) fn clear_observed(row: &Row, observed: &Context) -> (bool, Option<Remnant>) {
    let Some(cell) = decode(row) else {
        return (row.dots().any(|dot| observed.contains(&dot)), None);
    };
    let was_observed = |sibling: &&Sibling<Cell>| match &sibling.payload {
        Cell::Contribution {
            name: Some(name), ..
        } => observed.contains(name),
        _ => observed.contains(&sibling.dot),
    };
    let part: Siblings<Cell> = cell.iter().filter(was_observed).cloned().collect();
    let remnant = match cell::assign(&part, None) {
        Cell::Base { baselines, .. } if baselines.is_empty() => None,
        remnant => Some(Remnant {
            payload: remnant.to_bytes(),
            superseded: part.dots().collect(),
        }),
    };
    (cell::read(&part).is_some(), remnant)
}

/// The values written without knowledge of each other, the winner first.
pub(crate) fn siblings<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
) -> Result<Vec<Vec<u8>>, Error> {
    let siblings = written(&readable(key, &rows.row(key)?)?);
    Ok(siblings.into_iter().map(|it| it.payload).collect())
}

/// The values in conflict in a row, the winner first; `None` where there are not several. What a newer version wrote is
/// passed over.
pub(crate) fn conflict(row: &Row) -> Option<Vec<registers::Sibling>> {
    // Nearly every row has one sibling, and need not be decoded.
    (row.len() > 1).then(|| in_conflict(&decodable(row)))?
}

fn in_conflict(cell: &Siblings<Cell>) -> Option<Vec<registers::Sibling>> {
    let siblings = written(cell);
    (siblings.len() > 1).then_some(siblings)
}

/// The values that were set, the winner's first.
fn written(cell: &Siblings<Cell>) -> Vec<registers::Sibling> {
    let value_of = |sibling: &Sibling<Cell>| match &sibling.payload {
        Cell::Base {
            value: Some(value), ..
        } => Some(Sibling {
            dot: sibling.dot,
            stamp: sibling.stamp,
            payload: value.clone(),
        }),
        _ => None,
    };
    let mut values: Vec<_> = cell.iter().filter_map(value_of).collect();
    values.sort_by_key(|it| core::cmp::Reverse((it.stamp, it.dot)));
    values
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

/// As [`saturated`].
fn within(sum: Decimal) -> Decimal {
    sum.clamp(i64::MIN.into(), i64::MAX.into())
}
