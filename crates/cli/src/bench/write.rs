//! `syncline bench write`: batched writes with everything kept fresh, beside the bare engine writing the rows alone.
//!
//! The store writes through an engine that hands each commit's batch to further engines, which take fewer and fewer of
//! its tables. So each of them does on the same batches what it takes to keep that much, and the steps between them say
//! where the time goes.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};
use serde::Serialize;
use syncline_crdt::RowKey;
use syncline_store::{
    Batch, Durability, Engine, EngineError, EngineSize, RedbEngine, RedbOptions, Store, StoreError,
    Table as Tables,
};

use super::workload::{self, Rows};
use super::{print, rounded, scratch};
use crate::args::BenchWrite;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::seeded::Seeded;
use crate::table::{Align, Table, bytes, count};

const BARE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    rows_per_commit: u64,
    /// The store's time over that of bare redb.
    ratio_to_bare: f64,
    steps: Vec<Step>,
}

/// What it takes to keep this and all before it.
#[derive(Debug, Serialize)]
struct Step {
    what: &'static str,
    seconds: f64,
    rows_per_second: u64,
    ratio_to_bare: f64,
    file_bytes: u64,
}

pub(super) fn run(arguments: &BenchWrite) -> Result<(), Failure> {
    let size = &arguments.size;
    let rows = Rows {
        count: size.rows,
        seed: size.seed,
    };
    let scratch = scratch()?;
    let order = shuffled(rows);
    let batches = order.len().div_ceil(arguments.batch as usize) as u64;
    let progress = Progress::bar("bare redb", 2 * batches);
    let (bare, bare_bytes) = bare(
        rows,
        &order,
        arguments.batch,
        &scratch.path().join("bare.redb"),
        &progress,
    )?;
    progress.say("the store");
    let ladder = Arc::new(Ladder::new(scratch.path())?);
    let store = store(
        rows,
        &order,
        arguments.batch,
        &ladder,
        scratch.path(),
        &progress,
    )?;
    drop(progress);

    let mut steps = vec![("bare redb: key and value", bare, bare_bytes)];
    let rungs = ladder.rungs.lock().unwrap_or_else(PoisonError::into_inner);
    for rung in rungs.iter() {
        steps.push((rung.what, rung.spent, file_bytes(&rung.engine)?));
    }
    let spent = ladder.spent.lock().unwrap_or_else(PoisonError::into_inner);
    let whole = rungs
        .last()
        .map_or(0, |rung| file_bytes(&rung.engine).unwrap_or(0));
    steps.push((
        "the store: and hashes, dots, digests worked out",
        store.saturating_sub(*spent),
        whole,
    ));
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(what, time, file_bytes)| Step {
            what,
            seconds: rounded(time.as_secs_f64(), 3),
            rows_per_second: (rows.count as f64 / time.as_secs_f64()) as u64,
            ratio_to_bare: rounded(time.as_secs_f64() / bare.as_secs_f64(), 2),
            file_bytes,
        })
        .collect();
    let figures = Figures {
        rows: rows.count,
        rows_per_commit: arguments.batch,
        ratio_to_bare: steps.last().map_or(0.0, |step| step.ratio_to_bare),
        steps,
    };
    print(&figures, size.json)
}

/// Rows come in no order, as writes of many users do; in key order a B-tree is at its best and nothing is learned.
fn shuffled(rows: Rows) -> Vec<u64> {
    let mut random = Seeded::stream(rows.seed, 11);
    let mut order: Vec<u64> = (0..rows.count).collect();
    for last in (1..order.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        order.swap(last, other);
    }
    order
}

/// The engine without anything of ours: rows in, sorted within a batch as ours are, each batch synced.
fn bare(
    rows: Rows,
    order: &[u64],
    batch: u64,
    path: &Path,
    progress: &Progress,
) -> Result<(Duration, u64), Failure> {
    let writing = || "bare redb cannot write".to_owned();
    let mut builder = Database::builder();
    builder.set_cache_size(RedbOptions::default().cache_bytes);
    let database = builder.create(path).doing(writing)?;
    let mut spent = Duration::ZERO;
    for chunk in order.chunks(batch as usize) {
        let mut entries: Vec<_> = chunk
            .iter()
            .map(|&index| (rows.key(index), rows.value(index, 0)))
            .collect();
        let began = Instant::now();
        entries.sort_unstable();
        let mut transaction = database.begin_write().doing(writing)?;
        // As ours: what makes opening after a crash fast is paid with each commit.
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(BARE).doing(writing)?;
            for (key, value) in &entries {
                table
                    .insert(key.as_slice(), value.as_slice())
                    .doing(writing)?;
            }
        }
        transaction.commit().doing(writing)?;
        spent += began.elapsed();
        progress.add(1);
    }
    let length = std::fs::metadata(path).doing(writing)?.len();
    Ok((spent, length))
}

