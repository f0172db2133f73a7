//! The peer has answered our listing: items differ both ways.
//!
//! A listing says which items there are, not under which keys. Where each side has items that the
//! other lacks, some of them may be versions of one another, and calling them missing would be
//! false. So one side names its keys: the answer brings the peer's, an inquiry asks for ours.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::WalkError;
use super::listings::{DESCRIBED_KEYS_MAX, DESCRIBED_MAX, Told};
use super::message::{Answer, IdWidth, Inquire, Items, Part, Place, Tell};
use super::turn::{Open, Turn, low, malformed};
use crate::{Item, KeyRange, RangeDigest, Source};

/// How many items of a range are looked at; a listing has some thousand.
const ROWS_READ: usize = 1 << 16;

/// What we had listed, as the peer divides it.
struct Divided {
    /// The low halves of digests: of items that both hold, and of items that the peer lacks.
    common: BTreeSet<u128>,
    lacking: BTreeSet<u128>,
}

impl<S: Source> Turn<'_, S> {
    /// The peer lacks some of the items that we listed, and describes those of its own that we did
    /// not list.
    pub(super) fn on_answer(
        &mut self,
        range: KeyRange,
        width: IdWidth,
        lows: &[u128],
        answer: Answer,
    ) -> Result<(), WalkError<S::Error>> {
        let Some(divided) = self.divide(&range, lows, &answer.lacking, answer.matched)? else {
            return self.list_again(range, width);
        };
        self.check_inside(&range, &answer.mine)?;
        // Items that were overwritten meanwhile are not what the peer lacks any more.
        let items = self.source.items(&range, ROWS_READ)?;
        let mine = items
            .into_iter()
            .filter(|item| divided.lacking.contains(&low(&item.digest)));
        let mine = mine.map(|item| item.key).collect();
        self.found(mine, answer.mine);
        Ok(())
    }

    /// The peer lacks some of the items that we listed, and wants to know under which keys they
    /// are. `place` is the inquiry's own place.
    pub(super) fn on_inquire(
        &mut self,
        range: KeyRange,
        place: &Place,
        width: IdWidth,
        lows: &[u128],
        inquire: &Inquire,
    ) -> Result<(), WalkError<S::Error>> {
        if self.is_overfull() {
            self.defer_listed(range, None);
            return Ok(());
        }
        let Some(divided) = self.divide(&range, lows, &inquire.lacking, inquire.matched)? else {
            return self.list_again(range, width);
        };
        let items = self.source.items(&range, ROWS_READ)?;
        let digest: RangeDigest = items.iter().map(|item| RangeDigest::of(&item.digest)).sum();
        let mut ids = Vec::new();
        let (mut keys, mut lows) = (Vec::new(), Vec::new());
        for item in &items {
            let low = low(&item.digest);
            if divided.common.contains(&low) {
                ids.extend_from_slice(&self.salted.id(&item.digest).to_le_bytes());
            } else {
                keys.push(item.key.clone());
                lows.push(low);
            }
        }
        let bytes: usize = keys.iter().map(Vec::len).sum();
        if items.len() == ROWS_READ || (keys.len() > 1 && bytes > DESCRIBED_KEYS_MAX) {
            return self.list_in_pieces(range);
        }
        let rows = self.describe(keys)?;
        self.stats.described_sent += rows.len() as u64;
        let sum = self.seal(&range, &digest);
        let ids = &ids;
        self.say(
            place,
            &Part::Tell(Tell {
                sum,
                ids,
                rows,
                lows,
            }),
            None,
        );
        Ok(())
    }

    /// The peer lists its items once more, and describes those that we lack: now all its keys are
    /// known.
    pub(super) fn on_tell(
        &mut self,
        range: KeyRange,
        tell: Tell<'_>,
    ) -> Result<(), WalkError<S::Error>> {
        self.stats.ranges_compared += 1;
        let items = Items {
            sum: tell.sum,
            width: IdWidth::Eight,
            ids: tell.ids,
        };
        let sum = tell
            .lows
            .iter()
            .fold(0u128, |sum, low| sum.wrapping_add(*low));
        let told = Told {
            rows: tell.rows,
            lows: tell.lows,
        };
        let comparison = self.compare(&range, &items, &told)?;
        let sum = self
            .salted
            .seal(&range, comparison.matched.wrapping_add(sum));
        if !comparison.lacking.is_empty() || sum != tell.sum {
            // Written to since it was compared, or a coincidence.
            self.leave_unsettled();
            return Ok(());
        }
        self.check_inside(&range, &told.rows)?;
        self.only_here(comparison.unlisted);
        self.found(comparison.under_told, told.rows);
        Ok(())
    }

    /// Divides a listing by what the peer lacks of it. Nothing if the peer took an item for another
    /// one: then what it holds of the listing does not sum up to what we listed of it.
    fn divide(
        &self,
        range: &KeyRange,
        lows: &[u128],
        lacking: &[usize],
        matched: u128,
    ) -> Result<Option<Divided>, WalkError<S::Error>> {
        if lacking.last().is_some_and(|last| *last >= lows.len()) {
            return Err(malformed("it lacks what was not listed"));
        }
        let lacking: BTreeSet<u128> = lacking.iter().map(|place| lows[*place]).collect();
        let common: BTreeSet<u128> = lows
            .iter()
            .copied()
            .filter(|low| !lacking.contains(low))
            .collect();
        let sum = common.iter().fold(0u128, |sum, low| sum.wrapping_add(*low));
        let agrees = self.salted.seal(range, sum) == matched;
        Ok(agrees.then_some(Divided { common, lacking }))
    }

    /// Lists a range again by the widest ids, unless it was by these that the peer took an item for
    /// another one.
    fn list_again(&mut self, range: KeyRange, width: IdWidth) -> Result<(), WalkError<S::Error>> {
        if width == IdWidth::Eight {
            self.leave_unsettled();
            return Ok(());
        }
        let digest = self.source.digest(&range)?;
        let open = Open::whole(Place::Bounds(range.clone()), range, digest, None);
        self.list_by(open, IdWidth::Eight)
    }

    /// Lists a range in pieces whose items can be told at once.
    fn list_in_pieces(&mut self, range: KeyRange) -> Result<(), WalkError<S::Error>> {
        let mut rest = range;
        loop {
            let mut items = self.source.items(&rest, DESCRIBED_MAX + 1)?;
            let fits = fitting(&items);
            let next = if fits < items.len() {
                items.drain(fits..).next()
            } else {
                None
            };
            let piece = KeyRange {
                lower: rest.lower,
                upper: next
                    .as_ref()
                    .map_or(rest.upper.clone(), |next| Some(next.key.clone())),
            };
            self.say_items(&Place::Bounds(piece.clone()), piece, IdWidth::Eight, &items);
            let Some(next) = next else {
                return Ok(());
            };
            rest = KeyRange {
                lower: next.key,
                upper: rest.upper,
            };
            if self.is_full() {
                self.defer_listed(rest, None);
                return Ok(());
            }
        }
    }
}

/// How many of the items can be described together: one at least.
fn fitting(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        bytes += item.key.len();
        bytes <= DESCRIBED_KEYS_MAX
    });
    fits.count().clamp(1, DESCRIBED_MAX).min(items.len())
}
