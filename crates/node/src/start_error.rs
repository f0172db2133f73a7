//! Why a node does not start; each text ends with what to do about it.

use std::io;
use std::path::PathBuf;

#[cfg(feature = "net")]
use syncline_sync::quic::BindError;

use crate::name::NameError;
use crate::trust::TrustError;

/// Why a node did not start. Nothing of it is running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was not told where the data lies.
    #[error("the node was not told where its data lies; call `data_dir` or `in_memory`")]
    NoStorage,
    /// Another node uses the data directory.
    #[error("{} is in use by another node; stop that one, or choose another directory", .path.display())]
    AlreadyOpen {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be used.
    #[error("{}: {source}; check the path, its permissions and the room on the disk", .path.display())]
    DataDir {
        /// The file or directory at fault.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A namespace to be carried is misnamed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The identity cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The address to listen on cannot be made out.
    #[error("{address:?} is no address to listen on ({reason}); use one such as 0.0.0.0:7400")]
    Listen {
        /// The address asked for.
        address: String,
        /// Why it does not do.
        reason: String,
    },
    /// The address to listen on is not to be had.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The operating system does not say where it listens.
    #[error("the address listened on is not known ({0}); try again, or listen on a fixed port")]
    Address(#[source] io::Error),
    /// The address for other members cannot be made out.
    #[error(
        "{address:?} is no address to be reached at ({reason}); use one such as 203.0.113.7:7400"
    )]
    Advertise {
        /// The address that was given.
        address: String,
        /// Why it does not do.
        reason: String,
    },
    /// A node is to join a cluster in which nobody could reach it.
    #[cfg(feature = "net")]
    #[error(
        "a node that joins a cluster must listen somewhere; call `listen`, or `peer` in place of `join` to sync with others only"
    )]
    Unreachable,
    /// What the node says of itself to the members of its cluster is too much.
    #[cfg(feature = "net")]
    #[error("the node cannot take its place in the cluster: {0}")]
    Card(#[from] syncline_gossip::membership::CardError),
    /// The runtime ended while the node started.
    #[error("the tokio runtime was shut down during the start; start the node on a running one")]
    Interrupted,
}

impl StartError {
    /// Whether something that it needs alone is in use by another process, or another node of this one: its data directory, or its
    /// address.
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::AlreadyOpen { .. } => true,
            #[cfg(feature = "net")]
            Self::Bind(BindError::Address { source, .. }) => {
                source.kind() == io::ErrorKind::AddrInUse
            }
            _ => false,
        }
    }
}
