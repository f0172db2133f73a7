//! `syncline bench cluster`: real processes under mutual TLS on loopback, which find each other, spread writes, notice who dies, and
//! heal.

mod budget;
pub(crate) mod member;
mod processes;
mod protocol;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use self::processes::Processes;
use self::protocol::{Order, Said, now};
use super::baseline::{Measure, Measured};
use super::{print, rounded, scratch};
use crate::args::BenchCluster;
use crate::failure::Failure;
use crate::progress::Progress;

/// Keys written before, and removed while, a node is stopped.
const REMOVED: u32 = 20;
/// Writes of each node after which all stores know each other.
const ACQUAINTED: u32 = 2;

pub(super) fn run(arguments: &BenchCluster) -> Result<(), Failure> {
    if let Some(budget) = arguments.budget {
        return budget::run(arguments, budget);
    }
    let scratch = scratch()?;
    let mut members = Processes::new(scratch.path())?;
    let begun = Instant::now();
    for _ in 0..arguments.nodes {
        members.start(None)?;
    }
    all_know_each_other(&members)?;
    let joined = begun.elapsed();
    let latencies = spread(&mut members, arguments.writes)?;
    let stopped = stop(&mut members, arguments.stop_seconds)?;
    let noticed = kill(&mut members)?;
    let living: Vec<usize> = (0..members.count() - 1).collect();
    members.close(&living)?;
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share).ceil() as usize;
        millis(latencies[index.clamp(1, latencies.len()) - 1])
    };
    let figures = Figures {
        nodes: arguments.nodes,
        writes: arguments.writes,
        joined_ms: millis(joined),
        spread_p50_ms: at(0.5),
        spread_p99_ms: at(0.99),
        spread_max_ms: at(1.0),
        stop_seconds: arguments.stop_seconds,
        healed_ms: millis(stopped.healed),
        resurrected: stopped.resurrected,
        killed_noticed_ms: millis(noticed),
    };
    print(&figures, arguments.json, &arguments.baseline)
}

#[derive(Debug, Serialize)]
struct Figures {
    nodes: u32,
    writes: u32,
    /// From the start of the first process until all know each other.
    joined_ms: f64,
    /// From the beginning of a write until the last of the others shows it.
    spread_p50_ms: f64,
    spread_p99_ms: f64,
    spread_max_ms: f64,
    stop_seconds: u64,
    /// From the moment at which the stopped process goes on until all have one root.
    healed_ms: f64,
    /// Keys that were removed while it was stopped and came back.
    resurrected: u64,
    /// From the SIGKILL until the last of the others holds the node for down.
    killed_noticed_ms: f64,
}

fn all_know_each_other(members: &Processes) -> Result<(), Failure> {
    let mut knowing = BTreeSet::new();
    members.wait_for(|from, said| {
        if let Said::Members(count) = said {
            match *count + 1 == members.count() {
                true => knowing.insert(from),
                false => knowing.remove(&from),
            };
        }
        (knowing.len() == members.count()).then_some(())
    })
}

/// Writes one after the other, each on the next node, and times the way of each to the last of the others. The first of each node are
/// not counted: with them the stores get to know each other, in a session.
fn spread(members: &mut Processes, writes: u32) -> Result<Vec<Duration>, Failure> {
    let progress = Progress::bar("writing", u64::from(writes));
    let mut latencies = Vec::with_capacity(writes as usize);
    let first = ACQUAINTED * members.count() as u32;
    for number in 0..first + writes {
        let writer = number as usize % members.count();
        let key = format!("write {number}");
        put(members, writer, &key)?;
        let others = members.count() - 1;
        let (mut written, mut shown) = (None, Vec::new());
        let (at, last) = members.wait_for(|from, said| {
            match said {
                Said::Written { key: done, at } if *done == key => written = Some(*at),
                Said::Shown { key: it, at, .. } if *it == key && from != writer => shown.push(*at),
                _ => {}
            }
            let last = shown.iter().max().filter(|_| shown.len() == others);
            written.zip(last.copied())
        })?;
        if number >= first {
            latencies.push(Duration::from_nanos(last.saturating_sub(at)));
            progress.add(1);
        }
        // What is measured is a cluster that is idle otherwise.
        std::thread::sleep(Duration::from_millis(2));
    }
    latencies.sort();
    Ok(latencies)
}

fn put(members: &mut Processes, writer: usize, key: &str) -> Result<(), Failure> {
    let (key, value) = (key.to_owned(), "x".repeat(100));
    members.order(writer, &Order::Put { key, value })
}

struct Stopped {
    healed: Duration,
    resurrected: u64,
}

