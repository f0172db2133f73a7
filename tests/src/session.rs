//! Fuzz body `session`: a live session of a store with a peer that says anything.
//!
//! The peer is an honest one whose frames are dropped, doubled, reordered and damaged on the way, and beside it one that makes
//! frames up. Whatever it says: no panic, no endless talk, a store that agrees with a recount of itself and goes on working, and rows
//! whose dots the peer has never named are as they were. (A member that names them can remove them; that is what removal is.)

mod script;

use std::sync::{Arc, OnceLock};

use syncline_crdt::{Canonical, Context, Dot, ReplicaId, Row, RowKey, Siblings, Stamp};
use syncline_store::{Config, Durability, Environment, Incoming, MemoryEngine, Store, StoreError};
use syncline_sync::frame::MAX_FRAME;
use syncline_sync::{Opening, Request, Session, Strategy};

use crate::cluster::{NAMESPACE, SECRET};
use crate::link::{Link, config};
use crate::rng::{Bytes, Choices, Rng};
use script::Script;

type Memory = Store<MemoryEngine>;

/// Of the rows that must not be touched.
const UNTOUCHED: [u8; 16] = *b"\xf3untouched-rows\x9c";
/// Of rows that both sides have.
const COMMON: [u8; 16] = [0x11; 16];
/// Of the peer's own.
const PEER: [u8; 16] = [0x22; 16];

/// More frames than a session over so few rows can need.
const MAX_FRAMES: usize = 2_000;
const BATCH_BYTES: usize = 400;

/// Time stands still, and entropy repeats; every store is one of a kind by its wall clock.
struct Still(u64);

impl Environment for Still {
    fn wall_ms(&self) -> u64 {
        self.0
    }

    fn entropy(&self) -> [u8; 10] {
        [0; 10]
    }
}

fn store(number: u64) -> Memory {
    let mut config = Config::new(NAMESPACE, SECRET);
    config.environment = Arc::new(Still(number));
    Store::open(MemoryEngine::new(), config).unwrap()
}

fn key(n: u8) -> RowKey {
    RowKey::member(b"set", &[n])
}

/// Rows of one replica, at these keys.
fn rows(replica: [u8; 16], keys: impl Iterator<Item = u8>) -> Vec<(RowKey, Row)> {
    let row = |(n, at): (usize, u8)| {
        let dot = Dot::new(ReplicaId::from_bytes(replica), n as u64 + 1);
        (
            key(at),
            Siblings::one(dot, Stamp::new(n as u64, 0), vec![at]),
        )
    };
    keys.enumerate().map(row).collect()
}

fn load(store: &Memory, rows: Vec<(RowKey, Row)>) {
    let context: Context = rows
        .iter()
        .flat_map(|(_, row)| row.dots().collect::<Vec<_>>())
        .collect();
    let incoming = Incoming {
        rows,
        ..Incoming::from_peer(&context)
    };
    store.join(incoming, Durability::Durable).unwrap();
}

fn untouched() -> Vec<(RowKey, Row)> {
    rows(UNTOUCHED, (5..30).step_by(10))
}

/// The store that is spoken to.
fn victim() -> Memory {
    let store = store(1);
    load(&store, [rows(COMMON, 0..24), untouched()].concat());
    let remove = |txn: &mut syncline_store::Transaction<'_, _>| {
        txn.remove(&key(2))?;
        txn.put(&key(26), b"new".to_vec())?;
        txn.put(&key(3), b"changed".to_vec())
    };
    store
        .transact::<_, StoreError>(Durability::Durable, remove)
        .unwrap();
    store
}

/// An honest replica that lacks some of it and has some more.
fn honest() -> Memory {
    let store = store(2);
    load(&store, [rows(COMMON, 0..22), rows(PEER, 50..53)].concat());
    store
        .transact(Durability::Durable, |txn| txn.remove(&key(7)))
        .unwrap();
    store
}

/// One conversation, as the bytes say.
///
/// # Panics
/// When the peer does harm.
pub fn session(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let mut talk = Talk::new(&mut choices);
    while !choices.is_empty() && talk.step(&mut choices) {}
    talk.verify();
}

