//! Making a file small again.

use std::fs;
use std::path::Path;

use redb::{CompactionError, DatabaseError, StorageError};

use super::{RedbEngine, RedbOptions, guarded, unreadable};
use crate::OpenError;

/// What became of a file that was compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file now.
    pub after: u64,
}

impl RedbEngine {
    /// Gives the room that a file no longer needs back to the file system. A file grows with what is written and, by itself,
    /// never shrinks; room that became free is used again.
    ///
    /// Nobody may have the file open. It is done in place, by transactions: a crash in the middle loses nothing, but
    /// the next opening may have to go through the whole file. Takes time linear in it.
    ///
    /// # Errors
    /// As [`open`](Self::open), among them [`OpenError::AlreadyOpen`] and [`OpenError::HasLog`].
    pub fn compact(path: impl AsRef<Path>, options: RedbOptions) -> Result<Compaction, OpenError> {
        let path = path.as_ref();
        let size = || {
            let metadata = fs::metadata(path);
            metadata
                .map(|metadata| metadata.len())
                .map_err(|error| unreadable(path, error))
        };
        let mut database = Self::open(path, options)?.database;
        let before = size()?;
        guarded(path, || {
            // One pass may leave room at the end that the next can free.
            while database.compact().map_err(|error| match error {
                CompactionError::Storage(error) => DatabaseError::Storage(error),
                other => DatabaseError::Storage(StorageError::Corrupted(other.to_string())),
            })? {}
            Ok(())
        })?;
        drop(database);
        Ok(Compaction {
            before,
            after: size()?,
        })
    }
}
