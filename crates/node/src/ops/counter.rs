//! A counter: additions made anywhere all count.

use syncline_crdt::{Decimal, RowKey};

use super::{cell, expiry, key};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{ReadRows, WriteRows};

/// The counter under one key, in a view or a transaction. It is the raw value of the key, read as a number.
#[derive(Debug)]
pub struct Counter<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> Counter<S> {
    /// The counter under `key` among these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    /// The number; 0 when there is none. Where merged additions leave 64 bits, the bound is read.
    ///
    /// # Errors
    /// [`Error::NotANumber`] when the value is text, [`Error::NotAnInteger`] when it is a number with digits after the
    /// point, [`Error::WrongKind`] when the key shows a map or a set,
    /// [`Error::NewerEncoding`] when a newer version wrote the value, [`Error::Store`] when reading fails.
    pub fn value(&self) -> Result<i64, Error> {
        let number = match key::expect_kind(&self.rows, &self.key, Kind::Value)? {
            true => cell::integer(&self.rows, &RowKey::cell(&self.key))?,
            false => None,
        };
        Ok(number.unwrap_or_default())
    }

    /// The number as an exact decimal; 0 when there is none.
    ///
    /// # Errors
    /// As [`Counter::value`], but never [`Error::NotAnInteger`].
    pub fn decimal(&self) -> Result<Decimal, Error> {
        let number = match key::expect_kind(&self.rows, &self.key, Kind::Value)? {
            true => cell::decimal(&self.rows, &RowKey::cell(&self.key))?,
            false => None,
        };
        Ok(number.unwrap_or_default())
    }
}

impl<S: WriteRows> Counter<S> {
    /// Adds `by`, which may be negative, and returns what the number then is.
    ///
    /// # Errors
    /// As [`Counter::value`]; [`Error::Overflow`] when the result would leave 64 bits, [`Error::Store`] also when the key
    /// is over its limit.
    pub fn add(&mut self, by: i64) -> Result<i64, Error> {
        let is_shown = key::expect_kind(&self.rows, &self.key, Kind::Value)?;
        expiry::begin(&mut self.rows, &self.key, is_shown)?;
        cell::add(&mut self.rows, &RowKey::cell(&self.key), by)
    }

    /// Adds an exact decimal, which may be negative, and returns what the number then is.
    ///
    /// # Errors
    /// As [`Counter::decimal`]; [`Error::Overflow`] when the result would leave the range of 64 bits,
    /// [`Error::Store`] also when the key is over its limit.
    pub fn add_decimal(&mut self, by: Decimal) -> Result<Decimal, Error> {
        let is_shown = key::expect_kind(&self.rows, &self.key, Kind::Value)?;
        expiry::begin(&mut self.rows, &self.key, is_shown)?;
        cell::add_decimal(&mut self.rows, &RowKey::cell(&self.key), by)
    }

    /// Deletes the counter, so that it reads 0; whether there was one. Additions which this has not observed stay.
    ///
    /// # Errors
    /// [`Error::WrongKind`] and [`Error::Store`], as [`Counter::value`].
    pub fn reset(&mut self) -> Result<bool, Error> {
        key::clear_value(&mut self.rows, &self.key)
    }
}