struct Talk {
    victim: Memory,
    /// Gone once it has failed, or one has failed it.
    session: Option<Session<Memory>>,
    /// What the session answers to, while the peer has not greeted.
    listening: bool,
    honest: Option<Session<Memory>>,
    /// Whether there is an honest peer at all, and whether all is healed with one in the end. Both take most of the time.
    with_honest: bool,
    heals: bool,
    /// Frames of the honest peer that are on their way.
    on_the_way: Vec<Vec<u8>>,
    script: Script,
    /// Everything that the victim was sent.
    heard: Vec<u8>,
    untouched: Vec<(RowKey, Row)>,
    flight: u64,
    frames: usize,
}

impl Talk {
    fn new(choices: &mut Bytes<'_>) -> Self {
        let victim = victim();
        let view = victim.view().unwrap();
        let own = view
            .context()
            .replicas()
            .find(|id| ![COMMON, UNTOUCHED].contains(id.as_bytes()));
        let replicas = [COMMON, PEER, [0x33; 16]]
            .map(ReplicaId::from_bytes)
            .into_iter()
            .chain(own)
            .collect::<Vec<_>>();
        let mut context = Context::new();
        for _ in 0..choices.below(4) {
            let start = choices.below(8) as u64;
            let end = if choices.chance(10) {
                u64::MAX
            } else {
                start + choices.below(40) as u64
            };
            context.insert_range(*choices.pick(&replicas), start, end);
        }
        let script = Script {
            context,
            root: view.root().unwrap(),
            keys: (0..56)
                .step_by(5)
                .map(key)
                .chain([RowKey::cell(b""), RowKey::cell(b"set\0")])
                .collect(),
            replicas,
            walks: Vec::new(),
        };
        let strategy = Strategy::ALL[choices.below(5)];
        let request = Request::new([3; 16]).by(strategy);
        let (listening, with_honest, heals) =
            (choices.chance(50), choices.chance(60), !choices.chance(90));
        let begin = |store, node| {
            Session::initiate(store, config(NAMESPACE, node, BATCH_BYTES), request).ok()
        };
        let (session, honest) = match (listening, with_honest) {
            (true, true) => (None, begin(honest(), 2)),
            (true, false) => (None, None),
            (false, _) => (begin(victim.clone(), 1), None),
        };
        Self {
            untouched: untouched(),
            victim,
            session,
            listening,
            honest,
            with_honest,
            heals,
            on_the_way: Vec::new(),
            script,
            heard: Vec::new(),
            flight: 1,
            frames: 0,
        }
    }

