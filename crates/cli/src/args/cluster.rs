//! The arguments of `syncline cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Make a new cluster: its certificate authority, its secret, and the identities of its nodes.
    Init(ClusterInit),
    /// Make a token with which one machine can join.
    Invite(ClusterInvite),
    /// Become a member of a cluster, with a token.
    Join(ClusterJoin),
    /// List those who were given certificates here.
    Members(ClusterMembers),
    /// End a membership: the node gets nothing from the others any more.
    Revoke(ClusterRevoke),
    /// Renew a node's certificate, or put another authority in the place of the one that there is.
    Rotate(ClusterRotate),
    /// Give up a member that will not come back, and what is kept for its sake.
    Forget(ClusterRevoke),
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("place").required(true).args(["directory", "data"])))]
#[command(after_help = "\
With --data, the data directory gets an authority and the identity of its own node, which can then invite others. With DIR, the \
authority is kept apart from all nodes, and the identities that it makes are carried to them by hand.

Examples:
  syncline cluster init --data ./data
  syncline cluster init ./cluster --node berlin --node oslo

A second run on the same DIR adds nodes to the cluster that is there.")]
pub(crate) struct ClusterInit {
    /// Directory of the cluster; made if need be.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Data directory of the first node; made if need be.
    #[arg(long, value_name = "DIR", conflicts_with = "nodes")]
    pub(crate) data: Option<PathBuf>,
    /// A node to make an identity for; repeat it for more.
    #[arg(long = "node", value_name = "NAME", value_parser = node_name)]
    pub(crate) nodes: Vec<String>,
    /// Print what was made as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The node of the data directory has to run, at one of the addresses, when the token is made use of; it may run already. \
Whoever has the token can join, once: hand it over where nobody else reads it.

Examples:
  syncline cluster invite --data ./data --at berlin.example:7400
  syncline cluster invite --data ./data --at 10.0.0.7:7400 --namespace app --namespace logs --name oslo --hours 1")]
pub(crate) struct ClusterInvite {
    /// The data directory of a node that has the authority.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// Where that node is reached; repeat it for more.
    #[arg(long = "at", value_name = "HOST:PORT", required = true)]
    pub(crate) addresses: Vec<String>,
    /// A namespace that the member may carry; repeat it for more. All there are and will be if not given.
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// What the member is called in the list of members.
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub(crate) name: Option<String>,
    /// For how many hours the token is good.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub(crate) hours: u64,
    /// Print the token as part of one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The key of the node is made here and never leaves the machine. Exit code 5 says that the cluster could not be reached, or has \
turned the token down; it may be tried again.

Examples:
  syncline cluster join --data ./data syncline-invite-…
  pbpaste | syncline cluster join --data ./data -")]
pub(crate) struct ClusterJoin {
    /// The data directory of the node; made if need be.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// What `syncline cluster invite` printed, or - for standard input, which keeps it out of the shell's history.
    #[arg(value_name = "TOKEN|-")]
    pub(crate) token: String,
    /// Print what came of it as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  syncline cluster members --data ./data --json | jq -r '.[].node'")]
pub(crate) struct ClusterMembers {
    /// The data directory of a node that has the authority.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// Print them as one JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The running node takes it over within seconds and tells the others. A node that was revoked is a member again only by another \
invitation. `forget` revokes, and has its stores not be counted on any more: what only they had is lost, and they come back only empty.

Examples:
  syncline cluster revoke --data ./data oslo
  syncline cluster forget --data ./data 5f1c3a9be07d2244")]
pub(crate) struct ClusterRevoke {
    /// The data directory of a node that has the authority.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// The node: its id, the first eight digits of it or more, or its name.
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Print what was done as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nodes renew their certificates by themselves when a third of the time is left. To exchange the authority: begin, wait until \
everybody has renewed, which takes minutes where all are running, and finish. Both are trusted meanwhile.

Examples:
  syncline cluster rotate --data ./data
  syncline cluster rotate --data ./data --authority
  syncline cluster rotate --data ./data --authority --finish")]
pub(crate) struct ClusterRotate {
    /// The node's data directory; with --authority, that of one that has it.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_DATA")]
    pub(crate) data: PathBuf,
    /// Exchange the authority.
    #[arg(long)]
    pub(crate) authority: bool,
    /// Trust the old authority no longer.
    #[arg(long, requires = "authority")]
    pub(crate) finish: bool,
    /// Finish although members have not renewed, which are shut out.
    #[arg(long, requires = "finish")]
    pub(crate) force: bool,
    /// Print what was done as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A node's name becomes a directory, or stands in a list.
fn node_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 63 || !text.chars().all(plain) || text.starts_with('-') {
        return Err(
            "a node's name has 1 to 63 letters, digits, - or _, and does not begin with -"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}
