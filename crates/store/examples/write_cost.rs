//! What it costs to keep digests, dot index, context, sketch and removal log fresh with every
//! commit.
//!
//! Writes rows in batches, one durable commit each, once through a store and once through bare redb
//! with the rows alone, then removes them again, and prints one JSON object: rates, their ratio,
//! where the rest goes, file sizes, bytes written, and how long a store takes to open after its
//! process was killed while it wrote.
//!
//! ```text
//! cargo run --release -p syncline-store --example write_cost -- [--rows N] [--batch N] [--sync-every N]
//!     [--order scattered|ascending] [--cache-mib N] [--dir PATH]
//! ```
//!
//! Keys come scattered over the key space, the hardest case, or ascending. `--sync-every N` makes
//! only every Nth commit durable, as a bootstrap does.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_crdt::{Canonical, Context, Dot, ReplicaId, RowKey, Siblings, Stamp};
use syncline_merkle::DigestKey;
use syncline_merkle::sketch::{Prefix, SketchKey};
use syncline_store::{
    Batch, Config, Durability, Engine, EngineError, EngineSize, Incoming, RedbEngine, RedbOptions,
    RemovalLogBounds, SKETCH_SYMBOLS, Store, StoreError, Table,
};

const SECRET: [u8; 32] = [7; 32];

struct Arguments {
    rows: u64,
    batch: u64,
    sync_every: usize,
    ascending: bool,
    options: RedbOptions,
    directory: PathBuf,
}

