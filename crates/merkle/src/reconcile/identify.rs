//! Which items make up a difference: identification by subtraction.
//!
//! Two sums over one range differ by exactly the digests of the items that only one side holds. If
//! we hold a few items more and the peer none, some few of *our* digests add up to the difference,
//! and looking for them among the rows of the suspected places costs no further message. With a
//! second, independent sum (of the items' [mixes](super::salted::Salted::mix)) one item that only
//! the peer holds can be told as well, though it is not here: what is left over after taking out
//! ours must be one digest whose mix is what is left of the mixes. That covers an overwritten item:
//! one version here, one there.
//!
//! An explanation is accepted on 128 bits of sum for our items alone, on 64 bits of mix with a
//! foreign one (which its holder then recognises by 128 bits, or not at all). With at most 2^16
//! candidates tried per range a wrong one passes with a chance below 2^-48.

use alloc::vec::Vec;

use super::salted::Salted;

/// How many rows are searched for one or two of them, and for three.
pub(super) const ROWS_MAX: usize = 1024;
const ROWS_FOR_THREE: usize = 256;
/// How many rows are searched for two of them beside a foreign one: each pair costs a hash.
const ROWS_FOR_TWO_AND_FOREIGN: usize = 128;

/// What our range holds minus what the peer's does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) count: i128,
    pub(super) low: u128,
    /// The difference of the sums of mixes, where the peer sent its own.
    pub(super) mix: Option<u64>,
}

impl Difference {
    pub(super) fn is_zero(&self) -> bool {
        self.count == 0 && self.low == 0
    }
}

/// The items that a difference is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    /// Places of our rows that the peer does not hold, ascending.
    pub(super) ours: Vec<usize>,
    /// The low half of the digest of the one item that we do not hold.
    pub(super) theirs: Option<u128>,
}

/// Looks among `rows`, the low halves of our digests, for what makes up the difference.
pub(super) fn explain(salted: &Salted, rows: &[u128], gap: &Difference) -> Option<Explanation> {
    if rows.len() > ROWS_MAX {
        return None;
    }
    let index = Index::new(rows);
    let ours = match gap.count {
        1 => index.find(gap.low).map(|at| Vec::from([at])),
        2 => index.find_two(gap.low),
        3 if rows.len() <= ROWS_FOR_THREE => index.find_three(gap.low),
        _ => None,
    };
    match ours {
        Some(ours) => Some(Explanation { ours, theirs: None }),
        None => explain_with_foreign(salted, &index, gap),
    }
}

/// The same with one item of the peer's among it.
fn explain_with_foreign(
    salted: &Salted,
    index: &Index<'_>,
    gap: &Difference,
) -> Option<Explanation> {
    let mix = gap.mix?;
    let rows = index.rows;
    // Takes our items out of both sums; true if the rest is one item, and not one of ours.
    let foreign = |sum: u128, mixes: u64| {
        let rest = sum.wrapping_sub(gap.low);
        let fits = salted.mix(rest) == mixes.wrapping_sub(mix) && index.find(rest).is_none();
        fits.then_some(rest)
    };
    let explanation = |ours: &[usize], rest| Explanation {
        ours: ours.to_vec(),
        theirs: Some(rest),
    };
    match gap.count {
        -1 => foreign(0, 0).map(|rest| explanation(&[], rest)),
        0 => rows.iter().enumerate().find_map(|(at, row)| {
            foreign(*row, salted.mix(*row)).map(|rest| explanation(&[at], rest))
        }),
        1 if rows.len() <= ROWS_FOR_TWO_AND_FOREIGN => {
            let mixes: Vec<u64> = rows.iter().map(|row| salted.mix(*row)).collect();
            (0..rows.len()).find_map(|first| {
                (first + 1..rows.len()).find_map(|second| {
                    let sum = rows[first].wrapping_add(rows[second]);
                    let mixes = mixes[first].wrapping_add(mixes[second]);
                    foreign(sum, mixes).map(|rest| explanation(&[first, second], rest))
                })
            })
        }
        _ => None,
    }
}

/// Finds rows by value. Digests are uniform already, so their low bits do as a hash.
struct Index<'r> {
    rows: &'r [u128],
    /// Open addressing at half load; places plus one, 0 for free.
    table: Vec<u32>,
}

