//! How a node keeps to its budget while another fetches all that it has.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::processes::Processes;
use super::protocol::{Order, Said};
use super::{millis, put};
use crate::args::BenchCluster;
use crate::bench::baseline::{Measure, Measured};
use crate::bench::{print, rounded, scratch};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::table::{bytes, count};

/// How often something is written meanwhile, and what has been sent is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// Over which time the rate is averaged.
const WINDOW: usize = 10;

pub(super) fn run(arguments: &BenchCluster, budget: u64) -> Result<(), Failure> {
    let scratch = scratch()?;
    let mut members = Processes::new(scratch.path())?;
    let first = members.start(Some(budget))?;
    let rows = arguments.rows;
    members.order(first, &Order::Fill { rows })?;
    members.wait_for(|_, said| matches!(said, Said::Filled).then_some(()))?;

    let second = members.start(Some(budget))?;
    let progress = Progress::bar("fetching rows", rows);
    let (mut written, mut latencies) = (BTreeMap::new(), Vec::new());
    let (mut sent, mut held) = (Vec::new(), 0);
    let mut number = 0;
    while held < rows {
        put(&mut members, first, &format!("write {number}"))?;
        number += 1;
        members.order(first, &Order::Traffic)?;
        members.order(second, &Order::Root)?;
        members.listen(Instant::now() + EVERY, |from, said| match said {
            Said::Written { key, at } => drop(written.insert(key.clone(), *at)),
            Said::Shown { key, at, .. } if from == second => {
                if let Some(begun) = written.get(key) {
                    latencies.push(Duration::from_nanos(at.saturating_sub(*begun)));
                }
            }
            Said::Traffic { bytes, at } => sent.push((*at, *bytes)),
            Said::Root { rows, .. } => {
                progress.add(rows.saturating_sub(held));
                held = held.max(*rows);
            }
            _ => {}
        })?;
    }
    drop(progress);
    members.close(&[first, second])?;
    latencies.sort();
    let rate = |from: &(u64, u64), to: &(u64, u64)| {
        (to.1 - from.1) as f64 * 1e9 / (to.0 - from.0).max(1) as f64
    };
    // The first of it is saved up.
    let sent: Vec<_> = sent
        .into_iter()
        .skip_while(|(_, bytes)| *bytes < budget / 4)
        .collect();
    let windows = sent.windows(WINDOW + 1).map(|it| rate(&it[0], &it[WINDOW]));
    let mean = match (sent.first(), sent.last()) {
        (Some(from), Some(to)) => rate(from, to),
        _ => 0.0,
    };
    let share = |share: f64| {
        let index = (latencies.len() as f64 * share).ceil() as usize;
        latencies.get(index.max(1) - 1).copied().unwrap_or_default()
    };
    let figures = Figures {
        budget,
        rows,
        bytes_per_second: rounded(mean, 0),
        of_budget: rounded(mean / budget as f64, 3),
        greatest_of_budget: rounded(windows.fold(0.0, f64::max) / budget as f64, 3),
        writes: latencies.len() as u64,
        write_p99_ms: millis(share(0.99)),
        write_max_ms: millis(share(1.0)),
    };
    print(&figures, arguments.json, &arguments.baseline)
}

#[derive(Debug, Serialize)]
struct Figures {
    budget: u64,
    rows: u64,
    /// What went out of the socket, headers and all, while the rows were fetched.
    bytes_per_second: f64,
    of_budget: f64,
    /// In the busiest second.
    greatest_of_budget: f64,
    /// Writes meanwhile, and how long each took to be shown by the other.
    writes: u64,
    write_p99_ms: f64,
    write_max_ms: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (budget, rows) = (bytes(self.budget), count(self.rows));
        writeln!(
            f,
            "{rows} rows of 1,000 bytes fetched from a node of {budget} per second"
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  sent per second   {}, {} of the budget; in the busiest second {} of it",
            bytes(self.bytes_per_second as u64),
            self.of_budget,
            self.greatest_of_budget
        )?;
        writeln!(
            f,
            "  writes meanwhile  shown by the other after {} ms at 99 %, {} ms at most, of {}",
            self.write_p99_ms, self.write_max_ms, self.writes
        )
    }
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!("budget of {}, {} rows", self.budget, self.rows)
    }

    fn measures(&self) -> Vec<Measure> {
        vec![
            Measure::counted("of_budget", self.of_budget),
            Measure::timed("write_p99_ms", self.write_p99_ms),
        ]
    }
}
