//! The kill test: a process that writes to two stores and syncs them is killed at random instants, again and again.
//!
//! After each kill: what was acknowledged as buffered or durable is there, no dot names two things, the stores agree with a recount of themselves,
//! and a session heals them to what the operations come to.
//!
//! The process is this test binary, started again. It tells on its standard output what it is about to commit, and what was
//! acknowledged. The instants are as random as the scheduler; all else follows from the seed of each round.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use syncline_crdt::{Canonical, Context, Dot, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    Config, Durability, LogOptions, LoggedEngine, RedbOptions, Store, StoreError,
};
use syncline_sync::{Request, Strategy};
use syncline_tests::link::Link;
use syncline_tests::payload::payload;
use syncline_tests::reference::{Operation, Reference};
use syncline_tests::rng::{Choices, Rng};

const ROUNDS: u64 = 25;
const KEYS: usize = 40;
const NAMES: [&str; 2] = ["a.store", "b.store"];
const NAMESPACE: &str = "kill";
/// Tells the child where the stores are, and its seed.
const DIRECTORY: &str = "SYNCLINE_KILL_DIRECTORY";
const SEED: &str = "SYNCLINE_KILL_SEED";

type Durable = Store<LoggedEngine>;

fn open(directory: &Path, name: &str) -> Durable {
    let options = RedbOptions {
        cache_bytes: 4 << 20,
    };
    // Little, so that the kill comes at any moment of a group on its way to the tables, too.
    let log = LogOptions {
        max_unapplied_bytes: 100_000,
        ..LogOptions::default()
    };
    let engine = LoggedEngine::open_or_create(directory.join(name), options, log).unwrap();
    Store::open(engine, Config::new(NAMESPACE, [9; 32])).unwrap()
}

/// The process that is killed. As a test by itself it does nothing.
#[test]
fn child() {
    let (Ok(directory), Ok(seed)) = (env::var(DIRECTORY), env::var(SEED)) else {
        return;
    };
    let seed: u64 = seed.parse().unwrap();
    let [a, b] = NAMES.map(|name| open(Path::new(&directory), name));
    thread::scope(|scope| {
        scope.spawn(|| write(0, &a, Rng::new(seed)));
        scope.spawn(|| write(1, &b, Rng::new(seed + 1)));
        scope.spawn(|| sync(&a, &b, Rng::new(seed + 2)));
    });
}

/// Says a line in one piece, also when several threads speak.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Writes until killed.
fn write(at: usize, store: &Durable, mut rng: Rng) {
    for number in 0.. {
        let durability = [
            Durability::Memory,
            Durability::Buffered,
            Durability::Durable,
        ][rng.below(3)];
        let operation = |txn: &mut syncline_store::Transaction<'_, _>| {
            let mut operation = Operation {
                writes: Vec::new(),
                superseded: Vec::new(),
            };
            for _ in 0..1 + rng.below(4) {
                let member = [rng.below(KEYS) as u8];
                let key = match rng.chance(50) {
                    true => RowKey::member(b"set", &member),
                    false => RowKey::score(b"game", &member),
                };
                operation
                    .superseded
                    .extend(txn.get(&key)?.unwrap_or_default().dots());
                if rng.chance(25) {
                    txn.remove(&key)?;
                } else {
                    let len = rng.below(200);
                    let payload = payload(&key, len, &mut rng);
                    operation
                        .writes
                        .push((key.clone(), txn.put(&key, payload.clone())?, payload));
                }
            }
            // Before the commit, so that nothing can be in the store that was not told.
            say(&format!(
                "operation {at} {number} {}",
                hex(&encode(&operation))
            ));
            Ok::<_, StoreError>(())
        };
        store.transact(durability, operation).unwrap();
        say(&format!("done {at} {number} {durability:?}"));
    }
}

