//! Whether anything has happened to a key.

use syncline_merkle::RangeDigest;

use super::{expiry, key};
use crate::error::Error;
use crate::rows::ReadRows;

/// A key as it was at one time: for a transaction that is to go on only if nobody has written to the key since, not even the same again. It also
/// changes when the key expires.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// use syncline::ops::Fingerprint;
///
/// let app = node.namespace("app")?;
/// app.put("seat", "free").await?;
/// let before = app.read(|view| Fingerprint::of(view, "seat")).await?;
/// app.put("seat", "free").await?;
/// let is_unchanged = app.transaction(move |t| Ok(Fingerprint::of(t, "seat")? == before)).await?;
/// assert!(!is_unchanged);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint {
    /// Of its rows, dots and all; not known of rows that are written to just now, and so like no other.
    digest: Option<RangeDigest>,
    is_hidden: bool,
}

impl Fingerprint {
    /// That of a key as these rows have it. O(log n).
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn of(rows: &(impl ReadRows + ?Sized), key: impl AsRef<[u8]>) -> Result<Self, Error> {
        let key = key.as_ref();
        Ok(Self {
            digest: rows.digest(&key::rows_of(key))?,
            is_hidden: expiry::is_hidden(rows, key)?,
        })
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.digest.is_some() && (self.digest, self.is_hidden) == (other.digest, other.is_hidden)
    }
}