fn main() {
    let mut arguments = Arguments {
        rows: 1_000_000,
        batch: 10_000,
        sync_every: 1,
        ascending: false,
        options: RedbOptions::default(),
        directory: std::env::temp_dir(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given
            .next()
            .unwrap_or_else(|| panic!("{name} wants a value"));
        match name.as_str() {
            "--rows" => arguments.rows = value.parse().unwrap(),
            "--batch" => arguments.batch = value.parse().unwrap(),
            "--sync-every" => arguments.sync_every = value.parse().unwrap(),
            "--order" => arguments.ascending = value == "ascending",
            "--cache-mib" => arguments.options.cache_bytes = value.parse::<usize>().unwrap() << 20,
            "--dir" => arguments.directory = value.into(),
            "--write-until-killed" => return write_until_killed(Path::new(&value)),
            other => panic!("{other} is no option; see the head of the source"),
        }
    }
    let directory = tempfile::tempdir_in(&arguments.directory).unwrap();
    let report = measure(&arguments, directory.path());
    println!("{report:#}");
}

fn measure(arguments: &Arguments, directory: &Path) -> Value {
    let Arguments {
        rows,
        batch,
        sync_every,
        ascending,
        options,
        ..
    } = *arguments;
    let count = rows.div_ceil(batch) as usize;
    // The last commit is always durable, so that every run ends with everything on the device.
    let is_durable = |commit: usize| (commit + 1).is_multiple_of(sync_every) || commit + 1 == count;
    let durability = |commit| {
        if is_durable(commit) {
            Durability::Durable
        } else {
            Durability::Memory
        }
    };
    let batches = || {
        (0..rows)
            .step_by(batch as usize)
            .map(|from| from..(from + batch).min(rows))
    };
    let per_row_us = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    let rate = |time: Duration| (rows as f64 / time.as_secs_f64()).round();

    // Bare redb: keys and values as the user has them, with the same batches, sorted as the store
    // sorts them.
    let bare_path = directory.join("bare");
    let engine = RedbEngine::create(&bare_path, options).unwrap();
    let written_before = bytes_written();
    let (mut bare, mut bare_cpu) = (Duration::ZERO, Duration::ZERO);
    for (commit, range) in batches().enumerate() {
        let data: Vec<_> = range.map(|n| (user_key(n, ascending), value(n))).collect();
        let (begun, cpu) = (Instant::now(), cpu_time());
        let mut batch = Batch::new();
        for (key, value) in &data {
            batch.put(Table::Rows, key, value);
        }
        engine.commit(batch, durability(commit)).unwrap();
        bare += begun.elapsed();
        bare_cpu += cpu_time() - cpu;
    }
    let bare_written = bytes_written() - written_before;
    drop(engine);

    // The store, joining rows that it has never seen, in dot order: a bootstrap.
    let path = directory.join("store");
    let (engine, timer) = TimedEngine::new(RedbEngine::create(&path, options).unwrap());
    let store = Store::open(engine, Config::new("bench", SECRET)).unwrap();
    let written_before = bytes_written();
    let (mut staging, mut committing, mut joined_cpu) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    timer.take();
    for (commit, range) in batches().enumerate() {
        let data: Vec<_> = range.map(|n| row(n, ascending)).collect();
        let peer = Context::new();
        let (begun, cpu) = (Instant::now(), cpu_time());
        let mut group = store.group().unwrap();
        group
            .join(Incoming {
                rows: data,
                ..Incoming::from_peer(&peer)
            })
            .unwrap();
        let staged = Instant::now();
        group.commit(durability(commit)).unwrap();
        staging += staged - begun;
        committing += staged.elapsed();
        joined_cpu += cpu_time() - cpu;
    }
    let (engine_time, table_bytes, recorded) = timer.take();
    let joined_written = bytes_written() - written_before;
    assert_eq!(store.view().unwrap().row_count(), rows);
    drop(store);
    let joined = staging + committing;

    // What encoding and digesting the rows takes, choosing fences, and summing up the sketch.
    let digest_key = DigestKey::derive(&SECRET);
    let sketch_key = SketchKey::derive(&SECRET);
    let mut symbols = Prefix::new(SKETCH_SYMBOLS);
    let (mut encoding, mut levels, mut summing) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for range in batches() {
        let data: Vec<_> = range.map(|n| row(n, ascending)).collect();
        let mut bytes = Vec::new();
        let begun = Instant::now();
        for (key, row) in &data {
            bytes.clear();
            row.encode(&mut bytes);
            black_box(digest_key.item(key.as_bytes(), &bytes));
        }
        encoding += begun.elapsed();
        let begun = Instant::now();
        for (key, _) in &data {
            black_box(digest_key.level(key.as_bytes()));
        }
        levels += begun.elapsed();
        let begun = Instant::now();
        for dot in data.iter().flat_map(|(_, row)| row.dots()) {
            let tag = sketch_key.tag(dot.replica.as_bytes());
            symbols.insert(&sketch_key.element(tag, dot.counter));
        }
        black_box(&symbols);
        summing += begun.elapsed();
    }

    // What each table adds to the engine's work: the same batches again, with ever more of their
    // tables.
    let mut replays = Vec::new();
    let tables = [Table::Rows, Table::Dots, Table::Digests, Table::Sketch];
    for count in 1..=tables.len() {
        let path = directory.join(format!("replay{count}"));
        let tables = &tables[..count];
        replays.push(replay(&path, options, &recorded, tables, durability));
    }
    drop(recorded);

    // The store, writing rows of its own.
    let own_path = directory.join("own");
    let own_store = Store::open(
        RedbEngine::create(&own_path, options).unwrap(),
        Config::new("bench", SECRET),
    )
    .unwrap();
    let mut own = Duration::ZERO;
    for (commit, range) in batches().enumerate() {
        let data: Vec<_> = range
            .map(|n| (RowKey::cell(&user_key(n, ascending)), value(n)))
            .collect();
        let begun = Instant::now();
        own_store
            .transact(durability(commit), |txn| {
                data.into_iter()
                    .try_for_each(|(key, value)| txn.put(&key, value).map(drop))
            })
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
        own += begun.elapsed();
    }
    drop(own_store);

    // And removing them, with a log of removals and without.
    let mut removing = [Duration::ZERO; 2];
    for (time, removals) in removing.iter_mut().zip([0, u64::MAX]) {
        let copy = directory.join("removing");
        fs::copy(&own_path, &copy).unwrap();
        let config = Config {
            removal_log: RemovalLogBounds {
                removals,
                bytes: u64::MAX,
            },
            ..Config::new("bench", SECRET)
        };
        let store = Store::open(RedbEngine::open(&copy, options).unwrap(), config).unwrap();
        for (commit, range) in batches().enumerate() {
            let keys: Vec<_> = range
                .map(|n| RowKey::cell(&user_key(n, ascending)))
                .collect();
            let begun = Instant::now();
            store
                .transact(durability(commit), |txn| {
                    keys.iter().try_for_each(|key| txn.remove(key).map(drop))
                })
                .unwrap_or_else(|error: StoreError| panic!("{error}"));
            *time += begun.elapsed();
        }
        assert_eq!(store.view().unwrap().row_count(), 0);
    }

    let user_bytes = rows * (40 + 100);
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    json!({
        "rows": rows,
        "batch": batch,
        "sync_every": sync_every,
        "order": if ascending { "ascending" } else { "scattered" },
        "cache_mib": options.cache_bytes >> 20,
        "bare_rows_per_s": rate(bare),
        "join_rows_per_s": rate(joined),
        "transact_rows_per_s": rate(own),
        "join_to_bare": round(joined.as_secs_f64() / bare.as_secs_f64()),
        "cpu_us_per_row": { "bare": round(per_row_us(bare_cpu)), "join": round(per_row_us(joined_cpu)) },
        "us_per_row": {
            "bare": round(per_row_us(bare)),
            "join": round(per_row_us(joined)),
            "of_it_lookup_and_join": round(per_row_us(staging)),
            "of_it_row_encode_and_digest": round(per_row_us(encoding)),
            "of_it_digest_tree_and_batch": round(per_row_us(committing.saturating_sub(engine_time + encoding))),
            "of_it_engine_commit": round(per_row_us(engine_time)),
            "fence_level": round(per_row_us(levels)),
            "engine_rows": round(per_row_us(replays[0])),
            "engine_dots": round(per_row_us(replays[1]) - per_row_us(replays[0])),
            "engine_digests": round(per_row_us(replays[2]) - per_row_us(replays[1])),
            "engine_sketch": round(per_row_us(replays[3]) - per_row_us(replays[2])),
            "sketch_symbols": round(per_row_us(summing)),
            "remove": round(per_row_us(removing[1])),
            "remove_unlogged": round(per_row_us(removing[0])),
        },
        "batch_bytes_per_row": Table::ALL.iter().zip(table_bytes).map(|(table, bytes)| {
            (table.name().to_owned(), json!(round(bytes as f64 / rows as f64)))
        }).collect::<serde_json::Map<_, _>>(),
        "file_bytes": { "bare": size(&bare_path), "store": size(&path), "own": size(&own_path) },
        "write_amplification": {
            "bare": round(bare_written as f64 / user_bytes as f64),
            "store": round(joined_written as f64 / user_bytes as f64),
        },
        "open_after_kill_ms": open_after_kill(&path, options),
    })
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// 40 bytes: keys that share prefixes.
fn user_key(n: u64, ascending: bool) -> Vec<u8> {
    let scattered = n.wrapping_mul(if ascending {
        1 << 40
    } else {
        0x9e37_79b9_7f4a_7c15
    });
    format!(
        "tenant:{:03}:user:{:016x}:profile",
        scattered >> 54,
        scattered
    )
    .into_bytes()
}

fn value(n: u64) -> Vec<u8> {
    let mut state = n.wrapping_add(1).wrapping_mul(0xd129_0f5a_9d2c_7a31);
    let mut value = Vec::with_capacity(104);
    while value.len() < 100 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_le_bytes());
    }
    value.truncate(100);
    value
}

