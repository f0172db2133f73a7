//! The bytes of a chunk: the rows of one range, in key order.
//!
//! ```text
//! 8         "synclch", format 1
//! then for each row
//! varint    how many bytes its key shares with the key before it
//! varint, n the rest of the key
//! varint, n the canonical bytes of its siblings
//! ```

use syncline::backup::RowBytes;
use syncline_crdt::{Canonical, DecodeError, Input, RowKey};

pub(crate) const MAGIC: &[u8; 7] = b"synclch";
pub(crate) const FORMAT: u8 = 1;

pub(crate) fn encode(rows: &[RowBytes]) -> Vec<u8> {
    let sizes = rows
        .iter()
        .map(|(key, row)| key.as_bytes().len() + row.len() + 8);
    let mut out = Vec::with_capacity(8 + sizes.sum::<usize>());
    out.extend_from_slice(MAGIC);
    out.push(FORMAT);
    let mut before: &[u8] = b"";
    for (key, row) in rows {
        front_code(before, key.as_bytes(), &mut out);
        row.encode(&mut out);
        before = key.as_bytes();
    }
    out
}

/// What is behind the magic and the format.
pub(crate) fn decode(rows: &[u8]) -> Result<Vec<RowBytes>, DecodeError> {
    let (mut input, mut decoded) = (Input::new(rows), Vec::new());
    let mut before = Vec::new();
    while input.remaining() > 0 {
        read_front_coded(&mut before, &mut input)?;
        let key = RowKey::from_bytes(before.clone());
        let key = key.map_err(|_| DecodeError::Invalid("a row key"))?;
        decoded.push((key, Vec::decode(&mut input)?));
    }
    Ok(decoded)
}

/// Writes a key by what it adds to the one before it.
pub(crate) fn front_code(before: &[u8], key: &[u8], out: &mut Vec<u8>) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    (shared as u64).encode(out);
    key[shared..].to_vec().encode(out);
}

/// Makes of the key before it the key that comes next.
pub(crate) fn read_front_coded(
    before: &mut Vec<u8>,
    input: &mut Input<'_>,
) -> Result<(), DecodeError> {
    let shared = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
    if shared > before.len() {
        return Err(DecodeError::OutOfRange);
    }
    before.truncate(shared);
    before.extend_from_slice(&Vec::decode(input)?);
    Ok(())
}
