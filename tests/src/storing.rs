//! Store operations against a model: transactions, joins, withdrawals and scrubs, of every durability, with the process or the machine
//! dying in between, on the engine in memory with a log before it and without. The fuzz target `store` and a test run the same.
//!
//! The model is a map for each commit. After a death the store must be what one of the commits left: the last one that was promised to
//! survive it, or a later one, and never a part of any.

use std::collections::BTreeMap;

use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{
    Config, Durability, Engine, Incoming, LogOptions, LoggedEngine, MemoryDisk, MemoryEngine,
    Scrub, Store, StoreError,
};

use crate::payload::payload;
use crate::rng::{Bytes, Choices};

/// What the rows are to show.
type Rows = BTreeMap<RowKey, Vec<u8>>;

/// How a disk is opened.
type Mount<E> = fn(&MemoryDisk) -> E;

/// A log that is synced only when it must be, so that a death loses all that it may, and applied often.
const LOG: LogOptions = LogOptions {
    sync_interval: std::time::Duration::from_secs(3_600),
    max_unapplied_bytes: 4 << 10,
    apply_interval: std::time::Duration::from_secs(3_600),
};

/// Runs the operations that the bytes stand for, on one of the engines. Panics if the store is not what it should be.
pub fn storing(data: &[u8]) {
    match data.split_first() {
        Some((0..128, rest)) => World::<MemoryEngine>::new(|disk| disk.mount().unwrap()).run(rest),
        Some((_, rest)) => {
            World::<LoggedEngine<MemoryEngine>>::new(|disk| disk.mount_logged(LOG).unwrap())
                .run(rest);
        }
        None => {}
    }
}

struct World<E: Engine> {
    disk: MemoryDisk,
    mount: Mount<E>,
    store: Option<Store<E>>,
    /// Another replica, which writes keys of its own and never dies.
    peer: Store<MemoryEngine>,
    peers_rows: Rows,
    /// What each commit left, the last of them the present.
    commits: Vec<Rows>,
    /// Which of them survives the end of the process, and of the machine, at least.
    written: usize,
    synced: usize,
    scrub: Scrub,
}

impl<E: Engine> World<E> {
    fn new(mount: Mount<E>) -> Self {
        let disk = MemoryDisk::new();
        let store = open(mount(&disk));
        store.flush().unwrap();
        Self {
            disk,
            mount,
            store: Some(store),
            peer: open(MemoryEngine::new()),
            peers_rows: Rows::new(),
            commits: vec![Rows::new()],
            written: 0,
            synced: 0,
            scrub: Scrub::new(),
        }
    }

    fn run(mut self, data: &[u8]) {
        let mut choices = Bytes::new(data);
        let mut operations = 0;
        while !choices.is_empty() && operations < 200 {
            operations += 1;
            match choices.below(16) {
                0..6 => self.write(&mut choices),
                6 | 7 => self.write_at_the_peer(&mut choices),
                8 | 9 => self.join(&mut choices),
                10 => self.flush(),
                11 => self.withdraw(&mut choices),
                12 | 13 => self.scrub(&mut choices),
                14 => self.die(choices.chance(50)),
                _ => self.fail(&mut choices),
            }
            self.check();
        }
        self.die(choices.chance(50));
        let recount = self.store().view().unwrap().recount().unwrap();
        assert!(recount.is_sound(), "{:#?}", recount.mismatches);
    }

    fn store(&self) -> &Store<E> {
        self.store
            .as_ref()
            .expect("it is opened again after each death")
    }

    fn check(&self) {
        assert_eq!(shown(self.store()), self.commits[self.commits.len() - 1]);
    }

    /// Notes what a commit left, and what it promised.
    fn committed(&mut self, rows: Rows, durability: Durability) {
        self.commits.push(rows);
        let last = self.commits.len() - 1;
        match durability {
            Durability::Memory => {}
            Durability::Buffered => self.written = last,
            Durability::Durable => (self.written, self.synced) = (last, last),
        }
    }

    fn write(&mut self, choices: &mut Bytes<'_>) {
        let durability = durability(choices);
        let edits = edits(b'a', choices);
        write(self.store(), &edits, durability).unwrap();
        let mut rows = self.commits[self.commits.len() - 1].clone();
        apply(&edits, &mut rows);
        self.committed(rows, durability);
    }

    fn fail(&mut self, choices: &mut Bytes<'_>) {
        let edits = edits(b'a', choices);
        let failed = self.store().transact(Durability::Durable, |txn| {
            for (key, value) in &edits {
                txn.put(key, value.clone().unwrap_or_default())?;
            }
            Err::<(), _>(StoreError::TooManyRows)
        });
        assert!(failed.is_err());
    }

    fn write_at_the_peer(&mut self, choices: &mut Bytes<'_>) {
        let edits = edits(b'p', choices);
        write(&self.peer, &edits, Durability::Memory).unwrap();
        apply(&edits, &mut self.peers_rows);
    }

