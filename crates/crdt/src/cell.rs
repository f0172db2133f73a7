//! The numeric cell: a value that can be set, deleted and added to, on any replica at any time.
//!
//! A string, a map's field and a counter are one kind of row. Its siblings are *bases* (a SET or a DEL) and
//! *contributions* (the INCRs of one replica, summed up). One principle decides what they come to: an operation acts
//! only on what its replica had observed. So an increment is erased by exactly the sets and deletes that observed it.
//!
//! - A contribution is *named* by the dot of its first increment. It belongs to one replica id, and it only grows:
//!   increments and decrements are summed apart. Each increment supersedes its own earlier sum and nothing else.
//! - A base supersedes all that it observed, and remembers for each name how much of it that was: its *baseline*. A
//!   replica that has not seen the base yet may go on with the contribution, whose larger sum then arrives beside the
//!   base: only what exceeds the baseline counts.
//! - A replica that knows of a baseline for its own contribution begins a new one, from zero, named by a new dot.
//! - The value is the winning SET, or nothing, plus all that exceeds the greatest baselines. A DEL never competes: it
//!   has erased what it observed, and a concurrent SET or INCR was not among that.
//! - Numbers are integers or exact [decimals](crate::decimal), and one cell may be added to by both: the sum does not
//!   depend on the order of adding. No operation takes the number out of the range of `i64`; merged ones
//!   may, which readers see as the bound.
//!
//! ```
//! use syncline_crdt::cell::{self, Cell, Value};
//! use syncline_crdt::{CausalMap, ReplicaId, Stamp};
//!
//! let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
//! let mut ours: CausalMap<(), Cell> = CausalMap::new();
//! let row = |map: &CausalMap<(), Cell>| map.row(&()).cloned().unwrap_or_default();
//!
//! // x = 5, made by ada alone and known to both.
//! let five = cell::add(&row(&ours), ada, 5).unwrap();
//! ours.put_superseding((), ours.context().next_dot(ada), Stamp::new(1, 0), five.cell, &five.supersedes);
//! let mut theirs = ours.clone();
//!
//! // DEL x here, INCR x there, neither aware of the other.
//! let delete = cell::assign(&row(&theirs), None);
//! theirs.put((), theirs.context().next_dot(bob), Stamp::new(2, 0), delete);
//! let one = cell::add(&row(&ours), ada, 1).unwrap();
//! ours.put_superseding((), ours.context().next_dot(ada), Stamp::new(2, 0), one.cell, &one.supersedes);
//! assert_eq!(cell::read(&row(&ours)), Some(Value::Integer(6)));
//! assert_eq!(cell::read(&row(&theirs)), None);
//!
//! // Merged, exactly the increment is left that the delete had not observed.
//! ours.join(&theirs);
//! assert_eq!(cell::read(&row(&ours)), Some(Value::Integer(1)));
//! ```

mod codec;

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::clock::Stamp;
use crate::decimal::{Amount, Decimal};
use crate::dot::{Dot, ReplicaId};
use crate::siblings::{Row, Sibling, Siblings};

/// How much a contribution has grown, upwards and downwards. Both only ever grow, so of two versions the greater parts
/// are the later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sum {
    /// The sum of all increments.
    pub up: Amount,
    /// The sum of all decrements.
    pub down: Amount,
}

impl Sum {
    /// Of whole numbers.
    #[must_use]
    pub const fn whole(up: u128, down: u128) -> Self {
        Self {
            up: Amount::whole(up),
            down: Amount::whole(down),
        }
    }

    /// Whether nothing but whole numbers was added.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.up.is_whole() && self.down.is_whole()
    }

    /// Part by part, the greater of two versions.
    #[must_use]
    pub fn greatest(self, other: Self) -> Self {
        Self {
            up: self.up.max(other.up),
            down: self.down.max(other.down),
        }
    }

    /// This much and `by` more; nothing when that leaves 128 bits.
    fn grown(self, by: Decimal) -> Option<Self> {
        let more = by.magnitude();
        Some(if by.is_negative() {
            Self {
                down: self.down.checked_add(more)?,
                ..self
            }
        } else {
            Self {
                up: self.up.checked_add(more)?,
                ..self
            }
        })
    }

    /// What exceeds a baseline.
    const fn beyond(self, baseline: Self) -> Self {
        Self {
            up: self.up.saturating_sub(baseline.up),
            down: self.down.saturating_sub(baseline.down),
        }
    }
}

