//! The bytes on disk: what each table's keys and values look like. Frozen; golden tests hold every
//! one of them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | u32: the version of all of this |
//! | | `namespace` | UTF-8 |
//! | | `secret` | 16 bytes, fingerprint of the cluster's secret |
//! | | `openings` | (u64, 16 bytes) each: first commit of an opening, its id |
//! | | `state` | u64 × 8: commits, greatest stamp, rows, user keys; of the removal log first place, place after the last, bytes; as of when (Unix ms); then 16 bytes, the seal |
//! | | `scrub` | u64: when the last scrub finished, Unix milliseconds, 0 if none has; then where the next goes on: table (1 byte), key |
//! | | `condemned` | key of a row that is damaged beyond repair; the store is not opened |
//! | | `carrier` | 16 bytes, the store's name among its carriers |
//! | | `roster` | the carriers that count, those that were forgotten |
//! | | `origins` | 16 bytes each: whose rows came with a backup, until another carrier is known to count with this store; absent if none |
//! | | `heard`, name of a carrier (16 bytes) | u64: as of when (Unix ms); the context that it was heard to have |
//! | `rows` | row key | 32 bytes of item digest, canonical row |
//! | `dots` | replica (16 bytes), counter (u64) | row key |
//! | `digests` | level (1 byte), fence | 40 bytes of range digest |
//! | `context` | replica, first counter (u64) | last counter (u64) |
//! | `removals` | 0, removal's replica, counter (u64), row key | none |
//! | | 1, place in the log (u64) | removal's replica, counter (u64) |
//! | | 2, replica, first counter (u64) | last counter (u64): removals by these dots may be missing |
//! | | 3 | u64 × 2, of the log of departures: the last commit whose departures may be missing, bytes |
//! | | 3, commit (u64), index of the first (u32) | up to 128 row keys that departed, packed |
//! | | 4, first of the removals' dots | a removal of a range: its dots, bounds, and what had been observed, in canonical bytes |
//! | `sketch` | 0, index of the first (u16) | u64: commit of the checkpoint; 64 symbols |
//! | | 1, number (u16) | u64: commit of the checkpoint that they follow; changes |
//! | `due` | 0, earliest deadline (Unix ms, u64), row key | none |
//! | | 1, row key | none: of a row of nothing but "no deadline" |
//! | | 2, row key | none: of the remnant of a counter |
//! | `counted` | what the row key begins with, score (8 bytes), member | none: of a member of a sorted set |
//! | | row key | none: of a field that shows nothing |
//! | `counts` | level (1 byte), fence | u64: how many entries of `counted` |
//!
//! A change of the sketch is a byte, 1 for a dot that became live and 0 for one that died, the tag of
//! its replica (u64) and its counter (u64). Rows of changes that follow an earlier checkpoint are
//! left over.
//!
//! Departed row keys ascend. Each is packed as the length of what it has in common with the one
//! before it, the length of the rest, both as varints, and the rest.
//!
//! Format 1 had neither a removal log nor a sketch, and a `state` of four numbers. Format 2 knew of
//! missing removals only up to which dot of a replica (2, replica) they may be missing, and had no
//! removals of ranges, departures, openings, carriers and `due`, and a `state` of seven numbers. Format 3
//! had no seal, and format 4 nothing that is counted. Opening a store of an older format makes it one of this.
//!
//! The seal is over the numbers of the `state`, the table `context` and all of `meta` but `state` and
//! `scrub`. With *K* = the item key that is derived from BLAKE3's `derive_key("syncline-store v1: seal of
//! a commit", secret)`, it is the first 16 bytes of the item digest under *K* whose key are the numbers,
//! and whose value is the range digest of the sealed rows, each an item under *K*.
//!
//! A score is its bits as IEEE 754 has them, with the sign inverted, and all others as well where it is
//! negative; zero has no sign, and what is not a number is no score.
//!
//! Integers are big-endian, so that keys order as what they stand for does. A row's digest is over
//! its key and its canonical bytes and doubles as its checksum. What is inside a row, families and
//! payload tags included, is opaque here: a version that does not know them keeps them as they are.

