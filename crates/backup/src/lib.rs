//! Backups of [syncline] namespaces: incremental, consistent while writing goes on, verified when they are restored.
//!
//! # What it is
//!
//! A backup is a *manifest*, which says what a replica was as of one commit, and *chunks*, the rows of one range of keys each.
//! A chunk never changes; it is named by a keyed hash of its content, and ranges are cut where the digest tree cuts them. So
//! the next backup writes, and reads from the store, only the ranges whose digests have changed since the last one, whichever
//! node of the cluster made that. Manifests come last and in one step, so there is never half a backup.
//!
//! It lies in a [`Repository`]: a directory, or a bucket of an object store. `docs/backup.md` has the format byte by byte.
//!
//! # What it is not
//!
//! No copy of a node: neither its identity nor the cluster's secret is in it, and without those it cannot be restored, nor by
//! another cluster. Nothing is encrypted beyond what the object store does.
//!
//! # How a value flows through it
//!
//! 1. [`back_up`] takes a view of the namespace, cuts it at fences, and compares digests with the newest manifest.
//! 2. Ranges that differ are read, checked row by row, and put as chunks; then the manifest is put.
//! 3. [`restore`] gets the manifest, then the chunks, checks both against their keyed hashes and all rows against the digests,
//!    and joins them, as it would what a peer sends, into a store that nobody sees before its root is the manifest's.
//! 4. The restored node syncs: its context is that of the backup, so only what happened since moves.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use syncline::Node;
//! use syncline_backup::{BackupOptions, Repository, RestoreOptions, back_up, restore};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let place = scratch.path().join("backups").display().to_string();
//! let node = Node::in_memory().await?;
//! node.namespace("app")?.put("motto", "merge, do not fork").await?;
//! let repository = Repository::open(&place)?;
//! let report = back_up(&node, "app", &repository, &BackupOptions::default()).await?;
//! assert_eq!((report.rows, report.chunks_written), (1, 1));
//!
//! node.drop_namespace("app").await?;
//! restore(&node, "app", &repository, &RestoreOptions::default()).await?;
//! assert_eq!(node.namespace("app")?.get("motto").await?.as_deref(), Some(&b"merge, do not fork"[..]));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod back_up;
mod chunk;
mod error;
mod keys;
mod location;
mod manifest;
mod presence;
mod prune;
mod repository;
mod restore;

pub use back_up::{BackupOptions, BackupReport, back_up};
pub use error::BackupError;
pub use prune::{Pruned, prune};
pub use repository::{BackupId, Listed, Repository};
pub use restore::{RestoreOptions, RestoreReport, restore};

use std::fmt;
use std::sync::Arc;

/// How far a backup or a restore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows that are done: read or passed over.
    pub rows: u64,
    /// Rows that there are.
    pub of: u64,
    /// Bytes that were put or got.
    pub bytes: u64,
}

/// Is told how far it has come.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Listener {
    pub(crate) fn new(told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, progress: Progress) {
        if let Some(told) = &self.0 {
            told(progress);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