fn row(n: u64, ascending: bool) -> (RowKey, Siblings<Vec<u8>>) {
    let dot = Dot::new(ReplicaId::from_bytes([1; 16]), n + 1);
    (
        RowKey::cell(&user_key(n, ascending)),
        Siblings::one(dot, Stamp::new(1_700_000_000_000 + n / 50, 0), value(n)),
    )
}

fn replay(
    path: &Path,
    options: RedbOptions,
    recorded: &[Recorded],
    tables: &[Table],
    durability: impl Fn(usize) -> Durability,
) -> Duration {
    let engine = RedbEngine::create(path, options).unwrap();
    let mut time = Duration::ZERO;
    for (number, commit) in recorded.iter().enumerate() {
        let mut batch = Batch::new();
        for (table, key, value) in commit.iter().filter(|(table, ..)| tables.contains(table)) {
            match value {
                Some(value) => batch.put(*table, key, value),
                None => batch.remove(*table, key),
            }
        }
        let begun = Instant::now();
        engine.commit(batch, durability(number)).unwrap();
        time += begun.elapsed();
    }
    time
}

/// Lets a child process write to a copy of the store, kills it, and opens what it left.
fn open_after_kill(path: &Path, options: RedbOptions) -> f64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--write-until-killed")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..5 {
        lines.next().unwrap().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    let engine = RedbEngine::open(path, options).unwrap();
    let store = Store::open(engine, Config::new("bench", SECRET)).unwrap();
    black_box(store.view().unwrap().root().unwrap());
    round(begun.elapsed().as_secs_f64() * 1e3)
}

