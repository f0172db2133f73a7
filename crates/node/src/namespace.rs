//! A namespace as an application uses it.

mod following;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use syncline_merkle::KeyRange;
use syncline_store::{Compaction, Durability};

use crate::blocking;
use crate::core::Core;
use crate::error::Error;
use crate::measure::Worked;
use crate::name::{NameError, check_name};
use crate::ops::{Entry, Kind, expiry, key, scan};
use crate::registers::{Conflict, Registers};
use crate::replica::Replica;
use crate::scan::{Page, ReadPage, Scan};
use crate::token::Record;
use crate::transaction::Transaction;
use crate::view::View;
use crate::writer::WriteStats;

/// A replicated key space on this node: keys with values, sets, maps, registers and counters.
///
/// Cheap to clone and to keep. The store behind it is opened by the first use. All methods are cancel-safe in this
/// sense: when the future of a write is dropped after its first poll, the write may or may not happen, but as a whole.
///
/// Operations fail with [`Error::Open`] when the store cannot be opened, with [`Error::Store`] when it fails, with
/// [`Error::Damaged`] when a row fails its checksum, and with [`Error::Closed`] after
/// [`Node::shutdown`](crate::Node::shutdown).
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let app = node.namespace("app")?;
/// app.put("motto", "merge, do not fork").await?;
/// app.set("online").insert("ada").await?;
/// app.counter("visits").add(2).await?;
/// assert_eq!(app.get("visits").await?.as_deref(), Some(&b"2"[..]));
/// assert_eq!(app.count().await?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Namespace {
    pub(crate) core: Arc<Core>,
    replica: Replica,
    durability: Durability,
    registers: Registers,
    /// Where what is written through this handle is recorded.
    record: Option<Record>,
}

impl Namespace {
    pub(crate) fn new(
        core: Arc<Core>,
        replica: Replica,
        durability: Durability,
        registers: Registers,
    ) -> Self {
        Self {
            core,
            replica,
            durability,
            registers,
            record: None,
        }
    }

