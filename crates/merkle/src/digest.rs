//! What is compared: one item's digest, and the digest of all items of a range.
//!
//! A range digest is the number of items and the sum of their digests modulo 2^256. A sum does not
//! depend on the order or the history of insertions, and a change costs one subtraction and one
//! addition wherever the range is kept. Plain sums (or XORs) of *unkeyed* hashes fall to linear
//! algebra and to generalised-birthday attacks: whoever may choose items can make two different
//! sets agree. Item digests are therefore keyed ([`DigestKey`](crate::DigestKey)), and 256 bits
//! wide, so that sums of millions of them stay as hard to hit by accident as one.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// The digest of one item: 32 bytes of keyed BLAKE3 over its key and value.
///
/// Made by [`DigestKey::item`](crate::DigestKey::item); stored beside the item, where it doubles as
/// its checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemDigest([u8; 32]);

impl ItemDigest {
    /// The digest of an item that is counted and not compared.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest with these bytes, as read back from where it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ItemDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ItemDigest(")?;
        hex(f, &self.0[..8])?;
        f.write_str("…)")
    }
}

/// The digest of a set of items: how many there are, and the sum of their digests modulo 2^256.
///
/// Digests of disjoint sets add up to the digest of their union; subtracting takes a subset out
/// again.
///
/// ```
/// use syncline_merkle::{DigestKey, RangeDigest};
///
/// let key = DigestKey::derive(&[7; 32]);
/// let (ada, bob) = (key.item(b"ada", b"1"), key.item(b"bob", b"2"));
///
/// let both = RangeDigest::of(&ada) + RangeDigest::of(&bob);
/// assert_eq!(both.count(), 2);
/// assert_eq!(both, RangeDigest::of(&bob) + RangeDigest::of(&ada));
/// assert_eq!(both - RangeDigest::of(&bob), RangeDigest::of(&ada));
/// assert_eq!(RangeDigest::from_bytes(&both.to_bytes()), both);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct RangeDigest {
    count: u64,
    /// Little-endian limbs of the sum.
    sum: [u64; 4],
}

impl RangeDigest {
    /// The digest of no items.
    pub const ZERO: Self = Self {
        count: 0,
        sum: [0; 4],
    };

    /// The length of [`to_bytes`](Self::to_bytes).
    pub const LEN: usize = 40;

    /// The digest of one item.
    pub fn of(item: &ItemDigest) -> Self {
        let (limbs, _) = item.0.as_chunks::<8>();
        Self {
            count: 1,
            sum: [0, 1, 2, 3].map(|at| u64::from_le_bytes(limbs[at])),
        }
    }

    /// The digest of so many items that are counted and not compared, that is, of
    /// [`ItemDigest::ZERO`] each.
    pub const fn counting(count: u64) -> Self {
        Self { count, sum: [0; 4] }
    }

    /// How many items the range holds.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether this is the digest of no items.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The low 128 bits of the sum: all that a search for one or two missing items needs.
    pub(crate) const fn low(&self) -> u128 {
        self.sum[0] as u128 | (self.sum[1] as u128) << 64
    }

    /// The frozen encoding: the count, then the sum, both little-endian.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (words, _) = bytes.as_chunks_mut::<8>();
        words[0] = self.count.to_le_bytes();
        for (word, limb) in words[1..].iter_mut().zip(self.sum) {
            *word = limb.to_le_bytes();
        }
        bytes
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote. Every 40 bytes are the digest of
    /// something.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        Self {
            count: word(0),
            sum: [word(1), word(2), word(3), word(4)],
        }
    }
}

/// Both count and sum wrap: subtracting what was never added is undone by adding it, so a digest
/// passes through any order of changes unharmed.
impl AddAssign for RangeDigest {
    fn add_assign(&mut self, other: Self) {
        self.count = self.count.wrapping_add(other.count);
        let mut carry = false;
        for (limb, add) in self.sum.iter_mut().zip(other.sum) {
            let (sum, over) = limb.overflowing_add(add);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_again);
        }
    }
}

impl SubAssign for RangeDigest {
    fn sub_assign(&mut self, other: Self) {
        self.count = self.count.wrapping_sub(other.count);
        let mut borrow = false;
        for (limb, sub) in self.sum.iter_mut().zip(other.sum) {
            let (rest, under) = limb.overflowing_sub(sub);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, under || under_again);
        }
    }
}

impl Add for RangeDigest {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub for RangeDigest {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl core::iter::Sum for RangeDigest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Debug for RangeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RangeDigest({} items, ", self.count)?;
        hex(f, &self.to_bytes()[8..16])?;
        f.write_str("…)")
    }
}

/// The count and the whole digest in hex: what people compare by eye.
impl fmt::Display for RangeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.count)?;
        hex(f, &self.to_bytes()[8..])
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_digest() -> impl Strategy<Value = RangeDigest> {
        (any::<u64>(), any::<[u64; 4]>()).prop_map(|(count, sum)| RangeDigest { count, sum })
    }

    proptest! {
        #[test]
        fn range_digests_form_an_abelian_group(a in any_digest(), b in any_digest(), c in any_digest()) {
            prop_assert_eq!(a + b, b + a);
            prop_assert_eq!((a + b) + c, a + (b + c));
            prop_assert_eq!(a + RangeDigest::ZERO, a);
            prop_assert_eq!(a + b - b, a);
            prop_assert_eq!(a - b + b, a);
        }

        #[test]
        fn bytes_round_trip(a in any_digest()) {
            prop_assert_eq!(RangeDigest::from_bytes(&a.to_bytes()), a);
        }
    }

    #[test]
    fn a_carry_runs_through_every_limb() {
        let all_ones = RangeDigest::of(&ItemDigest::from_bytes([0xff; 32]));
        let mut one = [0; 32];
        one[0] = 1;
        let wrapped = all_ones + RangeDigest::of(&ItemDigest::from_bytes(one));
        assert_eq!(
            wrapped,
            RangeDigest {
                count: 2,
                sum: [0; 4]
            }
        );
    }
}
