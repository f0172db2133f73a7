//! What it takes to keep digests, sketch, dot index and removal log, apart, for writes to a store of the size.
//!
//! Processor time, which other work on the machine disturbs little. What the store works out is told by the spans of its
//! commits. What the engine takes is told by committing the same edits again, each table alone: before a commit is
//! acknowledged they go into the log and into memory, behind it into the tables.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;
use syncline_crdt::RowKey;
use syncline_merkle::DigestKey;
use syncline_store::{Durability, Store, StoreError, Table};

use super::recorded::{Kept, Recorder, Recording, RecordingEngine, replay};
use super::steps::{Step, Steps};
use super::{Rows, shuffled};
use crate::args::BenchWrite;
use crate::bench::baseline::{Measure, Measured};
use crate::bench::{copy, cpu, print, scratch, workload};
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{Align, Table as Text, count};

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    writes: u64,
    writes_per_commit: u64,
    kinds: Vec<Kind>,
}

/// Nanoseconds of processor time for each write of a kind.
#[derive(Debug, Serialize)]
struct Kind {
    kind: &'static str,
    parts: Vec<Part>,
    whole_ns: u64,
    /// Item digests, digest tree and sketch, all of it.
    digests_and_sketch_ns: u64,
}

#[derive(Debug, Serialize)]
struct Part {
    part: &'static str,
    /// In the store, before the engine has it.
    store_ns: u64,
    /// Into the log and into memory, before the write is acknowledged.
    log_ns: u64,
    /// Into the tables, behind it.
    tables_ns: u64,
}

impl Part {
    fn sum(&self) -> u64 {
        self.store_ns + self.log_ns + self.tables_ns
    }
}

/// The tables that have a part of their own.
const NAMED: [Table; 5] = [
    Table::Rows,
    Table::Digests,
    Table::Sketch,
    Table::Dots,
    Table::Removals,
];

/// How rows are written.
#[derive(Clone, Copy)]
enum Writes {
    Inserts,
    Overwrites,
    Removals,
}

impl Writes {
    const ALL: [Self; 3] = [Self::Inserts, Self::Overwrites, Self::Removals];

    fn name(self) -> &'static str {
        match self {
            Self::Inserts => "inserts",
            Self::Overwrites => "overwrites",
            Self::Removals => "removals",
        }
    }

    fn write(self, rows: Rows, index: u64) -> (RowKey, Option<Vec<u8>>) {
        let value = || workload::payload(rows.value(index, 1));
        match self {
            Self::Inserts => (RowKey::cell(&rows.new_key(index)), Some(value())),
            Self::Overwrites => (RowKey::cell(&rows.key(index)), Some(value())),
            Self::Removals => (RowKey::cell(&rows.key(index)), None),
        }
    }
}

/// What a kind of writes took in the store, and what it gave to the engine.
struct Written {
    store: Duration,
    steps: Steps,
    recording: Recording,
}

pub(super) fn run(arguments: &BenchWrite, rows: Rows) -> Result<(), Failure> {
    let scratch = scratch()?;
    let size = &arguments.size;
    let base = workload::base(rows, scratch.path(), size.reuse.as_deref())?;
    let batch = arguments.batch.unwrap_or(10_000);
    let mut indices = shuffled(rows);
    indices.truncate(arguments.writes.min(rows.count) as usize);

    let path = copy(&base, scratch.path().join("store.redb"))?;
    let recorder = Recorder::default();
    let engine = RecordingEngine::open(&path, recorder.clone())?;
    let opening = || "cannot open the store".to_owned();
    let store = Store::open(engine, workload::config()).doing(opening)?;
    recorder.take();
    let progress = Progress::bar("writing", (Writes::ALL.len() + Table::ALL.len()) as u64);
    let mut written = Vec::new();
    for writes in Writes::ALL {
        written.push(write(&store, &recorder, writes, rows, &indices, batch)?);
        progress.add(1);
    }
    drop(store);

    let mut kept = vec![[Kept::default(); Table::ALL.len()]; written.len()];
    progress.say("each table alone");
    for table in Table::ALL {
        let path = copy(&base, scratch.path().join("replay.redb"))?;
        for (kept, written) in kept.iter_mut().zip(&written) {
            kept[table as usize] = replay(&path, &written.recording, table)?;
        }
        progress.add(1);
    }
    drop(progress);
    let kinds = Writes::ALL.iter().zip(written.iter().zip(&kept));
    let kinds = kinds
        .map(|(writes, (written, kept))| kind(writes.name(), written, kept, indices.len() as u64));
    let figures = Figures {
        rows: rows.count,
        writes: indices.len() as u64,
        writes_per_commit: batch,
        kinds: kinds.collect(),
    };
    print(&figures, size.json, &size.baseline)
}

