//! Making a backup.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::ObjectMeta;
use syncline::backup::Source;
use syncline::{Node, RangeDigest};
use syncline_merkle::KeyRange;
use tokio::task::JoinSet;

use crate::keys::Keys;
use crate::manifest::{Chunk, Manifest};
use crate::presence::{Presence, RUNNING};
use crate::repository::{BackupId, Repository, Shelf};
use crate::{BackupError, Listener, Progress, chunk};

/// Bytes of rows after which a range is continued in another chunk.
const CHUNK_BYTES: usize = 4 << 20;
/// Chunks that are on their way at a time.
const UPLOADS: usize = 4;
/// Ranges that are asked for at a time.
const CUTS: usize = 256;
/// How long a backup waits for a prune.
const PATIENCE: Duration = Duration::from_secs(600);

/// How to back up.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    listener: Listener,
}

impl BackupOptions {
    /// Is told after each range how far it has come.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(told);
        self
    }
}

/// What a backup has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Its name.
    pub id: BackupId,
    /// The backup whose chunks it shares, if there was one.
    pub base: Option<BackupId>,
    /// Rows in it.
    pub rows: u64,
    /// User keys in it.
    pub keys: u64,
    /// The digest of its rows.
    pub root: RangeDigest,
    /// Chunks in it.
    pub chunks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows that were read, in ranges that have changed.
    pub rows_read: u64,
    /// Chunks that were put; the others were there.
    pub chunks_written: u64,
    /// Bytes that were put, the manifest's included.
    pub bytes_written: u64,
}

/// Backs a namespace up, as of now, while reading and writing go on. Costs what has changed since the newest backup of the
/// namespace, by whichever node, and a manifest of some 100 bytes for 500 rows.
///
/// # Errors
/// Whatever the node or the store fails with. The backups before it stay as they were; what it has put by then is used by the
/// next one, or removed by the next [prune](crate::prune()).
pub async fn back_up(
    node: &Node,
    namespace: &str,
    repository: &Repository,
    options: &BackupOptions,
) -> Result<BackupReport, BackupError> {
    let shelf = repository.shelf(node, namespace);
    let mut presence = Presence::begin(&shelf, RUNNING).await?;
    let made = make(node, namespace, &shelf, options, &mut presence).await;
    // It is removed by a prune otherwise.
    let ended = presence.end().await;
    let made = made?;
    ended.map(|()| made)
}

async fn make(
    node: &Node,
    namespace: &str,
    shelf: &Shelf<'_>,
    options: &BackupOptions,
    presence: &mut Presence<'_>,
) -> Result<BackupReport, BackupError> {
    let named = || namespace.to_owned();
    if !presence.wait_for_prunes(PATIENCE).await? {
        return Err(BackupError::BeingPruned { namespace: named() });
    }
    let keys = Keys::of(node);
    let base = newest(shelf, &keys).await?;
    let present = shelf.chunks().await?;
    let source = node.namespace(namespace)?.backup_source().await?;
    let level = level(
        source.head().root.count(),
        base.as_ref().map(|(_, base)| base.level),
    );
    let mut making = Making {
        shelf,
        keys: &keys,
        base: base.as_ref().map(|(_, base)| base),
        present,
        source: &source,
        presence,
        chunks: Vec::new(),
        uploads: JoinSet::new(),
        progress: Progress {
            rows: 0,
            of: source.head().root.count(),
            bytes: 0,
        },
        rows_read: 0,
        chunks_written: 0,
        listener: &options.listener,
    };
    making.run(level).await?;
    let (chunks, rows_read) = (std::mem::take(&mut making.chunks), making.rows_read);
    let (chunks_written, mut bytes_written) = (making.chunks_written, making.progress.bytes);
    drop(making);

    let sum: RangeDigest = chunks.iter().map(|chunk| chunk.digest).sum();
    if sum != source.head().root {
        return Err(BackupError::DigestsDiffer { namespace: named() });
    }
    let taken_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let taken_ms = u64::try_from(taken_ms).unwrap_or(u64::MAX);
    let manifest = Manifest {
        cluster: *node.cluster_id().as_bytes(),
        namespace: named(),
        node: *node.id().as_bytes(),
        taken_ms,
        head: source.head().clone(),
        level,
        chunks,
    };
    let mut sealed = manifest.encode();
    let seal = keys.seal(&sealed);
    sealed.extend_from_slice(seal.as_bytes());
    bytes_written += sealed.len() as u64;
    // Later than those before it, whatever the clocks of their nodes.
    let id = BackupId::new(taken_ms, rand::random());
    let path = shelf.manifest_path(&id);
    shelf.put(&path, sealed).await?;
    if !presence.is_there().await? {
        shelf.remove(&path).await?;
        return Err(BackupError::Overtaken { namespace: named() });
    }
    Ok(BackupReport {
        id,
        base: base.map(|(id, _)| id),
        rows: manifest.head.root.count(),
        keys: manifest.head.keys,
        root: manifest.head.root,
        chunks: manifest.chunks.len() as u64,
        bytes: manifest.bytes(),
        rows_read,
        chunks_written,
        bytes_written,
    })
}

