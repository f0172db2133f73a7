//! A set: each member is a row of its own, so that changing one costs one row whatever the size of the set.

use std::ops::RangeBounds;

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

    /// To look up many members: what the key shows is looked at once, and each member is O(log n).
    ///
    /// # Errors
    /// See [`Set`]; each look-up fails for itself.
    pub fn lookup(&self) -> Result<impl Fn(&[u8]) -> Result<bool, Error> + '_, Error> {
        let exists = self.exists()?;
        Ok(move |member: &[u8]| {
            let row = RowKey::member(&self.key, member);
            Ok(exists && !self.rows.row(&row)?.is_empty())
        })
    }

    /// The members in bytewise order, each read when it is asked for.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn members(&self) -> Result<Items<'_, Vec<u8>>, Error> {
        self.members_within::<&[u8]>(..)
    }

    /// The members within the bounds, in bytewise order, each read when it is asked for.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn members_within<M: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<M>,
    ) -> Result<Items<'_, Vec<u8>>, Error> {
        if !self.exists()? {
            return Ok(Box::new(std::iter::empty()));
        }
        let range = scan::fields_within(self.range(), bounds);
        Ok(scan::items(scan::members(&self.rows, &range)?))
    }

    /// The member that has `n` others before it, in bytewise order; `None` if there are not so many. O(log n), and in a transaction O(m) in the
    /// members that its group has looked at.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn nth(&self, n: u64) -> Result<Option<Vec<u8>>, Error> {
        if !self.exists()? {
            return Ok(None);
        }
        let row = self.rows.row_at(&self.range(), n)?;
        Ok(row.map(|row| row.field_bytes().to_vec()))
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
        Ok(self.insert_all([member])? == 1)
    }

    /// Adds members as [`insert`](Set::insert) does; how many were absent. A member that is named twice counts once.
    ///
    /// # Errors
    /// As [`Set::insert`]; [`Error::Store`] also when there are more than one transaction takes.
    pub fn insert_all<M: AsRef<[u8]>>(
        &mut self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let mut members = members.into_iter().peekable();
        let is_shown = self.exists()?;
        if members.peek().is_some() {
            expiry::begin(&mut self.rows, &self.key, is_shown)?;
        }
        let mut added = 0;
        for member in members {
            let row = RowKey::member(&self.key, member.as_ref());
            added += u64::from(self.rows.row(&row)?.is_empty());
            self.rows.put_row(&row, Vec::new())?;
        }
        Ok(added)
    }

    /// Takes `member` out; whether it was there.
    ///
    /// # Errors
    /// See [`Set`].
    pub fn remove(&mut self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.remove_all([member])? == 1)
    }

    /// Takes members out; how many were there.
    ///
    /// # Errors
    /// As [`Set::clear`].
    pub fn remove_all<M: AsRef<[u8]>>(
        &mut self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        if self.exists()? {
            for member in members {
                let row = RowKey::member(&self.key, member.as_ref());
                removed += u64::from(self.rows.remove_row(&row)?);
            }
        }
        Ok(removed)
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
