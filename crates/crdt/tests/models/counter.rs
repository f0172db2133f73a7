//! Random model check of the numeric cell on the real kernel.
//!
//! Replicas increment, set, delete, join each other, sync to disk, crash back to what was synced (which peers may have
//! seen more of) under a new id, and collect the remnant of a delete once it is alone and causally stable. In the end
//! every replica must read the winner among the sets that no set or delete observed, plus exactly the increments that
//! survived and that no set or delete observed. All amounts are tenths, so that integers and decimals are mixed.
//!
//! Each part of the design is shown to matter by a variant without it that must be caught.

use std::collections::{BTreeMap, BTreeSet};

use super::random::{Random, violations};
use syncline_crdt::cell::{self, Cell, Increment, Sum, Value};
use syncline_crdt::{CausalMap, Decimal, Dot, ReplicaId, Siblings, Stamp};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Variant {
    Right,
    /// Wrong: one cumulative contribution for each node, continued across openings and resets.
    PerReplica,
    /// Wrong: a base does not remember what it observed.
    NoBaseline,
    /// Wrong: a delete with the latest stamp wins over sets that it had not observed.
    DeleteCompetes,
}

type OpId = usize;

/// What an operation was, to say what must become of it.
struct Op {
    kind: Kind,
    stamp: Stamp,
    dot: Dot,
}

enum Kind {
    Increment(i64),
    /// A set, or a delete when there is no value, and the operations that it observed.
    Base(Option<i64>, BTreeSet<OpId>),
}

#[derive(Clone, Default)]
struct State {
    map: CausalMap<(), Cell>,
    /// The operations whose effect has arrived here.
    known: BTreeSet<OpId>,
}

impl State {
    fn row(&self) -> Siblings<Cell> {
        self.map.row(&()).cloned().unwrap_or_default()
    }
}

struct Replica {
    node: u8,
    opening: u8,
    counter: u64,
    now: State,
    synced: State,
}

impl Replica {
    fn id(&self) -> ReplicaId {
        let mut bytes = [0; 16];
        (bytes[0], bytes[1]) = (self.node, self.opening);
        ReplicaId::from_bytes(bytes)
    }

    fn fresh_dot(&mut self) -> Dot {
        self.counter += 1;
        Dot::new(self.id(), self.counter)
    }
}

struct Model {
    random: Random,
    variant: Variant,
    clock: u64,
    replicas: Vec<Replica>,
    ops: Vec<Op>,
    /// For a base, the operations made in the knowledge of it.
    aware: BTreeMap<OpId, BTreeSet<OpId>>,
    /// Operations that a crash took from everybody who knew of them.
    lost: BTreeSet<OpId>,
}

