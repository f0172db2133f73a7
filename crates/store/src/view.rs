//! Reading: a consistent view of the store as of one commit.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use syncline_crdt::{Canonical, Context, Dot, Row, RowKey, Stamp};
use syncline_merkle::{Cut, Item, ItemDigest, KeyRange, Node, Nodes, RangeDigest, Source, tree};

use crate::engine::{Bounds, Direction, Engine, Snapshot, Table};
use crate::format;
use crate::store::{Head, Shared};
use crate::{Recount, StoreError};

/// The whole store as of one commit: rows, context, digests and counters that belong together.
///
/// Later commits do not show in it. It keeps what it shows alive, so a file grows while a view is
/// held for long and much is written meanwhile.
///
/// A view is a [`Source`] for reconciliation. What it says of an item is the canonical encoding of
/// its set of live dots.
pub struct View<E: Engine> {
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) snapshot: E::Snapshot,
    pub(crate) head: Head,
    /// Shared by all views, which are counted by it.
    _viewing: Arc<()>,
}

impl<E: Engine> View<E> {
    pub(crate) fn new(shared: Arc<Shared<E>>, snapshot: E::Snapshot, head: Head) -> Self {
        Self {
            _viewing: Arc::clone(&shared.viewing),
            shared,
            snapshot,
            head,
        }
    }

    /// The row at a key, if it is present.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the row fails its checksum, or whatever keeps the engine from
    /// being read.
    pub fn get(&self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        Ok(self.read(key)?.map(|(_, row)| row))
    }