use syncline_crdt::{Canonical, CarrierId, Context, Dot, ReplicaId, Row, RowKey, Stamp};
use syncline_merkle::{DigestKey, ItemDigest, Node, RangeDigest};

use crate::watch::departures::Place;
use crate::{Batch, Phase, RangeRemoval, Removal, StoreError, Table};

/// The version of the layout that this code reads and writes.
pub const FORMAT: u32 = 5;

/// The keys of the `meta` table.
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const NAMESPACE: &[u8] = b"namespace";
    pub(crate) const SECRET: &[u8] = b"secret";
    pub(crate) const STATE: &[u8] = b"state";
    pub(crate) const OPENINGS: &[u8] = b"openings";
    pub(crate) const SCRUB: &[u8] = b"scrub";
    pub(crate) const CONDEMNED: &[u8] = b"condemned";
    pub(crate) const CARRIER: &[u8] = b"carrier";
    pub(crate) const ROSTER: &[u8] = b"roster";
    pub(crate) const ORIGINS: &[u8] = b"origins";
    /// The name of a carrier follows.
    pub(crate) const HEARD: &[u8] = b"heard";
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
    /// What the removal log holds.
    pub(crate) log: LogState,
    /// All that the store made until this time, by its clock, in Unix milliseconds, is in this
    /// commit or an earlier one; and its clock shows no earlier time any more.
    pub(crate) as_of_ms: u64,
}

/// How far the removal log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LogState {
    /// The place of its oldest removal.
    pub(crate) start: u64,
    /// The place after its newest.
    pub(crate) end: u64,
    /// What their rows take.
    pub(crate) bytes: u64,
}

/// How far the log of departures reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DepartureState {
    /// The last commit of which departures may be missing.
    pub(crate) floor: u64,
    /// What its entries take.
    pub(crate) bytes: u64,
}

impl DepartureState {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.floor.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (floor, bytes) = bytes.split_first_chunk()?;
        Some(Self {
            floor: u64::from_be_bytes(*floor),
            bytes: u64::from_be_bytes(bytes.try_into().ok()?),
        })
    }
}

/// The bytes of a seal.
pub(crate) const SEAL: usize = 16;

impl State {
    const LEN: usize = 8 * 8;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (words, _) = bytes.as_chunks_mut::<8>();
        let fields = [
            self.commits,
            self.clock.as_u64(),
            self.rows,
            self.keys,
            self.log.start,
            self.log.end,
            self.log.bytes,
            self.as_of_ms,
        ];
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field.to_be_bytes();
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_be_bytes(words[at]);
        let log = LogState {
            start: word(4),
            end: word(5),
            bytes: word(6),
        };
        (log.start <= log.end).then_some(Self {
            commits: word(0),
            clock: Stamp::from_u64(word(1)),
            rows: word(2),
            keys: word(3),
            log,
            as_of_ms: word(7),
        })
    }

    /// As a commit writes it, with its seal.
    pub(crate) fn to_sealed(self, seal: [u8; SEAL]) -> [u8; Self::LEN + SEAL] {
        let mut bytes = [0; Self::LEN + SEAL];
        bytes[..Self::LEN].copy_from_slice(&self.to_bytes());
        bytes[Self::LEN..].copy_from_slice(&seal);
        bytes
    }

    pub(crate) fn from_sealed(bytes: &[u8]) -> Option<(Self, [u8; SEAL])> {
        let (state, seal) = bytes.split_last_chunk()?;
        Some((Self::from_bytes(state)?, *seal))
    }

    /// The state of a store of an older format: format 1 logged no removals, 2 kept no time, and 3
    /// sealed nothing.
    pub(crate) fn from_older(bytes: &[u8], format: u32) -> Option<Self> {
        let words = match format {
            1 => 4,
            2 => 7,
            _ => 8,
        };
        let mut padded = [0; Self::LEN];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (bytes.len() == words * 8)
            .then_some(padded)
            .and_then(|bytes| Self::from_bytes(&bytes))
    }
}