/// The payload of one sibling of a numeric cell. See the [module](self) for how they act together, and
/// [`to_bytes`](Self::to_bytes) for its encoding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// A SET, or a DEL when there is no value.
    Base {
        /// What was set: any bytes, at most [`MAX_VALUE`](crate::limits::MAX_VALUE). A number when they
        /// [read as one](parse_decimal).
        value: Option<Vec<u8>>,
        /// For each contribution, by name, how much of it was observed and thereby erased.
        baselines: BTreeMap<Dot, Sum>,
    },
    /// The increments of one replica since it began this contribution.
    Contribution {
        /// The dot of the first increment; none when that is the sibling's own dot.
        name: Option<Dot>,
        /// Their sum so far.
        sum: Sum,
    },
}

/// What a cell reads as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text that is not a number, or that writes one otherwise than a number prints, such as `1.0`, and that nothing was
    /// added to.
    Bytes(Vec<u8>),
    /// An integer. It leaves the range of `i64` only where concurrent increments, each within it, were merged; saturates
    /// at 128 bits.
    Integer(i128),
    /// A number with digits after the point. It leaves the range as an integer does.
    Decimal(Decimal),
}

/// An increment to be written: a sibling, and the dots that it supersedes. Those are at most its own earlier sum, and
/// never all siblings of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    /// The earlier sums of the same contribution.
    pub supersedes: Vec<Dot>,
    /// What to write under a fresh dot.
    pub cell: Cell,
}

/// Why nothing can be added to a cell. The cell is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The value is text.
    #[error("the value is not a number; set it to one first")]
    NotANumber,
    /// An integer was to be added to what is not one.
    #[error("the value is not an integer; add a decimal, or set it to an integer first")]
    NotAnInteger,
    /// The sum would leave the range of a signed 64-bit integer.
    #[error("the sum would be out of the range of 64 bits")]
    Overflow,
}

/// The value that the siblings come to, or nothing when the cell is absent or deleted.
///
/// Linear in the siblings and their baselines.
#[must_use]
pub fn read(row: &Siblings<Cell>) -> Option<Value> {
    Tally::of(row).value()
}

/// A SET of this value, or a DEL: what to write under a fresh dot in place of *all* observed siblings.
///
/// A DEL that has no baselines to remember says nothing; its row can be removed outright instead.
#[must_use]
pub fn assign(observed: &Siblings<Cell>, value: Option<Vec<u8>>) -> Cell {
    let Tally {
        mut baselines,
        sums,
        ..
    } = Tally::of(observed);
    for (name, sum) in sums {
        raise(&mut baselines, name, sum);
    }
    Cell::Base { value, baselines }
}

/// An increment (a decrement when negative) by `replica`, the id under which its dot will be made.
///
/// # Errors
/// [`AddError::NotANumber`] when the cell reads as text, [`AddError::NotAnInteger`] when it reads as a decimal.
/// [`AddError::Overflow`] when the number would leave the range of `i64`; a merge may have taken it there already, then
/// only steps back towards the range are allowed.
pub fn add(observed: &Siblings<Cell>, replica: ReplicaId, by: i64) -> Result<Increment, AddError> {
    let tally = Tally::of(observed);
    match tally.value() {
        None | Some(Value::Integer(_)) => tally.grow(observed, replica, by.into()),
        Some(Value::Decimal(_)) => Err(AddError::NotAnInteger),
        Some(Value::Bytes(text)) if parse_decimal(&text).is_some() => Err(AddError::NotAnInteger),
        Some(Value::Bytes(_)) => Err(AddError::NotANumber),
    }
}

/// An increment by any number, as [`add`] makes it by an integer. Whatever writes a number can be added to, so also a
/// text such as `1.0` or `1e3`.
///
/// # Errors
/// [`AddError::NotANumber`] when the cell reads as text that is none; [`AddError::Overflow`] as for [`add`].
pub fn add_decimal(
    observed: &Siblings<Cell>,
    replica: ReplicaId,
    by: Decimal,
) -> Result<Increment, AddError> {
    Tally::of(observed).grow(observed, replica, by)
}

