//! Rows with the context that they were seen under: [`CausalMap`], state and delta of every type.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::clock::Stamp;
use crate::context::Context;
use crate::dot::Dot;
use crate::row_key::RowKey;
use crate::siblings::Siblings;

/// Rows by key, and every dot seen: live ones and dead ones.
///
/// A *state* holds all; a *delta* holds the rows that one change wrote, under a context of its own dots and those it
/// superseded. Both are joined the same way, so a delta may be lost, doubled or reordered, and the next whole state
/// heals it.
///
/// The typed CRDTs are thin wrappers of this one; use it directly for a type of your own.
///
/// Mutators take a *fresh* dot: one that this state has not seen and that nothing else was named by, such as
/// [`next_dot`](Context::next_dot) of its context for a replica id of your own. A dot that was seen already is dead,
/// and so would be what is written under it.
///
/// ```
/// use syncline_crdt::{CausalMap, ReplicaId, Stamp};
///
/// let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
/// let mut ours = CausalMap::new();
/// let written = ours.put("colour", ours.context().next_dot(ada), Stamp::new(1, 0), "red");
///
/// let mut theirs = CausalMap::new();
/// theirs.join(&written);
/// let removed = theirs.remove(&"colour", theirs.context().next_dot(bob));
/// ours.join(&removed);
/// assert!(ours.row(&"colour").is_none());
/// assert!(!ours.join(&written), "a doubled delta does not bring it back");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausalMap<K, P> {
    /// Invariant: no row is empty, and each live dot is in the context and in one row only.
    rows: BTreeMap<K, Siblings<P>>,
    context: Context,
    /// Where each live dot is. Without it, finding what a delta's context supersedes would take a walk over all rows.
    live: BTreeMap<Dot, K>,
}

/// What one transaction changed, as it is stored and sent.
pub type Delta = CausalMap<RowKey, Vec<u8>>;

impl<K, P> Default for CausalMap<K, P> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            context: Context::new(),
            live: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, P> CausalMap<K, P> {
    /// No rows, nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The dots seen.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The rows that are present, in key order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (&K, &Siblings<P>)> + ExactSizeIterator {
        self.rows.iter()
    }

    /// A row, if present.
    #[must_use]
    pub fn row(&self, key: &K) -> Option<&Siblings<P>> {
        self.rows.get(key)
    }

    /// Puts a row as it is, absent when empty, and adds its dots to the context: how a delta is put together. To change
    /// a state, use [`put`](Self::put) and [`remove`](Self::remove).
    pub fn set_row(&mut self, key: K, row: Siblings<P>) {
        if let Some(before) = self.rows.remove(&key) {
            for dot in before.dots() {
                self.live.remove(&dot);
            }
        }
        for dot in row.dots() {
            self.context.insert(dot);
            self.live.insert(dot, key.clone());
        }
        if !row.is_empty() {
            self.rows.insert(key, row);
        }
    }

    /// Adds a dot to the context: one that was superseded, or a removal's own.
    pub fn observe(&mut self, dot: Dot) {
        self.context.insert(dot);
    }

    /// Adds all that was seen elsewhere to the context.
    pub fn observe_all(&mut self, context: &Context) {
        self.context.merge(context);
    }

    /// Puts rows and the context that they were seen under together.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] when a row is empty, when a dot is live in two rows, or when one is not in the context.
    pub fn from_parts(
        rows: BTreeMap<K, Siblings<P>>,
        context: Context,
    ) -> Result<Self, DecodeError> {
        let mut live = BTreeMap::new();
        for (key, row) in &rows {
            if row.is_empty() {
                return Err(DecodeError::Invalid("a row without siblings"));
            }
            for dot in row.dots() {
                if !context.contains(&dot) {
                    return Err(DecodeError::Invalid("a live dot outside the context"));
                }
                if live.insert(dot, key.clone()).is_some() {
                    return Err(DecodeError::Invalid("a dot that is live in two rows"));
                }
            }
        }
        Ok(Self {
            rows,
            context,
            live,
        })
    }

    /// The rows and the context.
    #[must_use]
    pub fn into_parts(self) -> (BTreeMap<K, Siblings<P>>, Context) {
        (self.rows, self.context)
    }

    /// Whether there is neither a row nor a dot: joining it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.context.is_empty()
    }
}