/// Stops the last node for a while in which others write and remove, and lets it go on.
fn stop(members: &mut Processes, seconds: u64) -> Result<Stopped, Failure> {
    let stopped = members.count() - 1;
    for number in 0..REMOVED {
        put(members, 0, &format!("write removed {number}"))?;
    }
    agree(members, members.count())?;
    let progress = Progress::bar("with one node stopped", seconds);
    members.signal(stopped, Signal::STOP)?;
    let others = stopped;
    for number in 0..REMOVED {
        let key = format!("write removed {number}");
        members.order(number as usize % others, &Order::Remove { key })?;
        put(
            members,
            number as usize % others,
            &format!("write new {number}"),
        )?;
    }
    for _ in 0..seconds {
        members.listen(Instant::now() + Duration::from_secs(1), |_, _| {})?;
        progress.add(1);
    }
    drop(progress);
    let begun = Instant::now();
    members.signal(stopped, Signal::CONT)?;
    let mut back = BTreeSet::new();
    agree_hearing(members, members.count(), |said| {
        if let Said::Shown {
            key,
            value: Some(_),
            ..
        } = said
            && key.starts_with("write removed")
        {
            back.insert(key.clone());
        }
    })?;
    let healed = begun.elapsed();
    all_alive_again(members)?;
    Ok(Stopped {
        healed,
        resurrected: back.len() as u64,
    })
}

/// A write of the first node comes to all others again.
fn all_alive_again(members: &mut Processes) -> Result<(), Failure> {
    put(members, 0, "write after all")?;
    let mut shown = BTreeSet::new();
    members.wait_for(|from, said| {
        if let Said::Shown { key, .. } = said
            && key == "write after all"
        {
            shown.insert(from);
        }
        (shown.len() == members.count()).then_some(())
    })
}

fn agree(members: &mut Processes, count: usize) -> Result<(), Failure> {
    agree_hearing(members, count, |_| ())
}

/// Waits until the first `count` members have one root.
fn agree_hearing(
    members: &mut Processes,
    count: usize,
    mut hear: impl FnMut(&Said),
) -> Result<(), Failure> {
    loop {
        for number in 0..count {
            members.order(number, &Order::Root)?;
        }
        let (mut answers, mut roots) = (0, BTreeSet::new());
        members.wait_for(|_, said| {
            hear(said);
            if let Said::Root { digest, .. } = said {
                answers += 1;
                roots.insert(digest.clone());
            }
            (answers == count).then_some(())
        })?;
        if roots.len() == 1 {
            return Ok(());
        }
        members.listen(Instant::now() + Duration::from_millis(20), |_, said| {
            hear(said)
        })?;
    }
}

/// Kills the last node, and waits until all others have noticed.
fn kill(members: &mut Processes) -> Result<Duration, Failure> {
    let killed = members.count() - 1;
    let node = members.node(killed).to_owned();
    let at = now();
    members.signal(killed, Signal::KILL)?;
    let mut noticed = BTreeSet::new();
    let mut last = at;
    members.wait_for(|from, said| {
        if let Said::Down { node: down, at } = said
            && *down == node
            && noticed.insert(from)
        {
            last = last.max(*at);
        }
        (noticed.len() == killed).then_some(())
    })?;
    Ok(Duration::from_nanos(last - at))
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 2)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} processes under mutual TLS, on loopback", self.nodes)?;
        writeln!(f)?;
        writeln!(f, "  all know each other after     {} ms", self.joined_ms)?;
        writeln!(
            f,
            "  a write is shown by all after {} ms in the median, {} at 99 %, {} at most, of {}",
            self.spread_p50_ms, self.spread_p99_ms, self.spread_max_ms, self.writes
        )?;
        writeln!(
            f,
            "  SIGSTOP for {} s, then agreed  after {} ms, {} removed keys came back",
            self.stop_seconds, self.healed_ms, self.resurrected
        )?;
        writeln!(
            f,
            "  SIGKILL noticed by all after  {} ms",
            self.killed_noticed_ms
        )
    }
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!(
            "cluster of {}, {} writes, stopped for {} s",
            self.nodes, self.writes, self.stop_seconds
        )
    }

    fn measures(&self) -> Vec<Measure> {
        vec![
            Measure::timed("joined_ms", self.joined_ms),
            Measure::timed("spread_p50_ms", self.spread_p50_ms),
            Measure::timed("spread_p99_ms", self.spread_p99_ms),
            Measure::timed("healed_ms", self.healed_ms),
            Measure::timed("killed_noticed_ms", self.killed_noticed_ms),
            Measure::counted("resurrected", self.resurrected as f64),
        ]
    }
}
