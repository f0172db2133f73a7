//! The bytes on disk: what each table's keys and values look like. Frozen; golden tests hold every
//! one of them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | u32: the version of all of this |
//! | | `namespace` | UTF-8 |
//! | | `secret` | 16 bytes, fingerprint of the cluster's secret |
//! | | `state` | u64 × 4: commits, greatest stamp, rows, user keys |
//! | `rows` | row key | 32 bytes of item digest, canonical row |
//! | `dots` | replica (16 bytes), counter (u64) | row key |
//! | `digests` | level (1 byte), fence | 40 bytes of range digest |
//! | `context` | replica, first counter (u64) | last counter (u64) |
//! | `removals`, `sketch` | reserved | |
//!
//! Integers are big-endian, so that keys order as what they stand for does. A row's digest is over
//! its key and its canonical bytes and doubles as its checksum. What is inside a row, families and
//! payload tags included, is opaque here: a version that does not know them keeps them as they are.

use syncline_crdt::{Canonical, Context, Dot, ReplicaId, Row, RowKey, Stamp};
use syncline_merkle::{DigestKey, ItemDigest, Node, RangeDigest};

use crate::StoreError;

/// The version of the layout that this code reads and writes.
pub const FORMAT: u32 = 1;

/// The keys of the `meta` table.
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const NAMESPACE: &[u8] = b"namespace";
    pub(crate) const SECRET: &[u8] = b"secret";
    pub(crate) const STATE: &[u8] = b"state";
}

/// What every commit moves, in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Counts the commits of the store's whole life: tells which commit a snapshot is of.
    pub(crate) commits: u64,
    /// The greatest stamp made or observed.
    pub(crate) clock: Stamp,
    /// Live rows.
    pub(crate) rows: u64,
    /// User keys with at least one live row.
    pub(crate) keys: u64,
}

impl State {
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (words, _) = bytes.as_chunks_mut::<8>();
        let fields = [self.commits, self.clock.as_u64(), self.rows, self.keys];
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field.to_be_bytes();
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else {
            return None;
        };
        let [commits, clock, rows, keys] = *words else {
            return None;
        };
        Some(Self {
            commits: u64::from_be_bytes(commits),
            clock: Stamp::from_u64(u64::from_be_bytes(clock)),
            rows: u64::from_be_bytes(rows),
            keys: u64::from_be_bytes(keys),
        })
    }
}

/// Appends the value of a row to `out` and returns its digest. `out` must be empty.
pub(crate) fn write_row(
    digest_key: &DigestKey,
    key: &RowKey,
    row: &Row,
    out: &mut Vec<u8>,
) -> ItemDigest {
    out.extend_from_slice(&[0; ITEM_DIGEST]);
    row.encode(out);
    let digest = digest_key.item(key.as_bytes(), &out[ITEM_DIGEST..]);
    out[..ITEM_DIGEST].copy_from_slice(digest.as_bytes());
    digest
}

const ITEM_DIGEST: usize = 32;

/// The item digest at the front of a row's value; `None` if the value is too short to have one.
pub(crate) fn row_digest(value: &[u8]) -> Option<ItemDigest> {
    value
        .first_chunk()
        .map(|bytes| ItemDigest::from_bytes(*bytes))
}

/// A row as read, if its checksum holds.
pub(crate) fn read_row(
    digest_key: &DigestKey,
    key: &[u8],
    value: &[u8],
) -> Option<(ItemDigest, Row)> {
    let (digest, row) = value.split_first_chunk::<ITEM_DIGEST>()?;
    let digest = ItemDigest::from_bytes(*digest);
    if digest_key.item(key, row) != digest {
        return None;
    }
    // An empty row is never stored, and nothing but canonical bytes is ever digested.
    let row = Row::from_bytes(row).ok().filter(|row| !row.is_empty())?;
    Some((digest, row))
}

/// Replica and counter: the key of a dot, and of an interval by its first dot.
pub(crate) fn dot_key(dot: Dot) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(dot.replica.as_bytes());
    key[16..].copy_from_slice(&dot.counter.to_be_bytes());
    key
}

pub(crate) fn read_dot_key(key: &[u8]) -> Option<Dot> {
    let (replica, counter) = key.split_first_chunk::<16>()?;
    let counter = u64::from_be_bytes(counter.try_into().ok()?);
    (counter > 0).then(|| Dot::new(ReplicaId::from_bytes(*replica), counter))
}

/// Adds a persisted interval to the context being read, if it is one that a context could have
/// there.
pub(crate) fn read_interval(key: &[u8], value: &[u8], context: &mut Context) -> Option<()> {
    let first = read_dot_key(key)?;
    let end = u64::from_be_bytes(value.try_into().ok()?);
    // Intervals are disjoint, do not touch, and come in order: each adds exactly one.
    let before = context.interval_count();
    context.insert_range(first.replica, first.counter, end);
    (first.counter <= end && context.interval_count() == before + 1).then_some(())
}

/// The key of a digest node.
pub(crate) fn node_key(level: u8, fence: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + fence.len());
    key.push(level);
    key.extend_from_slice(fence);
    key
}

pub(crate) fn read_node(key: &[u8], value: &[u8]) -> Option<Node> {
    let (_, fence) = key.split_first()?;
    Some(Node {
        fence: fence.to_vec(),
        digest: RangeDigest::from_bytes(value.try_into().ok()?),
    })
}

/// What all rows of the row key's user key begin with, and no others.
pub(crate) fn user_part(key: &RowKey) -> &[u8] {
    let bytes = key.as_bytes();
    &bytes[..bytes.len() - key.field_bytes().len() - 1]
}

/// The row key in a table's bytes.
pub(crate) fn read_row_key(bytes: &[u8]) -> Result<RowKey, StoreError> {
    RowKey::from_bytes(bytes.to_vec()).map_err(|_| StoreError::Damaged {
        key: bytes.to_vec(),
    })
}