fn write(
    store: &Store<RecordingEngine>,
    recorder: &Recorder,
    writes: Writes,
    rows: Rows,
    indices: &[u64],
    batch: u64,
) -> Result<Written, Failure> {
    let steps = Steps::default();
    let mut spent = Duration::ZERO;
    for chunk in indices.chunks(batch as usize) {
        let mut entries: Vec<_> = chunk
            .iter()
            .map(|&index| writes.write(rows, index))
            .collect();
        entries.sort_unstable();
        let began = cpu::of_thread();
        let written = tracing::subscriber::with_default(steps.clone(), || {
            store.transact(Durability::Buffered, |transaction| {
                for (key, payload) in entries {
                    match payload {
                        Some(payload) => transaction.put(&key, payload).map(drop)?,
                        None => transaction.remove(&key).map(drop)?,
                    }
                }
                Ok::<_, StoreError>(())
            })
        });
        written.doing(|| "the store cannot write".to_owned())?;
        spent += cpu::of_thread().saturating_sub(began);
    }
    let (recording, committing) = recorder.take();
    Ok(Written {
        store: spent.saturating_sub(committing),
        steps,
        recording,
    })
}

/// What hashing the rows takes, which is done while they are encoded.
fn hashing(recording: &Recording) -> Duration {
    let key = DigestKey::derive(&workload::SECRET);
    let began = cpu::of_thread();
    for (table, key_bytes, value) in recording.iter().flatten() {
        if *table == Table::Rows
            && let Some(value) = value
        {
            // A row begins with its digest, which is of the rest.
            black_box(key.item(key_bytes, value.get(32..).unwrap_or_default()));
        }
    }
    cpu::of_thread().saturating_sub(began)
}

fn kind(
    kind: &'static str,
    written: &Written,
    kept: &[Kept; Table::ALL.len()],
    writes: u64,
) -> Kind {
    let spent = |step| written.steps.spent(step);
    let hashing = hashing(&written.recording);
    let named = [Step::Dots, Step::Digests, Step::Sketch, Step::Removals];
    let named: Duration = named.into_iter().map(spent).sum();
    let rest = written.store.saturating_sub(named + hashing);
    let ns = |time: Duration| (time.as_nanos() / u128::from(writes.max(1))) as u64;
    let part = |part, store: Duration, tables: &[Table]| {
        let mut sum = Kept::default();
        tables.iter().for_each(|table| sum += kept[*table as usize]);
        Part {
            part,
            store_ns: ns(store),
            log_ns: ns(sum.log),
            tables_ns: ns(sum.tables),
        }
    };
    let upkeep = [
        part("item digests", hashing, &[]),
        part("digest tree", spent(Step::Digests), &[Table::Digests]),
        part("sketch", spent(Step::Sketch), &[Table::Sketch]),
    ];
    let digests_and_sketch_ns = upkeep.iter().map(Part::sum).sum();
    let mut parts = vec![part(
        "rows: looked up, joined, encoded",
        rest,
        &[Table::Rows],
    )];
    parts.extend(upkeep);
    parts.push(part("dot index", spent(Step::Dots), &[Table::Dots]));
    parts.push(part(
        "removal log",
        spent(Step::Removals),
        &[Table::Removals],
    ));
    let rest: Vec<Table> = Table::ALL
        .into_iter()
        .filter(|table| !NAMED.contains(table))
        .collect();
    parts.push(part(
        "context, counters and the like",
        Duration::ZERO,
        &rest,
    ));
    Kind {
        kind,
        whole_ns: parts.iter().map(Part::sum).sum(),
        parts,
        digests_and_sketch_ns,
    }
}

impl Measured for Figures {
    fn workload(&self) -> String {
        let Self {
            rows,
            writes,
            writes_per_commit,
            ..
        } = self;
        format!("upkeep: {rows} rows, {writes} writes, {writes_per_commit} to a commit")
    }

    fn measures(&self) -> Vec<Measure> {
        let kinds = self.kinds.iter();
        let measures = kinds.flat_map(|kind| {
            [
                ("digests_and_sketch_ns", kind.digests_and_sketch_ns),
                ("whole_ns", kind.whole_ns),
            ]
            .map(|(name, ns)| Measure::timed(format!("{}: {name}", kind.kind), ns as f64))
        });
        measures.collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows; {} writes of each kind, in no order, {} to a commit; nanoseconds of processor time for each:",
            count(self.rows),
            count(self.writes),
            count(self.writes_per_commit),
        )?;
        for kind in &self.kinds {
            let mut table = Text::new(&[
                (kind.kind, Align::Left),
                ("in the store", Align::Right),
                ("into the log", Align::Right),
                ("into the tables", Align::Right),
            ]);
            for part in &kind.parts {
                table.row([
                    part.part.to_owned(),
                    count(part.store_ns),
                    count(part.log_ns),
                    count(part.tables_ns),
                ]);
            }
            write!(f, "{table}")?;
            writeln!(
                f,
                "  in all {}; of it for digests and sketch {}\n",
                count(kind.whole_ns),
                count(kind.digests_and_sketch_ns)
            )?;
        }
        Ok(())
    }
}
