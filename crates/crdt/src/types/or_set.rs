//! A set in which an insertion survives the removals that did not know of it.

use super::{causal_type, tag};
use crate::causal_map::CausalMap;
use crate::clock::Stamp;
use crate::dot::ReplicaId;

/// An observed-remove set: a removal takes out the insertions that its replica had observed, and a concurrent insertion
/// of the same member stays. It keeps no tombstones.
///
/// After A. Bieniusa et al., "An optimized conflict-free replicated set" (2012).
///
/// ```
/// use syncline_crdt::{OrSet, ReplicaId};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = OrSet::new();
/// let mut theirs = OrSet::new();
/// theirs.join(&ours.insert(ada, "x"));
///
/// let removed = theirs.remove(bob, &"x");
/// let again = ours.insert(ada, "x"); // concurrently
/// ours.join(&removed);
/// theirs.join(&again);
/// assert!(ours.contains(&"x"));
/// assert_eq!(ours, theirs);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrSet<T> {
    map: CausalMap<T, ()>,
}

causal_type!(OrSet<T>, tag::OR_SET);

impl<T: Ord + Clone> OrSet<T> {
    /// Inserts a member, which from now on survives the removals that have not observed this insertion. Returns the
    /// delta.
    pub fn insert(&mut self, replica: ReplicaId, member: T) -> Self {
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.put(member, dot, Stamp::ZERO, ()),
        }
    }

    /// Removes a member as it is known here. Returns the delta, an empty one when there was no such member.
    pub fn remove(&mut self, replica: ReplicaId, member: &T) -> Self {
        if !self.contains(member) {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.remove(member, dot),
        }
    }

    /// Removes all members known here. Returns the delta, an empty one when there were none.
    pub fn clear(&mut self, replica: ReplicaId) -> Self {
        if self.is_empty() {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.clear(dot),
        }
    }

    /// Whether it is a member.
    #[must_use]
    pub fn contains(&self, member: &T) -> bool {
        self.map.row(member).is_some()
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.map.rows().map(|(member, _)| member)
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.rows().len()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
