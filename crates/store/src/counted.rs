//! The counted index: the members of sorted sets in the order of their scores, and the fields that
//! show nothing. By it ranks, and the sizes of sorted sets and maps, are told without a walk.
//!
//! An entry is the row's key up to the family, and then
//!
//! - of a member of a sorted set, its score in eight bytes that order as scores do, and the member;
//! - of a field of which no reader sees anything, such as the remnant of a counter, the field. The
//!   size of a map is the number of its rows, which the digest tree tells, less the number of these.
//!
//! Over the entries lies a tree of counts: the digest tree of `syncline-merkle`, with the same fences,
//! whose items have no digest. So it is kept up by the same code, and is as dear: a commit reads and
//! writes about one node of a level for each entry that comes or goes.
//!
//! The index is derived from the rows and concerns nobody else: it is in each commit that changes a
//! row that it lists, whoever made the change, and in no digest, session or backup. A transaction
//! sees it with its own [`Changes`] and those of its group before it.

use std::ops::{Bound, ControlFlow};

use syncline_crdt::{Family, Row, RowKey, Score, cell, score};
use syncline_merkle::tree::{self, Rebuild};
use syncline_merkle::{
    Change, DigestKey, Item, ItemDigest, KeyRange, Node, NodeEdit, Nodes, RangeDigest,
};

use crate::commit::ChangedRow;
use crate::engine::{Batch, Direction, Engine, EngineError, Snapshot, Table};
use crate::format;
use crate::{StoreError, View};

mod audit;
mod changes;

pub(crate) use audit::{Repairs, counts_are_sound, is_listed, is_of_a_row, repairs};
pub(crate) use changes::{Changes, Index};

/// The entry of a member of the sorted set under a user key.
///
/// ```
/// use syncline_crdt::{Family, RowKey, Score};
/// use syncline_merkle::KeyRange;
/// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError, score_entry};
///
/// let store = Store::open(MemoryEngine::new(), Config::new("app", [7; 32]))?;
/// store.transact(Durability::Buffered, |txn| {
///     for (member, text) in [("ada", "3"), ("bob", "1.5"), ("eve", "2")] {
///         let set = syncline_crdt::cell::Cell::Base { value: Some(text.into()), baselines: [].into() };
///         txn.put(&RowKey::score(b"game", member.as_bytes()), set.to_bytes())?;
///     }
///     Ok::<_, StoreError>(())
/// })?;
/// let view = store.view()?;
/// let all = KeyRange::prefix(&RowKey::family_prefix(b"game", Family::SCORE));
/// let ada = score_entry(b"game", Score::new(3.0).unwrap(), b"ada");
/// let before = KeyRange { upper: Some(ada.clone()), ..all.clone() };
/// assert_eq!(view.count_entries(&before)?, 2, "her rank");
/// assert_eq!(view.entry_at(&all, 2)?, Some(ada));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn score_entry(user: &[u8], score: Score, member: &[u8]) -> Vec<u8> {
    let mut entry = RowKey::family_prefix(user, Family::SCORE);
    entry.extend_from_slice(&score.to_bytes());
    entry.extend_from_slice(member);
    entry
}

/// The score and the member of an entry, if it is one of a sorted set.
#[must_use]
pub fn read_score_entry(entry: &[u8]) -> Option<(Score, &[u8])> {
    let (prefix, rest) = RowKey::split(entry)?;
    let (score, member) = rest.split_first_chunk()?;
    let score = Score::from_bytes(*score)?;
    (prefix.last() == Some(&Family::SCORE.0)).then_some((score, member))
}

/// The entry of a row, if it is listed.
pub(crate) fn entry(key: &RowKey, row: &Row) -> Option<Vec<u8>> {
    match key.family() {
        Family::SCORE => {
            let score = score::of_row(row)?;
            let member = key.field_bytes();
            let prefix = key.as_bytes().len() - member.len();
            Some([&key.as_bytes()[..prefix], &score.to_bytes(), member].concat())
        }
        Family::FIELD if !row.is_empty() && !cell::is_visible(row) => Some(key.as_bytes().to_vec()),
        _ => None,
    }
}

/// The key of the row that an entry is of.
fn row_key(entry: &[u8]) -> Option<RowKey> {
    let (prefix, rest) = RowKey::split(entry)?;
    let key = match Family(*prefix.last()?) {
        Family::FIELD => entry.to_vec(),
        Family::SCORE => [prefix, rest.get(8..)?].concat(),
        _ => return None,
    };
    RowKey::from_bytes(key).ok()
}