    /// Whether a namespace may be called so.
    ///
    /// # Errors
    /// [`NameError`], which says what a name must be.
    pub fn check_name(name: &str) -> Result<(), NameError> {
        check_name(name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.replica.namespace()
    }

    /// The same namespace, with writes that are acknowledged at another durability.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// use syncline::Durability;
    ///
    /// let quick = node.namespace("app")?.with_durability(Durability::Memory);
    /// quick.counter("page-views").increment().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self {
            durability,
            ..self.clone()
        }
    }

    /// The value of `key`; a number as its decimal digits.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when the key shows a map or a set, [`Error::NewerEncoding`] when a newer version wrote the
    /// value, [`Error::Conflict`] under [`Registers::AllSiblings`]; see also [`Namespace`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref().to_vec();
        self.read(move |view| view.get(key)).await
    }

    /// Writes a value in place of everything observed under `key`, of whatever kind.
    ///
    /// # Errors
    /// [`Error::Store`] when key or value is over its limit; see also [`Namespace`].
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.transaction(move |t| t.put(key, value)).await
    }

    /// Removes everything observed under `key`, of whatever kind; whether it showed anything.
    ///
    /// A key of very many rows goes in several transactions, so there is no limit to its size; readers may meanwhile see
    /// a part of it.
    ///
    /// # Errors
    /// See [`Namespace`]. What was removed before the error stays removed.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        let user = key.to_vec();
        let is_hidden = self
            .read(move |view| expiry::is_hidden(view, &user))
            .await?;
        Ok(self.clear_range(key::rows_of(key)).await? > 0 && !is_hidden)
    }

    /// Removes everything observed under the keys that begin with `prefix`, of whatever kind; returns how many values, fields and
    /// members that were.
    ///
    /// It goes in chunks of some thousand rows, each a transaction of its own, between which other writes go on: what they
    /// write stays. Memory does not grow with what is removed, and neither does what other nodes have to be told. Whoever drops the
    /// future, or crashes, has removed a part.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// app.put("session:1", "ada").await?;
    /// app.set("session:1:pages").insert("/").await?;
    /// app.put("user:ada", "Ada").await?;
    /// assert_eq!(app.remove_prefix("session:").await?, 2);
    /// assert_eq!(app.count().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Namespace`]. What was removed before the error stays removed.
    pub async fn remove_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.clear_range(scan::with_prefix(prefix.as_ref())).await
    }

    /// Removes everything observed in the namespace, here and, as they hear of it, on all nodes; returns how many values, fields and
    /// members that were. As [`Namespace::remove_prefix`] of all keys.
    ///
    /// To get rid of this node's copy alone, there is [`Node::drop_namespace`](crate::Node::drop_namespace).
    ///
    /// # Errors
    /// See [`Namespace::remove_prefix`].
    pub async fn clear(&self) -> Result<u64, Error> {
        self.clear_range(KeyRange::ALL).await
    }

    /// What `key` shows; `None` when there is nothing.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, Error> {
        let key = key.as_ref().to_vec();
        self.read(move |view| view.kind(key)).await
    }

    pub(crate) fn worked(&self) -> &Worked {
        self.replica.worked()
    }

    pub(crate) fn replica(&self) -> Replica {
        self.replica.clone()
    }

    /// The keys that begin with `prefix` and show something, with their kinds, in bytewise order.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn keys(&self, prefix: impl AsRef<[u8]>) -> Result<Scan<(Vec<u8>, Kind)>, Error> {
        let range = scan::with_prefix(prefix.as_ref());
        self.start_scan(range, |view, range| {
            Page::fill(scan::keys(view, &range)?, range)
        })
        .await
    }

    /// The keys that begin with `prefix` and show a value, with these, in bytewise order.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn scan(&self, prefix: impl AsRef<[u8]>) -> Result<Scan<Entry>, Error> {
        self.values(scan::with_prefix(prefix.as_ref())).await
    }

    /// The keys within the bounds that show a value, with these, in bytewise order.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// for day in ["2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01"] {
    ///     app.put(day, "open").await?;
    /// }
    /// let february = app.range("2024-02".."2024-03").await?.collect().await?;
    /// assert_eq!(february.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn range<K: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<K>,
    ) -> Result<Scan<Entry>, Error> {
        let range = scan::within(bounds);
        self.values(range).await
    }

    /// The places under keys that begin with `prefix` in which more than one value was written without knowledge of each
    /// other, in bytewise order of keys and fields. The next write that observed them settles it. O(n) in the rows.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = syncline::testing::cluster(2).await?;
    /// # let [ada, bob] = [0, 1].map(|node| cluster[node].clone());
    /// let (ours, theirs) = (ada.namespace("app")?, bob.namespace("app")?);
    /// ours.put("motto", "merge").await?;
    /// theirs.put("motto", "do not fork").await?;
    /// ours.sync_with(&bob).await?;
    ///
    /// let mut conflicts = ours.conflicts("").await?;
    /// while let Some(conflict) = conflicts.next().await? {
    ///     println!("{}:", conflict.key.escape_ascii());
    ///     for sibling in &conflict.siblings {
    ///         println!("  {} by {} at {}", sibling.payload.escape_ascii(), sibling.dot, sibling.stamp);
    ///     }
    ///     ours.put(&conflict.key, &conflict.siblings[0].payload).await?;
    /// }
    /// assert!(ours.conflicts("").await?.next().await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn conflicts(&self, prefix: impl AsRef<[u8]>) -> Result<Scan<Conflict>, Error> {
        let range = scan::with_prefix(prefix.as_ref());
        self.start_scan(range, |view, range| {
            Page::fill(scan::conflicts(view, &range)?, range)
        })
        .await
    }

    async fn values(&self, range: KeyRange) -> Result<Scan<Entry>, Error> {
        self.start_scan(range, |view, range| {
            Page::fill(scan::values(view, &range)?, range)
        })
        .await
    }

    /// How many keys there are, of all kinds. See [`View::count`].
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn count(&self) -> Result<u64, Error> {
        self.read(View::count).await
    }

    /// Runs several operations on any number of keys, which happen together or not at all.
    ///
    /// `body` runs on the namespace's writer thread, while all other writes of the namespace wait: it should do no more
    /// than it must, and must not wait for anything. When it returns an error, nothing is written. The transaction is atomic
    /// on this node; a peer that heals from it may pass through a part of it.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// let logins = app
    ///     .transaction(|t| {
    ///         t.set("online").insert("ada")?;
    ///         t.map("user:ada").set("seen", "today")?;
    ///         t.counter("logins").add(1)
    ///     })
    ///     .await?;
    /// assert_eq!(logins, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `body` returns; [`Error::Aborted`] is there for its own reasons. See also [`Namespace`].
    ///
    /// # Panics
    /// When `body` does. Nothing is written then, and the namespace goes on.
    pub async fn transaction<T, F>(&self, body: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let open = self.replica.open().await?;
        let queue = open.writer.queue();
        let registers = self.registers.clone();
        let body = move |transaction: &mut Transaction<'_>| {
            transaction.read_registers_as(registers);
            body(transaction)
        };
        let record = self.record.clone();
        queue.transact(self.durability, body, record, open).await
    }

    /// Runs several transactions in this order, handed over and committed together; each happens or not for itself, as if it had been run
    /// by [`Namespace::transaction`]. For whoever has many small ones at hand: a pipeline of a client's requests, say.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// use syncline::Transaction;
    ///
    /// let app = node.namespace("app")?;
    /// app.put("b", "text").await?;
    /// let adds = ["a", "b", "a"].map(|key| move |t: &mut Transaction<'_>| t.counter(key).add(1));
    /// let counts = app.transactions(adds.into()).await?;
    /// assert!(matches!(counts[..], [Ok(1), Err(syncline::Error::NotANumber { .. }), Ok(2)]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When none of them was run; see [`Namespace`]. What each comes to is in its place.
    ///
    /// # Panics
    /// When one of them does.
    pub async fn transactions<T, F>(&self, bodies: Vec<F>) -> Result<Vec<Result<T, Error>>, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let open = self.replica.open().await?;
        let queue = open.writer.queue();
        let bodies = bodies.into_iter().map(|body| {
            let registers = self.registers.clone();
            move |transaction: &mut Transaction<'_>| {
                transaction.read_registers_as(registers);
                body(transaction)
            }
        });
        let (bodies, record) = (bodies.collect(), self.record.clone());
        queue.batch(self.durability, bodies, record, open).await
    }

    /// Runs several reads on one consistent state, on a thread where they may block.
    ///
    /// # Errors
    /// What `body` returns; see also [`Namespace`].
    ///
    /// # Panics
    /// When `body` does.
    pub async fn read<T, F>(&self, body: F) -> Result<T, Error>
    where
        F: FnOnce(&View) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let open = self.replica.open().await?;
        self.worked().reads.add(1);
        let registers = self.registers.clone();
        let read = blocking(move || body(&View::new(open.store.view()?, registers))).await;
        match read {
            Ok(value) => Ok(value),
            Err(error) => Err(self.replica.heal(error).await),
        }
    }

    /// A consistent view, to be read on threads that may block.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn view(&self) -> Result<View, Error> {
        self.read(|view| Ok(view.clone())).await
    }

    /// As [`Namespace::read`], on the caller's own thread: for a few look-ups, which mostly need no disk and take less time than to hand them over. Whatever
    /// else runs on that thread waits meanwhile.
    ///
    /// # Errors
    /// What `body` returns; see also [`Namespace`].
    pub async fn read_here<T>(
        &self,
        body: impl FnOnce(&View) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let open = self.replica.open().await?;
        let read = body(&View::new(open.store.view()?, self.registers.clone()));
        drop(open);
        match read {
            Ok(value) => Ok(value),
            Err(error) => Err(self.replica.heal(error).await),
        }
    }

    /// What the writer has done since the namespace was opened.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn write_stats(&self) -> Result<WriteStats, Error> {
        Ok(self.replica.open().await?.writer.stats())
    }

    /// How many bytes the namespace takes: of its file, or of memory.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn size(&self) -> Result<u64, Error> {
        let open = self.replica.open().await?;
        blocking(move || Ok(open.store.size()?.bytes)).await
    }

    /// Gives the room that the namespace's file no longer needs back to the file system: after much was removed, say. Without it,
    /// the room is used again by what is written later. A namespace in memory has no file, and stays as it is.
    ///
    /// Everybody who uses the namespace waits meanwhile, and it waits for whoever does; sessions of peers, too. Takes time
    /// linear in the file. A crash in the middle loses nothing.
    ///
    /// # Errors
    /// [`Error::InView`] while a [`View`] or a [`Scan`] of the namespace is held; see also [`Namespace`].
    pub async fn compact(&self) -> Result<Compaction, Error> {
        match self.replica.compact().await? {
            Some(compaction) => Ok(compaction),
            None => self.size().await.map(|bytes| Compaction {
                before: bytes,
                after: bytes,
            }),
        }
    }

    async fn start_scan<T: Send + 'static>(
        &self,
        range: KeyRange,
        read: ReadPage<T>,
    ) -> Result<Scan<T>, Error> {
        let replica = self.replica.clone();
        self.read(move |view| Scan::start(replica, view, range, read))
            .await
    }

    /// Removes all that has been observed in a range by now, chunk by chunk; returns how many rows a reader could see.
    pub(crate) async fn clear_range(&self, range: KeyRange) -> Result<u64, Error> {
        let open = self.replica.open().await?;
        let begun = blocking(move || Ok(open.store.begin_removal(range)?));
        let (mut removing, mut shown) = (begun.await?, 0);
        while !removing.is_done() {
            let open = self.replica.open().await?;
            let (queue, record) = (open.writer.queue(), self.record.clone());
            let cleared = queue.remove_chunk(self.durability, removing, record, open);
            let cleared = cleared.await?;
            shown += cleared.shown;
            removing = cleared.removing;
        }
        Ok(shown)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name())
            .field("durability", &self.durability)
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}
