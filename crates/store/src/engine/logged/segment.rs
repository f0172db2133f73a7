//! One file of a log: a header that ties it to what came before, then records.
//!
//! ```text
//! header  "synclog" 0x01 | first sequence (u64) | salt (32) | checksum of the record before (16) | checksum (16)
//! ```
//!
//! The header is synced before any record follows, so a file with records has a sound one. The
//! last file of a log may end in the middle of a record, where a crash cut it off. All others are
//! whole, since each is synced before the next is made.

use std::sync::Arc;

use super::record::{self, CHECKSUM, Payload, Point, Salt};

const MAGIC: [u8; 8] = *b"synclog\x01";
const CHECKED: usize = 8 + 8 + 32 + CHECKSUM;
pub(super) const HEADER: usize = CHECKED + CHECKSUM;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The record before the first one of this file.
    pub(super) before: Point,
    pub(super) salt: Salt,
}

impl Header {
    pub(super) fn first(&self) -> u64 {
        self.before.sequence + 1
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.first().to_be_bytes());
        bytes[16..48].copy_from_slice(&self.salt);
        bytes[48..CHECKED].copy_from_slice(&self.before.checksum);
        let checksum = record::checksum(&self.salt, &bytes[..CHECKED], &[]);
        bytes[CHECKED..].copy_from_slice(&checksum);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let damaged = "its header is broken";
        let head = bytes.first_chunk::<HEADER>().ok_or(damaged)?;
        let (magic, version) = (&head[..7], head[7]);
        if magic != &MAGIC[..7] {
            return Err("it is no log");
        }
        if version > MAGIC[7] {
            return Err("a later version of Syncline wrote it; use that version");
        }
        let first = head[8..].first_chunk().map(|n| u64::from_be_bytes(*n));
        let (Some(salt), Some(checksum)) = (head[16..].first_chunk(), head[48..].first_chunk())
        else {
            return Err(damaged);
        };
        if record::checksum(salt, &head[..CHECKED], &[]) != head[CHECKED..] {
            return Err(damaged);
        }
        let sequence = first.and_then(|first| first.checked_sub(1));
        Ok(Self {
            before: Point {
                sequence: sequence.ok_or(damaged)?,
                checksum: *checksum,
            },
            salt: *salt,
        })
    }
}

/// What a file holds, up to where it ends or breaks off.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) records: Vec<(Point, Payload)>,
    /// Why nothing more was read, if there is more.
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing behind the last record.
    Whole,
    /// What follows was never synced: a crash cut it off, or left a part of it.
    Torn,
    /// What follows had been synced and is damaged.
    Damaged,
}

impl Segment {
    /// Reads a file of a log. `None` if a crash interrupted its making, so that it never held a
    /// record.
    ///
    /// # Errors
    /// What is wrong with its header.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Option<Self>, &'static str> {
        let header = match Header::read(&bytes) {
            Ok(header) => header,
            Err(_) if bytes.len() <= HEADER => return Ok(None),
            Err(detail) => return Err(detail),
        };
        let bytes: Arc<[u8]> = bytes.into();
        let (mut records, mut last, mut at) = (Vec::new(), header.before, HEADER);
        while let Some(found) = record::read(&bytes, at, &header.salt)
            && found.point.sequence == last.sequence + 1
        {
            (last, at) = (found.point, found.payload.end);
            let payload = Payload {
                bytes: Arc::clone(&bytes),
                range: found.payload,
            };
            records.push((last, payload));
        }
        let end = if at == bytes.len() {
            End::Whole
        } else if record::was_synced(&bytes, at, &header.salt, last.sequence + 1) {
            End::Damaged
        } else {
            End::Torn
        };
        Ok(Some(Self {
            header,
            records,
            end,
        }))
    }

    /// The last record, or the one before the file.
    pub(super) fn last(&self) -> Point {
        let last = self.records.last();
        last.map_or(self.header.before, |(point, _)| *point)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::{Batch, Table};

    const HEAD: Header = Header {
        before: Point {
            sequence: 41,
            checksum: [3; CHECKSUM],
        },
        salt: [5; 32],
    };

    /// A file of so many records, each of which says that all but the last `unsynced` before it
    /// are on the device, and where they end.
    fn file(count: u64, unsynced: u64) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = HEAD.to_bytes().to_vec();
        let mut ends = vec![bytes.len()];
        for sequence in 42..42 + count {
            let mut batch = Batch::new();
            batch.put(Table::Rows, &sequence.to_be_bytes(), &[7; 30]);
            let mut record = record::encode(&mut batch).unwrap();
            let synced = (sequence - 1).saturating_sub(unsynced);
            record::seal(&mut record, &HEAD.salt, sequence, synced);
            bytes.extend(record);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn sequences(segment: &Segment) -> Vec<u64> {
        let points = segment.records.iter().map(|(point, _)| point.sequence);
        points.collect()
    }

    #[test]
    fn a_cut_at_any_byte_keeps_the_whole_records_before_it() {
        let (bytes, ends) = file(4, 0);
        for cut in 0..=bytes.len() {
            let read = Segment::read(bytes[..cut].to_vec()).unwrap();
            let Some(segment) = read else {
                assert!(cut < HEADER);
                continue;
            };
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(
                sequences(&segment),
                (42..42 + whole as u64).collect::<Vec<_>>()
            );
            let end = if ends.contains(&cut) {
                End::Whole
            } else {
                End::Torn
            };
            assert_eq!(segment.end, end, "cut at {cut}");
            assert_eq!(segment.last().sequence, 41 + whole as u64);
        }
    }

    #[test]
    fn an_altered_byte_is_damage_if_a_later_record_says_that_it_was_synced() {
        let (bytes, ends) = file(4, 0);
        for at in HEADER..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x10;
            let segment = Segment::read(altered).unwrap().unwrap();
            let of = ends.iter().filter(|end| **end <= at).count();
            let last = of == ends.len() - 1;
            let end = if last { End::Torn } else { End::Damaged };
            assert_eq!(segment.end, end, "altered at {at}");
            assert_eq!(segment.records.len(), of - 1);
        }
        // Nothing of these was synced: whatever is left of them, a crash can have left.
        let (bytes, _) = file(4, 9);
        for at in HEADER..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x10;
            assert_eq!(Segment::read(altered).unwrap().unwrap().end, End::Torn);
        }
    }

    #[test]
    fn a_broken_header_is_an_error_once_records_may_have_followed() {
        let (bytes, _) = file(1, 0);
        for at in 0..HEADER {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Segment::read(altered.clone()).is_err(), "altered at {at}");
            altered.truncate(HEADER);
            assert!(Segment::read(altered).unwrap().is_none());
        }
        let mut later = bytes;
        later[7] += 1;
        assert!(Segment::read(later).unwrap_err().contains("later version"));
    }

    #[test]
    fn records_out_of_sequence_do_not_count() {
        let (bytes, ends) = file(3, 0);
        let doubled = [&bytes[..ends[2]], &bytes[ends[1]..ends[2]]].concat();
        let segment = Segment::read(doubled).unwrap().unwrap();
        assert_eq!(sequences(&segment), [42, 43]);
        let skipped = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
        let segment = Segment::read(skipped).unwrap().unwrap();
        assert_eq!((segment.records.len(), segment.end), (1, End::Damaged));
    }
}
