use super::{Handle, owned};
use crate::error::Error;
use crate::namespace::Namespace;
use crate::ops::scan;
use crate::scan::{Page, Scan};

/// The set under one key of a namespace.
///
/// Insertions win over removals that did not know of them. Every method fails with [`Error::WrongKind`] when the key
/// shows something else than a set, and with the errors of [`Namespace`] when the store fails.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let online = node.namespace("app")?.set("online");
/// assert!(online.insert("ada").await?);
/// assert!(online.contains("ada").await?);
/// assert_eq!(online.members().await?.collect().await?, [b"ada"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Set(Handle);

impl Set {
    pub(crate) fn new(namespace: Namespace, key: Vec<u8>) -> Self {
        Self(Handle { namespace, key })
    }

    /// Adds `member`; whether it was absent. See [`ops::Set::insert`](crate::ops::Set::insert).
    ///
    /// # Errors
    /// See [`Set`]; [`Error::Store`] also when key or member is over its limit.
    pub async fn insert(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let member = owned(member);
        let write = self.0.write(move |t, key| t.set(key).insert(member));
        write.await
    }

    /// Takes `member` out; whether it was there.
    ///
    /// # Errors
    /// See [`Set`].
    pub async fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let member = owned(member);
        let write = self.0.write(move |t, key| t.set(key).remove(member));
        write.await
    }

    /// Whether `member` is in the set.
    ///
    /// # Errors
    /// See [`Set`].
    pub async fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        let member = owned(member);
        let read = self.0.read(move |view, key| view.set(key).contains(member));
        read.await
    }

    /// The members in bytewise order, as of now: what is written while they are read is not seen.
    ///
    /// # Errors
    /// See [`Set`].
    pub async fn members(&self) -> Result<Scan<Vec<u8>>, Error> {
        let replica = self.0.namespace.replica();
        let start = self.0.read(move |view, key| {
            let set = view.set(key);
            Scan::start(replica, view, set.shown_range()?, |view, range| {
                Page::fill(scan::members(view, &range)?, range)
            })
        });
        start.await
    }

    /// How many members there are. O(log n).
    ///
    /// # Errors
    /// See [`Set`].
    pub async fn len(&self) -> Result<u64, Error> {
        self.0.read(|view, key| view.set(key).len()).await
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`Set`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.0.read(|view, key| view.set(key).is_empty()).await
    }

    /// Takes out every member and returns how many there were.
    ///
    /// A large set goes in several transactions, so there is no limit to its size; readers may meanwhile see a part of
    /// it.
    ///
    /// # Errors
    /// See [`Set`]. What was removed before the error stays removed.
    pub async fn clear(&self) -> Result<u64, Error> {
        let range = self.0.read(|view, key| {
            let set = view.set(key);
            set.shown_range()
        });
        let range = range.await?;
        self.0.namespace.clear_range(range).await
    }
}
