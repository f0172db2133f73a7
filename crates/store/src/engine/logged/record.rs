//! One commit as bytes in a log: what is written, what is read again, and how a torn one is told
//! from a damaged one.
//!
//! ```text
//! record   mark (8) | payload length (u64) | sequence (u64) | synced (u64) | checksum (16) | payload
//! payload  for each table with edits: table (1), number of edits (varint), edits by ascending key
//! edit     key length (varint) | 0 for a removal, else 1 + value length (varint) | key | value
//! ```
//!
//! Integers are big-endian. The mark is the first 8 bytes of the segment's random salt; the checksum
//! is BLAKE3, cut to 16 bytes, keyed with the salt, over everything before and after it. So a record
//! of another file is no record here, and whoever can only write values cannot write what looks
//! like one.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use syncline_crdt::{Canonical, DecodeError, Input};

use crate::engine::{Batch, EngineError, Table};

/// Bytes of the mark: where to look for a record behind damage.
const MARK: usize = 8;
const CHECKED: usize = MARK + 3 * 8;
pub(super) const CHECKSUM: usize = 16;
/// Bytes of a record before its payload.
pub(super) const HEADER: usize = CHECKED + CHECKSUM;

pub(super) type Salt = [u8; 32];
pub(super) type Checksum = [u8; CHECKSUM];

/// A place in the history of a store: the number of a record, and its checksum, which no other
/// record has. So two histories that have a point in common are one up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) sequence: u64,
    pub(super) checksum: Checksum,
}

impl Point {
    pub(super) fn to_bytes(self) -> [u8; 8 + CHECKSUM] {
        let mut bytes = [0; 8 + CHECKSUM];
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&self.checksum);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sequence, checksum) = bytes.split_first_chunk()?;
        Some(Self {
            sequence: u64::from_be_bytes(*sequence),
            checksum: checksum.try_into().ok()?,
        })
    }
}

/// The edits of a batch, with room in front for the record's header.
///
/// # Errors
/// When a key or a value is too long for any engine.
pub(super) fn encode(batch: &mut Batch) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::with_capacity(HEADER + batch.byte_len() + batch.byte_len() / 8 + 64);
    bytes.resize(HEADER, 0);
    for table in Table::ALL {
        let edits = batch.sorted(table);
        if edits.len() == 0 {
            continue;
        }
        bytes.push(table as u8);
        (edits.len() as u64).encode(&mut bytes);
        for (key, value) in edits {
            let value_len = value.map_or(0, <[u8]>::len);
            if u32::try_from(key.len().max(value_len)).is_err() {
                let error = "a key or a value of 4 GiB or more";
                return Err(EngineError::Io(io::Error::other(error)));
            }
            (key.len() as u64).encode(&mut bytes);
            value
                .map_or(0, |value| 1 + value.len() as u64)
                .encode(&mut bytes);
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value.unwrap_or_default());
        }
    }
    Ok(bytes)
}

/// Fills in the header of an encoded record.
pub(super) fn seal(bytes: &mut [u8], salt: &Salt, sequence: u64, synced: u64) -> Point {
    let payload = (bytes.len() - HEADER) as u64;
    let (head, _) = bytes.split_at_mut(CHECKED);
    head[..8].copy_from_slice(&salt[..MARK]);
    head[8..16].copy_from_slice(&payload.to_be_bytes());
    head[16..24].copy_from_slice(&sequence.to_be_bytes());
    head[24..].copy_from_slice(&synced.to_be_bytes());
    let checksum = checksum(salt, &bytes[..CHECKED], &bytes[HEADER..]);
    bytes[CHECKED..HEADER].copy_from_slice(&checksum);
    Point { sequence, checksum }
}

pub(super) fn checksum(salt: &Salt, head: &[u8], payload: &[u8]) -> Checksum {
    let mut hasher = blake3::Hasher::new_keyed(salt);
    hasher.update(head).update(payload);
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    checksum
}

/// A sound record within the bytes of a segment.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) point: Point,
    /// Up to which record all were on the device when this one was written.
    pub(super) synced: u64,
    pub(super) payload: Range<usize>,
}

/// The record that begins at an offset, if a sound one does.
pub(super) fn read(bytes: &[u8], at: usize, salt: &Salt) -> Option<Found> {
    let rest = bytes.get(at..)?;
    let (head, rest) = rest.split_first_chunk::<HEADER>()?;
    let number = |at: usize| head[at..].first_chunk().map(|n| u64::from_be_bytes(*n));
    let length = usize::try_from(number(8)?).ok()?;
    let payload = rest.get(..length)?;
    let (head, found) = head.split_at(CHECKED);
    if head[..MARK] != salt[..MARK] {
        return None;
    }
    let expected = checksum(salt, head, payload);
    if found != expected {
        return None;
    }
    let start = at + HEADER;
    Some(Found {
        point: Point {
            sequence: number(16)?,
            checksum: expected,
        },
        synced: number(24)?,
        payload: start..start + length,
    })
}

/// Whether record `missing`, which ought to begin at an offset and does not, had been on the
/// device: then it was damaged since, and did not fall to a crash. A record further on says so.
///
/// A crash may leave any part of what was never synced, so that sound records behind a gap prove
/// nothing by themselves.
pub(super) fn was_synced(bytes: &[u8], at: usize, salt: &Salt, missing: u64) -> bool {
    let mut at = at;
    while let Some(next) = bytes.get(at..).and_then(|bytes| find_mark(bytes, salt)) {
        at += next;
        if let Some(found) = read(bytes, at, salt)
            && found.synced >= missing
        {
            return true;
        }
        at += 1;
    }
    false
}

