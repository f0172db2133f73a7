//! A row's value: the siblings that nobody has superseded, and the join of two rows.

use alloc::vec;
use alloc::vec::Vec;

use crate::canonical::{Canonical, DecodeError, Input};
use crate::clock::Stamp;
use crate::dot::Dot;
use crate::seen::Seen;

/// One write that is live in a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sibling<P> {
    /// Names the write; live in this row only.
    pub dot: Dot,
    /// When it was made.
    pub stamp: Stamp,
    /// What was written.
    pub payload: P,
}

/// The writes that are live in one row, in dot order. An empty one is an absent row.
///
/// A write supersedes the siblings that its replica had observed, and no others: concurrent writes stay side by side.
/// Nothing is ever dropped for losing a comparison, or two replicas could drop each other's.
///
/// Rows are short, mostly of one sibling, so they are sorted vectors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Siblings<P>(Vec<Sibling<P>>);

/// A row as it is stored and sent: payloads are opaque bytes.
pub type Row = Siblings<Vec<u8>>;

impl<P> Default for Siblings<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P> Siblings<P> {
    /// An absent row.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A row of one sibling.
    #[must_use]
    pub fn one(dot: Dot, stamp: Stamp, payload: P) -> Self {
        Self(vec![Sibling {
            dot,
            stamp,
            payload,
        }])
    }

    /// The siblings in dot order.
    pub fn iter(&self) -> core::slice::Iter<'_, Sibling<P>> {
        self.0.iter()
    }

    /// The live dots, ascending.
    pub fn dots(&self) -> impl ExactSizeIterator<Item = Dot> + DoubleEndedIterator + '_ {
        self.0.iter().map(|sibling| sibling.dot)
    }

    /// The sibling that this dot names. O(log n).
    #[must_use]
    pub fn get(&self, dot: &Dot) -> Option<&Sibling<P>> {
        self.position(dot).ok().map(|at| &self.0[at])
    }

    /// Adds a sibling and returns the one that had the same dot, if any.
    pub fn insert(&mut self, sibling: Sibling<P>) -> Option<Sibling<P>> {
        match self.position(&sibling.dot) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at], sibling)),
            Err(at) => {
                if self.0.is_empty() {
                    // The first push of a vector reserves four places; nearly every row stays at one.
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, sibling);
                None
            }
        }
    }

    /// Takes out the sibling that this dot names.
    pub fn remove(&mut self, dot: &Dot) -> Option<Sibling<P>> {
        self.position(dot).ok().map(|at| self.0.remove(at))
    }

    /// Whether the row is absent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of siblings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The last writer: the sibling of the greatest (stamp, dot).
    #[must_use]
    pub fn winner(&self) -> Option<&Sibling<P>> {
        self.0
            .iter()
            .max_by_key(|sibling| (sibling.stamp, sibling.dot))
    }

    /// The same row with each payload seen through `read`, such as an encoder.
    #[must_use]
    pub fn map<Q>(&self, mut read: impl FnMut(&P) -> Q) -> Siblings<Q> {
        let see = |sibling: &Sibling<P>| Sibling {
            dot: sibling.dot,
            stamp: sibling.stamp,
            payload: read(&sibling.payload),
        };
        Siblings(self.0.iter().map(see).collect())
    }

    /// The same row with each payload seen through `read`, such as a decoder.
    ///
    /// # Errors
    /// The first error of `read`, in dot order.
    pub fn try_map<Q, E>(
        &self,
        mut read: impl FnMut(&P) -> Result<Q, E>,
    ) -> Result<Siblings<Q>, E> {
        let mut mapped = Vec::with_capacity(self.0.len());
        for sibling in &self.0 {
            mapped.push(Sibling {
                dot: sibling.dot,
                stamp: sibling.stamp,
                payload: read(&sibling.payload)?,
            });
        }
        Ok(Siblings(mapped))
    }

    /// Drops the siblings that the other side has seen and no longer holds, and keeps all else: the half of
    /// [`join`](Self::join) that needs no more than the other side's dots. Returns whether anything was dropped.
    pub fn join_head(&mut self, theirs: &impl Seen, their_seen: &impl Seen) -> bool {
        let before = self.0.len();
        self.0
            .retain(|mine| theirs.contains(&mine.dot) || !their_seen.contains(&mine.dot));
        self.0.len() != before
    }

    fn position(&self, dot: &Dot) -> Result<usize, usize> {
        self.0.binary_search_by(|sibling| sibling.dot.cmp(dot))
    }
}

