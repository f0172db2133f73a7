//! What the sketch testifies to of the dot index.
//!
//! Two tables say which dots are live, and neither is made from the other: where one is damaged, the
//! other still knows. Their difference is a handful of dots, which decode from it.

use std::collections::{BTreeMap, BTreeSet};

use syncline_crdt::{Dot, ReplicaId};
use syncline_merkle::sketch::{Decoder, Element, Prefix, Progress, Side};

use crate::engine::Engine;
use crate::{SKETCH_SYMBOLS, View};

/// In what the sketch and another account of the live dots differ, if the difference is small and
/// speaks of dots that there can be.
pub(crate) struct Witness {
    /// Live by the sketch alone.
    pub(crate) missing: BTreeSet<Dot>,
    /// Live by the other account alone.
    pub(crate) strays: BTreeSet<Dot>,
}

impl Witness {
    /// Holds the sketch against the symbols of other dots, among which may be `strangers`: ids that
    /// the context does not know.
    pub(crate) fn of<E: Engine>(
        view: &View<E>,
        account: &Prefix,
        strangers: &BTreeSet<ReplicaId>,
    ) -> Option<Self> {
        if !view.head.sketch_testifies {
            return None;
        }
        let sketch = view.sketch();
        let key = view.sketch_key();
        let pairs = sketch.symbols().iter().zip(account.symbols());
        let mut decoder = Decoder::new(key.clone(), SKETCH_SYMBOLS);
        if decoder.extend(pairs.map(|(live, other)| *live - *other)) != Progress::Complete {
            return None;
        }
        let known = view.context().replicas();
        let ids: BTreeMap<u64, ReplicaId> = known
            .chain(strangers.iter().copied())
            .map(|id| (key.tag(id.as_bytes()), id))
            .collect();
        let mut witness = Self {
            missing: BTreeSet::new(),
            strays: BTreeSet::new(),
        };
        for (side, element) in decoder.found() {
            let dot = dot_of(element, &ids)?;
            match side {
                // A sketch that speaks of what was never seen is itself damaged.
                Side::Theirs if !view.context().contains(&dot) => return None,
                Side::Theirs => witness.missing.insert(dot),
                Side::Ours => witness.strays.insert(dot),
            };
        }
        Some(witness)
    }
}

fn dot_of(element: &Element, ids: &BTreeMap<u64, ReplicaId>) -> Option<Dot> {
    let replica = *ids.get(&element.tag())?;
    (element.number() > 0).then(|| Dot::new(replica, element.number()))
}
