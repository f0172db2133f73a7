//! What a set of operations comes to, told from what each had observed and from nothing else: [`Reference`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use syncline_crdt::{Dot, Siblings};

/// What somebody did, in one transaction.
#[derive(Clone, Debug)]
pub struct Operation<K, P> {
    /// What was written, each row under a dot of its own.
    pub writes: Vec<(K, Dot, P)>,
    /// The writes that were observed, and overwritten or removed.
    pub superseded: Vec<Dot>,
}

/// The operations so far. Which replica holds which of them does not matter: once all have met, the rows are a function of this.
///
/// An operation whose replica crashed before it was durable is *doubtful*: a peer may have got all of it, a part, or nothing. Its
/// writes may be there or not, and so may what it superseded; on every replica the same.
#[derive(Clone, Debug)]
pub struct Reference<K, P> {
    operations: Vec<(Operation<K, P>, bool)>,
}

/// What a replica must hold after all have met.
#[derive(Clone, Debug)]
pub struct Expected<K, P> {
    writes: BTreeMap<Dot, (K, P)>,
    must: BTreeSet<Dot>,
    may: BTreeSet<Dot>,
}

impl<K, P> Default for Reference<K, P> {
    fn default() -> Self {
        Self {
            operations: Vec::new(),
        }
    }
}

impl<K: Ord + Clone + Debug, P: Clone + PartialEq + Debug> Reference<K, P> {
    /// Records an operation; the number names it.
    pub fn record(&mut self, operation: Operation<K, P>) -> usize {
        self.operations.push((operation, false));
        self.operations.len() - 1
    }

    /// The operation's replica lost it in a crash.
    pub fn doubt(&mut self, operation: usize) {
        self.operations[operation].1 = true;
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nobody has done anything.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// What all replicas must hold once they have met: the writes that no operation superseded.
    pub fn expected(&self) -> Expected<K, P> {
        let (mut writes, mut doubtful) = (BTreeMap::new(), BTreeSet::new());
        let (mut dead, mut doubtfully_dead) = (BTreeSet::new(), BTreeSet::new());
        for (operation, doubt) in &self.operations {
            for (key, dot, payload) in &operation.writes {
                let earlier = writes.insert(*dot, (key.clone(), payload.clone()));
                assert!(earlier.is_none(), "the dot {dot} was used twice");
                if *doubt {
                    doubtful.insert(*dot);
                }
            }
            let target = if *doubt {
                &mut doubtfully_dead
            } else {
                &mut dead
            };
            target.extend(operation.superseded.iter().copied());
        }
        let may: BTreeSet<Dot> = writes
            .keys()
            .copied()
            .filter(|dot| !dead.contains(dot))
            .collect();
        let certain = |dot: &&Dot| !doubtful.contains(dot) && !doubtfully_dead.contains(dot);
        let must = may.iter().filter(certain).copied().collect();
        Expected { writes, must, may }
    }
}

impl<K: Ord + Clone + Debug, P: Clone + PartialEq + Debug> Expected<K, P> {
    /// Holds rows against what must be there.
    ///
    /// # Errors
    /// The first row that differs, in words.
    pub fn check<'r>(
        &self,
        rows: impl IntoIterator<Item = (&'r K, &'r Siblings<P>)>,
    ) -> Result<(), String>
    where
        K: 'r,
        P: 'r,
    {
        let mut missing = self.must.clone();
        for (key, row) in rows {
            for sibling in row {
                let dot = sibling.dot;
                let Some((written_at, payload)) = self.writes.get(&dot) else {
                    return Err(format!("{key:?} holds {dot}, which nobody wrote"));
                };
                if written_at != key || *payload != sibling.payload {
                    return Err(format!(
                        "{key:?} holds {dot} as {:?}, which was written to {written_at:?} as {payload:?}",
                        sibling.payload
                    ));
                }
                if !self.may.contains(&dot) {
                    return Err(format!("{key:?} holds {dot} again, which was superseded"));
                }
                missing.remove(&dot);
            }
        }
        match missing.first() {
            None => Ok(()),
            Some(dot) => {
                let (key, payload) = &self.writes[dot];
                Err(format!(
                    "{key:?} has lost {dot}, {payload:?}, which nobody superseded"
                ))
            }
        }
    }
}
