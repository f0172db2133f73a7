//! Backups and prunes that run at the same time, without a lock.
//!
//! A backup counts on chunks that older manifests name. A prune removes manifests, and the chunks that none names. So that
//! the one does not take away what the other has just come to count on, each says that it is there before it looks: a backup
//! puts `running/ID` and then looks for `pruning/`, a prune puts `pruning/ID` and then looks for `running/`. Whichever way
//! these interleave, one of the two sees the other: a prune gives way, a backup waits until the prune is gone.
//!
//! Who was killed leaves its object. It is touched while work goes on, and one that was not for so long that it must be dead is
//! ignored, by the object store's clock. A prune removes `running/` objects that it ignores, before it looks at manifests; a
//! backup looks whether its own is still there after it has put its manifest, and takes that back if not. So a backup that was
//! only asleep loses, and knows it; neither clocks nor pauses can make a manifest that names what is gone.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt as _};

use crate::BackupError;
use crate::repository::Shelf;

/// An object that says that somebody is at work.
pub(crate) struct Presence<'s> {
    shelf: &'s Shelf<'s>,
    path: Path,
    touched: Instant,
}

pub(crate) const RUNNING: &str = "running";
pub(crate) const PRUNING: &str = "pruning";

impl<'s> Presence<'s> {
    pub(crate) async fn begin(shelf: &'s Shelf<'s>, folder: &str) -> Result<Self, BackupError> {
        let name = format!("{:016x}", rand::random::<u64>());
        let presence = Self {
            path: shelf.folder(folder).join(name),
            shelf,
            touched: Instant::now(),
        };
        shelf.put(&presence.path, Vec::new()).await?;
        Ok(presence)
    }

    /// Shows that it is alive, if it is time to. To be called between any two steps.
    pub(crate) async fn touch(&mut self) -> Result<(), BackupError> {
        if self.touched.elapsed() > self.shelf.repository.stale_after / 8 {
            if !self.is_there().await? {
                return Ok(());
            }
            self.shelf.put(&self.path, Vec::new()).await?;
            self.touched = Instant::now();
        }
        Ok(())
    }

    /// Whether it may still count on being seen.
    pub(crate) fn is_fresh(&self) -> bool {
        self.touched.elapsed() < self.shelf.repository.stale_after / 2
    }

    pub(crate) async fn is_there(&self) -> Result<bool, BackupError> {
        match self.shelf.repository.store.head(&self.path).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of the others in a folder that show life, and those that do not.
    pub(crate) async fn others(&self, folder: &str) -> Result<(usize, Vec<Path>), BackupError> {
        let now = self.now().await?;
        let stale = chrono::TimeDelta::from_std(self.shelf.repository.stale_after);
        let stale = stale.unwrap_or(chrono::TimeDelta::MAX);
        let (mut alive, mut dead) = (0, Vec::new());
        for object in self.shelf.objects(folder).await? {
            if object.location == self.path {
                continue;
            }
            match now.signed_duration_since(object.last_modified) < stale {
                true => alive += 1,
                false => dead.push(object.location),
            }
        }
        Ok((alive, dead))
    }

    /// The time by the object store's clock, as of when this was last touched.
    async fn now(&self) -> Result<DateTime<Utc>, BackupError> {
        let since = chrono::TimeDelta::from_std(self.touched.elapsed()).unwrap_or_default();
        let touched = self
            .shelf
            .repository
            .store
            .head(&self.path)
            .await?
            .last_modified;
        Ok(touched + since)
    }

    /// Waits until no prune is at work.
    pub(crate) async fn wait_for_prunes(&self, patience: Duration) -> Result<bool, BackupError> {
        let began = Instant::now();
        loop {
            if self.others(PRUNING).await?.0 == 0 {
                return Ok(true);
            }
            if began.elapsed() > patience {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Takes it away.
    pub(crate) async fn end(self) -> Result<(), BackupError> {
        self.shelf.remove(&self.path).await
    }
}
