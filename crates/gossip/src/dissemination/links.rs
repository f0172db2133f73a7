//! The links of a node to its neighbours, and how long they take.

use alloc::collections::BTreeMap;
use core::time::Duration;

/// Members whose round-trip times are remembered. The nearest stay.
const MAX_MEASURED: usize = 128;

/// By so many times must a link be quicker to be preferred: as within a region against between two. Less would deepen the tree for the
/// sake of links that are about as good.
const QUICKER: u32 = 8;

/// Neighbours, and what is known of how far members are.
#[derive(Debug)]
pub(super) struct Links<N> {
    links: BTreeMap<N, Link>,
    measured: BTreeMap<N, Duration>,
}

/// A link to a neighbour.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Whether it is in the tree.
    is_branch: bool,
    /// Whether it was made because it is quick, by either side; otherwise chance has chosen it.
    is_near: bool,
}

impl<N: Copy + Ord> Links<N> {
    pub(super) const fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            measured: BTreeMap::new(),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = N> + '_ {
        self.links.keys().copied()
    }

    pub(super) fn branches(&self) -> impl Iterator<Item = N> + '_ {
        let branches = self.links.iter().filter(|(_, link)| link.is_branch);
        branches.map(|(node, _)| *node)
    }

    /// Neighbours that are no branches.
    pub(super) fn others(&self) -> impl Iterator<Item = N> + '_ {
        let others = self.links.iter().filter(|(_, link)| !link.is_branch);
        others.map(|(node, _)| *node)
    }

    /// Those that chance has chosen, and that may go without the tree noticing.
    pub(super) fn spare(&self) -> impl Iterator<Item = N> + '_ {
        let is_spare = |link: &Link| !link.is_branch && !link.is_near;
        let spare = self.links.iter().filter(move |(_, link)| is_spare(link));
        spare.map(|(node, _)| *node)
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn near(&self) -> usize {
        self.links.values().filter(|link| link.is_near).count()
    }

    pub(super) fn contains(&self, node: N) -> bool {
        self.links.contains_key(&node)
    }

    pub(super) fn is_branch(&self, node: N) -> bool {
        self.links.get(&node).is_some_and(|link| link.is_branch)
    }

    /// A new link. One that chance has chosen is in the tree until a rumour shows that it is superfluous; a near one comes into it
    /// when it turns out to be the better.
    pub(super) fn insert(&mut self, node: N, is_near: bool) {
        let is_branch = !is_near;
        self.links.insert(node, Link { is_branch, is_near });
    }

    pub(super) fn remove(&mut self, node: N) {
        self.links.remove(&node);
    }

    /// Forgets who is not a member any more.
    pub(super) fn retain(&mut self, is_member: impl Fn(N) -> bool) {
        self.links.retain(|node, _| is_member(*node));
        self.measured.retain(|node, _| is_member(*node));
    }

    /// Takes a link into the tree. Whoever is no neighbour becomes one, as if by chance.
    pub(super) fn graft(&mut self, node: N) {
        match self.links.get_mut(&node) {
            Some(link) => link.is_branch = true,
            None => self.insert(node, false),
        }
    }

    pub(super) fn prune(&mut self, node: N) {
        if let Some(link) = self.links.get_mut(&node) {
            link.is_branch = false;
        }
    }

    pub(super) fn measured(&mut self, node: N, rtt: Duration) {
        self.measured.insert(node, rtt);
        if self.measured.len() > MAX_MEASURED {
            let strangers = self.measured.iter();
            let strangers = strangers.filter(|(node, _)| !self.links.contains_key(node));
            let farthest = strangers.max_by_key(|(_, rtt)| **rtt);
            if let Some(farthest) = farthest.map(|(node, _)| *node) {
                self.measured.remove(&farthest);
            }
        }
    }

    /// Whether one neighbour is known to be so much nearer than another that it should be a branch in its place.
    pub(super) fn is_much_nearer(&self, node: N, than: N) -> bool {
        match (self.measured.get(&node), self.measured.get(&than)) {
            (Some(one), Some(other)) => one.saturating_mul(QUICKER) <= *other,
            _ => false,
        }
    }

    /// The nearest who is no neighbour, if it is much nearer than a neighbour whom chance has chosen.
    pub(super) fn candidate(&self) -> Option<N> {
        let strangers = self.measured.iter();
        let strangers = strangers.filter(|(node, _)| !self.links.contains_key(node));
        let (node, _) = strangers.min_by_key(|(_, rtt)| **rtt)?;
        let mut by_chance = self.links.iter().filter(|(_, link)| !link.is_near);
        by_chance
            .any(|(than, _)| self.is_much_nearer(*node, *than))
            .then_some(*node)
    }
}
