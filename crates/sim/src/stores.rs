//! Real stores on simulated nodes, and real sessions between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline_crdt::{Canonical, Context, Delta, Input, RowKey};
use syncline_gossip::Rumour;
use syncline_merkle::RangeDigest;
use syncline_store::{Config, Durability, Environment, MemoryEngine, OpenError, Store, StoreError};
use syncline_sync::{Opening, Request, Session, SessionError};

/// A replica on a simulated node.
pub(crate) type Memory = Store<MemoryEngine>;

/// What the clocks of all nodes stand at in the beginning, in Unix milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Keys that are written to, over and over, so that writes of different nodes meet.
const KEYS: u64 = 500;

pub(crate) const NAMESPACE: &str = "simulated";

/// The clock and the entropy of a node.
#[derive(Debug)]
pub(crate) struct Clock {
    ms: AtomicU64,
    drawn: AtomicU64,
    name: u64,
}

impl Clock {
    pub(crate) fn new(seed: u64, node: u32) -> Arc<Self> {
        Arc::new(Self {
            ms: AtomicU64::new(EPOCH_MS),
            drawn: AtomicU64::new(0),
            name: seed << 32 | u64::from(node),
        })
    }

    /// It shows so much, counted from the beginning; ahead of it or behind by the node's skew.
    pub(crate) fn set(&self, now: Duration, skew: f64) {
        let ms = EPOCH_MS as f64 + now.as_secs_f64() * 1e3 + skew * 1e3;
        self.ms.store(ms.max(0.0) as u64, Ordering::Relaxed);
    }

    fn ms(&self) -> u64 {
        self.ms.load(Ordering::Relaxed)
    }
}

impl Environment for Clock {
    fn wall_ms(&self) -> u64 {
        self.ms()
    }

    fn entropy(&self) -> [u8; 10] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut entropy = [0; 10];
        entropy[..8].copy_from_slice(&self.name.to_be_bytes());
        entropy[8..].copy_from_slice(&(drawn as u16).to_be_bytes());
        entropy
    }
}

/// A node's replica.
pub(crate) struct Replica {
    pub(crate) store: Memory,
    pub(crate) clock: Arc<Clock>,
}

impl Replica {
    pub(crate) fn new(seed: u64, node: u32) -> Result<Self, OpenError> {
        let clock = Clock::new(seed, node);
        let config = Config {
            environment: Arc::clone(&clock) as Arc<dyn Environment>,
            ..Config::new(NAMESPACE, [7; 32])
        };
        let store = Store::open(MemoryEngine::new(), config)?;
        Ok(Self { store, clock })
    }

    /// Commits a write, or one time in eight a removal, and gives its rumour.
    pub(crate) fn write(&self, number: u64, payload: usize) -> Result<Option<Rumour>, StoreError> {
        let key = RowKey::cell(format!("key-{}", number * 7 % KEYS).as_bytes());
        let mut group = self.store.group()?;
        let before = group.last_dot();
        let ((), delta) = group.transact(|txn| {
            let is_removed = number % 8 == 7 && txn.remove(&key)?;
            if !is_removed {
                txn.put(&key, vec![1; payload.max(1)])?;
            }
            Ok::<_, StoreError>(())
        })?;
        let last = group.last_dot();
        group.commit(Durability::Memory)?;
        let Some(last) = last.filter(|last| Some(*last) != before) else {
            return Ok(None);
        };
        let first = match before {
            Some(before) if before.replica == last.replica => before.counter + 1,
            Some(_) | None => 1,
        };
        Ok(Rumour::new(
            last.replica,
            first,
            last.counter,
            delta.to_bytes(),
        ))
    }

    /// Joins what a rumour says.
    pub(crate) fn join(&self, rumour: &Rumour) -> Result<(), StoreError> {
        // What we have written ourselves can be read.
        let mut input = Input::new(rumour.payload());
        if let Ok(delta) = Delta::decode(&mut input) {
            self.store.join_delta(&delta, Durability::Memory)?;
        }
        Ok(())
    }

    pub(crate) fn context(&self) -> Result<Context, StoreError> {
        Ok(self.store.view()?.context().clone())
    }

    pub(crate) fn root(&self) -> Result<RangeDigest, StoreError> {
        self.store.view()?.root()
    }

    fn config(&self, node: u32) -> syncline_sync::Config {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&node.to_be_bytes());
        syncline_sync::Config::new([1; 16], name, NAMESPACE, self.clock.ms())
    }
}

/// Sessions under way, by number.
pub(crate) struct Talks {
    talks: BTreeMap<u64, Talk>,
    begun: u64,
    /// How many bytes of rows go into a frame.
    frame_bytes: usize,
}

struct Talk {
    nodes: [u32; 2],
    /// The second has no session until the greeting of the first has come.
    sessions: [Option<Session<Memory>>; 2],
    /// When the last frame to each arrives: a stream keeps its order.
    arrives: [Duration; 2],
    /// Whether a frame of each waits to be sent.
    held: [bool; 2],
}

/// Sessions that a node takes part in at once.
const MAX_TALKS: usize = 4;

