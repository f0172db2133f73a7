//! The bytes of a cell as a row's payload.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Cell, Sum};
use crate::canonical::{Canonical, DecodeError, Input};
use crate::dot::Dot;

/// A SET without baselines: the raw value follows, to the end. So most values cost one byte.
const PLAIN: u8 = 0x01;
/// Any other base: baselines, then 0 for a DEL, or 1 and the raw value to the end.
const BASE: u8 = 0x02;
/// A contribution: its name (0, or 1 and a dot), then its sum.
const CONTRIBUTION: u8 = 0x03;

impl Cell {
    /// The payload bytes: a tag, then what the tag says. They are not self-delimiting, a row writes their length.
    ///
    /// | tag | then |
    /// |---|---|
    /// | `01` | a SET without baselines: the raw value |
    /// | `02` | any other base: varint count of baselines, each a dot and a sum, by name ascending; then `00` for a DEL, or `01` and the raw value |
    /// | `03` | a contribution: `00`, or `01` and the dot that names it; then its sum |
    ///
    /// A sum is two varints of up to 128 bits, up and down.
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
                out.push(BASE);
                baselines.encode(&mut out);
                value.is_some().encode(&mut out);
                out.extend_from_slice(value.as_deref().unwrap_or_default());
            }
            Self::Contribution { name, sum } => {
                out.push(CONTRIBUTION);
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
                let baselines = BTreeMap::<Dot, Sum>::decode(&mut input)?;
                let value = bool::decode(&mut input)?.then(|| input.rest().to_vec());
                if baselines.is_empty() && value.is_some() {
                    return Err(DecodeError::Invalid(
                        "a plain value under the tag of a base",
                    ));
                }
                Self::Base { value, baselines }
            }
            CONTRIBUTION => Self::Contribution {
                name: Option::decode(&mut input)?,
                sum: Sum::decode(&mut input)?,
            },
            tag => return Err(DecodeError::UnknownTag(tag)),
        };
        input.finish()?;
        Ok(cell)
    }
}

/// Two varints: up, down.
impl Canonical for Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        self.up.encode(out);
        self.down.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            up: u128::decode(input)?,
            down: u128::decode(input)?,
        })
    }
}
