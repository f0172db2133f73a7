//! `syncline sim`: how far rumours come in a simulated cluster, and at which cost.

mod plot;
mod study;

use std::{fmt, fs};

use serde::Serialize;
use syncline_gossip::Strategy;
use syncline_sim::{Report, Scenario, ScenarioFile, run_all};

use crate::args::{Sim, Study};
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;
use crate::table::{Align, Table};

pub(crate) fn run(arguments: &Sim) -> Result<(), Failure> {
    match &arguments.study {
        Some(Study::Reach(reach)) => study::reach(reach),
        Some(Study::Growth(growth)) => study::growth(growth),
        Some(Study::Plot(plot)) => plot::plot(plot),
        None => runs(arguments),
    }
}

fn runs(arguments: &Sim) -> Result<(), Failure> {
    let Some(path) = &arguments.scenario else {
        let scenario = arguments.scenario();
        let reports = simulate(&arguments.runs_of(&scenario))?;
        return print(&Figures::of(arguments, &scenario, reports), arguments.json);
    };
    let text = fs::read_to_string(path).doing(|| format!("cannot read {}", path.display()))?;
    let file = ScenarioFile::parse(&text)
        .map_err(|error| Failure::new(Reason::BadInput, format!("{}: {error}", path.display())))?;
    let reports = simulate(&arguments.runs_of(&file.scenario))?;
    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| file.expectations.failures(report))
        .collect();
    print(
        &Figures::of(arguments, &file.scenario, reports),
        arguments.json,
    )?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Reason::Differs, failures.join("; "))),
    }
}

/// Runs them all, with progress.
fn simulate(scenarios: &[Scenario]) -> Result<Vec<Report>, Failure> {
    let rumours = |it: &Scenario| u64::from(it.warm_up) + u64::from(it.rumours);
    let progress = Progress::bar("simulating", scenarios.iter().map(rumours).sum());
    run_all(scenarios, || progress.add(1))
        .map_err(|error| Failure::new(Reason::Usage, error.to_string()))
}

fn print<T: Serialize + fmt::Display>(figures: &T, json: bool) -> Result<(), Failure> {
    if json {
        let text =
            serde_json::to_string(figures).doing(|| "cannot print the figures".to_owned())?;
        println!("{text}");
    } else {
        print!("{figures}");
    }
    Ok(())
}

/// What the runs came to, together and each.
#[derive(Serialize)]
struct Figures {
    nodes: u32,
    strategy: &'static str,
    fanout: Option<usize>,
    loss: f64,
    regions: u32,
    writers: u32,
    killed: f64,
    seed: u64,
    /// The least of all runs.
    delivered: f64,
    /// The mean of all runs in which anything took off, and what the theory of epidemics says of it, where it does.
    reached: f64,
    expected_reach: Option<f64>,
    /// Means of all runs, but for the greatest of `max_hops` and `all_max_ms`.
    copies: f64,
    last_hops: f64,
    max_hops: u16,
    half_ms: f64,
    nearly_all_ms: f64,
    all_ms: f64,
    all_max_ms: f64,
    all_max_periods: u32,
    bytes_per_node_second: f64,
    messages_per_node_second: f64,
    between_regions: f64,
    between_regions_per_node_second: f64,
    peak_bytes_per_second: u64,
    overlay_parts: u32,
    /// The longest, where all runs came to it.
    agreed_ms: Option<f64>,
    runs: Vec<Report>,
}

