//! `syncline bench`: the figures of `docs/benchmarks.md`, each printed by one command.
//!
//! Everything measured is what the product runs: stores on redb files, sessions over QUIC under mutual TLS on loopback. The
//! generator, not the session, says what differs and how many rows are needed.

mod baseline;
mod clients;
pub(crate) mod cluster;
mod collections;
mod cpu;
mod interrupt;
mod memory;
mod open;
mod redis;
mod reopen;
mod servers;
mod sync;
mod timed;
mod workload;
mod write;

use std::path::{Path, PathBuf};

use self::baseline::Measured;
use crate::args::{Baseline, Bench, BenchResident, BenchWriter};
use crate::failure::{Doing, Failure};
use crate::scratch::Scratch;

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    match bench {
        Bench::Sync(arguments) => sync::run(arguments),
        Bench::Serve(arguments) => sync::serve::run(arguments),
        Bench::Reopen(arguments) => reopen::run(arguments),
        Bench::Open(arguments) => open::run(arguments),
        Bench::Memory(arguments) => memory::run(arguments),
        Bench::Write(arguments) => write::run(arguments),
        Bench::Cluster(arguments) => cluster::run(arguments),
        Bench::Redis(arguments) => redis::run(arguments),
        Bench::Clients(arguments) => clients::run(arguments),
        Bench::Collections(arguments) => collections::run(arguments),
    }
}

/// The process that `bench open` kills.
pub(crate) fn writer(arguments: &BenchWriter) -> Result<(), Failure> {
    open::writer(arguments)
}

/// The process whose memory `bench memory` measures.
pub(crate) fn resident(arguments: &BenchResident) -> Result<(), Failure> {
    memory::resident(arguments)
}

/// Prints figures for people or for a program, saves them, and holds them against those of an earlier run.
fn print<T: Measured>(figures: &T, json: bool, baseline: &Baseline) -> Result<(), Failure> {
    if json {
        let text =
            serde_json::to_string(figures).doing(|| "cannot print the figures".to_owned())?;
        println!("{text}");
    } else {
        print!("{figures}");
    }
    baseline::keep(figures, json, baseline)
}

/// The stores of a benchmark are large; where they lie is told with the environment's TMPDIR.
fn scratch() -> Result<Scratch, Failure> {
    Scratch::make("syncline-bench-")
}

/// A copy of a store that nobody has open. Replica ids are minted at the first write after opening, so a copy is a
/// replica of its own.
fn copy(from: &Path, to: PathBuf) -> Result<PathBuf, Failure> {
    std::fs::copy(from, &to).doing(|| format!("cannot copy {}", from.display()))?;
    Ok(to)
}

/// Decimals that matter to nobody are dropped.
fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
