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
//!
//! How long a link takes is the same for all writers. Up to three quarters of a node's links lead to members that are much nearer than those
//! that chance has chosen, if there are such (after X-BOT: Leitão et al., TPDS 2012); and a node that has a rumour by a
//! slow link turns to a much quicker one, by which it would have come by no more hops. Of nodes with as many hops each turns only to
//! lesser ones, so however many turn at once, the ways that a rumour took stay without cycles.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use rand::Rng;
use rand::seq::{IteratorRandom, SliceRandom};

use super::links::Links;
use super::{Core, Timer};
use crate::members::Members;
use crate::message::{MAX_IDS, Message, Notice};
use crate::rumour::{Rumour, RumourId};

#[derive(Debug)]
pub(super) struct Tree<N> {
    links: Links<N>,
    /// Whether a branch was exchanged for a quicker one in this period. Once in each is enough to become quick, and leaves others the
    /// time to see it.
    has_turned: bool,
    unannounced: BTreeSet<RumourId>,
    is_announcing: bool,
    /// Since a neighbour was last told that it is one.
    periods: u32,
    /// Who was there in the last period.
    met: Members<N>,
}

/// Once in so many periods a neighbour is told that it is one, where nothing is pulled.
const REMINDED: u32 = 4;

/// By so many fewer hops must a later way be shorter to be kept: most differences of one are made by jitter.
const SHORTER: u16 = 2;

impl<N: Copy + Ord> Tree<N> {
    pub(super) fn new() -> Self {
        Self {
            links: Links::new(),
            has_turned: false,
            unannounced: BTreeSet::new(),
            is_announcing: false,
            periods: 0,
            met: Members::new(),
        }
    }

