//! The objects of a place where backups lie.
//!
//! ```text
//! CLUSTER/NAMESPACE/
//!   backups/20261123T031500.123Z-5f3a9c01    a manifest
//!   chunks/ab/ab12…                          a chunk, by its name
//!   running/…   pruning/…                    who is at work; see presence.rs
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload};
use syncline::{Node, RangeDigest};

use crate::keys::{Keys, Name};
use crate::manifest::{self, Manifest};
use crate::{BackupError, chunk, location};

/// A place where backups lie: a directory, or a folder of a bucket. Any number of nodes, clusters and namespaces may share it.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) store: Arc<dyn ObjectStore>,
    root: Path,
    shown: String,
    pub(crate) stale_after: Duration,
}

/// Names a backup of a namespace: when it was made, to the millisecond in UTC, and eight random hexadecimal digits. The later
/// one is the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId(String);

impl BackupId {
    pub(crate) fn new(taken_ms: u64, random: u32) -> Self {
        let taken = i64::try_from(taken_ms)
            .ok()
            .and_then(DateTime::<Utc>::from_timestamp_millis);
        let taken = taken.unwrap_or_default().format("%Y%m%dT%H%M%S%.3fZ");
        Self(format!("{taken}-{random:08x}"))
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        match text.len() == 29 && text.bytes().all(legal) {
            true => Ok(Self(text.to_owned())),
            false => Err("it is not like 20261123T031500.123Z-5f3a9c01"),
        }
    }
}

/// A backup, as its manifest says; that is not checked against the cluster's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The cluster, in hexadecimal digits.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// Its name.
    pub id: BackupId,
    /// The node that made it, in hexadecimal digits.
    pub node: String,
    /// When, in Unix milliseconds.
    pub taken_ms: u64,
    /// Rows in it.
    pub rows: u64,
    /// User keys in it.
    pub keys: u64,
    /// Bytes of its chunks, those that it shares with others included.
    pub bytes: u64,
    /// The digest of its rows.
    pub root: RangeDigest,
}

impl Repository {
    /// A directory, which is made if need be, or a URL: `file:///path`, `s3://bucket/folder`, `gs://bucket/folder`,
    /// `az://container/folder`, and whatever else [`object_store::parse_url`] reads. Credentials, region and endpoint come from
    /// the environment, as usual: `AWS_*`, `GOOGLE_*`, `AZURE_*`.
    ///
    /// # Errors
    /// [`BackupError::Location`].
    pub fn open(location: &str) -> Result<Self, BackupError> {
        let (store, root) = location::open(location, false)?;
        Ok(Self::with(store, root, location))
    }

    /// The same, where a directory has to be there already: to restore, and to list.
    ///
    /// # Errors
    /// [`BackupError::Location`].
    pub fn open_existing(location: &str) -> Result<Self, BackupError> {
        let (store, root) = location::open(location, true)?;
        Ok(Self::with(store, root, location))
    }

    /// A folder of an object store that was set up elsewhere. It must list what was written before, at once.
    pub fn in_store(store: Arc<dyn ObjectStore>, root: Path) -> Self {
        let shown = store.to_string();
        Self::with(store, root, &shown)
    }

    fn with(store: Arc<dyn ObjectStore>, root: Path, shown: &str) -> Self {
        Self {
            store,
            root,
            shown: shown.to_owned(),
            stale_after: Duration::from_secs(60 * 60),
        }
    }

    /// For how long a backup or a prune may show no life before it is taken for dead. Default an hour.
    #[must_use]
    pub fn stale_after(mut self, silence: Duration) -> Self {
        self.stale_after = silence;
        self
    }

    /// All backups in it, of every cluster, by cluster, namespace and age.
    ///
    /// # Errors
    /// Whatever the store fails with; [`BackupError::Damaged`] and [`BackupError::NewerFormat`] for a manifest.
    pub async fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let mut found = Vec::new();
        for cluster in self.folders(&self.root).await? {
            for namespace in self.folders(&cluster).await? {
                let shelf = Shelf {
                    repository: self,
                    path: namespace,
                };
                for id in shelf.backups().await? {
                    let (manifest, _) = shelf.read(&id).await?;
                    found.push(Listed {
                        cluster: hex(&manifest.cluster),
                        namespace: manifest.namespace.clone(),
                        id,
                        node: hex(&manifest.node),
                        taken_ms: manifest.taken_ms,
                        rows: manifest.head.root.count(),
                        keys: manifest.head.keys,
                        bytes: manifest.bytes(),
                        root: manifest.head.root,
                    });
                }
            }
        }
        Ok(found)
    }

    /// The namespaces of the node's cluster that have a backup.
    ///
    /// # Errors
    /// Whatever the store fails with.
    pub async fn namespaces(&self, node: &Node) -> Result<Vec<String>, BackupError> {
        let cluster = self.root.clone().join(hex(node.cluster_id().as_bytes()));
        let mut names = Vec::new();
        for path in self.folders(&cluster).await? {
            let shelf = Shelf {
                repository: self,
                path,
            };
            if !shelf.backups().await?.is_empty() {
                names.extend(shelf.path.filename().map(str::to_owned));
            }
        }
        Ok(names)
    }

    /// What is there, for one who has found nothing.
    pub(crate) async fn inventory(&self) -> Result<String, BackupError> {
        let mut present: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for cluster in self.folders(&self.root).await? {
            let names = self.folders(&cluster).await?;
            let names = names
                .iter()
                .filter_map(|path| path.filename().map(str::to_owned));
            present.insert(
                cluster.filename().unwrap_or_default().to_owned(),
                names.collect(),
            );
        }
        if present.is_empty() {
            return Ok("none at all".to_owned());
        }
        let each = present
            .iter()
            .map(|(cluster, names)| format!("{} of cluster {cluster}", names.join(", ")));
        let each: Vec<_> = each.collect();
        Ok(format!(
            "{}; a cluster restores its own backups only, data enters another one by export and import",
            each.join("; ")
        ))
    }

    async fn folders(&self, path: &Path) -> Result<Vec<Path>, BackupError> {
        let mut folders = self
            .store
            .list_with_delimiter(Some(path))
            .await?
            .common_prefixes;
        folders.sort();
        Ok(folders)
    }

    pub(crate) fn shelf(&self, node: &Node, namespace: &str) -> Shelf<'_> {
        let path = self
            .root
            .clone()
            .join(hex(node.cluster_id().as_bytes()))
            .join(namespace);
        Shelf {
            repository: self,
            path,
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The backups of one namespace of one cluster.
pub(crate) struct Shelf<'r> {
    pub(crate) repository: &'r Repository,
    pub(crate) path: Path,
}

