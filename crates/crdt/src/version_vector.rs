//! How far along each replica is: [`VersionVector`].

use core::cmp::Ordering;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::context::Context;
use crate::dot::{Dot, ReplicaId};
use crate::seen::Seen;

/// A counter for each replica: "I have seen all of its mutations up to this one". A [`Context`] without gaps.
///
/// Vectors are partially ordered: `a < b` when b has seen all that a has and more; neither when they are concurrent.
///
/// ```
/// use syncline_crdt::{ReplicaId, VersionVector};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = VersionVector::new();
/// ours.increment(ada);
/// let mut theirs = ours.clone();
/// theirs.increment(bob);
/// assert!(ours < theirs);
/// ours.increment(ada);
/// assert_eq!(ours.partial_cmp(&theirs), None);
/// ours.join(&theirs);
/// assert_eq!((ours.get(ada), ours.get(bob)), (2, 1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VersionVector {
    /// Invariant: no counter is zero, which absence says.
    heads: BTreeMap<ReplicaId, u64>,
}

impl VersionVector {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heads: BTreeMap::new(),
        }
    }

    /// The last mutation seen of a replica; 0 for none.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.heads.get(&replica).copied().unwrap_or(0)
    }

    /// Counts one more mutation of a replica, which names it. At the end of the 64-bit range the counter stays.
    pub fn increment(&mut self, replica: ReplicaId) -> Dot {
        let head = self.heads.entry(replica).or_default();
        *head = head.saturating_add(1);
        Dot::new(replica, *head)
    }

    /// Takes note of a mutation and all before it. Returns whether it is news.
    pub fn observe(&mut self, dot: Dot) -> bool {
        let news = dot.counter > self.get(dot.replica);
        if news {
            self.heads.insert(dot.replica, dot.counter);
        }
        news
    }

    /// Takes the greater counter of each replica. Returns whether anything changed.
    pub fn join(&mut self, other: &Self) -> bool {
        let news =
            |changed, (replica, counter)| self.observe(Dot::new(replica, counter)) || changed;
        other.iter().fold(false, news)
    }

    /// The replicas seen, ascending, with the last mutation of each.
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (ReplicaId, u64)> + ExactSizeIterator + '_ {
        self.heads
            .iter()
            .map(|(&replica, &counter)| (replica, counter))
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether all that the other one has seen was seen here.
    fn covers(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(replica, counter)| counter <= self.get(replica))
    }
}

impl PartialOrd for VersionVector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl Seen for VersionVector {
    fn contains(&self, dot: &Dot) -> bool {
        (1..=self.get(dot.replica)).contains(&dot.counter)
    }
}

/// The contiguous part of a context; what lies above a gap is left out.
impl From<&Context> for VersionVector {
    fn from(context: &Context) -> Self {
        let heads = context
            .replicas()
            .map(|replica| (replica, context.head(replica)));
        Self {
            heads: heads.filter(|&(_, head)| head > 0).collect(),
        }
    }
}

impl From<&VersionVector> for Context {
    fn from(vector: &VersionVector) -> Self {
        let mut context = Self::new();
        for (replica, head) in vector.iter() {
            context.insert_range(replica, 1, head);
        }
        context
    }
}

/// The number of replicas as a varint; for each, ascending, 16 bytes of id and the counter as a varint.
impl Canonical for VersionVector {
    fn encode(&self, out: &mut Vec<u8>) {
        self.heads.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let heads = BTreeMap::<ReplicaId, u64>::decode(input)?;
        if heads.values().any(|&counter| counter == 0) {
            return Err(DecodeError::Invalid(
                "a version vector that counts a replica at zero",
            ));
        }
        Ok(Self { heads })
    }
}
