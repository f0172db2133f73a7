//! The arguments of `syncline bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Strategy, usage};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Two durable replicas that differ in a known way, synced over QUIC on loopback.
    Sync(BenchSync),
    /// How long a store takes to open after its writer was killed.
    Open(BenchOpen),
    /// The memory that range digests take beyond the engine's cache.
    Memory(BenchMemory),
    /// Batched writes with digests and dot index kept fresh, beside the bare engine writing the rows alone.
    Write(BenchWrite),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One side holds rows the other lacks, scattered over the key space.
    Adds,
    /// One side has overwritten scattered rows.
    Overwrites,
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
            Self::Deletes => "deletes",
            Self::Clustered => "clustered",
            Self::None => "none",
            Self::Bootstrap => "bootstrap",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  syncline bench sync --rows 1000000 --differences 1000 --kind deletes --strategy walk --rtt-ms 50
  syncline bench sync --rows 1000000 --kind bootstrap --interrupt 0.5 --json
  syncline bench sync --rows 1000000 --kind none --json | jq .bytes_total")]
pub(crate) struct BenchSync {
    /// Rows both sides have in common.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rows: u64,
    /// Rows in which they differ; ignored by `none` and `bootstrap`.
    #[arg(long, value_name = "D", default_value_t = 1_000)]
    pub(crate) differences: u64,
    /// How they differ.
    #[arg(long, value_enum, default_value = "adds")]
    pub(crate) kind: Kind,
    /// How differences are found.
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) strategy: Strategy,
    /// Round-trip time of the link, half of it each way.
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) rtt_ms: u64,
    /// Break the link when this share of the rows has arrived, then sync again; with `bootstrap`.
    #[arg(long, value_name = "SHARE")]
    pub(crate) interrupt: Option<f64>,
    /// Seed of keys, values and differences.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Engine cache of each side.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) cache_mib: u64,
    /// Read all of both sides first, so that their caches are those of nodes that have run for a while, not of stores
    /// just opened.
    #[arg(long)]
    pub(crate) warm: bool,
    /// Keep the built store in this directory and use it again for the same rows and seed.
    #[arg(long, value_name = "DIR")]
    pub(crate) reuse: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline bench open --rows 1000000 --json")]
pub(crate) struct BenchOpen {
    #[command(flatten)]
    pub(crate) size: BenchSize,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline bench memory --rows 1000000")]
pub(crate) struct BenchMemory {
    #[command(flatten)]
    pub(crate) size: BenchSize,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline bench write --rows 1000000 --batch 10000")]
pub(crate) struct BenchWrite {
    #[command(flatten)]
    pub(crate) size: BenchSize,
    /// Rows per commit.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) batch: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchSize {
    /// Rows in the store.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rows: u64,
    /// Seed of keys and values.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Keep the built store in this directory and use it again for the same rows and seed.
    #[arg(long, value_name = "DIR")]
    pub(crate) reuse: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchWriter {
    /// The store to write to.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: PathBuf,
    #[arg(long)]
    pub(crate) rows: u64,
    #[arg(long)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchResident {
    /// The store to read.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: PathBuf,
    #[arg(long)]
    pub(crate) rows: u64,
    #[arg(long)]
    pub(crate) seed: u64,
    /// Open it as a store and use its digests, rather than read the rows alone.
    #[arg(long)]
    pub(crate) digests: bool,
}

impl BenchSync {
    pub(super) fn validate(&self) -> Result<(), Failure> {
        if let Some(share) = self.interrupt {
            if self.kind != Kind::Bootstrap {
                return Err(usage("--interrupt goes with --kind bootstrap"));
            }
            if !(share > 0.0 && share < 1.0) {
                return Err(usage("--interrupt is a share between 0 and 1, such as 0.5"));
            }
        }
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
