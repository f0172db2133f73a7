//! Scores of sorted sets: what a numeric [`cell`](mod@crate::cell) comes to as a binary floating-point number.
//!
//! A member of a sorted set is a cell, so that what is added to its score anywhere counts. Users see binary floating
//! point, infinities included, which cells do not have: their numbers are exact decimals of bounded size, whose sums do not
//! depend on the order of adding. Both are had by adding exactly first and rounding once, when the score is read:
//!
//! - What was set is kept as text, and what was added to it as exact decimals.
//! - Where the text is a decimal, base and additions are summed up exactly, and the sum is rounded to the nearest float.
//! - Where it is none (`1e300`, `1e-30`, `inf`), the exact sum of the additions is rounded, and added to it in floating
//!   point. That is one floating-point addition, whatever the number of increments and the order in which they came.
//!
//! Additions are finite, so no merge makes a NaN. An increment that no decimal can hold is for the caller to write as a
//! SET of what he sees ([`Score::to_text`]): as such it competes with concurrent ones.
//!
//! ```
//! use syncline_crdt::{ReplicaId, Score, Siblings, Stamp, cell, score};
//!
//! let ada = ReplicaId::from_bytes([1; 16]);
//! let set = cell::assign(&Siblings::new(), Some(Score::new(1.1).unwrap().to_text()));
//! let mut row = Siblings::one(syncline_crdt::Dot::new(ada, 1), Stamp::new(1, 0), set);
//! for counter in 2..=3 {
//!     let one = score::add(&row, ada, 1.into())?;
//!     one.supersedes.iter().for_each(|dot| drop(row.remove(dot)));
//!     let dot = syncline_crdt::Dot::new(ada, counter);
//!     row.insert(syncline_crdt::Sibling { dot, stamp: Stamp::new(1, 0), payload: one.cell });
//! }
//! assert_eq!(score::read(&row), Score::new(3.1));
//! # Ok::<(), cell::AddError>(())
//! ```

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

use crate::cell::{self, AddError, Cell, Increment};
use crate::decimal::Decimal;
use crate::dot::ReplicaId;
use crate::siblings::{Row, Siblings};

/// A score: a 64-bit float that is a number or an infinity. Zero has no sign, so equal scores have the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Score(f64);

/// No longer text is read as a score: far more than the longest that is written for one.
const MAX_TEXT: usize = 64;

/// The bit of the sign.
const SIGN: u64 = 1 << 63;

impl Score {
    /// The least score of all.
    pub const MIN: Self = Self(f64::NEG_INFINITY);

    /// Zero, which an absent member is increased from.
    pub const ZERO: Self = Self(0.0);

    /// The score, unless it is not a number.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        // Adding the zero without a sign takes it from the other.
        (!number.is_nan()).then_some(Self(number + 0.0))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Eight bytes that order as scores do.
    ///
    /// ```
    /// use syncline_crdt::Score;
    ///
    /// let ascending = [f64::NEG_INFINITY, -1.5, -0.0, 1e-300, 2.0, f64::INFINITY].map(|it| Score::new(it).unwrap());
    /// assert!(ascending.is_sorted_by_key(|score| score.to_bytes()));
    /// assert_eq!(ascending[2].to_bytes(), Score::new(0.0).unwrap().to_bytes());
    /// ```
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.rank().to_be_bytes()
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let rank = u64::from_be_bytes(bytes);
        let bits = if rank & SIGN == 0 { !rank } else { rank ^ SIGN };
        Self::new(f64::from_bits(bits)).filter(|score| score.rank() == rank)
    }

    /// The bits of floats order as unsigned integers do, but for the sign: negative ones the other way round, and before
    /// the others.
    fn rank(self) -> u64 {
        let bits = self.0.to_bits();
        if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
    }

    /// The text that a cell is set to for this score: the shortest that reads as it, as a decimal prints where it is one
    /// that additions to it stay exact.
    #[must_use]
    pub fn to_text(self) -> Vec<u8> {
        let shortest = format!("{:e}", self.0);
        match Decimal::parse(shortest.as_bytes()) {
            Some(decimal) => decimal.to_string().into_bytes(),
            None => shortest.into_bytes(),
        }
    }

    /// Reads what [`to_text`](Self::to_text) wrote, and other texts of numbers. Nothing when it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        Self::new(core::str::from_utf8(text).ok()?.parse().ok()?)
    }

    /// The decimal with the fewest digits that reads as this score, by which it can be added to a cell. Nothing when that
    /// has more digits than decimals have, or is out of their range.
    #[must_use]
    pub fn to_decimal(self) -> Option<Decimal> {
        cell::parse_decimal(format!("{:e}", self.0).as_bytes())
    }

    /// The nearest to a decimal.
    fn nearest(decimal: Decimal) -> Self {
        let number = match decimal.to_integer() {
            // Rounds to the nearest.
            #[allow(clippy::cast_precision_loss)]
            Some(integer) => integer as f64,
            None => decimal.to_string().parse().unwrap_or_default(),
        };
        Self(number + 0.0)
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Hash for Score {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
    }
}

/// The score that the siblings come to; nothing when there is none, or the text that was set is no score.
#[must_use]
pub fn read(row: &Siblings<Cell>) -> Option<Score> {
    match cell::parts(row) {
        (None, None) => None,
        (None, Some(added)) => Some(Score::nearest(added)),
        (Some(text), None) => Score::parse(text),
        (Some(text), Some(added)) => match Decimal::parse(text) {
            Some(base) => Some(Score::nearest(base.saturating_add(added))),
            None => Score::new(Score::parse(text)?.0 + Score::nearest(added).0),
        },
    }
}

/// As [`read`], of a row as it is stored. Nothing, too, when a newer version wrote some of it.
#[must_use]
pub fn of_row(row: &Row) -> Option<Score> {
    read(&row.try_map(|payload| Cell::from_bytes(payload)).ok()?)
}

/// An increment by `replica`, as [`cell::add_decimal`] makes it. What was set may be any text: [`read`] says what it comes
/// to.
///
/// # Errors
/// [`AddError::Overflow`] when all that was added would leave the range of 64 bits.
pub fn add(
    observed: &Siblings<Cell>,
    replica: ReplicaId,
    by: Decimal,
) -> Result<Increment, AddError> {
    cell::add_to_any(observed, replica, by)
}
