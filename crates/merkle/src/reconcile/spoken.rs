//! What our last message said, so that the peer's answer may name it by number.
//!
//! Every statement lists *places*: a split one for each child, any other one for its range, an echo
//! one more for each suspected run. Places are numbered over the whole message, so naming one costs
//! a byte or two and no bounds. The bounds are kept as they were when they were said, whatever is
//! written meanwhile.

use alloc::vec::Vec;

use super::message::{IdWidth, Malformed, Run};
use super::salted::RangeRef;
use crate::{KeyRange, MAX_LEVEL};

/// What one part of our message listed.
#[derive(Clone, Debug)]
pub(super) enum Listed {
    /// The children of a split at a level, by their lower bounds, and where the last one ends.
    Children {
        level: u8,
        fences: Vec<Vec<u8>>,
        upper: Option<Vec<u8>>,
    },
    /// A range of which we gave the sum, and the level below which it can still be split.
    Sum {
        range: KeyRange,
        below: u8,
        form: Summed,
    },
    /// A range of which we echoed the sum, and the runs in which we suspect the difference.
    Echo {
        range: KeyRange,
        mixed: bool,
        suspects: Vec<KeyRange>,
    },
    /// A range of which we listed the items: the low halves of their digests, in key order.
    Items {
        range: KeyRange,
        width: IdWidth,
        lows: Vec<u128>,
    },
    /// A range of which we want to know the items that we lack.
    Inquired { range: KeyRange },
}

/// What went with a sum.
#[derive(Clone, Debug)]
pub(super) enum Summed {
    Bare,
    Mixed,
    /// Hints for the sub-ranges that begin at these keys.
    Hinted {
        fences: Vec<Vec<u8>>,
    },
}

/// What the peer says something about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'l> {
    Children {
        range: RangeRef<'l>,
        level: u8,
    },
    Sum {
        range: &'l KeyRange,
        below: u8,
        form: &'l Summed,
    },
    Echo {
        range: &'l KeyRange,
        mixed: bool,
    },
    Suspect(&'l KeyRange),
    Items {
        range: &'l KeyRange,
        width: IdWidth,
        lows: &'l [u128],
    },
    Inquired(&'l KeyRange),
}

impl<'l> Named<'l> {
    pub(super) fn range(&self) -> RangeRef<'l> {
        match self {
            Self::Children { range, .. } => *range,
            Self::Sum { range, .. }
            | Self::Echo { range, .. }
            | Self::Suspect(range)
            | Self::Items { range, .. }
            | Self::Inquired(range) => RangeRef::of(range),
        }
    }
}

impl Named<'_> {
    /// The level below which it can still be split: fences of that level and above are known to be
    /// of no use.
    pub(super) fn below(&self) -> u8 {
        match self {
            Self::Children { level, .. } => *level,
            Self::Sum { below, .. } => *below,
            // Hints have compared the sub-ranges of level 1, not their fences.
            Self::Echo { .. } | Self::Suspect(_) => 2,
            Self::Items { .. } | Self::Inquired(_) => 1,
        }
    }
}

impl Listed {
    fn places(&self) -> usize {
        match self {
            Self::Children { fences, .. } => fences.len(),
            Self::Sum { .. } | Self::Items { .. } | Self::Inquired { .. } => 1,
            Self::Echo { suspects, .. } => 1 + suspects.len(),
        }
    }

    /// Bytes of memory that it takes, about.
    fn weight(&self) -> usize {
        let key = |key: &Vec<u8>| key.len() + size_of::<Vec<u8>>();
        let range = |range: &KeyRange| key(&range.lower) + range.upper.as_ref().map_or(0, key);
        let fences = |fences: &[Vec<u8>]| fences.iter().map(key).sum::<usize>();
        match self {
            Self::Children {
                fences: children,
                upper,
                ..
            } => fences(children) + upper.as_ref().map_or(0, key),
            Self::Sum {
                range: whole,
                form: Summed::Hinted { fences: hinted },
                ..
            } => range(whole) + fences(hinted),
            Self::Sum { range: whole, .. } | Self::Inquired { range: whole } => range(whole),
            Self::Echo {
                range: whole,
                suspects,
                ..
            } => range(whole) + suspects.iter().map(range).sum::<usize>(),
            Self::Items {
                range: whole, lows, ..
            } => range(whole) + size_of_val(lows.as_slice()),
        }
    }
}

/// All that a message listed.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    /// Each with the number of its first place.
    listed: Vec<(u64, Listed)>,
    places: u64,
    weight: usize,
}