/// Syncs until killed.
fn sync(a: &Durable, b: &Durable, mut rng: Rng) {
    loop {
        let strategy = Strategy::ALL[rng.below(5)];
        let request = Request::new(rng.bytes(16).try_into().unwrap()).by(strategy);
        let mut link = Link::open(a.clone(), b.clone(), NAMESPACE, request, 1 << 10).unwrap();
        link.run(&mut rng).unwrap();
        say("synced");
    }
}

/// What the parent knows.
#[derive(Default)]
struct Witness {
    /// The rows as of the last healing.
    healed: BTreeMap<RowKey, Row>,
    /// What each dot names, from all rounds.
    named: BTreeMap<Dot, (RowKey, Vec<u8>)>,
    operations: u64,
    sessions: u64,
    kept: u64,
}

/// What a round has told: by store, and in the order told.
#[derive(Default)]
struct Told {
    operations: [BTreeMap<u64, Operation<RowKey, Vec<u8>>>; 2],
    /// Operations that must be there: acknowledged as buffered or durable, or before one that was.
    certain: [BTreeSet<u64>; 2],
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut witness = Witness::default();
    let mut rng = Rng::new(1);
    for round in 0..ROUNDS {
        let child = spawn(directory.path(), round * 3);
        let pause = Duration::from_millis(5 + rng.below(300) as u64);
        let told = listen(child, pause, &mut witness);
        for (at, name) in NAMES.iter().enumerate() {
            witness.inspect(at, &open(directory.path(), name), &told);
        }
        witness.heal(directory.path(), &told, &mut rng);
    }
    println!(
        "{} operations, {} of them certain, {} sessions, {ROUNDS} kills",
        witness.operations, witness.kept, witness.sessions
    );
    assert!(
        witness.kept > 0 && witness.sessions > 0,
        "the rounds are too short to show anything"
    );
}

fn spawn(directory: &Path, seed: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what the child says until it is killed, which is after a while, whatever it is doing.
fn listen(mut child: Child, pause: Duration, witness: &mut Witness) -> Told {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let killer = thread::spawn(move || {
        thread::sleep(pause);
        child.kill().unwrap();
        child.wait().unwrap()
    });
    let (mut told, mut line) = (Told::default(), String::new());
    // A line that the kill has cut short does not count.
    while out.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        witness.take(line.trim_end(), &mut told);
        line.clear();
    }
    let status = killer.join().unwrap();
    assert_eq!(status.code(), None, "the child ended by itself");
    told
}

