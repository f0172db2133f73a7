//! What is spread: the delta of one transaction, named by the dots that it made.

use alloc::sync::Arc;
use alloc::vec::Vec;

use syncline_crdt::{Context, Dot, ReplicaId};

/// The name of a rumour: the dots that its transaction made. They are the counters of one replica id from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RumourId {
    replica: ReplicaId,
    first: u64,
    last: u64,
}

impl RumourId {
    /// Of these dots; nothing unless 1 ≤ `first` ≤ `last`.
    #[must_use]
    pub fn new(replica: ReplicaId, first: u64, last: u64) -> Option<Self> {
        (1..=last).contains(&first).then_some(Self {
            replica,
            first,
            last,
        })
    }

    /// The id under which the transaction was made.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The counter of its first dot.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The counter of its last dot.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Whether all of its dots are in the context.
    pub(crate) fn is_known(&self, context: &Context) -> bool {
        // A session may have brought a transaction in part, so its last dot alone does not tell.
        let mut intervals = context.intervals_of(self.replica);
        intervals.any(|(start, end)| start <= self.first && self.last <= end)
    }

    pub(crate) fn add_to(&self, context: &mut Context) {
        context.insert_range(self.replica, self.first, self.last);
    }

    pub(crate) const fn last_dot(&self) -> Dot {
        Dot::new(self.replica, self.last)
    }
}

/// A rumour: the encoded delta of one transaction. Cloning it shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rumour {
    id: RumourId,
    payload: Arc<[u8]>,
}

impl Rumour {
    /// Of these dots; nothing unless 1 ≤ `first` ≤ `last`.
    #[must_use]
    pub fn new(replica: ReplicaId, first: u64, last: u64, payload: Vec<u8>) -> Option<Self> {
        let id = RumourId::new(replica, first, last)?;
        Some(Self::named(id, payload.into()))
    }

    pub(crate) const fn named(id: RumourId, payload: Arc<[u8]>) -> Self {
        Self { id, payload }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> RumourId {
        self.id
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}
