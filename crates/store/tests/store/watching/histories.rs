//! Random histories of a store and a peer of it, and mirrors of the store that follow in parts and are resumed at every one.

use proptest::prelude::*;

use syncline_crdt::{Delta, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{Config, Durability, Engine, Incoming, Listener, Store, StoreError, Table};

use crate::harness::*;
use crate::mirror::Mirror;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A transaction here (0) or at the peer, whose delta may be delivered later.
    Write {
        at: usize,
        durable: bool,
        edits: Vec<(u8, Option<u8>)>,
    },
    Deliver {
        at: usize,
        delta: prop::sample::Index,
    },
    /// All that lives there and is unknown here, then the context: removals are yet to be found.
    Pull {
        part: usize,
    },
    /// Rows of a session that breaks.
    Broken {
        rows: usize,
    },
    /// A whole session to here (0) or to the peer.
    Sync {
        to: usize,
    },
    Withdraw {
        key: u8,
    },
    Reopen,
    /// Loses what was not synced.
    Crash,
    Follow {
        mirror: usize,
        listening: bool,
        max_bytes: usize,
        max_rows: usize,
        times: usize,
    },
}

const MIRRORS: usize = 4;

pub(super) fn step() -> impl Strategy<Value = Step> {
    let edits = || prop::collection::vec((0u8..12, prop::option::weighted(0.6, any::<u8>())), 1..6);
    prop_oneof![
        6 => (0..2usize, any::<bool>(), edits())
            .prop_map(|(at, durable, edits)| Step::Write { at, durable, edits }),
        3 => (0..2usize, any::<prop::sample::Index>())
            .prop_map(|(at, delta)| Step::Deliver { at, delta }),
        2 => (1usize..5).prop_map(|part| Step::Pull { part }),
        1 => (1usize..4).prop_map(|rows| Step::Broken { rows }),
        2 => (0..2usize).prop_map(|to| Step::Sync { to }),
        1 => (0u8..12).prop_map(|key| Step::Withdraw { key }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        8 => (0..MIRRORS, any::<bool>(), 1usize..300, 1usize..5, 1usize..4).prop_map(
            |(mirror, listening, max_bytes, max_rows, times)| {
                Step::Follow { mirror, listening, max_bytes, max_rows, times }
            }
        ),
    ]
}

fn key(n: u8) -> RowKey {
    let user = [b'u', n / 4];
    match n % 4 {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, b"f"),
        2 => RowKey::member(&user, &[n]),
        _ => RowKey::member(&user, b""),
    }
}

struct World<H: Harness> {
    harness: H,
    departure_bytes: u64,
    store: Option<Store<H::Engine>>,
    mirrors: Vec<Mirror>,
    listeners: Vec<Option<Listener>>,
}

