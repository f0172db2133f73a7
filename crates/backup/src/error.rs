//! What can go wrong; each text ends with what to do about it.

use syncline::backup::RestoreError;

use crate::BackupId;

/// Why a backup was not made, or not restored. A backup that failed has left those before it as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The place is not one where backups can lie.
    #[error(
        "{location:?} is no place for backups ({reason}); use a directory, or a URL such as s3://bucket/folder"
    )]
    Location {
        /// What was asked for.
        location: String,
        /// Why it does not do.
        reason: String,
    },
    /// There is no backup of the namespace.
    #[error(
        "there is no backup of namespace {namespace:?} of cluster {cluster} in {place}; it has {present}"
    )]
    NoBackup {
        /// The namespace.
        namespace: String,
        /// The cluster of the node.
        cluster: String,
        /// Where it was looked for.
        place: String,
        /// What is there.
        present: String,
    },
    /// There is no backup of this name.
    #[error("there is no backup {id} of namespace {namespace:?}; list those that there are")]
    NotFound {
        /// The namespace.
        namespace: String,
        /// The name asked for.
        id: BackupId,
    },
    /// An object is not what was written.
    #[error("{object} is damaged ({what}); restore an earlier backup, and make a new one")]
    Damaged {
        /// The path of the object.
        object: String,
        /// What does not fit.
        what: String,
    },
    /// An object that a manifest names is not there.
    #[error("{object} is missing; restore an earlier backup, and make a new one")]
    Missing {
        /// The path of the object.
        object: String,
    },
    /// A later version wrote it.
    #[error("{object} is of format {found}, which this version does not know; use a later version")]
    NewerFormat {
        /// The path of the object.
        object: String,
        /// The format's number.
        found: u8,
    },
    /// The rows in the node do not add up to its own digests.
    #[error(
        "the rows of namespace {namespace:?} do not add up to its digests; scrub it, and back up again"
    )]
    DigestsDiffer {
        /// The namespace.
        namespace: String,
    },
    /// Backups are being pruned.
    #[error("backups of namespace {namespace:?} are being pruned; try again when that is done")]
    BeingPruned {
        /// The namespace.
        namespace: String,
    },
    /// The backup showed no life for so long that a prune took it for dead.
    #[error(
        "the backup of namespace {namespace:?} was taken for dead by a prune, and given up; make it again"
    )]
    Overtaken {
        /// The namespace.
        namespace: String,
    },
    /// The object store failed.
    #[error("{0}")]
    Store(#[from] object_store::Error),
    /// The namespace cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The node failed.
    #[error(transparent)]
    Node(#[from] syncline::Error),
    /// The namespace is misnamed.
    #[error(transparent)]
    Name(#[from] syncline::NameError),
}

impl BackupError {
    pub(crate) fn damaged(object: &object_store::path::Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            object: object.to_string(),
            what: what.into(),
        }
    }
}
