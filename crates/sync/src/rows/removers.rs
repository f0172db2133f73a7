//! What removed the rows of a frame.
//!
//! ```text
//! removers = remover*                              those of the first row, of the second, to the end
//! remover  = varint(2 id + more) [16 bytes] counter
//! ```
//!
//! Ids and counters are written as those of siblings are; `more` is 1 if the next is of the same row.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use syncline_crdt::{Canonical, DecodeError, Dot, Input, ReplicaId};

use super::put_difference;
use crate::error::SessionError;

/// Writes the removers of rows, row by row.
#[derive(Debug, Default)]
pub(crate) struct RemoversWriter {
    out: Vec<u8>,
    ids: BTreeMap<ReplicaId, u64>,
    counters: Vec<u64>,
}

impl RemoversWriter {
    /// Appends those of the next row: at least one.
    pub(crate) fn push(&mut self, removers: &[Dot]) {
        for (at, dot) in removers.iter().enumerate() {
            let more = u64::from(at + 1 < removers.len());
            let place = self.ids.get(&dot.replica).copied();
            (2 * place.unwrap_or(0) + more).encode(&mut self.out);
            let place = place.unwrap_or_else(|| {
                dot.replica.encode(&mut self.out);
                self.counters.push(0);
                let place = self.counters.len() as u64;
                self.ids.insert(dot.replica, place);
                place
            });
            let last = &mut self.counters[place as usize - 1];
            put_difference(last, dot.counter, &mut self.out);
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Reads the removers of `rows` rows, each with the place of its row.
pub(crate) fn read(bytes: &[u8], rows: usize) -> Result<Vec<(usize, Dot)>, SessionError> {
    read_all(bytes, rows)
        .map_err(|_| SessionError::Malformed("what removed its rows cannot be read"))
}

fn read_all(bytes: &[u8], rows: usize) -> Result<Vec<(usize, Dot)>, DecodeError> {
    let mut input = Input::new(bytes);
    let mut ids: Vec<(ReplicaId, u64)> = Vec::new();
    let (mut row, mut removers) = (0, Vec::new());
    while input.remaining() > 0 {
        let code = u64::decode(&mut input)?;
        let place = match usize::try_from(code >> 1).map_err(|_| DecodeError::OutOfRange)? {
            0 => {
                ids.push((ReplicaId::decode(&mut input)?, 0));
                ids.len() - 1
            }
            place => place - 1,
        };
        let (replica, counter) = ids.get_mut(place).ok_or(DecodeError::OutOfRange)?;
        *counter = counter.wrapping_add_signed(i64::decode(&mut input)?);
        if *counter == 0 {
            return Err(DecodeError::Invalid("a dot whose counter is zero"));
        }
        removers.push((row, Dot::new(*replica, *counter)));
        match code & 1 {
            0 => row += 1,
            _ if input.remaining() == 0 => return Err(DecodeError::OutOfRange),
            _ => {}
        }
    }
    match row == rows {
        true => Ok(removers),
        false => Err(DecodeError::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dot = |id: u8, counter| Dot::new(ReplicaId::from_bytes([id; 16]), counter);
        let rows = [
            vec![dot(1, 300)],
            vec![dot(2, 7), dot(1, 299)],
            vec![dot(1, u64::MAX), dot(1, 1), dot(2, 8)],
        ];
        let mut writer = RemoversWriter::default();
        rows.iter().for_each(|removers| writer.push(removers));
        let bytes = writer.into_bytes();
        let expected = rows.iter().enumerate();
        let expected: Vec<(usize, Dot)> = expected
            .flat_map(|(row, removers)| removers.iter().map(move |dot| (row, *dot)))
            .collect();
        assert_eq!(read(&bytes, 3).unwrap(), expected);
        for other in [0, 2, 4] {
            assert!(read(&bytes, other).is_err());
        }
        for cut in 1..bytes.len() {
            assert!(read(&bytes[..cut], 3).is_err());
        }
        assert!(read(&[0], 1).is_err(), "no id");
        assert!(read(&[4, 2], 1).is_err(), "an id that never came");
        assert!(read(&[[0].as_slice(), &[9; 16], &[0]].concat(), 1).is_err());
        assert_eq!(read(&[], 0).unwrap(), []);
    }
}
