//! A set: each member is a row of its own, so that changing one costs one row whatever the size of the set.

use syncline_crdt::{Family, RowKey};
use syncline_merkle::KeyRange;

use super::{expiry, key, scan};
use crate::error::Error;
use crate::kind::Kind;
use crate::rows::{Items, ReadRows, WriteRows};

/// The set under one key, in a view or a transaction.
///
/// Every method fails with [`Error::WrongKind`] when the key shows something else than a set, and with
/// [`Error::Store`] when reading fails.
#[derive(Debug)]
pub struct Set<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> Set<S> {
    /// The set under `key` among these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    /// Whether `member` is in the set. O(log n).
    ///
    /// # Errors
    /// See [`Set`].
    pub fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let row = RowKey::member(&self.key, member.as_ref());
        Ok(self.exists()? && !self.rows.row(&row)?.is_empty())
    }

    /// The members in bytewise order, each read when it is asked for.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn members(&self) -> Result<Items<'_, Vec<u8>>, Error> {
        if !self.exists()? {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(scan::items(scan::members(&self.rows, &self.range())?))
    }

    /// How many members there are. O(log n), and in a transaction O(m) in the members that its group has looked at.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn len(&self) -> Result<u64, Error> {
        match self.exists()? {
            true => self.rows.count_rows(&self.range()),
            false => Ok(0),
        }
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(!self.exists()?)
    }

    pub(crate) fn exists(&self) -> Result<bool, Error> {
        key::expect_kind(&self.rows, &self.key, Kind::Set)
    }

    /// The rows that a reader is to see: none where the key is hidden.
    pub(crate) fn shown_range(&self) -> Result<KeyRange, Error> {
        Ok(match self.exists()? {
            true => self.range(),
            false => KeyRange::new(Vec::new(), Some(Vec::new())),
        })
    }

    pub(crate) fn range(&self) -> KeyRange {
        key::family_of(&self.key, Family::MEMBER)
    }
}

impl<S: WriteRows> Set<S> {
    /// Adds `member`; whether it was absent.
    ///
    /// A member that is there already is written anew: a removal that runs elsewhere at the same time has not observed
    /// this insertion, and so does not undo it.
    ///
    /// # Errors
    /// See [`Set`]; [`Error::Store`] also when key or member is over its limit.
    pub fn insert(&mut self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let is_shown = self.exists()?;
        expiry::begin(&mut self.rows, &self.key, is_shown)?;
        let row = RowKey::member(&self.key, member.as_ref());
        let added = self.rows.row(&row)?.is_empty();
        self.rows.put_row(&row, Vec::new())?;
        Ok(added)
    }

    /// Takes `member` out; whether it was there.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn remove(&mut self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        if !self.exists()? {
            return Ok(false);
        }
        self.rows
            .remove_row(&RowKey::member(&self.key, member.as_ref()))
    }

    /// Takes out every member and returns how many there were.
    ///
    /// # Errors
    /// See [`Set`]; [`Error::Store`] also when there are more members than one transaction takes.
    pub fn clear(&mut self) -> Result<u64, Error> {
        if !self.exists()? {
            return Ok(0);
        }
        let range = self.range();
        Ok(key::clear_rows(&mut self.rows, range, usize::MAX)?.shown)
    }
}
