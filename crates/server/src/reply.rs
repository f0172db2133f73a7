//! Replies, and how they are written in either version of the protocol.

use std::borrow::Cow;

use bytes::Bytes;

use crate::number;
use crate::refusal::Refusal;

/// The version of the protocol that a client has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The one that every client begins with.
    #[default]
    Resp2,
    /// With maps, sets, numbers and messages of their own.
    Resp3,
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A word, such as `OK`.
    Simple(Cow<'static, str>),
    /// What went wrong: a code in capitals, and a text.
    Error(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Text for people.
    Verbatim(String),
    /// Nothing, in place of bytes.
    Null,
    /// Nothing, in place of an array.
    NullArray,
    /// Yes or no: 1 or 0 in the older version.
    Bool(bool),
    /// A number with digits after the point, as text; bytes in the older version.
    Double(String),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs: an array of twice the length in the older version.
    Map(Vec<(Reply, Reply)>),
    /// An array of different replies.
    Set(Vec<Reply>),
    /// An array of pairs, which may be alike: an array of twice the length in the older version.
    Pairs(Vec<(Reply, Reply)>),
    /// A message that answers no request: an array in the older version.
    Push(Vec<Reply>),
    /// Several replies, one after the other; none at all where there are none.
    Several(Vec<Reply>),
}

impl Reply {
    /// `OK`.
    pub const OK: Self = Self::Simple(Cow::Borrowed("OK"));
    /// No reply at all.
    pub const NOTHING: Self = Self::Several(Vec::new());

    /// An error with its code.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(text.into())
    }

    /// Bytes.
    pub fn bulk(bytes: impl Into<Bytes>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// How many there are of something.
    pub fn count(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Bytes of a text that is always the same.
    pub const fn word(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// Bytes, if there are any.
    pub fn maybe(bytes: Option<Vec<u8>>) -> Self {
        bytes.map_or(Self::Null, Self::bulk)
    }

    /// Bytes, in an array.
    pub fn bulks<B: Into<Bytes>>(items: impl IntoIterator<Item = B>) -> Self {
        Self::Array(items.into_iter().map(Self::bulk).collect())
    }

    /// An array of what may be large and asked for many times over, as long as it stays within a GiB.
    pub(crate) fn bounded(
        items: impl Iterator<Item = Result<Self, Refusal>>,
    ) -> Result<Self, Refusal> {
        let mut left: usize = 1 << 30;
        let within = |item: Result<Self, Refusal>| -> Result<Self, Refusal> {
            let item = item?;
            left = left.checked_sub(item.size()).ok_or(Refusal::TOO_MUCH)?;
            Ok(item)
        };
        Ok(Self::Array(
            items.map(within).collect::<Result<_, Refusal>>()?,
        ))
    }

    /// A number with digits after the point, as Redis prints it.
    pub fn double(number: f64) -> Self {
        Self::Double(number::print(number))
    }

    /// How many there are of something.
    pub fn total(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Whether something went wrong.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// How many bytes of memory it takes, about. O(parts).
    pub(crate) fn size(&self) -> usize {
        let of_pairs = |pairs: &[(Self, Self)]| -> usize {
            let sizes = pairs.iter().map(|(key, value)| key.size() + value.size());
            sizes.sum()
        };
        let held = match self {
            Self::Simple(text) | Self::Error(text) => text.len(),
            Self::Bulk(bytes) => bytes.len(),
            Self::Verbatim(text) | Self::Double(text) => text.len(),
            Self::Integer(_) | Self::Null | Self::NullArray | Self::Bool(_) => 0,
            Self::Array(items) | Self::Set(items) | Self::Push(items) | Self::Several(items) => {
                items.iter().map(Self::size).sum()
            }
            Self::Map(pairs) | Self::Pairs(pairs) => of_pairs(pairs),
        };
        size_of::<Self>() + held
    }

    /// Writes it.
    pub fn write(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let is_new = protocol == Protocol::Resp3;
        match self {
            Self::Simple(text) => line(b'+', text.as_bytes(), out),
            Self::Error(text) => line(b'-', text.as_bytes(), out),
            Self::Integer(number) => length(b':', *number, out),
            Self::Bulk(bytes) => bulk(b'$', &[bytes], out),
            Self::Verbatim(text) if is_new => bulk(b'=', &[b"txt:", text.as_bytes()], out),
            Self::Verbatim(text) => bulk(b'$', &[text.as_bytes()], out),
            Self::Null | Self::NullArray if is_new => out.extend_from_slice(b"_\r\n"),
            Self::Null => out.extend_from_slice(b"$-1\r\n"),
            Self::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Bool(yes) if is_new => line(b'#', if *yes { b"t" } else { b"f" }, out),
            Self::Bool(yes) => length(b':', i64::from(*yes), out),
            Self::Double(text) if is_new => line(b',', text.as_bytes(), out),
            Self::Double(text) => bulk(b'$', &[text.as_bytes()], out),
            Self::Array(items) => array(b'*', items, protocol, out),
            Self::Set(items) => array(if is_new { b'~' } else { b'*' }, items, protocol, out),
            Self::Push(items) => array(if is_new { b'>' } else { b'*' }, items, protocol, out),
            Self::Map(pairs) => {
                match is_new {
                    true => length(b'%', pairs.len() as i64, out),
                    false => length(b'*', pairs.len() as i64 * 2, out),
                }
                for (key, value) in pairs {
                    key.write(protocol, out);
                    value.write(protocol, out);
                }
            }
            Self::Pairs(pairs) => {
                let count = if is_new { pairs.len() } else { pairs.len() * 2 };
                length(b'*', count as i64, out);
                for (first, second) in pairs {
                    if is_new {
                        length(b'*', 2, out);
                    }
                    first.write(protocol, out);
                    second.write(protocol, out);
                }
            }
            Self::Several(replies) => {
                for reply in replies {
                    reply.write(protocol, out);
                }
            }
        }
    }
}

fn array(mark: u8, items: &[Reply], protocol: Protocol, out: &mut Vec<u8>) {
    length(mark, items.len() as i64, out);
    for item in items {
        item.write(protocol, out);
    }
}

/// A text of one line: what would end it becomes a space.
fn line(mark: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(mark);
    let plain = |byte: &u8| {
        if matches!(byte, b'\r' | b'\n') {
            b' '
        } else {
            *byte
        }
    };
    out.extend(text.iter().map(plain));
    out.extend_from_slice(b"\r\n");
}

fn bulk(mark: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(size + 16);
    length(mark, size as i64, out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn length(mark: u8, number: i64, out: &mut Vec<u8>) {
    out.push(mark);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}
