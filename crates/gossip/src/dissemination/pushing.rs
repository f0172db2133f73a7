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
    fanout: usize,
    /// With feedback: how many who know a rumour already end it.
    tired: Option<usize>,
    /// With feedback: rumours still pushed, and how many knew them.
    hot: BTreeMap<RumourId, usize>,
}

impl Push {
    /// Infects, and dies.
    pub(super) const fn once(fanout: usize) -> Self {
        Self {
            fanout,
            tired: None,
            hot: BTreeMap::new(),
        }
    }

    pub(super) const fn until_tired(fanout: usize, tired: usize) -> Self {
        Self {
            fanout,
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
        core: &mut Core<N>,
        random: &mut impl Rng,
    ) {
        // Whoever we have it from is as likely as any other: the epidemic's equation is of uniform choice.
        for to in core.choose(self.fanout, random, |_| true) {
            core.push(to, rumour, hops, false);
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
            for to in core.choose(self.fanout, random, |_| true) {
                core.push(to, &rumour, hops, false);
            }
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
