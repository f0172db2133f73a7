//! The arguments of `mcp`.

use std::net::SocketAddr;

use clap::Args;

use super::Place;

#[derive(Debug, Args)]
#[command(after_help = "\
It is a node of its own, in whose data directory the memory lies, and ends with its standard input. Its agents share what they \
store with those of every other member of the cluster: invite with `syncline cluster invite`, and `syncline cluster join` in the \
other data directory, once. Logs go to standard error.

Examples:
  syncline mcp --data ./memory --namespace memory
  syncline mcp --data ./memory --namespace memory --join 10.0.0.7:7400
  claude mcp add memory -- syncline mcp --data ~/.syncline --namespace memory")]
pub(crate) struct Mcp {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where other members connect to; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// A member to join the cluster by; repeat it for more.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) join: Vec<String>,
    /// Offer no tool that changes anything.
    #[arg(long)]
    pub(crate) read_only: bool,
}
