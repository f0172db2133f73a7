//! `syncline bench sync`: two durable replicas that differ in a known way, one session, what it cost.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use syncline::trust::Cluster;
use syncline_store::{RedbOptions, Store, StoreError};
use syncline_sync::quic::{Connection, Endpoint, Forwarder, Limits, NodeId};
use syncline_sync::{Config, Report, Request};
use tokio::runtime::Handle;

use super::interrupt::Counted;
use super::timed::{Commits, Spent, TimedEngine};
use super::workload::{self, NAMESPACE, Rows, SECRET};
use super::{copy, cpu, print, rounded, scratch};
use crate::args::{BenchSync, Kind};
use crate::by_kind::BytesByKind;
use crate::failure::{Doing, Failure, Reason, chain};
use crate::progress::Progress;
use crate::seeded::Seeded;
use crate::table::{Align, Table, bytes, count};

/// How long a session that was broken off is given for its last commit.
const SETTLE: Duration = Duration::from_millis(500);

/// The figures, in the order in which they are printed.
#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    differences: u64,
    kind: &'static str,
    strategy: &'static str,
    rtt_ms: u64,
    seed: u64,
    cache_mib: u64,
    warm: bool,
    round_trips: f64,
    /// Bytes of frames, both ways.
    bytes_total: u64,
    /// Bytes of user keys and values alone.
    bytes_rows: u64,
    /// What is left after user keys and values; below zero where the prefixes that keys share outweigh it. None where
    /// nothing differs.
    overhead_bytes_per_difference: Option<f64>,
    bytes_by_kind: BytesByKind,
    rows_sent: u64,
    rows_needed: u64,
    ranges_compared: u64,
    symbols: u64,
    /// Processor time of both sides, without commits.
    cpu_ms: f64,
    /// Time in commits of both sides.
    commit_ms: f64,
    commit_cpu_ms: f64,
    commits: u64,
    wall_ms: f64,
    rows_per_second: Option<u64>,
    interrupted: Option<Interrupted>,
    agreed: bool,
}

/// What became of a bootstrap that was broken off.
#[derive(Debug, Serialize)]
struct Interrupted {
    /// Rows that the receiver held when the session was broken off.
    rows_held: u64,
    /// Rows that it held and was sent again nevertheless.
    rows_held_sent_again: u64,
    /// Rows that were sent more than once in all: those, and those that were on their way and got lost. What the sender had
    /// read for sending counts as sent.
    rows_sent_again: u64,
    percent_sent_again: f64,
}

pub(super) fn run(arguments: &BenchSync) -> Result<(), Failure> {
    let rows = Rows {
        count: arguments.rows,
        seed: arguments.seed,
    };
    let scratch = scratch()?;
    let (ours, theirs) = replicas(arguments, rows, scratch.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .doing(|| "cannot start the runtime".to_owned())?;
    let figures = runtime.block_on(measure(arguments, ours, theirs))?;
    print(&figures, arguments.json)?;
    match figures.agreed {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            "the two replicas do not hold the same after the session",
        )),
    }
}

/// One side of the session.
struct Side {
    store: Store<TimedEngine>,
    commits: Arc<Commits>,
}

impl Side {
    fn open(path: &Path, arguments: &BenchSync) -> Result<Self, Failure> {
        let options = RedbOptions {
            cache_bytes: usize::try_from(arguments.cache_mib << 20).unwrap_or(usize::MAX),
        };
        let (store, commits) = workload::open(path, options)?;
        Ok(Self { store, commits })
    }

    fn rows(&self) -> Result<u64, Failure> {
        let view = self
            .store
            .view()
            .doing(|| "cannot read a replica".to_owned())?;
        Ok(view.row_count())
    }
}

/// The side that begins the session, and its peer, which has made the differences.
fn replicas(arguments: &BenchSync, rows: Rows, scratch: &Path) -> Result<(Side, Side), Failure> {
    let base = workload::base(rows, scratch, arguments.reuse.as_deref())?;
    let theirs = Side::open(&copy(&base, scratch.join("theirs.redb"))?, arguments)?;
    let ours = match arguments.kind {
        Kind::Bootstrap => scratch.join("ours.redb"),
        _ => copy(&base, scratch.join("ours.redb"))?,
    };
    workload::make_differ(&theirs.store, arguments.kind, rows, arguments.differing())?;
    let ours = Side::open(&ours, arguments)?;
    acquaint(&ours.store, &theirs.store).doing(|| "cannot write a replica".to_owned())?;
    if arguments.warm {
        workload::warm(&ours.store)?;
        workload::warm(&theirs.store)?;
    }
    Ok((ours, theirs))
}