impl Figures {
    fn of(arguments: &Sim, scenario: &Scenario, runs: Vec<Report>) -> Self {
        let mean = |value: fn(&Report) -> f64| {
            let sum: f64 = runs.iter().map(value).sum();
            sum / runs.len() as f64
        };
        let greatest = |value: fn(&Report) -> f64| runs.iter().map(value).fold(0.0, f64::max);
        let took_off = || runs.iter().filter(|run| run.took_off > 0);
        let reached: f64 = took_off().map(|run| run.reached).sum();
        let first = arguments.runs_of(scenario).into_iter().next();
        let (nodes, seed) = first.map_or((0, 0), |first| (first.nodes, first.seed));
        let (strategy, fanout) = match scenario.gossip.strategy {
            Strategy::Push { fanout } => ("push", Some(fanout)),
            Strategy::PushWithFeedback { fanout, .. } => ("feedback", Some(fanout)),
            Strategy::Pull => ("pull", None),
            Strategy::PushPull { fanout } => ("push-pull", Some(fanout)),
            Strategy::Adaptive => ("adaptive", None),
            Strategy::Plumtree => ("plumtree", None),
        };
        Self {
            nodes,
            strategy,
            fanout,
            loss: scenario.network.loss,
            regions: scenario.network.regions(),
            writers: scenario.writers,
            killed: arguments.kill,
            seed,
            delivered: runs.iter().map(|run| run.delivered).fold(1.0, f64::min),
            reached: reached / took_off().count().max(1) as f64,
            expected_reach: scenario.expected_reach(),
            copies: mean(|run| run.copies),
            last_hops: mean(|run| run.last_hops),
            max_hops: runs.iter().map(|run| run.max_hops).max().unwrap_or(0),
            half_ms: mean(|run| run.times.half_ms),
            nearly_all_ms: mean(|run| run.times.nearly_all_ms),
            all_ms: mean(|run| run.times.all_ms),
            all_max_ms: greatest(|run| run.times.all_max_ms),
            all_max_periods: runs
                .iter()
                .map(|run| run.times.all_max_periods)
                .max()
                .unwrap_or(0),
            bytes_per_node_second: mean(|run| run.bytes_per_node_second),
            messages_per_node_second: mean(|run| run.messages_per_node_second),
            between_regions: mean(|run| run.between_regions),
            between_regions_per_node_second: mean(|run| run.between_regions_per_node_second),
            peak_bytes_per_second: runs
                .iter()
                .map(|run| run.peak_bytes_per_second)
                .max()
                .unwrap_or(0),
            agreed_ms: runs
                .iter()
                .map(|run| run.agreed_ms)
                .try_fold(0.0, |most: f64, it| it.map(|agreed| most.max(agreed))),
            overlay_parts: runs.iter().map(|run| run.overlay_parts).max().unwrap_or(0),
            runs,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right)]);
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let milliseconds = |ms: f64| format!("{ms:.0} ms");
        table.row([
            "delivered, the least of all runs".into(),
            percent(self.delivered),
        ]);
        table.row(["reached, of what took off".into(), percent(self.reached)]);
        if let Some(expected) = self.expected_reach {
            table.row([
                "as the equation s = 1 - exp(-f s) says".into(),
                percent(expected),
            ]);
        }
        table.row([
            "copies per node and rumour".into(),
            format!("{:.3}", self.copies),
        ]);
        table.row(["hops to the last".into(), format!("{:.1}", self.last_hops)]);
        table.row(["most hops".into(), self.max_hops.to_string()]);
        table.row(["to half of the nodes".into(), milliseconds(self.half_ms)]);
        table.row(["to 99 of 100".into(), milliseconds(self.nearly_all_ms)]);
        table.row(["to all".into(), milliseconds(self.all_ms)]);
        table.row(["to all, the longest".into(), milliseconds(self.all_max_ms)]);
        table.row([
            "the same, in periods".into(),
            self.all_max_periods.to_string(),
        ]);
        table.row([
            "messages per node and second".into(),
            format!("{:.1}", self.messages_per_node_second),
        ]);
        table.row([
            "bytes per node and second".into(),
            format!("{:.0}", self.bytes_per_node_second),
        ]);
        table.row([
            "the most of any node in a second".into(),
            self.peak_bytes_per_second.to_string(),
        ]);
        if self.runs.iter().any(|run| run.sessions > 0) {
            let agreed = self.agreed_ms.map_or("never".into(), milliseconds);
            table.row(["to equal roots, the longest".into(), agreed]);
        }
        if self.regions > 1 {
            table.row([
                "of them between regions".into(),
                format!(
                    "{:.0} ({})",
                    self.between_regions_per_node_second,
                    percent(self.between_regions)
                ),
            ]);
        }
        write!(f, "{table}")
    }
}
