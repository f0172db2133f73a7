//! The command line: parsed and validated here, carried out elsewhere. What a command receives needs no second look.

mod ask;
mod backup;
mod bench;
mod cluster;
mod mcp;
mod node;
mod sim;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::ask::{Ask, AskConflicts, AskTopology, TopologyFormat, Whom};
pub(crate) use self::backup::{Backup, Restore};
pub(crate) use self::bench::{
    Baseline, Bench, BenchClients, BenchCluster, BenchCollections, BenchMember, BenchMemory,
    BenchOpen, BenchRedis, BenchReopen, BenchResident, BenchServe, BenchSync, BenchWrite,
    BenchWriter, Kind, Workload,
};
pub(crate) use self::cluster::{
    Cluster, ClusterInit, ClusterInvite, ClusterJoin, ClusterMembers, ClusterRevoke, ClusterRotate,
};
pub(crate) use self::mcp::Mcp;
pub(crate) use self::node::Node;
pub(crate) use self::sim::{Axis, Growth, Plot, Reach, Sim, Study};
use crate::failure::{Failure, Reason};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: the text says what and what to do
  2  the arguments are wrong
  3  done, and something differs: replicas do not agree, or not with the reference; or damage was found
  4  malformed input, or a damaged backup
  5  the peer could not be reached, or refused
  6  the data directory or the address is in use by another process
130  interrupted, and 143 terminated, without waiting for an orderly end";

/// A leaderless replicated key-value engine: any node takes writes, any two nodes can make up their differences.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Log to standard error what goes on: -v for the main events, -vv for details.
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 990)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Three replicas on this machine: load, cut the network, edit, kill one, heal, and prove that all agree.
    Demo(Demo),
    /// Run a member of a cluster, until it is told to end.
    Node(Box<Node>),
    /// Tell how a running node is.
    Status(Ask),
    /// List the nodes that a running one knows.
    Peers(Ask),
    /// Show the cluster as a running node sees it: members, round-trip times, and the ways that writes take.
    Topology(AskTopology),
    /// Tell whether the replicas agree, as a running node knows it.
    Convergence(Ask),
    /// List what concurrency has decided on a running node, and what lost.
    Conflicts(AskConflicts),
    /// Make a cluster, and decide who is a member of it.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Read records into a namespace.
    Import(Import),
    /// Print a namespace as JSON lines that `import` reads.
    Export(Export),
    /// Back namespaces up: what has changed since the last backup, to a directory or an object store.
    Backup(Backup),
    /// Make namespaces from backups, or join backups into them.
    Restore(Restore),
    /// Read everything that is stored and check it.
    Scrub(Scrub),
    /// Make up the differences with one peer, or serve peers that ask.
    Sync(Sync),
    /// Serve a memory that agents share, by the Model Context Protocol on standard input and output.
    Mcp(Mcp),
    /// Measure.
    #[command(subcommand)]
    Bench(Bench),
    /// Simulate how rumours spread in a cluster of any size, in virtual time.
    Sim(Sim),
    /// One replica of the demo, driven over standard input and output.
    #[command(hide = true)]
    DemoReplica(DemoReplica),
    /// A process that writes until it is killed, for `bench open`.
    #[command(hide = true)]
    BenchWriter(BenchWriter),
    /// A process whose memory is measured, for `bench memory`.
    #[command(hide = true)]
    BenchResident(BenchResident),
    /// One member of `bench cluster`, driven over standard input and output.
    #[command(hide = true)]
    BenchMember(BenchMember),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  syncline demo
  syncline demo --input people.csv --key id
  syncline demo --json --keep /tmp/demo | jq .agreed")]
pub(crate) struct Demo {
    /// A data set of your own instead of the Unicode Character Database: CSV, TSV or JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// The format of --input, where its name does not tell.
    #[arg(long, value_enum, requires = "input")]
    pub(crate) format: Option<Format>,
    /// The column of --input that names a record; for CSV and TSV the first if not given.
    #[arg(long, value_name = "COLUMN", requires = "input")]
    pub(crate) key: Option<String>,
    /// Keep the three data directories and the logs in this new directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Seed of the edits: the same seed makes the same edits.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoReplica {
    /// The node's name in the report.
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Where other members reach it; then it is one itself.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) advertise: Option<SocketAddr>,
    /// The member to join by.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) join: Option<SocketAddr>,
}

/// Where a node keeps its things.
#[derive(Debug, Args)]
pub(crate) struct Home {
    /// The node's data directory.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// The node's identity, a directory made by `syncline cluster init`. Without it DATA/identity/node is used; a node that
    /// has neither becomes a cluster of one.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_IDENTITY")]
    pub(crate) identity: Option<PathBuf>,
}

/// Where a replica is, which almost every command asks.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) home: Home,
    /// The namespace.
    #[arg(long, value_name = "NAME", env = "SYNCLINE_NAMESPACE")]
    pub(crate) namespace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma separated, under a header line.
    Csv,
    /// Tab separated, under a header line; no quoting.
    Tsv,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With --key (and for CSV and TSV always) each record becomes a map named by its key column, with one \
field per other column; empty columns and JSON nulls are left out. Without --key, JSON lines must be what \
`syncline export` prints. Records that are there already with the same values are not written again. A \
malformed record stops the import with its line; complete batches before it stay.

Examples:
  syncline import --data ./a --namespace people --key id people.jsonl
  syncline import --data ./a --namespace people --format csv - < people.csv
  syncline export --data ./a --namespace people | syncline import --data ./b --namespace people -")]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The format, where the file's name does not tell; JSON lines for standard input.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The column that names a record; for CSV and TSV the first if not given.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,
    /// Put this before every key.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
    /// Records per batch; a batch is applied whole or not at all.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Print the outcome as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The file to read, or - for standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each line is one register, counter, map or set (large maps and sets take several lines). Bytes that are \
