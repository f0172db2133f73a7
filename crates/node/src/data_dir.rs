//! A node's directory: who may use it, the identity made at its first start, the files of its namespaces.
//!
//! ```text
//! data/
//!   lock               held by the node that runs
//!   identity/          when the node was not given an identity
//!     ca.pem  ca.key  cluster.secret      when it made a cluster of its own, into which others can be invited
//!     invitations/  members/              who was, and who has come
//!     node/                               this node's own identity
//!   identity.joining/  while an invitation is made use of: the key
//!   cluster.secret     when the first start was one of a build without networking: the secret that `identity/` is to have
//!   generation         how often the node has taken its place among the members of its cluster
//!   namespaces/
//!     app.redb                            one file for each namespace
//!     app.redb.log-…                      and its log, while it is open or after it was killed
//!     old.dropped                         a namespace that was dropped, until all its files are removed
//!   restoring/
//!     app/                                a namespace that is being restored, until it is whole
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::name::check_name;
use crate::start_error::StartError;
#[cfg(feature = "net")]
use crate::trust::Cluster;
use crate::trust::{Membership, SECRET, Secret};

const LOCK: &str = "lock";
#[cfg(feature = "net")]
const GENERATION: &str = "generation";
pub(crate) const IDENTITY: &str = "identity";
/// The identity that a first start makes for itself, or that joining does.
pub(crate) const OWN: &str = "node";
const NAMESPACES: &str = "namespaces";
const RESTORING: &str = "restoring";
const EXTENSION: &str = "redb";
/// What the file of a namespace is called from the moment it is dropped.
const DROPPED: &str = "dropped";

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
            Ok(()) => {
                let directory = Self {
                    path,
                    lock: Mutex::new(Some(lock)),
                };
                directory.finish_dropping()?;
                directory.give_up_restoring()?;
                Ok(directory)
            }
            Err(TryLockError::WouldBlock) => Err(StartError::AlreadyOpen { path }),
            Err(TryLockError::Error(source)) => Err(unusable(&lock_path, source)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory up, once nothing of it is open any more.
    pub(crate) fn release(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }

    /// The identity of a node that was given none: of a cluster of its own, made at the first start with networking.
    #[cfg(feature = "net")]
    pub(crate) fn own_membership(&self) -> Result<Membership, StartError> {
        let home = self.path.join(IDENTITY);
        if !home.exists() {
            // Made aside and moved into place, so that a crash cannot leave half of a cluster.
            let made = self.path.join(format!("{IDENTITY}.new"));
            if made.exists() {
                fs::remove_dir_all(&made).map_err(|source| unusable(&made, source))?;
            }
            let kept = self.path.join(SECRET);
            let cluster = match kept.exists() {
                true => Cluster::create_around(made.clone(), Secret::load(&kept)?)?,
                false => Cluster::create(&made)?,
            };
            cluster.issue(OWN)?;
            fs::rename(&made, &home).map_err(|source| unusable(&home, source))?;
        }
        Ok(Membership::load(home.join(OWN))?)
    }

    /// Where authority, invitations and the own identity lie, if any do.
    #[cfg(feature = "net")]
    pub(crate) fn identity_home(&self) -> PathBuf {
        self.path.join(IDENTITY)
    }

    /// The secret of a node that was given none, made at the first start; of its identity, where it has one.
    #[cfg(not(feature = "net"))]
    pub(crate) fn own_membership(&self) -> Result<Membership, StartError> {
        let home = self.path.join(IDENTITY);
        if home.exists() {
            return Ok(Membership::load(home.join(OWN))?);
        }
        let secret = Secret::kept_in(&self.path.join(SECRET))?;
        Ok(Membership::of(secret))
    }

    /// The node's generation among the members, as it was last written; 0 before it ever was.
    #[cfg(feature = "net")]
    pub(crate) fn generation(&self) -> Result<u64, StartError> {
        let path = self.path.join(GENERATION);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(unusable(&path, error)),
        };
        text.trim().parse().map_err(|_| {
            let found = "it does not hold a number; if the node was a member, write one greater than its generation as the others show it";
            unusable(&path, io::Error::new(io::ErrorKind::InvalidData, found))
        })
    }

    /// Writes the node's generation, in one step and durably.
    #[cfg(feature = "net")]
    pub(crate) fn set_generation(&self, generation: u64) -> Result<(), StartError> {
        use std::io::Write as _;
        let path = self.path.join(GENERATION);
        let aside = self.path.join(format!("{GENERATION}.new"));
        let written = File::create(&aside).and_then(|mut file| {
            writeln!(file, "{generation}")?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            File::open(&self.path)?.sync_all()
        });
        written.map_err(|source| unusable(&path, source))
    }

    /// The file of a namespace.
    pub(crate) fn namespace_file(&self, name: &str) -> PathBuf {
        self.path
            .join(NAMESPACES)
            .join(format!("{name}.{EXTENSION}"))
    }

    /// The files of a namespace, to be removed.
    pub(crate) fn files_of(&self, name: &str) -> NamespaceFiles {
        NamespaceFiles {
            store: self.namespace_file(name),
        }
    }

    /// Removes what a crash has left of namespaces that were dropped.
    fn finish_dropping(&self) -> Result<(), StartError> {
        let directory = self.path.join(NAMESPACES);
        let failed = |source| unusable(&directory, source);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|it| it == DROPPED) {
                let store = path.with_extension(EXTENSION);
                NamespaceFiles { store }.finish().map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes what a crash has left of namespaces that were being restored.
    fn give_up_restoring(&self) -> Result<(), StartError> {
        let directory = self.path.join(RESTORING);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unusable(&directory, error))
            }
            _ => Ok(()),
        }
    }

    /// An empty place beside the namespaces, for one that is being restored.
    pub(crate) fn aside(&self, name: &str) -> io::Result<Aside> {
        let aside = Aside {
            directory: self.path.join(RESTORING).join(name),
            target: self.namespace_file(name),
        };
        aside.clear()?;
        fs::create_dir_all(&aside.directory)?;
        Ok(aside)
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

/// The files of a namespace that is closed.
#[derive(Debug)]
pub(crate) struct NamespaceFiles {
    store: PathBuf,
}

impl NamespaceFiles {
    /// Removes them. The store's file is first called by another name, in one step that survives a crash: from then on the
    /// namespace is dropped, and what is left of it is removed by the next start at the latest.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::rename(&self.store, self.dropped()) {
            // It was never used, or dropped before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        sync_directory(self.directory())?;
        self.finish()
    }

    /// Removes what is left: the log, and last the file that says so.
    fn finish(&self) -> io::Result<()> {
        let name = self.store.file_name().unwrap_or_default();
        let prefix = [name.as_encoded_bytes(), b".log-"].concat();
        for entry in fs::read_dir(self.directory())? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(&prefix) {
                fs::remove_file(entry.path())?;
            }
        }
        // No log may come back to a new namespace of the name after the file that would remove it has gone.
        sync_directory(self.directory())?;
        fs::remove_file(self.dropped())?;
        sync_directory(self.directory())
    }

    fn dropped(&self) -> PathBuf {
        self.store.with_extension(DROPPED)
    }

    fn directory(&self) -> &Path {
        self.store.parent().unwrap_or(Path::new("."))
    }
}

