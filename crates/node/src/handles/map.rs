use syncline_crdt::Decimal;

use super::{Handle, owned};
use crate::error::Error;
use crate::namespace::Namespace;
use crate::ops::{Entry, scan};
use crate::scan::{Page, Scan};

/// The map under one key of a namespace.
///
/// Each field is a register and a counter of its own. Every method fails with [`Error::WrongKind`] when the key shows
/// something else than a map, and with the errors of [`Namespace`] when the store fails.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let ada = node.namespace("app")?.map("user:ada");
/// ada.set("city", "London").await?;
/// assert_eq!(ada.increment("visits", 1).await?, 1);
/// assert_eq!(ada.get("visits").await?.as_deref(), Some(&b"1"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Map(Handle);

impl Map {
    pub(crate) fn new(namespace: Namespace, key: Vec<u8>) -> Self {
        Self(Handle { namespace, key })
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// Gives `field` a value; whether it had none.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::Store`] also when key, field or value is over its limit.
    pub async fn set(
        &self,
        field: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let (field, value) = (owned(field), owned(value));
        let write = self.0.write(move |t, key| t.map(key).set(field, value));
        write.await
    }

    /// The value of `field`; a number as its decimal digits.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::NewerEncoding`] when a newer version wrote the value, [`Error::Conflict`] under
    /// [`Registers::AllSiblings`](crate::Registers::AllSiblings).
    pub async fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let field = owned(field);
        let read = self.0.read(move |view, key| view.map(key).get(field));
        read.await
    }

    /// All values of `field` that were written without knowledge of each other, the last writer's first.
    ///
    /// # Errors
    /// As [`Map::get`], but never [`Error::Conflict`].
    pub async fn siblings(&self, field: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        let field = owned(field);
        let read = self.0.read(move |view, key| view.map(key).siblings(field));
        read.await
    }

    /// Whether `field` has a value.
    ///
    /// # Errors
    /// See [`Map`].
    pub async fn contains(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        let field = owned(field);
        let read = self.0.read(move |view, key| view.map(key).contains(field));
        read.await
    }

    /// Takes `field` out; whether it had a value.
    ///
    /// # Errors
    /// See [`Map`].
    pub async fn remove(&self, field: impl AsRef<[u8]>) -> Result<bool, Error> {
        let field = owned(field);
        let write = self.0.write(move |t, key| t.map(key).remove(field));
        write.await
    }

    /// Adds `by` to the number in `field`, which is 0 when absent, and returns what it then is.
    ///
    /// # Errors
    /// See [`Map`]; [`Error::NotANumber`] when the field holds text, [`Error::NotAnInteger`] when it holds a number with
    /// digits after the point, [`Error::Overflow`] when the result would leave 64 bits.
    pub async fn increment(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let field = owned(field);
        let write = self.0.write(move |t, key| t.map(key).increment(field, by));
        write.await
    }

    /// Adds an exact decimal to the number in `field`, which is 0 when absent, and returns what it then is.
    ///
    /// # Errors
    /// As [`Map::increment`], but never [`Error::NotAnInteger`].
    pub async fn increment_decimal(
        &self,
        field: impl AsRef<[u8]>,
        by: Decimal,
    ) -> Result<Decimal, Error> {
        let field = owned(field);
        let write = self
            .0
            .write(move |t, key| t.map(key).increment_decimal(field, by));
        write.await
    }

    /// The fields with their values in bytewise order, as of now: what is written while they are read is not seen.
    ///
    /// # Errors
    /// See [`Map`].
    pub async fn fields(&self) -> Result<Scan<Entry>, Error> {
        let replica = self.0.namespace.replica();
        let start = self.0.read(move |view, key| {
            let map = view.map(key);
            Scan::start(replica, view, map.shown_range()?, |view, range| {
                Page::fill(scan::fields(view, &range)?, range)
            })
        });
        start.await
    }

    /// How many fields have a value. O(log n).
    ///
    /// # Errors
    /// See [`Map`].
    pub async fn len(&self) -> Result<u64, Error> {
        self.0.read(|view, key| view.map(key).len()).await
    }

    /// Whether no field has a value.
    ///
    /// # Errors
    /// See [`Map`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.0.read(|view, key| view.map(key).is_empty()).await
    }

    /// Takes out every field and returns how many had a value.
    ///
    /// A large map goes in several transactions, so there is no limit to its size; readers may meanwhile see a part of
    /// it.
    ///
    /// # Errors
    /// See [`Map`]. What was removed before the error stays removed.
    pub async fn clear(&self) -> Result<u64, Error> {
        let range = self.0.read(|view, key| {
            let map = view.map(key);
            map.shown_range()
        });
        let range = range.await?;
        self.0.namespace.clear_range(range).await
    }
}
