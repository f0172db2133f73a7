//! A replica as the models run it: rows and a context, of which a crash leaves what was made durable.

use std::collections::{BTreeMap, BTreeSet};

use syncline_crdt::{Context, Dot, ReplicaId, Seen, Sibling, Siblings, Stamp};

pub(crate) type Key = u8;

/// Which dots are live, by key: what a digest of all rows speaks of.
pub(crate) type Live = BTreeMap<Key, BTreeSet<Dot>>;

/// The removal log: which rows a removal touched. It covers the dots that it has an entry for, of which those of puts
/// name no row; the others were never known in full, or were truncated.
pub(crate) type Log = BTreeMap<Dot, BTreeSet<Key>>;

/// What one commit after the other makes of a replica.
#[derive(Clone)]
pub(crate) struct State<P> {
    pub(crate) rows: BTreeMap<Key, Siblings<P>>,
    pub(crate) context: Context,
    pub(crate) log: Log,
}

/// The row changes of one transaction, with the dots that it made and superseded.
#[derive(Clone)]
pub(crate) struct Delta<P> {
    pub(crate) rows: BTreeMap<Key, Siblings<P>>,
    pub(crate) context: Context,
}

impl<P> Delta<P> {
    pub(crate) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            context: Context::new(),
        }
    }
}

impl<P: Clone + Ord> State<P> {
    fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            context: Context::new(),
            log: Log::new(),
        }
    }

    pub(crate) fn row(&self, key: Key) -> Siblings<P> {
        self.rows.get(&key).cloned().unwrap_or_default()
    }

    pub(crate) fn dots(&self, key: Key) -> BTreeSet<Dot> {
        self.row(key).dots().collect()
    }

    pub(crate) fn live(&self) -> Live {
        let dots = |(key, row): (&Key, &Siblings<P>)| (*key, row.dots().collect());
        self.rows.iter().map(dots).collect()
    }

    pub(crate) fn set_row(&mut self, key: Key, row: Siblings<P>) {
        self.context.extend(row.dots());
        if row.is_empty() {
            self.rows.remove(&key);
        } else {
            self.rows.insert(key, row);
        }
    }

    /// Supersedes these siblings of a row and puts one in their place, if any. The dots go into the delta as well.
    pub(crate) fn change(
        &mut self,
        key: Key,
        superseded: &BTreeSet<Dot>,
        put: Option<(Dot, Stamp, P)>,
        delta: &mut Delta<P>,
    ) {
        let mut row = self.row(key);
        for dot in superseded {
            row.remove(dot);
        }
        delta.context.extend(superseded.iter().copied());
        if let Some((dot, stamp, payload)) = put {
            let sibling = Sibling {
                dot,
                stamp,
                payload,
            };
            row.insert(sibling.clone());
            delta.context.insert(dot);
            delta.rows.insert(key, [sibling].into_iter().collect());
        }
        self.set_row(key, row);
    }

    /// Joins one row that was received by itself. Adds only the row's own dots.
    pub(crate) fn join_row(&mut self, key: Key, theirs: &Siblings<P>, their_seen: &impl Seen) {
        let joined = self.row(key).join(&self.context, theirs, their_seen);
        self.set_row(key, joined);
        self.context.extend(theirs.dots());
    }

    /// Drops what is dead on the other side, of which only the live dots were told.
    pub(crate) fn join_head(&mut self, key: Key, theirs: &BTreeSet<Dot>, their_seen: &impl Seen) {
        let mut row = self.row(key);
        row.join_head(theirs, their_seen);
        self.set_row(key, row);
    }

    pub(crate) fn join(&mut self, delta: &Delta<P>) {
        let keys: BTreeSet<Key> = self.rows.keys().chain(delta.rows.keys()).copied().collect();
        for key in keys {
            let theirs = delta.rows.get(&key).cloned().unwrap_or_default();
            let joined = self.row(key).join(&self.context, &theirs, &delta.context);
            self.set_row(key, joined);
        }
        self.context.merge(&delta.context);
    }
}

/// One node's copy, from opening to opening.
pub(crate) struct Replica<P> {
    /// Which node it is on.
    pub(crate) node: u8,
    opening: u8,
    counter: u64,
    pub(crate) state: State<P>,
    pub(crate) durable: State<P>,
    /// What its clock shows, for models that have clocks.
    pub(crate) now_ms: u64,
    /// What it showed when the disk was synced.
    pub(crate) durable_ms: u64,
}

impl<P: Clone + Ord> Replica<P> {
    pub(crate) fn new(node: u8) -> Self {
        Self {
            node,
            opening: 0,
            counter: 0,
            state: State::new(),
            durable: State::new(),
            now_ms: 0,
            durable_ms: 0,
        }
    }

    /// A cluster of so many.
    pub(crate) fn cluster(nodes: usize) -> Vec<Self> {
        (0..nodes as u8).map(Self::new).collect()
    }

    /// The id of this opening.
    pub(crate) fn id(&self) -> ReplicaId {
        let mut bytes = [0; 16];
        (bytes[0], bytes[1]) = (self.node, self.opening);
        ReplicaId::from_bytes(bytes)
    }

    pub(crate) fn fresh_dot(&mut self) -> Dot {
        self.counter += 1;
        let dot = Dot::new(self.id(), self.counter);
        self.state.context.insert(dot);
        dot
    }

    /// Syncs the disk: all commits up to now survive a crash.
    pub(crate) fn persist(&mut self) {
        self.durable = self.state.clone();
        self.durable_ms = self.now_ms;
    }

    /// Loses the commits that were not synced, and opens the store again, which mints another id.
    pub(crate) fn crash(&mut self) {
        self.state = self.durable.clone();
        self.opening += 1;
        self.counter = 0;
    }
}
