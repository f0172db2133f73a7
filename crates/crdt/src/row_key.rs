//! The key of a row: an order-preserving encoding of (user key, family, field).

use alloc::vec::Vec;
use core::borrow::Borrow;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::limits::{MAX_FIELD, MAX_KEY};

/// What a zero byte of the user key becomes: two bytes that sort after the terminator.
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xff];
/// Ends the user key. It sorts before every byte that a longer user key could have here.
const TERMINATOR: [u8; 2] = [0x00, 0x01];

/// Which part of a key a row is: one byte, so that the rows of one kind lie together.
///
/// Unknown families are legal: their rows are joined, digested and forwarded as opaque bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u8);

impl Family {
    /// A string, register or counter: the whole key is one row, with an empty field.
    pub const CELL: Self = Self(1);
    /// A field of a map.
    pub const FIELD: Self = Self(2);
    /// A member of a set.
    pub const MEMBER: Self = Self(3);
    /// A member of a sorted set.
    pub const SCORE: Self = Self(4);
    /// When the key expires: one row, with an empty field.
    pub const DEADLINE: Self = Self(5);
}

/// The key of a row. Row keys order as (user key, family, field) do, bytewise.
///
/// The bytes are the user key with each `00` written `00 ff`, the terminator `00 01`, the family, and the field as it
/// is. So the rows of one user key lie together, and so do all keys with a common prefix.
///
/// ```
/// use syncline_crdt::{Family, RowKey};
///
/// let ada = RowKey::member(b"online", b"ada");
/// assert_eq!(ada.as_bytes(), b"online\x00\x01\x03ada");
/// assert_eq!(ada.user_key(), b"online");
/// assert_eq!((ada.family(), ada.field_bytes()), (Family::MEMBER, b"ada".as_slice()));
/// assert!(ada.as_bytes().starts_with(&RowKey::key_prefix(b"online")));
/// assert!(RowKey::cell(b"on") < ada);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Vec<u8>);

/// Why bytes are no row key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowKeyError {
    /// The bytes are not an encoding of (user key, family, field).
    #[error("not a row key: no user key, terminator and family can be read from its bytes")]
    Malformed,
    /// The user key is over [`MAX_KEY`].
    #[error("a key of {0} bytes is over the limit of {MAX_KEY}; use a shorter key")]
    KeyTooLong(usize),
    /// The field or member is over [`MAX_FIELD`].
    #[error(
        "a field or member of {0} bytes is over the limit of {MAX_FIELD}; keep long data in the value"
    )]
    FieldTooLong(usize),
}

impl RowKey {
    /// The row of this user key, family and field. Lengths are not checked here; see
    /// [`check_limits`](Self::check_limits).
    #[must_use]
    pub fn new(user: &[u8], family: Family, field: &[u8]) -> Self {
        let mut bytes = Self::family_prefix(user, family);
        bytes.extend_from_slice(field);
        Self(bytes)
    }

    /// The row of a string, register or counter.
    #[must_use]
    pub fn cell(user: &[u8]) -> Self {
        Self::new(user, Family::CELL, &[])
    }

    /// The row of a field of a map.
    #[must_use]
    pub fn field(user: &[u8], field: &[u8]) -> Self {
        Self::new(user, Family::FIELD, field)
    }

    /// The row of a member of a set.
    #[must_use]
    pub fn member(user: &[u8], member: &[u8]) -> Self {
        Self::new(user, Family::MEMBER, member)
    }

    /// The row of a member of a sorted set.
    #[must_use]
    pub fn score(user: &[u8], member: &[u8]) -> Self {
        Self::new(user, Family::SCORE, member)
    }

    /// The row of the key's deadline.
    #[must_use]
    pub fn deadline(user: &[u8]) -> Self {
        Self::new(user, Family::DEADLINE, &[])
    }

