//! A removal of very many rows that names none of them: [`BulkRemoval`].

use crate::context::Context;
use crate::dot::Dot;
use crate::seen::Nothing;
use crate::siblings::Siblings;

/// Removes from a range of rows all that its maker had observed there, as it travels to other replicas.
///
/// To remove a million rows under a prefix, a delta would have to list a million superseded dots. Instead, it can say
/// "of these rows, everything that I had seen when I began". Unlike the context of a delta, `observed` speaks for the
/// rows of the range only, so it is a *filter*: the receiver must not merge it. Most of its dots are live in other
/// rows, and some of those the receiver has yet to get.
///
/// What the receiver drops was live there, thus is in its context already. All that is left to add is the removal's own
/// dot, and that only when it says the truth: that the removal has taken effect. A row that the receiver has not seen
/// yet can still arrive and stay until the next session shows it dead; whoever counts the removal as received, as a
/// wait for replication does, would be deceived. So [`dot_to_add`](Self::dot_to_add) is asked *before* the first row is
/// touched, since what is unseen by then may come in behind an application in progress, and the dot is added in the
/// commit of the last one.
///
/// A maker that removes in chunks gives each commit a dot of its own, and filters by what it had observed when the first
/// began.
///
/// ```
/// use syncline_crdt::{BulkRemoval, Context, Dot, ReplicaId, Siblings, Stamp};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let removal = BulkRemoval { observed: [Dot::new(ada, 1)].into_iter().collect(), dot: Dot::new(ada, 2) };
///
/// // Bob has the row that ada had seen, and one that she had not.
/// let mut old = Siblings::one(Dot::new(ada, 1), Stamp::ZERO, "old");
/// let mut new = Siblings::one(Dot::new(bob, 1), Stamp::ZERO, "new");
/// let mut context: Context = old.dots().chain(new.dots()).collect();
///
/// let dot = removal.dot_to_add(&context);
/// assert!(removal.apply_to(&mut old) && old.is_empty());
/// assert!(!removal.apply_to(&mut new));
/// context.extend(dot);
/// assert!(context.contains(&removal.dot));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRemoval {
    /// What the maker had seen when it began. The removal's own dot need not be in it.
    pub observed: Context,
    /// The removal's own dot: fresh, live nowhere.
    pub dot: Dot,
}

impl BulkRemoval {
    /// Drops of one row what the maker had observed; returns whether that was anything. Doubled and late removals are
    /// harmless.
    ///
    /// O(s log n) for s siblings and n intervals of the filter.
    pub fn apply_to<P>(&self, row: &mut Siblings<P>) -> bool {
        row.join_head(&Nothing, &self.observed)
    }

    /// The removal's own dot, if a replica that has seen this much may add it once all rows of the range are done: it
    /// has seen all that the maker had. Otherwise nothing is added, and the dot will come with the maker's context at
    /// the end of a session.
    ///
    /// O(m log n), m being the intervals of the filter.
    #[must_use]
    pub fn dot_to_add(&self, seen: &Context) -> Option<Dot> {
        seen.covers(&self.observed).then_some(self.dot)
    }
}
