//! The peer has said what a range sums up to: which items make up the difference.

use alloc::vec::Vec;

use super::align::align;
use super::backlog::Deferred;
use super::identify::{Difference, ROWS_MAX, explain};
use super::message::{Echo, EchoForm, Explain, Part, Place, Run, Sum, SumForm, Suspect};
use super::open::{HINTS_MAX, SPLIT_MIN};
use super::spoken::{Listed, Summed, range_of};
use super::turn::{Open, Turn, low, malformed};
use super::{Finding, WalkError};
use crate::{Cut, Item, KeyRange, RangeDigest, Source};

/// How many items of a range are looked at for one that the peer lacks; there were [`ROWS_MAX`]
/// when it was summed.
const ROWS_READ: usize = 1 << 16;
/// How many runs of suspects are worth naming one by one.
const SUSPECTS_MAX: usize = 12;
/// So far apart may two counts be that the peer is expected to find what we could not.
const ECHO_COUNT: i128 = 3;
/// Where one side holds so many times fewer items it had better list them.
const FAR_FEWER: u64 = 8;

impl<S: Source> Turn<'_, S> {
    /// Compares the peer's sum with ours. `place` is the sum's own place.
    pub(super) fn on_sum(
        &mut self,
        range: KeyRange,
        below: u8,
        place: Place,
        sum: &Sum<'_>,
    ) -> Result<(), WalkError<S::Error>> {
        // Nobody hints at sub-ranges that were split before.
        let hinted = matches!(sum.form, SumForm::Hinted { .. });
        let below = if hinted { below.max(2) } else { below };
        let theirs = Some(sum.count);
        if self.is_overfull() {
            self.defer(Deferred {
                range,
                below,
                theirs,
                density: 0.0,
            });
            return Ok(());
        }
        self.stats.ranges_compared += 1;
        let digest = self.source.digest(&range)?;
        let gap = self.gap(&range, &digest, sum.count, sum.sum);
        if gap.is_zero() {
            return Ok(());
        }
        if sum.count == 0 && sum.sum == self.salted.bounds(&range) {
            self.findings.push(Finding::PeerEmpty { range });
            return Ok(());
        }
        let open = Open {
            below,
            ..Open::whole(place, range, digest, theirs)
        };
        match sum.form {
            SumForm::Bare => self.list_or_ask_back(open, sum.count),
            SumForm::Mixed { mix } => self.on_mixed(open, gap, mix, sum.count),
            SumForm::Hinted { hints } => self.on_hinted(open, gap, hints, sum.count),
        }
    }

    /// Whoever holds fewer items lists them.
    fn list_or_ask_back(&mut self, open: Open, theirs: u64) -> Result<(), WalkError<S::Error>> {
        if open.digest.count() <= theirs {
            return self.list(open);
        }
        self.echo(&open, EchoForm::Bare, Vec::new());
        Ok(())
    }

    fn on_mixed(
        &mut self,
        open: Open,
        gap: Difference,
        mix: u64,
        theirs: u64,
    ) -> Result<(), WalkError<S::Error>> {
        let Some(items) = self.few_items(&open.range)? else {
            return self.list_or_ask_back(open, theirs);
        };
        let our_mix = self.mix(&items);
        let gap = Difference {
            mix: Some(our_mix.wrapping_sub(mix)),
            ..gap
        };
        if self.conclude(&open.place, &items, &gap)? {
            return Ok(());
        }
        // What is two of theirs to us, and so beyond us, may be two of their own to them.
        if (-ECHO_COUNT..0).contains(&gap.count) && theirs <= ROWS_MAX as u64 {
            self.echo(&open, EchoForm::Mixed { mix: our_mix }, Vec::new());
            return Ok(());
        }
        if open.below > 1 && open.digest.count() >= SPLIT_MIN {
            return self.split(open, 1);
        }
        self.list_or_ask_back(open, theirs.saturating_mul(2))
    }

    fn on_hinted(
        &mut self,
        open: Open,
        gap: Difference,
        hints: &[u8],
        theirs: u64,
    ) -> Result<(), WalkError<S::Error>> {
        let count = open.digest.count();
        if count <= FAR_FEWER || count <= theirs / FAR_FEWER || theirs <= count / FAR_FEWER {
            return self.list_or_ask_back(open, theirs.max(FAR_FEWER));
        }
        if hints.len() > HINTS_MAX {
            return self.split(open, 1);
        }
        let cut = self.source.cut(&open.range, 1, HINTS_MAX)?;
        let runs = if cut.upper == open.range.upper {
            self.suspects(&cut, hints)
        } else {
            None
        };
        let Some(runs) = runs else {
            return self.split(open, 1);
        };

        let suspected: u64 = runs.iter().map(|run| run.digest.count()).sum();
        if runs.len() > SUSPECTS_MAX || suspected > ROWS_MAX as u64 {
            // So much differs that the hints were of no use.
            return self.split(open, 1);
        }
        let mut items = Vec::with_capacity(runs.len());
        for run in &runs {
            items.push(self.source.items(&run.range, ROWS_MAX + 1)?);
        }
        let all: Vec<Item> = items.iter().flatten().cloned().collect();
        if self.conclude(&open.place, &all, &gap)? {
            return Ok(());
        }

        let form = match runs.as_slice() {
            // What the run holds follows from the whole, provided that the peer can explain it at
            // all.
            [run] if gap.count.abs() <= ECHO_COUNT => EchoForm::Suspect {
                run: run.theirs,
                mix: self.mix(&items[0]),
            },
            runs => EchoForm::Suspects(
                runs.iter()
                    .zip(&items)
                    .map(|(run, items)| Suspect {
                        run: run.theirs,
                        count: run.digest.count(),
                        sum: self.seal(&run.range, &run.digest),
                        mix: self.mix(items),
                    })
                    .collect(),
            ),
        };
        let ranges = runs.into_iter().map(|run| run.range).collect();
        self.echo(&open, form, ranges);
        Ok(())
    }

    /// The runs of children between those whose hints agree; nothing if the hints contradict one
    /// another.
    fn suspects(&self, cut: &Cut, hints: &[u8]) -> Option<Vec<OurRun>> {
        let ours = self.hints(cut);
        let mut agreed = align(hints, &ours);
        agreed.push((hints.len(), ours.len()));
        let fences: Vec<Vec<u8>> = cut.nodes.iter().map(|node| node.fence.clone()).collect();
        let mut runs = Vec::new();
        let (mut their, mut our) = (0, 0);
        for (their_next, our_next) in agreed {
            let theirs = Run {
                first: their,
                len: their_next - their,
            };
            let run = Run {
                first: our,
                len: our_next - our,
            };
            (their, our) = (their_next + 1, our_next + 1);
            match (theirs.len, run.len) {
                (0, 0) => continue,
                // Children that agree have equal bounds, so between two of them there is something
                // on both sides or on none.
                (0, _) | (_, 0) => return None,
                _ => {}
            }
            let nodes = &cut.nodes[run.first..run.first + run.len];
            runs.push(OurRun {
                theirs,
                range: range_of(&fences, cut.upper.as_deref(), run)?.to_owned(),
                digest: nodes.iter().map(|node| node.digest).sum(),
            });
        }
        (!runs.is_empty()).then_some(runs)
    }

    /// Says our own sum in answer to a sum that we cannot explain.
    pub(super) fn echo(&mut self, open: &Open, form: EchoForm, suspects: Vec<KeyRange>) {
        let mixed = matches!(form, EchoForm::Mixed { .. });
        let echo = Echo {
            count: open.digest.count(),
            sum: self.seal(&open.range, &open.digest),
            form,
        };
        self.stats.echoes_sent += 1;
        let listed = Listed::Echo {
            range: open.range.clone(),
            mixed,
            suspects,
        };
        self.say(&open.place, &Part::Echo(echo), Some(listed));
    }

    /// Compares the peer's echo with what we hold now; `summed` is what we had said of the range.
    /// The places of the echo begin at `first`.
    pub(super) fn on_echo(
        &mut self,
        range: KeyRange,
        below: u8,
        summed: &Summed,
        first: u64,
        echo: &Echo,
    ) -> Result<(), WalkError<S::Error>> {
        let theirs = Some(echo.count);
        if self.is_overfull() {
            self.defer(Deferred {
                range,
                below,
                theirs,
                density: 0.0,
            });
            return Ok(());
        }
        self.stats.ranges_compared += 1;
        let digest = self.source.digest(&range)?;
        let gap = self.gap(&range, &digest, echo.count, echo.sum);
        if gap.is_zero() {
            return Ok(());
        }
        let place = Place::Listed { first, len: 1 };
        let open = Open {
            below,
            ..Open::whole(place, range, digest, theirs)
        };
        match (&echo.form, summed) {
            (EchoForm::Bare, _) => self.list(open),
            (EchoForm::Mixed { mix }, Summed::Mixed) => {
                if let Some(items) = self.few_items(&open.range)? {
                    let mix = Some(self.mix(&items).wrapping_sub(*mix));
                    if self.conclude(&open.place, &items, &Difference { mix, ..gap })? {
                        return Ok(());
                    }
                }
                if open.below > 1 && open.digest.count() >= SPLIT_MIN {
                    return self.split(open, 1);
                }
                self.list(open)
            }
            (EchoForm::Suspect { run, mix }, Summed::Hinted { fences }) => {
                let place = Place::Listed {
                    first: first + 1,
                    len: 1,
                };
                let range = suspect_range(&open.range, fences, *run)?;
                if let Some(items) = self.few_items(&range)? {
                    let mix = Some(self.mix(&items).wrapping_sub(*mix));
                    if self.conclude(&place, &items, &Difference { mix, ..gap })? {
                        return Ok(());
                    }
                }
                self.split(open, 1)
            }
            (EchoForm::Suspects(suspects), Summed::Hinted { fences }) => {
                self.on_suspects(open, gap, fences, first, suspects)
            }
            _ => Err(malformed("an echo does not fit the sum")),
        }
    }

    /// Several runs, each of them a range with a sum of its own: provided that they make up the
    /// whole difference.
    fn on_suspects(
        &mut self,
        open: Open,
        gap: Difference,
        fences: &[Vec<u8>],
        first: u64,
        suspects: &[Suspect],
    ) -> Result<(), WalkError<S::Error>> {
        let mut runs = Vec::with_capacity(suspects.len());
        let mut found = Difference {
            count: 0,
            low: 0,
            mix: None,
        };
        for suspect in suspects.iter().take(SUSPECTS_MAX) {
            let range = suspect_range(&open.range, fences, suspect.run)?;
            let digest = self.source.digest(&range)?;
            let gap = self.gap(&range, &digest, suspect.count, suspect.sum);
            found.count += gap.count;
            found.low = found.low.wrapping_add(gap.low);
            runs.push((range, digest, gap));
        }
        if (found.count, found.low) != (gap.count, gap.low) {
            // A difference hides where two hints agree by chance: only the whole range can be
            // trusted.
            return self.split(open, 1);
        }
        for (place, ((range, digest, gap), suspect)) in
            (first + 1..).zip(runs.into_iter().zip(suspects))
        {
            if gap.is_zero() {
                continue;
            }
            let place = Place::Listed {
                first: place,
                len: 1,
            };
            if let Some(items) = self.few_items(&range)? {
                let mix = Some(self.mix(&items).wrapping_sub(suspect.mix));
                if self.conclude(&place, &items, &Difference { mix, ..gap })? {
                    continue;
                }
            }
            let theirs = Some(suspect.count);
            let open = Open {
                below: 2,
                ..Open::whole(place, range, digest, theirs)
            };
            // With two or three of theirs missing here, they can tell which; where one side holds
            // far less, it will say what; otherwise we do.
            let far = open.digest.count() / FAR_FEWER >= suspect.count;
            let few_missing = (-ECHO_COUNT..-1).contains(&gap.count);
            if few_missing || far {
                self.open(Open { below: 1, ..open })?;
            } else if open.digest.count() >= SPLIT_MIN {
                self.split(open, 1)?;
            } else {
                self.list(open)?;
            }
        }
        Ok(())
    }

    /// The peer has found what makes up the difference: one item of ours, and those of its own that
    /// it describes.
    pub(super) fn on_explain(
        &mut self,
        range: KeyRange,
        explain: Explain,
    ) -> Result<(), WalkError<S::Error>> {
        self.check_inside(&range, &explain.mine)?;
        let items = self.source.items(&range, ROWS_READ)?;
        let lacking = items
            .into_iter()
            .find(|item| low(&item.digest) == explain.theirs);
        if lacking.is_none() {
            // Overwritten since, which the next walk will look at.
            self.leave_unsettled();
        }
        self.found(
            lacking.map(|item| item.key).into_iter().collect(),
            explain.mine,
        );
        Ok(())
    }

    /// Looks for what makes up the difference, and reports it or tells the peer. False if it was
    /// not found.
    fn conclude(
        &mut self,
        place: &Place,
        items: &[Item],
        gap: &Difference,
    ) -> Result<bool, WalkError<S::Error>> {
        let lows: Vec<u128> = items.iter().map(|item| low(&item.digest)).collect();
        // Counted as reading: the search for three goes over all pairs.
        self.source.spent += lows.len() as u64;
        let Some(explanation) = explain(self.salted, &lows, gap) else {
            return Ok(false);
        };
        self.stats.explained += 1;
        let keys = explanation.ours.into_iter().map(|at| items[at].key.clone());
        match explanation.theirs {
            None => self.findings.push(Finding::OnlyHere {
                keys: keys.collect(),
            }),
            Some(theirs) => {
                let keys: Vec<_> = keys.collect();
                let mine = self.describe(keys)?;
                self.stats.described_sent += mine.len() as u64;
                self.say(place, &Part::Explain(Explain { theirs, mine }), None);
            }
        }
        Ok(true)
    }

    /// Our side of a range minus the peer's.
    fn gap(&self, range: &KeyRange, ours: &RangeDigest, count: u64, sum: u128) -> Difference {
        Difference {
            count: i128::from(ours.count()) - i128::from(count),
            low: self.seal(range, ours).wrapping_sub(sum),
            mix: None,
        }
    }

    /// The items of a range if they are few enough to be searched.
    fn few_items(&mut self, range: &KeyRange) -> Result<Option<Vec<Item>>, WalkError<S::Error>> {
        let items = self.source.items(range, ROWS_MAX + 1)?;
        Ok((items.len() <= ROWS_MAX).then_some(items))
    }
}

/// Children of ours in which we suspect the difference, and the peer's between the same bounds.
struct OurRun {
    theirs: Run,
    range: KeyRange,
    digest: RangeDigest,
}

fn suspect_range<E>(
    range: &KeyRange,
    fences: &[Vec<u8>],
    run: Run,
) -> Result<KeyRange, WalkError<E>> {
    let range = range_of(fences, range.upper.as_deref(), run);
    range
        .map(|range| range.to_owned())
        .ok_or_else(|| malformed("it suspects what was not hinted"))
}
