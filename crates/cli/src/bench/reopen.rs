//! `syncline bench reopen`: what is left for good of openings that wrote.
//!
//! Each of them mints a replica id, which its replica's context, and those of all who sync with it, hold from then on.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use syncline_crdt::{Canonical, RowKey};
use syncline_store::{Durability, StoreError};
use syncline_sync::{Report, Strategy};

use super::baseline::{Measure, Measured};
use super::sync::link::Link;
use super::sync::runtime;
use super::sync::side::{self, Side};
use super::workload::{self, NAMESPACE, Rows};
use super::{print, rounded, scratch};
use crate::args::{BenchReopen, Workload};
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;
use crate::table::{Align, Table, bytes, count};

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    times: u64,
    kind: &'static str,
    differences: u64,
    /// The whole context, as it is exported and as whoever knows nothing is sent it.
    context_bytes_before: u64,
    context_bytes_after: u64,
    context_bytes_per_opening: f64,
    /// Sessions, each before and after.
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    what: &'static str,
    before: Cost,
    after: Cost,
}

#[derive(Debug, Serialize)]
struct Cost {
    round_trips: f64,
    bytes_total: u64,
    context_bytes: u64,
}

pub(super) fn run(arguments: &BenchReopen) -> Result<(), Failure> {
    let scratch = scratch()?;
    let workload = &arguments.workload;
    let base = side::base(workload, scratch.path())?;
    let ours = scratch.path().join("ours.redb");
    let ours = super::copy(&base, ours)?;
    let theirs = super::copy(&base, scratch.path().join("theirs.redb"))?;
    let open = || Ok::<_, Failure>((Side::open(&ours, workload)?, Side::open(&theirs, workload)?));
    let rows = side::rows(workload);

    // With its runtime, whatever a session has left ends, and lets the stores go.
    let (idle_before, busy_before) = {
        let (ours, theirs) = open()?;
        side::acquaint(&ours, &theirs)?;
        runtime()?.block_on(sessions(&ours, &theirs, workload, rows))?
    };
    let context_before = context_bytes(&Side::open(&theirs, workload)?)?;
    let progress = Progress::bar("opening and writing", arguments.times);
    for time in 0..arguments.times {
        let side = Side::open(&theirs, workload)?;
        let key = RowKey::cell(&rows.key(time % rows.count));
        let value = workload::payload(rows.value(time, 3));
        let written = side.store.transact(Durability::Durable, |transaction| {
            transaction.put(&key, value).map(drop)
        });
        written
            .map_err(|error: StoreError| error)
            .doing(|| "cannot write to the store".to_owned())?;
        progress.add(1);
    }
    drop(progress);
    let context_after = context_bytes(&Side::open(&theirs, workload)?)?;
    let (idle_after, busy_after) = {
        let (ours, theirs) = open()?;
        // What was written meanwhile goes over first, so that the same is measured as before.
        let runtime = runtime()?;
        runtime.block_on(sync(&ours, &theirs, workload))?;
        runtime.block_on(sessions(
            &ours,
            &theirs,
            workload,
            Rows {
                seed: rows.seed ^ 1,
                ..rows
            },
        ))?
    };
    let figures = Figures {
        rows: rows.count,
        times: arguments.times,
        kind: workload.kind.name(),
        differences: workload.differing(),
        context_bytes_before: context_before,
        context_bytes_after: context_after,
        context_bytes_per_opening: rounded(
            (context_after as f64 - context_before as f64) / arguments.times as f64,
            2,
        ),
        sessions: vec![
            Session {
                what: "nothing differs",
                before: idle_before,
                after: idle_after,
            },
            Session {
                what: "the differences",
                before: busy_before,
                after: busy_after,
            },
        ],
    };
    print(&figures, arguments.json, &arguments.baseline)
}

/// A session where nothing differs, and one after the peer has made its differences.
async fn sessions(
    ours: &Side,
    theirs: &Side,
    workload: &Workload,
    rows: Rows,
) -> Result<(Cost, Cost), Failure> {
    let idle = sync(ours, theirs, workload).await?;
    workload::make_differ(&theirs.store, workload.kind, rows, workload.differing())?;
    let busy = sync(ours, theirs, workload).await?;
    Ok((idle, busy))
}

async fn sync(ours: &Side, theirs: &Side, workload: &Workload) -> Result<Cost, Failure> {
    let link = Link::lay(theirs, 0, Arc::default()).await?;
    let connection = link.connect().await?;
    let report = ours.sync(&connection, NAMESPACE, Strategy::Auto, workload.seed);
    let report = report
        .await
        .map_err(|error| Failure::failed(format!("the session failed: {error}")))?;
    connection.close();
    match report.agreed && side::same(ours, theirs)? {
        true => Ok(Cost::of(&report)),
        false => Err(Failure::new(
            Reason::Differs,
            "the two replicas do not hold the same after a session",
        )),
    }
}

impl Cost {
    fn of(report: &Report) -> Self {
        Self {
            round_trips: report.round_trips(),
            bytes_total: report.bytes_total(),
            context_bytes: report.sent.context + report.received.context,
        }
    }
}

fn context_bytes(side: &Side) -> Result<u64, Failure> {
    let view = side.store.view();
    let view = view.doing(|| "cannot read a replica".to_owned())?;
    Ok(view.context().to_bytes().len() as u64)
}

impl Measured for Figures {
    fn workload(&self) -> String {
        let Self {
            rows,
            times,
            kind,
            differences,
            ..
        } = self;
        format!("reopen: {rows} rows, {times} times, {kind}, {differences} differences")
    }

    fn measures(&self) -> Vec<Measure> {
        let growth = self.context_bytes_per_opening;
        let mut measures = vec![Measure::counted("context_bytes_per_opening", growth)];
        for session in &self.sessions {
            let named = |what: &str| format!("{}: {what}", session.what);
            let Cost {
                round_trips,
                bytes_total,
                ..
            } = session.after;
            measures.push(Measure::counted(named("round_trips"), round_trips));
            measures.push(Measure::counted(named("bytes_total"), bytes_total as f64));
        }
        measures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rows, opened and written to {} times: context {} before, {} after, {} bytes for each opening",
            count(self.rows),
            count(self.times),
            bytes(self.context_bytes_before),
            bytes(self.context_bytes_after),
            self.context_bytes_per_opening,
        )?;
        let mut table = Table::new(&[
            ("sessions", Align::Left),
            ("round trips", Align::Right),
            ("then", Align::Right),
            ("bytes", Align::Right),
            ("then", Align::Right),
        ]);
        for Session {
            what,
            before,
            after,
        } in &self.sessions
        {
            table.row([
                match *what {
                    "the differences" => format!("{} {}", count(self.differences), self.kind),
                    what => what.to_owned(),
                },
                before.round_trips.to_string(),
                after.round_trips.to_string(),
                count(before.bytes_total),
                count(after.bytes_total),
            ]);
        }
        write!(f, "{table}")
    }
}
