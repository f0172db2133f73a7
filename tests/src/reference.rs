//! What a set of operations comes to, told from what each had observed and from nothing else: [`Reference`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use syncline_crdt::{Context, Dot, Siblings};

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
/// writes may be there or not, and so may what it superseded, on every replica the same; but what it overwrote may be gone only where
/// the overwriting has arrived. A value that was durable must not be lost to one that never was.
#[derive(Clone, Debug)]
pub struct Reference<K, P> {
    operations: Vec<(Operation<K, P>, bool)>,
}

/// What a replica must hold after all have met.
#[derive(Clone, Debug)]
pub struct Expected<K, P> {
    writes: BTreeMap<Dot, (K, P)>,
    /// Written for sure, and superseded by nobody.
    must: BTreeSet<Dot>,
    /// Superseded by nobody for sure.
    may: BTreeSet<Dot>,
    /// Written for sure, and superseded by doubtful overwritings alone: these.
    unless: BTreeMap<Dot, BTreeSet<Dot>>,
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
        let mut writes = BTreeMap::new();
        for (operation, _) in &self.operations {
            for (key, dot, payload) in &operation.writes {
                let earlier = writes.insert(*dot, (key.clone(), payload.clone()));
                assert!(earlier.is_none(), "the dot {dot} was used twice");
            }
        }
        let (mut doubtful, mut dead) = (BTreeSet::new(), BTreeSet::new());
        // By whom a write was doubtfully superseded: the write that overwrote it, or nothing for a removal.
        let mut doubts = BTreeMap::<Dot, Vec<Option<Dot>>>::new();
        for (operation, doubt) in &self.operations {
            if !doubt {
                dead.extend(operation.superseded.iter().copied());
                continue;
            }
            doubtful.extend(operation.writes.iter().map(|(_, dot, _)| *dot));
            for old in &operation.superseded {
                let row = writes.get(old).map(|(key, _)| key);
                let new = operation
                    .writes
                    .iter()
                    .find(|(key, new, _)| Some(key) == row && new != old);
                doubts
                    .entry(*old)
                    .or_default()
                    .push(new.map(|(_, new, _)| *new));
            }
        }
        let may: BTreeSet<Dot> = writes
            .keys()
            .copied()
            .filter(|dot| !dead.contains(dot))
            .collect();
        let (mut must, mut unless) = (BTreeSet::new(), BTreeMap::new());
        for dot in may.iter().filter(|dot| !doubtful.contains(dot)) {
            match overwritings(*dot, &doubts) {
                Some(news) if news.is_empty() => {
                    must.insert(*dot);
                }
                Some(news) => {
                    unless.insert(*dot, news);
                }
                None => {}
            }
        }
        Expected {
            writes,
            must,
            may,
            unless,
        }
    }
}

/// All that overwrote a write, and one another; nothing when there is a removal among them.
fn overwritings(dot: Dot, doubts: &BTreeMap<Dot, Vec<Option<Dot>>>) -> Option<BTreeSet<Dot>> {
    let (mut news, mut open) = (BTreeSet::new(), vec![dot]);
    while let Some(dot) = open.pop() {
        for by in doubts.get(&dot).into_iter().flatten() {
            let new = (*by)?;
            if news.insert(new) {
                open.push(new);
            }
        }
    }
    Some(news)
}

impl<K: Ord + Clone + Debug, P: Clone + PartialEq + Debug> Expected<K, P> {
    /// Holds the rows of a replica that has seen `context` against what must be there.
    ///
    /// # Errors
    /// The first row that differs, in words.
    pub fn check<'r>(
        &self,
        rows: impl IntoIterator<Item = (&'r K, &'r Siblings<P>)>,
        context: &Context,
    ) -> Result<(), String>
    where
        K: 'r,
        P: 'r,
    {
        let mut missing = self.must.clone();
        let arrived = |news: &BTreeSet<Dot>| news.iter().any(|new| context.contains(new));
        missing.extend(
            self.unless
                .iter()
                .filter(|(_, news)| !arrived(news))
                .map(|(dot, _)| *dot),
        );
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
