//! The peer has listed the items of a range, or answered our listing.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::backlog::Deferred;
use super::message::{Answer, IdWidth, Items, Part, Place};
use super::turn::{Open, Turn, low, malformed};
use super::{Finding, WalkError};
use crate::range::after;
use crate::{Item, KeyRange, RangeDigest, Source};

/// How many of our items are read at a time, and are compared with one listing before the range is
/// taken in pieces.
const READ: usize = 1024;
const COMPARED_MAX: u64 = 1 << 18;
/// How many items of a range are looked at for those that the peer lacks; a listing has some
/// thousand.
const ROWS_READ: usize = 1 << 16;
/// Neighbouring items that the peer lacks are named one by one up to here, and as a range beyond.
const STRETCH_MAX: usize = 64;
/// An answer describes at most so many items of ours, with so many bytes of keys.
const DESCRIBED_MAX: usize = 256;
const DESCRIBED_KEYS_MAX: usize = 64 << 10;

impl<S: Source> Turn<'_, S> {
    /// Compares the peer's listing with what we hold. `place` is the listing's own place.
    pub(super) fn on_items(
        &mut self,
        range: KeyRange,
        place: Place,
        items: &Items<'_>,
    ) -> Result<(), WalkError<S::Error>> {
        if self.is_overfull() {
            self.defer_listed(range, items.len() as u64);
            return Ok(());
        }
        self.stats.ranges_compared += 1;
        if items.len() == 0 {
            self.on_nothing(range, items.sum)?;
            return Ok(());
        }
        if self.source.digest(&range)?.count() > COMPARED_MAX {
            return self.ask_in_pieces(range, items.len() as u64);
        }
        let comparison = self.compare(&range, items)?;
        let matched = self.salted.seal(&range, comparison.matched);
        if comparison.lacking.is_empty() {
            // All that the peer listed is here. That it is really the same is what its sum says,
            // the bounds included.
            if matched != items.sum {
                let theirs = Some(items.len() as u64);
                return self.list_again(place, range, items.width, theirs);
            }
            self.only_here(comparison.unlisted);
            return Ok(());
        }
        // Items differ both ways, perhaps under the same keys. Only the peer can tell, once it
        // knows our keys.
        let Some(keys) = comparison.unlisted_keys() else {
            return self.ask_in_pieces(range, items.len() as u64);
        };
        let mine = self.describe(keys)?;
        self.stats.described_sent += mine.len() as u64;
        self.stats.answers_sent += 1;
        let answer = Answer {
            matched,
            lacking: comparison.lacking,
            mine,
        };
        self.say(&place, &Part::Answer(answer), None);
        Ok(())
    }

    /// Ids coincided: lists our items by the widest ids. If these were that already, it must be the
    /// bounds that do not agree, because two tags coincided, and nothing can be done about the
    /// range in this walk.
    fn list_again(
        &mut self,
        place: Place,
        range: KeyRange,
        width: IdWidth,
        theirs: Option<u64>,
    ) -> Result<(), WalkError<S::Error>> {
        if width == IdWidth::Eight {
            self.leave_unsettled();
            return Ok(());
        }
        let digest = self.source.digest(&range)?;
        let open = Open {
            place,
            range,
            digest,
            theirs,
            below: 1,
            density: 0.0,
        };
        self.list_by(open, IdWidth::Eight)
    }

    /// The peer holds nothing in a range; its sum has to say so too.
    fn on_nothing(&mut self, range: KeyRange, sum: u128) -> Result<(), WalkError<S::Error>> {
        if sum != self.salted.bounds(&range) {
            self.leave_unsettled();
        } else if self.source.digest(&range)?.count() > 0 {
            self.findings.push(Finding::PeerEmpty { range });
        }
        Ok(())
    }

    fn compare(
        &mut self,
        range: &KeyRange,
        items: &Items<'_>,
    ) -> Result<Comparison, WalkError<S::Error>> {
        let mut listed: Vec<(u64, usize)> = items.ids().zip(0..).collect();
        listed.sort_unstable();
        let mut seen = alloc::vec![false; listed.len()];
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
                let id = items.width.cut(self.salted.id(&digest));
                let from = listed.partition_point(|(other, _)| *other < id);
                let places = listed[from..].iter().take_while(|(other, _)| *other == id);
                match places.map(|(_, place)| *place).find(|place| !seen[*place]) {
                    Some(place) => {
                        seen[place] = true;
                        comparison.matched = comparison.matched.wrapping_add(low(&digest));
                        let next = Stretch::from(after(&key));
                        comparison
                            .unlisted
                            .push(core::mem::replace(&mut stretch, next).end(Some(key)));
                    }
                    None => stretch.push(key),
                }
            }
            if !full {
                break;
            }
        }
        comparison.unlisted.push(stretch.end(range.upper.clone()));
        comparison.unlisted.retain(|stretch| stretch.count > 0);
        comparison.lacking = seen
            .iter()
            .enumerate()
            .filter(|(_, seen)| !**seen)
            .map(|(place, _)| place)
            .collect();
        Ok(comparison)
    }

    /// Reports items that the peer lacks: by key, or by range where there are many in a row.
    fn only_here(&mut self, stretches: Vec<Stretch>) {
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

    /// Asks for the peer's listing again, in ranges that hold few enough items of ours to be
    /// described in an answer.
    ///
    /// By bounds of ours, since no fence is left that both know. Every piece that is said is
    /// settled for good, so what is deferred only shrinks.
    fn ask_in_pieces(&mut self, range: KeyRange, theirs: u64) -> Result<(), WalkError<S::Error>> {
        let mut rest = range;
        while !self.is_full() {
            let mut items = self.source.items(&rest, DESCRIBED_MAX + 1)?;
            let mut bytes = 0;
            let fits = items.iter().take_while(|item| {
                bytes += item.key.len();
                bytes <= DESCRIBED_KEYS_MAX
            });
            let fits = fits.count().clamp(1, DESCRIBED_MAX);
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
            let digest = items.iter().map(|item| RangeDigest::of(&item.digest)).sum();
            let place = Place::Bounds(piece.clone());
            let theirs = Some(theirs);
            self.ask(&Open {
                place,
                range: piece,
                digest,
                theirs,
                below: 1,
                density: 0.0,
            });
            match next {
                None => return Ok(()),
                Some(next) => {
                    rest = KeyRange {
                        lower: next.key,
                        upper: rest.upper,
                    }
                }
            }
        }
        self.defer_listed(rest, theirs);
        Ok(())
    }

    /// A range of which the peer holds so many items, and in which no common fence is left.
    fn defer_listed(&mut self, range: KeyRange, theirs: u64) {
        self.defer(Deferred {
            range,
            below: 1,
            theirs: Some(theirs),
            density: 0.0,
        });
    }

    /// The peer lacks some of the items that we listed, and describes those of its own that we did
    /// not list.
    pub(super) fn on_answer(
        &mut self,
        range: KeyRange,
        width: IdWidth,
        lows: &[u128],
        answer: Answer,
    ) -> Result<(), WalkError<S::Error>> {
        self.check_inside(&range, &answer.mine)?;
        if answer
            .lacking
            .last()
            .is_some_and(|last| *last >= lows.len())
        {
            return Err(malformed("it lacks what was not listed"));
        }
        let mut lacking = BTreeSet::new();
        let mut matched: u128 = lows.iter().fold(0, |sum, low| sum.wrapping_add(*low));
        for place in &answer.lacking {
            matched = matched.wrapping_sub(lows[*place]);
            lacking.insert(lows[*place]);
        }
        // The peer took the rest for items of its own. If it was wrong about one, the sums do not
        // agree.
        if self.salted.seal(&range, matched) != answer.matched {
            let place = Place::Bounds(range.clone());
            return self.list_again(place, range, width, None);
        }
        // Items that were overwritten meanwhile are not what the peer lacks any more.
        let items = self.source.items(&range, ROWS_READ)?;
        let mine = items
            .into_iter()
            .filter(|item| lacking.contains(&low(&item.digest)));
        let mine = mine.map(|item| item.key).collect();
        self.found(mine, answer.mine);
        Ok(())
    }
}

/// Our items against a listing.
#[derive(Default)]
struct Comparison {
    /// The sum of the items that were listed.
    matched: u128,
    /// The places in the listing of items that are not here.
    lacking: Vec<usize>,
    /// Our items that were not listed.
    unlisted: Vec<Stretch>,
}

impl Comparison {
    /// All unlisted keys, unless they are too many for one answer.
    fn unlisted_keys(&self) -> Option<Vec<Vec<u8>>> {
        let count: usize = self.unlisted.iter().map(|stretch| stretch.count).sum();
        if count > DESCRIBED_MAX || self.unlisted.iter().any(|s| s.keys.len() < s.count) {
            return None;
        }
        let keys: Vec<Vec<u8>> = self.unlisted.iter().flat_map(|s| s.keys.clone()).collect();
        let bytes: usize = keys.iter().map(Vec::len).sum();
        (keys.len() == 1 || bytes <= DESCRIBED_KEYS_MAX).then_some(keys)
    }
}

/// Neighbouring items of ours of which the peer listed none.
struct Stretch {
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
