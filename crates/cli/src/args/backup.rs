//! The arguments of `backup` and `restore`.

use std::num::NonZeroUsize;

use clap::Args;
use syncline_backup::BackupId;

use super::Home;

#[derive(Debug, Args)]
#[command(after_help = "\
URL is a directory, or file:///path, s3://bucket/folder, gs://bucket/folder, az://container/folder. Credentials, region and \
endpoint come from the environment: AWS_*, GOOGLE_*, AZURE_*. A node that runs on the data directory makes the backup itself, \
and needs them in its own environment.

A backup writes what has changed since the last one, and is of one commit whatever is written meanwhile. It holds no secrets: \
keep DATA/identity elsewhere, without it no backup can be restored.

Examples:
  syncline backup ./backups --data ./oslo
  syncline backup s3://backups/oslo --data ./oslo --keep 30 --json
  syncline backup s3://backups/oslo --list")]
pub(crate) struct Backup {
    /// Where backups lie.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) home: OptionalHome,
    /// A namespace; repeat it for more. All that the data directory holds if not given.
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// Remove all backups of these namespaces but the newest so many afterwards, whichever nodes made them.
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<NonZeroUsize>,
    /// List the backups that there are, and make none.
    #[arg(long, conflicts_with_all = ["keep", "namespaces"])]
    pub(crate) list: bool,
    /// Print one JSON object per namespace, or per backup listed.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a node keeps its things, if that matters.
#[derive(Debug, Args)]
pub(crate) struct OptionalHome {
    /// The node's data directory; the node may be running.
    #[arg(
        long,
        value_name = "DIR",
        env = "SYNCLINE_DATA",
        required_unless_present = "list"
    )]
    pub(crate) data: Option<std::path::PathBuf>,
    /// The node's identity, if it is not in DATA/identity/node.
    #[arg(long, value_name = "DIR", env = "SYNCLINE_IDENTITY")]
    pub(crate) identity: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Everything is checked before it shows: a backup that is damaged restores nothing. The data directory must be that of a member \
of the cluster, which must not be running. The restored replica is one of its own: it syncs what was written since, and undoes \
none of it.

Examples:
  syncline restore ./backups --data ./oslo
  syncline restore s3://backups/oslo --data ./oslo --namespace people --backup 20261123T031500.123Z-5f3a9c01
  syncline restore ./backups --data ./oslo --namespace people --join")]
pub(crate) struct Restore {
    /// Where backups lie.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) home: Home,
    /// A namespace; repeat it for more. All that have a backup if not given.
    #[arg(long = "namespace", value_name = "NAME")]
    pub(crate) namespaces: Vec<String>,
    /// Restore this backup, as `syncline backup --list` names it, in place of the newest.
    #[arg(long, value_name = "ID", requires = "namespaces")]
    pub(crate) backup: Option<BackupId>,
    /// Join the backup into namespaces that hold something, as if it were a peer: what was written since stays.
    #[arg(long)]
    pub(crate) join: bool,
    /// Print one JSON object per namespace.
    #[arg(long)]
    pub(crate) json: bool,
}