impl<K: Ord + Clone, P: Clone + Ord> CausalMap<K, P> {
    /// Writes a row: supersedes every sibling that is live here. `dot` must be fresh. Returns the delta.
    pub fn put(&mut self, key: K, dot: Dot, stamp: Stamp, payload: P) -> Self {
        let observed: Vec<Dot> = self
            .row(&key)
            .map_or_else(Vec::new, |row| row.dots().collect());
        self.put_superseding(key, dot, stamp, payload, &observed)
    }

    /// Writes a row that supersedes just those siblings, as an increment does its own earlier sum. `dot` must be fresh.
    /// Returns the delta.
    pub fn put_superseding(
        &mut self,
        key: K,
        dot: Dot,
        stamp: Stamp,
        payload: P,
        superseded: &[Dot],
    ) -> Self {
        let mut delta = Self::new();
        delta.context.extend(superseded.iter().copied());
        delta.set_row(key, Siblings::one(dot, stamp, payload));
        self.join(&delta);
        delta
    }

    /// Removes a row: supersedes every sibling that is live here. `dot`, the removal's own, must be fresh. Returns the
    /// delta.
    pub fn remove(&mut self, key: &K, dot: Dot) -> Self {
        let mut delta = Self::new();
        delta
            .context
            .extend(self.row(key).into_iter().flat_map(Siblings::dots));
        delta.context.insert(dot);
        self.join(&delta);
        delta
    }

    /// Removes all rows that are present, under one fresh dot. Returns the delta.
    pub fn clear(&mut self, dot: Dot) -> Self {
        let mut delta = Self::new();
        delta
            .context
            .extend(self.rows.values().flat_map(Siblings::dots));
        delta.context.insert(dot);
        self.join(&delta);
        delta
    }

    /// Joins another state or delta: every row of both by [`Siblings::join`], and the union of the contexts. Returns
    /// whether anything changed here.
    ///
    /// O(m log n) for a delta, m being its rows and the live dots here that its context holds; the size of what is here
    /// does not matter.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = self.drop_superseded(other);
        for (key, theirs) in &other.rows {
            if let Some(row) = self.rows.get_mut(key) {
                changed |= row.join_in_place(&self.context, theirs, &other.context);
                for dot in theirs.dots().filter(|dot| row.get(dot).is_some()) {
                    self.live.insert(dot, key.clone());
                }
            } else {
                let row = Siblings::new().join(&self.context, theirs, &other.context);
                if !row.is_empty() {
                    self.live.extend(row.dots().map(|dot| (dot, key.clone())));
                    self.rows.insert(key.clone(), row);
                    changed = true;
                }
            }
        }
        if !self.context.covers(&other.context) {
            self.context.merge(&other.context);
            changed = true;
        }
        changed
    }

    /// Drops what the other one has seen and holds no longer.
    fn drop_superseded(&mut self, other: &Self) -> bool {
        let seen = other.context.intervals();
        let seen = seen
            .flat_map(|(id, start, end)| self.live.range(Dot::new(id, start)..=Dot::new(id, end)));
        let is_held = |dot: &Dot, key: &K| {
            other
                .rows
                .get(key)
                .is_some_and(|row| row.get(dot).is_some())
        };
        let doomed: Vec<(Dot, K)> = seen
            .filter(|(dot, key)| !is_held(dot, key))
            .map(|(dot, key)| (*dot, key.clone()))
            .collect();
        for (dot, key) in &doomed {
            self.live.remove(dot);
            if let Some(row) = self.rows.get_mut(key) {
                row.remove(dot);
                if row.is_empty() {
                    self.rows.remove(key);
                }
            }
        }
        !doomed.is_empty()
    }
}

/// The context, the number of rows as a varint, then keys and siblings in key order.
impl<K: Canonical + Ord + Clone, P: Canonical> Canonical for CausalMap<K, P> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.context.encode(out);
        self.rows.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let context = Context::decode(input)?;
        Self::from_parts(BTreeMap::decode(input)?, context)
    }
}