not UTF-8 are printed as base64 behind `base64:`.

Examples:
  syncline export --data ./a --namespace people > people.jsonl
  syncline export --data ./a --namespace people --prefix user: | jq -r .key")]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only keys that begin so.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) prefix: String,
    /// The format of the output.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(crate) format: ExportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One typed JSON object a line.
    Jsonl,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A damaged row is withdrawn, which the next sync makes up for; all else is made anew from the rows. Exit code 3 says that \
there was damage.

Examples:
  syncline scrub --data ./a
  syncline scrub --data ./a --namespace people --rate 8388608 --json | jq .damaged")]
pub(crate) struct Scrub {
    #[command(flatten)]
    pub(crate) home: Home,
    /// A namespace; repeat it for more. All that the data directory holds if not given.
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// Read no more than so many bytes a second; as fast as the disk goes if not given.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Go on where the last scrub was left, instead of beginning at the beginning.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print one JSON object per namespace.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("side").required(true).args(["peer", "listen"])))]
#[command(after_help = "\
Examples:
  syncline sync --data ./oslo --listen 0.0.0.0:7400
  syncline sync --data ./berlin --peer oslo.example:7400
  syncline sync --data ./berlin --peer 127.0.0.1:7400 --namespace people --strategy walk --json")]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) home: Home,
    /// The peer to sync with, once per namespace.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer: Option<String>,
    /// Serve peers at this address until interrupted.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// A namespace; repeat it for more. All that the data directory holds if not given.
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// How differences are found.
    #[arg(long, value_enum, default_value = "auto", conflicts_with = "listen")]
    pub(crate) strategy: Strategy,
    /// Print one JSON object per session.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// Contexts first; for what they cannot tell, whatever should cost least.
    Auto,
    /// Digests of key ranges only.
    Walk,
    /// All rows.
    Full,
    /// Contexts first, then the removal log.
    Log,
    /// Contexts first, then the sketch of what is live.
    Sketch,
}

impl From<Strategy> for syncline_sync::Strategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Auto => Self::Auto,
            Strategy::Walk => Self::Walk,
            Strategy::Full => Self::Full,
            Strategy::Log => Self::Log,
            Strategy::Sketch => Self::Sketch,
        }
    }
}

impl Strategy {
    pub(crate) fn name(self) -> &'static str {
        syncline_sync::Strategy::from(self).name()
    }
}

impl Arguments {
    /// What clap cannot say about arguments that contradict each other.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Import(import) => import.validate(),
            Command::Bench(Bench::Sync(bench)) => bench.validate(),
            Command::Bench(Bench::Serve(bench)) => bench.workload.validate(),
            Command::Bench(Bench::Reopen(bench)) => bench.workload.validate(),
            Command::Demo(Demo {
                input: Some(input),
                format,
                key: None,
                ..
            }) if format.or(Format::of(input)) == Some(Format::Jsonl) => Err(usage(
                "--input with JSON lines needs --key, the field that names a record",
            )),
            _ => Ok(()),
        }
    }
}

impl Import {
    fn validate(&self) -> Result<(), Failure> {
        self.format()?;
        Ok(())
    }

    pub(crate) fn reads_standard_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// The format as told, or as the file's name tells.
    pub(crate) fn format(&self) -> Result<Format, Failure> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        if self.reads_standard_input() {
            return Ok(Format::Jsonl);
        }
        Format::of(&self.file).ok_or_else(|| {
            usage(format!(
                "the name of {} does not tell its format; add --format jsonl, csv or tsv",
                self.file.display()
            ))
        })
    }
}

impl Format {
    /// The format that a file's extension names.
    pub(crate) fn of(file: &std::path::Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            _ => None,
        }
    }
}

/// Arguments that contradict each other.
fn usage(text: impl Into<String>) -> Failure {
    Failure::new(Reason::Usage, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Arguments, String> {
        let arguments = Arguments::try_parse_from(line.split_whitespace())
            .map_err(|error| error.to_string())?;
        arguments
            .validate()
            .map_err(|failure| failure.to_string())?;
        Ok(arguments)
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_visible_command_shows_an_example() {
        fn leaves(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if command.is_hide_set() {
                return;
            }
            if !command.has_subcommands() {
                let shown = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                if !shown.contains("Example") {
                    missing.push(path.clone());
                }
            }
            for sub in command.get_subcommands() {
                leaves(sub, &path, missing);
            }
        }
        let mut missing = Vec::new();
        leaves(&Arguments::command(), "", &mut missing);
        assert!(missing.is_empty(), "no example: {missing:?}");
    }

    #[test]
    fn contradictions_are_refused_with_what_to_do() {
        for (line, word) in [
            (
                "syncline bench sync --kind adds --interrupt 0.5",
                "bootstrap",
            ),
            (
                "syncline bench sync --kind bootstrap --interrupt 1.5",
                "between 0 and 1",
            ),
            ("syncline bench sync --rows 10 --differences 11", "exceed"),
            ("syncline import --data a --namespace n records", "--format"),
            ("syncline demo --input x.jsonl", "--key"),
            ("syncline sync --data a", "--peer"),
            (
                "syncline sync --data a --peer b:1 --listen 127.0.0.1:0",
                "--listen",
            ),
            ("syncline cluster init d --node ../x", "letters"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn the_format_follows_the_file_name() {
        assert_eq!(Format::of("a/b.TSV".as_ref()), Some(Format::Tsv));
        assert_eq!(Format::of("b.ndjson".as_ref()), Some(Format::Jsonl));
        assert_eq!(Format::of("b".as_ref()), None);
        assert!(parse("syncline import --data a --namespace n -").is_ok());
    }
}
