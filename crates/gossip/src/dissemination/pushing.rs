//! Pushing to peers chosen uniformly.

use alloc::collections::BTreeMap;

use rand::Rng;

use super::Core;
use crate::recent::Heard;
use crate::rumour::{Rumour, RumourId};

/// Rumours that are pushed in every period at most. More are pushed once, and sessions bring them to whom that leaves out.
const MAX_HOT: usize = 4096;

#[derive(Debug)]
pub(super) struct Push {
    fanout: Fanout,
    /// With feedback: how many who know a rumour already end it.
    tired: Option<usize>,
    /// With feedback: rumours still pushed, and how many knew them.
    hot: BTreeMap<RumourId, usize>,
}

/// To how many a rumour is pushed.
#[derive(Debug)]
enum Fanout {
    Fixed(usize),
    Adaptive(Adaptive),
}

/// A fanout that is just enough: of a fanout f, about exp(-f) of all nodes are left to pulls, whatever the size of the cluster, more where
/// messages are lost. Each node goes by what it sees, so that its own bad line counts too.
#[derive(Debug)]
struct Adaptive {
    /// In sixteenths.
    fanout: u32,
    heard: u32,
    /// Of these, how many came by a pull only.
    late: u32,
    /// How many came again.
    repeated: u32,
}

/// Rumours from which a share is taken.
const SAMPLE: u32 = 64;

impl Adaptive {
    /// Raises the fanout by half when more than 3 of 64 came late, and lowers it by a sixteenth when none did and there was
    /// redundancy: too few is worse than too many.
    fn adapt(&mut self, members: usize) {
        if self.heard < SAMPLE {
            return;
        }
        let (heard, late, repeated) = (self.heard, self.late, self.repeated);
        if late * 21 > heard {
            self.fanout += 8;
        } else if late * 64 < heard && repeated > heard {
            self.fanout -= 1;
        }
        // Beyond ln n + c everybody is reached with a probability that is as near to 1 as one likes.
        let bits = usize::BITS - members.leading_zeros();
        self.fanout = self.fanout.clamp(16, 16 * (bits + 2));
        (self.heard, self.late, self.repeated) = (0, 0, 0);
    }
}

impl Fanout {
    fn draw(&self, random: &mut impl Rng) -> usize {
        match self {
            Self::Fixed(fanout) => *fanout,
            Self::Adaptive(Adaptive { fanout, .. }) => {
                (fanout / 16) as usize + usize::from(random.random_range(0..16) < fanout % 16)
            }
        }
    }
}

impl Push {
    /// Infects, and dies.
    pub(super) const fn once(fanout: usize) -> Self {
        Self {
            fanout: Fanout::Fixed(fanout),
            tired: None,
            hot: BTreeMap::new(),
        }
    }

    /// The same, to as many as it takes.
    pub(super) const fn adaptive() -> Self {
        let adaptive = Adaptive {
            fanout: 4 * 16,
            heard: 0,
            late: 0,
            repeated: 0,
        };
        Self {
            fanout: Fanout::Adaptive(adaptive),
            tired: None,
            hot: BTreeMap::new(),
        }
    }

    pub(super) const fn until_tired(fanout: usize, tired: usize) -> Self {
        Self {
            fanout: Fanout::Fixed(fanout),
            tired: Some(tired),
            hot: BTreeMap::new(),
        }
    }

    pub(super) const fn has_feedback(&self) -> bool {
        self.tired.is_some()
    }

    pub(super) fn spread<N: Copy + Ord>(
        &mut self,
        rumour: &Rumour,
        hops: u16,
        was_late: bool,
        core: &mut Core<N>,
        random: &mut impl Rng,
    ) {
        if let Fanout::Adaptive(adaptive) = &mut self.fanout {
            adaptive.heard += 1;
            adaptive.late += u32::from(was_late);
            adaptive.adapt(core.members.len());
        }
        let fanout = self.fanout.draw(random);
        // Whoever we have it from is as likely as any other: the epidemic's equation is of uniform choice.
        for to in core.choose(fanout, random, |_| true) {
            core.push(to, rumour, hops);
        }
        if self.has_feedback() && self.hot.len() < MAX_HOT {
            self.hot.insert(rumour.id(), 0);
        }
    }

    pub(super) fn period<N: Copy + Ord>(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let recent = &core.recent;
        self.hot.retain(|id, _| recent.get(*id).is_some());
        for id in self.hot.keys() {
            let Some(Heard { rumour, hops, .. }) = core.recent.get(*id).cloned() else {
                continue;
            };
            let fanout = self.fanout.draw(random);
            for to in core.choose(fanout, random, |_| true) {
                core.push(to, &rumour, hops);
            }
        }
    }

    pub(super) fn heard_twice(&mut self) {
        if let Fanout::Adaptive(adaptive) = &mut self.fanout {
            adaptive.repeated = adaptive.repeated.saturating_add(1);
        }
    }

    pub(super) fn is_known(&mut self, id: RumourId) {
        let Some(known) = self.hot.get_mut(&id) else {
            return;
        };
        *known += 1;
        if Some(*known) >= self.tired {
            self.hot.remove(&id);
        }
    }
}