impl Shelf<'_> {
    pub(crate) fn folder(&self, name: &str) -> Path {
        self.path.clone().join(name)
    }

    pub(crate) fn manifest_path(&self, id: &BackupId) -> Path {
        self.folder("backups").join(id.0.as_str())
    }

    pub(crate) fn chunk_path(&self, name: Name) -> Path {
        let name = name.to_string();
        self.folder("chunks").join(&name[..2]).join(name.as_str())
    }

    pub(crate) async fn objects(&self, folder: &str) -> Result<Vec<ObjectMeta>, BackupError> {
        let listed = self.repository.store.list(Some(&self.folder(folder)));
        Ok(listed.try_collect().await?)
    }

    /// The backups that there are, the oldest first.
    pub(crate) async fn backups(&self) -> Result<Vec<BackupId>, BackupError> {
        let objects = self.objects("backups").await?;
        let names = objects
            .iter()
            .filter_map(|object| object.location.filename());
        let mut ids: Vec<BackupId> = names.filter_map(|name| name.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// The names of the chunks that are there, with their lengths.
    pub(crate) async fn chunks(&self) -> Result<HashMap<String, ObjectMeta>, BackupError> {
        let objects = self.objects("chunks").await?.into_iter();
        let named =
            objects.filter_map(|object| Some((object.location.filename()?.to_owned(), object)));
        Ok(named.collect())
    }

    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), BackupError> {
        let payload = PutPayload::from(bytes);
        self.repository.store.put(path, payload).await?;
        Ok(())
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, path: &Path) -> Result<(), BackupError> {
        match self.repository.store.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A manifest whose seal holds.
    pub(crate) async fn manifest(
        &self,
        id: &BackupId,
        keys: &Keys,
    ) -> Result<Manifest, BackupError> {
        let (manifest, sealed) = self.read(id).await?;
        let (body, seal) = sealed.split_last_chunk::<32>().unwrap_or((&[], &[0; 32]));
        match keys.seal(body) == blake3::Hash::from_bytes(*seal) {
            true => Ok(manifest),
            false => Err(BackupError::damaged(
                &self.manifest_path(id),
                "its seal does not hold",
            )),
        }
    }

    /// A manifest as it says, and its bytes.
    pub(crate) async fn read(&self, id: &BackupId) -> Result<(Manifest, Vec<u8>), BackupError> {
        let path = self.manifest_path(id);
        let got = match self.repository.store.get(&path).await {
            Ok(got) => got,
            Err(StoreError::NotFound { .. }) => {
                return Err(BackupError::NotFound {
                    namespace: self.path.filename().unwrap_or_default().to_owned(),
                    id: id.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = got.bytes().await?.to_vec();
        let body = versioned(&path, &bytes, manifest::MAGIC, manifest::FORMAT)?;
        let body = body
            .get(..body.len().saturating_sub(32))
            .unwrap_or_default();
        let manifest = Manifest::decode(body);
        let manifest = manifest.map_err(|error| BackupError::damaged(&path, error.to_string()))?;
        Ok((manifest, bytes))
    }

    /// The rows of a chunk, whose bytes are those that it is named by.
    pub(crate) async fn rows(
        &self,
        chunk: &manifest::Chunk,
        keys: &Keys,
    ) -> Result<Vec<syncline::backup::RowBytes>, BackupError> {
        let path = self.chunk_path(chunk.name);
        let missing = || BackupError::Missing {
            object: path.to_string(),
        };
        let got = match self.repository.store.get(&path).await {
            Err(StoreError::NotFound { .. }) => return Err(missing()),
            got => got?,
        };
        // Looked at before its bytes are held.
        if got.meta.size != chunk.len {
            let what = format!("it has {} bytes in place of {}", got.meta.size, chunk.len);
            return Err(BackupError::damaged(&path, what));
        }
        let bytes = got.bytes().await?;
        if keys.name(&bytes) != chunk.name {
            return Err(BackupError::damaged(
                &path,
                "its bytes are not those it is named by",
            ));
        }
        let body = versioned(&path, &bytes, chunk::MAGIC, chunk::FORMAT)?;
        chunk::decode(body).map_err(|error| BackupError::damaged(&path, error.to_string()))
    }
}

/// What is behind the magic and the format.
fn versioned<'b>(
    path: &Path,
    bytes: &'b [u8],
    magic: &[u8; 7],
    known: u8,
) -> Result<&'b [u8], BackupError> {
    let body = bytes.strip_prefix(magic).and_then(<[u8]>::split_first);
    let (format, body) =
        body.ok_or_else(|| BackupError::damaged(path, "it does not begin as such an object does"))?;
    if *format > known {
        return Err(BackupError::NewerFormat {
            object: path.to_string(),
            found: *format,
        });
    }
    Ok(body)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
