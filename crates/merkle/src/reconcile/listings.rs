//! The peer has listed the items of a range.

use alloc::vec::Vec;

use super::backlog::Deferred;
use super::message::{Answer, Described, Echo, EchoForm, IdWidth, Inquire, Items, Part, Place};
use super::spoken::Listed;
use super::turn::{Open, Turn, low};
use super::{Finding, WalkError};
use crate::range::after;
use crate::{Item, KeyRange, RangeDigest, Source};

/// How many of our items are read at a time, and are compared with one listing before the range is
/// taken in pieces, of so many each.
const READ: usize = 1024;
const COMPARED_MAX: u64 = 1 << 18;
const PIECE: usize = 1 << 15;
/// Neighbouring items that the peer lacks are named one by one up to here, and as a range beyond.
const STRETCH_MAX: usize = 64;
/// An answer describes at most so many items, with so many bytes of keys.
pub(super) const DESCRIBED_MAX: usize = 256;
pub(super) const DESCRIBED_KEYS_MAX: usize = 64 << 10;

impl<S: Source> Turn<'_, S> {
    /// Compares the peer's listing with what we hold. `place` is the listing's own place.
    pub(super) fn on_items(
        &mut self,
        range: KeyRange,
        place: Place,
        items: &Items<'_>,
    ) -> Result<(), WalkError<S::Error>> {
        let listed = items.len() as u64;
        if self.is_overfull() {
            self.defer_listed(range, Some(listed));
            return Ok(());
        }
        self.stats.ranges_compared += 1;
        let digest = self.source.digest(&range)?;
        if listed == 0 {
            self.on_nothing(range, &digest, items.sum);
            return Ok(());
        }
        if digest.count() > COMPARED_MAX {
            return self.ask_in_pieces(range, listed);
        }
        let comparison = self.compare(&range, items, &Told::default())?;
        let matched = self.salted.seal(&range, comparison.matched);
        let lacking = comparison.lacking;
        if lacking.is_empty() {
            // All that the peer listed is here. That it is really the same is what its sum says,
            // the bounds included.
            if matched == items.sum {
                self.only_here(comparison.unlisted);
                return Ok(());
            }
            let open = Open::whole(place, range, digest, Some(listed));
            return self.on_coincidence(open, items.width);
        }

        // Items differ both ways, perhaps under the same keys. To tell, one side has to name its
        // keys: we do unless the peer has far fewer to name.
        self.stats.answers_sent += 1;
        let names = unlisted_keys(&comparison.unlisted);
        if let Some(keys) =
            names.filter(|keys| keys.len() <= DESCRIBED_MAX.min(16 + 4 * lacking.len()))
        {
            let mine = self.describe(keys)?;
            let answer = Part::Answer(Answer {
                matched,
                lacking,
                mine,
            });
            self.say(&place, &answer, None);
        } else {
            let listed = Listed::Inquired { range };
            self.say(
                &place,
                &Part::Inquire(Inquire { matched, lacking }),
                Some(listed),
            );
        }
        Ok(())
    }

    /// The peer holds nothing in a range; its sum has to say so too.
    fn on_nothing(&mut self, range: KeyRange, ours: &RangeDigest, sum: u128) {
        if sum != self.salted.bounds(&range) {
            self.leave_unsettled();
        } else if ours.count() > 0 {
            self.findings.push(Finding::PeerEmpty { range });
        }
    }

    /// All ids of a listing are here, and yet not all of its items: whoever has fewer lists them by
    /// the widest ids.
    ///
    /// If they were that already, it must be the bounds that do not agree, because two tags
    /// coincided, and nothing can be done about the range in this walk.
    fn on_coincidence(&mut self, open: Open, width: IdWidth) -> Result<(), WalkError<S::Error>> {
        if width == IdWidth::Eight {
            self.leave_unsettled();
            return Ok(());
        }
        if open
            .theirs
            .is_none_or(|theirs| open.digest.count() <= 2 * theirs)
        {
            return self.list_by(open, IdWidth::Eight);
        }
        self.echo(&open, EchoForm::Bare, Vec::new());
        Ok(())
    }

    /// The peer wants our listing once more, by the widest ids. `place` is the wish's own place.
    pub(super) fn on_wish(
        &mut self,
        range: KeyRange,
        place: Place,
        echo: &Echo,
    ) -> Result<(), WalkError<S::Error>> {
        if self.is_overfull() {
            self.defer_listed(range, Some(echo.count));
            return Ok(());
        }
        let digest = self.source.digest(&range)?;
        let open = Open::whole(place, range, digest, Some(echo.count));
        self.list_by(open, IdWidth::Eight)
    }

    /// Holds our items of a range against a listing and against items whose keys the peer has told,
    /// which end a stretch without being part of one.
    pub(super) fn compare(
        &mut self,
        range: &KeyRange,
        items: &Items<'_>,
        told: &Told,
    ) -> Result<Comparison, WalkError<S::Error>> {
        let mut listed: Vec<(u64, usize)> = items.ids().zip(0..).collect();
        listed.sort_unstable();
        let mut seen = alloc::vec![false; listed.len()];
        let mut told = told.keys().peekable();
        let mut comparison = Comparison::default();
        let mut stretch = Stretch::from(range.lower.clone());
        let mut rest = range.clone();
        loop {
            let chunk = self.source.items(&rest, READ)?;
            let full = chunk.len() == READ;
            if let Some(last) = chunk.last() {
                rest.lower = after(&last.key);
            }
            for Item { key, digest } in chunk {
                while let Some((told, _)) = told.next_if(|(told, _)| **told < key) {
                    comparison.unlisted.push(stretch.end(Some(told.clone())));
                    stretch = Stretch::from(after(told));
                }
                let id = items.width.cut(self.salted.id(&digest));
                let from = listed.partition_point(|(other, _)| *other < id);
                let places = listed[from..].iter().take_while(|(other, _)| *other == id);
                let place = places.map(|(_, place)| *place).find(|place| !seen[*place]);
                let under_told = told.next_if(|(told, _)| **told == key);
                if place.is_none() && under_told.is_none() {
                    stretch.push(key);
                    continue;
                }
                comparison.unlisted.push(stretch.end(Some(key.clone())));
                stretch = Stretch::from(after(&key));
                if let Some(place) = place {
                    seen[place] = true;
                    comparison.matched = comparison.matched.wrapping_add(low(&digest));
                }
                if under_told.is_some_and(|(_, told)| told != low(&digest)) {
                    comparison.under_told.push(key);
                }
            }
            if !full {
                break;
            }
        }
        let end = told.next().map(|(told, _)| told).or(range.upper.as_ref());
        comparison.unlisted.push(stretch.end(end.cloned()));
        comparison.unlisted.retain(|stretch| stretch.count > 0);
        let places = seen.iter().enumerate().filter(|(_, seen)| !**seen);
        comparison.lacking = places.map(|(place, _)| place).collect();
        Ok(comparison)
    }

    /// Reports items that the peer lacks: by key, or by range where there are many in a row.
    pub(super) fn only_here(&mut self, stretches: Vec<Stretch>) {
        let mut single = Vec::new();
        for stretch in stretches {
            if stretch.count > STRETCH_MAX {
                let range = KeyRange {
                    lower: stretch.lower,
                    upper: stretch.upper,
                };
                self.findings.push(Finding::PeerEmpty { range });
            } else {
                single.extend(stretch.keys);
            }
        }
        self.found(single, Vec::new());
    }

    /// Asks for the peer's listing again, in pieces that hold few enough items of ours to be
    /// compared at once.
    ///
    /// By bounds of ours, since no fence is left that both know. Every piece that is said is
    /// settled for good, so what is deferred only shrinks.
    fn ask_in_pieces(&mut self, range: KeyRange, theirs: u64) -> Result<(), WalkError<S::Error>> {
        let mut rest = range;
        while !self.is_full() {
            let mut items = self.source.items(&rest, PIECE + 1)?;
            let next = if items.len() > PIECE {
                items.pop()
            } else {
                None
            };
            let piece = KeyRange {
                lower: rest.lower,
                upper: next
                    .as_ref()
                    .map_or(rest.upper.clone(), |next| Some(next.key.clone())),
            };
            let open = Open::whole(
                Place::Bounds(piece.clone()),
                piece,
                items.iter().map(|item| RangeDigest::of(&item.digest)).sum(),
                Some(theirs),
            );
            self.ask(&open);
            let Some(next) = next else {
                return Ok(());
            };
            rest = KeyRange {
                lower: next.key,
                upper: rest.upper,
            };
        }
        self.defer_listed(rest, Some(theirs));
        Ok(())
    }

    /// Keeps back a range in which no common fence is left.
    pub(super) fn defer_listed(&mut self, range: KeyRange, theirs: Option<u64>) {
        self.defer(Deferred {
            range,
            below: 1,
            theirs,
            density: 0.0,
        });
    }
}