    /// Takes bytes for a row key, if they are one.
    ///
    /// # Errors
    /// When they are malformed, or a part is over its limit.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, RowKeyError> {
        let end = user_key_end(&bytes).ok_or(RowKeyError::Malformed)?;
        if bytes.len() <= end + TERMINATOR.len() {
            return Err(RowKeyError::Malformed);
        }
        let key = Self(bytes);
        key.check_limits()?;
        Ok(key)
    }

    /// What bytes that are encoded as row keys are begin with, the family included, and what follows it: the field, or
    /// what somebody has put in its place.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        bytes.split_at_checked(user_key_end(bytes)? + TERMINATOR.len() + 1)
    }

    /// Holds the parts against [`MAX_KEY`] and [`MAX_FIELD`].
    ///
    /// # Errors
    /// Names the part that is too long, and its length.
    pub fn check_limits(&self) -> Result<(), RowKeyError> {
        let user = self.user_key_len();
        if user > MAX_KEY {
            return Err(RowKeyError::KeyTooLong(user));
        }
        let field = self.field_bytes().len();
        if field > MAX_FIELD {
            return Err(RowKeyError::FieldTooLong(field));
        }
        Ok(())
    }

    /// The encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoding, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The user key, unescaped.
    #[must_use]
    pub fn user_key(&self) -> Vec<u8> {
        let escaped = &self.0[..self.end()];
        let mut user = Vec::with_capacity(escaped.len());
        let mut bytes = escaped.iter();
        while let Some(&byte) = bytes.next() {
            user.push(byte);
            if byte == 0 {
                bytes.next();
            }
        }
        user
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family(self.0[self.end() + TERMINATOR.len()])
    }

    /// The field or member; empty for a [`Family::CELL`].
    #[must_use]
    pub fn field_bytes(&self) -> &[u8] {
        &self.0[self.end() + TERMINATOR.len() + 1..]
    }

    /// What the encodings of all rows of a user key begin with, and no others.
    #[must_use]
    pub fn key_prefix(user: &[u8]) -> Vec<u8> {
        let mut prefix = Self::user_prefix(user);
        prefix.extend_from_slice(&TERMINATOR);
        prefix
    }

    /// What the encodings of all rows of a user key and family begin with, and no others.
    #[must_use]
    pub fn family_prefix(user: &[u8], family: Family) -> Vec<u8> {
        let mut prefix = Self::key_prefix(user);
        prefix.push(family.0);
        prefix
    }

    /// What the encodings of all rows of all user keys with this prefix begin with, and no others.
    #[must_use]
    pub fn user_prefix(prefix: &[u8]) -> Vec<u8> {
        // Room for a terminator and a family, which mostly follow.
        let mut escaped = Vec::with_capacity(prefix.len() + TERMINATOR.len() + 1);
        for &byte in prefix {
            if byte == 0 {
                escaped.extend_from_slice(&ESCAPED_ZERO);
            } else {
                escaped.push(byte);
            }
        }
        escaped
    }

    /// The least bytes after all that begin with `prefix`: the exclusive end of their range. None when there is no end,
    /// that is, when the prefix is empty or all `ff`.
    #[must_use]
    pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
        let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Some(end)
    }

    fn end(&self) -> usize {
        user_key_end(&self.0)
            .expect("a row key has a terminator and a family: every constructor saw to it")
    }

    fn user_key_len(&self) -> usize {
        let escaped = &self.0[..self.end()];
        escaped.len() - escaped.iter().filter(|&&byte| byte == 0).count()
    }
}

/// Where the escaped user key ends and the terminator begins.
fn user_key_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == 0)?;
        let pair = bytes.get(at..at + 2)?;
        if pair == TERMINATOR {
            return Some(at);
        }
        if pair != ESCAPED_ZERO {
            return None;
        }
        at += 2;
    }
}

impl core::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.user_key().escape_ascii(),
            self.family().0,
            self.field_bytes().escape_ascii()
        )
    }
}

impl AsRef<[u8]> for RowKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Row keys order, compare and hash as their bytes do, so maps of them can be searched by any bytes.
impl Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for RowKey {
    type Error = RowKeyError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, RowKeyError> {
        Self::from_bytes(bytes)
    }
}

/// The length as a varint, then the encoding.
impl Canonical for RowKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Self::from_bytes(Vec::decode(input)?).map_err(|error| match error {
            RowKeyError::Malformed => DecodeError::Invalid("a malformed row key"),
            RowKeyError::KeyTooLong(_) => DecodeError::Invalid("a key over the limit"),
            RowKeyError::FieldTooLong(_) => DecodeError::Invalid("a field over the limit"),
        })
    }
}
