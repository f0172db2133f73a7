//! Walks over many rows at once: members, fields, keys, values.

use std::ops::{Bound, RangeBounds};

use syncline_crdt::{Family, Row, RowKey, score};
use syncline_merkle::{KeyRange, after};

use super::key::shown_by;
use super::{Entry, Scored, cell, expiry};
use crate::error::Error;
use crate::kind::Kind;
use crate::registers::Conflict;
use crate::rows::{Items, ReadRows};

/// One item of a walk, and what it takes to go on behind it in another walk.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) item: T,
    /// Roughly what the item weighs in memory.
    pub(crate) bytes: usize,
    /// The lower bound of what is left; `None` when more items of the same row follow.
    pub(crate) resume: Option<Vec<u8>>,
}

/// Only the items of a walk that nobody will resume.
pub(crate) fn items<'a, T: 'a>(found: Items<'a, Found<T>>) -> Items<'a, T> {
    Box::new(found.map(|found| found.map(|found| found.item)))
}

/// The members among the rows of a set.
pub(crate) fn members<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<Vec<u8>>>, Error> {
    let rows = rows.rows(range)?;
    Ok(Box::new(rows.map(|entry| {
        let (key, _) = entry?;
        let item = key.field_bytes().to_vec();
        Ok(Found {
            bytes: item.len(),
            item,
            resume: Some(after(key.as_bytes())),
        })
    })))
}

/// The fields with their values among the rows of a map.
pub(crate) fn fields<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<Entry>>, Error> {
    let entries = rows.rows(range)?;
    Ok(Box::new(entries.flat_map(|entry| {
        let found = entry.and_then(|(key, row)| {
            let values = cell::all_bytes_of(rows.registers(), &key, &row)?;
            let resume = after(key.as_bytes());
            Ok(entries_of(key.field_bytes().to_vec(), values, resume))
        });
        each(found)
    })))
}

/// An entry for each value of a field or key.
fn entries_of(name: Vec<u8>, mut values: Vec<Vec<u8>>, resume: Vec<u8>) -> Vec<Found<Entry>> {
    let Some(last) = values.pop() else {
        return Vec::new();
    };
    let entry = |name: Vec<u8>, value: Vec<u8>, resume| Found {
        bytes: name.len() + value.len(),
        item: (name, value),
        resume,
    };
    let mut found = Vec::with_capacity(values.len() + 1);
    found.extend(
        values
            .into_iter()
            .map(|value| entry(name.clone(), value, None)),
    );
    found.push(entry(name, last, Some(resume)));
    found
}

/// The items, or the one error.
fn each<T>(found: Result<Vec<T>, Error>) -> impl Iterator<Item = Result<T, Error>> {
    let (items, error) = match found {
        Ok(items) => (items, None),
        Err(error) => (Vec::new(), Some(Err(error))),
    };
    items.into_iter().map(Ok).chain(error)
}

/// The members with their scores among the rows of a sorted set, in the order of the members.
pub(crate) fn scores<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<Scored>>, Error> {
    let entries = rows.rows(range)?;
    Ok(Box::new(entries.filter_map(|entry| {
        let found = entry.map(|(key, row)| {
            let member = key.field_bytes().to_vec();
            score::of_row(&row).map(|score| Found {
                bytes: member.len() + size_of::<Scored>(),
                item: (member, score.get()),
                resume: Some(after(key.as_bytes())),
            })
        });
        found.transpose()
    })))
}

/// A key and what it shows.
type KeyKind = (Vec<u8>, Kind);

/// The keys among rows, each with what it shows; keys that show nothing are passed over.
pub(crate) fn keys<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<KeyKind>>, Error> {
    Ok(Box::new(Keys::new(rows, range)?.map(|shown| {
        let shown = shown?;
        let key = shown.row_key.user_key();
        Ok(Found {
            bytes: key.len(),
            item: (key, shown.kind),
            resume: Some(shown.resume),
        })
    })))
}

/// The keys that show values, with these.
pub(crate) fn values<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<Entry>>, Error> {
    Ok(Box::new(Keys::new(rows, range)?.flat_map(|shown| {
        let found = shown.and_then(|shown| {
            if shown.kind != Kind::Value {
                return Ok(Vec::new());
            }
            let values = cell::all_bytes_of(rows.registers(), &shown.row_key, &shown.row)?;
            Ok(entries_of(shown.row_key.user_key(), values, shown.resume))
        });
        each(found)
    })))
}

/// The cells among rows in which more than one value was written without knowledge of each other.
pub(crate) fn conflicts<'a, S: ReadRows + ?Sized>(
    rows: &'a S,
    range: &KeyRange,
) -> Result<Items<'a, Found<Conflict>>, Error> {
    let entries = rows.rows(range)?;
    Ok(Box::new(entries.filter_map(|entry| {
        let found = entry.and_then(|(key, row)| {
            let found = conflict_in(rows, &key, &row)?;
            Ok(found.map(|item| Found {
                bytes: item.siblings.iter().map(|it| it.payload.len()).sum(),
                resume: Some(after(key.as_bytes())),
                item,
            }))
        });
        found.transpose()
    })))
}