/// As if they had met before. One may be a copy of the other.
fn acquaint(ours: &Store<TimedEngine>, theirs: &Store<TimedEngine>) -> Result<(), StoreError> {
    if ours.carrier() == theirs.carrier() {
        ours.rename_carrier()?;
    }
    ours.enrol(&theirs.carriers())?;
    theirs.enrol(&ours.carriers())?;
    Ok(())
}

async fn measure(arguments: &BenchSync, ours: Side, theirs: Side) -> Result<Figures, Failure> {
    let handed_out = Arc::<AtomicU64>::default();
    let link = Link::lay(&theirs, arguments.rtt_ms, Arc::clone(&handed_out)).await?;
    let _progress = Progress::spinner("syncing");

    let connection = link.connect().await?;
    // The handshake is done, counting begins.
    let spent = || ours.commits.spent().and(theirs.commits.spent());
    let (spent_before, cpu_before) = (spent(), cpu::of_process());
    let wire_before = link.wire_cpu().await;
    let began = Instant::now();
    let mut interrupted = None;
    let connection = match arguments.interrupt {
        None => connection,
        Some(share) => {
            break_off(&connection, &ours, arguments, share).await?;
            // What the session was about to commit when it was dropped may still come. Waiting for it is not counted.
            tokio::time::sleep(SETTLE).await;
            interrupted = Some(ours.rows()?);
            link.connect().await?
        }
    };
    let report = session(&connection, &ours, arguments)
        .await
        .map_err(|error| Failure::failed(format!("the session failed: {error}")))?;
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

    let interrupted = interrupted.map(|rows_held| {
        let handed_out = handed_out.load(Ordering::Relaxed);
        let again = handed_out.saturating_sub(arguments.rows);
        Interrupted {
            rows_held,
            rows_held_sent_again: report
                .rows_received
                .saturating_sub(arguments.rows - rows_held),
            rows_sent_again: again,
            percent_sent_again: rounded(again as f64 * 100.0 / arguments.rows as f64, 3),
        }
    });
    let agreed = report.agreed && same(&ours, &theirs)?;
    Ok(figures(
        arguments,
        &report,
        wall,
        cpu,
        spent,
        interrupted,
        agreed,
    ))
}

/// Whether the replicas hold the same, whatever the session says.
fn same(ours: &Side, theirs: &Side) -> Result<bool, Failure> {
    let reading = || "cannot read a root digest".to_owned();
    let root = |side: &Side| {
        side.store
            .view()
            .and_then(|view| view.root())
            .doing(reading)
    };
    Ok(root(ours)? == root(theirs)?)
}

fn figures(
    arguments: &BenchSync,
    report: &Report,
    wall: Duration,
    cpu: Duration,
    spent: Spent,
    interrupted: Option<Interrupted>,
    agreed: bool,
) -> Figures {
    let rows = Rows {
        count: arguments.rows,
        seed: arguments.seed,
    };
    let differences = arguments.differing();
    let milliseconds = |duration: Duration| rounded(duration.as_secs_f64() * 1e3, 3);
    let bytes_rows = report.user_bytes_sent + report.user_bytes_received;
    let overhead = report.bytes_total() as f64 - bytes_rows as f64;
    Figures {
        rows: arguments.rows,
        differences,
        kind: arguments.kind.name(),
        strategy: arguments.strategy.name(),
        rtt_ms: arguments.rtt_ms,
        seed: arguments.seed,
        cache_mib: arguments.cache_mib,
        warm: arguments.warm,
        round_trips: report.round_trips(),
        bytes_total: report.bytes_total(),
        bytes_rows,
        overhead_bytes_per_difference: (differences > 0)
            .then(|| rounded(overhead / differences as f64, 2)),
        bytes_by_kind: BytesByKind::of(report),
        rows_sent: report.rows_sent + report.rows_received,
        rows_needed: workload::rows_needed(arguments.kind, rows, differences),
        ranges_compared: report.ranges_compared,
        symbols: report.symbols,
        cpu_ms: milliseconds(cpu.saturating_sub(spent.cpu)),
        commit_ms: milliseconds(spent.wall),
        commit_cpu_ms: milliseconds(spent.cpu),
        commits: spent.count,
        wall_ms: milliseconds(wall),
        rows_per_second: (arguments.kind == Kind::Bootstrap)
            .then(|| (arguments.rows as f64 / wall.as_secs_f64()) as u64),
        interrupted,
        agreed,
    }
}

