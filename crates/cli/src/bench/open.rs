//! `syncline bench open`: how long a large store takes to open after its writer was killed.

use std::fmt;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;
use syncline_crdt::RowKey;
use syncline_store::{Durability, LogOptions, LoggedEngine, RedbOptions, Store, StoreError};

use super::baseline::{Measure, Measured};
use super::workload::{self, Rows};
use super::{copy, print, rounded, scratch};
use crate::args::{BenchOpen, BenchWriter};
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;
use crate::seeded::Seeded;
use crate::table::count;

/// Rows per commit of the process that is killed, and commits that it acknowledges before.
const BATCH: u64 = 100;
const COMMITS: usize = 50;

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    /// Commits that the writer had acknowledged when it was killed.
    commits_acknowledged: u64,
    /// From a closed file to a store whose root digest can be asked for.
    open_ms: f64,
    /// The first row read and the root digest, after that.
    first_read_ms: f64,
    /// A full scan afterwards finds every digest right, so none had to be rebuilt.
    digests_right: bool,
}

pub(super) fn run(arguments: &BenchOpen) -> Result<(), Failure> {
    let size = &arguments.size;
    let rows = Rows {
        count: size.rows,
        seed: size.seed,
    };
    let scratch = scratch()?;
    let base = workload::base(rows, scratch.path(), size.reuse.as_deref())?;
    let path = copy(&base, scratch.path().join("killed.redb"))?;
    let commits_acknowledged = write_and_kill(&path, rows)?;

    let opening = || "cannot open the store after the kill".to_owned();
    let began = Instant::now();
    let engine = LoggedEngine::open(&path, RedbOptions::default(), LogOptions::default());
    let engine = engine.doing(opening)?;
    let store = Store::open(engine, workload::config()).doing(opening)?;
    let opened = began.elapsed();
    let view = store.view().doing(opening)?;
    let first = view
        .get(&RowKey::cell(&rows.key(rows.count / 2)))
        .doing(opening)?;
    view.root().doing(opening)?;
    let read = began.elapsed() - opened;

    let progress = Progress::spinner("checking every digest");
    let recount = view.recount().doing(opening)?;
    drop(progress);
    let figures = Figures {
        rows: view.row_count(),
        commits_acknowledged,
        open_ms: rounded(opened.as_secs_f64() * 1e3, 3),
        first_read_ms: rounded(read.as_secs_f64() * 1e3, 3),
        digests_right: recount.is_sound() && first.is_some(),
    };
    print(&figures, size.json, &size.baseline)?;
    match figures.digests_right {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            "the store's digests are not those of its rows",
        )),
    }
}

/// Starts a writer on the store and kills it with SIGKILL between two acknowledgements.
fn write_and_kill(path: &Path, rows: Rows) -> Result<u64, Failure> {
    let starting = || "cannot start the writer".to_owned();
    let mut child = Command::new(std::env::current_exe().doing(starting)?)
        .args([
            "bench-writer",
            "--rows",
            &rows.count.to_string(),
            "--seed",
            &rows.seed.to_string(),
            "--store",
        ])
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .doing(starting)?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| Failure::failed(starting()))?;
    let mut lines = BufReader::new(output).lines();
    let before = lines.by_ref().take(COMMITS).count();
    child.kill().doing(|| "cannot kill the writer".to_owned())?;
    child.wait().doing(|| "cannot kill the writer".to_owned())?;
    if before < COMMITS {
        return Err(Failure::failed(
            "the writer ended by itself; its own words are above",
        ));
    }
    Ok((before + lines.count()) as u64)
}

/// Overwrites scattered rows, commit by commit, until it is killed. A line for each commit that is durable.
pub(super) fn writer(arguments: &BenchWriter) -> Result<(), Failure> {
    let rows = Rows {
        count: arguments.rows,
        seed: arguments.seed,
    };
    let opening = || format!("cannot open {}", arguments.store.display());
    let (options, log) = (RedbOptions::default(), LogOptions::default());
    let engine = LoggedEngine::open(&arguments.store, options, log).doing(opening)?;
    let store = Store::open(engine, workload::config()).doing(opening)?;
    let mut random = Seeded::stream(rows.seed, 9);
    for version in 1.. {
        let written = store.transact(Durability::Durable, |transaction| {
            for _ in 0..BATCH {
                let index = random.below(rows.count);
                let value = workload::payload(rows.value(index, version));
                transaction.put(&RowKey::cell(&rows.key(index)), value)?;
            }
            Ok::<_, StoreError>(())
        });
        written.doing(|| "cannot write".to_owned())?;
        // Nobody listens any more when the parent is gone; then there is nothing left to do.
        if writeln!(stdout(), "{version}").is_err() {
            break;
        }
    }
    Ok(())
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!("open: {} rows", self.rows)
    }

    fn measures(&self) -> Vec<Measure> {
        vec![
            Measure::timed("open_ms", self.open_ms),
            Measure::timed("first_read_ms", self.first_read_ms),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows, writer killed after {} commits: open in {} ms, first row and root digest {} ms later; digests {}",
            count(self.rows),
            count(self.commits_acknowledged),
            self.open_ms,
            self.first_read_ms,
            if self.digests_right {
                "right without a rebuild"
            } else {
                "WRONG"
            },
        )
    }
}