/// Where a namespace lies as long as it is being restored. Gone with all that is in it, unless it is moved into place.
#[derive(Debug)]
pub(crate) struct Aside {
    directory: PathBuf,
    target: PathBuf,
}

impl Aside {
    /// The file of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    /// Makes the closed store that of the namespace, in one step that survives a crash.
    pub(crate) fn into_place(self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            if entry?.file_name() != STORE {
                return Err(io::Error::other(
                    "the log of what was restored could not be brought to its file",
                ));
            }
        }
        fs::rename(self.store(), &self.target)?;
        sync_directory(self.target.parent().unwrap_or(Path::new(".")))
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!(%error, directory = %self.directory.display(), "what was half restored is still there; the next start removes it");
        }
    }
}

/// What the file of a store is called that is aside.
const STORE: &str = "store.redb";

/// Has the names in a directory survive a power loss, where the system knows how.
fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

fn unusable(path: &Path, source: io::Error) -> StartError {
    StartError::DataDir {
        path: path.to_owned(),
        source,
    }
}

#[cfg(all(test, feature = "net"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_identity_is_made_around_the_secret_of_a_first_start_without_networking() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(scratch.path().to_owned()).unwrap();
        // Half of one, as a crash leaves it, is made anew.
        fs::write(scratch.path().join("cluster.new"), "half").unwrap();
        let file = scratch.path().join(SECRET);
        let secret = Secret::kept_in(&file).unwrap();
        let again = Secret::kept_in(&file).unwrap();
        assert_eq!(secret.cluster_id(), again.cluster_id());

        let membership = directory.own_membership().unwrap();
        assert_eq!(membership.cluster_id(), secret.cluster_id());
        let again = directory.own_membership().unwrap();
        assert_eq!(again.identity.node_id(), membership.identity.node_id());
    }
}
