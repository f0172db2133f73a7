//! The short fingerprints of one walk, keyed by its salt.
//!
//! Items are compared by digests that only holders of the cluster's secret can compute, so what is
//! sent of them may be cut short: chance is the only thing that can make two short fingerprints
//! agree. The salt makes that chance another one in every walk: two items whose ids coincide today
//! do not coincide tomorrow, so a difference that hid behind a coincidence is found by the next
//! walk.

use crate::{ItemDigest, KeyRange, RangeDigest};

/// What a fingerprint is of, so that no two kinds ever share an input.
#[derive(Clone, Copy)]
enum Kind {
    Child = 1,
    Tag = 2,
    Bounds = 3,
    Id = 4,
    Mix = 5,
}

/// Bits kept of the fingerprints that only search. Those that conclude are never cut.
#[derive(Clone, Copy, Debug)]
struct Widths {
    child: u64,
    tag: u32,
    id: u64,
}

/// The fingerprints under one salt.
#[derive(Clone, Debug)]
pub(crate) struct Salted {
    key: [u8; 32],
    widths: Widths,
}

impl Salted {
    pub(crate) fn new(salt: &[u8; 16]) -> Self {
        let key = blake3::derive_key("syncline-merkle v1: fingerprints of a walk", salt);
        Self {
            key,
            widths: Widths {
                child: (1 << 40) - 1,
                tag: (1 << 24) - 1,
                id: u64::MAX,
            },
        }
    }

    /// Fingerprints so narrow that they coincide all the time; those of fences may be of another width.
    #[cfg(test)]
    pub(crate) fn narrow(salt: &[u8; 16], bits: u32, tag_bits: u32) -> Self {
        let mask = (1 << bits) - 1;
        let widths = Widths {
            child: mask,
            tag: (1 << tag_bits) - 1,
            id: mask,
        };
        Self {
            widths,
            ..Self::new(salt)
        }
    }

    /// 40 bits of a sub-range: its bounds and what it holds.
    pub(crate) fn child(&self, range: RangeRef<'_>, digest: &RangeDigest) -> u64 {
        let mut hasher = self.hasher(Kind::Child);
        range.hash(&mut hasher);
        hasher.update(&digest.to_bytes());
        word(&hasher) & self.widths.child
    }

    /// 24 bits of a fence.
    pub(crate) fn tag(&self, fence: &[u8]) -> u32 {
        let mut hasher = self.hasher(Kind::Tag);
        hasher.update(fence);
        word(&hasher) as u32 & self.widths.tag
    }

    /// 64 bits of an item, of which as many are sent as the listing needs.
    pub(crate) fn id(&self, item: &ItemDigest) -> u64 {
        let mut hasher = self.hasher(Kind::Id);
        hasher.update(item.as_bytes());
        word(&hasher) & self.widths.id
    }

    /// 64 bits of an item, given the low half of its digest; their sum over a range is independent
    /// of the sum of the digests, which is what tells one foreign item from many.
    pub(crate) fn mix(&self, low: u128) -> u64 {
        let mut hasher = self.hasher(Kind::Mix);
        hasher.update(&low.to_le_bytes());
        word(&hasher)
    }

    /// 128 bits of a range's bounds: added to every sum that is sent, so that sums over different
    /// bounds have nothing to do with each other.
    pub(crate) fn bounds(&self, range: &KeyRange) -> u128 {
        let mut hasher = self.hasher(Kind::Bounds);
        RangeRef::of(range).hash(&mut hasher);
        let hash = hasher.finalize();
        let (low, _) = hash
            .as_bytes()
            .split_first_chunk()
            .expect("32 bytes begin with 16");
        u128::from_le_bytes(*low)
    }

    /// A range's digest as it is sent: the low half of its sum, sealed with its bounds.
    pub(crate) fn seal(&self, range: &KeyRange, low: u128) -> u128 {
        low.wrapping_add(self.bounds(range))
    }

    fn hasher(&self, kind: Kind) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[kind as u8]);
        hasher
    }
}

fn word(hasher: &blake3::Hasher) -> u64 {
    let hash = hasher.finalize();
    let (word, _) = hash
        .as_bytes()
        .split_first_chunk()
        .expect("32 bytes begin with 8");
    u64::from_le_bytes(*word)
}

/// A key range by reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeRef<'k> {
    pub(crate) lower: &'k [u8],
    pub(crate) upper: Option<&'k [u8]>,
}

impl<'k> RangeRef<'k> {
    pub(crate) fn of(range: &'k KeyRange) -> Self {
        Self {
            lower: &range.lower,
            upper: range.upper.as_deref(),
        }
    }

    pub(crate) fn to_owned(self) -> KeyRange {
        KeyRange {
            lower: self.lower.to_vec(),
            upper: self.upper.map(<[u8]>::to_vec),
        }
    }

    /// Unambiguous: the lower bound's length, the lower bound, whether there is an upper bound, the
    /// upper bound's length, the upper bound.
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.lower.len() as u64).to_le_bytes());
        hasher.update(self.lower);
        let Some(upper) = self.upper else {
            hasher.update(&[0]);
            return;
        };
        hasher.update(&[1]);
        hasher.update(&(upper.len() as u64).to_le_bytes());
        hasher.update(upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of a walk may be of different versions of this crate.
    #[test]
    fn fingerprints_are_frozen() {
        let salted = Salted::new(b"salt of the walk");
        let item = ItemDigest::from_bytes([7; 32]);
        let range = KeyRange::new("a", b"b".to_vec());
        let child = salted.child(RangeRef::of(&range), &RangeDigest::of(&item));
        assert_eq!(child, 0x78_6ed3_0b58);
        assert_eq!(salted.tag(b"fence"), 0x2e_b1eb);
        assert_eq!(salted.id(&item), 0x7fd2_507a_7897_353b);
        assert_eq!(salted.mix(1), 0x2fb1_eff1_1995_8bdb);
        assert_eq!(
            salted.bounds(&range),
            0x6ad9_3535_df08_3ca0_7e5c_916a_d9c8_2878
        );
        assert_eq!(
            salted.bounds(&KeyRange::ALL),
            0xae5_9eb4_72ef_91e0_c6e8_f762_eb11_f7c4
        );
    }

    #[test]
    fn bounds_do_not_run_into_each_other() {
        let salted = Salted::new(&[0; 16]);
        let ranges = [
            KeyRange::new("ab", b"c".to_vec()),
            KeyRange::new("a", b"bc".to_vec()),
            KeyRange::new("abc", None),
            KeyRange::new("abc", Vec::new()),
        ];
        for (at, range) in ranges.iter().enumerate() {
            assert!(
                ranges[..at]
                    .iter()
                    .all(|other| salted.bounds(other) != salted.bounds(range))
            );
        }
    }
}
