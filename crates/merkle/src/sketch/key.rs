//! Elements, and the secret that decides where they lie and what their checks are.

use core::fmt;

/// The keys derived from a cluster's secret: one for elements, one for tags.
///
/// Two sketches can be compared only under the same secret. Hashes are SipHash-2-4 (J.-P. Aumasson,
/// D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012): whoever does not know the
/// key cannot tell its outputs from random ones, and it takes some ten nanoseconds where a block of
/// BLAKE3 takes a hundred. A decoder hashes ten times for each element that it finds.
#[derive(Clone)]
pub struct SketchKey {
    element: [u64; 2],
    tag: [u64; 2],
}

impl SketchKey {
    /// Derives the keys from a secret of 32 uniformly random bytes. The secret itself is not kept.
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self {
            element: words(&blake3::derive_key(
                "syncline-merkle v1: sketch elements",
                secret,
            )),
            tag: words(&blake3::derive_key(
                "syncline-merkle v1: sketch tags",
                secret,
            )),
        }
    }

    /// The element of a tag and a number.
    pub fn element(&self, tag: u64, number: u64) -> Element {
        Element {
            tag,
            number,
            hash: sip_hash(self.element, [tag, number]),
        }
    }

    /// 64 bits that stand for an id of 128. Among a million ids, two have the same tag with a
    /// probability of 2⁻²⁵.
    pub fn tag(&self, id: &[u8; 16]) -> u64 {
        let (words, _) = id.as_chunks();
        sip_hash(self.tag, [0, 1].map(|at| u64::from_le_bytes(words[at])))
    }
}

/// Keys are secret.
impl fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SketchKey").finish_non_exhaustive()
    }
}

/// A member of a set that is sketched: a tag and a number, with their keyed hash.
///
/// Made by [`SketchKey::element`], and to be used only with sketches of the same key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    tag: u64,
    number: u64,
    hash: u64,
}

impl Element {
    /// The tag that it was made of.
    pub const fn tag(&self) -> u64 {
        self.tag
    }

    /// The number that it was made of.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The seed of its mapping to symbols.
    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    /// What it adds to the checks of its symbols.
    pub(super) const fn check(&self) -> u32 {
        (self.hash >> 32) as u32
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({:016x}:{})", self.tag, self.number)
    }
}

/// The first 16 of the bytes.
fn words(bytes: &[u8; 32]) -> [u64; 2] {
    let (words, _) = bytes.as_chunks();
    [0, 1].map(|at| u64::from_le_bytes(words[at]))
}

/// SipHash-2-4 of a message of 16 bytes, given as little-endian words, as is the key.
fn sip_hash(key: [u64; 2], message: [u64; 2]) -> u64 {
    let mut state = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let padding = 16 << 56;
    for word in [message[0], message[1], padding] {
        state[3] ^= word;
        (0..2).for_each(|_| sip_round(&mut state));
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    (0..4).for_each(|_| sip_round(&mut state));
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

fn sip_round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *c = c.wrapping_add(*d);
    *b = b.rotate_left(13) ^ *a;
    *d = d.rotate_left(16) ^ *c;
    *a = a.rotate_left(32).wrapping_add(*d);
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *d = d.rotate_left(21) ^ *a;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of 16 bytes that the authors' implementation comes with.
    #[test]
    fn the_hash_is_siphash() {
        let bytes: [u8; 16] = core::array::from_fn(|at| at as u8);
        let (words, _) = bytes.as_chunks();
        let words = [words[0], words[1]].map(u64::from_le_bytes);
        assert_eq!(sip_hash(words, words), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    fn tags_and_elements_have_keys_of_their_own() {
        let key = SketchKey::derive(&[7; 32]);
        assert_ne!(key.tag(&[0; 16]), key.element(0, 0).hash());
        assert_ne!(key.tag(&[0; 16]), SketchKey::derive(&[8; 32]).tag(&[0; 16]));
        assert_ne!(key.element(1, 2).hash(), key.element(2, 1).hash());
    }
}
