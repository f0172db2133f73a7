//! A truth value in which enabling wins.

use super::{causal_type, tag};
use crate::causal_map::CausalMap;
use crate::clock::Stamp;
use crate::dot::ReplicaId;

/// A flag, at first disabled: of concurrent changes enabling wins, since a disabling undoes just the enablings that it
/// has observed.
///
/// ```
/// use syncline_crdt::{EnableWinsFlag, ReplicaId};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = EnableWinsFlag::new();
/// let mut theirs = EnableWinsFlag::new();
/// theirs.join(&ours.enable(ada));
/// theirs.disable(bob);
/// ours.enable(ada); // concurrently
/// ours.join(&theirs);
/// assert!(ours.is_enabled());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnableWinsFlag {
    map: CausalMap<(), ()>,
}

causal_type!(EnableWinsFlag, tag::ENABLE_WINS_FLAG);

impl EnableWinsFlag {
    /// Enables it. Returns the delta.
    pub fn enable(&mut self, replica: ReplicaId) -> Self {
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.put((), dot, Stamp::ZERO, ()),
        }
    }

    /// Disables it as far as is known here. Returns the delta, an empty one when it was not enabled.
    pub fn disable(&mut self, replica: ReplicaId) -> Self {
        if !self.is_enabled() {
            return Self::new();
        }
        let dot = self.context().next_dot(replica);
        Self {
            map: self.map.clear(dot),
        }
    }

    /// Whether it is enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.map.row(&()).is_some()
    }
}
