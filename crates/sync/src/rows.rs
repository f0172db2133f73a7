//! Rows on the wire.
//!
//! A row is written against the one before it in the frame: neighbours in key order share prefixes, and the rows of a
//! frame were mostly written by one replica at about the same time. So a row costs 8 bytes or so beside its key and
//! payload, less what its key shares. Frames do not depend on one another.
//!
//! ```text
//! rows    = row*                                   to the end of the frame
//! row     = head shared tail sibling{n}
//! head    = varint(2 n + cell)                     n siblings; cell: the row key ends in 00 01 01, left out
//! shared  = varint                                 bytes of the row key that are those of the row before
//! tail    = varint(length) byte*                   the others
//! sibling = varint(2 id + known) [16 bytes] counter [stamp payload]
//! id      = 0 for a replica id that follows and is new to the frame, else its place among these, from 1
//! counter = zigzag                                 less the last counter of this replica in the frame, at first 0
//! stamp   = zigzag                                 less the last stamp in the frame, at first 0
//! payload = varint(length) byte*
//! ```
//!
//! A *known* sibling comes without stamp and payload: the sender says that it holds it, and has reason to say that the
//! receiver has seen its dot. The receiver keeps it if it has it, and knows it for dead otherwise.
//!
//! Varints are those of the canonical encodings; differences wrap around in 64 bits.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::AddAssign;

use syncline_crdt::{
    Canonical, DecodeError, Dot, Family, Input, ReplicaId, Row, RowKey, Seen, Sibling, Stamp,
};

use crate::error::SessionError;
use crate::frame::MAX_FRAME;

pub(crate) mod removers;

/// What the row key of a string, register or counter ends with.
const CELL_END: [u8; 3] = [0x00, 0x01, Family::CELL.0];

/// What the rows of one frame may take in memory, with the prefixes of their keys put back. A frame of honest rows
/// stays far below; without a bound, a frame of a few bytes per row could unfold to gigabytes of keys.
const MAX_UNFOLDED: usize = 2 * MAX_FRAME;

/// A row as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) key: RowKey,
    /// The siblings that came with their payload.
    pub(crate) row: Row,
    /// The dots of those that did not.
    pub(crate) known: Vec<Dot>,
}

/// Writes the rows of a frame.
#[derive(Debug, Default)]
pub(crate) struct RowWriter {
    out: Vec<u8>,
    before: Before,
    key: Vec<u8>,
    ids: BTreeMap<ReplicaId, u64>,
    tally: Tally,
}

/// What differences are taken against.
#[derive(Debug, Default)]
struct Before {
    /// The last counter of each replica, in the order in which they came up.
    counters: Vec<u64>,
    stamp: u64,
}

/// What the rows of a frame amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Rows with at least one payload.
    pub(crate) rows: u64,
    /// Bytes of their user keys, fields and values.
    pub(crate) user_bytes: u64,
}

impl Tally {
    /// A row at this key, with payloads of these lengths.
    pub(crate) fn of(key: &RowKey, payloads: impl Iterator<Item = usize>) -> Self {
        let mut tally = Self::default();
        for length in payloads {
            tally += Self::fragment(key, length, tally.rows == 0);
        }
        tally
    }

    /// A payload of this length, of a row at this key, which is counted with the last of them.
    pub(crate) fn fragment(key: &RowKey, payload: usize, last: bool) -> Self {
        // Values of cells and fields are stored behind a tag of one byte.
        let tag = usize::from(matches!(
            key.family(),
            Family::CELL | Family::FIELD | Family::SCORE
        ));
        let value = payload.saturating_sub(tag);
        let key = if last {
            key.user_key().len() + key.field_bytes().len()
        } else {
            0
        };
        Self {
            rows: u64::from(last),
            user_bytes: (value + key) as u64,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.user_bytes += other.user_bytes;
    }
}

impl RowWriter {
    /// Appends a row. Siblings that `known` contains go without their payload.
    pub(crate) fn push(&mut self, key: &RowKey, row: &Row, known: &impl Seen) {
        self.key(key, row.len());
        for sibling in row {
            self.sibling(sibling, known.contains(&sibling.dot));
        }
        let sent = row.iter().filter(|sibling| !known.contains(&sibling.dot));
        self.tally += Tally::of(key, sent.map(|sibling| sibling.payload.len()));
    }

    /// Appends a key without siblings.
    pub(crate) fn push_key(&mut self, key: &RowKey) {
        self.key(key, 0);
    }

    fn key(&mut self, key: &RowKey, siblings: usize) {
        let bytes = key.as_bytes();
        let stem = bytes.strip_suffix(&CELL_END);
        let head = 2 * siblings as u64 + u64::from(stem.is_some());
        let stem = stem.unwrap_or(bytes);
        let shared = stem
            .iter()
            .zip(&self.key)
            .take_while(|(a, b)| a == b)
            .count();
        head.encode(&mut self.out);
        (shared as u64).encode(&mut self.out);
        put_bytes(&stem[shared..], &mut self.out);
        self.key.truncate(shared);
        self.key.extend_from_slice(&bytes[shared..]);
    }

