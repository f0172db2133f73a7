//! A consistent view of a namespace.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use syncline_crdt::{Row, RowKey};
use syncline_merkle::{KeyRange, RangeDigest};
use syncline_store::{Direction, DueMark, Recount, StoreError};

use crate::engine::AnyEngine;
use crate::error::Error;
use crate::ops::{Counter, Entry, Kind, Map, Register, Set, SortedSet, expiry, key, scan};
use crate::registers::{Conflict, Registers};
use crate::rows::{Items, ReadRows, sealed};

/// A namespace as of one commit: whatever is written later does not show, nor do deadlines that are reached later.
///
/// Its readers are synchronous and read the disk, so in asynchronous code they belong inside [`Namespace::read`] or a
/// blocking thread. A view is cheap to take and to clone. While it lives, the store keeps the pages of its commit, and after
/// [`Node::shutdown`](crate::Node::shutdown) also the file.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let app = node.namespace("app")?;
/// app.transaction(|t| {
///     t.set("online").insert("ada")?;
///     t.counter("logins").add(1)
/// })
/// .await?;
/// let (online, logins) = app
///     .read(|view| Ok((view.set("online").len()?, view.counter("logins").value()?)))
///     .await?;
/// assert_eq!((online, logins), (1, 1));
/// # Ok(())
/// # }
/// ```
///
/// [`Namespace::read`]: crate::Namespace::read
#[derive(Clone)]
pub struct View {
    store: Arc<syncline_store::View<AnyEngine>>,
    registers: Registers,
    now_ms: u64,
    has_deadlines: Arc<OnceLock<bool>>,
}

/// How large the record is of what a replica has seen; see [`View::context_size`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextSize {
    /// Openings of stores, of all nodes, that have written.
    pub writers: usize,
    /// Intervals in which it is kept: one for each writer, unless something is missing in between.
    pub intervals: usize,
    /// Mutations that it names.
    pub dots: u128,
}

impl View {
    pub(crate) fn new(store: syncline_store::View<AnyEngine>, registers: Registers) -> Self {
        Self {
            now_ms: store.now_ms(),
            has_deadlines: Arc::default(),
            store: Arc::new(store),
            registers,
        }
    }

    pub(crate) fn store(&self) -> &syncline_store::View<AnyEngine> {
        &self.store
    }

    /// The set under `key`.
    pub fn set(&self, key: impl AsRef<[u8]>) -> Set<&Self> {
        Set::of(self, key)
    }

    /// The sorted set under `key`.
    pub fn sorted_set(&self, key: impl AsRef<[u8]>) -> SortedSet<&Self> {
        SortedSet::of(self, key)
    }

    /// The map under `key`.
    pub fn map(&self, key: impl AsRef<[u8]>) -> Map<&Self> {
        Map::of(self, key)
    }

    /// The register under `key`.
    pub fn register(&self, key: impl AsRef<[u8]>) -> Register<&Self> {
        Register::of(self, key)
    }

    /// The counter under `key`.
    pub fn counter(&self, key: impl AsRef<[u8]>) -> Counter<&Self> {
        Counter::of(self, key)
    }