impl<P: Clone + Ord> Siblings<P> {
    /// Joins two versions of a row: ours under the dots that we have seen, theirs under the dots that they have seen.
    /// Keeps what both hold, what we hold and they never saw, and what they hold and we never saw: (S ∩ S′) ∪ (S \ C′)
    /// ∪ (S′ \ C). The rest was superseded by somebody who had observed it.
    ///
    /// It is idempotent, commutative and associative as long as every live dot is in its own side's `seen` and no dot
    /// is live in two rows. `seen` must be the *live* context at the moment the result is applied; `their_seen` may be
    /// as of any earlier moment at which they had not dropped what they hold now, such as the start of a session.
    ///
    /// One dot with different content on the two sides breaks a promise of the writer. The greater (stamp, payload) is
    /// kept then, so that all replicas keep the same.
    ///
    /// Linear in the siblings of both, plus a look-up in a context for each dot that only one side holds. A result that
    /// is empty allocates nothing; see [`join_in_place`](Self::join_in_place) to keep what is ours without a copy.
    ///
    /// ```
    /// use syncline_crdt::{Context, Dot, ReplicaId, Siblings, Stamp};
    ///
    /// let dot = |replica, counter| Dot::new(ReplicaId::from_bytes([replica; 16]), counter);
    /// // We hold a:1. They overwrote it by b:1, so both dots are in their context.
    /// let ours = Siblings::one(dot(0xa, 1), Stamp::new(5, 0), "old");
    /// let theirs = Siblings::one(dot(0xb, 1), Stamp::new(6, 0), "new");
    /// let we_saw: Context = [dot(0xa, 1)].into_iter().collect();
    /// let they_saw: Context = [dot(0xa, 1), dot(0xb, 1)].into_iter().collect();
    ///
    /// assert_eq!(ours.join(&we_saw, &theirs, &they_saw), theirs);
    /// // Had they never seen a:1, the two writes would be concurrent, and both would stay.
    /// let they_saw: Context = [dot(0xb, 1)].into_iter().collect();
    /// assert_eq!(ours.join(&we_saw, &theirs, &they_saw).len(), 2);
    /// ```
    #[must_use]
    pub fn join(&self, seen: &impl Seen, theirs: &Self, their_seen: &impl Seen) -> Self {
        let mut kept = Vec::new();
        let mut keep = |sibling: &Sibling<P>| {
            if kept.capacity() == 0 {
                kept.reserve_exact(self.0.len().max(theirs.0.len()));
            }
            kept.push(sibling.clone());
        };
        let (mut ours, mut others) = (self.0.iter().peekable(), theirs.0.iter().peekable());
        loop {
            match (ours.peek(), others.peek()) {
                (None, None) => break,
                (Some(mine), other) if other.is_none_or(|other| mine.dot < other.dot) => {
                    if !their_seen.contains(&mine.dot) {
                        keep(mine);
                    }
                    ours.next();
                }
                (Some(mine), Some(other)) if mine.dot == other.dot => {
                    keep(if is_rival_kept(mine, other) {
                        other
                    } else {
                        mine
                    });
                    ours.next();
                    others.next();
                }
                (_, Some(other)) => {
                    if !seen.contains(&other.dot) {
                        keep(other);
                    }
                    others.next();
                }
                (Some(_), None) => break,
            }
        }
        Self(kept)
    }

    /// [`join`](Self::join) into this row. Copies only the siblings that are new here; returns whether the row changed.
    pub fn join_in_place(
        &mut self,
        seen: &impl Seen,
        theirs: &Self,
        their_seen: &impl Seen,
    ) -> bool {
        let mut changed = self.join_head(theirs, their_seen);
        for other in &theirs.0 {
            match self.position(&other.dot) {
                Ok(at) => {
                    if is_rival_kept(&self.0[at], other) {
                        self.0[at] = other.clone();
                        changed = true;
                    }
                }
                Err(_) if seen.contains(&other.dot) => {}
                Err(_) => {
                    self.insert(other.clone());
                    changed = true;
                }
            }
        }
        changed
    }
}

/// Of two siblings under one dot, whether the other one is kept. They are equal unless a writer broke its promise.
fn is_rival_kept<P: Ord>(mine: &Sibling<P>, other: &Sibling<P>) -> bool {
    (other.stamp, &other.payload) > (mine.stamp, &mine.payload)
}

/// A row has seen at least its own dots.
impl<P> Seen for Siblings<P> {
    fn contains(&self, dot: &Dot) -> bool {
        self.position(dot).is_ok()
    }
}

impl<'a, P> IntoIterator for &'a Siblings<P> {
    type Item = &'a Sibling<P>;
    type IntoIter = core::slice::Iter<'a, Sibling<P>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<P> IntoIterator for Siblings<P> {
    type Item = Sibling<P>;
    type IntoIter = vec::IntoIter<Sibling<P>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// In any order; of several siblings under one dot, the last stays.
impl<P> FromIterator<Sibling<P>> for Siblings<P> {
    fn from_iter<I: IntoIterator<Item = Sibling<P>>>(siblings: I) -> Self {
        let mut row = Self::new();
        for sibling in siblings {
            row.insert(sibling);
        }
        row
    }
}

/// The number of siblings as a varint, then each in dot order: dot, stamp, payload.
///
/// For a [`Row`] that is 16 bytes of replica, the counter as a varint, 8 bytes of stamp, the length as a varint, the
/// bytes.
impl<P: Canonical> Canonical for Siblings<P> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).encode(out);
        for sibling in &self.0 {
            sibling.dot.encode(out);
            sibling.stamp.encode(out);
            sibling.payload.encode(out);
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        // Replica, counter and stamp: what a sibling takes at the least, whatever its payload.
        const LEAST: usize = 16 + 1 + 8;
        let count = input.count(LEAST)?;
        let mut siblings: Vec<Sibling<P>> = Vec::with_capacity(count);
        for _ in 0..count {
            let sibling = Sibling {
                dot: Dot::decode(input)?,
                stamp: Stamp::decode(input)?,
                payload: P::decode(input)?,
            };
            if siblings.last().is_some_and(|last| last.dot >= sibling.dot) {
                return Err(DecodeError::OutOfOrder);
            }
            siblings.push(sibling);
        }
        Ok(Self(siblings))
    }
}
