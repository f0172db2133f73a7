//! Keys that expire: what a namespace offers for it, and the collection of what is over.

use std::time::{Duration, SystemTime};

use syncline_store::DueMark;

use crate::blocking;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::ops::ExpireIf;
use crate::replica::Replica;

/// Rows that one commit of a collection drops.
const COLLECT_ROWS: usize = 4096;

/// Keys that expire. From its deadline on every node hides the key by its own clock; what is hidden goes once all
/// [carriers](Namespace::carriers) are known to have passed the deadline with nothing to put it off.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use syncline::ExpireIf;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let app = node.namespace("app")?;
/// app.map("session:ada").set("cart", "tea").await?;
/// assert!(app.expire("session:ada", Duration::from_secs(1800)).await?);
/// let end = app.deadline("session:ada").await?.expect("it was just set");
/// let later = end + Duration::from_secs(60);
/// assert!(app.expire_at("session:ada", later, ExpireIf::Later).await?);
/// // A time that has passed hides it at once.
/// app.expire_at("session:ada", SystemTime::UNIX_EPOCH, ExpireIf::Always).await?;
/// assert!(app.map("session:ada").is_empty().await?);
/// assert_eq!(app.collect().await?, 2, "the field, and the deadline");
/// # Ok(())
/// # }
/// ```
impl Namespace {
    /// Has `key` expire so long from now; `false` when it shows nothing.
    ///
    /// The key keeps its deadline when its members, fields or numbers change. [`put`](Namespace::put) takes it away, and
    /// so does whatever gives a key something to show that had expired or been deleted.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn expire(&self, key: impl AsRef<[u8]>, after: Duration) -> Result<bool, Error> {
        let key = key.as_ref().to_vec();
        self.transaction(move |t| t.expire(key, after)).await
    }

    /// Has `key` expire at this time, if its deadline so far admits it; whether that was done.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn expire_at(
        &self,
        key: impl AsRef<[u8]>,
        at: SystemTime,
        condition: ExpireIf,
    ) -> Result<bool, Error> {
        let key = key.as_ref().to_vec();
        self.transaction(move |t| t.expire_at(key, at, condition))
            .await
    }

    /// Takes the deadline of `key` back; whether it had one.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref().to_vec();
        self.transaction(move |t| t.persist(key)).await
    }

    /// When `key` expires; `None` when it does not, or shows nothing.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn deadline(&self, key: impl AsRef<[u8]>) -> Result<Option<SystemTime>, Error> {
        let key = key.as_ref().to_vec();
        self.read(move |view| view.deadline(key)).await
    }

    /// Writes a value as [`put`](Namespace::put) does, and keeps the deadline of what it replaces.
    ///
    /// # Errors
    /// As [`Namespace::put`].
    pub async fn put_keeping_deadline(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.transaction(move |t| t.put_keeping_deadline(key, value))
            .await
    }

    /// Drops what nobody can see any more and nobody can put off: the rows of keys whose deadline all carriers have passed,
    /// and what is left of deleted counters. Returns how many rows went. The node does it by itself every now and then.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn collect(&self) -> Result<u64, Error> {
        self.replica().open().await?;
        self.replica().tend().await
    }
}

impl Replica {
    /// Lets time pass in what the replica says of itself, and drops garbage, if the replica is in use.
    pub(crate) async fn tend(&self) -> Result<u64, Error> {
        let Some(open) = self.if_open() else {
            return Ok(0);
        };
        if open.room.admit_removal().is_err() {
            return Ok(0);
        }
        blocking(move || {
            {
                let _turn = open.turn();
                open.store.tend()?;
            }
            let (mut rows, mut mark) = (0, None::<DueMark>);
            loop {
                // Others may write in between.
                let _turn = open.turn();
                let collected = open.store.collect(mark.as_ref(), COLLECT_ROWS)?;
                rows += collected.rows;
                mark = collected.next;
                if mark.is_none() {
                    return Ok(rows);
                }
            }
        })
        .await
    }
}
