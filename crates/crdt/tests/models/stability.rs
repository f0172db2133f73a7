//! Random model check of causal stability, by what needs it: the remnants of deleted counters.
//!
//! Replicas count, set and delete, tell each other of it by deltas and two-way sessions, crash back to what was synced,
//! and advertise what they have durably seen. One that is away may be forgotten, with what only it knew, and comes back
//! with an empty store. A delete's remnant is dropped when it is alone and stable. That must never be seen: in the end
//! every replica must read the winner among the sets that nothing observed, and exactly the increments that nothing
//! observed. Once all is quiet no remnant may be left.

#[path = "stability/scenes.rs"]
mod scenes;

use std::collections::BTreeSet;

use super::carriers::{Carriers, Comeback, Manners};
use super::random::{Random, violations};
use super::replica::{Delta, Key};
use super::session::Rules;
use syncline_crdt::cell::{self, Cell, Value};
use syncline_crdt::{Dot, Siblings, Stamp};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Variant {
    Right,
    /// Wrong: a remnant goes as soon as it is alone.
    CollectedAtOnce,
    /// Wrong: it goes when all have seen it, whatever else they have made and not told.
    CollectedWhenSeen,
    /// Wrong: what is advertised may be lost in a crash.
    AdvertisedFromMemory,
    /// Wrong: more is advertised than what sessions still speak under.
    AdvertisedPastSessions,
    /// Wrong: rows and deltas are told before they are durable.
    NotDurableFirst,
    /// Wrong: sessions call dead what they have not told the replacement of.
    DeadBeforeReplaced,
    /// Wrong: adverts count of carriers that still listen to a forgotten one.
    ForgottenByOneOnly,
    /// Wrong: a forgotten carrier comes back as it was.
    ForgottenComesBack,
    /// Wrong: it comes back under a new name, with its data.
    ForgottenComesBackRenamed,
}

#[derive(Clone, Copy)]
enum Action {
    Add(i128),
    Set(i128),
    Delete,
}

enum Kind {
    /// Of the contribution of this name.
    Increment(i128, Dot),
    Set(i128),
    Delete,
}

/// An operation, to say what must become of it.
struct Op {
    key: Key,
    node: u8,
    kind: Kind,
    stamp: Stamp,
    dot: Dot,
    /// The operations whose effect it found in the row, by their places in the list. That is less than what its replica
    /// had seen: a dot may be known as dead before what replaced it arrives.
    observed: BTreeSet<usize>,
}

struct Model {
    random: Random,
    variant: Variant,
    clock: u64,
    cluster: Carriers<Cell>,
    ops: Vec<Op>,
    collected: usize,
    is_stability_true: bool,
}

impl Model {
    fn new(seed: u64, variant: Variant) -> Self {
        let mut model = Self::still(seed, variant);
        model.cluster.crashes = model.random.percent(60);
        model
    }

    /// Before anything has happened, and without chance.
    fn still(seed: u64, variant: Variant) -> Self {
        let random = Random::new(seed);
        let (mut rules, mut manners) = (Rules::RIGHT, Manners::RIGHT);
        match variant {
            Variant::AdvertisedFromMemory => manners.advertise_durable = false,
            Variant::AdvertisedPastSessions => manners.advertise_session_starts = false,
            Variant::NotDurableFirst => rules.durable_first = false,
            Variant::DeadBeforeReplaced => rules.replacement_first = false,
            Variant::ForgottenByOneOnly => manners.await_forgetting = false,
            Variant::ForgottenComesBack => manners.comeback = Comeback::AsItWas,
            Variant::ForgottenComesBackRenamed => manners.comeback = Comeback::WithItsData,
            _ => {}
        }
        let cluster = Carriers::new(3, vec![0, 1, 2], rules, manners);
        Self {
            cluster,
            random,
            variant,
            clock: 0,
            ops: Vec::new(),
            collected: 0,
            is_stability_true: true,
        }
    }