impl Witness {
    fn take(&mut self, line: &str, told: &mut Told) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["operation", at, number, bytes] => {
                let (at, operation) = (at.parse::<usize>().unwrap(), decode(&unhex(bytes)));
                for (key, dot, payload) in &operation.writes {
                    self.name(*dot, key, payload);
                }
                told.operations[at].insert(number.parse().unwrap(), operation);
                self.operations += 1;
            }
            ["done", at, number, durability] => {
                let (at, number) = (at.parse::<usize>().unwrap(), number.parse::<u64>().unwrap());
                if durability != "Memory" {
                    // A commit takes all before it along.
                    told.certain[at] = (0..=number).collect();
                }
            }
            ["synced"] => self.sessions += 1,
            _ => {}
        }
    }

    /// A dot names one thing, for ever.
    fn name(&mut self, dot: Dot, key: &RowKey, payload: &[u8]) {
        let named = self
            .named
            .entry(dot)
            .or_insert_with(|| (key.clone(), payload.to_vec()));
        assert_eq!(
            (&named.0, named.1.as_slice()),
            (key, payload),
            "the dot {dot} was used twice"
        );
    }

    /// A store as the kill has left it.
    fn inspect(&mut self, at: usize, store: &Durable, told: &Told) {
        let view = store.view().unwrap();
        let recount = view.recount().unwrap();
        assert!(recount.is_sound(), "{:?}", recount.mismatches);
        for row in view.scan(&KeyRange::ALL) {
            let (key, row) = row.unwrap();
            for sibling in &row {
                self.name(sibling.dot, &key, &sibling.payload);
            }
        }
        self.kept += told.certain[at].len() as u64;
        for number in &told.certain[at] {
            let operation = &told.operations[at][number];
            let written = operation.writes.iter().map(|(_, dot, _)| dot);
            for dot in written.chain(&operation.superseded) {
                assert!(
                    view.context().contains(dot),
                    "{dot} was acknowledged, and is lost"
                );
            }
            for (key, dot, _) in &operation.writes {
                let row = view.get(key).unwrap().unwrap_or_default();
                let superseded = told
                    .operations
                    .iter()
                    .flat_map(BTreeMap::values)
                    .any(|by| by.superseded.contains(dot));
                assert!(
                    row.get(dot).is_some() || superseded,
                    "{dot} was acknowledged, and is gone from {key:?}"
                );
            }
            for dot in &operation.superseded {
                let key = &self.named[dot].0;
                let row = view.get(key).unwrap().unwrap_or_default();
                assert!(row.get(dot).is_none(), "{dot} is back in {key:?}");
            }
        }
    }

    /// Syncs the stores, and holds both against what the operations come to.
    fn heal(&mut self, directory: &Path, told: &Told, rng: &mut Rng) {
        let [a, b] = NAMES.map(|name| open(directory, name));
        for strategy in [Strategy::Auto, Strategy::Auto] {
            let request = Request::new(rng.bytes(16).try_into().unwrap()).by(strategy);
            let mut link = Link::open(a.clone(), b.clone(), NAMESPACE, request, 1 << 10).unwrap();
            link.run(rng).unwrap();
            assert!(link.reports().iter().all(|report| report.agreed));
        }
        let mut reference = Reference::default();
        let before = self.healed.iter().flat_map(|(key, row)| {
            row.iter()
                .map(|one| (key.clone(), one.dot, one.payload.clone()))
        });
        reference.record(Operation {
            writes: before.collect(),
            superseded: Vec::new(),
        });
        for at in 0..NAMES.len() {
            for (number, operation) in &told.operations[at] {
                let name = reference.record(operation.clone());
                if !told.certain[at].contains(number) {
                    reference.doubt(name);
                }
            }
        }
        let expected = reference.expected();
        for store in [&a, &b] {
            let view = store.view().unwrap();
            self.healed = view.scan(&KeyRange::ALL).collect::<Result<_, _>>().unwrap();
            if let Err(why) = expected.check(&self.healed, view.context()) {
                panic!("{why}");
            }
            assert!(view.recount().unwrap().is_sound());
        }
        assert_eq!(
            a.view().unwrap().root().unwrap(),
            b.view().unwrap().root().unwrap()
        );
        assert_eq!(a.view().unwrap().context(), b.view().unwrap().context());
        self.check_contexts(a.view().unwrap().context());
    }

    /// Nothing live is outside the context, and the context knows each dot that was certain once.
    fn check_contexts(&self, context: &Context) {
        for row in self.healed.values() {
            assert!(row.dots().all(|dot| context.contains(&dot)));
        }
    }
}

fn encode(operation: &Operation<RowKey, Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    (operation.writes.len() as u64).encode(&mut out);
    for (key, dot, payload) in &operation.writes {
        key.encode(&mut out);
        dot.encode(&mut out);
        payload.encode(&mut out);
    }
    operation
        .superseded
        .iter()
        .for_each(|dot| dot.encode(&mut out));
    out
}

fn decode(bytes: &[u8]) -> Operation<RowKey, Vec<u8>> {
    let mut input = syncline_crdt::Input::new(bytes);
    let mut operation = Operation {
        writes: Vec::new(),
        superseded: Vec::new(),
    };
    for _ in 0..u64::decode(&mut input).unwrap() {
        let (key, dot) = (
            RowKey::decode(&mut input).unwrap(),
            Dot::decode(&mut input).unwrap(),
        );
        operation
            .writes
            .push((key, dot, Vec::decode(&mut input).unwrap()));
    }
    while input.remaining() > 0 {
        operation.superseded.push(Dot::decode(&mut input).unwrap());
    }
    operation
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    digits
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
