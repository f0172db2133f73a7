//! Exact decimals: what a cell is set to, and what is added to it.
//!
//! Binary floating point would not do: its sums depend on the order of adding, so replicas that have seen the same
//! additions would read different digits. These numbers are fixed-point. Whatever can be written with [`DIGITS`] digits
//! after the point is held exactly, and adding is associative.

use core::cmp::Ordering;
use core::fmt;

use crate::canonical::{Canonical, DecodeError, Input};

/// How many digits after the point are kept. One more than Redis prints.
pub const DIGITS: usize = 18;

/// Parts of one.
const ONE: u64 = 10_u64.pow(DIGITS as u32);

/// No longer text is read as a number: enough for every number, with a long exponent and zeros to spare.
const MAX_TEXT: usize = 64;

/// A number that is not negative: 128 bits before the point, [`DIGITS`] digits after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    // Ordered as the numbers are, field by field.
    whole: u128,
    /// In units of 10⁻¹⁸; less than one.
    fraction: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self::whole(0);

    const MAX: Self = Self {
        whole: u128::MAX,
        fraction: ONE - 1,
    };

    /// A whole number.
    #[must_use]
    pub const fn whole(whole: u128) -> Self {
        Self { whole, fraction: 0 }
    }

    /// What is before the point.
    #[must_use]
    pub const fn integer(&self) -> u128 {
        self.whole
    }

    /// Whether there is nothing after the point.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.fraction == 0
    }

    /// The sum; nothing when it leaves 128 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        // Below two, so far from the end of 64 bits.
        let fraction = self.fraction + other.fraction;
        let carry = u128::from(fraction >= ONE);
        Some(Self {
            whole: self.whole.checked_add(other.whole)?.checked_add(carry)?,
            fraction: fraction % ONE,
        })
    }

    /// The sum, or the greatest amount there is. Of non-negative numbers, so the order of adding does not show.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or(Self::MAX)
    }

    /// What exceeds `other`; zero when nothing does.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        let (fraction, borrow) = if self.fraction >= other.fraction {
            (self.fraction - other.fraction, 0)
        } else {
            (self.fraction + ONE - other.fraction, 1)
        };
        let rest = match self.whole.checked_sub(other.whole) {
            Some(rest) => rest.checked_sub(borrow),
            None => None,
        };
        match rest {
            Some(whole) => Self { whole, fraction },
            None => Self::ZERO,
        }
    }
}

/// Two varints: what is before the point, and what is after it in units of 10⁻¹⁸.
impl Canonical for Amount {
    fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
        self.whole.encode(out);
        self.fraction.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let whole = u128::decode(input)?;
        let fraction = u64::decode(input)?;
        if fraction >= ONE {
            return Err(DecodeError::Invalid("a fraction of one or more"));
        }
        Ok(Self { whole, fraction })
    }
}

/// A decimal number: 127 bits before the point, [`DIGITS`] digits after it.
///
/// ```
/// use syncline_crdt::Decimal;
///
/// let read = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
/// let sum = read("0.1").saturating_add(read("0.2")).saturating_add(read("-1e-1"));
/// assert_eq!(sum, read("0.2"));
/// assert_eq!(read("-2.50").to_string(), "-2.5");
/// assert_eq!(read("3e2").to_integer(), Some(300));
/// assert!(read("-0.5") < Decimal::from(0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Never of zero.
    is_negative: bool,
    /// Less than 2¹²⁷.
    magnitude: Amount,
}

impl Decimal {
    const MAX_MAGNITUDE: Amount = Amount::whole(i128::MAX as u128);

    /// Reads a number: an optional sign, digits, with a point anywhere among them or none, then an optional exponent of
    /// ten. Nothing when the text is anything else, is longer than 64 bytes, or writes a number that is out of range or
    /// has other than zeros after its [`DIGITS`]th digit.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (is_negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (text, exponent) = match at {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let point = text.iter().position(|byte| *byte == b'.');
        let (before, after) = match point {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &[][..]),
        };
        let mut digits = before.iter().chain(after).peekable();
        digits.peek()?;
        // The place of the next digit: that of the ones is 0.
        let mut place = i32::try_from(before.len()).ok()? - 1 + exponent;
        let mut magnitude = Amount::ZERO;
        for digit in digits {
            let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
            magnitude = magnitude.checked_add(digit_at(digit, place)?)?;
            place -= 1;
        }
        (magnitude.whole <= i128::MAX as u128).then(|| Self::new(is_negative, magnitude))
    }

    /// Ups less downs, saturating at the bounds.
    #[must_use]
    pub fn difference(up: Amount, down: Amount) -> Self {
        if up >= down {
            Self::new(false, up.saturating_sub(down))
        } else {
            Self::new(true, down.saturating_sub(up))
        }
    }

    fn new(is_negative: bool, magnitude: Amount) -> Self {
        let is_beyond = magnitude.whole > Self::MAX_MAGNITUDE.whole;
        Self {
            is_negative: is_negative && magnitude != Amount::ZERO,
            magnitude: if is_beyond {
                Self::MAX_MAGNITUDE
            } else {
                magnitude
            },
        }
    }

    /// How far from zero.
    #[must_use]
    pub const fn magnitude(&self) -> Amount {
        self.magnitude
    }

    /// Whether below zero.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// The sum, saturating at the bounds.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        if self.is_negative == other.is_negative {
            let magnitude = self.magnitude.saturating_add(other.magnitude);
            return Self::new(self.is_negative, magnitude);
        }
        let (positive, negative) = if self.is_negative {
            (other, self)
        } else {
            (self, other)
        };
        Self::difference(positive.magnitude, negative.magnitude)
    }

    /// The number, if there is nothing after the point.
    #[must_use]
    pub fn to_integer(self) -> Option<i128> {
        let whole = self.magnitude.is_whole().then_some(self.magnitude.whole)?;
        let whole = i128::try_from(whole).ok()?;
        Some(if self.is_negative { -whole } else { whole })
    }
}

/// A decimal digit at a place; nothing when it is not zero and beyond every place that there is.
fn digit_at(digit: u8, place: i32) -> Option<Amount> {
    if digit == 0 {
        return Some(Amount::ZERO);
    }
    Some(match u32::try_from(place) {
        Ok(place) => {
            let unit = 10_u128.checked_pow(place)?;
            Amount::whole(unit.checked_mul(u128::from(digit))?)
        }
        Err(_) => {
            let place = (DIGITS as u32).checked_sub(place.unsigned_abs())?;
            Amount {
                whole: 0,
                fraction: 10_u64.pow(place) * u64::from(digit),
            }
        }
    })
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let exponent: i32 = core::str::from_utf8(text).ok()?.parse().ok()?;
    // Beyond these, nothing but zero could be written anyway.
    (-1_000..=1_000).contains(&exponent).then_some(exponent)
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        let magnitude = Amount::whole(u128::from(number.unsigned_abs()));
        Self::new(number < 0, magnitude)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.magnitude.cmp(&other.magnitude),
            (true, true) => other.magnitude.cmp(&self.magnitude),
            (ours, theirs) => theirs.cmp(&ours),
        }
    }
}

/// The shortest form: no exponent, no zeros that say nothing, no point without digits after it.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative {
            f.write_str("-")?;
        }
        let Amount { whole, fraction } = self.magnitude;
        write!(f, "{whole}")?;
        if fraction > 0 {
            let (mut digits, mut width) = (fraction, DIGITS);
            while digits % 10 == 0 {
                digits /= 10;
                width -= 1;
            }
            write!(f, ".{digits:0width$}")?;
        }
        Ok(())
    }
}