fn write_until_killed(path: &Path) {
    let engine = RedbEngine::open(path, RedbOptions::default()).unwrap();
    let store = Store::open(engine, Config::new("bench", SECRET)).unwrap();
    for n in 0u64.. {
        store
            .transact(Durability::Durable, |txn| {
                for at in 0..100 {
                    txn.put(&RowKey::cell(&user_key(n * 100 + at, false)), value(n))?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
        println!("{n}");
        std::io::stdout().flush().unwrap();
    }
}

/// Processor time that this process has used, user and system; zero where the system does not tell.
fn cpu_time() -> Duration {
    // utime and stime, in hundredths of a second, are the 14th and 15th fields; the 2nd may contain
    // spaces.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// What this process has caused to be written to devices; 0 where the system does not tell.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(0)
}

type Recorded = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

/// Times and records what the store commits.
struct TimedEngine {
    inner: RedbEngine,
    timer: std::sync::Arc<Timer>,
}

#[derive(Default)]
struct Timer {
    state: Mutex<(Duration, [usize; Table::ALL.len()], Vec<Recorded>)>,
}

impl Timer {
    fn take(&self) -> (Duration, [usize; Table::ALL.len()], Vec<Recorded>) {
        std::mem::take(&mut *self.state.lock().unwrap())
    }
}

impl TimedEngine {
    fn new(inner: RedbEngine) -> (Self, std::sync::Arc<Timer>) {
        let timer = std::sync::Arc::<Timer>::default();
        let engine = Self {
            inner,
            timer: timer.clone(),
        };
        (engine, timer)
    }
}

impl Engine for TimedEngine {
    type Snapshot = <RedbEngine as Engine>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.inner.snapshot()
    }

    fn commit(&self, mut batch: Batch, durability: Durability) -> Result<(), EngineError> {
        let mut bytes = [0; Table::ALL.len()];
        let mut recorded = Vec::new();
        let begun = Instant::now();
        for table in Table::ALL {
            // Sorting is a part of the commit's work; copying is not.
            batch.sorted(table).for_each(drop);
        }
        let sorting = begun.elapsed();
        for table in Table::ALL {
            for (key, value) in batch.sorted(table) {
                bytes[table as usize] += key.len() + value.map_or(0, <[u8]>::len);
                recorded.push((table, key.to_vec(), value.map(<[u8]>::to_vec)));
            }
        }
        let begun = Instant::now();
        let outcome = self.inner.commit(batch, durability);
        let mut state = self.timer.state.lock().unwrap();
        state.0 += sorting + begun.elapsed();
        state
            .1
            .iter_mut()
            .zip(bytes)
            .for_each(|(sum, bytes)| *sum += bytes);
        state.2.push(recorded);
        outcome
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.inner.size()
    }
}
