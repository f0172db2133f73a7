//! The arguments of benchmarks with sessions.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Baseline;
use crate::args::{Strategy, usage};
use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One side holds rows the other lacks, scattered over the key space.
    Adds,
    /// One side has overwritten scattered rows.
    Overwrites,
    /// One side has overwritten rows, some of them far more often than others: rank r in proportion to 1/r (Zipf).
    Skewed,
    /// One side holds new rows behind all others, as keys that begin with a time do.
    Growing,
    /// One side has deleted scattered rows.
    Deletes,
    /// One side has deleted rows that share a prefix.
    Clustered,
    /// Nothing differs.
    None,
    /// One side is empty.
    Bootstrap,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adds => "adds",
            Self::Overwrites => "overwrites",
            Self::Skewed => "skewed",
            Self::Growing => "growing",
            Self::Deletes => "deletes",
            Self::Clustered => "clustered",
            Self::None => "none",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// Two replicas and how they differ.
#[derive(Debug, Args)]
pub(crate) struct Workload {
    /// Rows both sides have in common.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rows: u64,
    /// Rows in which they differ; ignored by `none` and `bootstrap`.
    #[arg(long, value_name = "D", default_value_t = 1_000)]
    pub(crate) differences: u64,
    /// How they differ.
    #[arg(long, value_enum, default_value = "adds")]
    pub(crate) kind: Kind,
    /// Seed of keys, values and differences.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Engine cache of each side.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) cache_mib: u64,
    /// What the removal log may take; 0 makes it tell nothing, as one that was truncated.
    #[arg(long, value_name = "BYTES")]
    pub(crate) removal_log_bytes: Option<u64>,
    /// Keep the built store in this directory and use it again for the same rows and seed.
    #[arg(long, value_name = "DIR")]
    pub(crate) reuse: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  syncline bench sync --rows 1000000 --differences 1000 --kind deletes --strategy walk --rtt-ms 50
  syncline bench sync --rows 1000000 --kind deletes --removal-log-bytes 0
  syncline bench sync --rows 1000000 --kind bootstrap --interrupt 0.5 --json
  syncline bench sync --rows 1000000 --kind none --json | jq .bytes_total

Between two hosts, with identities made by `syncline cluster init`:
  oslo$   syncline bench serve --listen 10.0.0.2:7400 --identity ./oslo --kind deletes
  berlin$ syncline bench sync --peer 10.0.0.2:7400 --identity ./berlin --kind deletes

Against an earlier version:
  syncline bench sync --kind skewed --save baseline.json
  syncline bench sync --kind skewed --compare baseline.json --tolerance 2")]
pub(crate) struct BenchSync {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// How differences are found.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) strategy: Strategy,
    /// Round-trip time of the link, half of it each way.
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) rtt_ms: u64,
    /// Break the link when this share of the rows has arrived, then sync again; with `bootstrap`.
    #[arg(long, value_name = "SHARE")]
    pub(crate) interrupt: Option<f64>,
    /// Read all of both sides first, so that their caches are those of nodes that have run for a while, not of stores
    /// just opened.
    #[arg(long)]
    pub(crate) warm: bool,
    /// Sync with `bench serve` at this address, which was given the same workload, rather than with a side of our own. Our side
    /// takes the rows that both have in common from there first, which is not counted.
    #[arg(long, value_name = "HOST:PORT", requires = "identity", conflicts_with_all = ["rtt_ms", "interrupt"])]
    pub(crate) peer: Option<String>,
    /// Our identity in the cluster of --peer, a directory made by `syncline cluster init`.
    #[arg(long, value_name = "DIR", requires = "peer")]
    pub(crate) identity: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  syncline bench serve --listen 10.0.0.2:7400 --identity ./oslo --rows 1000000 --kind deletes

It serves any number of runs of `bench sync --peer` that are given the same rows, differences, kind and seed: sessions leave this
side as it is.")]
pub(crate) struct BenchServe {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// Serve at this address until interrupted.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: SocketAddr,
    /// Our identity in the cluster, a directory made by `syncline cluster init`.
    #[arg(long, value_name = "DIR")]
    pub(crate) identity: PathBuf,
    /// Say where it serves as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  syncline bench reopen --rows 1000000 --times 100

An opening that writes has a replica id of its own, for good. Before and after, a session with nothing to do and one with the
differences are measured.")]
pub(crate) struct BenchReopen {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// How often the store is opened and a row written.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) times: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}

impl BenchSync {
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        if let Some(share) = self.interrupt {
            if self.workload.kind != Kind::Bootstrap {
                return Err(usage("--interrupt goes with --kind bootstrap"));
            }
            if !(share > 0.0 && share < 1.0) {
                return Err(usage("--interrupt is a share between 0 and 1, such as 0.5"));
            }
        }
        self.workload.validate()
    }
}

impl Workload {
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        if self.differences > self.rows && !matches!(self.kind, Kind::None | Kind::Bootstrap) {
            return Err(usage("--differences must not exceed --rows"));
        }
        Ok(())
    }

    /// Differences as the kind has them.
    pub(crate) fn differing(&self) -> u64 {
        match self.kind {
            Kind::None => 0,
            Kind::Bootstrap => self.rows,
            _ => self.differences,
        }
    }
}
