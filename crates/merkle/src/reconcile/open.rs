//! The next statement about a range that differs: which kind pays, and how it is made.

use alloc::vec::Vec;

use super::WalkError;
use super::message::{IdWidth, Items, Part, Place, Split, Sum, SumForm};
use super::salted::RangeRef;
use super::spoken::{Listed, Summed};
use super::turn::{Open, Turn, low};
use crate::{Cut, Item, KeyRange, MAX_LEVEL, RangeDigest, Source};

/// So few items are listed at once: no sum is shorter.
const LIST_ALWAYS: u64 = 8;
/// Up to here a sum with a mix is made, whose maker reads all items.
const MIXED_MAX: u64 = 256;
/// The same where nothing else is left but listing.
const MIXED_INSTEAD_OF_LISTING_MAX: u64 = 1024;
/// Up to here a sum with hints is made: 128 of them on average.
const HINTED_MAX: u64 = 4096;
/// The same for the first one of a walk: it takes a tenth of a split's bytes, and little may
/// differ.
const FIRST_HINTED_MAX: u64 = 16_384;
/// So many differences a mixed sum is expected to cope with, and a hinted one.
const MIXED_DIFFERENCES: f64 = 4.0;
const HINTED_DIFFERENCES: f64 = 8.0;
/// From here on a range is split before its items are listed: several leaves, some of them equal.
pub(super) const SPLIT_MIN: u64 = 128;
/// From here on the side that holds far fewer items should list its own.
const ASK_MIN: u64 = 64;
const FAR_FEWER: u64 = 8;
/// How many children a split should have at least.
const CHILDREN_MIN: u64 = 8;
/// The same for the first one of a walk, which is paid once.
const FIRST_CHILDREN_MIN: u64 = 48;
/// How many children one split has at most.
const CHILDREN_MAX: usize = 2048;
/// How many hints one sum has at most.
pub(super) const HINTS_MAX: usize = 4096;
/// So many items of the peer are feared for where nothing is known.
const THEIRS_UNKNOWN: u64 = 1 << 16;
/// Up to here items are listed by two bytes each.
const SHORT_IDS_MAX: u64 = 256;
/// How many items one listing has at most.
pub(super) const LISTING_MAX: usize = 1024;

/// What to say of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// All its items.
    List,
    /// Only a sum: the peer, who holds fewer items, shall list them.
    Ask,
    /// A sum with a mix.
    Mixed,
    /// A sum with hints.
    Hinted,
    /// Digests of its sub-ranges at the fences of a level.
    Split(u8),
}

/// What is known of a range when a choice is made.
#[derive(Clone, Copy, Debug)]
struct Known {
    ours: u64,
    theirs: Option<u64>,
    density: f64,
    below: u8,
    pace: Pace,
}

/// How the walk goes down: what is worth the bytes at the beginning is not where it is repeated in
/// every range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    hinted_max: u64,
    children_min: u64,
}

impl Pace {
    pub(super) const FIRST: Self = Self {
        hinted_max: FIRST_HINTED_MAX,
        children_min: FIRST_CHILDREN_MIN,
    };
    pub(super) const INNER: Self = Self {
        hinted_max: HINTED_MAX,
        children_min: CHILDREN_MIN,
    };
}

/// How many items lie between two fences of a level, on average.
fn spacing(level: u8) -> u64 {
    32 << (4 * (level - 1))
}

fn choose(known: Known) -> Choice {
    let Known {
        ours,
        theirs,
        density,
        below,
        pace,
    } = known;
    if ours <= LIST_ALWAYS {
        return Choice::List;
    }
    if let Some(theirs) = theirs {
        if ours >= ASK_MIN && theirs <= ours / FAR_FEWER {
            return Choice::Ask;
        }
        if ours <= theirs / FAR_FEWER {
            return Choice::List;
        }
    }
    let expected = density * ours as f64;
    if ours <= MIXED_MAX && expected <= MIXED_DIFFERENCES {
        return Choice::Mixed;
    }
    if below > 1 && ours >= SPLIT_MIN {
        if ours <= pace.hinted_max && expected <= HINTED_DIFFERENCES {
            return Choice::Hinted;
        }
        // The coarsest level that makes enough children, none with more differences than a hinted
        // sum finds.
        let fits = |level: &u8| {
            let spacing = spacing(*level);
            ours / spacing >= pace.children_min && density * spacing as f64 <= HINTED_DIFFERENCES
        };
        return Choice::Split((1..below).rev().find(fits).unwrap_or(1));
    }
    if ours <= MIXED_INSTEAD_OF_LISTING_MAX && expected <= MIXED_DIFFERENCES {
        return Choice::Mixed;
    }
    // No common fence is left to split at: somebody has to list, best the one with less to say.
    if theirs.is_some_and(|theirs| theirs < ours) {
        Choice::Ask
    } else {
        Choice::List
    }
}

