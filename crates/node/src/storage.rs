//! What a node keeps its namespaces on.

use std::io;
use std::path::Path;

use syncline_store::MemoryDisk;

use crate::data_dir::{Aside, DataDir, NamespaceFiles};
use crate::replica::Place;
#[cfg(unix)]
use crate::room;
use crate::room::SpaceSource;
use crate::start_error::StartError;

#[derive(Debug)]
pub(crate) enum Storage {
    Directory(DataDir),
    Memory,
}

impl Storage {
    /// Where a namespace of this name lies.
    pub(crate) fn place(&self, namespace: &str, cache_bytes: usize) -> Place {
        match self {
            Self::Directory(directory) => Place::File {
                path: directory.namespace_file(namespace),
                cache_bytes,
            },
            Self::Memory => Place::Memory(MemoryDisk::new()),
        }
    }

    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory.path()),
            Self::Memory => None,
        }
    }

    /// What there is of a namespace to be removed.
    pub(crate) fn files_of(&self, namespace: &str) -> Option<NamespaceFiles> {
        match self {
            Self::Directory(directory) => Some(directory.files_of(namespace)),
            Self::Memory => None,
        }
    }

    /// Where a namespace is restored before anybody may see it; `None` in memory.
    pub(crate) fn aside(&self, namespace: &str) -> io::Result<Option<Aside>> {
        match self {
            Self::Directory(directory) => directory.aside(namespace).map(Some),
            Self::Memory => Ok(None),
        }
    }

    /// The namespaces that are there from earlier.
    pub(crate) fn namespaces(&self) -> Result<Vec<String>, StartError> {
        match self {
            Self::Directory(directory) => directory.namespaces(),
            Self::Memory => Ok(Vec::new()),
        }
    }

    /// A generation higher than any that the node has had, which is kept from now on.
    #[cfg(feature = "net")]
    pub(crate) fn next_generation(&self, wall_ms: u64) -> Result<u64, StartError> {
        match self {
            Self::Directory(directory) => {
                let next = directory.generation()?.saturating_add(1);
                directory.set_generation(next)?;
                Ok(next)
            }
            // Its identity seldom outlives it. If it does, the time has gone on.
            Self::Memory => Ok(wall_ms),
        }
    }

    /// Keeps the generation that the node has now.
    #[cfg(feature = "net")]
    pub(crate) fn keep_generation(&self, generation: u64) -> Result<(), StartError> {
        match self {
            Self::Directory(directory) => directory.set_generation(generation),
            Self::Memory => Ok(()),
        }
    }

    /// Who knows how much room there is, if there is a bound and the system tells.
    pub(crate) fn space_source(&self) -> Option<SpaceSource> {
        match self {
            #[cfg(unix)]
            Self::Directory(directory) => Some(room::of_directory(directory.path())),
            #[cfg(not(unix))]
            Self::Directory(_) => None,
            Self::Memory => None,
        }
    }

    /// Where authority, invitations and the own identity lie, if anywhere.
    #[cfg(feature = "net")]
    pub(crate) fn identity_home(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Directory(directory) => Some(directory.identity_home()),
            Self::Memory => None,
        }
    }

    /// Gives it up to whoever comes next.
    pub(crate) fn release(&self) {
        if let Self::Directory(directory) = self {
            directory.release();
        }
    }
}
