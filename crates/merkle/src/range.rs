//! Ranges of keys.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;

/// A lower and an upper bound as `BTreeMap::range` takes them.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys from `lower` on, up to but not including `upper`, in bytewise order.
///
/// ```
/// use syncline_merkle::KeyRange;
///
/// let users = KeyRange::prefix(b"user:");
/// assert!(users.contains(b"user:ada") && !users.contains(b"visit:1"));
/// assert!(KeyRange::ALL.contains(b""));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The first key that is inside; empty means from the start of the key space.
    pub lower: Vec<u8>,
    /// The first key that is outside again; `None` means to the end of the key space.
    pub upper: Option<Vec<u8>>,
}

impl KeyRange {
    /// The whole key space.
    pub const ALL: Self = Self {
        lower: Vec::new(),
        upper: None,
    };

    /// The keys from `lower` (inside) to `upper` (outside).
    pub fn new(lower: impl Into<Vec<u8>>, upper: impl Into<Option<Vec<u8>>>) -> Self {
        Self {
            lower: lower.into(),
            upper: upper.into(),
        }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        // The first key after all of them: the last byte that can be incremented is, and what
        // follows it is dropped.
        let upper = prefix.iter().rposition(|byte| *byte != 0xff).map(|last| {
            let mut upper = prefix[..=last].to_vec();
            upper[last] += 1;
            upper
        });
        Self {
            lower: prefix.to_vec(),
            upper,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.lower.as_slice() <= key && self.ends_after(key)
    }

    /// Whether no key at all can lie in the range.
    pub fn is_empty(&self) -> bool {
        !self.ends_after(&self.lower)
    }

    /// Whether every key of `inner` lies in this range too.
    pub fn covers(&self, inner: &Self) -> bool {
        let upper_fits = match (&self.upper, &inner.upper) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => inner <= outer,
        };
        inner.is_empty() || (self.lower <= inner.lower && upper_fits)
    }

    /// The range as ordered maps of the standard library take it; `None` where it is empty, since
    /// they panic at a range that ends before it begins.
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        let upper = self
            .upper
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        (!self.is_empty()).then_some((Bound::Included(self.lower.as_slice()), upper))
    }

    /// Whether `key` lies before the upper bound.
    pub(crate) fn ends_after(&self, key: &[u8]) -> bool {
        self.upper.as_deref().is_none_or(|upper| key < upper)
    }
}

/// The least key greater than `key` in bytewise order, which is `key` and a zero byte: where to go on behind it.
///
/// ```
/// use syncline_merkle::{KeyRange, after};
///
/// let rest = KeyRange::new(after(b"ada"), None);
/// assert!(!rest.contains(b"ada") && rest.contains(b"ada\0") && rest.contains(b"adam"));
/// ```
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[\"{}\", ", self.lower.escape_ascii())?;
        match &self.upper {
            Some(upper) => write!(f, "\"{}\")", upper.escape_ascii()),
            None => f.write_str("end)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_incrementable_byte_says() {
        assert_eq!(KeyRange::prefix(b"ab").upper.as_deref(), Some(&b"ac"[..]));
        assert_eq!(
            KeyRange::prefix(b"a\xff\xff").upper.as_deref(),
            Some(&b"b"[..])
        );
        assert_eq!(KeyRange::prefix(b"\xff").upper, None);
        assert_eq!(KeyRange::prefix(b""), KeyRange::ALL);
    }

    #[test]
    fn emptiness_and_covering() {
        let empty = KeyRange::new("b", b"b".to_vec());
        assert!(empty.is_empty() && !empty.contains(b"b"));
        assert!(!KeyRange::ALL.is_empty());
        let inner = KeyRange::new("b", b"c".to_vec());
        assert!(KeyRange::ALL.covers(&inner) && inner.covers(&empty));
        assert!(!inner.covers(&KeyRange::ALL) && !inner.covers(&KeyRange::new("b", None)));
    }
}
