//! Asking for what was announced and did not come.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Core, Timer};
use crate::rumour::RumourId;

/// Rumours that peers have and we have not. Bounded by [`max_missing`](crate::Config::max_missing), whatever they announce.
#[derive(Debug)]
pub(super) struct Asking<N> {
    missing: BTreeMap<RumourId, Missing<N>>,
    /// How many of them each peer was the first to announce.
    announced: BTreeMap<N, usize>,
    is_awake: bool,
}

#[derive(Debug)]
struct Missing<N> {
    first: N,
    /// Who has it and was not asked, the earliest to say so first.
    holders: Vec<N>,
    /// Whether its time to come has begun in an earlier round of the timer.
    is_due: bool,
    /// Whether anybody was asked.
    is_asked: bool,
}

/// Holders of one rumour that are remembered.
const MAX_HOLDERS: usize = 8;

/// A peer that announces what does not exist takes at most one in so many of the places.
const SHARE: usize = 4;

impl<N: Copy + Ord> Asking<N> {
    pub(super) const fn new() -> Self {
        Self {
            missing: BTreeMap::new(),
            announced: BTreeMap::new(),
            is_awake: false,
        }
    }

    /// A peer has a rumour that is not known here. `is_asked` if it will be asked for it at once. Whether that is to be done: nobody
    /// else was asked yet, and there is room to remember it.
    pub(super) fn announced(
        &mut self,
        from: N,
        id: RumourId,
        is_asked: bool,
        core: &mut Core<N>,
    ) -> bool {
        if let Some(missing) = self.missing.get_mut(&id) {
            if is_asked && !missing.is_asked {
                missing.is_asked = true;
                missing.is_due = false;
                return true;
            }
            if missing.holders.len() < MAX_HOLDERS && !missing.holders.contains(&from) {
                missing.holders.push(from);
            }
            return false;
        }
        let max = core.config.max_missing;
        let of_peer = self.announced.entry(from).or_default();
        if self.missing.len() >= max || *of_peer >= max.div_ceil(SHARE) {
            core.stats.announcements_refused += 1;
            return false;
        }
        *of_peer += 1;
        let holders = if is_asked { Vec::new() } else { [from].into() };
        let missing = Missing {
            first: from,
            holders,
            is_due: false,
            is_asked,
        };
        self.missing.insert(id, missing);
        if !self.is_awake {
            self.is_awake = true;
            core.wake(Timer::Ask, core.config.ask_after);
        }
        true
    }

    pub(super) fn came(&mut self, id: RumourId) {
        if let Some(missing) = self.missing.remove(&id) {
            self.forget(missing.first);
        }
    }

    fn forget(&mut self, first: N) {
        if let Some(count) = self.announced.get_mut(&first) {
            *count -= 1;
            if *count == 0 {
                self.announced.remove(&first);
            }
        }
    }

    /// Whom to ask now for what: the first holder of each rumour that has had its time. What nobody is left to be asked for is let
    /// go; pulls will find it, if there is such a thing.
    pub(super) fn due(&mut self, core: &mut Core<N>) -> BTreeMap<N, Vec<RumourId>> {
        let mut asked: BTreeMap<N, Vec<RumourId>> = BTreeMap::new();
        let mut vain = Vec::new();
        for (id, missing) in &mut self.missing {
            if !core::mem::replace(&mut missing.is_due, true) {
                continue;
            }
            if missing.holders.is_empty() {
                vain.push(*id);
            } else {
                let holder = missing.holders.remove(0);
                missing.is_asked = true;
                asked.entry(holder).or_default().push(*id);
            }
        }
        core.stats.announced_in_vain += vain.len() as u64;
        for id in vain {
            self.came(id);
        }
        self.is_awake = !self.missing.is_empty();
        if self.is_awake {
            core.wake(Timer::Ask, core.config.ask_after);
        }
        asked
    }
}
