//! Two sessions, the frames between them, and a reference to hold the outcome against.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_crdt::{Context, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{ChunkLimit, Durability, Environment, MemoryEngine, Store, StoreError};
use syncline_sync::{Config, Opening, Replica, Report, Request, Session, SessionError, Strategy};

pub type Memory = Store<MemoryEngine>;

pub const CLOCK_MS: u64 = 1_700_000_000_000;

/// A clock that moves a millisecond with each reading, and entropy that is never drawn twice.
struct Stage {
    name: u64,
    drawn: AtomicU64,
}

impl Environment for Stage {
    fn wall_ms(&self) -> u64 {
        CLOCK_MS + self.drawn.fetch_add(1, Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut entropy = [0; 10];
        entropy[..8].copy_from_slice(&Random::new(self.name << 32 | drawn).next().to_be_bytes());
        entropy
    }
}

/// An empty store. Each name stands for a node of its own.
pub fn store(name: u64) -> Memory {
    open(MemoryEngine::new(), name)
}

/// The surroundings of a node of this name.
pub fn environment(name: u64) -> Arc<dyn Environment> {
    Arc::new(Stage {
        name,
        drawn: AtomicU64::new(0),
    })
}

pub fn open(engine: MemoryEngine, name: u64) -> Memory {
    let config = syncline_store::Config {
        environment: environment(name),
        ..syncline_store::Config::new("app", [7; 32])
    };
    Store::open(engine, config).unwrap()
}

/// As if all of them had met before.
pub fn acquaint(stores: &[&Memory]) {
    for one in stores {
        for other in stores {
            one.enrol(&other.carriers()).unwrap();
        }
    }
}

pub fn config(node: u8) -> Config {
    Config::new([1; 16], [node; 32], "app", CLOCK_MS)
}

pub fn request(strategy: Strategy, seed: u64) -> Request {
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&Random::new(seed).next().to_be_bytes());
    Request::new(salt).by(strategy)
}

/// Payload of a plain value: what stands behind the tag of one byte.
pub fn value(bytes: &[u8]) -> Vec<u8> {
    [&[1], bytes].concat()
}

pub fn put(store: &Memory, keys: impl IntoIterator<Item = RowKey>, bytes: &[u8]) {
    let done = store.transact(Durability::Memory, |txn| {
        for key in keys {
            txn.put(&key, value(bytes))?;
        }
        Ok::<_, StoreError>(())
    });
    done.unwrap();
}

