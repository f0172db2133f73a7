//! `syncline bench sync`: two durable replicas that differ in a known way, one session, what it cost.

pub(super) mod decoding;
pub(super) mod figures;
pub(super) mod link;
pub(super) mod serve;
pub(super) mod side;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use syncline_sync::quic::Connection;
use syncline_sync::{Report, Strategy};
use tokio::runtime::Runtime;

use self::figures::{Figures, Interrupted};
use self::link::Link;
use self::side::Side;
use super::timed::Spent;
use super::workload::{self, NAMESPACE};
use super::{cpu, print, rounded, scratch};
use crate::args::{BenchSync, Kind, Workload};
use crate::by_kind::BytesByKind;
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;

/// How long a session that was broken off is given for its last commit.
const SETTLE: Duration = Duration::from_millis(500);

pub(super) fn run(arguments: &BenchSync) -> Result<(), Failure> {
    let workload = &arguments.workload;
    let scratch = scratch()?;
    let (ours, theirs) = match arguments.peer {
        None => {
            let base = side::base(workload, scratch.path())?;
            let theirs = side::theirs(workload, &base, scratch.path())?;
            let ours = side::ours(workload, &base, scratch.path())?;
            side::acquaint(&ours, &theirs)?;
            (ours, Some(theirs))
        }
        // It is filled from the peer: rows written here would be others.
        Some(_) => (side::empty(workload, scratch.path())?, None),
    };
    if arguments.warm {
        workload::warm(&ours.store)?;
        if let Some(theirs) = &theirs {
            workload::warm(&theirs.store)?;
        }
    }
    let figures = runtime()?.block_on(measure(arguments, ours, theirs))?;
    print(&figures, arguments.json, &arguments.baseline)?;
    match figures.agreed {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            "the two replicas do not hold the same after the session",
        )),
    }
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().doing(|| "cannot start the runtime".to_owned())
}

/// What two processes call a workload, so that each serves and asks for the same.
fn named(workload: &Workload) -> String {
    let kind = workload.kind.name();
    let (rows, differing, seed) = (workload.rows, workload.differing(), workload.seed);
    format!("{NAMESPACE}-{kind}-{rows}-{differing}-{seed}")
}

/// What they call the rows that both sides begin with.
fn named_base(workload: &Workload) -> String {
    format!("{NAMESPACE}-base-{}-{}", workload.rows, workload.seed)
}

/// `theirs` is the peer, unless it is another process.
async fn measure(
    arguments: &BenchSync,
    ours: Side,
    theirs: Option<Side>,
) -> Result<Figures, Failure> {
    let handed_out = Arc::<AtomicU64>::default();
    let link = match (&theirs, &arguments.peer, &arguments.identity) {
        (Some(theirs), ..) => Link::lay(theirs, arguments.rtt_ms, Arc::clone(&handed_out)).await?,
        (None, Some(peer), Some(identity)) => Link::reach(peer, identity).await?,
        // clap lets nobody through with one of them.
        (None, ..) => return Err(Failure::failed("--peer goes with --identity")),
    };
    let namespace = match arguments.peer {
        None => NAMESPACE.to_owned(),
        Some(_) => named(&arguments.workload),
    };
    let before = match &theirs {
        None => None,
        Some(theirs) => {
            let reading = || "cannot read a replica".to_owned();
            let views = (ours.store.view(), theirs.store.view());
            Some((views.0.doing(reading)?, views.1.doing(reading)?))
        }
    };
    if theirs.is_none() && arguments.workload.kind != Kind::Bootstrap {
        fill(&link, &ours, &arguments.workload).await?;
    }
    let progress = Progress::spinner("syncing");

    let connection = link.connect().await?;
    // The handshake is done, counting begins.
    let spent = || {
        let theirs = theirs.as_ref().map(|theirs| theirs.commits.spent());
        ours.commits.spent().and(theirs.unwrap_or_default())
    };
    let (spent_before, cpu_before) = (spent(), cpu::of_process());
    let wire_before = link.wire_cpu().await;
    let began = Instant::now();
    let mut interrupted = None;
    let connection = match arguments.interrupt {
        None => connection,
        Some(share) => {
            break_off(&connection, &ours, arguments, &namespace, share).await?;
            // What the session was about to commit when it was dropped may still come. Waiting for it is not counted.
            tokio::time::sleep(SETTLE).await;
            interrupted = Some(ours.rows()?);
            link.connect().await?
        }
    };
    let report = session(&connection, &ours, arguments, &namespace)
        .await
        .map_err(|error| failed(&error, theirs.is_none()))?;
    let wall = began.elapsed()
        - if interrupted.is_some() {
            SETTLE
        } else {
            Duration::ZERO
        };
    let wire = link.wire_cpu().await.saturating_sub(wire_before);
    let cpu = cpu::of_process()
        .saturating_sub(cpu_before)
        .saturating_sub(wire);
    let spent = spent().since(spent_before);
    connection.close();
    drop(progress);

    let rows = arguments.workload.rows;
    let interrupted = interrupted.map(|rows_held| {
        let handed_out = handed_out.load(Ordering::Relaxed);
        let again = handed_out.saturating_sub(rows);
        Interrupted {
            rows_held,
            rows_held_sent_again: report.rows_received.saturating_sub(rows - rows_held),
            rows_sent_again: again,
            percent_sent_again: rounded(again as f64 * 100.0 / rows as f64, 3),
        }
    });
    let agreed = match &theirs {
        Some(theirs) => report.agreed && side::same(&ours, theirs)?,
        None => report.agreed,
    };
    let decoded = match &before {
        Some((ours, theirs)) if report.symbols > 0 => {
            decoding::decode(ours, theirs, report.symbols)?
        }
        _ => None,
    };
    let mut figures = figures(arguments, &report, wall, cpu, spent, agreed);
    figures.interrupted = interrupted;
    figures.decode_ms = decoded.map(milliseconds);
    Ok(figures)
}