/// The newest backup that can be read: with a damaged one there is nothing to share.
async fn newest(
    shelf: &Shelf<'_>,
    keys: &Keys,
) -> Result<Option<(BackupId, Manifest)>, BackupError> {
    for id in shelf.backups().await?.into_iter().rev() {
        match shelf.manifest(&id, keys).await {
            Ok(manifest) => return Ok(Some((id, manifest))),
            Err(error @ (BackupError::Damaged { .. } | BackupError::NotFound { .. })) => {
                tracing::warn!(%error, "an earlier backup cannot be built upon");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The level of the fences to cut at: the lowest that makes a few thousand ranges, of 512 rows or more on average. The level of
/// the last backup stays as long as it will do: with another one, no chunk would be as it was.
fn level(rows: u64, last: Option<u8>) -> u8 {
    const LOWEST: u8 = 2;
    // 32 rows to a range of level 1, and 16 times as many with each level.
    let ranges = |level: u8| rows >> (5 + 4 * u32::from(level - 1)).min(63);
    if let Some(last) = last.filter(|last| (LOWEST..=12).contains(last))
        && ranges(last) <= 32_768
        && (last == LOWEST || ranges(last) >= 128)
    {
        return last;
    }
    (LOWEST..12)
        .find(|level| ranges(*level) <= 8_192)
        .unwrap_or(12)
}

struct Making<'m, 's> {
    shelf: &'m Shelf<'m>,
    keys: &'m Keys,
    base: Option<&'m Manifest>,
    /// The chunks that are there.
    present: HashMap<String, ObjectMeta>,
    source: &'m Source,
    presence: &'m mut Presence<'s>,
    chunks: Vec<Chunk>,
    uploads: JoinSet<Result<(), object_store::Error>>,
    progress: Progress,
    rows_read: u64,
    chunks_written: u64,
    listener: &'m Listener,
}

impl Making<'_, '_> {
    async fn run(&mut self, level: u8) -> Result<(), BackupError> {
        let mut rest = Some(KeyRange::ALL);
        while let Some(range) = rest {
            let cut = self.source.cut(range, level, CUTS).await?;
            let fences: Vec<&Vec<u8>> = cut.nodes.iter().map(|node| &node.fence).collect();
            for (at, node) in cut.nodes.iter().enumerate() {
                let upper = fences.get(at + 1).copied().or(cut.upper.as_ref());
                let range = KeyRange::new(node.fence.clone(), upper.cloned());
                self.take(range, node.digest).await?;
                self.presence.touch().await?;
                self.progress.rows += node.digest.count();
                self.listener.tell(self.progress);
            }
            rest = cut.upper.map(|upper| KeyRange::new(upper, None));
        }
        while !self.uploads.is_empty() {
            self.uploaded().await?;
        }
        // Before the first key there may be no row.
        if let Some(first) = self.chunks.first_mut() {
            first.lower.clear();
        }
        Ok(())
    }

    /// Names the chunks of a range: those of the last backup, if it has not changed.
    async fn take(&mut self, range: KeyRange, digest: RangeDigest) -> Result<(), BackupError> {
        if digest.is_zero() {
            return Ok(());
        }
        if let Some(base) = self.base
            && let Some(held) = base.holds(&range, &digest)
            && base.chunks[held.clone()]
                .iter()
                .all(|chunk| self.is_there(chunk))
        {
            self.chunks.extend_from_slice(&base.chunks[held]);
            return Ok(());
        }
        let (mut rest, mut sum) = (Some(range), RangeDigest::ZERO);
        while let Some(range) = rest {
            let end = range.upper.clone();
            let piece = self.source.piece(range, CHUNK_BYTES).await?;
            sum += piece.digest;
            self.rows_read += piece.digest.count();
            let bytes = chunk::encode(&piece.rows);
            let chunk = Chunk {
                lower: piece.range.lower,
                digest: piece.digest,
                name: self.keys.name(&bytes),
                len: bytes.len() as u64,
            };
            if !self.is_there(&chunk) {
                self.upload(&chunk, bytes).await?;
            }
            self.chunks.push(chunk);
            rest = (piece.range.upper != end)
                .then(|| KeyRange::new(piece.range.upper.unwrap_or_default(), end));
        }
        match sum == digest {
            true => Ok(()),
            false => Err(BackupError::DigestsDiffer {
                namespace: self.shelf.path.filename().unwrap_or_default().to_owned(),
            }),
        }
    }

    fn is_there(&self, chunk: &Chunk) -> bool {
        let present = self.present.get(&chunk.name.to_string());
        present.is_some_and(|object| object.size == chunk.len)
    }

    async fn upload(&mut self, chunk: &Chunk, bytes: Vec<u8>) -> Result<(), BackupError> {
        if self.uploads.len() >= UPLOADS {
            self.uploaded().await?;
        }
        self.chunks_written += 1;
        self.progress.bytes += chunk.len;
        let (store, path) = (
            self.shelf.repository.store.clone(),
            self.shelf.chunk_path(chunk.name),
        );
        self.uploads.spawn(async move {
            use object_store::ObjectStoreExt as _;
            store.put(&path, bytes.into()).await.map(drop)
        });
        Ok(())
    }

    async fn uploaded(&mut self) -> Result<(), BackupError> {
        match self.uploads.join_next().await {
            Some(Ok(uploaded)) => Ok(uploaded?),
            Some(Err(error)) => Err(object_store::Error::from(error).into()),
            None => Ok(()),
        }
    }
}