    fn sibling(&mut self, sibling: &Sibling<Vec<u8>>, known: bool) {
        let Dot { replica, counter } = sibling.dot;
        let place = self.ids.get(&replica).copied();
        (2 * place.unwrap_or(0) + u64::from(known)).encode(&mut self.out);
        let place = place.unwrap_or_else(|| {
            replica.encode(&mut self.out);
            self.before.counters.push(0);
            let place = self.before.counters.len() as u64;
            self.ids.insert(replica, place);
            place
        });
        let last = &mut self.before.counters[place as usize - 1];
        put_difference(last, counter, &mut self.out);
        if !known {
            put_difference(
                &mut self.before.stamp,
                sibling.stamp.as_u64(),
                &mut self.out,
            );
            put_bytes(&sibling.payload, &mut self.out);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The rows of the frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// What they amount to.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

/// Reads the rows of a frame.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<Arrival>, Tally), SessionError> {
    let mut reader = Reader {
        input: Input::new(bytes),
        before: Before::default(),
        key: Vec::new(),
        ids: Vec::new(),
        left: MAX_UNFOLDED,
    };
    let (mut rows, mut tally) = (Vec::new(), Tally::default());
    while reader.input.remaining() > 0 {
        let arrival = reader
            .row()
            .map_err(|_| SessionError::Malformed("its rows cannot be read"))?;
        tally += Tally::of(
            &arrival.key,
            arrival.row.iter().map(|sibling| sibling.payload.len()),
        );
        rows.push(arrival);
    }
    Ok((rows, tally))
}

/// What a sibling holds.
type Content = (Stamp, Vec<u8>);

struct Reader<'a> {
    input: Input<'a>,
    before: Before,
    key: Vec<u8>,
    ids: Vec<ReplicaId>,
    /// What the rows to come may still unfold to.
    left: usize,
}

impl<'a> Reader<'a> {
    fn row(&mut self) -> Result<Arrival, DecodeError> {
        self.unfold(size_of::<Arrival>())?;
        let head = u64::decode(&mut self.input)?;
        let key = self.row_key(head & 1 == 1)?;
        let (mut row, mut known) = (Vec::new(), Vec::new());
        let mut last: Option<Dot> = None;
        for _ in 0..head >> 1 {
            let (dot, payload) = self.sibling()?;
            if dot.counter == 0 {
                return Err(DecodeError::Invalid("a dot whose counter is zero"));
            }
            if last.is_some_and(|last| last >= dot) {
                return Err(DecodeError::OutOfOrder);
            }
            last = Some(dot);
            match payload {
                Some((stamp, payload)) => row.push(Sibling {
                    dot,
                    stamp,
                    payload,
                }),
                None => {
                    self.unfold(size_of::<Dot>())?;
                    known.push(dot);
                }
            }
        }
        let row = row.into_iter().collect();
        Ok(Arrival { key, row, known })
    }

    fn row_key(&mut self, cell: bool) -> Result<RowKey, DecodeError> {
        let shared =
            usize::try_from(u64::decode(&mut self.input)?).map_err(|_| DecodeError::OutOfRange)?;
        if shared > self.key.len() {
            return Err(DecodeError::OutOfRange);
        }
        let tail = self.bytes()?;
        self.unfold(shared + CELL_END.len())?;
        self.key.truncate(shared);
        self.key.extend_from_slice(tail);
        if cell {
            self.key.extend_from_slice(&CELL_END);
        }
        RowKey::from_bytes(self.key.clone())
            .map_err(|_| DecodeError::Invalid("no row key, or one over the limits"))
    }

    /// A sibling's dot, and what else came with it unless it is known.
    fn sibling(&mut self) -> Result<(Dot, Option<Content>), DecodeError> {
        let code = u64::decode(&mut self.input)?;
        let place = match usize::try_from(code >> 1).map_err(|_| DecodeError::OutOfRange)? {
            0 => {
                self.ids.push(ReplicaId::decode(&mut self.input)?);
                self.before.counters.push(0);
                self.ids.len() - 1
            }
            place => place - 1,
        };
        let replica = *self.ids.get(place).ok_or(DecodeError::OutOfRange)?;
        let counter = self.difference(self.before.counters[place])?;
        self.before.counters[place] = counter;
        let dot = Dot::new(replica, counter);
        if code & 1 == 1 {
            return Ok((dot, None));
        }
        self.before.stamp = self.difference(self.before.stamp)?;
        let payload = self.bytes()?.to_vec();
        Ok((dot, Some((Stamp::from_u64(self.before.stamp), payload))))
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.input.count(1)?;
        self.unfold(length)?;
        self.input.take(length)
    }

    fn difference(&mut self, last: u64) -> Result<u64, DecodeError> {
        i64::decode(&mut self.input).map(|difference| last.wrapping_add_signed(difference))
    }

    fn unfold(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(DecodeError::OutOfRange)?;
        Ok(())
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u64).encode(out);
    out.extend_from_slice(bytes);
}

fn put_difference(last: &mut u64, now: u64, out: &mut Vec<u8>) {
    (now.wrapping_sub(*last) as i64).encode(out);
    *last = now;
}

#[cfg(test)]
mod tests;
