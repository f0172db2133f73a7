//! A value decided by the last writer.

use super::{causal_type, tag};
use crate::causal_map::CausalMap;
use crate::clock::Stamp;
use crate::dot::ReplicaId;
use crate::siblings::Siblings;

/// One value: of concurrent writes the one with the greatest (stamp, dot) is read. The writes that lost stay as
/// siblings until a later one has observed them, so a conflict can be seen and nothing that two replicas hold differs.
///
/// ```
/// use syncline_crdt::{LwwRegister, ReplicaId, Stamp};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = LwwRegister::new();
/// let mut theirs = LwwRegister::new();
/// ours.set(ada, Stamp::new(10, 0), "red");
/// theirs.set(bob, Stamp::new(11, 0), "blue");
/// ours.join(&theirs);
/// assert_eq!(ours.get(), Some(&"blue"));
/// ours.set(ada, Stamp::new(12, 0), "green");
/// assert_eq!(ours.siblings().map(|row| row.len()), Some(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LwwRegister<V> {
    map: CausalMap<(), V>,
}

causal_type!(LwwRegister<V>, tag::LWW_REGISTER);

impl<V: Ord + Clone> LwwRegister<V> {
    /// Writes a value in place of all writes known here. Returns the delta.
    ///
    /// Take the stamp from an [`Hlc`](crate::Hlc) that has observed the stamps of what was joined, and later writes
    /// win.
    pub fn set(&mut self, replica: ReplicaId, stamp: Stamp, value: V) -> Self {
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.put((), dot, stamp, value),
        }
    }

    /// Removes the value as it is known here; a concurrent write stays. Returns the delta, an empty one when there was
    /// no value.
    pub fn clear(&mut self, replica: ReplicaId) -> Self {
        if self.get().is_none() {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.clear(dot),
        }
    }

    /// The value of the last writer.
    #[must_use]
    pub fn get(&self) -> Option<&V> {
        let winner = self.map.row(&())?.winner()?;
        Some(&winner.payload)
    }

    /// All writes that nobody has superseded, if there are any.
    #[must_use]
    pub fn siblings(&self) -> Option<&Siblings<V>> {
        self.map.row(&())
    }
}
