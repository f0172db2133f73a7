//! The arguments of `syncline bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

mod baseline;
mod cluster;
mod redis;
mod sync;

pub(crate) use baseline::Baseline;
pub(crate) use cluster::{BenchCluster, BenchMember};
pub(crate) use redis::{BenchClients, BenchCollections, BenchRedis};
pub(crate) use sync::{BenchReopen, BenchServe, BenchSync, Kind, Workload};

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Two durable replicas that differ in a known way, synced over QUIC on loopback.
    Sync(BenchSync),
    /// Serve `bench sync --peer`, so that two hosts are measured over the network between them.
    Serve(BenchServe),
    /// What a replica's context grows by when it is opened and written to, and what syncs then cost.
    Reopen(BenchReopen),
    /// How long a store takes to open after its writer was killed.
    Open(BenchOpen),
    /// The memory that range digests take beyond the engine's cache.
    Memory(BenchMemory),
    /// Writes, with digests and all else kept fresh, beside the bare engine writing the rows alone; or what that upkeep takes.
    Write(BenchWrite),
    /// Real processes that find each other, spread writes, notice who dies, and heal; or that keep to a budget.
    Cluster(BenchCluster),
    /// Redis clients of a node, and of redis-server beside it.
    Redis(BenchRedis),
    /// The memory that idle Redis clients take of a node, and of redis-server beside it.
    Clients(BenchClients),
    /// What commands take on a set, a hash and a sorted set that are large, of a node, and of redis-server beside it.
    Collections(BenchCollections),
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
#[command(after_help = "\
Examples:
  syncline bench write --rows 1000000 --durability buffered
  syncline bench write --rows 1000000 --durability durable --writers 64 --json
  syncline bench write --rows 1000000 --upkeep --reuse /tmp/stores")]
pub(crate) struct BenchWrite {
    #[command(flatten)]
    pub(crate) size: BenchSize,
    /// What a write survives before it is acknowledged.
    #[arg(long, value_enum, default_value = "buffered")]
    pub(crate) durability: Durability,
    /// Write from so many callers at once, through the handles of a node; without it, to a store directly.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) writers: Option<u64>,
    /// Rows in a transaction: 10,000 unless told, with writers 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) batch: Option<u64>,
    /// Memory for commits that have not reached the tables; without writers.
    #[arg(long, value_name = "MIB", default_value_t = 256, conflicts_with = "writers", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) log_mib: u64,
    /// Tell instead what it takes to keep digests, sketch, dot index and removal log, for writes to a store of these rows.
    #[arg(long, conflicts_with_all = ["durability", "writers", "log_mib"])]
    pub(crate) upkeep: bool,
    /// Writes of each kind that upkeep is measured over.
    #[arg(long, value_name = "N", default_value_t = 200_000, requires = "upkeep", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) writes: u64,
}

/// What a write survives before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// May be lost with the process.
    Memory,
    /// Survives the end of the process.
    Buffered,
    /// Survives a power loss.
    Durable,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Buffered => "buffered",
            Self::Durable => "durable",
        }
    }
}

impl From<Durability> for syncline::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Memory => Self::Memory,
            Durability::Buffered => Self::Buffered,
            Durability::Durable => Self::Durable,
        }
    }
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
    #[command(flatten)]
    pub(crate) baseline: Baseline,
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