impl<S: Source> Turn<'_, S> {
    /// Makes the next statement about a range.
    pub(super) fn open(&mut self, open: Open) -> Result<(), WalkError<S::Error>> {
        if self.is_full() {
            self.defer(open.later());
            return Ok(());
        }
        self.open_at(Pace::INNER, open)
    }

    /// The same without asking whether it fits; something is said in any case.
    pub(super) fn open_at(&mut self, pace: Pace, open: Open) -> Result<(), WalkError<S::Error>> {
        let choice = choose(Known {
            ours: open.digest.count(),
            theirs: open.theirs,
            density: open.density,
            below: open.below,
            pace,
        });
        match choice {
            Choice::List => self.list(open),
            Choice::Ask => {
                self.ask(&open);
                Ok(())
            }
            Choice::Mixed => self.mixed(open),
            Choice::Hinted => self.hinted(open),
            Choice::Split(level) => self.split(open, level),
        }
    }

    /// Says the sum alone.
    pub(super) fn ask(&mut self, open: &Open) {
        self.sum(open, SumForm::Bare, Summed::Bare);
    }

    fn mixed(&mut self, open: Open) -> Result<(), WalkError<S::Error>> {
        let items = self
            .source
            .items(&open.range, MIXED_INSTEAD_OF_LISTING_MAX as usize + 1)?;
        let mix = self.mix(&items);
        self.sum(&open, SumForm::Mixed { mix }, Summed::Mixed);
        Ok(())
    }

    fn hinted(&mut self, open: Open) -> Result<(), WalkError<S::Error>> {
        let cut = self.source.cut(&open.range, 1, HINTS_MAX)?;
        if cut.nodes.len() < 2 || cut.upper != open.range.upper {
            return self.list(open);
        }
        let hints = self.hints(&cut);
        let fences = cut.nodes.into_iter().map(|node| node.fence).collect();
        self.stats.hints_sent += hints.len() as u64;
        self.sum(
            &open,
            SumForm::Hinted { hints: &hints },
            Summed::Hinted { fences },
        );
        Ok(())
    }

    /// One byte for each sub-range.
    pub(super) fn hints(&self, cut: &Cut) -> Vec<u8> {
        children(cut)
            .map(|(range, digest)| self.salted.child(range, digest) as u8)
            .collect()
    }

    fn sum(&mut self, open: &Open, form: SumForm<'_>, summed: Summed) {
        self.stats.sums_sent += 1;
        let sum = self.seal(&open.range, &open.digest);
        let part = Part::Sum(Sum {
            count: open.digest.count(),
            sum,
            form,
        });
        let listed = Listed::Sum {
            range: open.range.clone(),
            below: open.below,
            form: summed,
        };
        self.say(&open.place, &part, Some(listed));
    }

    /// Says digests of the sub-ranges at our fences of `level`, or below it where that makes no two
    /// of them.
    pub(super) fn split(&mut self, open: Open, level: u8) -> Result<(), WalkError<S::Error>> {
        for level in (1..=level.min(MAX_LEVEL)).rev() {
            let mut cut = self.source.cut(&open.range, level, CHILDREN_MAX)?;
            self.trim(&mut cut);
            if cut.nodes.len() > 1 {
                return self.say_split(open, level, cut);
            }
        }
        self.list(open)
    }

    /// Cuts a cut short where its fences would take more memory than is left.
    fn trim(&self, cut: &mut Cut) {
        let mut left = self
            .limits
            .memory
            .saturating_sub(self.reply.spoken.weight());
        let fits = cut.nodes.iter().take_while(|node| {
            let fits = node.fence.len() <= left;
            left = left.saturating_sub(node.fence.len());
            fits
        });
        // Two sub-ranges are always left, or the walk would not go on.
        let fits = fits.count().max(2);
        if fits < cut.nodes.len() {
            cut.upper = cut.nodes.drain(fits..).next().map(|node| node.fence);
        }
    }

    fn say_split(&mut self, open: Open, level: u8, cut: Cut) -> Result<(), WalkError<S::Error>> {
        let mut place = open.place.clone();
        let mut count = open.digest.count();
        if cut.upper != open.range.upper {
            // More than one part should say: the first so many, by bounds, and the rest another
            // time.
            let said = KeyRange {
                lower: open.range.lower.clone(),
                upper: cut.upper.clone(),
            };
            place = Place::Bounds(said);
            count = cut.nodes.iter().map(|node| node.digest.count()).sum();
            let mut rest = open.later();
            rest.range.lower = cut.upper.clone().unwrap_or_default();
            self.defer(rest);
        }
        let mut bytes = Vec::with_capacity(cut.nodes.len() * Split::CHILD);
        for (range, digest) in children(&cut) {
            if !bytes.is_empty() {
                bytes.extend_from_slice(&self.salted.tag(range.lower).to_le_bytes()[..3]);
            }
            bytes.extend_from_slice(&self.salted.child(range, digest).to_le_bytes()[..5]);
        }
        self.stats.digests_sent += cut.nodes.len() as u64;
        let fences = cut.nodes.into_iter().map(|node| node.fence).collect();
        let listed = Listed::Children {
            level,
            fences,
            upper: cut.upper,
        };
        self.say(
            &place,
            &Part::Split(Split {
                level,
                count,
                children: &bytes,
            }),
            Some(listed),
        );
        Ok(())
    }

    /// Says all our items of a range; a long listing in pieces by bounds, as many as fit.
    pub(super) fn list(&mut self, open: Open) -> Result<(), WalkError<S::Error>> {
        let width = id_width(open.digest.count(), open.theirs);
        self.list_by(open, width)
    }

    /// The same with ids of a given width.
    pub(super) fn list_by(
        &mut self,
        open: Open,
        width: IdWidth,
    ) -> Result<(), WalkError<S::Error>> {
        let mut rest = open;
        loop {
            let mut items = self.source.items(&rest.range, LISTING_MAX + 1)?;
            let next = if items.len() > LISTING_MAX {
                items.pop()
            } else {
                None
            };
            let Some(next) = next else {
                self.say_items(&rest.place, rest.range, width, &items);
                return Ok(());
            };
            let lower = core::mem::replace(&mut rest.range.lower, next.key.clone());
            let piece = KeyRange {
                lower,
                upper: Some(next.key),
            };
            self.say_items(&Place::Bounds(piece.clone()), piece, width, &items);
            rest = Open {
                below: 1,
                ..rest.by_bounds()
            };
            if self.is_full() {
                self.defer(rest.later());
                return Ok(());
            }
        }
    }

    pub(super) fn say_items(
        &mut self,
        place: &Place,
        range: KeyRange,
        width: IdWidth,
        items: &[Item],
    ) {
        let digest: RangeDigest = items.iter().map(|item| RangeDigest::of(&item.digest)).sum();
        let mut ids = Vec::with_capacity(items.len() * width as usize);
        for item in items {
            let id = self.salted.id(&item.digest).to_le_bytes();
            ids.extend_from_slice(&id[..width as usize]);
        }
        self.stats.ids_sent += items.len() as u64;
        let sum = self.seal(&range, &digest);
        let lows = items.iter().map(|item| low(&item.digest)).collect();
        let listed = Listed::Items { range, width, lows };
        let ids = &ids;
        self.say(place, &Part::Items(Items { sum, width, ids }), Some(listed));
    }
}

/// How wide the ids of a listing should be.
///
/// An id coincides with one of the peer's unlisted items with a chance of listed × unlisted /
/// 2^bits. Sums tell, and the items are listed again in eight bytes; so the chance need only be
/// small.
fn id_width(listed: u64, theirs: Option<u64>) -> IdWidth {
    let theirs = theirs.unwrap_or(THEIRS_UNKNOWN);
    if listed <= SHORT_IDS_MAX && theirs <= 2 * SHORT_IDS_MAX {
        IdWidth::Two
    } else if listed.saturating_mul(theirs) <= 1 << 24 {
        IdWidth::Four
    } else {
        IdWidth::Eight
    }
}

/// The sub-ranges of a cut, each with its digest.
pub(super) fn children(cut: &Cut) -> impl Iterator<Item = (RangeRef<'_>, &RangeDigest)> {
    cut.nodes.iter().enumerate().map(|(at, node)| {
        let next = cut.nodes.get(at + 1).map(|next| next.fence.as_slice());
        let range = RangeRef {
            lower: &node.fence,
            upper: next.or(cut.upper.as_deref()),
        };
        (range, &node.digest)
    })
}
