//! Who wrote, and which of their writes: [`ReplicaId`] and [`Dot`].

use core::fmt;

use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};

/// Names one opening of one store: 128 bits in the layout of a UUID version 7, so that ids sort by the time of minting.
///
/// An id is minted at the first write after a store was opened and is never continued by another opening. A crash, a
/// restored backup or a copied directory can therefore never reuse a dot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId([u8; 16]);

impl ReplicaId {
    /// The id with these 16 bytes. Any value is legal; [`mint`](Self::mint) is how fresh ones come to be.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes; ids order as these do.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A fresh id from the wall clock in Unix milliseconds (its low 48 bits are used) and 80 random bits (of which 74
    /// are used).
    ///
    /// ```
    /// use syncline_crdt::ReplicaId;
    ///
    /// let id = ReplicaId::mint(1_700_000_000_000, [0xab; 10]);
    /// assert_eq!(id.to_string(), "018bcfe5-6800-7bab-abab-abababababab");
    /// ```
    #[must_use]
    pub const fn mint(unix_ms: u64, entropy: [u8; 10]) -> Self {
        let t = unix_ms.to_be_bytes();
        let e = entropy;
        // RFC 9562, section 5.7: 48 bits of time, version 7, 12 random bits, variant 0b10, 62 random bits.
        Self([
            t[2],
            t[3],
            t[4],
            t[5],
            t[6],
            t[7],
            0x70 | (e[0] & 0x0f),
            e[1],
            0x80 | (e[2] & 0x3f),
            e[3],
            e[4],
            e[5],
            e[6],
            e[7],
            e[8],
            e[9],
        ])
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Canonical for ReplicaId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// Names one mutation: the `counter`-th that `replica` made. Removals have dots too, live in no row.
///
/// Dots order by replica, then counter. Counters start at 1; a zero counter names nothing, no context contains it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who made the mutation.
    pub replica: ReplicaId,
    /// Which of the replica's mutations it is, from 1.
    pub counter: u64,
}

impl Dot {
    /// The dot of this replica and counter.
    #[must_use]
    pub const fn new(replica: ReplicaId, counter: u64) -> Self {
        Self { replica, counter }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.counter)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 16 bytes of replica, then the counter as a varint.
impl Canonical for Dot {
    fn encode(&self, out: &mut Vec<u8>) {
        self.replica.encode(out);
        self.counter.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let replica = ReplicaId::decode(input)?;
        let counter = u64::decode(input)?;
        if counter == 0 {
            return Err(DecodeError::Invalid("a dot whose counter is zero"));
        }
        Ok(Self { replica, counter })
    }
}
