//! Canonical bytes: equal states have equal encodings, and every encoding has one reading.
//!
//! Digests are taken over these bytes and replicas compare digests, so a second way of writing the same state would
//! look like a difference for ever. Decoders therefore accept exactly what encoders produce: shortest varints, strictly
//! ascending keys, no spare bytes. What a decoder allocates is bounded by a small multiple of the bytes that it was
//! given.

use core::str;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// A value with exactly one encoding.
///
/// # Contract
/// `decode(encode(x)) == x`; equal values encode to equal bytes; an encoding is self-delimiting, that is, decoding
/// consumes exactly the bytes that encoding wrote, whatever follows them. `decode` never panics and rejects what
/// `encode` never writes.
pub trait Canonical: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value from the front of the input.
    ///
    /// # Errors
    /// When the input does not begin with a canonical encoding.
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// The encoding alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads one value that takes up all of the bytes.
    ///
    /// # Errors
    /// When the bytes are not exactly one canonical encoding.
    ///
    /// ```
    /// use syncline_crdt::{Canonical, DecodeError};
    ///
    /// assert_eq!(300u64.to_bytes(), [0xac, 0x02]);
    /// assert_eq!(u64::from_bytes(&[0xac, 0x02]), Ok(300));
    /// assert_eq!(u64::from_bytes(&[0xac, 0x82, 0x00]), Err(DecodeError::Overlong));
    /// assert_eq!(u64::from_bytes(&[0xac, 0x02, 0x00]), Err(DecodeError::TrailingBytes(1)));
    /// ```
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let value = Self::decode(&mut input)?;
        input.finish()?;
        Ok(value)
    }
}

/// Why bytes are not a canonical encoding. The input is left unusable; whatever was read from it should be discarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends before the value does.
    #[error("the input ends in the middle of a value")]
    UnexpectedEnd,
    /// A varint is longer than it need be.
    #[error("a varint is not in its shortest form")]
    Overlong,
    /// A varint does not fit its type.
    #[error("a varint exceeds the range of its type")]
    OutOfRange,
    /// Items that must ascend strictly do not.
    #[error("items are doubled or out of order")]
    OutOfOrder,
    /// The tag byte is none that this version knows.
    #[error("unknown encoding tag 0x{0:02x}: written by a newer version, or not of this kind")]
    UnknownTag(u8),
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// So many bytes follow the value.
    #[error("{0} bytes follow the value")]
    TrailingBytes(usize),
    /// The parts are well-formed, what they say is not.
    #[error("invalid encoding: {0}")]
    Invalid(&'static str),
}

/// What is left of the bytes being decoded.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `bytes` is left.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The number of bytes left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`] when fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`] when none is left.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// A LEB128 varint in its shortest form.
    ///
    /// # Errors
    /// [`DecodeError::Overlong`], [`DecodeError::OutOfRange`] above 64 bits, or [`DecodeError::UnexpectedEnd`].
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DecodeError::OutOfRange);
            }
            value |= bits << shift;
            match byte {
                0 if shift > 0 => return Err(DecodeError::Overlong),
                0..=0x7f => return Ok(value),
                _ => {}
            }
        }
        Err(DecodeError::OutOfRange)
    }

    /// As [`varint`](Self::varint), up to 128 bits.
    fn wide_varint(&mut self) -> Result<u128, DecodeError> {
        let mut value = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(DecodeError::OutOfRange);
            }
            value |= bits << shift;
            match byte {
                0 if shift > 0 => return Err(DecodeError::Overlong),
                0..=0x7f => return Ok(value),
                _ => {}
            }
        }
        Err(DecodeError::OutOfRange)
    }

    /// A varint that announces so many items of at least `least` bytes each (taken as 1 when 0); more than can follow
    /// are refused here, before anybody reserves memory for them.
    ///
    /// # Errors
    /// As [`varint`](Self::varint), and [`DecodeError::UnexpectedEnd`] when the input is too short for so many.
    pub fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::UnexpectedEnd)?;
        if count > self.remaining() / least.max(1) {
            return Err(DecodeError::UnexpectedEnd);
        }
        Ok(count)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] when bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }
}

/// Appends a LEB128 varint in its shortest form.
fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// As [`put_varint`], of up to 128 bits.
fn put_wide_varint(mut value: u128, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Nothing at all.
impl Canonical for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// One byte, 0 or 1.
impl Canonical for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid(
                "a truth value that is neither 0 nor 1",
            )),
        }
    }
}

macro_rules! unsigned {
    ($($int:ty: $wide:ty, $put:ident, $take:ident;)*) => {$(
        /// A varint.
        impl Canonical for $int {
            fn encode(&self, out: &mut Vec<u8>) {
                $put(<$wide>::from(*self), out);
            }

            fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                <$int>::try_from(input.$take()?).map_err(|_| DecodeError::OutOfRange)
            }
        }
    )*};
}
unsigned! {
    u8: u64, put_varint, varint;
    u16: u64, put_varint, varint;
    u32: u64, put_varint, varint;
    u64: u64, put_varint, varint;
    u128: u128, put_wide_varint, wide_varint;
}

macro_rules! signed {
    ($($int:ty),*) => {$(
        /// A varint of the zigzag form: 0, -1, 1, -2, ...
        impl Canonical for $int {
            fn encode(&self, out: &mut Vec<u8>) {
                let wide = i128::from(*self);
                put_wide_varint(((wide << 1) ^ (wide >> 127)) as u128, out);
            }

            fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                let zigzag = input.wide_varint()?;
                let wide = (zigzag >> 1) as i128 ^ -((zigzag & 1) as i128);
                <$int>::try_from(wide).map_err(|_| DecodeError::OutOfRange)
            }
        }
    )*};
}
signed!(i8, i16, i32, i64, i128);

/// The length as a varint, then the bytes.
impl Canonical for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        out.extend_from_slice(self);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = input.count(1)?;
        input.take(len).map(<[u8]>::to_vec)
    }
}

/// The length in bytes as a varint, then UTF-8.
impl Canonical for String {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = input.count(1)?;
        let text = str::from_utf8(input.take(len)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(text.into())
    }
}

/// A byte 0 for nothing, or 1 and the value.
impl<T: Canonical> Canonical for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        bool::decode(input)?.then(|| T::decode(input)).transpose()
    }
}

/// One after the other.
impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(input)?, B::decode(input)?))
    }
}

/// The number of entries as a varint, then keys and values in ascending order of keys.
impl<K: Canonical + Ord, V: Canonical> Canonical for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let mut map = Self::new();
        for _ in 0..u64::decode(input)? {
            let key = K::decode(input)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::OutOfOrder);
            }
            map.insert(key, V::decode(input)?);
        }
        Ok(map)
    }
}

/// The number of items as a varint, then the items, ascending.
impl<T: Canonical + Ord> Canonical for BTreeSet<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u64).encode(out);
        for item in self {
            item.encode(out);
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let mut set = Self::new();
        for _ in 0..u64::decode(input)? {
            let item = T::decode(input)?;
            if set.last().is_some_and(|last| *last >= item) {
                return Err(DecodeError::OutOfOrder);
            }
            set.insert(item);
        }
        Ok(set)
    }
}
