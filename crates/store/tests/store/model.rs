//! Random histories of several replicas, each held against a causal map that went through the same.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use syncline_crdt::{CausalMap, Context, Delta, Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Durability, Incoming, Removal, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    a_store_is_a_causal_map
}

const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A transaction of puts and removals; its delta is put on the wire.
    Write {
        at: usize,
        edits: Vec<(u8, Option<u8>)>,
    },
    /// A delta of the wire arrives, which keeps it: it may come again, late, or never.
    Deliver {
        at: usize,
        delta: prop::sample::Index,
    },
    /// Several deltas arrive in one commit.
    DeliverGroup {
        at: usize,
        deltas: Vec<prop::sample::Index>,
    },
    /// A whole session.
    Sync { from: usize, to: usize },
    /// A session by the dot index, in parts of a few rows.
    Pull { from: usize, to: usize, part: usize },
    /// A few rows of a session that then breaks.
    Broken { from: usize, to: usize, rows: usize },
    /// A transaction that fails.
    Fail {
        at: usize,
        edits: Vec<(u8, Option<u8>)>,
    },
    /// The process is killed after a flush and comes back.
    Restart { at: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    let pair = (0..REPLICAS, 1..REPLICAS).prop_map(|(from, by)| (from, (from + by) % REPLICAS));
    let edits = || prop::collection::vec((0u8..12, prop::option::weighted(0.7, any::<u8>())), 1..6);
    prop_oneof![
        6 => (at.clone(), edits()).prop_map(|(at, edits)| Step::Write { at, edits }),
        4 => (at.clone(), any::<prop::sample::Index>()).prop_map(|(at, delta)| Step::Deliver { at, delta }),
        1 => (at.clone(), prop::collection::vec(any::<prop::sample::Index>(), 1..6))
            .prop_map(|(at, deltas)| Step::DeliverGroup { at, deltas }),
        1 => pair.clone().prop_map(|(from, to)| Step::Sync { from, to }),
        1 => (pair.clone(), 1usize..5).prop_map(|((from, to), part)| Step::Pull { from, to, part }),
        1 => (pair, 1usize..4).prop_map(|((from, to), rows)| Step::Broken { from, to, rows }),
        1 => (at.clone(), edits()).prop_map(|(at, edits)| Step::Fail { at, edits }),
        1 => at.prop_map(|at| Step::Restart { at }),
    ]
}

/// Keys of several families; some share their user key.
fn key(n: u8) -> RowKey {
    let user = [b'u', n / 4];
    match n % 4 {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, b"f"),
        2 => RowKey::member(&user, &[n]),
        _ => RowKey::member(&user, b""),
    }
}

struct Replica<H: Harness> {
    harness: H,
    store: Store<H::Engine>,
    model: Delta,
}