/// Where a scrub goes on: in the table of its phase, at this key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScrubPosition {
    pub(crate) phase: Phase,
    pub(crate) from: Vec<u8>,
}

pub(crate) fn write_scrub(finished_ms: u64, position: &ScrubPosition, batch: &mut Batch) {
    batch.put_with(Table::Meta, meta::SCRUB, |out| {
        out.extend_from_slice(&finished_ms.to_be_bytes());
        out.push(position.phase as u8);
        out.extend_from_slice(&position.from);
    });
}

pub(crate) fn read_scrub(value: &[u8]) -> Option<(u64, ScrubPosition)> {
    let (finished_ms, position) = value.split_first_chunk()?;
    let (phase, from) = position.split_first()?;
    let position = ScrubPosition {
        phase: *Phase::ALL.get(usize::from(*phase))?,
        from: from.to_vec(),
    };
    Some((u64::from_be_bytes(*finished_ms), position))
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

/// What stands in for the digest of a row that may be damaged: the bytes that are there, and zeros.
/// It is wrong where they are, and always the same, so that what is summed up with it can be taken
/// out again.
pub(crate) fn row_digest_as_it_is(value: &[u8]) -> ItemDigest {
    let mut digest = [0; ITEM_DIGEST];
    let len = value.len().min(ITEM_DIGEST);
    digest[..len].copy_from_slice(&value[..len]);
    ItemDigest::from_bytes(digest)
}

/// The dots in the value of a damaged row, if it can still be read as one.
pub(crate) fn damaged_dots(value: &[u8]) -> Vec<Dot> {
    let row = value
        .get(ITEM_DIGEST..)
        .and_then(|row| Row::from_bytes(row).ok());
    row.map(|row| row.dots().collect()).unwrap_or_default()
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

/// A node of the tree of counts.
pub(crate) fn read_count(key: &[u8], value: &[u8]) -> Option<Node> {
    let (_, fence) = key.split_first()?;
    Some(Node {
        fence: fence.to_vec(),
        digest: RangeDigest::counting(u64::from_be_bytes(value.try_into().ok()?)),
    })
}

/// The key of a removed row in the removal log; with an empty row key, of the first under a dot.
pub(crate) fn removal_key(dot: Dot, row_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(25 + row_key.len());
    key.push(REMOVED);
    key.extend_from_slice(&dot_key(dot));
    key.extend_from_slice(row_key);
    key
}

pub(crate) fn read_removal(key: &[u8]) -> Option<Removal> {
    let (dot, row_key) = key.strip_prefix(&[REMOVED])?.split_at_checked(24)?;
    Some(Removal {
        dot: read_dot_key(dot)?,
        key: RowKey::from_bytes(row_key.to_vec()).ok()?,
    })
}

/// The key of a removal by its place in the log.
pub(crate) fn log_key(place: u64) -> [u8; 9] {
    let mut key = [LOGGED; 9];
    key[1..].copy_from_slice(&place.to_be_bytes());
    key
}

/// What a place in the log takes.
pub(crate) const LOG_LEN: u64 = 9 + 24;

pub(crate) fn read_log(key: &[u8], value: &[u8]) -> Option<(u64, Dot)> {
    let place = key.strip_prefix(&[LOGGED])?.try_into().ok()?;
    Some((u64::from_be_bytes(place), read_dot_key(value)?))
}

/// The key of an interval of dots whose removals may be missing from the log, by the first of them.
pub(crate) fn missing_key(first: Dot) -> [u8; 25] {
    let mut key = [MISSING; 25];
    key[1..].copy_from_slice(&dot_key(first));
    key
}

/// Adds such an interval to those read before.
pub(crate) fn read_missing(key: &[u8], value: &[u8], missing: &mut Context) -> Option<()> {
    read_interval(key.strip_prefix(&[MISSING])?, value, missing)
}

/// What format 2 had instead: the last dot of a replica whose removal may be missing.
pub(crate) fn read_floor(key: &[u8], value: &[u8]) -> Option<Dot> {
    let replica = key.strip_prefix(&[MISSING])?.try_into().ok()?;
    let counter = u64::from_be_bytes(value.try_into().ok()?);
    Some(Dot::new(ReplicaId::from_bytes(replica), counter))
}

/// The key of a removal of a range, by the first of its dots.
pub(crate) fn range_key(first: Dot) -> [u8; 25] {
    let mut key = [RANGES; 25];
    key[1..].copy_from_slice(&dot_key(first));
    key
}

pub(crate) fn read_range(key: &[u8], value: &[u8]) -> Option<(Dot, RangeRemoval)> {
    let first = read_dot_key(key.strip_prefix(&[RANGES])?)?;
    let removal = RangeRemoval::from_bytes(value).ok()?;
    (removal.first() == Some(first)).then_some((first, removal))
}

/// What the keys of the removal log begin with.
pub(crate) const REMOVED: u8 = 0;
pub(crate) const LOGGED: u8 = 1;
pub(crate) const MISSING: u8 = 2;
pub(crate) const DEPARTURES: u8 = 3;
pub(crate) const RANGES: u8 = 4;

/// The key of an entry of the log of departures, by the first in it.
pub(crate) fn departures_key(first: Place) -> [u8; 13] {
    let mut key = [DEPARTURES; 13];
    key[1..9].copy_from_slice(&first.commit.to_be_bytes());
    key[9..].copy_from_slice(&first.index.to_be_bytes());
    key
}

pub(crate) fn read_departures_key(key: &[u8]) -> Option<Place> {
    let (commit, index) = key.strip_prefix(&[DEPARTURES])?.split_first_chunk()?;
    Some(Place {
        commit: u64::from_be_bytes(*commit),
        index: u32::from_be_bytes(index.try_into().ok()?),
    })
}

/// The key of the symbols of a checkpoint from this index on.
pub(crate) fn checkpoint_key(first: u16) -> [u8; 3] {
    let [high, low] = first.to_be_bytes();
    [0, high, low]
}

/// The key of a row of changes since the checkpoint.
pub(crate) fn changes_key(number: u16) -> [u8; 3] {
    let [high, low] = number.to_be_bytes();
    [1, high, low]
}

/// What all rows of the row key's user key begin with, and no others.
pub(crate) fn user_part(key: &RowKey) -> &[u8] {
    let bytes = key.as_bytes();
    &bytes[..bytes.len() - key.field_bytes().len() - 1]
}

/// The key of what a carrier was heard to say.
pub(crate) fn heard_key(carrier: CarrierId) -> Vec<u8> {
    [meta::HEARD, carrier.as_bytes()].concat()
}

/// What a carrier has said: its context, and as of when.
pub(crate) fn heard_value(context: &Context, as_of_ms: u64) -> Vec<u8> {
    let mut value = as_of_ms.to_be_bytes().to_vec();
    context.encode(&mut value);
    value
}

pub(crate) fn read_heard(key: &[u8], value: &[u8]) -> Option<(CarrierId, Context, u64)> {
    let carrier = key.strip_prefix(meta::HEARD)?.try_into().ok()?;
    let (as_of_ms, context) = value.split_first_chunk()?;
    let context = Context::from_bytes(context).ok()?;
    Some((
        CarrierId::from_bytes(carrier),
        context,
        u64::from_be_bytes(*as_of_ms),
    ))
}

/// The row key in a table's bytes.
pub(crate) fn read_row_key(bytes: &[u8]) -> Result<RowKey, StoreError> {
    RowKey::from_bytes(bytes.to_vec()).map_err(|_| StoreError::Damaged {
        key: bytes.to_vec(),
    })
}