    /// The value of `key`; a number as its decimal digits.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when the key shows a map or a set, [`Error::NewerEncoding`] when a newer version wrote the
    /// value, [`Error::Conflict`] under [`Registers::AllSiblings`], [`Error::Store`] when reading fails.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        key::get(self, key.as_ref())
    }

    /// What `key` shows; `None` when there is nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Kind>, Error> {
        key::kind(self, key.as_ref())
    }

    /// All kinds that have something to show under `key`. More than one means that there was a conflict: the first is
    /// shown.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn kinds(&self, key: impl AsRef<[u8]>) -> Result<Vec<Kind>, Error> {
        key::kinds(self, key.as_ref())
    }

    /// The keys that begin with `prefix` and show something, with their kinds, in bytewise order.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails; each item fails for itself.
    pub fn keys(&self, prefix: impl AsRef<[u8]>) -> Result<Items<'_, (Vec<u8>, Kind)>, Error> {
        let range = scan::with_prefix(prefix.as_ref());
        Ok(scan::items(scan::keys(self, &range)?))
    }

    /// The keys within the bounds that show something, with their kinds, in bytewise order.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails; each item fails for itself.
    pub fn keys_within<K: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<K>,
    ) -> Result<Items<'_, (Vec<u8>, Kind)>, Error> {
        let range = scan::within(bounds);
        Ok(scan::items(scan::keys(self, &range)?))
    }

    /// The keys that begin with `prefix` and show a value, with these, in bytewise order.
    ///
    /// # Errors
    /// As [`View::get`]; each item fails for itself.
    pub fn scan(&self, prefix: impl AsRef<[u8]>) -> Result<Items<'_, Entry>, Error> {
        self.values(&scan::with_prefix(prefix.as_ref()))
    }

    /// The keys within the bounds that show a value, with these, in bytewise order.
    ///
    /// # Errors
    /// As [`View::get`]; each item fails for itself.
    pub fn range<K: AsRef<[u8]>>(
        &self,
        bounds: impl RangeBounds<K>,
    ) -> Result<Items<'_, Entry>, Error> {
        self.values(&scan::within(bounds))
    }

    /// The places under keys that begin with `prefix` in which more than one value was written without knowledge of each
    /// other, in bytewise order of keys and fields. The next write that observed them settles it. O(n) in the rows.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails; each item fails for itself.
    pub fn conflicts(&self, prefix: impl AsRef<[u8]>) -> Result<Items<'_, Conflict>, Error> {
        let range = scan::with_prefix(prefix.as_ref());
        Ok(scan::items(scan::conflicts(self, &range)?))
    }

    fn values(&self, range: &KeyRange) -> Result<Items<'_, Entry>, Error> {
        Ok(scan::items(scan::values(self, range)?))
    }

    /// How many keys there are, of all kinds. O(1), and a look at each key that has expired, and at each deleted counter, that is not yet collected.
    ///
    /// The deadline of a key that was deleted by its members counts as long as it is kept.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn count(&self) -> Result<u64, Error> {
        let passed = self.each_due(
            |after, page| self.store.deadlines_until(self.now_ms, after, page),
            |key| expiry::is_hidden(self, key),
        )?;
        let deleted = self.each_due(
            |after, page| self.store.remnants(after, page),
            // What has expired was counted.
            |key| Ok(key::kind(self, key)?.is_none() && !expiry::is_hidden(self, key)?),
        )?;
        let held = self.store.key_count();
        Ok(held.saturating_sub(passed + deleted))
    }

    /// Of how many user keys of listed rows something holds. Rows of one key are looked at once where they follow one another.
    fn each_due(
        &self,
        list: impl Fn(Option<&DueMark>, usize) -> Result<Vec<(DueMark, RowKey)>, StoreError>,
        holds: impl Fn(&[u8]) -> Result<bool, Error>,
    ) -> Result<u64, Error> {
        const PAGE: usize = 1024;
        let (mut count, mut after, mut last) = (0, None, None);
        loop {
            let due = list(after.as_ref(), PAGE)?;
            for (_, row) in &due {
                let key = Some(row.user_key());
                if key != last {
                    count += u64::from(holds(key.as_deref().unwrap_or_default())?);
                    last = key;
                }
            }
            match due.into_iter().next_back() {
                Some((mark, _)) => after = Some(mark),
                None => return Ok(count),
            }
        }
    }

    /// The deadline of a key that had something to show when it was reached; `None` while it has not been, or there is nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn expired_at(&self, key: impl AsRef<[u8]>) -> Result<Option<SystemTime>, Error> {
        let key = key.as_ref();
        match expiry::is_hidden(self, key)? && key::held(self, key)?.is_some() {
            true => expiry::stored(self, key),
            false => Ok(None),
        }
    }

    /// Tells of the keys that had something to show when their deadlines were reached, after `since` and until this view was taken: each
    /// with its deadline, in the order of these. Where deadlines of a key were set on several nodes without knowledge of each other, and the later one
    /// holds, the key is told with that one when the earliest is reached. O(log n), and for each of them.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails, and whatever `visit` fails with.
    pub fn expired_since(
        &self,
        since: SystemTime,
        mut visit: impl FnMut(Vec<u8>, SystemTime) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const PAGE: usize = 1024;
        let mut after = DueMark::after(expiry::unix_ms(since));
        loop {
            let due = self
                .store
                .deadlines_until(self.now_ms, Some(&after), PAGE)?;
            for (_, deadline) in &due {
                let key = deadline.user_key();
                if let Some(at) = expiry::stored(self, &key)?
                    && key::held(self, &key)?.is_some()
                {
                    visit(key, at)?;
                }
            }
            match due.into_iter().next_back() {
                Some((last, _)) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// When this view was taken, by the node's clock: what deadlines are held against.
    pub fn taken_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.now_ms)
    }

    /// When `key` expires; `None` when it does not, or shows nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn deadline(&self, key: impl AsRef<[u8]>) -> Result<Option<SystemTime>, Error> {
        expiry::deadline(self, key.as_ref())
    }

    /// How many rows there are. O(1).
    pub fn row_count(&self) -> u64 {
        self.store.row_count()
    }

    /// The digest of all rows. Two replicas of one namespace hold the same exactly if these are equal.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn root(&self) -> Result<RangeDigest, Error> {
        Ok(self.store.root()?)
    }

    /// The digest of the rows of all keys that begin with `prefix`. Two replicas of one namespace hold the same there exactly if these are equal.
    /// O(log n).
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn digest_of(&self, prefix: impl AsRef<[u8]>) -> Result<RangeDigest, Error> {
        Ok(self.store.digest(&scan::with_prefix(prefix.as_ref()))?)
    }

    /// How large the record of what was seen is. O(n) in the replicas that ever wrote.
    pub fn context_size(&self) -> ContextSize {
        let context = self.store.context();
        ContextSize {
            writers: context.replicas().count(),
            intervals: context.interval_count(),
            dots: context.len(),
        }
    }

    /// Reads every row, and holds digests, counts, indexes and context against what the rows say. Takes time linear in
    /// the namespace.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails. What does not fit is no error but the result.
    pub fn recount(&self) -> Result<Recount, Error> {
        Ok(self.store.recount()?)
    }
}

