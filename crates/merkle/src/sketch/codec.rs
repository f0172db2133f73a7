//! Symbols as bytes, on the wire and on disk.
//!
//! ```text
//! symbols = symbol*                                        they fill the bytes to the end
//! symbol  = tags:8  checks:4  numbers:varint  count:varint
//! varint  = LEB128, at most 10 bytes, shortest form only
//! ```
//!
//! Fixed-width numbers are little-endian; a count is zigzag coded, so that small negative ones are
//! short. Numbers are mostly counters, whose XOR is no wider than the widest: a symbol of a set of
//! a million elements takes 17 bytes.

use alloc::vec::Vec;

use super::Symbol;
use crate::varint;

/// What the shortest symbol takes.
const MIN_SYMBOL: usize = 14;

/// Bytes that are no symbols, or more of them than wanted. Their sender is of another version, or
/// lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sketch is malformed: {0}")]
pub struct MalformedSketch(&'static str);

/// The frozen encoding of symbols, one after the other.
///
/// ```
/// use syncline_merkle::sketch::{Prefix, SketchKey, decode, encode};
///
/// let key = SketchKey::derive(&[7; 32]);
/// let mut prefix = Prefix::new(64);
/// prefix.insert(&key.element(key.tag(&[1; 16]), 1));
/// let bytes = encode(prefix.symbols());
/// assert_eq!(decode(&bytes, 64)?, prefix.symbols());
/// # Ok::<(), syncline_merkle::sketch::MalformedSketch>(())
/// ```
pub fn encode(symbols: &[Symbol]) -> Vec<u8> {
    let mut out = Vec::with_capacity(symbols.len() * 18);
    for symbol in symbols {
        out.extend_from_slice(&symbol.tags.to_le_bytes());
        out.extend_from_slice(&symbol.checks.to_le_bytes());
        varint::write(&mut out, symbol.numbers);
        varint::write(&mut out, u64::from(zigzag(symbol.count)));
    }
    out
}

/// Reads back what [`encode`] wrote.
///
/// # Errors
/// [`MalformedSketch`] for bytes that are not the encoding of any symbols, or of more than `limit`.
/// Memory is bounded by the length of `bytes`, too.
pub fn decode(mut bytes: &[u8], limit: usize) -> Result<Vec<Symbol>, MalformedSketch> {
    let mut symbols = Vec::with_capacity((bytes.len() / MIN_SYMBOL).min(limit));
    while !bytes.is_empty() {
        if symbols.len() == limit {
            return Err(MalformedSketch("there are more symbols than agreed on"));
        }
        symbols.push(symbol(&mut bytes).map_err(MalformedSketch)?);
    }
    Ok(symbols)
}

fn symbol(bytes: &mut &[u8]) -> Result<Symbol, &'static str> {
    let tags = u64::from_le_bytes(take(bytes)?);
    let checks = u32::from_le_bytes(take(bytes)?);
    let numbers = varint::read(bytes)?;
    let count = u32::try_from(varint::read(bytes)?).map_err(|_| "a count has over 32 bits")?;
    Ok(Symbol {
        tags,
        numbers,
        checks,
        count: unzigzag(count),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (taken, rest) = bytes.split_first_chunk().ok_or("it ends too early")?;
    *bytes = rest;
    Ok(*taken)
}

const fn zigzag(n: i32) -> u32 {
    (n << 1 ^ n >> 31) as u32
}

const fn unzigzag(n: u32) -> i32 {
    (n >> 1) as i32 ^ -((n & 1) as i32)
}