/// The conflict in a row, if there is one that can be seen.
pub(crate) fn conflict_in<S: ReadRows + ?Sized>(
    rows: &S,
    key: &RowKey,
    row: &Row,
) -> Result<Option<Conflict>, Error> {
    let field = match key.family() {
        Family::CELL => None,
        Family::FIELD | Family::SCORE => Some(key.field_bytes().to_vec()),
        _ => return Ok(None),
    };
    let Some(siblings) = cell::conflict(row) else {
        return Ok(None);
    };
    let user = key.user_key();
    Ok((!expiry::is_hidden(rows, &user)?).then_some(Conflict {
        key: user,
        field,
        siblings,
    }))
}

/// A key, by the row that decides what it shows.
struct Shown {
    row_key: RowKey,
    row: Row,
    kind: Kind,
    resume: Vec<u8>,
}

/// Goes from key to key. The rows of a large set or map are leapt over, not read.
struct Keys<'a, S: ?Sized> {
    rows: &'a S,
    iter: Items<'a, (RowKey, Row)>,
    upper: Option<Vec<u8>>,
    /// What the rows of the key just shown begin with.
    shown: Option<Vec<u8>>,
}

/// Rows of a key already shown that are passed one by one before leaping; a leap costs about as much as these.
const STEPS: usize = 8;

impl<'a, S: ReadRows + ?Sized> Keys<'a, S> {
    fn new(rows: &'a S, range: &KeyRange) -> Result<Self, Error> {
        Ok(Self {
            rows,
            iter: rows.rows(range)?,
            upper: range.upper.clone(),
            shown: None,
        })
    }

    /// Goes on behind the last row of the key just shown.
    fn leap(&mut self) -> Result<(), Error> {
        if let Some(prefix) = self.shown.take() {
            self.iter = self.rows.rows(&KeyRange {
                lower: end_of(&prefix),
                upper: self.upper.clone(),
            })?;
        }
        Ok(())
    }
}

/// The least bytes behind all rows of the key with this prefix.
fn end_of(key_prefix: &[u8]) -> Vec<u8> {
    RowKey::successor(key_prefix)
        .expect("a key prefix ends with the terminator, which can be incremented")
}

impl<S: ReadRows + ?Sized> Iterator for Keys<'_, S> {
    type Item = Result<Shown, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut steps = 0;
        loop {
            let (row_key, row) = match self.iter.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            match &self.shown {
                Some(prefix) if row_key.as_bytes().starts_with(prefix) => {
                    steps += 1;
                    if steps == STEPS
                        && let Err(error) = self.leap()
                    {
                        return Some(Err(error));
                    }
                    continue;
                }
                _ => self.shown = None,
            }
            if let Some(kind) = shown_by(&row_key, &row) {
                let user = row_key.user_key();
                let prefix = RowKey::key_prefix(&user);
                let resume = end_of(&prefix);
                self.shown = Some(prefix);
                steps = 0;
                match expiry::is_hidden(self.rows, &user) {
                    Ok(false) => {}
                    // Its rows are passed over as those of a key already shown.
                    Ok(true) => continue,
                    Err(error) => return Some(Err(error)),
                }
                return Some(Ok(Shown {
                    row_key,
                    row,
                    kind,
                    resume,
                }));
            }
        }
    }
}

/// The rows of all keys that begin with `prefix`.
pub(crate) fn with_prefix(prefix: &[u8]) -> KeyRange {
    KeyRange::prefix(&RowKey::user_prefix(prefix))
}

/// The rows of all keys within the bounds.
pub(crate) fn within<K: AsRef<[u8]>>(bounds: impl RangeBounds<K>) -> KeyRange {
    let start = |key: &K| RowKey::key_prefix(key.as_ref());
    let end = |key: &K| end_of(&start(key));
    KeyRange {
        lower: match bounds.start_bound() {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => start(key),
            Bound::Excluded(key) => end(key),
        },
        upper: match bounds.end_bound() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(end(key)),
            Bound::Excluded(key) => Some(start(key)),
        },
    }
}

/// Of the rows of one kind under a key, which lie in `family`, those whose fields or members are within the bounds.
pub(crate) fn fields_within<F: AsRef<[u8]>>(
    family: KeyRange,
    bounds: impl RangeBounds<F>,
) -> KeyRange {
    let prefix = family.lower.clone();
    let at = |field: &F| [&prefix, field.as_ref()].concat();
    KeyRange {
        lower: match bounds.start_bound() {
            Bound::Unbounded => family.lower,
            Bound::Included(field) => at(field),
            Bound::Excluded(field) => after(&at(field)),
        },
        upper: match bounds.end_bound() {
            Bound::Unbounded => family.upper,
            Bound::Included(field) => Some(after(&at(field))),
            Bound::Excluded(field) => Some(at(field)),
        },
    }
}