/// An increment of whatever was set, for a reader who knows how to add to it.
pub(crate) fn add_to_any(
    observed: &Siblings<Cell>,
    replica: ReplicaId,
    by: Decimal,
) -> Result<Increment, AddError> {
    let tally = Tally::of(observed);
    check_range(tally.extra().unwrap_or_default(), by)?;
    tally.contribute(observed, replica, by)
}

/// What was set, and what was added to it; neither when the cell is absent or deleted.
pub(crate) fn parts(row: &Siblings<Cell>) -> (Option<&[u8]>, Option<Decimal>) {
    let tally = Tally::of(row);
    (tally.set, tally.extra())
}

/// Refuses an addition that would take a number further out of the range.
fn check_range(now: Decimal, by: Decimal) -> Result<(), AddError> {
    let then = now.saturating_add(by);
    let leaves = !is_in_range(then) && then.is_negative() == by.is_negative();
    match by != Decimal::default() && leaves {
        true => Err(AddError::Overflow),
        false => Ok(()),
    }
}

fn is_in_range(number: Decimal) -> bool {
    (i64::MIN.into()..=i64::MAX.into()).contains(&number)
}

/// The number that these bytes write in [any form](Decimal::parse), if it is in the range of `i64`: what a cell that was
/// set to them counts on from.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<Decimal> {
    Decimal::parse(text).filter(|number| is_in_range(*number))
}

/// The number that these bytes write, in the one form that writes it: decimal digits with no leading zero, after a `-`
/// for negative ones, within 64 bits. So a number prints as the bytes it was read from.
///
/// ```
/// use syncline_crdt::cell::parse_integer;
///
/// assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
/// assert_eq!(parse_integer(b"007"), None);
/// ```
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The winning SET of a row as it is stored, by its stamp and dot, if there is one. What a newer version wrote is passed
/// over.
#[must_use]
pub fn winning_set(row: &Row) -> Option<(Stamp, Dot)> {
    let is_set = |sibling: &&Sibling<Vec<u8>>| {
        let cell = Cell::from_bytes(&sibling.payload);
        matches!(cell, Ok(Cell::Base { value: Some(_), .. }))
    };
    let sets = row.iter().filter(is_set);
    sets.map(|set| (set.stamp, set.dot)).max()
}

/// The dot of the DEL of which a row, as it is stored, is the *remnant*: it is all there is of the row, which therefore
/// shows nothing. It is kept to erase what may still arrive of the increments that it observed, until it is
/// [stable](crate::Stability::is_stable).
#[must_use]
pub fn remnant(row: &Row) -> Option<Dot> {
    let mut siblings = row.iter();
    let only = siblings.next().filter(|_| siblings.next().is_none())?;
    // Nearly every row that is looked at is a plain value, and says so by its first byte.
    if !codec::may_be_delete(&only.payload) {
        return None;
    }
    let cell = Cell::from_bytes(&only.payload);
    matches!(cell, Ok(Cell::Base { value: None, .. })).then_some(only.dot)
}

/// Whether a reader of the row, as it is stored, sees anything in it. What a newer version wrote is there, though not for
/// us to read.
#[must_use]
pub fn is_visible(row: &Row) -> bool {
    // Nearly every row has one sibling that is no delete, and need not be decoded.
    let mut siblings = row.iter();
    if let (Some(only), None) = (siblings.next(), siblings.next())
        && !codec::may_be_delete(&only.payload)
    {
        return true;
    }
    match row.try_map(|payload| Cell::from_bytes(payload)) {
        Ok(cell) => read(&cell).is_some(),
        Err(_) => !row.is_empty(),
    }
}

/// The siblings of a cell, brought together.
struct Tally<'a> {
    /// The greatest baseline of each name.
    baselines: BTreeMap<Dot, Sum>,
    /// The greatest sum of each name. While a row arrives in parts, an earlier sum can stand beside its successor.
    sums: BTreeMap<Dot, Sum>,
    /// The value of the winning SET.
    set: Option<&'a [u8]>,
}

