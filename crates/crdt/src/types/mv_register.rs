//! A value that shows every concurrent write.

use super::{causal_type, tag};
use crate::causal_map::CausalMap;
use crate::clock::Stamp;
use crate::dot::ReplicaId;

/// A multi-value register: concurrent writes are all read, until a write that has observed them settles the conflict.
/// No clock takes part.
///
/// ```
/// use syncline_crdt::{MvRegister, ReplicaId};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = MvRegister::new();
/// let mut theirs = MvRegister::new();
/// ours.set(ada, "red");
/// theirs.set(bob, "blue");
/// ours.join(&theirs);
/// assert_eq!(ours.values().collect::<Vec<_>>(), [&"red", &"blue"]);
/// ours.set(ada, "violet");
/// assert_eq!(ours.values().collect::<Vec<_>>(), [&"violet"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MvRegister<V> {
    map: CausalMap<(), V>,
}

causal_type!(MvRegister<V>, tag::MV_REGISTER);

impl<V: Ord + Clone> MvRegister<V> {
    /// Writes a value in place of all that are known here. Returns the delta.
    pub fn set(&mut self, replica: ReplicaId, value: V) -> Self {
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.put((), dot, Stamp::ZERO, value),
        }
    }

    /// Removes the values that are known here. Returns the delta, an empty one when there were none.
    pub fn clear(&mut self, replica: ReplicaId) -> Self {
        if self.map.row(&()).is_none() {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.clear(dot),
        }
    }

    /// The values of all writes that nobody has superseded, in dot order: one each, so equal values may appear more
    /// than once.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        let row = self.map.row(&()).into_iter().flatten();
        row.map(|sibling| &sibling.payload)
    }
}
