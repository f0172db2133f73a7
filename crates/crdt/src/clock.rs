//! Hybrid logical time: [`Stamp`] and the clock that makes them, [`Hlc`].
//!
//! After S. Kulkarni et al., "Logical Physical Clocks" (OPODIS 2014): a stamp is close to wall time, and always greater
//! than every stamp observed before it, so that a write made in the knowledge of another one wins over it whatever the
//! wall clocks say.

use core::fmt;

use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};

/// A point in hybrid time: 48 bits of Unix milliseconds, then 16 bits that count within the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// Before every other stamp.
    pub const ZERO: Self = Self(0);
    /// After every other stamp.
    pub const MAX: Self = Self(u64::MAX);

    /// The stamp at `millis` and `logical`; milliseconds beyond 48 bits (the year 10889) saturate.
    #[must_use]
    pub const fn new(millis: u64, logical: u16) -> Self {
        const LAST: u64 = (1 << 48) - 1;
        let millis = if millis > LAST { LAST } else { millis };
        Self((millis << 16) | logical as u64)
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The count within the millisecond.
    #[must_use]
    pub const fn logical(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// Both parts in one integer, which orders as stamps do.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`as_u64`](Self::as_u64).
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The least stamp after this one. The logical part carries into the milliseconds; [`MAX`](Self::MAX) stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.logical())
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Eight bytes, big-endian: bytes order as stamps do.
impl Canonical for Stamp {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(|bytes| Self(u64::from_be_bytes(bytes)))
    }
}

/// A hybrid logical clock: remembers the greatest stamp made or observed, and makes greater ones.
///
/// It reads no clock itself. Its [`last`](Self::last) stamp must be kept with the data: a clock that starts again below
/// the stamps of its own earlier writes would let them win over new ones, until wall time has caught up.
///
/// ```
/// use syncline_crdt::{Hlc, Stamp};
///
/// let mut clock = Hlc::new(Stamp::ZERO);
/// let mine = clock.tick(1_000);
/// clock.observe(Stamp::new(5_000, 7)); // a peer whose wall clock is ahead
/// let after = clock.tick(1_001);
/// assert!(after > Stamp::new(5_000, 7) && after > mine);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hlc {
    last: Stamp,
}

impl Hlc {
    /// A clock that has observed `last`.
    #[must_use]
    pub const fn new(last: Stamp) -> Self {
        Self { last }
    }

    /// A stamp for a new event, given the wall clock in Unix milliseconds: `max(wall, observed) + 1`.
    ///
    /// Strictly greater than every stamp made or observed so far, short of [`Stamp::MAX`], which repeats.
    pub fn tick(&mut self, wall_ms: u64) -> Stamp {
        self.last = self.last.max(Stamp::new(wall_ms, 0)).next();
        self.last
    }

    /// Takes note of a stamp that came with data, so that what is written from now on is later.
    pub fn observe(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp);
    }

    /// The greatest stamp made or observed.
    #[must_use]
    pub const fn last(&self) -> Stamp {
        self.last
    }
}