/// Lists the rows that changed, and no longer as what they were.
pub(crate) fn write<E: Engine>(
    base: &View<E>,
    changes: &[ChangedRow<'_>],
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let mut entries = Changes::default();
    for change in changes {
        let was = change.staged.before.counted.as_deref();
        entries.note(was, was, entry(change.key, &change.staged.row));
    }
    if entries.is_empty() {
        return Ok(());
    }
    write_entries(&entries, batch);
    let digest = Some(ItemDigest::ZERO);
    let changes: Vec<Change<'_>> = entries
        .iter()
        .map(|(key, is_there)| Change {
            key,
            old: digest.filter(|_| !is_there),
            new: digest.filter(|_| is_there),
        })
        .collect();
    let edits = tree::apply(&base.shared.digest_key, &Counts(base), &changes)?;
    write_nodes(&edits, batch);
    Ok(())
}

fn write_entries(entries: &Changes, batch: &mut Batch) {
    for (entry, is_there) in entries.iter() {
        match is_there {
            true => batch.put(Table::Counted, entry, &[]),
            false => batch.remove(Table::Counted, entry),
        }
    }
}

fn write_nodes(edits: &[NodeEdit], batch: &mut Batch) {
    for edit in edits {
        let key = format::node_key(edit.level, &edit.fence);
        match edit.digest {
            Some(count) => batch.put(Table::Counts, &key, &count.count().to_be_bytes()),
            None => batch.remove(Table::Counts, &key),
        }
    }
}

/// Lists all rows, as of a store of an older format, which listed none.
pub(crate) fn list_all(
    snapshot: &impl Snapshot,
    digest_key: &DigestKey,
    batch: &mut Batch,
) -> Result<(), EngineError> {
    let mut entries = Vec::new();
    let all = (Bound::Unbounded, Bound::Unbounded);
    snapshot.visit(Table::Rows, all, Direction::Forward, &mut |key, value| {
        // A damaged row is listed when it has been fetched again.
        if let Some((_, row)) = format::read_row(digest_key, key, value)
            && let Ok(key) = format::read_row_key(key)
        {
            entries.extend(entry(&key, &row));
        }
        ControlFlow::Continue(())
    })?;
    entries.sort_unstable();
    let mut nodes = Vec::new();
    let mut rebuild = Rebuild::new(digest_key);
    for entry in &entries {
        batch.put(Table::Counted, entry, &[]);
        rebuild.push(entry, &RangeDigest::counting(1), |edit| nodes.push(edit));
    }
    rebuild.finish(|edit| nodes.push(edit));
    write_nodes(&nodes, batch);
    Ok(())
}

/// Reading the counted index. Its ranges are of entries: [`score_entry`] makes them, and what the
/// entries of a sorted set begin with is what its rows begin with.
impl<E: Engine> View<E> {
    /// How many entries lie in a range. O(log n).
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn count_entries(&self, range: &KeyRange) -> Result<u64, StoreError> {
        Index::of(self).count(range)
    }

    /// The entry of a range that has `n` others of it before it; `None` if there are not so many.
    /// O(log n).
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn entry_at(&self, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Index::of(self).nth(range, n)
    }

    /// The entries of a range from one of its ends, at most `limit`. O(log n), and O(1) for each.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn entries(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        Index::of(self).page(range, direction, limit)
    }

    /// The entry under which a row is listed that cannot tell: of a sorted set, by a search of all of
    /// it.
    pub(crate) fn entry_of(&self, key: &RowKey) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = key.as_bytes();
        let prefix = &bytes[..bytes.len() - key.field_bytes().len()];
        let range = match key.family() {
            Family::SCORE => KeyRange::prefix(prefix),
            Family::FIELD => {
                let listed = self.snapshot.get(Table::Counted, bytes)?;
                return Ok(listed.map(|_| bytes.to_vec()));
            }
            _ => return Ok(None),
        };
        let mut found = None;
        self.collect(
            Table::Counted,
            range.bounds().unwrap_or(crate::view::NOTHING),
            usize::MAX,
            |entry, _| {
                let member = entry[prefix.len()..].get(8..);
                if member == Some(key.field_bytes()) {
                    found = Some(entry.to_vec());
                }
                Ok(())
            },
        )?;
        Ok(found)
    }
}

/// The tree of counts of a view: its items are the entries.
struct Counts<'v, E: Engine>(&'v View<E>);

impl<E: Engine> Nodes for Counts<'_, E> {
    type Error = StoreError;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, StoreError> {
        self.0.last_node(Table::Counts, level, bound, read_node)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, StoreError> {
        self.0
            .nodes_of(Table::Counts, level, range, limit, read_node)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        let entries = Index::of(self.0).page(range, Direction::Forward, limit)?;
        Ok(items(entries))
    }
}

fn items(entries: Vec<Vec<u8>>) -> Vec<Item> {
    let item = |key| Item {
        key,
        digest: ItemDigest::ZERO,
    };
    entries.into_iter().map(item).collect()
}

fn read_node(key: &[u8], value: &[u8]) -> Result<Node, StoreError> {
    format::read_count(key, value).ok_or(StoreError::DamagedTable {
        table: Table::Counts.name(),
        detail: "a value is not a count",
    })
}