impl<'a> Tally<'a> {
    fn of(row: &'a Siblings<Cell>) -> Self {
        let mut tally = Self {
            baselines: BTreeMap::new(),
            sums: BTreeMap::new(),
            set: None,
        };
        let mut latest = None;
        for sibling in row {
            match &sibling.payload {
                Cell::Base { value, baselines } => {
                    for (&name, &sum) in baselines {
                        raise(&mut tally.baselines, name, sum);
                    }
                    let order = Some((sibling.stamp, sibling.dot));
                    if let Some(value) = value.as_ref().filter(|_| order > latest) {
                        latest = order;
                        tally.set = Some(value);
                    }
                }
                Cell::Contribution { name, sum } => {
                    raise(&mut tally.sums, name.unwrap_or(sibling.dot), *sum);
                }
            }
        }
        tally
    }

    fn value(&self) -> Option<Value> {
        let number = match (self.set, self.extra()) {
            (None, extra) => extra?,
            // Nothing was added: the very bytes that were set, which a number prints as only if they have its one form.
            (Some(text), None) => match parse_decimal(text) {
                Some(number) if number.to_string().as_bytes() == text => number,
                _ => return Some(Value::Bytes(text.to_vec())),
            },
            (Some(text), Some(extra)) => match parse_decimal(text) {
                Some(number) => number.saturating_add(extra),
                None => return Some(Value::Bytes(text.to_vec())),
            },
        };
        Some(match number.to_integer() {
            Some(integer) => Value::Integer(integer),
            None => Value::Decimal(number),
        })
    }

    /// All that was added and that no base has erased; nothing when there was no such addition.
    fn extra(&self) -> Option<Decimal> {
        let mut is_present = false;
        let mut extra = Sum::default();
        for (name, sum) in &self.sums {
            let baseline = self.baselines.get(name);
            let beyond = sum.beyond(baseline.copied().unwrap_or_default());
            // An increment by zero makes an absent key 0, so mere presence counts where no base knows the name.
            is_present |= baseline.is_none() || beyond != Sum::default();
            // Ups and downs saturate apart, which does not depend on the order of summing.
            extra.up = extra.up.saturating_add(beyond.up);
            extra.down = extra.down.saturating_add(beyond.down);
        }
        is_present.then(|| Decimal::difference(extra.up, extra.down))
    }

    /// What to write in order to add.
    fn grow(
        &self,
        observed: &Siblings<Cell>,
        replica: ReplicaId,
        by: Decimal,
    ) -> Result<Increment, AddError> {
        let start = match self.set {
            Some(text) => parse_decimal(text).ok_or(AddError::NotANumber)?,
            None => Decimal::default(),
        };
        check_range(start.saturating_add(self.extra().unwrap_or_default()), by)?;
        self.contribute(observed, replica, by)
    }

    fn contribute(
        &self,
        observed: &Siblings<Cell>,
        replica: ReplicaId,
        by: Decimal,
    ) -> Result<Increment, AddError> {
        // A base that has erased a part of our contribution closes it: what the base remembers of it is final from then
        // on, so that both can be dropped once they are stable. We begin another one, from zero.
        let own = self
            .sums
            .iter()
            .find(|(name, _)| name.replica == replica && !self.baselines.contains_key(name));
        let Some((&name, sum)) = own else {
            let sum = Sum::default().grown(by).ok_or(AddError::Overflow)?;
            return Ok(Increment {
                supersedes: Vec::new(),
                cell: Cell::Contribution { name: None, sum },
            });
        };
        Ok(Increment {
            supersedes: observed
                .iter()
                .filter(|sibling| name_of(sibling) == Some(name))
                .map(|sibling| sibling.dot)
                .collect(),
            cell: Cell::Contribution {
                name: Some(name),
                sum: sum.grown(by).ok_or(AddError::Overflow)?,
            },
        })
    }
}

/// Keeps the greatest sum of each name.
fn raise(sums: &mut BTreeMap<Dot, Sum>, name: Dot, sum: Sum) {
    let kept = sums.entry(name).or_default();
    *kept = kept.greatest(sum);
}

fn name_of(sibling: &Sibling<Cell>) -> Option<Dot> {
    match &sibling.payload {
        Cell::Base { .. } => None,
        Cell::Contribution { name, .. } => Some(name.unwrap_or(sibling.dot)),
    }
}
