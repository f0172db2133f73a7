//! A map: each field is a row of its own, and each is a cell, so that fields can be counted in.

use std::ops::RangeBounds;

use syncline_crdt::{Decimal, Family, RowKey};
use syncline_merkle::{KeyRange, after};

use super::{Entry, cell, expiry, key, scan};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{Items, ReadRows, WriteRows};

/// The map under one key, in a view or a transaction.
///
/// Every method fails with [`Error::WrongKind`] when the key shows something else than a map, and with
/// [`Error::Store`] when reading fails.
#[derive(Debug)]
pub struct Map<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> Map<S> {
    /// The map under `key` among these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of `field`; a number as its decimal digits. O(log n).
    ///
    /// # Errors
    /// See [`Map`]; [`Error::NewerEncoding`] when a newer version wrote the value, [`Error::Conflict`] under
    /// [`Registers::AllSiblings`](crate::Registers::AllSiblings).
    pub fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        match self.exists()? {
            true => cell::bytes(&self.rows, &self.field(field.as_ref())),
            false => Ok(None),
        }
    }

    /// The value of each of these fields, as [`get`](Map::get) has it, read as they are taken. O(log n) each; what the key shows is looked at once.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn get_all<F: AsRef<[u8]>>(
        &self,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<impl Iterator<Item = Result<Option<Vec<u8>>, Error>>, Error> {
        let exists = self.exists()?;
        let value = move |field: F| match exists {
            true => cell::bytes(&self.rows, &self.field(field.as_ref())),
            false => Ok(None),
        };
        Ok(fields.into_iter().map(value))
    }

    /// All values of `field` that were written without knowledge of each other, the last writer's first. See
    /// [`Register::siblings`](super::Register::siblings).
    ///
    /// # Errors
    /// As [`Map::get`], but never [`Error::Conflict`].
    pub fn siblings(&self, field: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        match self.exists()? {
            true => cell::siblings(&self.rows, &self.field(field.as_ref())),
            false => Ok(Vec::new()),
        }
    }

    /// Whether `field` has a value. O(log n).
    ///
    /// # Errors
    /// See [`Map`].
    pub fn contains(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        let row = self.field(field.as_ref());
        Ok(self.exists()? && cell::is_visible(&self.rows.row(&row)?))
    }

    /// The fields with their values, in bytewise order of the fields, each read when it is asked for.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn fields(&self) -> Result<Items<'_, Entry>, Error> {
        self.fields_within::<&[u8]>(..)
    }

    /// The fields within the bounds with their values, in bytewise order of the fields, each read when it is asked for.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn fields_within<F: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<F>,
    ) -> Result<Items<'_, Entry>, Error> {
        if !self.exists()? {
            return Ok(Box::new(std::iter::empty()));
        }
        let range = scan::fields_within(self.range(), bounds);
        Ok(scan::items(scan::fields(&self.rows, &range)?))
    }

    /// The field with a value that has `n` others before it, in bytewise order, with its value; `None` if there are not so many.
    /// O(log n), for each run of remnants before it too; in a transaction O(m) in the fields that its group has looked at.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn nth(&self, n: u64) -> Result<Option<Entry>, Error> {
        if !self.exists()? {
            return Ok(None);
        }
        let range = self.range();
        // Remnants of deleted counters are rows, too, and do not count.
        let mut at = n;
        while let Some(row) = self.rows.row_at(&range, at)? {
            let upper = after(row.as_bytes());
            let passed = KeyRange::new(range.lower.clone(), Some(upper));
            let hidden = self.rows.count_entries(&passed)?;
            if at == n.saturating_add(hidden) {
                let value = cell::bytes(&self.rows, &row)?;
                return Ok(value.map(|value| (row.field_bytes().to_vec(), value)));
            }
            at = n.saturating_add(hidden);
        }
        Ok(None)
    }

    /// How many fields have a value. O(log n), and in a transaction O(m) in the fields that its group has looked at.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn len(&self) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let range = self.range();
        // Fields whose counter was deleted may have left remnants, which do not count. Where they are listed they lie as
        // the rows do.
        let hidden = self.rows.count_entries(&range)?;
        Ok(self.rows.count_rows(&range)?.saturating_sub(hidden))
    }

    /// Whether no field has a value.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(!self.exists()?)
    }

    pub(crate) fn exists(&self) -> Result<bool, Error> {
        key::expect_kind(&self.rows, &self.key, Kind::Map)
    }

    /// The rows that a reader is to see: none where the key is hidden.
    pub(crate) fn shown_range(&self) -> Result<KeyRange, Error> {
        Ok(match self.exists()? {
            true => self.range(),
            false => KeyRange::new(Vec::new(), Some(Vec::new())),
        })
    }

    pub(crate) fn range(&self) -> KeyRange {
        key::family_of(&self.key, Family::FIELD)
    }

    fn field(&self, field: &[u8]) -> RowKey {
        RowKey::field(&self.key, field)
    }
}