    /// A session in one step: all that the peer holds, with what it has seen.
    fn join(&mut self, choices: &mut Bytes<'_>) {
        let durability = durability(choices);
        let view = self.peer.view().unwrap();
        let incoming = Incoming {
            rows: view.scan(&KeyRange::ALL).map(Result::unwrap).collect(),
            covers: Some(KeyRange::ALL),
            learned: view.context().clone(),
            ..Incoming::from_peer(view.context())
        };
        self.store().join(incoming, durability).unwrap();
        let mut rows = self.commits[self.commits.len() - 1].clone();
        rows.retain(|key, _| key.user_key()[0] == b'a');
        rows.extend(self.peers_rows.clone());
        self.committed(rows, durability);
    }

    fn flush(&mut self) {
        self.store().flush().unwrap();
        (self.written, self.synced) = (self.commits.len() - 1, self.commits.len() - 1);
    }

    /// Sound rows are not withdrawn, nor are absent ones.
    fn withdraw(&mut self, choices: &mut Bytes<'_>) {
        let keys = [key(b'a', choices), key(b'p', choices)];
        let withdrawn = self.store().withdraw(&keys).unwrap();
        assert_eq!((withdrawn.rows, withdrawn.dots), (0, 0));
        self.flush();
    }

    fn scrub(&mut self, choices: &mut Bytes<'_>) {
        let entries = 1 + choices.below(30);
        let store = self
            .store
            .as_ref()
            .expect("it is opened again after each death");
        let step = self.scrub.step(store, entries, usize::MAX).unwrap();
        assert!(self.scrub.report().is_clean(), "{:#?}", self.scrub.report());
        if choices.chance(30) {
            self.scrub.save(store).unwrap();
        }
        if step.finished {
            self.scrub = Scrub::new();
        }
    }

    /// The process ends, or the machine.
    fn die(&mut self, machine: bool) {
        match machine {
            true => self.disk.crash(),
            false => self.disk.kill(),
        }
        drop(self.store.take());
        let store = open((self.mount)(&self.disk));
        let found = shown(&store);
        let promised = if machine { self.synced } else { self.written };
        let survivor = self.commits[promised..]
            .iter()
            .rposition(|rows| *rows == found);
        let survivor =
            survivor.expect("what is there, a commit has left that was promised or came later");
        self.commits.truncate(promised + survivor + 1);
        store.flush().unwrap();
        (self.written, self.synced) = (self.commits.len() - 1, self.commits.len() - 1);
        self.scrub = Scrub::resume(&store).unwrap();
        self.store = Some(store);
    }
}

fn open<E: Engine>(engine: E) -> Store<E> {
    Store::open(engine, Config::new("app", [7; 32])).unwrap()
}

fn durability(choices: &mut Bytes<'_>) -> Durability {
    *choices.pick(&[
        Durability::Memory,
        Durability::Buffered,
        Durability::Durable,
    ])
}

fn key(owner: u8, choices: &mut Bytes<'_>) -> RowKey {
    let user = [owner, choices.below(8) as u8];
    match choices.below(4) {
        0 => RowKey::cell(&user),
        1 => RowKey::field(&user, b"f"),
        2 => RowKey::score(&user, &[choices.below(4) as u8]),
        _ => RowKey::member(&user, &[choices.below(4) as u8]),
    }
}

/// Puts and removals of a transaction.
fn edits(owner: u8, choices: &mut Bytes<'_>) -> Vec<(RowKey, Option<Vec<u8>>)> {
    let edit = |choices: &mut Bytes<'_>| {
        let key = key(owner, choices);
        let len = choices.below(40);
        let value = choices.chance(70).then(|| payload(&key, len, choices));
        (key, value)
    };
    (0..1 + choices.below(5)).map(|_| edit(choices)).collect()
}

fn apply(edits: &[(RowKey, Option<Vec<u8>>)], rows: &mut Rows) {
    for (key, value) in edits {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

fn write<E: Engine>(
    store: &Store<E>,
    edits: &[(RowKey, Option<Vec<u8>>)],
    durability: Durability,
) -> Result<(), StoreError> {
    let written = store.transact(durability, |txn| {
        for (key, value) in edits {
            match value {
                Some(value) => txn.put(key, value.clone()).map(drop)?,
                None => txn.remove(key).map(drop)?,
            }
        }
        Ok::<_, StoreError>(())
    });
    written.map(drop)
}

/// What the rows show. Only one replica writes each key, so none has siblings.
fn shown<E: Engine>(store: &Store<E>) -> Rows {
    let view = store.view().unwrap();
    let rows = view.scan(&KeyRange::ALL).map(|row| {
        let (key, row) = row.unwrap();
        assert_eq!(row.len(), 1);
        let value = row.winner().unwrap().payload.clone();
        (key, value)
    });
    rows.collect()
}
