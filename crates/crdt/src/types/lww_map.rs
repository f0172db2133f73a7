//! A map whose values are decided by the last writer.

use super::{causal_type, tag};
use crate::causal_map::CausalMap;
use crate::clock::Stamp;
use crate::dot::ReplicaId;
use crate::siblings::Siblings;

/// A map: of concurrent writes to one key the one with the greatest (stamp, dot) is read, and a removal takes out the
/// writes that its replica had observed, whatever their stamps. The writes that lost stay as siblings until a later one
/// has observed them.
///
/// ```
/// use syncline_crdt::{LwwMap, ReplicaId, Stamp};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = LwwMap::new();
/// let mut theirs = LwwMap::new();
/// ours.insert(ada, Stamp::new(10, 0), "colour", "red");
/// theirs.insert(bob, Stamp::new(11, 0), "colour", "blue");
/// ours.join(&theirs);
/// assert_eq!(ours.get(&"colour"), Some(&"blue"));
/// assert_eq!(ours.siblings(&"colour").unwrap().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LwwMap<K, V> {
    map: CausalMap<K, V>,
}

causal_type!(LwwMap<K, V>, tag::LWW_MAP);

impl<K: Ord + Clone, V: Ord + Clone> LwwMap<K, V> {
    /// Writes a value in place of all writes to the key known here. Returns the delta.
    ///
    /// Take the stamp from an [`Hlc`](crate::Hlc) that has observed the stamps of what was joined, and later writes
    /// win.
    pub fn insert(&mut self, replica: ReplicaId, stamp: Stamp, key: K, value: V) -> Self {
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.put(key, dot, stamp, value),
        }
    }

    /// Removes a key as it is known here. Returns the delta, an empty one when there was no such key.
    pub fn remove(&mut self, replica: ReplicaId, key: &K) -> Self {
        if !self.contains_key(key) {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.remove(key, dot),
        }
    }

    /// Removes all keys known here. Returns the delta, an empty one when there were none.
    pub fn clear(&mut self, replica: ReplicaId) -> Self {
        if self.is_empty() {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.clear(dot),
        }
    }

    /// The value of a key: that of its last writer.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let winner = self.map.row(key)?.winner()?;
        Some(&winner.payload)
    }

    /// All writes to a key that nobody has superseded.
    #[must_use]
    pub fn siblings(&self, key: &K) -> Option<&Siblings<V>> {
        self.map.row(key)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.map.row(key).is_some()
    }

    /// Keys and values, in key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map
            .rows()
            .filter_map(|(key, row)| Some((key, &row.winner()?.payload)))
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.rows().len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