impl Spoken {
    /// What both sides know before the first message: the range of the walk, as place 0.
    pub(super) fn beginning(range: KeyRange) -> Self {
        let mut spoken = Self::default();
        spoken.list(Listed::Children {
            level: MAX_LEVEL + 1,
            fences: Vec::from([range.lower]),
            upper: range.upper,
        });
        spoken
    }

    pub(super) fn list(&mut self, listed: Listed) {
        let first = self.places;
        self.places += listed.places() as u64;
        self.weight += listed.weight();
        self.listed.push((first, listed));
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// What `len` places from `first` on are. A run of several can only be of children of one
    /// split.
    pub(super) fn name(&self, first: u64, len: u64) -> Result<Named<'_>, Malformed> {
        let at = self
            .listed
            .partition_point(|(start, _)| *start <= first)
            .checked_sub(1);
        let (start, listed) = at.and_then(|at| self.listed.get(at)).ok_or(NOT_LISTED)?;
        let first = usize::try_from(first - start).map_err(|_| NOT_LISTED)?;
        let len = usize::try_from(len).map_err(|_| NOT_LISTED)?;
        match listed {
            Listed::Children {
                level,
                fences,
                upper,
            } => {
                let range = range_of(fences, upper.as_deref(), Run { first, len });
                let (range, level) = (range.ok_or(NOT_LISTED)?, *level);
                Ok(Named::Children { range, level })
            }
            _ if len != 1 || first >= listed.places() => Err(NOT_LISTED),
            Listed::Sum { range, below, form } => Ok(Named::Sum {
                range,
                below: *below,
                form,
            }),
            Listed::Items { range, width, lows } => Ok(Named::Items {
                range,
                width: *width,
                lows,
            }),
            Listed::Inquired { range } => Ok(Named::Inquired(range)),
            Listed::Echo {
                range,
                mixed,
                suspects,
            } => match first.checked_sub(1) {
                None => Ok(Named::Echo {
                    range,
                    mixed: *mixed,
                }),
                Some(suspect) => Ok(Named::Suspect(&suspects[suspect])),
            },
        }
    }
}

/// The range of a run of children, given where each begins and where the last one ends.
pub(super) fn range_of<'k>(
    fences: &'k [Vec<u8>],
    upper: Option<&'k [u8]>,
    run: Run,
) -> Option<RangeRef<'k>> {
    let end = run.first.checked_add(run.len)?;
    let lower = fences.get(run.first)?;
    if end > fences.len() {
        return None;
    }
    let upper = fences.get(end).map(Vec::as_slice).or(upper);
    Some(RangeRef { lower, upper })
}

const NOT_LISTED: Malformed = "it names a place that was not listed";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn spoken() -> Spoken {
        let range = KeyRange::new("x", None);
        let mut spoken = Spoken::default();
        spoken.list(Listed::Children {
            level: 1,
            fences: ["a", "b", "c"].map(Vec::from).into(),
            upper: Some(b"d".to_vec()),
        });
        spoken.list(Listed::Items {
            range: range.clone(),
            width: IdWidth::Two,
            lows: Vec::new(),
        });
        let suspects = Vec::from([KeyRange::prefix(b"y")]);
        spoken.list(Listed::Echo {
            range,
            mixed: false,
            suspects,
        });
        spoken
    }

    #[test]
    fn places_are_numbered_over_the_message() {
        let spoken = spoken();
        let range = |first, len| spoken.name(first, len).unwrap().range().to_owned();
        assert_eq!(range(0, 1), KeyRange::new("a", b"b".to_vec()));
        assert_eq!(range(1, 2), KeyRange::new("b", b"d".to_vec()));
        assert_eq!(range(3, 1), KeyRange::new("x", None));
        assert!(matches!(spoken.name(3, 1), Ok(Named::Items { .. })));
        assert!(matches!(spoken.name(4, 1), Ok(Named::Echo { .. })));
        assert_eq!(range(5, 1), KeyRange::prefix(b"y"));
    }

    #[test]
    fn places_that_were_not_listed_are_refused() {
        let spoken = spoken();
        for (first, len) in [
            (0, 4),
            (2, 2),
            (3, 2),
            (4, 2),
            (6, 1),
            (u64::MAX, 1),
            (0, u64::MAX),
        ] {
            assert!(spoken.name(first, len).is_err(), "{first} {len}");
        }
        assert!(Spoken::default().name(0, 1).is_err());
    }
}