impl<H: Harness> World<H> {
    fn new(departure_bytes: u64) -> Self {
        let range = |n: usize| match n % 2 {
            0 => KeyRange::ALL,
            _ => KeyRange::prefix(&RowKey::user_prefix(&[b'u', 1])),
        };
        let mut world = Self {
            harness: H::new(),
            departure_bytes,
            store: None,
            mirrors: (0..MIRRORS).map(|n| Mirror::new(range(n))).collect(),
            listeners: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let config = Config {
            departure_bytes: self.departure_bytes,
            ..config()
        };
        let store = Store::open(self.harness.mount(), config).unwrap();
        let ranges = self.mirrors.iter().map(|mirror| mirror.range.clone());
        self.listeners = ranges.map(|range| Some(store.listen(range))).collect();
        self.store = Some(store);
    }

    fn store(&self) -> &Store<H::Engine> {
        self.store.as_ref().unwrap()
    }

    fn withdraw(&mut self, key: &RowKey) {
        if self.store().view().unwrap().get(key).unwrap().is_none() {
            return;
        }
        self.store = None;
        let mut value = stored(&self.harness, key);
        *value.last_mut().unwrap() ^= 1;
        self.harness
            .tamper(|batch| batch.put(Table::Rows, key.as_bytes(), &value));
        self.open();
        self.store().withdraw(std::slice::from_ref(key)).unwrap();
    }
}

fn write<E: Engine>(store: &Store<E>, edits: &[(u8, Option<u8>)], durability: Durability) -> Delta {
    let written = store.transact(durability, |txn| {
        for (at, edit) in edits {
            match edit {
                Some(value) if value % 3 == 0 => txn
                    .put_superseding(&key(*at), vec![*value], &[])
                    .map(drop)?,
                Some(value) => txn.put(&key(*at), vec![*value]).map(drop)?,
                None => txn.remove(&key(*at)).map(drop)?,
            }
        }
        Ok::<_, StoreError>(())
    });
    written.unwrap().1
}

pub(super) fn run<H: Harness>(steps: &[Step], departure_bytes: u64) {
    let mut world = World::<H>::new(departure_bytes);
    let there = Memory::new().open();
    let mut wire: Vec<Delta> = Vec::new();
    for step in steps {
        match step {
            Step::Write { at, durable, edits } => {
                let durability = match durable {
                    true => Durability::Durable,
                    false => Durability::Memory,
                };
                let delta = match at {
                    0 => write(world.store(), edits, durability),
                    _ => write(&there, edits, durability),
                };
                // A peer is told of nothing that a crash could still take back.
                if *at == 1 || *durable {
                    wire.push(delta);
                }
            }
            Step::Deliver { at, delta } if !wire.is_empty() => {
                let delta = delta.get(&wire);
                let joined = match at {
                    0 => world.store().join_delta(delta, Durability::Memory),
                    _ => there.join_delta(delta, Durability::Memory),
                };
                joined.unwrap();
            }
            Step::Deliver { .. } => {}
            Step::Pull { part } => pull(&there, world.store(), *part),
            Step::Broken { rows: count } => {
                let view = there.view().unwrap();
                let some = rows(&view).into_iter().take(*count).collect();
                let incoming = Incoming {
                    rows: some,
                    ..Incoming::from_peer(view.context())
                };
                world.store().join(incoming, Durability::Memory).unwrap();
            }
            Step::Sync { to: 0 } => sync(&there, world.store()),
            Step::Sync { .. } => {
                world.store().flush().unwrap();
                sync(world.store(), &there);
            }
            Step::Withdraw { key: n } => world.withdraw(&key(*n)),
            Step::Reopen => {
                world.store().flush().unwrap();
                world.store = None;
                world.open();
            }
            Step::Crash => {
                world.harness.crash();
                std::mem::forget(world.store.take());
                world.open();
            }
            Step::Follow {
                mirror,
                listening,
                max_bytes,
                max_rows,
                times,
            } => {
                let listener = world.listeners[*mirror].as_mut().filter(|_| *listening);
                let mut listener = listener;
                let store = world.store.as_ref().unwrap();
                for _ in 0..*times {
                    let listener = listener.as_deref_mut();
                    world.mirrors[*mirror].step(store, listener, *max_bytes, *max_rows);
                }
            }
        }
        assert_sound(world.store());
    }
    let store = world.store.as_ref().unwrap();
    for (mirror, listener) in world.mirrors.iter_mut().zip(&mut world.listeners) {
        while !mirror.step(store, listener.as_mut(), 100, 3) {}
    }
}

/// All that lives there and is unknown here, in parts, then the context: removals are yet to be found.
pub(super) fn pull<E: Engine, F: Engine>(from: &Store<E>, to: &Store<F>, part: usize) {
    let start_view = from.view().unwrap();
    let start = start_view.context().clone();
    let peer = to.view().unwrap().context().clone();
    let mut after = None;
    loop {
        let additions = start_view
            .lacking(&start_view, &peer, after, usize::MAX, part)
            .unwrap();
        let learned = match additions.frontier {
            _ if additions.complete => start.clone(),
            Some(frontier) => start.up_to(frontier),
            None => context([]),
        };
        let incoming = Incoming {
            rows: additions.rows,
            learned,
            ..Incoming::from_peer(&start)
        };
        to.join(incoming, Durability::Memory).unwrap();
        after = additions.frontier;
        if additions.complete {
            break;
        }
    }
}