/// Items that the peer has told by their keys, in order, and the low halves of their digests.
#[derive(Default)]
pub(super) struct Told {
    pub(super) rows: Vec<Described>,
    pub(super) lows: Vec<u128>,
}

impl Told {
    fn keys(&self) -> impl Iterator<Item = (&Vec<u8>, u128)> {
        self.rows
            .iter()
            .map(|(key, _)| key)
            .zip(self.lows.iter().copied())
    }
}

/// Our items against a listing.
#[derive(Default)]
pub(super) struct Comparison {
    /// The sum of the items that were listed.
    pub(super) matched: u128,
    /// The places in the listing of items that are not here.
    pub(super) lacking: Vec<usize>,
    /// Our items that were not listed.
    pub(super) unlisted: Vec<Stretch>,
    /// Keys of ours at which the peer has told of another item.
    pub(super) under_told: Vec<Vec<u8>>,
}

/// Neighbouring items of ours of which the peer listed none.
pub(super) struct Stretch {
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    count: usize,
    /// The first of them, as many as are ever named.
    keys: Vec<Vec<u8>>,
}

impl Stretch {
    fn from(lower: Vec<u8>) -> Self {
        Self {
            lower,
            upper: None,
            count: 0,
            keys: Vec::new(),
        }
    }

    fn push(&mut self, key: Vec<u8>) {
        self.count += 1;
        if self.keys.len() < DESCRIBED_MAX {
            self.keys.push(key);
        }
    }

    fn end(self, upper: Option<Vec<u8>>) -> Self {
        Self { upper, ..self }
    }
}

/// All unlisted keys, unless they are too many to be described.
fn unlisted_keys(stretches: &[Stretch]) -> Option<Vec<Vec<u8>>> {
    let count: usize = stretches.iter().map(|stretch| stretch.count).sum();
    if count > DESCRIBED_MAX {
        return None;
    }
    let keys: Vec<Vec<u8>> = stretches
        .iter()
        .flat_map(|stretch| stretch.keys.clone())
        .collect();
    let bytes: usize = keys.iter().map(Vec::len).sum();
    (keys.len() == 1 || bytes <= DESCRIBED_KEYS_MAX).then_some(keys)
}
