//! The arguments of `syncline bench cluster`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::Baseline;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  syncline bench cluster
  syncline bench cluster --writes 2000 --stop-seconds 60 --json
  syncline bench cluster --budget 1000000 --rows 20000")]
pub(crate) struct BenchCluster {
    /// Processes, each a node of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub(crate) nodes: u32,
    /// Writes whose way to all nodes is timed, one after the other.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) writes: u32,
    /// How long a node is stopped, by SIGSTOP, while others write and remove.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) stop_seconds: u64,
    /// Measure instead how a node keeps to so many bytes per second while another fetches all that it has, and what becomes of its
    /// writes meanwhile.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(65_536..=1_000_000_000))]
    pub(crate) budget: Option<u64>,
    /// Rows of 1,000 bytes that are fetched.
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "budget", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rows: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}

#[derive(Debug, Args)]
pub(crate) struct BenchMember {
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(long, value_name = "DIR")]
    pub(crate) identity: PathBuf,
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_name = "ADDR")]
    pub(crate) join: Option<SocketAddr>,
    #[arg(long, value_name = "BYTES")]
    pub(crate) budget: Option<u64>,
}
