//! Scenarios as text: TOML, with what is expected of the run.

use std::time::Duration;

use serde::Deserialize;
use syncline_gossip::{Config, Strategy};

use crate::{
    Crash, Cut, Join, Latency, Membership, Network, Report, Scenario, ScenarioError, Side, Stores,
};

/// A scenario that was read from text, and what it is to come to.
///
/// ```
/// use syncline_sim::{ScenarioFile, run};
///
/// let file = ScenarioFile::parse(r#"
///     about = "One message in ten is lost."
///     nodes = 60
///     strategy = "plumtree"
///     [network]
///     loss = 0.1
///     [expect]
///     delivered = 1.0
/// "#)?;
/// let report = run(&file.scenario)?;
/// assert_eq!(file.expectations.failures(&report), Vec::<String>::new());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioFile {
    /// What it shows.
    pub about: String,
    /// What is to be run.
    pub scenario: Scenario,
    /// How many nodes a quick test takes in place of all.
    pub quick_nodes: Option<u32>,
    /// What the report must say.
    pub expectations: Expectations,
}

/// What a report must say. What is left out is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// The least share of rumours and nodes that come together.
    pub delivered: Option<f64>,
    /// The most copies of a rumour for each node.
    pub copies: Option<f64>,
    /// The most hops.
    pub max_hops: Option<u16>,
    /// The most periods until a rumour is everywhere.
    pub all_max_periods: Option<u32>,
    /// The most milliseconds until rumours are everywhere, on average.
    pub all_ms: Option<f64>,
    /// The most bytes that a node sends in a second.
    pub bytes_per_node_second: Option<f64>,
    /// The greatest share of them that goes between regions.
    pub between_regions: Option<f64>,
    /// Into how many parts the overlay may fall.
    pub overlay_parts: Option<u32>,
    /// The most seconds until all stores have equal roots, from when all is written, healed and back.
    pub agreed_s: Option<f64>,
    /// The most bytes that any node sends in a second.
    pub peak_bytes_per_second: Option<u64>,
}

impl Expectations {
    /// What a report does not come up to, a line each.
    #[must_use]
    pub fn failures(&self, report: &Report) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(least) = self.delivered
            && report.delivered < least
        {
            failures.push(format!("delivered is {}, not {least}", report.delivered));
        }
        let mut at_most = |name: &str, is: f64, most: Option<f64>| {
            if let Some(most) = most
                && is > most
            {
                failures.push(format!("{name} is {is}, more than {most}"));
            }
        };
        at_most("copies", report.copies, self.copies);
        let most = |most: Option<u32>| most.map(f64::from);
        at_most(
            "max_hops",
            report.max_hops.into(),
            self.max_hops.map(f64::from),
        );
        let periods = report.times.all_max_periods;
        at_most(
            "all_max_periods",
            periods.into(),
            most(self.all_max_periods),
        );
        at_most("all_ms", report.times.all_ms, self.all_ms);
        let bytes = report.bytes_per_node_second;
        at_most("bytes_per_node_second", bytes, self.bytes_per_node_second);
        at_most(
            "between_regions",
            report.between_regions,
            self.between_regions,
        );
        let parts = report.overlay_parts;
        at_most("overlay_parts", parts.into(), most(self.overlay_parts));
        let peak = self.peak_bytes_per_second.map(|most| most as f64);
        at_most(
            "peak_bytes_per_second",
            report.peak_bytes_per_second as f64,
            peak,
        );
        // Never is later than anything.
        let agreed = report.agreed_ms.map_or(f64::INFINITY, |ms| ms / 1e3);
        at_most("agreed_s", agreed, self.agreed_s);
        failures
    }
}

