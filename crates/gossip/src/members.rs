//! Who there is to talk to.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand::Rng;

/// The members that are up. Coming and going take O(log n), choosing one at random O(1); a clone shares everything until one
/// of the two changes.
#[derive(Clone, Debug)]
pub struct Members<N> {
    shared: Arc<List<N>>,
}

#[derive(Clone, Debug)]
struct List<N> {
    list: Vec<N>,
    /// The place of each in the list.
    places: BTreeMap<N, usize>,
}

impl<N: Copy + Ord> Default for Members<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Copy + Ord> FromIterator<N> for Members<N> {
    fn from_iter<I: IntoIterator<Item = N>>(nodes: I) -> Self {
        let mut members = Self::new();
        for node in nodes {
            members.insert(node);
        }
        members
    }
}

impl<N: Copy + Ord> Members<N> {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(List {
                list: Vec::new(),
                places: BTreeMap::new(),
            }),
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.list.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, node: N) -> bool {
        self.shared.places.contains_key(&node)
    }

    /// One has come; whether that is news.
    pub fn insert(&mut self, node: N) -> bool {
        let is_new = !self.contains(node);
        if is_new {
            let List { list, places } = Arc::make_mut(&mut self.shared);
            places.insert(node, list.len());
            list.push(node);
        }
        is_new
    }

    /// One has gone; whether it was there.
    pub fn remove(&mut self, node: N) -> bool {
        if !self.contains(node) {
            return false;
        }
        let List { list, places } = Arc::make_mut(&mut self.shared);
        if let Some(place) = places.remove(&node) {
            list.swap_remove(place);
            if let Some(moved) = list.get(place) {
                places.insert(*moved, place);
            }
        }
        true
    }

    /// Whether the two are clones of one that were not changed since.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = N> + '_ {
        self.shared.list.iter().copied()
    }

    /// At most `count` different ones, each as likely as any other, that `is_wanted`. Tries a bounded number of times, so that it
    /// may find too few where hardly any are.
    pub(crate) fn choose(
        &self,
        count: usize,
        random: &mut impl Rng,
        is_wanted: impl Fn(N) -> bool,
    ) -> Vec<N> {
        let list = &self.shared.list;
        let mut chosen = Vec::with_capacity(count);
        if list.len() <= count {
            chosen.extend(list.iter().copied().filter(|node| is_wanted(*node)));
            return chosen;
        }
        for _ in 0..4 * count + 16 {
            if chosen.len() == count {
                break;
            }
            let node = list[random.random_range(0..list.len())];
            if is_wanted(node) && !chosen.contains(&node) {
                chosen.push(node);
            }
        }
        chosen
    }
}
