//! Replicas that are written to while they sync: the fuzz body [`live`], and [`outcome`], what a history comes to by each strategy.
//!
//! Each value is written once, so the end is told by what was written and what somebody removed or replaced who had seen it, in
//! whatever order frames came and wherever sessions broke.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::{Delta, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    ChunkLimit, Config, Durability, Environment, MemoryEngine, RemovalLogBounds, Store, StoreError,
};
use syncline_sync::{Request, Strategy};

use crate::cluster::{NAMESPACE, SECRET};
use crate::link::Link;
use crate::rng::{Bytes, Choices, Rng};

type Memory = Store<MemoryEngine>;

/// A clock that moves with each reading, and entropy that is never drawn twice.
struct Stage {
    name: u8,
    drawn: AtomicU64,
}

impl Environment for Stage {
    fn wall_ms(&self) -> u64 {
        1_000 + self.drawn.fetch_add(1, Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        let mut entropy = [self.name; 10];
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        entropy[..8].copy_from_slice(&drawn.to_be_bytes());
        entropy
    }
}

/// A history as the bytes say: writes, removals and deltas at two or three replicas, and sessions between them that go on meanwhile,
/// or break. Then all meet.
///
/// # Panics
/// When a session fails, or the end is another than what was done.
pub fn live(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let mut world = World::new(&mut choices, 12);
    while !choices.is_empty() {
        match choices.below(16) {
            0..4 => world.write(&mut choices),
            4 => world.remove_set(&mut choices),
            5 => world.deliver(&mut choices),
            6 | 7 => world.open(&mut choices),
            8 => world.cut(&mut choices),
            _ => world.advance(&mut choices),
        }
    }
    world.sessions.clear();
    for _ in 0..2 {
        world.meet(Strategy::Auto, 1);
    }
    world.check();
}

/// Which of its kinds a history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Some dozen rows.
    Small,
    /// More removals than a sketch tells.
    Large,
}

/// Plays the history of a seed at three replicas in a chain, where only neighbours meet, all by the same strategy; returns the rows
/// that they all have in the end.
///
/// # Panics
/// When a session fails or ends without agreement, or the end is another than what was done.
#[must_use]
pub fn outcome(seed: u64, size: Size, strategy: Strategy) -> BTreeMap<RowKey, Row> {
    let mut rng = Rng::new(seed);
    let mut world = World::new(&mut rng, if size == Size::Large { 2_000 } else { 12 });
    if size == Size::Large {
        world.fill(6_000);
        world.meet(Strategy::Auto, seed);
        for set in 0..2 {
            let at = rng.below(world.stores.len());
            world.remove_range(at, set);
        }
    }
    for _ in 0..60 + rng.below(60) {
        match rng.below(12) {
            0..6 => world.write(&mut rng),
            6 => world.remove_set(&mut rng),
            7 => world.deliver(&mut rng),
            8 => world.open(&mut rng),
            9 => world.cut(&mut rng),
            _ => world.advance(&mut rng),
        }
    }
    world.sessions.clear();
    world.meet(strategy, seed);
    world.check();
    rows(&world.stores[0])
}

struct World {
    stores: Vec<Memory>,
    sessions: Vec<Link<Memory>>,
    members: usize,
    deltas: Vec<Delta>,
    written: Vec<(RowKey, Vec<u8>)>,
    dead: BTreeSet<Vec<u8>>,
}

impl World {
    fn new(choices: &mut impl Choices, members: usize) -> Self {
        let count = 2 + choices.below(2);
        let stores = (0..count).map(|name| {
            let removals = *choices.pick(&[0, 3, 1_000_000]);
            let config = Config {
                environment: Arc::new(Stage {
                    name: name as u8,
                    drawn: AtomicU64::new(0),
                }),
                removal_log: RemovalLogBounds {
                    removals,
                    ..RemovalLogBounds::default()
                },
                ..Config::new(NAMESPACE, SECRET)
            };
            Store::open(MemoryEngine::new(), config).unwrap()
        });
        Self {
            stores: stores.collect(),
            sessions: Vec::new(),
            members,
            deltas: Vec::new(),
            written: Vec::new(),
            dead: BTreeSet::new(),
        }
    }

    fn value(&mut self, key: &RowKey) -> Vec<u8> {
        let value = (self.written.len() as u64).to_be_bytes().to_vec();
        self.written.push((key.clone(), value.clone()));
        value
    }

    /// Rows of the first replica, in one transaction.
    fn fill(&mut self, count: usize) {
        let keys: Vec<_> = (0..count).map(|n| member(n % 3, n / 3)).collect();
        let values: Vec<_> = keys.iter().map(|key| self.value(key)).collect();
        let fill = self.stores[0].transact(Durability::Memory, |txn| {
            for (key, value) in keys.iter().zip(values) {
                txn.put(key, value)?;
            }
            Ok::<_, StoreError>(())
        });
        fill.unwrap();
    }

