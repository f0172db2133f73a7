use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use syncline::{Namespace, Node, trust::Cluster};
use syncline_backup::{
    BackupOptions, BackupReport, Repository, RestoreOptions, RestoreReport, back_up, restore,
};
use tempfile::TempDir;

/// A cluster whose nodes lie in directories of their own.
pub(crate) struct World {
    pub(crate) scratch: TempDir,
    pub(crate) cluster: Cluster,
    pub(crate) objects: Arc<InMemory>,
}

impl World {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let cluster = Cluster::create(scratch.path().join("cluster")).unwrap();
        Self {
            scratch,
            cluster,
            objects: Arc::new(InMemory::new()),
        }
    }

    /// A node of the cluster, that listens.
    pub(crate) async fn node(&self, name: &str) -> Node {
        let data = self.scratch.path().join(name);
        let builder = Node::builder().data_dir(data).cluster(&self.cluster);
        builder.listen("127.0.0.1:0").start().await.unwrap()
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::in_store(self.objects.clone(), ObjectPath::default())
    }

    /// The same in a directory.
    pub(crate) fn directory(&self) -> (Repository, std::path::PathBuf) {
        let path = self.scratch.path().join("backups");
        (Repository::open(path.to_str().unwrap()).unwrap(), path)
    }
}

/// Syncs the namespace, which both are to carry.
pub(crate) async fn synced(a: &Node, b: &Node) -> syncline::Report {
    app(b);
    app(a).sync_with(b).await.unwrap()
}

pub(crate) async fn backed_up(node: &Node, repository: &Repository) -> BackupReport {
    back_up(node, "app", repository, &BackupOptions::default())
        .await
        .unwrap()
}

pub(crate) async fn restored(node: &Node, repository: &Repository) -> RestoreReport {
    restore(node, "app", repository, &RestoreOptions::default())
        .await
        .unwrap()
}

pub(crate) fn app(node: &Node) -> Namespace {
    node.namespace("app").unwrap()
}

/// So many values, of some 40 bytes.
pub(crate) async fn fill(app: &Namespace, values: std::ops::Range<u32>) {
    let written = app.transaction(move |t| {
        for n in values {
            t.register(format!("key:{n:06}"))
                .set(format!("the value of number {n}, as it was at first"))?;
        }
        Ok(())
    });
    written.await.unwrap();
}

pub(crate) async fn root(app: &Namespace) -> syncline::RangeDigest {
    app.read(|view| view.root()).await.unwrap()
}

/// All files under a directory.
pub(crate) fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}
