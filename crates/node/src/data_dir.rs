//! A node's directory: who may use it, the identity made at its first start, the files of its namespaces.
//!
//! ```text
//! data/
//!   lock               held by the node that runs
//!   identity/          when the node was not given an identity: its own cluster
//!     ca.pem  ca.key  cluster.secret      with which other nodes can be admitted
//!     node/                               this node's own identity
//!   namespaces/
//!     app.redb                            one file for each namespace
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::name::check_name;
use crate::start_error::StartError;
use crate::trust::{Cluster, Membership};

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
/// The identity that a first start makes for itself.
const OWN: &str = "node";
const NAMESPACES: &str = "namespaces";
const EXTENSION: &str = "redb";

/// A data directory that this node alone uses.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The operating system gives the lock up with the file, however the process ends.
    lock: Mutex<Option<File>>,
}

impl DataDir {
    /// Takes the directory for this node, and makes it if need be.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StartError> {
        let namespaces = path.join(NAMESPACES);
        fs::create_dir_all(&namespaces).map_err(|source| unusable(&namespaces, source))?;
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| unusable(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                lock: Mutex::new(Some(lock)),
            }),
            Err(TryLockError::WouldBlock) => Err(StartError::AlreadyOpen { path }),
            Err(TryLockError::Error(source)) => Err(unusable(&lock_path, source)),
        }
    }

    /// Gives the directory up, once nothing of it is open any more.
    pub(crate) fn release(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }

    /// The identity of a node that was given none: of a cluster of its own, made at the first start.
    pub(crate) fn own_membership(&self) -> Result<Membership, StartError> {
        let home = self.path.join(IDENTITY);
        if !home.exists() {
            // Made aside and moved into place, so that a crash cannot leave half of a cluster.
            let made = self.path.join(format!("{IDENTITY}.new"));
            if made.exists() {
                fs::remove_dir_all(&made).map_err(|source| unusable(&made, source))?;
            }
            Cluster::create(&made)?.issue(OWN)?;
            fs::rename(&made, &home).map_err(|source| unusable(&home, source))?;
        }
        Ok(Membership::load(home.join(OWN))?)
    }

    /// The file of a namespace.
    pub(crate) fn namespace_file(&self, name: &str) -> PathBuf {
        self.path
            .join(NAMESPACES)
            .join(format!("{name}.{EXTENSION}"))
    }

    /// The namespaces that have a file.
    pub(crate) fn namespaces(&self) -> Result<Vec<String>, StartError> {
        let directory = self.path.join(NAMESPACES);
        let failed = |source| unusable(&directory, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_store = path.extension().is_some_and(|it| it == EXTENSION);
            if let Some(name) = name.filter(|name| is_store && check_name(name).is_ok()) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

fn unusable(path: &Path, source: io::Error) -> StartError {
    StartError::DataDir {
        path: path.to_owned(),
        source,
    }
}