    /// The rows of a range in key order, read as they are asked for. A damaged row is an error in
    /// its place; those after it follow.
    ///
    /// ```
    /// use syncline_crdt::RowKey;
    /// use syncline_merkle::KeyRange;
    /// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
    ///
    /// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
    /// store.transact(Durability::Durable, |txn| {
    ///     for member in ["ada", "bob"] {
    ///         txn.put(&RowKey::member(b"online", member.as_bytes()), Vec::new())?;
    ///     }
    ///     txn.put(&RowKey::cell(b"other"), b"x".to_vec())
    /// })?;
    ///
    /// let view = store.view()?;
    /// let online = KeyRange::prefix(&RowKey::key_prefix(b"online"));
    /// let members: Vec<RowKey> = view.scan(&online).map(|row| row.map(|(key, _)| key)).collect::<Result<_, _>>()?;
    /// assert_eq!(members, [RowKey::member(b"online", b"ada"), RowKey::member(b"online", b"bob")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scan(
        &self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<(RowKey, Row), StoreError>> + Send + '_ {
        let bounds = range.bounds().unwrap_or(NOTHING);
        self.snapshot.range(Table::Rows, bounds).map(|entry| {
            let (key, value) = entry?;
            let row = format::read_row(&self.shared.digest_key, &key, &value);
            let key = format::read_row_key(&key)?;
            match row {
                Some((_, row)) => Ok((key, row)),
                None => Err(damaged(&key)),
            }
        })
    }

    /// The first row of a range. O(log n), and cheaper than to begin a scan.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn first(&self, range: &KeyRange) -> Result<Option<(RowKey, Row)>, StoreError> {
        let bounds = range.bounds().unwrap_or(NOTHING);
        let mut found = Ok(None);
        let digest_key = &self.shared.digest_key;
        self.snapshot.visit(
            Table::Rows,
            bounds,
            Direction::Forward,
            &mut |key, value| {
                found = format::read_row_key(key).and_then(|row_key| {
                    match format::read_row(digest_key, key, value) {
                        Some((_, row)) => Ok(Some((row_key, row))),
                        None => Err(damaged(&row_key)),
                    }
                });
                ControlFlow::Break(())
            },
        )?;
        found
    }

    /// Every dot seen: each is live in a row, or dead for good.
    pub fn context(&self) -> &Context {
        &self.head.context
    }

    /// The context in a form that can be kept without a copy.
    pub fn shared_context(&self) -> Arc<Context> {
        Arc::clone(&self.head.context)
    }

    /// The digest of all rows. Equal roots are how two replicas know that they hold the same.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn root(&self) -> Result<RangeDigest, StoreError> {
        tree::root(self)
    }

    /// The digest of the rows of a range. O(log n), whatever the range.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn digest(&self, range: &KeyRange) -> Result<RangeDigest, StoreError> {
        tree::digest(self, range)
    }

    /// The key of the row that has `n` others of the range before it; `None` if there are not so many. O(log n). A damaged row counts.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn row_at(&self, range: &KeyRange, n: u64) -> Result<Option<RowKey>, StoreError> {
        let found = tree::nth(self, range, n)?;
        found.map(|key| format::read_row_key(&key)).transpose()
    }

    /// How many rows there are. O(1); the count of a range is in its digest.
    pub fn row_count(&self) -> u64 {
        self.head.state.rows
    }

    /// How many user keys are held, that is, have a row. O(1).
    ///
    /// A key of which only a deadline or the remnant of a counter is left is held, and so is one
    /// that its deadline hides, until it is collected.
    pub fn key_count(&self) -> u64 {
        self.head.state.keys
    }

    /// The greatest stamp that the store has made or observed.
    pub fn clock(&self) -> Stamp {
        self.head.clock()
    }

    /// The time by the store's clock, in Unix milliseconds: the wall clock, but never behind a time
    /// of which the store has said that all it made until then is known.
    pub fn now_ms(&self) -> u64 {
        let wall_ms = self.shared.environment.wall_ms();
        wall_ms.max(self.head.state.as_of_ms)
    }

    /// How many rows were withdrawn since the store was opened.
    ///
    /// A context taken before a withdrawal claims dots that the store no longer holds. Whoever
    /// received it would take the rows' absence for their removal. So a session that began under
    /// another count has to end, and tell its peer not to merge the context that it was given.
    pub fn withdrawals(&self) -> u64 {
        self.head.withdrawals
    }

    /// Reads every row, and holds digests, counters, dot index and context against what the rows
    /// say.
    ///
    /// Time linear in the store, with a look-up for each dot; memory does not grow with it.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read. What does not fit is no error but the result.
    pub fn recount(&self) -> Result<Recount, StoreError> {
        crate::recount::recount(self)
    }

    /// The row at a key with its digest.
    pub(crate) fn read(&self, key: &RowKey) -> Result<Option<(ItemDigest, Row)>, StoreError> {
        let Some(value) = self.snapshot.get(Table::Rows, key.as_bytes())? else {
            return Ok(None);
        };
        match format::read_row(&self.shared.digest_key, key.as_bytes(), &value) {
            Some(read) => Ok(Some(read)),
            None => Err(damaged(key)),
        }
    }

    /// The row key under which the dot index lists a dot.
    pub(crate) fn indexed(&self, dot: Dot) -> Result<Option<RowKey>, StoreError> {
        let key = self.snapshot.get(Table::Dots, &format::dot_key(dot))?;
        key.map(|key| format::read_row_key(&key)).transpose()
    }

    /// Shows the dot index between two counters of a replica, inclusive, to `visitor` until it
    /// breaks off.
    pub(crate) fn visit_dots(
        &self,
        first: Dot,
        last: Dot,
        mut visitor: impl FnMut(Dot, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (first, last) = (format::dot_key(first), format::dot_key(last));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut outcome = Ok(());
        self.snapshot
            .visit(Table::Dots, bounds, Direction::Forward, &mut |dot, key| {
                match format::read_dot_key(dot) {
                    Some(dot) => visitor(dot, key),
                    None => {
                        outcome = Err(damaged_index());
                        ControlFlow::Break(())
                    }
                }
            })?;
        outcome
    }
}

pub(crate) fn damaged(key: &RowKey) -> StoreError {
    StoreError::Damaged {
        key: key.as_bytes().to_vec(),
    }
}

pub(crate) fn damaged_index() -> StoreError {
    StoreError::DamagedTable {
        table: Table::Dots.name(),
        detail: "a key is not of a dot",
    }
}

