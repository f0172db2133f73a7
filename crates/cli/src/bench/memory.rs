//! `syncline bench memory`: what range digests take in memory beyond the engine's cache.
//!
//! Two processes read the same file through an engine with the same cache: one knows of rows only, the other opens the
//! store, reads digests all over the key space and writes. The difference of their resident memory, per row, is the figure.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use std::ops::Bound;
use syncline_crdt::RowKey;
use syncline_merkle::KeyRange;
use syncline_store::{
    Direction, Durability, Engine, RedbEngine, RedbOptions, Snapshot, Store, StoreError, Table,
};

use super::baseline::{Measure, Measured};
use super::workload::{self, Rows};
use super::{copy, print, rounded, scratch};
use crate::args::{BenchMemory, BenchResident};
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{bytes, count};

/// Small, so that it is full in both processes and cancels out.
const CACHE: usize = 16 << 20;
/// Ranges whose digests are asked for, and rows written.
const RANGES: u64 = 10_000;

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    engine_cache_bytes: u64,
    resident_rows_only: u64,
    resident_with_digests: u64,
    digest_bytes_per_row: f64,
}

pub(super) fn run(arguments: &BenchMemory) -> Result<(), Failure> {
    let size = &arguments.size;
    let rows = Rows {
        count: size.rows,
        seed: size.seed,
    };
    let scratch = scratch()?;
    let base = workload::base(rows, scratch.path(), size.reuse.as_deref())?;
    let path = copy(&base, scratch.path().join("resident.redb"))?;
    let progress = Progress::spinner("measuring");
    let rows_only = measure(&path, rows, false)?;
    let with_digests = measure(&path, rows, true)?;
    drop(progress);
    let figures = Figures {
        rows: rows.count,
        engine_cache_bytes: CACHE as u64,
        resident_rows_only: rows_only,
        resident_with_digests: with_digests,
        digest_bytes_per_row: rounded(
            (with_digests as f64 - rows_only as f64) / rows.count as f64,
            2,
        ),
    };
    print(&figures, size.json, &size.baseline)
}

fn measure(path: &Path, rows: Rows, digests: bool) -> Result<u64, Failure> {
    let measuring = || "cannot measure the memory of a process".to_owned();
    let mut command = Command::new(std::env::current_exe().doing(measuring)?);
    command.args([
        "bench-resident",
        "--rows",
        &rows.count.to_string(),
        "--seed",
        &rows.seed.to_string(),
    ]);
    if digests {
        command.arg("--digests");
    }
    let output = command.arg("--store").arg(path).output().doing(measuring)?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Failure::failed(format!("{}: {said}", measuring()))
    })
}

/// Does its work and prints the bytes of memory that the process then has.
pub(super) fn resident(arguments: &BenchResident) -> Result<(), Failure> {
    let rows = Rows {
        count: arguments.rows,
        seed: arguments.seed,
    };
    let reading = || "cannot read the store".to_owned();
    let options = RedbOptions { cache_bytes: CACHE };
    let engine = RedbEngine::open(&arguments.store, options).doing(reading)?;
    // Both read all rows, so that the cache is full.
    let snapshot = engine.snapshot().doing(reading)?;
    let mut seen = 0;
    let whole = (Bound::Unbounded, Bound::Unbounded);
    let mut visitor = |_: &[u8], _: &[u8]| {
        seen += 1;
        ControlFlow::Continue(())
    };
    snapshot
        .visit(Table::Rows, whole, Direction::Forward, &mut visitor)
        .doing(reading)?;
    drop(snapshot);
    let kept = match arguments.digests {
        true => Ok(use_digests(engine, rows)?),
        // Held until the memory is measured, as the store is.
        false => Err(engine),
    };
    let resident = resident_bytes()?;
    drop(kept);
    if seen != rows.count {
        return Err(Failure::failed(format!(
            "the store holds {seen} rows instead of {}",
            rows.count
        )));
    }
    println!("{resident}");
    Ok(())
}

fn use_digests(engine: RedbEngine, rows: Rows) -> Result<Store<RedbEngine>, Failure> {
    let using = || "cannot use the store".to_owned();
    let store = Store::open(engine, workload::config()).doing(using)?;
    let view = store.view().doing(using)?;
    view.root().doing(using)?;
    for part in 0..RANGES {
        let bound = |part: u64| {
            let index = (part * rows.count / RANGES).min(rows.count - 1);
            RowKey::cell(&rows.key(index)).as_bytes().to_vec()
        };
        let range = KeyRange {
            lower: bound(part),
            upper: Some(bound(part + 1)),
        };
        view.digest(&range).doing(using)?;
    }
    drop(view);
    let step = (rows.count / RANGES).max(1);
    let indices: Vec<u64> = (0..rows.count).step_by(step as usize).collect();
    for chunk in indices.chunks(1_000) {
        let written = store.transact(Durability::Durable, |transaction| {
            for &index in chunk {
                let value = workload::payload(rows.value(index, 2));
                transaction.put(&RowKey::cell(&rows.key(index)), value)?;
            }
            Ok::<_, StoreError>(())
        });
        written.doing(using)?;
    }
    Ok(store)
}

/// Resident memory as the kernel counts it.
fn resident_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")
        .doing(|| "memory can only be measured where there is /proc/self/status".to_owned())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| Failure::failed("/proc/self/status does not tell the resident memory"))
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!("memory: {} rows", self.rows)
    }

    fn measures(&self) -> Vec<Measure> {
        let bytes = self.digest_bytes_per_row;
        vec![Measure::counted("digest_bytes_per_row", bytes)]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows, engine cache {}: {} resident with rows only, {} with digests read and written: {} bytes per row",
            count(self.rows),
            bytes(self.engine_cache_bytes),
            bytes(self.resident_rows_only),
            bytes(self.resident_with_digests),
            self.digest_bytes_per_row,
        )
    }
}
