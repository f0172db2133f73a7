//! From a backup to a namespace, or into one.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use syncline::backup::{Restore, RestoreError, Restored};
use syncline::{Node, RangeDigest};

use crate::keys::Keys;
use crate::manifest::Manifest;
use crate::repository::{BackupId, Repository, Shelf, hex};
use crate::{BackupError, Listener, Progress};

/// Chunks that are fetched ahead.
const AHEAD: usize = 4;

/// How to restore. The default is the newest backup, into a namespace that holds nothing.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    backup: Option<BackupId>,
    join: bool,
    listener: Listener,
}

impl RestoreOptions {
    /// Restores this backup.
    #[must_use]
    pub fn backup(mut self, id: BackupId) -> Self {
        self.backup = Some(id);
        self
    }

    /// Joins the backup into the namespace, which may hold something: as if its replica were a peer to sync with. What was
    /// written since stays, what had been removed then goes. All chunks are checked before the first row is joined.
    #[must_use]
    pub fn join(mut self) -> Self {
        self.join = true;
        self
    }

    /// Is told after each chunk how far it has come.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(told);
        self
    }
}

/// What a restore has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The backup.
    pub backup: BackupId,
    /// When it was made, in Unix milliseconds.
    pub taken_ms: u64,
    /// Rows that the namespace holds now.
    pub rows: u64,
    /// User keys that it holds now.
    pub keys: u64,
    /// The digest of the namespace now: that of the backup, unless it was joined into one that held something.
    pub root: RangeDigest,
    /// Chunks that were got.
    pub chunks_read: u64,
    /// Chunks that were not needed, since the namespace held just what is in them.
    pub chunks_held: u64,
    /// Bytes that were got.
    pub bytes_read: u64,
}

/// Restores a backup of a namespace. Everything is checked: the manifest's seal, each chunk against its name, all rows against
/// the digests of their ranges, and the whole against the root. A restore that fails or is killed has changed nothing, unless
/// it was to [join](RestoreOptions::join), and may be repeated.
///
/// # Errors
/// [`BackupError::NoBackup`], [`BackupError::NotFound`]; [`BackupError::Damaged`], [`BackupError::Missing`] and
/// [`BackupError::NewerFormat`] for what lies in the repository; [`BackupError::Restore`] for what is in the node.
pub async fn restore(
    node: &Node,
    namespace: &str,
    repository: &Repository,
    options: &RestoreOptions,
) -> Result<RestoreReport, BackupError> {
    let shelf = repository.shelf(node, namespace);
    let keys = Keys::of(node);
    let id = match &options.backup {
        Some(id) => id.clone(),
        None => match shelf.backups().await?.pop() {
            Some(newest) => newest,
            None => {
                return Err(BackupError::NoBackup {
                    namespace: namespace.to_owned(),
                    cluster: hex(node.cluster_id().as_bytes()),
                    place: repository.to_string(),
                    present: repository.inventory().await?,
                });
            }
        },
    };
    let manifest = shelf.manifest(&id, &keys).await?;
    if manifest.namespace != namespace || manifest.cluster != *node.cluster_id().as_bytes() {
        let path = shelf.manifest_path(&id);
        return Err(BackupError::damaged(
            &path,
            "it is of another namespace or cluster",
        ));
    }
    let into = match options.join {
        true => {
            node.namespace(namespace)?
                .join_backup(manifest.head.clone())
                .await?
        }
        false => node.restore(namespace, manifest.head.clone()).await?,
    };
    let mut restoring = Restoring {
        shelf: &shelf,
        keys: &keys,
        manifest: Arc::new(manifest),
        report: Read::default(),
        listener: &options.listener,
    };
    let restored = restoring.run(into, options.join).await?;
    let Restored {
        rows, keys, root, ..
    } = restored;
    let Read {
        chunks_read,
        chunks_held,
        bytes_read,
        ..
    } = restoring.report;
    Ok(RestoreReport {
        backup: id,
        taken_ms: restoring.manifest.taken_ms,
        rows,
        keys,
        root,
        chunks_read,
        chunks_held,
        bytes_read,
    })
}

/// What was read.
#[derive(Default)]
struct Read {
    rows: u64,
    chunks_read: u64,
    chunks_held: u64,
    bytes_read: u64,
}

struct Restoring<'r> {
    shelf: &'r Shelf<'r>,
    keys: &'r Keys,
    manifest: Arc<Manifest>,
    report: Read,
    listener: &'r Listener,
}

impl Restoring<'_> {
    async fn run(&mut self, mut into: Restore, join: bool) -> Result<Restored, BackupError> {
        if join {
            self.check(&into).await?;
        }
        let manifest = self.manifest.clone();
        let (shelf, keys) = (self.shelf, self.keys);
        let mut held = Vec::new();
        for (at, chunk) in manifest.chunks.iter().enumerate() {
            held.push(join && into.holds(manifest.range(at), chunk.digest).await?);
        }
        let fetched = manifest
            .chunks
            .iter()
            .zip(&held)
            .map(|(chunk, held)| async move {
                match held {
                    true => Ok(None),
                    false => shelf.rows(chunk, keys).await.map(Some),
                }
            });
        let mut fetched = stream::iter(fetched).buffered(AHEAD).enumerate();
        while let Some((at, rows)) = fetched.next().await {
            let (chunk, range) = (&manifest.chunks[at], manifest.range(at));
            let mut rows = rows?;
            if rows.is_none() {
                match into.pass(&range, chunk.digest).await? {
                    true => self.report.chunks_held += 1,
                    // It was written to meanwhile.
                    false => rows = Some(shelf.rows(chunk, keys).await?),
                }
            }
            if let Some(rows) = rows {
                let joined = into.join(range, chunk.digest, rows).await;
                joined.map_err(|error| self.in_chunk(at, error))?;
                self.report.chunks_read += 1;
                self.report.bytes_read += chunk.len;
            }
            self.report.rows += chunk.digest.count();
            self.listener.tell(Progress {
                rows: self.report.rows,
                of: manifest.head.root.count(),
                bytes: self.report.bytes_read,
            });
        }
        if manifest.chunks.is_empty() {
            into.nothing()?;
        }
        Ok(into.finish().await?)
    }

    /// Reads all chunks that will be needed, so that nothing is joined of a backup that is not whole.
    async fn check(&self, into: &Restore) -> Result<(), BackupError> {
        let manifest = &self.manifest;
        for (at, chunk) in manifest.chunks.iter().enumerate() {
            let range = manifest.range(at);
            if !into.holds(range.clone(), chunk.digest).await? {
                let rows = self.shelf.rows(chunk, self.keys).await?;
                let checked = into.check(range, chunk.digest, rows).await;
                checked.map_err(|error| self.in_chunk(at, error))?;
            }
        }
        Ok(())
    }

    fn in_chunk(&self, at: usize, error: RestoreError) -> BackupError {
        match error {
            RestoreError::Damaged => {
                let path = self.shelf.chunk_path(self.manifest.chunks[at].name);
                BackupError::damaged(&path, "its rows do not add up to their digest")
            }
            error => error.into(),
        }
    }
}
