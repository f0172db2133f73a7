//! Rows with the context that they were seen under: [`CausalMap`], state and delta of every type.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::clock::Stamp;
use crate::context::Context;
use crate::dot::Dot;
use crate::row_key::RowKey;
use crate::siblings::{Sibling, Siblings};

/// Rows by key, and every dot seen: live ones and dead ones.
///
/// A *state* holds all; a *delta* holds the rows that one change wrote, under a context of its own dots and those it
/// superseded. Both are joined the same way, so a delta may be lost, doubled or reordered, and the next whole state heals it.
///
/// Invariant: a row that is there is not empty, and each live dot is in the context and in one row only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausalMap<K, P> {
    rows: BTreeMap<K, Siblings<P>>,
    context: Context,
}

/// What one transaction changed, as it is stored and sent.
pub type Delta = CausalMap<RowKey, Vec<u8>>;

impl<K, P> Default for CausalMap<K, P> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            context: Context::new(),
        }
    }
}

impl<K: Ord, P> CausalMap<K, P> {
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

    /// Puts a row as it is, absent when empty, and adds its dots to the context: how a delta is put together. To change a state, use
    /// [`put`](Self::put) and [`remove`](Self::remove).
    pub fn set_row(&mut self, key: K, row: Siblings<P>) {
        self.context.extend(row.dots());
        if row.is_empty() {
            self.rows.remove(&key);
        } else {
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

    /// Writes a row that supersedes just those siblings, as an increment does its own earlier sum. `dot` must be fresh. Returns the delta.
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

    /// Removes a row: supersedes every sibling that is live here. `dot`, the removal's own, must be fresh. Returns the delta.
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

    /// Joins another state or delta: every row of both by [`Siblings::join`], and the union of the contexts. Returns whether anything changed here.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        self.rows.retain(|key, row| {
            let absent = Siblings::new();
            let theirs = other.rows.get(key).unwrap_or(&absent);
            changed |= row.join_in_place(&self.context, theirs, &other.context);
            !row.is_empty()
        });
        for (key, theirs) in &other.rows {
            if !self.rows.contains_key(key) {
                let row = Siblings::new().join(&self.context, theirs, &other.context);
                if !row.is_empty() {
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
}

/// The context, the number of rows as a varint, then keys and siblings in key order.
impl<K: Canonical + Ord, P: Canonical> Canonical for CausalMap<K, P> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.context.encode(out);
        self.rows.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let context = Context::decode(input)?;
        let rows = BTreeMap::<K, Siblings<P>>::decode(input)?;
        let mut live = BTreeSet::new();
        for row in rows.values() {
            if row.is_empty() {
                return Err(DecodeError::Invalid("a row without siblings"));
            }
            for dot in row.dots() {
                if !context.contains(&dot) {
                    return Err(DecodeError::Invalid("a live dot outside the context"));
                }
                if !live.insert(dot) {
                    return Err(DecodeError::Invalid("a dot that is live in two rows"));
                }
            }
        }
        Ok(Self { rows, context })
    }
}

impl<K, P> FromIterator<(K, Sibling<P>)> for CausalMap<K, P>
where
    K: Ord,
{
    /// A state or delta of these siblings, that has seen just their dots.
    fn from_iter<I: IntoIterator<Item = (K, Sibling<P>)>>(siblings: I) -> Self {
        let mut map = Self::new();
        for (key, sibling) in siblings {
            map.context.insert(sibling.dot);
            map.rows.entry(key).or_default().insert(sibling);
        }
        map
    }
}
