//! Removing old backups, and what only they needed.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use syncline::Node;

use crate::BackupError;
use crate::keys::Keys;
use crate::presence::{PRUNING, Presence, RUNNING};
use crate::repository::{Repository, Shelf};

/// What a prune has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Whether it gave way to a backup that is being made, and removed nothing.
    pub gave_way: bool,
    /// Backups that are there.
    pub kept: u64,
    /// Backups that were removed.
    pub backups_removed: u64,
    /// Chunks that were removed, which no backup names any more.
    pub chunks_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
}

/// Removes all backups of a namespace but the newest `keep`, whichever nodes made them, and the chunks that no other backup
/// names, those of backups that were broken off included. Safe while backups are being made: it gives way to them.
///
/// # Errors
/// [`BackupError::Damaged`] and [`BackupError::NewerFormat`] for a manifest that would be kept, since what that needs is not
/// known; then nothing is removed. Otherwise whatever the store fails with; a prune may be repeated.
pub async fn prune(
    node: &Node,
    namespace: &str,
    repository: &Repository,
    keep: NonZeroUsize,
) -> Result<Pruned, BackupError> {
    let shelf = repository.shelf(node, namespace);
    let mut presence = Presence::begin(&shelf, PRUNING).await?;
    let pruned = run(&shelf, &Keys::of(node), keep, &mut presence).await;
    let ended = presence.end().await;
    let pruned = pruned?;
    ended.map(|()| pruned)
}

async fn run(
    shelf: &Shelf<'_>,
    keys: &Keys,
    keep: NonZeroUsize,
    presence: &mut Presence<'_>,
) -> Result<Pruned, BackupError> {
    let (alive, dead) = presence.others(RUNNING).await?;
    if alive > 0 {
        return Ok(Pruned {
            gave_way: true,
            ..Pruned::default()
        });
    }
    // Before manifests are looked at: one that was only asleep finds its object gone after it has put its manifest.
    for path in dead.iter().chain(&presence.others(PRUNING).await?.1) {
        shelf.remove(path).await?;
    }
    let mut ids = shelf.backups().await?;
    let kept = ids.split_off(ids.len().saturating_sub(keep.get()));
    let mut needed = HashSet::new();
    for id in &kept {
        let manifest = shelf.manifest(id, keys).await?;
        needed.extend(manifest.chunks.iter().map(|chunk| chunk.name.to_string()));
    }
    let mut pruned = Pruned {
        kept: kept.len() as u64,
        ..Pruned::default()
    };
    // Manifests first, so that none is ever there without its chunks.
    for id in &ids {
        shelf.remove(&shelf.manifest_path(id)).await?;
        pruned.backups_removed += 1;
    }
    for (name, object) in shelf.chunks().await? {
        if needed.contains(&name) {
            continue;
        }
        presence.touch().await?;
        if !presence.is_fresh() {
            // A backup that has begun meanwhile may have taken this for dead.
            tracing::warn!("the prune was asleep for long; it is left for the next one to finish");
            break;
        }
        shelf.remove(&object.location).await?;
        pruned.chunks_removed += 1;
        pruned.bytes_removed += object.size;
    }
    Ok(pruned)
}