    /// In some runs one replica leaves for a while, which may be too long.
    fn run(&mut self) {
        let mut absence = [0; 3].map(|_| self.random.between(1, 200));
        absence.sort_unstable();
        let [leaves, is_forgotten, is_back] = absence;
        let gone = self.random.below(self.cluster.replicas.len());
        let is_absent = self.random.percent(50);
        for at in 0..self.random.between(20, 250) {
            if is_absent && at == leaves {
                self.cluster.leave(gone);
            } else if is_absent && at == is_forgotten {
                let others = self.cluster.replicas.len() - 1;
                let by = (gone + 1 + self.random.below(others)) % (others + 1);
                self.cluster.forget(by, gone);
            } else if is_absent && at == is_back {
                self.cluster.come_back(gone, &mut self.random);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        self.clock += 1;
        let at = self.random.below(self.cluster.replicas.len());
        // Busy for a while, then nearly quiet, so that something gets stable and something is left to be late for it.
        let operates = if self.clock % 60 < 20 { 40 } else { 3 };
        match self.random.below(100) {
            percent if percent < operates => self.operate(at),
            40..60 => self.collect(at),
            _ => self.cluster.step(&mut self.random),
        }
        self.is_stability_true &= self.cluster.is_stability_true();
    }

    fn operate(&mut self, at: usize) {
        let key = self.cluster.keys[self.random.below(self.cluster.keys.len())];
        let number = self.random.between(1, 9) as i128;
        let action = match self.random.below(10) {
            0..5 => Action::Add(number),
            5 => Action::Set(100 * number),
            _ => Action::Delete,
        };
        self.act(at, key, action);
    }

    fn act(&mut self, at: usize, key: Key, action: Action) {
        self.clock += 1;
        let stamp = Stamp::new(self.clock, 0);
        let replica = &mut self.cluster.replicas[at];
        let row = replica.state.row(key);
        let mut superseded = replica.state.dots(key);
        let cell = match action {
            Action::Add(number) => {
                let increment = cell::add(&row, replica.id(), number as i64).unwrap();
                superseded = increment.supersedes.into_iter().collect();
                increment.cell
            }
            Action::Set(number) => cell::assign(&row, Some(number.to_string().into_bytes())),
            Action::Delete => cell::assign(&row, None),
        };
        let dot = replica.fresh_dot();
        let name = match &cell {
            Cell::Contribution { name, .. } => name.unwrap_or(dot),
            Cell::Base { .. } => dot,
        };
        let mut delta = Delta::new();
        replica
            .state
            .change(key, &superseded, Some((dot, stamp, cell)), &mut delta);
        let node = replica.node;
        let kind = match action {
            Action::Add(number) => Kind::Increment(number, name),
            Action::Set(number) => Kind::Set(number),
            Action::Delete => Kind::Delete,
        };
        let observed = self.effects(&superseded);
        self.ops.push(Op {
            key,
            node,
            kind,
            stamp,
            dot,
            observed,
        });
        self.cluster.commit(at, delta);
    }

    /// The operations whose effect these siblings are, and those that they have erased.
    fn effects(&self, siblings: &BTreeSet<Dot>) -> BTreeSet<usize> {
        let mut effects = BTreeSet::new();
        for (id, op) in self.ops.iter().enumerate() {
            match op.kind {
                Kind::Increment(_, name) => {
                    let later = self.ops[id..].iter().filter(
                        |later| matches!(later.kind, Kind::Increment(_, other) if other == name),
                    );
                    if later.into_iter().any(|later| siblings.contains(&later.dot)) {
                        effects.insert(id);
                    }
                }
                Kind::Set(_) | Kind::Delete if siblings.contains(&op.dot) => {
                    effects.insert(id);
                    effects.extend(&op.observed);
                }
                _ => {}
            }
        }
        effects
    }

    /// Drops the remnants that nothing can come for any more. Nobody is told: that is no operation, and whoever has
    /// the remnant still can tell as well, or learns it in a session.
    fn collect(&mut self, at: usize) {
        let stability = &self.cluster.views[at].stability;
        let replica = &mut self.cluster.replicas[at];
        for key in self.cluster.keys.clone() {
            let row = replica.state.row(key);
            let Some(delete) = lone_delete(&row) else {
                continue;
            };
            let is_due = match self.variant {
                Variant::CollectedAtOnce => true,
                Variant::CollectedWhenSeen => {
                    stability.seen_by(&delete) == stability.carriers().len()
                }
                _ => stability.is_stable(&delete),
            };
            if is_due {
                replica.state.set_row(key, Siblings::new());
                self.collected += 1;
            }
        }
    }

    /// The values that a key may have in the end. Mostly that is one. Where a carrier was forgotten before a session
    /// with it was completed, its deletes may have got to others without the knowledge of all that they had observed.
    fn expected(&self, key: Key) -> BTreeSet<Option<i128>> {
        let context = &self.cluster.replicas[0].state.context;
        let seen = self
            .ops
            .iter()
            .map(|op| op.dot)
            .filter(|dot| context.contains(dot));
        let left = self.effects(&seen.collect());
        let left = || left.iter().filter(|id| self.ops[**id].key == key);
        let is_here = |node| {
            self.cluster
                .replicas
                .iter()
                .any(|replica| replica.node == node)
        };
        let erasers = |id: &usize| {
            let bases = left().map(|id| &self.ops[*id]);
            let bases = bases.filter(|op| !matches!(op.kind, Kind::Increment(..)));
            let bases = bases.filter(|op| op.observed.contains(id));
            bases.map(|op| op.node).collect::<Vec<_>>()
        };

        let mut present = false;
        let mut sum = 0;
        let mut sets = Vec::new();
        let mut doubtful = Vec::new();
        for id in left() {
            let op = &self.ops[*id];
            let erasers = erasers(id);
            match op.kind {
                Kind::Increment(by, _) if erasers.is_empty() => {
                    present = true;
                    sum += by;
                }
                Kind::Set(value) if erasers.is_empty() => sets.push((op.stamp, value)),
                Kind::Set(value) if !erasers.into_iter().any(is_here) => {
                    doubtful.push((op.stamp, value));
                }
                _ => {}
            }
        }
        let winner = sets.into_iter().max();
        let rivals = doubtful
            .into_iter()
            .map(Some)
            .filter(|rival| *rival > winner);
        let winners = rivals.chain([winner]);
        winners
            .map(|winner| match winner {
                Some((_, value)) => Some(value + sum),
                None => present.then_some(sum),
            })
            .collect()
    }

    fn is_right(&self) -> bool {
        let read = |row: &Siblings<Cell>| match cell::read(row) {
            Some(Value::Integer(number)) => Some(number),
            Some(_) => unreachable!("only integers are written"),
            None => None,
        };
        self.cluster.keys.iter().all(|key| {
            let values: BTreeSet<_> = self
                .cluster
                .replicas
                .iter()
                .map(|replica| read(&replica.state.row(*key)))
                .collect();
            values.len() == 1 && values.is_subset(&self.expected(*key))
        })
    }

    fn has_remnant(&self) -> bool {
        let rows = self
            .cluster
            .replicas
            .iter()
            .flat_map(|replica| replica.state.rows.values());
        rows.into_iter().any(|row| lone_delete(row).is_some())
    }
}

/// The dot of a delete that is all there is of a row.
fn lone_delete(row: &Siblings<Cell>) -> Option<Dot> {
    let mut siblings = row.iter();
    let only = siblings.next().filter(|_| siblings.next().is_none())?;
    matches!(only.payload, Cell::Base { value: None, .. }).then_some(only.dot)
}

/// What is wrong in the end, if anything is.
fn fault(model: &mut Model) -> Option<&'static str> {
    model.cluster.quiesce(&mut model.random);
    if !model.is_stability_true {
        return Some("called stable, and not with everybody for good");
    }
    if !model.is_right() {
        return Some("read wrong");
    }
    model.cluster.deliver_all(&mut model.random);
    if !model.is_right() {
        return Some("something late made a difference");
    }
    let all: Vec<usize> = (0..model.cluster.replicas.len()).collect();
    model.cluster.persist_all();
    model.cluster.agree(&all, &mut model.random);
    for at in all {
        model.collect(at);
    }
    if model.has_remnant() {
        return Some("a remnant stays for ever");
    }
    (!model.is_right()).then_some("the last collection made a difference")
}

/// What went wrong in a random run, and how many remnants were collected in its course.
fn run(variant: Variant, seed: u64) -> (Option<&'static str>, usize) {
    let mut model = Model::new(seed, variant);
    model.run();
    let collected = model.collected;
    (fault(&mut model), collected)
}

#[test]
fn a_collection_is_never_seen() {
    let collected = std::cell::Cell::new(0);
    let is_violated = |seed| {
        let (fault, count) = run(Variant::Right, seed);
        collected.set(collected.get() + count);
        fault.is_some()
    };
    violations(600, is_violated).are_none(Variant::Right);
    assert!(
        collected.get() > 100,
        "the model has come to collect too little"
    );
}

#[test]
fn a_collection_before_stability_is_caught() {
    let variant = Variant::CollectedAtOnce;
    violations(600, |seed| run(variant, seed).0.is_some()).are_many(variant);
}
