//! How many rows a second are acknowledged, beside bare redb in the same run, and how long closing takes after them.
//!
//! Without `--writers`, a store is written to directly, in batches, as imports and sessions do. With it, so many callers write
//! through the handles of a node, each waiting for its own answer; then what they wait for is mostly the same commit.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use syncline::{Durability, Node};
use syncline_crdt::RowKey;
use syncline_store::{LogOptions, LoggedEngine, RedbOptions, Store, StoreError};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::bare::{self, Plan};
use super::{Rows, shuffled};
use crate::args::BenchWrite;
use crate::bench::baseline::{Measure, Measured};
use crate::bench::{cpu, print, rounded, scratch, workload};
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{Align, Table, count};

/// Bare redb is measured over no more commits than these: with a row each it would take all day.
const BARE_COMMITS: u64 = 5_000;

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    durability: &'static str,
    /// None if the store was written to directly.
    writers: Option<u64>,
    rows_per_transaction: u64,
    /// Until the last row was acknowledged.
    seconds: f64,
    rows_per_second: u64,
    /// Commits that the rows took; the fewer, the more writers shared one.
    commits: u64,
    /// Until everything was in the tables and the log was gone.
    closing_seconds: f64,
    /// Closing included: the rate that can be kept up for ever.
    sustained_rows_per_second: u64,
    /// Processor time of all threads, closing included.
    cpu_us_per_row: f64,
    bare: Bare,
    /// Our rate over that of bare redb; sustained, since redb leaves nothing to be done.
    ratio_to_bare: f64,
    /// A sync of a small file on this device: what a durable write alone waits for at least.
    device_sync_ms: f64,
}

/// Bare redb, the same transactions in a commit each.
#[derive(Debug, Serialize)]
struct Bare {
    rows: u64,
    synced: bool,
    rows_per_second: u64,
}

/// What the writing took.
struct Taken {
    writing: Duration,
    closing: Duration,
    cpu: Duration,
    commits: u64,
}

pub(super) fn run(arguments: &BenchWrite, rows: Rows) -> Result<(), Failure> {
    let scratch = scratch()?;
    let directory = scratch.path();
    let order = shuffled(rows);
    let device_sync = device_sync(directory)?;
    let durability = Durability::from(arguments.durability);
    let rows_per_transaction = arguments.batch.unwrap_or(match arguments.writers {
        None => 10_000,
        Some(_) => 1,
    });
    let bare = bare(arguments, rows, &order, rows_per_transaction, directory)?;
    let log = LogOptions {
        max_unapplied_bytes: usize::try_from(arguments.log_mib << 20).unwrap_or(usize::MAX),
        ..LogOptions::default()
    };
    let taken = match arguments.writers {
        None => direct(
            rows_per_transaction,
            durability,
            log,
            rows,
            &order,
            directory,
        )?,
        Some(writers) => {
            let runtime = Runtime::new().doing(|| "cannot start the runtime".to_owned())?;
            let work = at_once(
                writers,
                rows_per_transaction,
                durability,
                rows,
                order,
                directory,
            );
            runtime.block_on(work)?
        }
    };
    let rate = |rows: u64, time: Duration| (rows as f64 / time.as_secs_f64()) as u64;
    let sustained = rate(rows.count, taken.writing + taken.closing);
    let figures = Figures {
        rows: rows.count,
        durability: arguments.durability.name(),
        writers: arguments.writers,
        rows_per_transaction,
        seconds: rounded(taken.writing.as_secs_f64(), 3),
        rows_per_second: rate(rows.count, taken.writing),
        commits: taken.commits,
        closing_seconds: rounded(taken.closing.as_secs_f64(), 3),
        sustained_rows_per_second: sustained,
        cpu_us_per_row: rounded(taken.cpu.as_secs_f64() * 1e6 / rows.count as f64, 2),
        ratio_to_bare: rounded(sustained as f64 / bare.rows_per_second.max(1) as f64, 2),
        bare,
        device_sync_ms: rounded(device_sync.as_secs_f64() * 1e3, 3),
    };
    print(&figures, arguments.size.json, &arguments.size.baseline)
}

fn bare(
    arguments: &BenchWrite,
    rows: Rows,
    order: &[u64],
    rows_per_commit: u64,
    directory: &Path,
) -> Result<Bare, Failure> {
    let len = rows.count.min(BARE_COMMITS.saturating_mul(rows_per_commit));
    let synced = bare::has_to_sync(arguments.durability.into());
    let plan = Plan {
        rows,
        order: &order[..len as usize],
        rows_per_commit,
        writers: arguments.writers.unwrap_or(1),
        synced,
    };
    let path = directory.join("bare.redb");
    let progress = Progress::bar("bare redb", len);
    let spent = bare::write(plan, &path, &progress)?;
    drop(progress);
    std::fs::remove_file(&path).doing(|| format!("cannot remove {}", path.display()))?;
    Ok(Bare {
        rows: len,
        synced,
        rows_per_second: (len as f64 / spent.as_secs_f64()) as u64,
    })
}

