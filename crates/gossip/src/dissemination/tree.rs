//! A broadcast tree in a random overlay, after Plumtree.
//!
//! Each node has some *neighbours*, about log₂ n of them, by links that go both ways. Those in the tree are *branches*: whatever comes
//! by one of them is pushed along all the others. All other neighbours hear of it by announcements, gathered for a while, which cost some
//! twenty bytes in place of a delta. Who hears of a rumour that does not come asks for it, and by that makes the link a branch; who
//! gets one twice prunes the link by which it came last, or over many more hops. So the tree is found by the first rumour, and mended
//! by the next after something broke.
//!
//! One tree serves all writers: to those far from where it began, it is at most twice as deep. Trying to shorten their ways, by
//! making branches of links over which a rumour would have come by fewer hops, costs more copies than it saves hops
//! when the writers change, since every writer would have another tree.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use rand::Rng;

use super::{Core, Timer};
use crate::message::{MAX_IDS, Message};
use crate::rumour::{Rumour, RumourId};

#[derive(Debug)]
pub(super) struct Tree<N> {
    branches: BTreeSet<N>,
    /// Neighbours that are no branches.
    others: BTreeSet<N>,
    unannounced: BTreeSet<RumourId>,
    /// Announced, and not come.
    missing: BTreeMap<RumourId, Missing<N>>,
    is_announcing: bool,
    is_asking: bool,
}

#[derive(Debug)]
struct Missing<N> {
    /// Who has it, the earliest to say so first.
    holders: Vec<N>,
    /// Whether its time to come has begun in an earlier round of the timer.
    is_due: bool,
}

/// By so many fewer hops must a later way be shorter to be kept: most differences of one are made by jitter.
const SHORTER: u16 = 2;

impl<N: Copy + Ord> Tree<N> {
    pub(super) const fn new() -> Self {
        Self {
            branches: BTreeSet::new(),
            others: BTreeSet::new(),
            unannounced: BTreeSet::new(),
            missing: BTreeMap::new(),
            is_announcing: false,
            is_asking: false,
        }
    }