/// Why text is no scenario.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is not written as one.
    #[error("the scenario cannot be read: {0}")]
    Malformed(#[from] toml::de::Error),
    /// A strategy that there is not.
    #[error("there is no strategy {0:?}: push, feedback, pull, push-pull, adaptive or plumtree")]
    Strategy(String),
    /// A time below zero, or without end.
    #[error("{0} is no length of time")]
    Time(f64),
    /// It cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

impl ScenarioFile {
    /// Reads a scenario. Every name that is not known is an error.
    ///
    /// # Errors
    /// [`FileError`], which says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let written: Written = toml::from_str(text)?;
        let file = written.read()?;
        file.scenario.check()?;
        Ok(file)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    about: String,
    nodes: Option<u32>,
    quick_nodes: Option<u32>,
    strategy: String,
    #[serde(default = "three")]
    fanout: usize,
    #[serde(default = "three")]
    tired: usize,
    by_latency: Option<bool>,
    seed: Option<u64>,
    writers: Option<u32>,
    warm_up: Option<u32>,
    rumours: Option<u32>,
    interval_ms: Option<f64>,
    payload: Option<usize>,
    settle_s: Option<f64>,
    drift: Option<f64>,
    budget: Option<u64>,
    recent_bytes: Option<usize>,
    stores: Option<WrittenStores>,
    #[serde(default)]
    membership: WrittenMembership,
    #[serde(default)]
    network: WrittenNetwork,
    #[serde(default)]
    join: Vec<WrittenJoin>,
    #[serde(default)]
    crash: Vec<WrittenCrash>,
    #[serde(default)]
    cut: Vec<WrittenCut>,
    #[serde(default)]
    expect: Expectations,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenMembership {
    #[default]
    Shared,
    Own,
}

const fn three() -> usize {
    3
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNetwork {
    latency_ms: Option<[f64; 2]>,
    pareto: Option<WrittenPareto>,
    #[serde(default)]
    between_ms: Vec<Vec<f64>>,
    loss: Option<f64>,
    doubled: Option<f64>,
    reordered: Option<f64>,
    reordered_by_ms: Option<f64>,
    bandwidth: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPareto {
    least_ms: f64,
    shape: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStores {
    sync_every_s: f64,
    #[serde(default)]
    skew_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJoin {
    at_s: f64,
    share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCrash {
    at_s: f64,
    share: f64,
    lasts_s: Option<f64>,
    noticed_after_s: Option<f64>,
    #[serde(default)]
    moves: bool,
    #[serde(default)]
    leaves: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCut {
    from_s: f64,
    until_s: f64,
    side: WrittenSide,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenSide {
    Share(f64),
    Regions(Vec<u32>),
}

fn seconds(seconds: f64) -> Result<Duration, FileError> {
    Duration::try_from_secs_f64(seconds).map_err(|_| FileError::Time(seconds))
}

fn milliseconds(milliseconds: f64) -> Result<Duration, FileError> {
    seconds(milliseconds / 1e3)
}

impl Written {
    fn read(self) -> Result<ScenarioFile, FileError> {
        let (fanout, tired) = (self.fanout, self.tired);
        let strategy = match self.strategy.as_str() {
            "push" => Strategy::Push { fanout },
            "feedback" => Strategy::PushWithFeedback { fanout, tired },
            "pull" => Strategy::Pull,
            "push-pull" => Strategy::PushPull { fanout },
            "adaptive" => Strategy::Adaptive,
            "plumtree" => Strategy::Plumtree,
            _ => return Err(FileError::Strategy(self.strategy)),
        };
        let usual = Scenario::new(strategy);
        let or = |time: Option<Result<Duration, _>>, usual| time.unwrap_or(Ok(usual));
        let scenario = Scenario {
            nodes: self.nodes.unwrap_or(usual.nodes),
            gossip: Config {
                by_latency: self.by_latency.unwrap_or(usual.gossip.by_latency),
                recent_bytes: self.recent_bytes.unwrap_or(usual.gossip.recent_bytes),
                ..usual.gossip
            },
            network: self.network.read()?,
            seed: self.seed.unwrap_or(usual.seed),
            writers: self.writers.unwrap_or(usual.writers),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            rumours: self.rumours.unwrap_or(usual.rumours),
            interval: or(self.interval_ms.map(milliseconds), usual.interval)?,
            payload: self.payload.unwrap_or(usual.payload),
            settle: or(self.settle_s.map(seconds), usual.settle)?,
            drift: self.drift.unwrap_or(usual.drift),
            budget: self.budget,
            stores: self.stores.map(WrittenStores::read).transpose()?,
            membership: match self.membership {
                WrittenMembership::Shared => Membership::Shared,
                WrittenMembership::Own => Membership::Own,
            },
            joins: self
                .join
                .into_iter()
                .map(WrittenJoin::read)
                .collect::<Result<_, _>>()?,
            crashes: self
                .crash
                .into_iter()
                .map(WrittenCrash::read)
                .collect::<Result<_, _>>()?,
            cuts: self
                .cut
                .into_iter()
                .map(WrittenCut::read)
                .collect::<Result<_, _>>()?,
        };
        Ok(ScenarioFile {
            about: self.about,
            scenario,
            quick_nodes: self.quick_nodes,
            expectations: self.expect,
        })
    }
}

impl WrittenNetwork {
    fn read(self) -> Result<Network, FileError> {
        let usual = Network::new();
        let latency = match (self.latency_ms, self.pareto) {
            (_, Some(WrittenPareto { least_ms, shape })) => Latency::Pareto {
                least: milliseconds(least_ms)?,
                shape,
            },
            (Some([nearest, farthest]), None) => Latency::Even {
                nearest: milliseconds(nearest)?,
                farthest: milliseconds(farthest)?,
            },
            (None, None) => usual.latency,
        };
        let row = |row: Vec<f64>| row.into_iter().map(milliseconds).collect();
        let reordered_by = self.reordered_by_ms.map(milliseconds).transpose()?;
        Ok(Network {
            latency,
            between: self
                .between_ms
                .into_iter()
                .map(row)
                .collect::<Result<_, _>>()?,
            loss: self.loss.unwrap_or(usual.loss),
            doubled: self.doubled.unwrap_or(usual.doubled),
            reordered: self.reordered.unwrap_or(usual.reordered),
            reordered_by: reordered_by.unwrap_or(usual.reordered_by),
            bandwidth: self.bandwidth,
        })
    }
}

impl WrittenStores {
    fn read(self) -> Result<Stores, FileError> {
        Ok(Stores {
            sync_every: seconds(self.sync_every_s)?,
            skew: seconds(self.skew_s)?,
        })
    }
}

impl WrittenJoin {
    fn read(self) -> Result<Join, FileError> {
        Ok(Join {
            at: seconds(self.at_s)?,
            share: self.share,
        })
    }
}

impl WrittenCrash {
    fn read(self) -> Result<Crash, FileError> {
        Ok(Crash {
            at: seconds(self.at_s)?,
            share: self.share,
            lasts: self.lasts_s.map(seconds).transpose()?,
            noticed_after: self.noticed_after_s.map(seconds).transpose()?,
            moves: self.moves,
            leaves: self.leaves,
        })
    }
}

impl WrittenCut {
    fn read(self) -> Result<Cut, FileError> {
        Ok(Cut {
            from: seconds(self.from_s)?,
            until: seconds(self.until_s)?,
            side: match self.side {
                WrittenSide::Share(share) => Side::Share(share),
                WrittenSide::Regions(regions) => Side::Regions(regions),
            },
        })
    }
}
