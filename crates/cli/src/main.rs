//! The `syncline` command.
//!
//! It is a thin room above the library: `args` parses and validates, each command has a file that carries it out, and
//! `failure` is how all of them end badly. Nothing here decides anything about replication.

mod args;
mod ask;
mod backup;
mod bench;
mod by_kind;
mod cluster;
mod demo;
mod export;
mod failure;
mod files;
mod home;
mod import;
mod lines;
mod mcp;
mod node;
mod progress;
mod records;
mod scratch;
mod scrub;
mod seeded;
mod sim;
mod sync;
mod table;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Arguments, Command};
use self::failure::{Doing, Failure};

/// What one thread has allocated another one frees, all the time: requests, rows, replies. Under glibc they then wait for each other, which is a
/// quarter of what a write takes (`docs/decisions/0028-an-allocator-for-the-command.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.validate().and_then(|()| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.reason.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Command::Node(node) = &arguments.command {
        return node::run(node, arguments.verbose);
    }
    log_to_standard_error(arguments.verbose);
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo),
        Command::DemoReplica(replica) => one_thread()?.block_on(demo::replica::run(replica)),
        Command::Cluster(command) => cluster::run(command),
        Command::Status(ask) => ask::status(ask),
        Command::Peers(ask) => ask::peers(ask),
        Command::Topology(ask) => ask::topology(ask),
        Command::Convergence(ask) => ask::convergence(ask),
        Command::Conflicts(ask) => ask::conflicts(ask),
        Command::Import(import) => runtime()?.block_on(import::run(import)),
        Command::Export(export) => runtime()?.block_on(export::run(export)),
        Command::Backup(backup) => runtime()?.block_on(backup::run(backup)),
        Command::Restore(restore) => runtime()?.block_on(backup::run_restore(restore)),
        Command::Scrub(scrub) => runtime()?.block_on(scrub::run(scrub)),
        Command::Sync(sync) => runtime()?.block_on(sync::run(sync)),
        Command::Mcp(mcp) => runtime()?.block_on(mcp::run(mcp)),
        Command::Bench(bench) => bench::run(bench),
        Command::Sim(simulation) => sim::run(simulation),
        // It logs in its own way, and was begun above.
        Command::Node(_) => Ok(()),
        Command::BenchWriter(writer) => bench::writer(writer),
        Command::BenchResident(resident) => bench::resident(resident),
        Command::BenchMember(member) => runtime()?.block_on(bench::cluster::member::run(member)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .build()
        .doing(|| "cannot start the runtime".to_owned())
}

/// A runtime whose tasks begin in the order they were spawned.
fn one_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .doing(|| "cannot start the runtime".to_owned())
}

fn log_to_standard_error(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