    /// Something happens. Returns whether anything more can.
    fn step(&mut self, choices: &mut Bytes<'_>) -> bool {
        self.hear_out();
        match choices.below(16) {
            // What the honest peer has to say, in order and unharmed, as far as it goes.
            0..8 => {
                self.let_honest_speak();
                if !self.on_the_way.is_empty() {
                    let frame = self.on_the_way.remove(0);
                    self.tell(&frame);
                }
            }
            8 if !self.on_the_way.is_empty() => {
                let at = choices.below(self.on_the_way.len());
                let mut frame = self.on_the_way.remove(at);
                script::damage(&mut frame, choices);
                self.tell(&frame);
            }
            9 if !self.on_the_way.is_empty() => {
                let frame = self.on_the_way[0].clone();
                self.tell(&frame);
            }
            10 => {
                // Somebody writes meanwhile.
                let key = key(choices.below(60) as u8);
                let write =
                    |txn: &mut syncline_store::Transaction<'_, _>| match key.field_bytes()[0] % 2 {
                        _ if self
                            .untouched
                            .iter()
                            .any(|(untouched, _)| *untouched == key) =>
                        {
                            Ok(())
                        }
                        0 => txn.remove(&key).map(drop),
                        _ => txn.put(&key, b"meanwhile".to_vec()).map(drop),
                    };
                self.victim
                    .transact::<_, StoreError>(Durability::Memory, write)
                    .unwrap();
            }
            11 => {
                let len = choices.below(100);
                let frame = choices.take(len).to_vec();
                self.tell(&frame);
            }
            12 => {
                let asks = self.listening;
                let frame = self.script.greeting(asks, choices);
                self.tell(&frame);
            }
            _ => {
                let frame = self.script.frame(self.flight, choices);
                self.tell(&frame);
            }
        }
        self.session.is_some() || self.listening
    }

    /// The victim is told a frame.
    fn tell(&mut self, frame: &[u8]) {
        self.heard.extend_from_slice(frame);
        if self.listening {
            self.listening = false;
            let config = config(NAMESPACE, 1, BATCH_BYTES);
            let session = Opening::read(frame)
                .and_then(|opening| Session::respond(self.victim.clone(), config, opening));
            self.session = session.ok();
        } else if let Some(session) = &mut self.session
            && let Err(error) = session.handle_frame(frame)
        {
            // What it tells the peer for a farewell can be sent.
            if let Some(farewell) = error.farewell() {
                assert!(
                    syncline_sync::frame::refusal(farewell).len()
                        < 2 * syncline_sync::Refusal::MAX_TEXT
                );
            }
            self.session = None;
        }
        self.hear_out();
    }

    /// The victim says all that it has to say.
    fn hear_out(&mut self) {
        while let Some(session) = &mut self.session {
            let frame = match session.poll_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => {
                    self.session = None;
                    return;
                }
            };
            self.frames += 1;
            assert!(
                self.frames < MAX_FRAMES,
                "the session does not stop talking"
            );
            assert!(frame.len() <= MAX_FRAME);
            self.flight = self.flight.max(u64::from(frame[0] & 0x7f) + 1);
            if frame.get(1) == Some(&6) {
                let mut input = syncline_crdt::Input::new(&frame[2..]);
                self.script.walks.extend(Vec::decode(&mut input));
            }
            self.tell_honest(&frame);
        }
    }

    fn tell_honest(&mut self, frame: &[u8]) {
        if self.with_honest && self.honest.is_none() && self.frames == 1 {
            let config = config(NAMESPACE, 2, BATCH_BYTES);
            self.honest = Opening::read(frame)
                .and_then(|opening| Session::respond(honest(), config, opening))
                .ok();
        } else if self
            .honest
            .as_mut()
            .is_some_and(|honest| honest.handle_frame(frame).is_err())
        {
            self.honest = None;
        }
    }

    fn let_honest_speak(&mut self) {
        while let Some(honest) = &mut self.honest {
            match honest.poll_frame() {
                Ok(Some(frame)) => self.on_the_way.push(frame),
                Ok(None) => return,
                Err(_) => self.honest = None,
            }
        }
    }

    fn verify(self) {
        let view = self.victim.view().unwrap();
        let recount = view.recount().unwrap();
        assert!(recount.is_sound(), "{:?}", recount.mismatches);
        // Either names the dots of those rows: their replica's id, or our whole context by its hash.
        static CONTEXT: OnceLock<[u8; 32]> = OnceLock::new();
        let hash = CONTEXT.get_or_init(|| {
            *blake3::hash(&victim().view().unwrap().context().to_bytes()).as_bytes()
        });
        let named = [&UNTOUCHED[..], &hash[..16]]
            .into_iter()
            .any(|name| self.heard.windows(name.len()).any(|heard| heard == name));
        for (key, row) in self.untouched.iter().filter(|_| !named) {
            let now = view.get(key).unwrap().unwrap_or_default();
            assert!(
                row.iter()
                    .all(|sibling| now.get(&sibling.dot) == Some(sibling)),
                "{key:?} was touched"
            );
        }
        // It goes on working: writes under dots of its own, and heals with an honest peer.
        let put = |txn: &mut syncline_store::Transaction<'_, _>| {
            Ok::<_, StoreError>([
                txn.put(&key(60), Vec::new())?,
                txn.put(&key(61), Vec::new())?,
            ])
        };
        let (dots, _) = self.victim.transact(Durability::Durable, put).unwrap();
        assert!(dots.iter().all(|dot| !view.context().contains(dot)) && dots[0] != dots[1]);
        if !self.heals {
            return;
        }
        let other = honest();
        for salt in 0..2 {
            let mut link = Link::open(
                self.victim.clone(),
                other.clone(),
                NAMESPACE,
                Request::new([salt; 16]),
                1 << 16,
            )
            .unwrap();
            link.run(&mut Rng::new(0)).unwrap();
            assert!(
                link.reports().iter().all(|report| report.agreed),
                "it does not agree with an honest peer"
            );
        }
        for store in [&self.victim, &other] {
            assert!(store.view().unwrap().recount().unwrap().is_sound());
        }
    }
}