impl<'r> Index<'r> {
    fn new(rows: &'r [u128]) -> Self {
        let mut index = Self {
            rows,
            table: alloc::vec![0; (2 * rows.len() + 1).next_power_of_two()],
        };
        for (at, row) in (1..).zip(rows) {
            let free = index.probe(*row, |_| false);
            index.table[free] = at;
        }
        index
    }

    /// The table slot where the search for `row` ends: at a place that `fits`, or at a free one.
    fn probe(&self, row: u128, fits: impl Fn(usize) -> bool) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = row as usize & mask;
        while self.table[slot] != 0 && !fits(self.table[slot] as usize - 1) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn find(&self, row: u128) -> Option<usize> {
        self.find_after(row, None)
    }

    /// A place of `row` after another place, so that no row is taken twice.
    fn find_after(&self, row: u128, after: Option<usize>) -> Option<usize> {
        let slot = self.probe(row, |at| {
            self.rows[at] == row && after.is_none_or(|after| at > after)
        });
        (self.table[slot] as usize).checked_sub(1)
    }

    fn find_two(&self, sum: u128) -> Option<Vec<usize>> {
        self.rows.iter().enumerate().find_map(|(first, row)| {
            let second = self.find_after(sum.wrapping_sub(*row), Some(first))?;
            Some(Vec::from([first, second]))
        })
    }

    fn find_three(&self, sum: u128) -> Option<Vec<usize>> {
        self.rows.iter().enumerate().find_map(|(first, row)| {
            let rest = sum.wrapping_sub(*row);
            (first + 1..self.rows.len()).find_map(|second| {
                let third = self.find_after(rest.wrapping_sub(self.rows[second]), Some(second))?;
                Some(Vec::from([first, second, third]))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn low(n: u64) -> u128 {
        let hash = blake3::hash(&n.to_le_bytes());
        u128::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
    }

    /// The difference of two sets, given what only we and what only the peer holds.
    fn difference(salted: &Salted, ours: &[u128], theirs: &[u128], mixed: bool) -> Difference {
        let sum = |items: &[u128]| {
            items
                .iter()
                .fold(0u128, |sum, item| sum.wrapping_add(*item))
        };
        let mix = |items: &[u128]| {
            items
                .iter()
                .fold(0u64, |sum, item| sum.wrapping_add(salted.mix(*item)))
        };
        Difference {
            count: ours.len() as i128 - theirs.len() as i128,
            low: sum(ours).wrapping_sub(sum(theirs)),
            mix: mixed.then(|| mix(ours).wrapping_sub(mix(theirs))),
        }
    }

    proptest! {
        #[test]
        fn what_can_be_explained_is_explained_exactly(
            size in 3..100usize, ours in 0..5usize, theirs in 0..3usize, seed: u64, mixed: bool,
        ) {
            let salted = Salted::new(&[1; 16]);
            let rows: Vec<u128> = (0..size as u64).map(|n| low(seed.wrapping_add(n))).collect();
            let foreign: Vec<u128> = (0..theirs as u64).map(|n| low(!seed.wrapping_add(n))).collect();
            let mut extra: Vec<usize> = (0..ours).map(|n| (n * 37 + seed as usize % 1000) % size).collect();
            extra.sort_unstable();
            extra.dedup();
            let extra_rows: Vec<u128> = extra.iter().map(|at| rows[*at]).collect();
            let gap = difference(&salted, &extra_rows, &foreign, mixed);

            let expected = match (extra.len(), theirs) {
                (1..=3, 0) => Some(Explanation { ours: extra, theirs: None }),
                (0..=2, 1) if mixed => Some(Explanation { ours: extra, theirs: Some(foreign[0]) }),
                _ => None,
            };
            prop_assert_eq!(explain(&salted, &rows, &gap), expected);
        }
    }

    #[test]
    fn too_many_rows_are_not_searched() {
        let rows: Vec<u128> = (0..2000).map(low).collect();
        let gap = Difference {
            count: 1,
            low: rows[3],
            mix: None,
        };
        assert_eq!(explain(&Salted::new(&[1; 16]), &rows, &gap), None);
        assert!(explain(&Salted::new(&[1; 16]), &rows[..1024], &gap).is_some());
    }
}
