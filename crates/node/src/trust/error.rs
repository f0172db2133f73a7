//! What can be wrong with a cluster's files.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[cfg(feature = "net")]
use syncline_sync::quic::{AdoptError, IdentityError};

/// What can be wrong with a cluster's files. Every text ends with the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file or directory is already there; it was not touched.
    #[error("{} already exists and was left alone; choose another directory or name, or remove it yourself", .path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// A file is not there.
    #[error("{} does not exist; create the cluster with `syncline cluster init`, or correct the path", .path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}; check the permissions and the room on the disk", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged ({reason}); restore it from a copy", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The name does not do for a directory.
    #[error(
        "{name:?} is no name for a node; use up to 64 of ASCII letters, digits, '-', '_' and '.', not beginning with a dot"
    )]
    Name {
        /// The name asked for.
        name: String,
    },
    /// The certificate, its key and the authority do not make an identity.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An identity cannot take the place of the one in use.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// A cluster that is kept nowhere was to write an identity.
    #[error(
        "this cluster is kept nowhere, so it issues no directories; create one in a directory instead"
    )]
    Throwaway,
    /// An invitation cannot be meant so.
    #[cfg(feature = "net")]
    #[error("such an invitation cannot be made: {reason}")]
    Invitation {
        /// What is wrong with it.
        reason: String,
    },
    /// What a peer says that the authority has told all members cannot be read.
    #[cfg(feature = "net")]
    #[error("the notices of the authority make no sense; bring both nodes to compatible versions")]
    Notices,
    /// No member is called so, or several are.
    #[cfg(feature = "net")]
    #[error(
        "{wanted:?} names {}; give the whole node id, as `syncline cluster members` prints it",
        if *.several { "several members" } else { "no member that this authority knows" }
    )]
    Member {
        /// What was asked for.
        wanted: String,
        /// Whether there is more than one.
        several: bool,
    },
    /// The authority is being exchanged, or is not, or not everybody has come along.
    #[cfg(feature = "net")]
    #[error("{reason}")]
    Exchange {
        /// What is in the way, and what to do.
        reason: String,
    },
    /// An authority that is not in files did not do its part.
    #[cfg(feature = "net")]
    #[error("the certificate authority did not do its part ({reason}); see its own log")]
    Authority {
        /// What it said.
        reason: String,
    },
    /// There is no authority here to decide.
    #[cfg(feature = "net")]
    #[error(
        "this node has no certificate authority; ask where `syncline cluster init` was run, or where ca.key is kept"
    )]
    NoAuthority,
    /// No key or certificate could be made.
    #[error(
        "no key or certificate could be made ({reason}); check the system's source of randomness"
    )]
    Generate {
        /// What the library said.
        reason: String,
    },
}

impl TrustError {
    pub(super) fn generate(error: impl fmt::Display) -> Self {
        Self::Generate {
            reason: error.to_string(),
        }
    }
}
