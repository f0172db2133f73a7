//! `syncline bench redis`: what redis-benchmark says of a node and of redis-server, by turns.
//!
//! The node is a process of its own with its data on disk, `Buffered`; redis-server has its log, synced every second: what either has
//! acknowledged survives its end, and a power failure takes no more than the last second.

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Stdio};

use serde::Serialize;

use super::baseline::{Measure, Measured};
use super::servers::{Process, node, redis};
use super::{print, rounded, scratch};
use crate::args::BenchRedis;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{Align, Table, count};

pub(super) fn run(arguments: &BenchRedis) -> Result<(), Failure> {
    let scratch = scratch()?;
    let (node, redis) = (node(scratch.path())?, redis(scratch.path())?);
    let rounds = u64::from(arguments.rounds);
    let runs = arguments.tests.len() as u64 * arguments.pipeline.len() as u64 * rounds;
    let progress = Progress::bar("running redis-benchmark", runs);
    let mut rows = Vec::new();
    for &pipeline in &arguments.pipeline {
        for test in &arguments.tests {
            let mut rates: BTreeMap<String, Vec<[Run; 2]>> = BTreeMap::new();
            for _ in 0..rounds {
                let ours = measure(arguments, test, pipeline, &node)?;
                let theirs = measure(arguments, test, pipeline, &redis)?;
                for ((name, ours), (_, theirs)) in ours.into_iter().zip(theirs) {
                    rates.entry(name).or_default().push([ours, theirs]);
                }
                progress.add(1);
            }
            rows.extend(
                rates
                    .into_iter()
                    .map(|(test, rates)| Row::new(test, pipeline, rates)),
            );
        }
    }
    let figures = Figures {
        clients: arguments.clients,
        requests: arguments.requests,
        keys: arguments.keys,
        rows,
    };
    print(&figures, arguments.json, &arguments.baseline)
}

/// What a test of redis-benchmark came to, for one kind of request.
#[derive(Clone, Copy)]
struct Run {
    /// Requests per second.
    rate: f64,
    /// Processor time of the server for each request, in microseconds; on Linux alone.
    busy_us: Option<f64>,
}

/// Runs a test of redis-benchmark against a server, for each kind of request that it is of.
fn measure(
    arguments: &BenchRedis,
    test: &str,
    pipeline: u32,
    server: &Process,
) -> Result<Vec<(String, Run)>, Failure> {
    let busy = server.busy();
    let running =
        || "cannot run redis-benchmark; install it, or see that it is on the PATH".to_owned();
    let output = Command::new("redis-benchmark")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &server.address.port().to_string(),
            "--csv",
            "-t",
            test,
        ])
        .args([
            "-n",
            &arguments.requests.to_string(),
            "-c",
            &arguments.clients.to_string(),
        ])
        .args([
            "-P",
            &pipeline.to_string(),
            "-r",
            &arguments.keys.to_string(),
        ])
        .stderr(Stdio::null())
        .output()
        .doing(running)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rates: Vec<_> = text.lines().filter_map(rate).collect();
    match output.status.success() && !rates.is_empty() {
        true => {
            let requests = f64::from(arguments.requests) * rates.len() as f64;
            let busy = server
                .busy()
                .zip(busy)
                .map(|(after, before)| after - before);
            let busy_us = busy.map(|busy| busy.as_secs_f64() * 1e6 / requests);
            let run = |(name, rate)| (name, Run { rate, busy_us });
            Ok(rates.into_iter().map(run).collect())
        }
        false => {
            let said = text.lines().next_back().unwrap_or_default();
            Err(Failure::failed(format!(
                "redis-benchmark could not run {test}: {said}"
            )))
        }
    }
}

/// A line such as `"GET","123456.78","0.123",…`.
fn rate(line: &str) -> Option<(String, f64)> {
    let mut fields = line.split("\",\"").map(|field| field.trim_matches('"'));
    let (name, rate) = (fields.next()?, fields.next()?);
    Some((name.to_owned(), rate.parse().ok()?))
}

#[derive(Debug, Serialize)]
struct Figures {
    clients: u32,
    requests: u32,
    keys: u32,
    rows: Vec<Row>,
}

/// A test at one length of pipelines.
#[derive(Debug, Serialize)]
struct Row {
    test: String,
    pipeline: u32,
    /// Requests per second, in the median of the rounds.
    node: f64,
    redis: f64,
    /// The median of the rounds' ratios.
    ratio: f64,
    /// Processor time of either for each request, in microseconds, in the median of the rounds.
    node_busy_us: Option<f64>,
    redis_busy_us: Option<f64>,
}

impl Row {
    fn new(test: String, pipeline: u32, rounds: Vec<[Run; 2]>) -> Self {
        let median = |of: &dyn Fn(&[Run; 2]) -> Option<f64>| {
            let mut values: Vec<f64> = rounds.iter().filter_map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let rate = |of: fn(&[Run; 2]) -> f64| median(&|round| Some(of(round))).unwrap_or_default();
        let busy = |at: usize| median(&|round| round[at].busy_us).map(|us| rounded(us, 1));
        Self {
            node: rate(|round| round[0].rate).round(),
            redis: rate(|round| round[1].rate).round(),
            ratio: rounded(rate(|round| round[0].rate / round[1].rate), 3),
            node_busy_us: busy(0),
            redis_busy_us: busy(1),
            test,
            pipeline,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} clients, {} requests a test, over {} keys; requests per second, and microseconds of processor time for each:\n",
            self.clients,
            count(self.requests.into()),
            count(self.keys.into())
        )?;
        let mut table = Table::new(&[
            ("test", Align::Left),
            ("at a time", Align::Right),
            ("node", Align::Right),
            ("redis-server", Align::Right),
            ("ratio", Align::Right),
            ("node, µs", Align::Right),
            ("redis-server, µs", Align::Right),
        ]);
        for row in &self.rows {
            table.row([
                row.test.clone(),
                row.pipeline.to_string(),
                count(row.node as u64),
                count(row.redis as u64),
                format!("{:.2}", row.ratio),
                shown(row.node_busy_us),
                shown(row.redis_busy_us),
            ]);
        }
        table.fmt(f)
    }
}

fn shown(micros: Option<f64>) -> String {
    micros.map_or_else(|| "?".to_owned(), |micros| micros.to_string())
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!(
            "redis-benchmark, {} clients, {} requests, {} keys",
            self.clients, self.requests, self.keys
        )
    }

    fn measures(&self) -> Vec<Measure> {
        let ratio =
            |row: &Row| Measure::rate(format!("{} P={}", row.test, row.pipeline), row.ratio);
        self.rows.iter().map(ratio).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_redis_benchmark_are_read_and_its_header_is_not() {
        let header = "\"test\",\"rps\",\"avg_latency_ms\"";
        assert_eq!(rate(header), None);
        let line = "\"MSET (10 keys)\",\"47755.49\",\"0.932\"";
        assert_eq!(rate(line), Some(("MSET (10 keys)".to_owned(), 47755.49)));
    }

    #[test]
    fn the_median_of_the_ratios_counts() {
        let rounds = [[1.0, 2.0], [3.0, 3.0], [9.0, 1.0]];
        let run = |rate| Run {
            rate,
            busy_us: Some(10.0 / rate),
        };
        let rounds = rounds.map(|round| round.map(run)).into();
        let row = Row::new("GET".to_owned(), 1, rounds);
        assert_eq!((row.node, row.redis, row.ratio), (3.0, 2.0, 1.0));
        assert_eq!(
            (row.node_busy_us, row.redis_busy_us),
            (Some(3.3), Some(5.0))
        );
    }
}