impl<S: WriteRows> Map<S> {
    /// Gives `field` a value; whether it had none.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::Store`] also when key, field or value is over its limit.
    pub fn set(&mut self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.set_all([(field, value)])? == 1)
    }

    /// Gives each of these fields its value; how many had none. The last value of a field that is named twice counts.
    ///
    /// # Errors
    /// As [`Map::set`]; [`Error::Store`] also when there are more than one transaction takes.
    pub fn set_all<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        entries: impl IntoIterator<Item = (F, V)>,
    ) -> Result<u64, Error> {
        let mut entries = entries.into_iter().peekable();
        let is_shown = self.exists()?;
        if entries.peek().is_some() {
            expiry::begin(&mut self.rows, &self.key, is_shown)?;
        }
        let mut added = 0;
        for (field, value) in entries {
            let row = self.field(field.as_ref());
            added += u64::from(!cell::is_visible(&self.rows.row(&row)?));
            cell::assign(&mut self.rows, &row, value.as_ref())?;
        }
        Ok(added)
    }

    /// Takes `field` out; whether it had a value.
    ///
    /// # Errors
    /// See [`Map`].
    pub fn remove(&mut self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.remove_all([field])? == 1)
    }

    /// Takes fields out; how many had a value.
    ///
    /// # Errors
    /// As [`Map::clear`].
    pub fn remove_all<F: AsRef<[u8]>>(
        &mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        if self.exists()? {
            for field in fields {
                let key = self.field(field.as_ref());
                let row = self.rows.row(&key)?;
                removed += u64::from(cell::clear(&mut self.rows, &key, &row)?);
            }
        }
        Ok(removed)
    }

    /// Adds `by` to the number in `field`, which is 0 when absent, and returns what it then is.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::NotANumber`] when the field holds text, [`Error::NotAnInteger`] when it holds a number with
    /// digits after the point, [`Error::Overflow`] when the result would leave 64 bits, [`Error::Store`] also when key or field is over its limit.
    pub fn increment(&mut self, field: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let is_shown = self.exists()?;
        expiry::begin(&mut self.rows, &self.key, is_shown)?;
        let row = self.field(field.as_ref());
        cell::add(&mut self.rows, &row, by)
    }

    /// Adds an exact decimal to the number in `field`, which is 0 when absent, and returns what it then is.
    ///
    /// # Errors
    /// As [`Map::increment`], but never [`Error::NotAnInteger`].
    pub fn increment_decimal(
        &mut self,
        field: impl AsRef<[u8]>,
        by: Decimal,
    ) -> Result<Decimal, Error> {
        let is_shown = self.exists()?;
        expiry::begin(&mut self.rows, &self.key, is_shown)?;
        let row = self.field(field.as_ref());
        cell::add_decimal(&mut self.rows, &row, by)
    }

    /// Takes out every field and returns how many had a value.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::Store`] also when there are more fields than one transaction takes.
    pub fn clear(&mut self) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let range = self.range();
        Ok(key::clear_rows(&mut self.rows, range, usize::MAX)?.shown)
    }
}
