//! The secret under which items are digested and fences are chosen.

use core::fmt;

use crate::ItemDigest;

/// The highest fence level. With 32 items to a leaf and a fanout of 16 a level-12 node would hold 5
/// × 10^14 items.
pub const MAX_LEVEL: u8 = 12;

/// One key in 2^5 = 32 is a fence.
const LEAF_BITS: u32 = 5;
/// One fence of a level in 2^4 = 16 is a fence of the next.
const FANOUT_BITS: u32 = 4;

/// The keys derived from a cluster's secret: one for item digests, one for fence levels, and a
/// fingerprint.
///
/// Two sides can compare ranges only under the same secret. Without it nobody can choose items
/// whose digests add up to a sum of their liking, nor keys that are all fences, or none, which
/// would degenerate the tree.
///
/// ```
/// use syncline_merkle::DigestKey;
///
/// let key = DigestKey::derive(&[7; 32]);
/// assert_eq!(key.item(b"ada", b"1"), key.item(b"ada", b"1"));
/// assert_ne!(key.item(b"ada", b"1"), key.item(b"ad", b"a1"), "the boundary of key and value counts");
/// assert_ne!(key.item(b"ada", b"1"), DigestKey::derive(&[8; 32]).item(b"ada", b"1"));
/// ```
#[derive(Clone)]
pub struct DigestKey {
    item: [u8; 32],
    fence: [u8; 32],
    fingerprint: [u8; 16],
}

impl DigestKey {
    /// Derives the keys from a secret of 32 uniformly random bytes. The secret itself is not kept.
    pub fn derive(secret: &[u8; 32]) -> Self {
        let fingerprint =
            blake3::derive_key("syncline-merkle v1: fingerprint of the secret", secret);
        let (fingerprint, _) = fingerprint
            .split_first_chunk()
            .expect("32 bytes begin with 16");
        Self {
            item: blake3::derive_key("syncline-merkle v1: item digests", secret),
            fence: blake3::derive_key("syncline-merkle v1: fence levels", secret),
            fingerprint: *fingerprint,
        }
    }

    /// The digest of an item: BLAKE3 keyed, over the key's length (8 bytes, little-endian), the key
    /// and the value.
    pub fn item(&self, key: &[u8], value: &[u8]) -> ItemDigest {
        let mut hasher = blake3::Hasher::new_keyed(&self.item);
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(value);
        ItemDigest::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The fence level of a key, 0 (not a fence) to [`MAX_LEVEL`]: a fence of level *l* bounds
    /// ranges at the levels 1 to *l*.
    ///
    /// It depends on the key alone, never on the value, the history or the other keys, so that both
    /// sides cut their key spaces at the same places without a word. One key in 32 is a fence of
    /// level 1, one in 16 of those of level 2, and so on. The empty key is none: the key space
    /// begins there anyway.
    pub fn level(&self, key: &[u8]) -> u8 {
        if key.is_empty() {
            return 0;
        }
        let hash = blake3::keyed_hash(&self.fence, key);
        let (word, _) = hash
            .as_bytes()
            .split_first_chunk()
            .expect("32 bytes begin with 8");
        level_of(u64::from_le_bytes(*word).trailing_zeros())
    }

    /// Tells secrets apart without giving them away: a store written under one refuses to open
    /// under another.
    pub const fn fingerprint(&self) -> [u8; 16] {
        self.fingerprint
    }
}

fn level_of(trailing_zeros: u32) -> u8 {
    match trailing_zeros.checked_sub(LEAF_BITS) {
        None => 0,
        Some(rest) => (1 + rest / FANOUT_BITS).min(u32::from(MAX_LEVEL)) as u8,
    }
}

/// Keys are secret: only the fingerprint is shown.
impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(")?;
        self.fingerprint
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_step_every_four_bits_after_the_fifth() {
        let levels = [0, 4, 5, 8, 9, 12, 13, 48, 49, 64].map(level_of);
        assert_eq!(levels, [0, 0, 1, 1, 2, 2, 3, 11, 12, 12]);
    }

    #[test]
    fn fences_are_as_frequent_as_promised() {
        let key = DigestKey::derive(&[1; 32]);
        let mut at_least = [0u32; 3];
        for n in 0..64_000u32 {
            let level = key.level(&n.to_be_bytes());
            for (floor, count) in at_least.iter_mut().enumerate() {
                *count += u32::from(usize::from(level) > floor);
            }
        }
        assert!((1_800..2_200).contains(&at_least[0]), "{at_least:?}");
        assert!((90..160).contains(&at_least[1]), "{at_least:?}");
        assert!((2..20).contains(&at_least[2]), "{at_least:?}");
    }
}
