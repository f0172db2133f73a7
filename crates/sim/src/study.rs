//! Many runs that answer one question.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use syncline_gossip::Strategy;

use crate::report::mean;
use crate::{Report, Scenario, ScenarioError, run_watched};

/// Runs scenarios on all processors; says whenever a rumour has been published in one of them. The reports are in the order of the
/// scenarios, and the same on any number of processors.
///
/// # Errors
/// The first [`ScenarioError`]; nothing is run then.
pub fn run_all(
    scenarios: &[Scenario],
    watch: impl Fn() + Sync,
) -> Result<Vec<Report>, ScenarioError> {
    scenarios.iter().try_for_each(Scenario::check)?;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(scenarios.len()));
    let work = || {
        while let Some((number, scenario)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            scenarios.get(number).map(|scenario| (number, scenario))
        } {
            let report = run_watched(scenario, |_| watch());
            if let Ok(mut done) = done.lock() {
                done.push((number, report));
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..processors.min(scenarios.len()) {
            scope.spawn(work);
        }
        work();
    });
    // A panic in a run has ended the scope already.
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, report)| report).collect()
}

/// How far infect-and-die pushing comes, beside what the theory of epidemics says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// Nodes.
    pub nodes: u32,
    /// Peers that each pushes to.
    pub fanout: usize,
    /// Runs, each with a seed of its own.
    pub runs: u32,
    /// Rumours of all runs.
    pub rumours: u32,
    /// Those that took off, reaching more than a tenth.
    pub took_off: u32,
    /// The share of the other nodes that these reached, on average.
    pub reached: f64,
    /// The root s > 0 of s = 1 − exp(−fanout · s).
    pub expected: f64,
    /// Percentage points between the two.
    pub off_by: f64,
}

impl Reach {
    /// The runs that answer it: with many nodes, each run has fewer rumours, since each of them tells more.
    #[must_use]
    pub fn scenarios(nodes: u32, fanout: usize, seed: u64, runs: u32) -> Vec<Scenario> {
        (0..u64::from(runs))
            .map(|run| Scenario {
                nodes,
                seed: seed.wrapping_add(run),
                warm_up: 0,
                rumours: (30_000 / nodes.max(1)).clamp(3, 30),
                settle: std::time::Duration::from_secs(3),
                ..Scenario::new(Strategy::Push { fanout })
            })
            .collect()
    }

    /// What their reports came to. Nothing unless they are of scenarios that push.
    #[must_use]
    pub fn of(scenarios: &[Scenario], reports: &[Report]) -> Option<Self> {
        let first = scenarios.first()?;
        let Strategy::Push { fanout } = first.gossip.strategy else {
            return None;
        };
        let expected = first.expected_reach()?;
        let took_off: u32 = reports.iter().map(|report| report.took_off).sum();
        let weighted = reports.iter().map(|it| it.reached * f64::from(it.took_off));
        let reached = weighted.sum::<f64>() / f64::from(took_off.max(1));
        Some(Self {
            nodes: first.nodes,
            fanout,
            runs: reports.len() as u32,
            rumours: scenarios.iter().map(|scenario| scenario.rumours).sum(),
            took_off,
            reached,
            expected,
            off_by: 100.0 * (reached - expected).abs(),
        })
    }
}

/// What spreading costs a node of a cluster of some size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Nodes.
    pub nodes: u32,
    /// The least of all runs.
    pub delivered: f64,
    /// Copies of a rumour that a node received.
    pub copies: f64,
    /// The most hops of any run.
    pub max_hops: u16,
    /// Milliseconds to all, on average.
    pub all_ms: f64,
    /// Bytes that a node sent in a second.
    pub bytes_per_node_second: f64,
    /// The same, over the natural logarithm of the number of nodes: it does not grow if the bytes grow as the logarithm does.
    pub bytes_over_log: f64,
}

impl Growth {
    /// What the reports of runs of one size came to.
    #[must_use]
    pub fn of(nodes: u32, reports: &[Report]) -> Self {
        let bytes = mean(reports.iter().map(|it| it.bytes_per_node_second));
        Self {
            nodes,
            delivered: reports.iter().map(|it| it.delivered).fold(1.0, f64::min),
            copies: mean(reports.iter().map(|it| it.copies)),
            max_hops: reports.iter().map(|it| it.max_hops).max().unwrap_or(0),
            all_ms: mean(reports.iter().map(|it| it.times.all_ms)),
            bytes_per_node_second: bytes,
            bytes_over_log: bytes / f64::from(nodes).ln(),
        }
    }
}