/// A frame to be sent: of which session, to which of its sides, and what.
pub(crate) struct Frame {
    pub(crate) talk: u64,
    pub(crate) side: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Talks {
    pub(crate) const fn new(frame_bytes: usize) -> Self {
        Self {
            talks: BTreeMap::new(),
            begun: 0,
            frame_bytes,
        }
    }

    /// Begins a session, unless there is one between the two, or one of them has enough to do.
    pub(crate) fn begin(
        &mut self,
        nodes: [u32; 2],
        replica: &Replica,
        salt: [u8; 16],
    ) -> Result<Option<u64>, SessionError> {
        let of = |node: u32| {
            self.talks
                .values()
                .filter(move |it| it.nodes.contains(&node))
        };
        let is_busy = |node| of(node).count() >= MAX_TALKS;
        if nodes.into_iter().any(is_busy) || of(nodes[0]).any(|it| it.nodes.contains(&nodes[1])) {
            return Ok(None);
        }
        let mut config = replica.config(nodes[0]);
        config.batch_bytes = self.frame_bytes;
        let session = Session::initiate(replica.store.clone(), config, Request::new(salt))?;
        let number = self.begun;
        self.begun += 1;
        let talk = Talk {
            nodes,
            sessions: [Some(session), None],
            arrives: [Duration::ZERO; 2],
            held: [false; 2],
        };
        self.talks.insert(number, talk);
        Ok(Some(number))
    }

    /// The two of a session that is under way: who speaks to a side, and who is on it.
    pub(crate) fn way_to(&self, talk: u64, side: usize) -> Option<(u32, u32)> {
        let nodes = self.talks.get(&talk)?.nodes;
        Some((nodes[1 - side], nodes[side]))
    }

    /// A frame waits until its sender may send it; by whom and to whom. Whoever speaks says nothing more until then.
    pub(crate) fn hold(&mut self, frame: &Frame) -> Option<(u32, u32)> {
        self.talks.get_mut(&frame.talk)?.held[1 - frame.side] = true;
        self.way_to(frame.talk, frame.side)
    }

    /// A frame is sent: by whom and to whom.
    pub(crate) fn sends(&mut self, frame: &Frame) -> Option<(u32, u32)> {
        self.talks.get_mut(&frame.talk)?.held[1 - frame.side] = false;
        self.way_to(frame.talk, frame.side)
    }

    /// Whether a frame of this side waits.
    pub(crate) fn is_held(&self, talk: u64, side: usize) -> bool {
        self.talks.get(&talk).is_some_and(|talk| talk.held[side])
    }

    /// When a frame that could arrive at `at` does: not before those sent earlier.
    pub(crate) fn arrival(&mut self, talk: u64, side: usize, at: Duration) -> Duration {
        let Some(talk) = self.talks.get_mut(&talk) else {
            return at;
        };
        talk.arrives[side] = at.max(talk.arrives[side] + Duration::from_nanos(1));
        talk.arrives[side]
    }

    /// A frame has come.
    pub(crate) fn receive(&mut self, frame: &Frame, replica: &Replica) -> Result<(), SessionError> {
        let Some(talk) = self.talks.get_mut(&frame.talk) else {
            return Ok(());
        };
        if let Some(session) = &mut talk.sessions[frame.side] {
            return session.handle_frame(&frame.bytes);
        }
        let opening = Opening::read(&frame.bytes)?;
        let mut config = replica.config(talk.nodes[frame.side]);
        config.batch_bytes = self.frame_bytes;
        let session = Session::respond(replica.store.clone(), config, opening)?;
        talk.sessions[frame.side] = Some(session);
        Ok(())
    }

    /// The next frame that one side has to send.
    pub(crate) fn poll(&mut self, talk: u64, side: usize) -> Result<Option<Frame>, SessionError> {
        let session = self.talks.get_mut(&talk);
        let Some(session) = session.and_then(|talk| talk.sessions[side].as_mut()) else {
            return Ok(None);
        };
        let side = 1 - side;
        let frame = session.poll_frame()?;
        Ok(frame.map(|bytes| Frame { talk, side, bytes }))
    }

    /// Whether both sides are done.
    pub(crate) fn is_finished(&self, talk: u64) -> bool {
        let is_finished =
            |it: &Option<Session<Memory>>| it.as_ref().is_some_and(Session::is_finished);
        self.talks
            .get(&talk)
            .is_some_and(|talk| talk.sessions.iter().all(is_finished))
    }

    /// A session is over, well or not: who had it.
    pub(crate) fn end(&mut self, talk: u64) -> Option<[u32; 2]> {
        self.talks.remove(&talk).map(|talk| talk.nodes)
    }

    /// Whether a session that is finished has moved nothing.
    pub(crate) fn is_without_news(&self, talk: u64) -> bool {
        let session = self.talks.get(&talk).and_then(|it| it.sessions[0].as_ref());
        session.map(Session::report).is_some_and(|report| {
            report.agreed && report.rows_sent == 0 && report.rows_received == 0
        })
    }

    /// Whoever a node was talking to talks to nobody any more. Who has begun to talk, and with whom.
    pub(crate) fn end_all_of(&mut self, node: u32) -> Vec<[u32; 2]> {
        let mut ended = Vec::new();
        self.talks.retain(|_, talk| {
            let is_over = talk.nodes.contains(&node);
            if is_over {
                ended.push(talk.nodes);
            }
            !is_over
        });
        ended
    }
}