/// The time of the store's transactions, their commits included.
fn store(
    rows: Rows,
    order: &[u64],
    batch: u64,
    ladder: &Arc<Ladder>,
    directory: &Path,
    progress: &Progress,
) -> Result<Duration, Failure> {
    let writing = || "the store cannot write".to_owned();
    let engine =
        RedbEngine::create(directory.join("store.redb"), RedbOptions::default()).doing(writing)?;
    let engine = LadderEngine {
        engine,
        ladder: Arc::clone(ladder),
    };
    let store = Store::open(engine, workload::config()).doing(writing)?;
    let mut spent = Duration::ZERO;
    for chunk in order.chunks(batch as usize) {
        let entries: Vec<_> = chunk
            .iter()
            .map(|&index| {
                (
                    RowKey::cell(&rows.key(index)),
                    workload::payload(rows.value(index, 0)),
                )
            })
            .collect();
        let began = Instant::now();
        let written = store.transact(Durability::Durable, |transaction| {
            for (key, payload) in entries {
                transaction.put(&key, payload)?;
            }
            Ok::<_, StoreError>(())
        });
        written.doing(writing)?;
        spent += began.elapsed();
        progress.add(1);
    }
    Ok(spent)
}

/// Engines that each take some of the tables of every batch.
struct Ladder {
    rungs: Mutex<Vec<Rung>>,
    /// What all of them have taken together, to be taken off the store's own time.
    spent: Mutex<Duration>,
}

struct Rung {
    what: &'static str,
    tables: &'static [Tables],
    engine: RedbEngine,
    spent: Duration,
}

impl Ladder {
    fn new(directory: &Path) -> Result<Self, Failure> {
        const STEPS: [(&str, &[Tables]); 4] = [
            (
                "rows as stored: and dots, stamps, checksums",
                &[Tables::Rows],
            ),
            ("and the dot index", &[Tables::Rows, Tables::Dots]),
            (
                "and the digest tree",
                &[Tables::Rows, Tables::Dots, Tables::Digests],
            ),
            ("and context and counters", &Tables::ALL),
        ];
        let mut rungs = Vec::new();
        for (number, (what, tables)) in STEPS.into_iter().enumerate() {
            let path = directory.join(format!("rung-{number}.redb"));
            let engine = RedbEngine::create(&path, RedbOptions::default());
            rungs.push(Rung {
                what,
                tables,
                engine: engine.doing(|| "cannot make an engine to compare with".to_owned())?,
                spent: Duration::ZERO,
            });
        }
        Ok(Self {
            rungs: Mutex::new(rungs),
            spent: Mutex::new(Duration::ZERO),
        })
    }

    fn commit(&self, batch: &mut Batch, durability: Durability) -> Result<(), EngineError> {
        let whole = Instant::now();
        let mut rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
        for rung in rungs.iter_mut() {
            let mut part = Batch::new();
            for &table in rung.tables {
                for (key, value) in batch.sorted(table) {
                    match value {
                        Some(value) => part.put(table, key, value),
                        None => part.remove(table, key),
                    }
                }
            }
            let began = Instant::now();
            rung.engine.commit(part, durability)?;
            rung.spent += began.elapsed();
        }
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += whole.elapsed();
        Ok(())
    }
}

/// The store's engine.
struct LadderEngine {
    engine: RedbEngine,
    ladder: Arc<Ladder>,
}

impl Engine for LadderEngine {
    type Snapshot = <RedbEngine as Engine>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.engine.snapshot()
    }

    fn commit(&self, mut batch: Batch, durability: Durability) -> Result<(), EngineError> {
        self.ladder.commit(&mut batch, durability)?;
        self.engine.commit(batch, durability)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.engine.flush()
    }

    fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.engine.size()
    }
}

fn file_bytes(engine: &RedbEngine) -> Result<u64, Failure> {
    let size = engine.size().doing(|| "cannot measure a file".to_owned())?;
    Ok(size.bytes)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("what is written", Align::Left),
            ("time", Align::Right),
            ("rows/s", Align::Right),
            ("to bare redb", Align::Right),
            ("file", Align::Right),
        ]);
        for step in &self.steps {
            table.row([
                step.what.to_owned(),
                format!("{:.2} s", step.seconds),
                count(step.rows_per_second),
                format!("{:.2}", step.ratio_to_bare),
                bytes(step.file_bytes),
            ]);
        }
        writeln!(
            f,
            "{} rows in commits of {}, in no order:",
            count(self.rows),
            count(self.rows_per_commit)
        )?;
        write!(f, "{table}")
    }
}