/// Transactions on a store. Rows come in no order; within a transaction they are put in key order, which is sorted for
/// within the time taken.
fn direct(
    batch: u64,
    durability: Durability,
    log: LogOptions,
    rows: Rows,
    order: &[u64],
    directory: &Path,
) -> Result<Taken, Failure> {
    let writing = || "the store cannot write".to_owned();
    let path = directory.join("store.redb");
    let engine = LoggedEngine::create(path, RedbOptions::default(), log);
    let store = Store::open(engine.doing(writing)?, workload::config()).doing(writing)?;
    let progress = Progress::bar("the store", order.len() as u64);
    let (mut spent, mut commits) = (Duration::ZERO, 0);
    let cpu_before = cpu::of_process();
    let mut preparing = Duration::ZERO;
    for chunk in order.chunks(batch as usize) {
        let cpu = cpu::of_thread();
        let mut entries: Vec<_> = chunk
            .iter()
            .map(|&index| {
                let key = RowKey::cell(&rows.key(index));
                (key, workload::payload(rows.value(index, 0)))
            })
            .collect();
        preparing += cpu::of_thread().saturating_sub(cpu);
        let began = Instant::now();
        entries.sort_unstable();
        let written = store.transact(durability, |transaction| {
            for (key, payload) in entries {
                transaction.put(&key, payload)?;
            }
            Ok::<_, StoreError>(())
        });
        written.doing(writing)?;
        spent += began.elapsed();
        commits += 1;
        progress.add(chunk.len() as u64);
    }
    let began = Instant::now();
    drop(store);
    Ok(Taken {
        writing: spent,
        closing: began.elapsed(),
        cpu: cpu::of_process().saturating_sub(cpu_before + preparing),
        commits,
    })
}

/// Several writers, each of which writes a transaction's rows, waits for the answer, and goes on.
async fn at_once(
    writers: u64,
    batch: u64,
    durability: Durability,
    rows: Rows,
    order: Vec<u64>,
    directory: &Path,
) -> Result<Taken, Failure> {
    let starting = || "cannot start the node".to_owned();
    let builder = Node::builder().data_dir(directory.join("node"));
    let builder = builder.cache_bytes(RedbOptions::default().cache_bytes);
    let node = builder.durability(durability).start().await;
    let node = node.doing(starting)?;
    let app = node.namespace(workload::NAMESPACE).doing(starting)?;
    let progress = Arc::new(Progress::bar("the node", order.len() as u64));
    let order = Arc::new(order);
    let mut tasks = JoinSet::new();
    let cpu_before = cpu::of_process();
    let began = Instant::now();
    for writer in 0..writers {
        let (app, order) = (app.clone(), Arc::clone(&order));
        let progress = Arc::clone(&progress);
        tasks.spawn(async move {
            let chunks = order.chunks(batch as usize);
            for chunk in chunks.skip(writer as usize).step_by(writers as usize) {
                let mut entries: Vec<_> = chunk
                    .iter()
                    .map(|&index| (rows.key(index), rows.value(index, 0)))
                    .collect();
                entries.sort_unstable();
                app.transaction(move |transaction| {
                    for (key, value) in entries {
                        transaction.put(key, value)?;
                    }
                    Ok(())
                })
                .await?;
                progress.add(chunk.len() as u64);
            }
            Ok::<_, syncline::Error>(())
        });
    }
    let writing = || "the node cannot write".to_owned();
    while let Some(written) = tasks.join_next().await {
        written.doing(writing)?.doing(writing)?;
    }
    let spent = began.elapsed();
    let commits = app.write_stats().await.doing(writing)?.commits;
    let began = Instant::now();
    node.shutdown()
        .await
        .doing(|| "cannot close the node".to_owned())?;
    drop((app, node));
    Ok(Taken {
        writing: spent,
        closing: began.elapsed(),
        cpu: cpu::of_process().saturating_sub(cpu_before),
        commits,
    })
}

/// The median time of a sync after 16 KiB were appended to a file.
fn device_sync(directory: &Path) -> Result<Duration, Failure> {
    let measuring = || "cannot measure a sync".to_owned();
    let mut file = File::create(directory.join("sync")).doing(measuring)?;
    let mut taken = Vec::new();
    for _ in 0..31 {
        file.write_all(&[7; 16 << 10]).doing(measuring)?;
        let began = Instant::now();
        file.sync_data().doing(measuring)?;
        taken.push(began.elapsed());
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}

impl Measured for Figures {
    fn workload(&self) -> String {
        let Self {
            rows,
            durability,
            rows_per_transaction,
            ..
        } = self;
        let writers = self
            .writers
            .map_or(String::new(), |writers| format!(", {writers} writers"));
        format!(
            "write: {rows} rows, {durability}, {rows_per_transaction} to a transaction{writers}"
        )
    }

    fn measures(&self) -> Vec<Measure> {
        vec![
            Measure::rate("rows_per_second", self.rows_per_second as f64),
            Measure::rate("ratio_to_bare", self.ratio_to_bare),
            Measure::timed("cpu_us_per_row", self.cpu_us_per_row),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.writers {
            None => "one after the other".to_owned(),
            Some(1) => "one writer".to_owned(),
            Some(writers) => format!("{} writers at once", count(writers)),
        };
        writeln!(
            f,
            "{} rows in no order, {}, {} to a transaction, {who}; a sync of the device takes {} ms",
            count(self.rows),
            self.durability,
            count(self.rows_per_transaction),
            self.device_sync_ms,
        )?;
        let mut table = Table::new(&[("", Align::Left), ("rows/s", Align::Right)]);
        let synced = match self.bare.synced {
            true => "synced",
            false => "not synced",
        };
        table.row([
            format!(
                "bare redb, the rows alone, {synced} ({} rows)",
                count(self.bare.rows)
            ),
            count(self.bare.rows_per_second),
        ]);
        table.row(["acknowledged".to_owned(), count(self.rows_per_second)]);
        table.row([
            format!(
                "and in the tables, {} s later; {} times bare redb",
                self.closing_seconds, self.ratio_to_bare
            ),
            count(self.sustained_rows_per_second),
        ]);
        write!(f, "{table}")?;
        writeln!(
            f,
            "{} commits; {} µs of processor time for a row",
            count(self.commits),
            self.cpu_us_per_row
        )
    }
}
