//! Who carries a namespace: [`CarrierId`] and the [`Roster`] of those that count.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::dot::ReplicaId;

/// Names one store of a namespace from its creation to its end, across all its openings: 128 bits that a store is given
/// when it is created empty. A [`ReplicaId`] names one opening; this is what [`Stability`](crate::Stability) counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierId([u8; 16]);

impl CarrierId {
    /// The name with these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A fresh name, of time and entropy as [`ReplicaId::mint`] takes them.
    #[must_use]
    pub const fn mint(unix_ms: u64, entropy: [u8; 10]) -> Self {
        Self(*ReplicaId::mint(unix_ms, entropy).as_bytes())
    }
}

impl fmt::Display for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ReplicaId::from_bytes(self.0), f)
    }
}

impl fmt::Debug for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As [`Display`](fmt::Display) writes it.
impl core::str::FromStr for CarrierId {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        const MALFORMED: DecodeError = DecodeError::Invalid("no name of a carrier");
        let mut bytes = [0; 16];
        let mut digits = text.bytes().filter(|byte| *byte != b'-').map(|byte| {
            let digit = char::from(byte).to_digit(16).ok_or(MALFORMED)?;
            Ok(digit as u8)
        });
        for byte in &mut bytes {
            let mut digit = || digits.next().unwrap_or(Err(MALFORMED));
            *byte = digit()? << 4 | digit()?;
        }
        match digits.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(MALFORMED),
        }
    }
}

impl Canonical for CarrierId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// The carriers that a store knows of: those that count, and those that were forgotten. It only grows, by
/// [union](Self::merge), and a forgotten one never counts again.
///
/// ```
/// use syncline_crdt::{CarrierId, Roster};
///
/// let [ada, bob] = [1, 2].map(|id| CarrierId::from_bytes([id; 16]));
/// let mut ours = Roster::new(ada);
/// assert!(ours.merge(&Roster::new(bob)));
/// assert!(ours.forget(bob));
/// assert!(!ours.merge(&Roster::new(bob)), "it is known, and forgotten");
/// assert!(ours.counts(&ada) && !ours.counts(&bob));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    counted: BTreeSet<CarrierId>,
    forgotten: BTreeSet<CarrierId>,
}

impl Roster {
    /// Of one carrier.
    #[must_use]
    pub fn new(carrier: CarrierId) -> Self {
        Self {
            counted: BTreeSet::from([carrier]),
            forgotten: BTreeSet::new(),
        }
    }

    /// Those that count.
    #[must_use]
    pub const fn counted(&self) -> &BTreeSet<CarrierId> {
        &self.counted
    }

    /// Those that were forgotten.
    #[must_use]
    pub const fn forgotten(&self) -> &BTreeSet<CarrierId> {
        &self.forgotten
    }

    /// Whether the carrier counts.
    #[must_use]
    pub fn counts(&self, carrier: &CarrierId) -> bool {
        self.counted.contains(carrier)
    }

    /// Whether the carrier was forgotten.
    #[must_use]
    pub fn has_forgotten(&self, carrier: &CarrierId) -> bool {
        self.forgotten.contains(carrier)
    }

    /// Adds all that the other one knows; returns whether anything of it is news.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.clone();
        self.forgotten.extend(&other.forgotten);
        self.counted.extend(&other.counted);
        let Self { counted, forgotten } = self;
        counted.retain(|carrier| !forgotten.contains(carrier));
        *self != before
    }

    /// Counts no more with a carrier, for good; returns whether that is news.
    pub fn forget(&mut self, carrier: CarrierId) -> bool {
        self.counted.remove(&carrier);
        self.forgotten.insert(carrier)
    }

    /// The place of a carrier among those that count, in their order.
    #[must_use]
    pub fn place(&self, carrier: &CarrierId) -> Option<usize> {
        self.counted.iter().position(|other| other == carrier)
    }

    /// The carrier at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<CarrierId> {
        self.counted.iter().nth(place).copied()
    }
}

/// Those that count, then those that were forgotten: each the number as a varint, and the names, ascending.
impl Canonical for Roster {
    fn encode(&self, out: &mut Vec<u8>) {
        self.counted.encode(out);
        self.forgotten.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let counted = BTreeSet::decode(input)?;
        let forgotten = BTreeSet::decode(input)?;
        match counted.is_disjoint(&forgotten) {
            true => Ok(Self { counted, forgotten }),
            false => Err(DecodeError::Invalid("a forgotten carrier that counts")),
        }
    }
}