/// Removes everything in a range, so many rows at a time.
pub fn remove_range(store: &Memory, range: KeyRange, rows: usize) {
    let limit = ChunkLimit {
        rows,
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

pub fn remove(store: &Memory, keys: impl IntoIterator<Item = RowKey>) {
    let done = store.transact(Durability::Memory, |txn| {
        for key in keys {
            txn.remove(&key)?;
        }
        Ok::<_, StoreError>(())
    });
    done.unwrap();
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Both sides of a session and the frames on their way.
pub struct Pair<R: Replica> {
    pub initiator: Session<R>,
    pub responder: Session<R>,
    /// To the responder, to the initiator.
    wires: [VecDeque<Vec<u8>>; 2],
    pub frames: Vec<Vec<u8>>,
}

impl<R: Replica> Pair<R> {
    pub fn new(initiator: R, responder: R, request: Request) -> Self {
        Self::with_batches(initiator, responder, request, config(1).batch_bytes)
    }

    /// With frames of so many bytes of rows.
    pub fn with_batches(initiator: R, responder: R, request: Request, batch_bytes: usize) -> Self {
        let config = |node| {
            let mut config = config(node);
            config.batch_bytes = batch_bytes;
            config.sync_every_bytes = 4 * batch_bytes as u64;
            config
        };
        let mut initiator = Session::initiate(initiator, config(1), request).unwrap();
        let greeting = initiator.poll_frame().unwrap().unwrap();
        let opening = Opening::read(&greeting).unwrap();
        let responder = Session::respond(responder, config(2), opening).unwrap();
        Self {
            initiator,
            responder,
            wires: Default::default(),
            frames: vec![greeting],
        }
    }

    /// Asks a side for a frame; whether there was one.
    pub fn poll(&mut self, side: usize) -> Result<bool, SessionError> {
        let session = [&mut self.initiator, &mut self.responder]
            .into_iter()
            .nth(side)
            .unwrap();
        let frame = session.poll_frame()?;
        let some = frame.is_some();
        self.frames.extend(frame.clone());
        self.wires[side].extend(frame);
        Ok(some)
    }

    /// Delivers the next frame that a side has sent; whether there was one.
    pub fn deliver(&mut self, from: usize) -> Result<bool, SessionError> {
        let Some(frame) = self.wires[from].pop_front() else {
            return Ok(false);
        };
        match from {
            0 => self.responder.handle_frame(&frame)?,
            _ => self.initiator.handle_frame(&frame)?,
        }
        Ok(true)
    }

    pub fn is_finished(&self) -> bool {
        self.initiator.is_finished()
            && self.responder.is_finished()
            && self.wires.iter().all(VecDeque::is_empty)
    }

    pub fn reports(&self) -> (Report, Report) {
        (self.initiator.report(), self.responder.report())
    }

    /// A whole flight at a time, as over a network with much latency.
    pub fn run(mut self) -> (Report, Report) {
        for side in [1, 0].into_iter().cycle() {
            while self.poll(side).unwrap() {}
            while self.deliver(side).unwrap() {}
            if self.is_finished() {
                return self.reports();
            }
            assert!(self.frames.len() < 1_000_000, "the session does not end");
        }
        unreachable!()
    }

    /// Frames of both directions in a random order, with something done between any two; ends after so many steps,
    /// finished or not.
    pub fn shuffle(
        &mut self,
        random: &mut Random,
        steps: usize,
        mut between: impl FnMut(&mut Random),
    ) -> bool {
        let mut idle = 0;
        for _ in 0..steps {
            if self.is_finished() {
                return true;
            }
            let side = random.below(2);
            let moved = match random.below(2) {
                0 => self.poll(side).unwrap(),
                _ => self.deliver(side).unwrap(),
            };
            idle = if moved { 0 } else { idle + 1 };
            assert!(idle < 1000, "both sides wait for each other");
            between(random);
        }
        self.is_finished()
    }
}

pub fn sync(a: &Memory, b: &Memory, request: Request) -> (Report, Report) {
    Pair::new(a, b, request).run()
}

pub type State = BTreeMap<RowKey, Row>;

pub fn rows(store: &Memory) -> State {
    store
        .view()
        .unwrap()
        .scan(&KeyRange::ALL)
        .collect::<Result<_, _>>()
        .unwrap()
}

pub fn context(store: &Memory) -> Context {
    store.view().unwrap().context().clone()
}

/// The join of two states by its definition.
pub fn join(
    (ours, seen): (&State, &Context),
    (theirs, their_seen): (&State, &Context),
) -> (State, Context) {
    let nothing = Row::new();
    let keys = ours.keys().chain(theirs.keys());
    let joined = keys.map(|key| {
        let (mine, other) = (
            ours.get(key).unwrap_or(&nothing),
            theirs.get(key).unwrap_or(&nothing),
        );
        (key.clone(), mine.join(seen, other, their_seen))
    });
    let mut context = seen.clone();
    context.merge(their_seen);
    (joined.filter(|(_, row)| !row.is_empty()).collect(), context)
}

/// How many rows have to come to a side that held this: those with a write that it has not seen.
pub fn needed(seen: &Context, joined: &State) -> u64 {
    let news = |row: &&Row| row.dots().any(|dot| !seen.contains(&dot));
    joined.values().filter(news).count() as u64
}

/// Both hold the join of what they held, with nothing amiss.
pub fn assert_joined(a: &Memory, b: &Memory, expected: &(State, Context)) {
    for store in [a, b] {
        assert_eq!(rows(store), expected.0);
        assert_eq!(context(store), expected.1);
        assert_sound(store);
    }
}

pub fn assert_sound(store: &Memory) {
    let recount = store.view().unwrap().recount().unwrap();
    assert!(recount.is_sound(), "{:?}", recount.mismatches);
}