/// Takes the rows that both sides begin with from the peer. None of it is counted.
async fn fill(link: &Link, ours: &Side, workload: &Workload) -> Result<(), Failure> {
    let _progress = Progress::spinner("taking the peer's rows");
    let connection = link.connect().await?;
    let name = named_base(workload);
    let filled = ours.sync(&connection, &name, Strategy::Auto, workload.seed);
    let report = filled.await.map_err(|error| failed(&error, true))?;
    connection.close();
    match report.agreed {
        true => Ok(()),
        false => Err(failed("our side could not be filled", true)),
    }
}

fn failed(error: &str, by_peer: bool) -> Failure {
    let failure = Failure::failed(format!("the session failed: {error}"));
    match by_peer {
        true => failure.because(Reason::Peer),
        false => failure,
    }
}

fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 3)
}

fn figures(
    arguments: &BenchSync,
    report: &Report,
    wall: Duration,
    cpu: Duration,
    spent: Spent,
    agreed: bool,
) -> Figures {
    let workload = &arguments.workload;
    let differences = workload.differing();
    let bytes_rows = report.user_bytes_sent + report.user_bytes_received;
    let overhead = report.bytes_total() as f64 - bytes_rows as f64;
    Figures {
        rows: workload.rows,
        differences,
        kind: workload.kind.name(),
        strategy: arguments.strategy.name(),
        rtt_ms: arguments.rtt_ms,
        seed: workload.seed,
        cache_mib: workload.cache_mib,
        warm: arguments.warm,
        removal_log_bytes: workload.removal_log_bytes,
        peer: arguments.peer.clone(),
        round_trips: report.round_trips(),
        bytes_total: report.bytes_total(),
        bytes_rows,
        overhead_bytes_per_difference: (differences > 0)
            .then(|| rounded(overhead / differences as f64, 2)),
        bytes_by_kind: BytesByKind::of(report),
        rows_sent: report.rows_sent + report.rows_received,
        rows_needed: workload::rows_needed(workload.kind, side::rows(workload), differences),
        ranges_compared: report.ranges_compared,
        symbols: report.symbols,
        decode_ms: None,
        cpu_ms: milliseconds(cpu.saturating_sub(spent.cpu)),
        commit_ms: milliseconds(spent.wall),
        commit_cpu_ms: milliseconds(spent.cpu),
        commits: spent.count,
        wall_ms: milliseconds(wall),
        rows_per_second: (workload.kind == Kind::Bootstrap)
            .then(|| (workload.rows as f64 / wall.as_secs_f64()) as u64),
        interrupted: None,
        agreed,
    }
}

/// Lets a session run until our side holds the share of the rows, and breaks it off there.
async fn break_off(
    connection: &Connection,
    ours: &Side,
    arguments: &BenchSync,
    namespace: &str,
    share: f64,
) -> Result<(), Failure> {
    let enough = (arguments.workload.rows as f64 * share) as u64;
    let full = async {
        loop {
            let rows = ours.rows()?;
            if rows >= enough {
                return Ok::<_, Failure>(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        outcome = session(connection, ours, arguments, namespace) => {
            let text = match outcome {
                Ok(_) => "the session was over before it could be interrupted; use more rows".to_owned(),
                Err(error) => format!("the session failed before it was interrupted: {error}"),
            };
            Err(Failure::failed(text))
        }
        reached = full => {
            connection.close();
            reached
        }
    }
}

async fn session(
    connection: &Connection,
    ours: &Side,
    arguments: &BenchSync,
    namespace: &str,
) -> Result<Report, String> {
    let strategy = arguments.strategy.into();
    let seed = arguments.workload.seed;
    ours.sync(connection, namespace, strategy, seed).await
}
