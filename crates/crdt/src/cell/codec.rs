//! The bytes of a cell as a row's payload.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Cell, Sum};
use crate::canonical::{Canonical, DecodeError, Input};
use crate::decimal::Amount;
use crate::dot::Dot;

/// A SET without baselines: the raw value follows, to the end. So most values cost one byte.
const PLAIN: u8 = 0x01;
/// Any other base: baselines, then 0 for a DEL, or 1 and the raw value to the end.
const BASE: u8 = 0x02;
/// A contribution: its name (0, or 1 and a dot), then its sum.
const CONTRIBUTION: u8 = 0x03;
/// As [`BASE`], with digits after the point of at least one sum.
const DECIMAL_BASE: u8 = 0x04;
/// As [`CONTRIBUTION`], with digits after the point of its sum.
const DECIMAL_CONTRIBUTION: u8 = 0x05;

/// Whether the payload has a tag under which there are DELs.
pub(super) fn may_be_delete(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(BASE | DECIMAL_BASE)))
}

impl Cell {
    /// The payload bytes: a tag, then what the tag says. They are not self-delimiting, a row writes their length.
    ///
    /// | tag | then |
    /// |---|---|
    /// | `01` | a SET without baselines: the raw value |
    /// | `02` | any other base: varint count of baselines, each a dot and a sum, by name ascending; then `00` for a DEL, or `01` and the raw value |
    /// | `03` | a contribution: `00`, or `01` and the dot that names it; then its sum |
    /// | `04`, `05` | as `02`, `03`, when anything follows the point of a sum |
    ///
    /// A sum is two varints of up to 128 bits, up and down. Under `04` and `05` each is followed by a varint below 10¹⁸:
    /// what follows the point, in units of 10⁻¹⁸.
    ///
    /// ```
    /// use syncline_crdt::{Siblings, cell, cell::Cell};
    ///
    /// let set = cell::assign(&Siblings::new(), Some(b"42".to_vec()));
    /// assert_eq!(set.to_bytes(), b"\x0142");
    /// assert_eq!(Cell::from_bytes(b"\x0142"), Ok(set));
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Base {
                value: Some(value),
                baselines,
            } if baselines.is_empty() => {
                out.reserve_exact(1 + value.len());
                out.push(PLAIN);
                out.extend_from_slice(value);
            }
            Self::Base { value, baselines } => {
                if self.is_whole() {
                    out.push(BASE);
                    whole(baselines).encode(&mut out);
                } else {
                    out.push(DECIMAL_BASE);
                    baselines.encode(&mut out);
                }
                value.is_some().encode(&mut out);
                out.extend_from_slice(value.as_deref().unwrap_or_default());
            }
            Self::Contribution { name, sum } if self.is_whole() => {
                out.push(CONTRIBUTION);
                name.encode(&mut out);
                Whole(*sum).encode(&mut out);
            }
            Self::Contribution { name, sum } => {
                out.push(DECIMAL_CONTRIBUTION);
                name.encode(&mut out);
                sum.encode(&mut out);
            }
        }
        out
    }

    /// Reads payload bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnknownTag`] for a payload of a newer version, which is to be kept and passed on as it is;
    /// another one when the bytes are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(payload);
        let cell = match input.byte()? {
            PLAIN => Self::Base {
                value: Some(input.rest().to_vec()),
                baselines: BTreeMap::new(),
            },
            BASE => {
                let baselines = BTreeMap::<Dot, Whole>::decode(&mut input)?;
                let baselines = baselines.into_iter().map(|(name, Whole(sum))| (name, sum));
                Self::base(baselines.collect(), &mut input)?
            }
            DECIMAL_BASE => Self::base(BTreeMap::decode(&mut input)?, &mut input)?.decimal()?,
            CONTRIBUTION => Self::Contribution {
                name: Option::decode(&mut input)?,
                sum: Whole::decode(&mut input)?.0,
            },
            DECIMAL_CONTRIBUTION => Self::Contribution {
                name: Option::decode(&mut input)?,
                sum: Sum::decode(&mut input)?,
            }
            .decimal()?,
            tag => return Err(DecodeError::UnknownTag(tag)),
        };
        input.finish()?;
        Ok(cell)
    }
    /// What follows the baselines of a base.
    fn base(baselines: BTreeMap<Dot, Sum>, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let value = bool::decode(input)?.then(|| input.rest().to_vec());
        if baselines.is_empty() && value.is_some() {
            return Err(DecodeError::Invalid(
                "a plain value under the tag of a base",
            ));
        }
        Ok(Self::Base { value, baselines })
    }

    /// Refuses what has to be written under the tags of whole numbers.
    fn decimal(self) -> Result<Self, DecodeError> {
        match self.is_whole() {
            true => Err(DecodeError::Invalid(
                "whole numbers under the tag of decimals",
            )),
            false => Ok(self),
        }
    }

    /// Whether nothing but whole numbers was ever added to what this knows of.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Base { baselines, .. } => baselines.values().all(Sum::is_whole),
            Self::Contribution { sum, .. } => sum.is_whole(),
        }
    }
}

/// A sum of whole numbers.
struct Whole(Sum);

fn whole(baselines: &BTreeMap<Dot, Sum>) -> BTreeMap<Dot, Whole> {
    let sums = baselines.iter().map(|(name, sum)| (*name, Whole(*sum)));
    sums.collect()
}

/// Two varints: up, down.
impl Canonical for Whole {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.up.integer().encode(out);
        self.0.down.integer().encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let up = u128::decode(input)?;
        Ok(Self(Sum::whole(up, u128::decode(input)?)))
    }
}

/// Up, down.
impl Canonical for Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        self.up.encode(out);
        self.down.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            up: Amount::decode(input)?,
            down: Amount::decode(input)?,
        })
    }
}
