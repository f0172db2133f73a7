//! The arguments of `syncline bench redis`, `clients` and `collections`.

use clap::Args;

use super::Baseline;

#[derive(Debug, Args)]
#[command(after_help = "\
redis-server and redis-benchmark have to be installed.

Examples:
  syncline bench redis
  syncline bench redis --tests get,set --pipeline 32 --requests 1000000 --json")]
pub(crate) struct BenchRedis {
    /// Tests of redis-benchmark.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "set,get,incr,sadd,hset,zadd,mset"
    )]
    pub(crate) tests: Vec<String>,
    /// Requests that a client sends at a time.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,32", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) pipeline: Vec<u32>,
    /// Clients at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) clients: u32,
    /// Requests of a test.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub(crate) requests: u32,
    /// Keys and members that they are about.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(crate) keys: u32,
    /// Times that each test is run with either, by turns; the median of the ratios counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}

#[derive(Debug, Args)]
#[command(after_help = "\
redis-server has to be installed. Works on Linux.

Example:
  syncline bench clients --clients 10000")]
pub(crate) struct BenchClients {
    /// Clients that are connected at once.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub(crate) clients: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}

#[derive(Debug, Args)]
#[command(after_help = "\
redis-server has to be installed.

Example:
  syncline bench collections --members 1000000")]
pub(crate) struct BenchCollections {
    /// Members of each.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) members: u64,
    /// Calls of each command.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub(crate) calls: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
}
