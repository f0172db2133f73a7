//! The arguments of `syncline sim`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The state machines are those that nodes run; simulated are the network and the time. The same seed makes the same run, \
event by event: `trace` is a hash over all of them. Hops, copies and times are of the rumours after the warm-up.

Examples:
  syncline sim
  syncline sim --writers 10 --loss 0.05 --kill 0.3
  syncline sim --strategy push --fanout 3 --nodes 10000 --runs 20 --json | jq .reached
  syncline sim reach
  syncline sim growth --writers 10"
)]
pub(crate) struct Sim {
    #[command(subcommand)]
    pub(crate) study: Option<Study>,
    /// Run what this file describes, and check what it expects; `--seed`, `--runs`, `--nodes` and `--uniform` take the place of what it says.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["strategy", "fanout", "tired", "loss", "regions", "between", "writers", "kill", "noticed", "warm_up", "rumours", "payload"])]
    pub(crate) scenario: Option<PathBuf>,
    /// Nodes of the cluster [default: 1000, or what the file says].
    #[arg(long, value_name = "N")]
    nodes: Option<u32>,
    /// How rumours travel.
    #[arg(long, value_enum, default_value = "plumtree")]
    pub(crate) strategy: Dissemination,
    /// Peers that a node pushes a rumour to, where it pushes at random.
    #[arg(long, value_name = "F", default_value_t = 3)]
    pub(crate) fanout: usize,
    /// So many who know a rumour already end its pushing, with feedback.
    #[arg(long, value_name = "K", default_value_t = 3)]
    pub(crate) tired: usize,
    /// The share of messages that are lost.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) loss: f64,
    /// Regions, among which the nodes are dealt out in turn.
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) regions: u32,
    /// Milliseconds between two neighbouring regions, on top of a link's own 10 to 50.
    #[arg(long, value_name = "MS", default_value_t = 40)]
    pub(crate) between: u64,
    /// Choose neighbours uniformly, however far they are.
    #[arg(long)]
    pub(crate) uniform: bool,
    /// Nodes that write in turn: one for the whole run, or several, others in each round.
    #[arg(long, value_name = "W", default_value_t = 1)]
    pub(crate) writers: u32,
    /// The share of nodes that fail at one instant, just before the first measured rumour.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) kill: f64,
    /// Seconds until the others know who has failed.
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub(crate) noticed: u64,
    /// Rumours before measuring begins.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) warm_up: u32,
    /// Rumours that are measured, one a second.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rumours: u32,
    /// Bytes of a rumour.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) payload: usize,
    /// Seed of everything that is random [default: 1, or what the file says].
    #[arg(long, value_name = "K")]
    seed: Option<u64>,
    /// So many runs, with this seed and the following.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) runs: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Study {
    /// Compare how far pushing at random comes with what the theory of epidemics says.
    Reach(Reach),
    /// Show how what a node sends grows with the cluster.
    Growth(Growth),
    /// Draw what simulations have printed as JSON.
    Plot(Plot),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Infect and die: each node that hears of a rumour pushes it once, to so many peers chosen uniformly. Of the rumours that \
take off (reach more than a tenth), the mean share reached is set beside the root of s = 1 - exp(-fanout s).

Examples:
  syncline sim reach
  syncline sim reach --nodes 1000 --fanouts 2,4 --runs 100 --json | jq '.[].off_by'")]