impl sealed::Rows for View {}

impl ReadRows for View {
    fn row(&self, key: &RowKey) -> Result<Row, Error> {
        Ok(self.store.get(key)?.unwrap_or_default())
    }

    fn rows(&self, range: &KeyRange) -> Result<Items<'_, (RowKey, Row)>, Error> {
        let rows = self.store.scan(range);
        Ok(Box::new(rows.map(|entry| entry.map_err(Error::from))))
    }

    fn first_row(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, Error> {
        Ok(self.store.first(range)?)
    }

    fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, Error> {
        Ok(self.store.row_at(range, n)?)
    }

    fn count_rows(&self, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.store.digest(range)?.count())
    }

    fn digest(&self, range: &KeyRange) -> Result<Option<RangeDigest>, Error> {
        Ok(Some(self.store.digest(range)?))
    }

    fn count_entries(&self, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.store.count_entries(range)?)
    }

    fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store.entry_at(range, n)?)
    }

    fn entries(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.store.entries(range, direction, limit)?)
    }

    fn registers(&self) -> &Registers {
        &self.registers
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn has_deadlines(&self) -> Result<bool, Error> {
        if let Some(known) = self.has_deadlines.get() {
            return Ok(*known);
        }
        let found = self.store.has_deadlines()?;
        Ok(*self.has_deadlines.get_or_init(|| found))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("rows", &self.row_count())
            .finish_non_exhaustive()
    }
}