    pub(super) fn branches(&self) -> impl Iterator<Item = N> + '_ {
        self.links.branches()
    }

    pub(super) fn neighbours(&self) -> impl Iterator<Item = N> + '_ {
        self.links.all()
    }

    /// Whether the rumour came so lately that the tree is still bringing it to others.
    pub(super) fn is_under_way(&self, id: RumourId) -> bool {
        self.unannounced.contains(&id)
    }

    pub(super) fn measured(&mut self, node: N, rtt: Duration, core: &Core<N>) {
        if core.config.by_latency && node != core.me && core.members.contains(node) {
            self.links.measured(node, rtt);
        }
    }

    /// The members are others than they were. Who has no neighbours looks for some at once; for more there is time until the next
    /// period, when they can be chosen among all who have come, so that those who came first are not everybody's neighbours.
    pub(super) fn moved(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let before = self.links.len();
        self.links.retain(|node| core.members.contains(node));
        if self.links.len() < before || before == 0 {
            self.look_for_neighbours(core, random);
        }
    }

    /// Makes neighbours until there are as many as the size of the cluster asks for. Links go both ways and are looked for on
    /// both sides, so half of them are enough; and where there are near ones, a quarter by chance.
    fn look_for_neighbours(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let missing = self.by_chance(core).saturating_sub(self.left());
        let is_stranger = |node| !self.links.contains(node);
        for node in core.choose(missing, random, is_stranger) {
            self.link_to(node, false, core);
        }
    }

    /// How many links a node makes by chance.
    fn by_chance(&self, core: &Core<N>) -> usize {
        let wanted = wanted(core.members.len());
        let half = wanted.div_ceil(2);
        let besides = half.saturating_sub(self.links.near());
        besides.max(left_to_chance(wanted))
    }

    /// How many links there are that chance has chosen.
    fn left(&self) -> usize {
        self.links.len() - self.links.near()
    }

    /// Exchanges links for some to those who have come, as many as would lead to them if all were chosen anew. Otherwise the two sides of a split, each
    /// of which has replaced the neighbours it lost, would stay without a link between them after it is healed. O(n log n) for n members if they are others.
    fn mix(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let members = core.members.clone();
        let before = core::mem::replace(&mut self.met, members.clone());
        if before.is_same(&members) {
            return;
        }
        let is_new = |node: &N| *node != core.me && !before.contains(*node);
        let mut come: Vec<N> = members.iter().filter(is_new).collect();
        let share = self.by_chance(core) * come.len();
        let linked = self.links.all().filter(is_new).count();
        if linked >= share.div_ceil(members.len().max(1)) {
            return;
        }
        let is_rounded_up = random.random_range(0..members.len()) < share % members.len();
        let fair = share / members.len() + usize::from(is_rounded_up);
        let missing = fair.saturating_sub(linked);
        come.retain(|node| !self.links.contains(*node));
        let (chosen, _) = come.partial_shuffle(random, missing);
        for node in chosen {
            if self.left() >= self.by_chance(core) {
                self.give_up_one(core, random);
            }
            self.link_to(*node, false, core);
        }
    }

    /// Gives up a link that chance has chosen and the tree does not need. Any, and not the slowest, or those far from everybody would lose all of theirs.
    fn give_up_one(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        if let Some(node) = self.links.spare().choose(random) {
            self.links.remove(node);
            core.send(node, Message::Unlink);
        }
    }

    fn link_to(&mut self, node: N, near: bool, core: &mut Core<N>) {
        self.links.insert(node, near);
        core.send(node, Message::Link { near });
    }

    /// Gives up a link that chance has chosen for one that is much quicker, as long as there are more of the former than the
    /// overlay needs.
    fn come_nearer(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        let wanted = wanted(core.members.len());
        let (near, left) = (self.links.near(), left_to_chance(wanted));
        if near < wanted - left
            && let Some(node) = self.links.candidate()
        {
            self.link_to(node, true, core);
        }
        if near > 0 && self.links.len() > wanted && self.left() > left {
            self.give_up_one(core, random);
        }
    }

    /// Someone wants to be a neighbour. Who has enough of them refuses, or the best known members would carry the most.
    fn link(&mut self, from: N, near: bool, core: &mut Core<N>) {
        if self.links.contains(from) {
            return;
        }
        let wanted = wanted(core.members.len());
        let is_room = self.links.len() < 2 * wanted && !(near && self.links.near() >= wanted);
        if is_room && core.members.contains(from) {
            self.links.insert(from, near);
        } else {
            core.stats.links_refused += 1;
            core.send(from, Message::Unlink);
        }
    }

    pub(super) fn spread(
        &mut self,
        rumour: &Rumour,
        hops: u16,
        from: Option<N>,
        core: &mut Core<N>,
    ) {
        let id = rumour.id();
        // A neighbour who was asked for it is a branch from now on; anybody else was pulled from.
        if let Some(from) = from.filter(|from| self.links.contains(*from)) {
            self.links.graft(from);
            if let Some(heard) = core.recent.get_mut(id) {
                heard.parent = Some(from);
            }
        }
        for to in self.links.branches().filter(|to| Some(*to) != from) {
            core.push(to, rumour, hops);
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
                self.links.graft(from);
                parent
            }
            // Our copy is on its way there, over one hop more than to us, and by the same rule they will keep this link; what came
            // from there had one hop more than they.
            _ if self.links.is_branch(from) && heard.hops.saturating_add(1 + SHORTER) < hops => {
                return;
            }
            _ => from,
        };
        self.links.prune(superfluous);
        core.send(superfluous, Message::Prune);
    }

    pub(super) fn receive(&mut self, from: N, message: Message, core: &mut Core<N>) {
        match message {
            Message::Link { near } => self.link(from, near, core),
            Message::Unlink => self.links.remove(from),
            Message::Prune => self.links.prune(from),
            Message::Graft(ids) => {
                // A stranger gets what it asks for, and a link only where there is room for one.
                if !self.links.contains(from) {
                    self.link(from, false, core);
                }
                if self.links.contains(from) {
                    self.links.graft(from);
                }
                for id in ids {
                    core.answer(from, id);
                }
            }
            _ => {}
        }
    }

    /// Takes a link in place of the one by which a rumour came, if it is much quicker and would have brought it by no more hops.
    pub(super) fn turn(&mut self, to: N, id: RumourId, hops: u16, core: &mut Core<N>) {
        if self.has_turned || !self.links.contains(to) || self.links.is_branch(to) {
            return;
        }
        let Some(heard) = core.recent.get_mut(id) else {
            return;
        };
        let Some(parent) = heard.parent.filter(|it| self.links.is_branch(*it)) else {
            return;
        };
        let is_before = (hops.saturating_sub(1), to) < (heard.hops, core.me);
        if is_before && self.links.is_much_nearer(to, parent) {
            self.has_turned = true;
            heard.parent = Some(to);
            self.links.graft(to);
            self.links.prune(parent);
            core.send(to, Message::Graft(Vec::new()));
            core.send(parent, Message::Prune);
        }
    }

    pub(super) fn announce(&mut self, core: &mut Core<N>) {
        self.is_announcing = false;
        let ids = core::mem::take(&mut self.unannounced).into_iter();
        let notice = |id| {
            let hops = core.recent.get(id)?.hops.saturating_add(1);
            Some(Notice { id, hops })
        };
        let notices: Vec<Notice> = ids.filter_map(notice).collect();
        for notices in notices.chunks(MAX_IDS) {
            for to in self.links.others() {
                core.send(to, Message::Announce(notices.to_vec()));
            }
        }
    }

    /// Somebody is asked for what did not come: by that link it will come from now on.
    pub(super) fn asks(&mut self, holder: N) {
        self.links.graft(holder);
    }

    pub(super) fn period(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        self.has_turned = false;
        self.look_for_neighbours(core, random);
        self.mix(core, random);
        self.come_nearer(core, random);
        if !core.config.pulls {
            self.remind(core, random);
        }
    }

    /// Tells a neighbour that it is one. It may have taken us for dead, and forgotten it, while we have noticed nothing: it would push
    /// nothing to us any more, and only a pull would tell us of that.
    fn remind(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        self.periods += 1;
        if self.periods < REMINDED {
            return;
        }
        self.periods = 0;
        if let Some(node) = self.links.all().choose(random) {
            core.send(node, Message::Link { near: false });
        }
    }
}

/// How many neighbours a node in a cluster of so many others should have: enough that hardly anybody loses all of them when half
/// of all fail at once, and that few hops reach everybody.
fn wanted(others: usize) -> usize {
    let bits = usize::BITS - others.leading_zeros();
    (bits as usize + 4).min(others)
}

/// How many of so many links stay left to chance, wherever near members are: random links, four or so a node, hold any overlay
/// together.
const fn left_to_chance(wanted: usize) -> usize {
    wanted.div_ceil(4)
}