    pub(super) fn branches(&self) -> impl Iterator<Item = N> + '_ {
        self.branches.iter().copied()
    }

    fn is_neighbour(&self, node: N) -> bool {
        self.branches.contains(&node) || self.others.contains(&node)
    }

    /// Whether the rumour came so lately that the tree is still bringing it to others.
    pub(super) fn is_under_way(&self, id: RumourId) -> bool {
        self.unannounced.contains(&id)
    }

    fn degree(&self) -> usize {
        self.branches.len() + self.others.len()
    }

    /// The members are others than they were. Who has no neighbours looks for some at once; for more there is time until the next
    /// period, when they can be chosen among all who have come, so that those who came first are not everybody's neighbours.
    pub(super) fn moved(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let (before, members) = (self.degree(), &core.members);
        self.others.retain(|node| members.contains(*node));
        self.branches.retain(|node| members.contains(*node));
        if self.degree() < before || before == 0 {
            self.look_for_neighbours(core, random);
        }
    }

    /// Makes neighbours until there are as many as the size of the cluster asks for. Links go both ways and are looked for on
    /// both sides, so half of them are enough.
    fn look_for_neighbours(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let wanted = wanted(core.members.len()).div_ceil(2);
        let missing = wanted.saturating_sub(self.degree());
        let is_stranger = |node| !self.is_neighbour(node);
        for node in core.choose(missing, random, is_stranger) {
            self.branches.insert(node);
            core.send(node, Message::Link);
        }
    }

    /// Someone wants to be a neighbour. Who has enough of them refuses, or the best known members would carry the most.
    fn link(&mut self, from: N, core: &mut Core<N>) {
        if self.is_neighbour(from) {
            return;
        }
        if self.degree() < 2 * wanted(core.members.len()) && core.members.contains(from) {
            self.branches.insert(from);
        } else {
            core.send(from, Message::Unlink);
        }
    }

    fn unlink(&mut self, node: N) {
        self.others.remove(&node);
        self.branches.remove(&node);
    }

    pub(super) fn spread(
        &mut self,
        rumour: &Rumour,
        hops: u16,
        from: Option<N>,
        core: &mut Core<N>,
    ) {
        let id = rumour.id();
        self.missing.remove(&id);
        // A neighbour who was asked for it is a branch from now on; anybody else was pulled from.
        if let Some(from) = from.filter(|from| self.is_neighbour(*from)) {
            self.graft(from);
            if let Some(heard) = core.recent.get_mut(id) {
                heard.parent = Some(from);
            }
        }
        for to in self.branches.iter().filter(|to| Some(**to) != from) {
            core.push(*to, rumour, hops, false);
        }
        self.unannounced.insert(id);
        if !self.is_announcing {
            self.is_announcing = true;
            core.wake(Timer::Announce, core.config.announce_after);
        }
    }

    /// A rumour has come by a second way, so the two links are on a cycle, and one of them leaves the tree: the later, or that
    /// of [many](SHORTER) more hops.
    ///
    /// Whatever order the copies come in, each node keeps one link to a node that is fewer hops from the writer than itself, so
    /// what is left of any number of cycles is a tree.
    pub(super) fn heard_twice(&mut self, from: N, id: RumourId, hops: u16, core: &mut Core<N>) {
        let Some(heard) = core.recent.get_mut(id) else {
            // So long ago that it tells nothing.
            return;
        };
        let superfluous = match heard.parent {
            // By a pull at first, which is no link of the tree.
            None if heard.hops > 0 => {
                heard.parent = Some(from);
                return;
            }
            Some(parent) if parent == from => return,
            Some(parent) if hops.saturating_add(SHORTER) <= heard.hops => {
                (heard.hops, heard.parent) = (hops, Some(from));
                self.graft(from);
                parent
            }
            // Our copy is on its way there, over one hop more than to us, and by the same rule they will keep this link; what came
            // from there had one hop more than they.
            _ if self.branches.contains(&from) && heard.hops.saturating_add(1 + SHORTER) < hops => {
                return;
            }
            _ => from,
        };
        self.prune(superfluous);
        core.send(superfluous, Message::Prune);
    }

    pub(super) fn receive(&mut self, from: N, message: Message, core: &mut Core<N>) {
        match message {
            Message::Link => self.link(from, core),
            Message::Unlink => self.unlink(from),
            Message::Prune => self.prune(from),
            Message::Graft(ids) => {
                self.graft(from);
                for id in ids {
                    core.answer(from, id);
                }
            }
            Message::Announce(ids) => {
                for id in ids {
                    self.announced(from, id, core);
                }
            }
            _ => {}
        }
    }

    fn announced(&mut self, from: N, id: RumourId, core: &mut Core<N>) {
        if id.is_known(&core.known) {
            return;
        }
        let is_room = self.missing.len() < core.config.max_missing;
        if !is_room && !self.missing.contains_key(&id) {
            return;
        }
        let missing = self.missing.entry(id).or_insert_with(|| Missing {
            holders: Vec::new(),
            is_due: false,
        });
        if !missing.holders.contains(&from) {
            missing.holders.push(from);
        }
        if !self.is_asking {
            self.is_asking = true;
            core.wake(Timer::Ask, core.config.ask_after);
        }
    }

    fn graft(&mut self, node: N) {
        self.others.remove(&node);
        self.branches.insert(node);
    }

    fn prune(&mut self, node: N) {
        if self.branches.remove(&node) {
            self.others.insert(node);
        }
    }

    pub(super) fn timer(&mut self, timer: Timer, core: &mut Core<N>) {
        match timer {
            Timer::Announce => self.announce(core),
            Timer::Ask => self.ask(core),
            Timer::Period => {}
        }
    }

    fn announce(&mut self, core: &mut Core<N>) {
        self.is_announcing = false;
        let ids: Vec<RumourId> = core::mem::take(&mut self.unannounced).into_iter().collect();
        for ids in ids.chunks(MAX_IDS) {
            for to in &self.others {
                core.send(*to, Message::Announce(ids.to_vec()));
            }
        }
    }

    /// Asks the first holder of each rumour that has had its time.
    fn ask(&mut self, core: &mut Core<N>) {
        let mut asked: BTreeMap<N, Vec<RumourId>> = BTreeMap::new();
        self.missing.retain(|id, missing| {
            if !core::mem::replace(&mut missing.is_due, true) {
                return true;
            }
            if missing.holders.is_empty() {
                // Nobody has answered; pulls will find it.
                return false;
            }
            let holder = missing.holders.remove(0);
            asked.entry(holder).or_default().push(*id);
            true
        });
        for (holder, ids) in asked {
            self.graft(holder);
            for ids in ids.chunks(MAX_IDS) {
                core.send(holder, Message::Graft(ids.to_vec()));
            }
        }
        self.is_asking = !self.missing.is_empty();
        if self.is_asking {
            core.wake(Timer::Ask, core.config.ask_after);
        }
    }

    pub(super) fn period(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        self.look_for_neighbours(core, random);
    }
}

/// How many neighbours a node in a cluster of so many others should have: enough that hardly anybody loses all of them when half
/// of all fail at once, and that few hops reach everybody.
fn wanted(others: usize) -> usize {
    let bits = usize::BITS - others.leading_zeros();
    (bits as usize + 4).min(others)
}
