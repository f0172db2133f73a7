//! The peer has split a range: which of its children differ here.

use alloc::vec::Vec;

use super::WalkError;
use super::align::align;
use super::message::{Place, Run, Split};
use super::open::children;
use super::spoken::range_of;
use super::turn::{Open, Turn};
use crate::{KeyRange, RangeDigest, Source};

/// How many of our own sub-ranges a split is compared with at most.
const COMPARED_MAX: usize = 1 << 16;

impl<S: Source> Turn<'_, S> {
    /// Compares the peer's children with ours, and opens what differs.
    ///
    /// `first` is the number of the first child among the places of the peer's message.
    pub(super) fn on_split(
        &mut self,
        range: KeyRange,
        first: u64,
        split: &Split<'_>,
    ) -> Result<(), WalkError<S::Error>> {
        let whole = Open {
            place: Place::Listed {
                first,
                len: split.len() as u64,
            },
            range,
            digest: RangeDigest::ZERO,
            theirs: Some(split.count),
            below: split.level,
            density: 0.0,
        };
        if self.is_full() {
            self.defer(whole.later());
            return Ok(());
        }
        self.stats.ranges_compared += split.len() as u64;
        let digest = self.source.digest(&whole.range)?;
        if digest.count() == 0 {
            return self.open(whole);
        }
        let cut = self.source.cut(&whole.range, split.level, COMPARED_MAX)?;
        if cut.upper != whole.range.upper {
            return self.open(Open { digest, ..whole }.by_bounds());
        }

        let (digests, tags) = split.unzip();
        let ours: Vec<u32> = cut.nodes[1..]
            .iter()
            .map(|node| self.salted.tag(&node.fence))
            .collect();
        // The first children begin together by definition, and the last ones end together.
        let starts = align(&tags, &ours)
            .into_iter()
            .map(|(their, our)| (their + 1, our + 1));
        let mut starts: Vec<(usize, usize)> = core::iter::once((0, 0)).chain(starts).collect();
        starts.push((digests.len(), cut.nodes.len()));
        let segments = starts.windows(2).map(|pair| {
            let ((their, our), (their_end, our_end)) = (pair[0], pair[1]);
            let theirs = Run {
                first: their,
                len: their_end - their,
            };
            (
                theirs,
                Run {
                    first: our,
                    len: our_end - our,
                },
            )
        });

        let our_digests: Vec<u64> = children(&cut)
            .map(|(range, digest)| self.salted.child(range, digest))
            .collect();
        // A fence that only one side has is an item that only one side has: such a run differs
        // without comparing.
        let differs = |(theirs, ours): &(Run, Run)| {
            theirs.len > 1 || ours.len > 1 || digests[theirs.first] != our_digests[ours.first]
        };
        let differing: Vec<(Run, Run)> = segments.filter(differs).collect();
        let children_differing = differing.iter().map(|(theirs, _)| theirs.len).sum();
        let density = density(children_differing, digests.len(), digest.count());

        let (fences, node_digests): (Vec<Vec<u8>>, Vec<RangeDigest>) = cut
            .nodes
            .into_iter()
            .map(|node| (node.fence, node.digest))
            .unzip();
        for (theirs, ours) in differing {
            let Some(range) = range_of(&fences, cut.upper.as_deref(), ours) else {
                continue;
            };
            let run_digest: RangeDigest = node_digests[ours.first..ours.first + ours.len]
                .iter()
                .copied()
                .sum();
            self.open(Open {
                place: Place::Listed {
                    first: first + theirs.first as u64,
                    len: theirs.len as u64,
                },
                range: range.to_owned(),
                digest: run_digest,
                theirs: Some(match (theirs.len, ours.len) {
                    // Between the same fences, with sizes that vary widely: as our side, so
                    // probably theirs.
                    (1, 1) => share(run_digest.count(), split.count, digest.count()),
                    _ => share(split.count, theirs.len as u64, digests.len() as u64),
                }),
                below: split.level,
                density,
            })?;
        }
        Ok(())
    }
}

/// What falls to `some` of `all` if all hold the same.
fn share(count: u64, some: u64, all: u64) -> u64 {
    let share = u128::from(count) * u128::from(some) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Differences per item, judging by how many children differ.
///
/// The sizes of content-defined children are geometric, so with λ differences in a child on
/// average, a share of λ / (1 + λ) of the children differs. Turned around, with half a child added
/// on either side so that neither 0 nor all of them is taken at its word.
fn density(differing: usize, children: usize, items: u64) -> f64 {
    let (differing, children) = (differing as f64, children as f64);
    let per_child = (differing + 0.5) / (children - differing + 1.0);
    per_child * children / items as f64
}
