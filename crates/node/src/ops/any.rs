//! Whatever there is under a key.

use std::ops::RangeBounds;
use std::time::SystemTime;

use super::{Fingerprint, Kind, expiry, key, scan};
use crate::error::Error;
use crate::rows::{Items, ReadRows};

/// The keys within the bounds that show something, with their kinds, in bytewise order, each read when it is asked for.
///
/// # Errors
/// [`Error::Store`] when reading fails; each item fails for itself.
pub fn keys<'a, K: AsRef<[u8]>>(
    rows: &'a (impl ReadRows + ?Sized),
    bounds: impl RangeBounds<K>,
) -> Result<Items<'a, (Vec<u8>, Kind)>, Error> {
    Ok(scan::items(scan::keys(rows, &scan::within(bounds))?))
}

/// Whatever there is under one key, in a view or a transaction.
#[derive(Debug)]
pub struct Key<S> {
    rows: S,
    key: Vec<u8>,
}

impl<S: ReadRows> Key<S> {
    /// The key in these rows.
    pub fn of(rows: S, key: impl AsRef<[u8]>) -> Self {
        Self {
            rows,
            key: key.as_ref().to_vec(),
        }
    }

    /// What it shows; `None` when there is nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn kind(&self) -> Result<Option<Kind>, Error> {
        key::kind(&self.rows, &self.key)
    }

    /// Its value; a number as its decimal digits.
    ///
    /// # Errors
    /// As [`View::get`](crate::View::get).
    pub fn value(&self) -> Result<Option<Vec<u8>>, Error> {
        key::get(&self.rows, &self.key)
    }

    /// When it expires; `None` when it does not, or shows nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn deadline(&self) -> Result<Option<SystemTime>, Error> {
        expiry::deadline(&self.rows, &self.key)
    }

    /// To tell later whether anything has happened to it.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        Fingerprint::of(&self.rows, &self.key)
    }
}