/// Bounds of a range that holds no key.
pub(crate) const NOTHING: Bounds<'static> = (Bound::Included(b""), Bound::Excluded(b""));

/// The digest tree, read from its table; items are the first bytes of the rows, which are not
/// checked here.
impl<E: Engine> Nodes for View<E> {
    type Error = StoreError;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, StoreError> {
        self.last_node(Table::Digests, level, bound, node)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, StoreError> {
        self.nodes_of(Table::Digests, level, range, limit, node)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.items_as(range, limit, |key, value| {
            format::row_digest(value).ok_or_else(|| StoreError::Damaged { key: key.to_vec() })
        })
    }
}

/// Makes a node of an entry of a tree's table.
type ReadNode = fn(&[u8], &[u8]) -> Result<Node, StoreError>;

impl<E: Engine> View<E> {
    /// Of a tree in this table, the last node of a level whose fence lies before `bound`.
    pub(crate) fn last_node(
        &self,
        table: Table,
        level: u8,
        bound: &[u8],
        read: ReadNode,
    ) -> Result<Option<Node>, StoreError> {
        let (lower, upper) = ([level], format::node_key(level, bound));
        let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
        let mut last = Ok(None);
        self.snapshot
            .visit(table, bounds, Direction::Backward, &mut |key, value| {
                last = read(key, value).map(Some);
                ControlFlow::Break(())
            })?;
        last
    }

    /// Of a tree in this table, the first nodes of a level in a range, at most `limit`.
    pub(crate) fn nodes_of(
        &self,
        table: Table,
        level: u8,
        range: &KeyRange,
        limit: usize,
        read: ReadNode,
    ) -> Result<Vec<Node>, StoreError> {
        let lower = format::node_key(level, &range.lower);
        let upper = match &range.upper {
            Some(upper) => format::node_key(level, upper),
            None => vec![level + 1],
        };
        let bounds = (Bound::Included(&lower[..]), Bound::Excluded(&upper[..]));
        let mut nodes = Vec::new();
        self.collect(table, bounds, limit, |key, value| {
            nodes.push(read(key, value)?);
            Ok(())
        })?;
        Ok(nodes)
    }

    /// The first rows of a range, at most `limit`, each with the digest that `digest` takes from
    /// its stored bytes.
    pub(crate) fn items_as(
        &self,
        range: &KeyRange,
        limit: usize,
        mut digest: impl FnMut(&[u8], &[u8]) -> Result<ItemDigest, StoreError>,
    ) -> Result<Vec<Item>, StoreError> {
        let bounds = range.bounds().unwrap_or(NOTHING);
        let mut items = Vec::new();
        self.collect(Table::Rows, bounds, limit, |key, value| {
            items.push(Item {
                key: key.to_vec(),
                digest: digest(key, value)?,
            });
            Ok(())
        })?;
        Ok(items)
    }

    /// Shows the first entries within the bounds, at most `limit`, to a visitor that can fail.
    pub(crate) fn collect(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        limit: usize,
        mut visitor: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if limit == 0 {
            return Ok(());
        }
        let mut left = limit;
        let mut outcome = Ok(());
        self.snapshot
            .visit(table, bounds, Direction::Forward, &mut |key, value| {
                outcome = visitor(key, value);
                left -= 1;
                if outcome.is_err() || left == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        outcome
    }
}

fn node(key: &[u8], value: &[u8]) -> Result<Node, StoreError> {
    format::read_node(key, value).ok_or(StoreError::DamagedTable {
        table: Table::Digests.name(),
        detail: "a value is not a range digest",
    })
}

impl<E: Engine> Source for View<E> {
    type Error = StoreError;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, StoreError> {
        tree::digest(self, range)
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, StoreError> {
        tree::cut(self, range, level, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        Nodes::items(self, range, limit)
    }

    /// The live dots of the row: the canonical encoding of a set of dots. Empty for an absent row.
    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut description = Vec::new();
        if let Some(row) = self.get(&format::read_row_key(key)?)? {
            (row.len() as u64).encode(&mut description);
            row.dots().for_each(|dot| dot.encode(&mut description));
        }
        Ok(description)
    }
}