    /// Writes or removes rows of a replica: what it held there is dead by that.
    fn write(&mut self, choices: &mut impl Choices) {
        let at = choices.below(self.stores.len());
        let count = 1 + choices.below(3);
        let keys: BTreeSet<_> = (0..count)
            .map(|_| member(choices.below(3), choices.below(self.members)))
            .collect();
        let view = self.stores[at].view().unwrap();
        for key in &keys {
            let row = view.get(key).unwrap().unwrap_or_default();
            self.dead.extend(row.into_iter().map(|was| was.payload));
        }
        let edits: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let value = (!choices.chance(35)).then(|| self.value(&key));
                (key, value)
            })
            .collect();
        let written = self.stores[at].transact(Durability::Memory, |txn| {
            for (key, value) in edits {
                match value {
                    Some(value) => txn.put(&key, value).map(drop)?,
                    None => txn.remove(&key).map(drop)?,
                }
            }
            Ok::<_, StoreError>(())
        });
        self.deltas.push(written.unwrap().1);
    }

    /// Removes all of a set, a few rows at a time.
    fn remove_set(&mut self, choices: &mut impl Choices) {
        let at = choices.below(self.stores.len());
        self.remove_range(at, choices.below(3));
    }

    fn remove_range(&mut self, at: usize, set: usize) {
        let range = KeyRange::prefix(&RowKey::key_prefix(&[set as u8]));
        let store = &self.stores[at];
        let view = store.view().unwrap();
        for row in view.scan(&range) {
            let (_, row) = row.unwrap();
            self.dead.extend(row.into_iter().map(|was| was.payload));
        }
        let limit = ChunkLimit {
            rows: 1 + self.members / 3,
            ..ChunkLimit::default()
        };
        let mut removing = store.begin_removal(range).unwrap();
        while !removing.is_done() {
            let mut group = store.group().unwrap();
            let chunk = group.remove_chunk(&removing, limit, &mut |_, _, _| None);
            let chunk = chunk.unwrap();
            group.commit(Durability::Memory).unwrap();
            removing.go_on(chunk.rest);
        }
    }

    /// A delta of some time ago comes, wherever it was made.
    fn deliver(&mut self, choices: &mut impl Choices) {
        if !self.deltas.is_empty() {
            let at = choices.below(self.stores.len());
            let delta = choices.pick(&self.deltas);
            self.stores[at]
                .join_delta(delta, Durability::Memory)
                .unwrap();
        }
    }

    fn link(&self, from: usize, to: usize, request: Request, batch: usize) -> Link<Memory> {
        let sides = [&self.stores[from], &self.stores[to]].map(Store::clone);
        let [from, to] = sides;
        Link::open(from, to, NAMESPACE, request, batch).unwrap()
    }

    fn open(&mut self, choices: &mut impl Choices) {
        if self.sessions.len() == 4 {
            return;
        }
        let from = choices.below(self.stores.len());
        let to = (from + 1 + choices.below(self.stores.len() - 1)) % self.stores.len();
        let salt = [choices.next() as u8; 16];
        let mut request = Request::new(salt).by(*choices.pick(&Strategy::ALL));
        if choices.chance(15) {
            let set = RowKey::key_prefix(&[choices.below(3) as u8]);
            request = request.within(KeyRange::prefix(&set));
        }
        let batch = *choices.pick(&[1, 60, 4_000]);
        self.sessions.push(self.link(from, to, request, batch));
    }

    fn cut(&mut self, choices: &mut impl Choices) {
        if !self.sessions.is_empty() {
            let at = choices.below(self.sessions.len());
            self.sessions.swap_remove(at);
        }
    }

    fn advance(&mut self, choices: &mut impl Choices) {
        if self.sessions.is_empty() {
            return;
        }
        let at = choices.below(self.sessions.len());
        for _ in 0..1 + choices.below(8) {
            if !self.sessions[at].step(choices).unwrap() {
                self.sessions.swap_remove(at);
                return;
            }
        }
    }

    /// Neighbours meet, there and back, until all that one has done has come to all.
    fn meet(&self, strategy: Strategy, seed: u64) {
        let last = self.stores.len() - 1;
        let mut rng = Rng::new(seed);
        for from in (0..last).chain((0..last).rev().skip(1)) {
            let salt = rng.bytes(16).try_into().unwrap();
            let request = Request::new(salt).by(strategy);
            let mut link = self.link(from, from + 1, request, 1 << 16);
            link.run(&mut rng).unwrap();
            assert!(link.reports().iter().all(|report| report.agreed));
        }
    }

    /// Every replica holds each value that nobody removed or replaced who had seen it, and no other.
    fn check(&self) {
        let alive = self
            .written
            .iter()
            .filter(|(_, value)| !self.dead.contains(value));
        let alive: BTreeSet<_> = alive.cloned().collect();
        for store in &self.stores {
            let rows = rows(store).into_iter();
            let held = rows.flat_map(|(key, row)| {
                row.into_iter()
                    .map(move |sibling| (key.clone(), sibling.payload))
            });
            assert_eq!(held.collect::<BTreeSet<_>>(), alive);
            let recount = store.view().unwrap().recount().unwrap();
            assert!(recount.is_sound(), "{:#?}", recount.mismatches);
        }
    }
}

fn member(set: usize, n: usize) -> RowKey {
    RowKey::member(&[set as u8], &(n as u16).to_be_bytes())
}

fn rows(store: &Memory) -> BTreeMap<RowKey, Row> {
    let view = store.view().unwrap();
    view.scan(&KeyRange::ALL).map(Result::unwrap).collect()
}
