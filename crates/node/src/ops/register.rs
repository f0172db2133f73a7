//! A register: the last writer is read, and those it did not know of are kept beside it.

use syncline_crdt::RowKey;

use super::{cell, key};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{ReadRows, WriteRows};

/// The register under one key, in a view or a transaction. It is the same thing as the raw value of the key.
#[derive(Debug)]
pub struct Register<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> Register<S> {
    /// The register under `key` among these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the last writer; a number as its decimal digits.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when the key shows a map or a set, [`Error::NewerEncoding`] when a newer version wrote the
    /// value, [`Error::Conflict`] under [`Registers::AllSiblings`](crate::Registers::AllSiblings), [`Error::Store`] when
    /// reading fails.
    pub fn get(&self) -> Result<Option<Vec<u8>>, Error> {
        key::get(&self.rows, &self.key)
    }

    /// All values that were written without knowledge of each other, the last writer's first. More than one means that
    /// there was a conflict; the next write settles it.
    ///
    /// # Errors
    /// As [`Register::get`], but never [`Error::Conflict`].
    pub fn siblings(&self) -> Result<Vec<Vec<u8>>, Error> {
        match key::expect_kind(&self.rows, &self.key, Kind::Value)? {
            true => cell::siblings(&self.rows, &RowKey::cell(&self.key)),
            false => Ok(Vec::new()),
        }
    }
}

impl<S: WriteRows> Register<S> {
    /// Writes a value in place of everything observed under the key, of whatever kind.
    ///
    /// # Errors
    /// [`Error::Store`] when key or value is over its limit, or reading fails.
    pub fn set(&mut self, value: impl AsRef<[u8]>) -> Result<(), Error> {
        key::put(&mut self.rows, &self.key, value.as_ref())
    }

    /// Removes the value; whether there was one.
    ///
    /// # Errors
    /// As [`Register::get`].
    pub fn clear(&mut self) -> Result<bool, Error> {
        key::clear_value(&mut self.rows, &self.key)
    }
}