pub(crate) struct Reach {
    /// Sizes of the cluster.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    pub(crate) nodes: Vec<u32>,
    /// Peers that a node pushes a rumour to.
    #[arg(long, value_name = "F,…", value_delimiter = ',', default_values_t = [2, 3, 4, 5, 6, 7, 8])]
    pub(crate) fanouts: Vec<usize>,
    /// Runs of each, with the first seed and the following.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) runs: u32,
    /// The first seed.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  for f in 2 3 4 5 6; do syncline sim --strategy push-pull --fanout $f --json; done > fanout.json
  syncline sim plot fanout.json --x fanout --y all_ms --title 'Time to all nodes' --output fanout.svg")]
pub(crate) struct Plot {
    /// Files of JSON objects, as `syncline sim --json` prints them, one or many in each.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// What lies across.
    #[arg(long, value_enum)]
    pub(crate) x: Axis,
    /// What lies upwards: the name of any number in the objects.
    #[arg(long, value_name = "NAME", default_value = "all_ms")]
    pub(crate) y: String,
    /// Draw a line for each value of these.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "strategy"
    )]
    pub(crate) by: Vec<String>,
    /// What stands above.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) title: String,
    /// What stands beside the upward axis [default: its name].
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// The SVG file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// What can be varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Axis {
    /// Sizes of clusters, on a logarithmic scale.
    Nodes,
    /// Peers that each pushes to.
    Fanout,
    /// Shares of messages lost.
    Loss,
}

impl Axis {
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Fanout => "fanout",
            Self::Loss => "loss",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Fanout => "fanout",
            Self::Loss => "share of messages lost",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
The tree, 30 rumours after a warm-up of 30, one a second. If the last column does not grow, the bytes grow no faster than \
the logarithm of the number of nodes.

Examples:
  syncline sim growth
  syncline sim growth --nodes 100,1000 --runs 5 --json")]
pub(crate) struct Growth {
    /// Sizes of the cluster.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    pub(crate) nodes: Vec<u32>,
    /// Nodes that write in turn, others in each round.
    #[arg(long, value_name = "W", default_value_t = 10)]
    pub(crate) writers: u32,
    /// Runs of each, with the first seed and the following.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) runs: u32,
    /// The first seed.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dissemination {
    /// To a few chosen uniformly, once: infect and die.
    Push,
    /// The same in every period, until enough have answered that they know it.
    Feedback,
    /// Not pushed; asked for in every period.
    Pull,
    /// Pushed once, and what that leaves out asked for.
    PushPull,
    /// The same, to as many as each node finds to be enough.
    Adaptive,
    /// Along a tree that finds and repairs itself.
    Plumtree,
}

impl Sim {
    /// What the arguments say, if no file does.
    pub(crate) fn scenario(&self) -> syncline_sim::Scenario {
        use syncline_gossip::Strategy;
        let fanout = self.fanout;
        let strategy = match self.strategy {
            Dissemination::Push => Strategy::Push { fanout },
            Dissemination::Feedback => Strategy::PushWithFeedback {
                fanout,
                tired: self.tired,
            },
            Dissemination::Pull => Strategy::Pull,
            Dissemination::PushPull => Strategy::PushPull { fanout },
            Dissemination::Adaptive => Strategy::Adaptive,
            Dissemination::Plumtree => Strategy::Plumtree,
        };
        let network = syncline_sim::Network {
            loss: self.loss,
            between: match self.regions {
                1 => Vec::new(),
                regions => {
                    syncline_sim::Network::ring(regions, Duration::from_millis(self.between))
                }
            },
            ..syncline_sim::Network::new()
        };
        let usual = syncline_sim::Scenario::new(strategy);
        syncline_sim::Scenario {
            network,
            writers: self.writers,
            warm_up: self.warm_up,
            rumours: self.rumours,
            payload: self.payload,
            crashes: match self.kill {
                0.0 => Vec::new(),
                share => vec![syncline_sim::Crash {
                    noticed_after: Some(Duration::from_secs(self.noticed)),
                    ..syncline_sim::Crash::for_good(share)
                }],
            },
            ..usual
        }
    }

    /// The runs of a scenario: each with a seed of its own.
    pub(crate) fn runs_of(&self, scenario: &syncline_sim::Scenario) -> Vec<syncline_sim::Scenario> {
        let first = self.seed.unwrap_or(scenario.seed);
        (0..u64::from(self.runs))
            .map(|run| syncline_sim::Scenario {
                nodes: self.nodes.unwrap_or(scenario.nodes),
                gossip: syncline_gossip::Config {
                    by_latency: scenario.gossip.by_latency && !self.uniform,
                    ..scenario.gossip.clone()
                },
                seed: first.wrapping_add(run),
                ..scenario.clone()
            })
            .collect()
    }
}