impl Model {
    fn new(seed: u64, variant: Variant) -> Self {
        let mut random = Random::new(seed);
        let replica = |node| Replica {
            node,
            opening: 0,
            counter: 0,
            now: State::default(),
            synced: State::default(),
        };
        Self {
            replicas: (0..random.between(2, 3) as u8).map(replica).collect(),
            random,
            variant,
            clock: 0,
            ops: Vec::new(),
            aware: BTreeMap::new(),
            lost: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        let at = self.random.below(self.replicas.len());
        self.clock += 1;
        match self.random.below(100) {
            0..36 => self.increment(at),
            36..46 => self.assign(at, None),
            46..52 => {
                let value = self.random.between(100, 900) as i64;
                self.assign(at, Some(value));
            }
            52..60 => self.collect_remnant(at),
            60..66 => self.crash(at),
            66..74 => self.replicas[at].synced = self.replicas[at].now.clone(),
            _ => {
                let (from, to) = self.random.pair(self.replicas.len());
                self.join(from, to);
            }
        }
    }

    fn increment(&mut self, at: usize) {
        let by = self.random.between(1, 9) as i64 * if self.random.percent(30) { -1 } else { 1 };
        let replica = &mut self.replicas[at];
        let row = replica.now.row();
        let increment = match self.variant {
            Variant::PerReplica => add_per_node(&row, replica.node, by),
            _ => cell::add_decimal(&row, replica.id(), tenths(by)).unwrap(),
        };
        let dot = replica.fresh_dot();
        let stamp = Stamp::new(self.clock, 0);
        let map = &mut replica.now.map;
        map.put_superseding((), dot, stamp, increment.cell, &increment.supersedes);
        self.record(
            at,
            Op {
                kind: Kind::Increment(by),
                stamp,
                dot,
            },
        );
    }

    fn assign(&mut self, at: usize, value: Option<i64>) {
        let replica = &mut self.replicas[at];
        let text = value.map(|value| tenths(value).to_string().into_bytes());
        let base = cell::assign(&replica.now.row(), text);
        let dot = replica.fresh_dot();
        let stamp = Stamp::new(self.clock, 0);
        replica.now.map.put((), dot, stamp, base);
        let observed = replica.now.known.clone();
        self.record(
            at,
            Op {
                kind: Kind::Base(value, observed),
                stamp,
                dot,
            },
        );
    }

    fn record(&mut self, at: usize, op: Op) {
        let id = self.ops.len();
        self.ops.push(op);
        let known = &mut self.replicas[at].now.known;
        for earlier in known.iter().copied() {
            if matches!(self.ops[earlier].kind, Kind::Base(..)) {
                self.aware.entry(earlier).or_default().insert(id);
            }
        }
        known.insert(id);
    }

    /// A delete's remnant goes when it is alone, every replica has seen it, and everything made without knowing of it
    /// has arrived here.
    fn collect_remnant(&mut self, at: usize) {
        let state = &self.replicas[at].now;
        let row = state.row();
        let [only] = row.iter().collect::<Vec<_>>()[..] else {
            return;
        };
        if !matches!(only.payload, Cell::Base { value: None, .. }) {
            return;
        }
        let delete = self.ops.iter().position(|op| op.dot == only.dot).unwrap();
        let unaware = |id: &OpId| {
            *id != delete
                && !self
                    .aware
                    .get(&delete)
                    .is_some_and(|aware| aware.contains(id))
        };
        let is_stable = self
            .replicas
            .iter()
            .all(|replica| replica.now.map.context().contains(&only.dot))
            && (0..self.ops.len())
                .filter(unaware)
                .all(|id| state.known.contains(&id));
        if is_stable {
            self.replicas[at].now.map.set_row((), Siblings::new());
        }
    }

    fn crash(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let before = std::mem::replace(&mut replica.now, replica.synced.clone());
        if self.variant == Variant::PerReplica {
            // It goes on under its id, past every dot it can have used.
            replica.counter = 1000 * self.clock;
        } else {
            replica.opening += 1;
            replica.counter = 0;
        }
        let is_known = |id: &OpId| {
            self.replicas
                .iter()
                .any(|replica| replica.now.known.contains(id))
        };
        self.lost
            .extend(before.known.into_iter().filter(|id| !is_known(id)));
    }

    fn join(&mut self, from: usize, to: usize) {
        let [from, to] = self.replicas.get_disjoint_mut([from, to]).unwrap();
        to.now.map.join(&from.now.map);
        to.now.known.extend(&from.now.known);
    }

    fn quiesce(&mut self) {
        for _ in 0..self.replicas.len() {
            for from in 0..self.replicas.len() {
                for to in (0..self.replicas.len()).filter(|to| *to != from) {
                    self.join(from, to);
                }
            }
        }
    }

    fn expected(&self) -> Option<String> {
        let left = || {
            self.ops
                .iter()
                .enumerate()
                .filter(|(id, _)| !self.lost.contains(id))
        };
        let observed: BTreeSet<OpId> = left()
            .filter_map(|(_, op)| match &op.kind {
                Kind::Base(_, observed) => Some(observed),
                Kind::Increment(_) => None,
            })
            .flatten()
            .copied()
            .collect();
        let survivors = || {
            left()
                .filter(|(id, _)| !observed.contains(id))
                .map(|(_, op)| op)
        };
        let sets = survivors().filter_map(|op| match op.kind {
            Kind::Base(Some(value), _) => Some(((op.stamp, op.dot), value)),
            _ => None,
        });
        let increments: Vec<i64> = survivors()
            .filter_map(|op| match op.kind {
                Kind::Increment(by) => Some(by),
                Kind::Base(..) => None,
            })
            .collect();
        let set = sets.max().map(|(_, value)| value);
        let is_present = set.is_some() || !increments.is_empty();
        is_present.then(|| tenths(set.unwrap_or(0) + increments.iter().sum::<i64>()).to_string())
    }

    fn is_right(&self) -> bool {
        let want = self.expected();
        let read = |replica: &Replica| read(self.variant, &replica.now.row());
        self.replicas.iter().all(|replica| read(replica) == want)
    }
}

fn tenths(count: i64) -> Decimal {
    Decimal::parse(format!("{count}e-1").as_bytes()).unwrap()
}

/// An increment as it must not be: every node has one contribution for good.
fn add_per_node(row: &Siblings<Cell>, node: u8, by: i64) -> Increment {
    let own = Dot::new(ReplicaId::from_bytes([node; 16]), u64::MAX);
    let mut sum = Sum::default();
    let mut supersedes = Vec::new();
    for sibling in row {
        match &sibling.payload {
            Cell::Base { baselines, .. } => {
                sum = sum.greatest(baselines.get(&own).copied().unwrap_or_default())
            }
            Cell::Contribution { name, sum: theirs } if *name == Some(own) => {
                sum = sum.greatest(*theirs);
                supersedes.push(sibling.dot);
            }
            Cell::Contribution { .. } => {}
        }
    }
    let part = if by < 0 { &mut sum.down } else { &mut sum.up };
    *part = part.saturating_add(tenths(by).magnitude());
    let name = Some(own);
    Increment {
        supersedes,
        cell: Cell::Contribution { name, sum },
    }
}

fn read(variant: Variant, row: &Siblings<Cell>) -> Option<String> {
    let is_base = |cell: &Cell| matches!(cell, Cell::Base { .. });
    let latest = row.iter().filter(|sibling| is_base(&sibling.payload));
    let latest = latest.max_by_key(|sibling| (sibling.stamp, sibling.dot));
    let deleted =
        latest.is_some_and(|sibling| matches!(sibling.payload, Cell::Base { value: None, .. }));
    let altered = row.map(|cell| match (variant, cell.clone()) {
        (Variant::NoBaseline, Cell::Base { value, .. }) => Cell::Base {
            value,
            baselines: BTreeMap::new(),
        },
        (Variant::DeleteCompetes, Cell::Base { baselines, .. }) if deleted => Cell::Base {
            value: None,
            baselines,
        },
        (_, cell) => cell,
    });
    cell::read(&altered).map(|value| match value {
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Bytes(text) => panic!("read text: {}", text.escape_ascii()),
    })
}

fn is_violated(variant: Variant, seed: u64) -> bool {
    let mut model = Model::new(seed, variant);
    for _ in 0..model.random.between(3, 30) {
        model.step();
    }
    model.quiesce();
    !model.is_right()
}

#[test]
fn an_increment_is_erased_by_exactly_what_observed_it() {
    violations(10_000, |seed| is_violated(Variant::Right, seed)).are_none(Variant::Right);
}

#[test]
fn wrong_variants_are_caught() {
    for variant in [
        Variant::PerReplica,
        Variant::NoBaseline,
        Variant::DeleteCompetes,
    ] {
        violations(4000, |seed| is_violated(variant, seed)).are_many(variant);
    }
}
