//! A counter that can be added to, set and reset.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::tag;
use crate::canonical::{Canonical, DecodeError, Input};
use crate::causal_map::CausalMap;
use crate::cell::{self, AddError, Cell, Value};
use crate::clock::Stamp;
use crate::context::Context;
use crate::dot::ReplicaId;
use crate::siblings::{Row, Siblings};

/// A counter: concurrent additions all count, and setting or resetting it erases exactly the additions that it had
/// observed. The numeric [cell], alone.
///
/// ```
/// use syncline_crdt::{PnCounter, ReplicaId, Stamp};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = PnCounter::new();
/// let mut theirs = PnCounter::new();
/// theirs.join(&ours.add(ada, 10)?);
/// ours.add(ada, 7)?;
/// theirs.add(bob, -3)?;
/// ours.join(&theirs);
/// assert_eq!(ours.value(), 14);
///
/// theirs.set(bob, Stamp::new(1, 0), 100); // knows of 10 and -3, not of the 7
/// ours.join(&theirs);
/// assert_eq!(ours.value(), 107);
/// # Ok::<(), syncline_crdt::cell::AddError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PnCounter {
    map: CausalMap<(), Cell>,
}

impl PnCounter {
    /// The initial state, which has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every dot seen.
    #[must_use]
    pub const fn context(&self) -> &Context {
        self.map.context()
    }

    /// Merges a delta or a whole state; returns whether anything changed here.
    pub fn join(&mut self, other: &Self) -> bool {
        self.map.join(&other.map)
    }

    /// Adds `by`. Returns the delta.
    ///
    /// # Errors
    /// [`AddError::Overflow`] when the sum would leave 64 bits. Nothing is changed then.
    pub fn add(&mut self, replica: ReplicaId, by: i64) -> Result<Self, AddError> {
        let increment = cell::add(self.row(), replica, by)?;
        let dot = self.context().next_dot(replica);
        let delta =
            self.map
                .put_superseding((), dot, Stamp::ZERO, increment.cell, &increment.supersedes);
        Ok(Self { map: delta })
    }

    /// Sets it. Of concurrent settings the one with the greatest (stamp, dot) counts. Returns the delta.
    pub fn set(&mut self, replica: ReplicaId, stamp: Stamp, value: i64) -> Self {
        self.assign(replica, stamp, Some(value.to_string().into_bytes()))
    }

    /// Erases what is known here. Returns the delta, an empty one when there was nothing.
    ///
    /// Where additions were erased, a remnant stays that remembers how much of each replica's.
    pub fn reset(&mut self, replica: ReplicaId) -> Self {
        if self.sum().is_none() {
            return Self::new();
        }
        // A deletion never competes, so it needs no stamp.
        self.assign(replica, Stamp::ZERO, None)
    }

    /// The value, 0 when nothing was ever counted. Where merged additions leave 64 bits, the bound.
    #[must_use]
    pub fn value(&self) -> i64 {
        let sum = self.sum().unwrap_or(0);
        i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
    }

    /// The exact value, or nothing when nothing was counted since the last reset.
    #[must_use]
    pub fn sum(&self) -> Option<i128> {
        match cell::read(self.row())? {
            Value::Integer(sum) => Some(sum),
            // Neither is ever in a counter: `set` and `add` take integers, and `decode` refuses anything else.
            Value::Bytes(_) | Value::Decimal(_) => None,
        }
    }

    fn assign(&mut self, replica: ReplicaId, stamp: Stamp, value: Option<Vec<u8>>) -> Self {
        let dot = self.context().next_dot(replica);
        let map = match cell::assign(self.row(), value) {
            Cell::Base {
                value: None,
                baselines,
            } if baselines.is_empty() => self.map.clear(dot),
            base => self.map.put((), dot, stamp, base),
        };
        Self { map }
    }

    fn row(&self) -> &Siblings<Cell> {
        const ABSENT: &Siblings<Cell> = &Siblings::new();
        self.map.row(&()).unwrap_or(ABSENT)
    }
}

/// A tag byte of the type, the context, and the siblings as a [`Row`] whose payloads are those of the [`Cell`].
impl Canonical for PnCounter {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(tag::PN_COUNTER);
        self.context().encode(out);
        self.row().map(Cell::to_bytes).encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match input.byte()? {
            tag::PN_COUNTER => {}
            tag => return Err(DecodeError::UnknownTag(tag)),
        }
        let context = Context::decode(input)?;
        let row = Row::decode(input)?.try_map(|payload| match Cell::from_bytes(payload)? {
            Cell::Base {
                value: Some(text), ..
            } if cell::parse_integer(&text).is_none() => Err(DecodeError::Invalid(
                "a counter set to what is not a number",
            )),
            cell if !cell.is_whole() => Err(DecodeError::Invalid(
                "a counter with digits after the point",
            )),
            cell => Ok(cell),
        })?;
        let rows = (!row.is_empty()).then_some(((), row));
        let map = CausalMap::from_parts(BTreeMap::from_iter(rows), context)?;
        Ok(Self { map })
    }
}
