//! Earlier runs to compare with, for every benchmark.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Baseline {
    /// Keep the figures in this file, beside those of other workloads in it.
    #[arg(long, value_name = "FILE", help_heading = "Baselines")]
    pub(crate) save: Option<PathBuf>,
    /// Hold the figures against those of the same workload in this file; ends with 3 where one is worse than it may be. With --json
    /// the ratios are a second object.
    #[arg(long, value_name = "FILE", help_heading = "Baselines")]
    pub(crate) compare: Option<PathBuf>,
    /// By how much that which is counted (round trips, bytes, rows) may be worse.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 5.0,
        requires = "compare",
        help_heading = "Baselines"
    )]
    pub(crate) tolerance: f64,
    /// By how much that which is timed may be worse.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50.0,
        requires = "compare",
        help_heading = "Baselines"
    )]
    pub(crate) time_tolerance: f64,
}
