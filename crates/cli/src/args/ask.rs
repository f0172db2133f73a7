//! The arguments of the commands that ask a running node.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "\
`convergence` ends with code 3 when replicas are known to differ.

Examples:
  syncline status
  syncline peers --admin 127.0.0.1:7411 --json | jq .peers
  syncline convergence --watch")]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Print the answer as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each node knows its own round trips and its own edges of the trees along which writes spread. With --also, what several know
is laid together.

Examples:
  syncline topology
  syncline topology --format dot | dot -Tsvg > cluster.svg
  syncline topology --admin 10.0.0.1:7401 --also 10.0.0.2:7401 --also 10.0.0.3:7401 --format dot")]
pub(crate) struct AskTopology {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Ask this node too, by the address of its --admin; may be given several times.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) also: Vec<SocketAddr>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: TopologyFormat,
    /// As --format json.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A conflict is a place in which several values were written without knowledge of each other. Readers get the one that was
written last; all are kept until a write that has seen them, which settles it. Looking for them reads the rows.

Examples:
  syncline conflicts
  syncline conflicts user: --namespace app --json | jq '.namespaces[].conflicts[].key'")]
pub(crate) struct AskConflicts {
    /// Only under keys that begin so.
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Only in this namespace, which may be given several times; otherwise in all.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Vec<String>,
    /// No more than so many of each namespace.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Print the answer as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopologyFormat {
    /// A table.
    Text,
    /// One JSON object.
    Json,
    /// For Graphviz.
    Dot,
}

/// Which node is asked, and how often.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// The address that the node was given as --admin, or took.
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "SYNCLINE_ADMIN",
        default_value = "127.0.0.1:7401"
    )]
    pub(crate) admin: SocketAddr,
    /// Ask again every second, until interrupted.
    #[arg(long)]
    pub(crate) watch: bool,
}