impl<H: Harness> Replica<H> {
    fn new() -> Self {
        let harness = H::new();
        let store = harness.open();
        let model = CausalMap::new();
        Self {
            harness,
            store,
            model,
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let view = self.store.view().unwrap();
        let stored = rows(&view);
        let model: Vec<_> = self
            .model
            .rows()
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect();
        prop_assert_eq!(stored, model);
        prop_assert_eq!(view.context(), self.model.context());
        let recount = view.recount().unwrap();
        prop_assert!(recount.is_sound(), "{:#?}", recount.mismatches);
        prop_assert!(view.sketch() == sketch_of_rows(&view));
        Ok(())
    }

    /// The log names nothing that the peer has seen; and if it says that it covers what the peer
    /// lacks, it names every row that was removed by a dot of that, whoever made the removal.
    fn check_log(&self, peer: &Self, ever: &[Removal]) -> Result<(), TestCaseError> {
        let (ours, theirs) = (self.store.view().unwrap(), peer.store.view().unwrap());
        let peer = theirs.context();
        let named = ours
            .removals_lacking(peer, ours.context(), None, usize::MAX)
            .unwrap();
        let mut named = named.removals.into_iter();
        let missed = |dot: &Dot| ours.context().contains(dot) && !peer.contains(dot);
        prop_assert!(named.clone().all(|removal| missed(&removal.dot)));
        let keys: BTreeSet<RowKey> = named.by_ref().map(|removal| removal.key).collect();
        if ours.removals_cover(peer, ours.context()) {
            for Removal { dot, key } in ever {
                prop_assert!(!missed(dot) || keys.contains(key), "{dot} {key:?}");
            }
        }
        Ok(())
    }

    fn write(&self, edits: &[(u8, Option<u8>)], fails: bool) -> Option<Delta> {
        let written = self.store.transact(Durability::Memory, |txn| {
            for (at, edit) in edits {
                match edit {
                    // Every third value joins the siblings that are there instead of replacing
                    // them.
                    Some(value) if value % 3 == 0 => txn
                        .put_superseding(&key(*at), vec![*value], &[])
                        .map(drop)?,
                    Some(value) => txn.put(&key(*at), vec![*value]).map(drop)?,
                    None => txn.remove(&key(*at)).map(drop)?,
                }
            }
            if fails {
                Err(StoreError::TooManyRows)
            } else {
                Ok(())
            }
        });
        written.ok().map(|((), delta)| delta)
    }

    /// As the model has it: rows join under the peer's context, and add only their own dots.
    fn model_rows(&mut self, rows: &[(RowKey, syncline_crdt::Row)], peer: &Context) {
        let (mut model, seen) = std::mem::take(&mut self.model).into_parts();
        let mut joined = Delta::new();
        for (key, row) in rows {
            let ours = model.remove(key).unwrap_or_default();
            joined.set_row(key.clone(), ours.join(&seen, row, peer));
            joined.observe_all(&row.dots().collect());
        }
        model
            .into_iter()
            .for_each(|(key, row)| joined.set_row(key, row));
        joined.observe_all(&seen);
        self.model = joined;
    }
}

fn run<H: Harness>(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut replicas: Vec<Replica<H>> = (0..REPLICAS).map(|_| Replica::new()).collect();
    let mut wire: Vec<Delta> = Vec::new();
    let mut ever: Vec<Removal> = Vec::new();
    for step in steps {
        match step {
            Step::Write { at, edits } => {
                let delta = replicas[*at].write(edits, false).unwrap();
                // Whoever made a removal has logged it: other tests see to that.
                let view = replicas[*at].store.view().unwrap();
                let before = replicas[*at].model.context();
                let made = view
                    .removals_lacking(before, view.context(), None, usize::MAX)
                    .unwrap();
                ever.extend(made.removals);
                replicas[*at].model.join(&delta);
                wire.push(delta);
            }
            Step::Fail { at, edits } => prop_assert!(replicas[*at].write(edits, true).is_none()),
            Step::Deliver { at, delta } if !wire.is_empty() => {
                let delta = delta.get(&wire);
                replicas[*at]
                    .store
                    .join_delta(delta, Durability::Memory)
                    .unwrap();
                replicas[*at].model.join(delta);
            }
            Step::DeliverGroup { at, deltas } if !wire.is_empty() => {
                let Replica { store, model, .. } = &mut replicas[*at];
                let mut group = store.group().unwrap();
                for delta in deltas {
                    group.join_delta(delta.get(&wire)).unwrap();
                    model.join(delta.get(&wire));
                }
                group.commit(Durability::Memory).unwrap();
            }
            Step::Deliver { .. } | Step::DeliverGroup { .. } => {}
            Step::Sync { from, to } => {
                sync(&replicas[*from].store, &replicas[*to].store);
                let theirs = replicas[*from].model.clone();
                replicas[*to].model.join(&theirs);
            }
            Step::Pull { from, to, part } => pull(&mut replicas, *from, *to, *part),
            Step::Broken {
                from,
                to,
                rows: count,
            } => {
                let view = replicas[*from].store.view().unwrap();
                let some: Vec<_> = view
                    .scan(&KeyRange::ALL)
                    .map(Result::unwrap)
                    .take(*count)
                    .collect();
                let to = &mut replicas[*to];
                to.model_rows(&some, view.context());
                let incoming = Incoming {
                    rows: some,
                    ..Incoming::from_peer(view.context())
                };
                to.store.join(incoming, Durability::Memory).unwrap();
            }
            Step::Restart { at } => {
                let replica = &mut replicas[*at];
                replica.store.flush().unwrap();
                replica.harness.crash();
                let reopened = replica.harness.open();
                drop(std::mem::replace(&mut replica.store, reopened));
            }
        }
        for replica in &replicas {
            replica.check()?;
            for peer in &replicas {
                replica.check_log(peer, &ever)?;
            }
        }
    }
    // Heal: everybody syncs with everybody, twice.
    for round in 0..2 * REPLICAS * REPLICAS {
        let (from, to) = (round % REPLICAS, round / REPLICAS % REPLICAS);
        if from != to {
            sync(&replicas[from].store, &replicas[to].store);
        }
    }
    for other in &replicas[1..] {
        assert_same(&replicas[0].store, &other.store);
        assert_sound(&other.store);
    }
    Ok(())
}

fn pull<H: Harness>(replicas: &mut [Replica<H>], from: usize, to: usize, part: usize) {
    let start_view = replicas[from].store.view().unwrap();
    let start = start_view.context().clone();
    let peer = replicas[to].store.view().unwrap().context().clone();
    let mut after = None;
    loop {
        let now = replicas[from].store.view().unwrap();
        let additions = start_view
            .lacking(&now, &peer, after, usize::MAX, part)
            .unwrap();
        let learned = match additions.frontier {
            _ if additions.complete => start.clone(),
            Some(frontier) => start.up_to(frontier),
            None => Context::new(),
        };
        let replica = &mut replicas[to];
        replica.model_rows(&additions.rows, &start);
        replica.model.observe_all(&learned);
        let incoming = Incoming {
            rows: additions.rows,
            learned,
            ..Incoming::from_peer(&start)
        };
        replica.store.join(incoming, Durability::Memory).unwrap();
        after = additions.frontier;
        if additions.complete {
            break;
        }
    }
}

fn a_store_is_a_causal_map<H: Harness>() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&prop::collection::vec(step(), 1..40), |steps| {
            run::<H>(&steps)
        })
        .unwrap();
}