fn find_mark(bytes: &[u8], salt: &Salt) -> Option<usize> {
    bytes
        .windows(MARK)
        .position(|window| window == &salt[..MARK])
}

/// An edit of a record: a key and what follows it in the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) table: Table,
    /// Where the key begins.
    pub(super) start: usize,
    pub(super) key_len: u32,
    /// The length of the value behind the key; `None` removes the key.
    pub(super) value_len: Option<u32>,
}

/// The payload of a record, shared by all who keep a part of it.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) bytes: Arc<[u8]>,
    pub(super) range: Range<usize>,
}

impl Payload {
    /// Shows each edit, in the order in which they were written.
    ///
    /// # Errors
    /// When the bytes are no edits, though the checksum was right: another version wrote them.
    /// Those before have been shown.
    pub(super) fn edits(&self, mut show: impl FnMut(Edit)) -> Result<(), DecodeError> {
        let mut input = Input::new(&self.bytes[self.range.clone()]);
        while input.remaining() > 0 {
            let tag = input.byte()?;
            let table = Table::ALL.into_iter().find(|table| *table as u8 == tag);
            let table = table.ok_or(DecodeError::UnknownTag(tag))?;
            for _ in 0..input.count(2)? {
                let key_len = length(input.varint()?)?;
                let value_len = match input.varint()? {
                    0 => None,
                    more => Some(length(more - 1)?),
                };
                let start = self.range.end - input.remaining();
                input.take(key_len as usize)?;
                input.take(value_len.unwrap_or(0) as usize)?;
                show(Edit {
                    table,
                    start,
                    key_len,
                    value_len,
                });
            }
        }
        Ok(())
    }
}

fn length(value: u64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError::OutOfRange)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    const SALT: Salt = [7; 32];

    fn record(sequence: u64, synced: u64, value: &[u8]) -> Vec<u8> {
        let mut batch = Batch::new();
        batch.put(Table::Rows, b"key", value);
        batch.put(Table::Rows, b"", b"empty key");
        batch.remove(Table::Sketch, b"gone");
        let mut bytes = encode(&mut batch).unwrap();
        seal(&mut bytes, &SALT, sequence, synced);
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = record(9, 4, b"value");
        let found = read(&bytes, 0, &SALT).unwrap();
        assert_eq!((found.point.sequence, found.synced), (9, 4));
        assert_eq!(found.payload, HEADER..bytes.len());
        assert_eq!(
            Point::from_bytes(&found.point.to_bytes()),
            Some(found.point)
        );
        let payload = Payload {
            bytes: bytes.into(),
            range: found.payload,
        };
        let mut edits = Vec::new();
        let show = |edit: Edit| {
            let key = edit.start..edit.start + edit.key_len as usize;
            let value = edit.value_len.map(|len| key.end..key.end + len as usize);
            let bytes = |range: Range<usize>| payload.bytes[range].to_vec();
            edits.push((edit.table, bytes(key), value.map(bytes)));
        };
        payload.edits(show).unwrap();
        assert_eq!(
            edits,
            [
                (Table::Rows, vec![], Some(b"empty key".to_vec())),
                (Table::Rows, b"key".to_vec(), Some(b"value".to_vec())),
                (Table::Sketch, b"gone".to_vec(), None),
            ]
        );
    }

    #[test]
    fn the_bytes_are_frozen() {
        let bytes = record(2, 1, b"v");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "0707070707070707000000000000001b00000000000000020000000000000001\
             92b5b14bf4e85d9f7d95e0ee39e8e760\
             0102000a656d707479206b657903026b65797606010400676f6e65"
        );
    }

    #[test]
    fn altered_cut_and_foreign_records_are_none() {
        let sound = record(2, 1, b"value");
        for at in 0..sound.len() {
            let mut altered = sound.clone();
            altered[at] ^= 1;
            assert!(read(&altered, 0, &SALT).is_none(), "altered at {at}");
            assert!(read(&sound[..at], 0, &SALT).is_none(), "cut at {at}");
        }
        assert!(read(&sound, 0, &[8; 32]).is_none());
        assert!(read(&sound, sound.len(), &SALT).is_none());
        let mut long = sound;
        long[8..16].copy_from_slice(&u64::MAX.to_be_bytes());
        assert!(read(&long, 0, &SALT).is_none(), "nothing is allocated");
    }

    #[test]
    fn later_records_tell_damage_from_a_crash() {
        // A value that holds a record of another salt, which claims the world.
        let mut forged = record(9, 9, b"");
        seal(&mut forged, &[1; 32], 9, 9);
        let (gap, claims) = (vec![SALT[0]; 37], |synced| record(3, synced, &forged));
        for (synced, damaged) in [(0, false), (1, false), (2, true)] {
            let bytes = [&gap[..], &claims(synced)].concat();
            assert_eq!(was_synced(&bytes, 0, &SALT, 2), damaged, "{synced}");
        }
        assert!(!was_synced(&gap, 0, &SALT, 1));
    }

    #[test]
    fn hostile_payloads_are_errors() {
        for bytes in [
            &b"\x7f\x01\x00\x00"[..],
            b"\x01\xff\xff\xff\xff\x0f",
            b"\x01\x01\x05\x00abcd",
            b"\x01\x01\x01\x05abcd",
            b"\x01\x01\xff\xff\xff\xff\x7f\x00",
        ] {
            let payload = Payload {
                bytes: bytes.into(),
                range: 0..bytes.len(),
            };
            assert!(payload.edits(|_| ()).is_err(), "{bytes:?}");
        }
    }
}