/// Lets a session run until our side holds the share of the rows, and breaks it off there.
async fn break_off(
    connection: &Connection,
    ours: &Side,
    arguments: &BenchSync,
    share: f64,
) -> Result<(), Failure> {
    let enough = (arguments.rows as f64 * share) as u64;
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
        outcome = session(connection, ours, arguments) => {
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
) -> Result<Report, String> {
    let mut salt = [0; 16];
    Seeded::stream(arguments.seed, 5).fill(&mut salt);
    let request = Request::new(salt)
        .by(arguments.strategy.into())
        .introducing(true);
    let synced = connection.sync(ours.store.clone(), config(), request).await;
    synced.map_err(|error| chain(&error))
}

fn config() -> Config {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&SECRET[..16]);
    Config::new(cluster, [0; 32], NAMESPACE, now)
}

/// The way from our side to the peer, who serves at its end.
struct Link {
    from: Endpoint,
    to: SocketAddr,
    wire: Option<Wire>,
}

/// A wire with a delay, on a thread of its own so that its processor time can be taken off: it stands for the network.
struct Wire {
    _forwarder: Forwarder,
    handle: Handle,
}

impl Link {
    async fn lay(theirs: &Side, rtt_ms: u64, handed_out: Arc<AtomicU64>) -> Result<Self, Failure> {
        let laying = || "cannot set the session up".to_owned();
        let cluster = Cluster::throwaway().doing(laying)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = || -> Result<Endpoint, Failure> {
            let member = cluster.admit().doing(laying)?;
            Endpoint::bind(any, &member.identity, Limits::default()).doing(laying)
        };
        let (from, serving) = (endpoint()?, endpoint()?);
        let replica = Counted {
            replica: theirs.store.clone(),
            rows: handed_out,
        };
        let host = move |namespace: &str, _peer: NodeId| {
            (namespace == NAMESPACE).then(|| (replica.clone(), config()))
        };
        let mut to = serving.local_addr().doing(laying)?;
        tokio::spawn(async move { serving.serve(Arc::new(host)).await });
        let mut wire = None;
        if rtt_ms > 0 {
            let laid = Wire::lay(to, Duration::from_millis(rtt_ms) / 2).await?;
            to = laid._forwarder.local_addr();
            wire = Some(laid);
        }
        Ok(Self { from, to, wire })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        self.from
            .connect(self.to)
            .await
            .doing(|| "cannot connect the replicas".to_owned())
    }

    /// Processor time that the wire has used.
    async fn wire_cpu(&self) -> Duration {
        match &self.wire {
            None => Duration::ZERO,
            // Runs on the wire's own thread. Without an answer its time is not taken off, which flatters nobody.
            Some(wire) => wire
                .handle
                .spawn(async { cpu::of_thread() })
                .await
                .unwrap_or_default(),
        }
    }
}

impl Wire {
    async fn lay(to: SocketAddr, one_way: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(|| "cannot start the wire".to_owned())?;
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let started = handle.spawn(Forwarder::start(to, one_way)).await;
        let started = started.doing(|| "cannot start the wire".to_owned())?;
        Ok(Self {
            _forwarder: started.doing(|| "cannot start the wire".to_owned())?,
            handle,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right)]);
        let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
        line("round trips", self.round_trips.to_string());
        line("bytes in all", bytes(self.bytes_total));
        line("  of user keys and values", bytes(self.bytes_rows));
        if let Some(overhead) = self.overhead_bytes_per_difference {
            line("overhead per difference", format!("{overhead} B"));
        }
        line("rows sent", count(self.rows_sent));
        line("rows needed", count(self.rows_needed));
        line("ranges compared", count(self.ranges_compared));
        line("processor time, both sides", format!("{} ms", self.cpu_ms));
        line(
            "in commits, both sides",
            format!("{} ms ({} of them)", self.commit_ms, count(self.commits)),
        );
        line("time", format!("{} ms", self.wall_ms));
        if let Some(rate) = self.rows_per_second {
            line("rows per second", count(rate));
        }
        if let Some(interrupted) = &self.interrupted {
            line("rows held when interrupted", count(interrupted.rows_held));
            line(
                "  of them sent again",
                count(interrupted.rows_held_sent_again),
            );
            line(
                "rows sent twice in all",
                format!(
                    "{} ({} %)",
                    count(interrupted.rows_sent_again),
                    interrupted.percent_sent_again
                ),
            );
        }
        writeln!(
            f,
            "{} rows, {} differences ({}), strategy {}, round-trip time {} ms: {}",
            count(self.rows),
            count(self.differences),
            self.kind,
            self.strategy,
            self.rtt_ms,
            if self.agreed { "agreed" } else { "NOT AGREED" },
        )?;
        // The columns need no header.
        let text = table.to_string();
        write!(f, "{}", text.split_once('\n').map_or("", |(_, rest)| rest))
    }
}
