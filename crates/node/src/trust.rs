//! What makes a node a member of a cluster: the cluster's certificate authority, its secret, and the identities made with
//! them, as files.
//!
//! ```text
//! cluster/             kept by whoever admits nodes, on no node
//!   ca.pem             the authority's certificate
//!   ca.key             its key: whoever holds it can make members            0600
//!   cluster.secret     the key of the digests, the same on every node        0600
//!   invitations/       those that are out, and who has used them
//!   members/           who was given a certificate over the network
//!   ada/               one identity, to be copied to one machine             0700
//!     node.pem  node.key  ca.pem  cluster.secret
//! ```
//!
//! A node whose data directory has such a directory as its `identity/` admits others over the network: [`Cluster::invite`]
//! makes a [`Token`], with which [`Node::join`](crate::Node::join) makes a member of another data directory, and no file is copied.
//!
//! Certificates are looked at by anybody who connects, before they show one of their own. So they hold no name: not the
//! cluster's, not the node's.
//!
//! Without the feature `net` there are no certificates: of an identity only the secret is of use.

#[cfg(feature = "net")]
mod authority;
#[cfg(feature = "net")]
mod certificates;
#[cfg(feature = "net")]
mod cluster;
#[cfg(feature = "net")]
mod enrolment;
mod error;
#[cfg(feature = "net")]
mod exchange;
#[cfg(feature = "net")]
mod fields;
mod files;
#[cfg(feature = "net")]
mod invitations;
#[cfg(feature = "net")]
pub(crate) mod join;
#[cfg(feature = "net")]
mod members;
#[cfg(feature = "net")]
mod notices;
#[cfg(feature = "net")]
mod office;
#[cfg(feature = "net")]
pub(crate) mod renewal;
mod secret;
#[cfg(feature = "net")]
pub(crate) mod state;
#[cfg(feature = "net")]
mod token;

#[cfg(feature = "net")]
pub use authority::{Authority, CertificateRequest, FileAuthority};
#[cfg(feature = "net")]
pub use cluster::Cluster;
#[cfg(feature = "net")]
pub use enrolment::Refusal;
pub use error::TrustError;
#[cfg(feature = "net")]
pub use invitations::Invitation;
#[cfg(feature = "net")]
pub use join::{Admission, JoinError};
#[cfg(feature = "net")]
pub use members::Member;
#[cfg(feature = "net")]
pub use office::Office;
#[cfg(feature = "net")]
pub use renewal::{RenewError, renew_certificate};
pub use secret::ClusterId;
pub(crate) use secret::Secret;
#[cfg(feature = "net")]
pub use state::TrustStatus;
#[cfg(feature = "net")]
pub use syncline_sync::quic::{AuthorityId, CERTIFICATE_NAME, GRANT_EXTENSION, Grant, Root};
#[cfg(feature = "net")]
pub use token::{Token, TokenError};

use std::fmt;
use std::path::Path;
#[cfg(feature = "net")]
use std::path::PathBuf;
#[cfg(feature = "net")]
use std::time::SystemTime;

#[cfg(feature = "net")]
use syncline_sync::quic::Identity;

use self::files::warn_if_shared;

#[cfg(feature = "net")]
const AUTHORITY: &str = "ca.pem";
pub(crate) const SECRET: &str = "cluster.secret";
#[cfg(feature = "net")]
const CERTIFICATE: &str = "node.pem";
#[cfg(feature = "net")]
const KEY: &str = "node.key";

/// What a node holds as a member: its identity, and the cluster's secret.
#[derive(Clone)]
pub struct Membership {
    /// Certificate, key and authority, for connections.
    #[cfg(feature = "net")]
    pub identity: Identity,
    secret: Secret,
    /// Where it was read, if it lies anywhere.
    #[cfg(feature = "net")]
    directory: Option<PathBuf>,
}

impl Membership {
    /// Reads an identity directory made by `Cluster::issue`; without the feature `net`, only the secret in it.
    ///
    /// # Errors
    /// [`TrustError`], whose text names the file and the remedy: missing, unreadable, damaged, expired, of another
    /// cluster.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, TrustError> {
        let directory = directory.as_ref();
        #[cfg(feature = "net")]
        let identity = {
            warn_if_shared(&directory.join(KEY));
            Identity::load(
                directory.join(CERTIFICATE),
                directory.join(KEY),
                directory.join(AUTHORITY),
            )?
        };
        let secret = directory.join(SECRET);
        warn_if_shared(&secret);
        Ok(Self {
            #[cfg(feature = "net")]
            identity,
            secret: Secret::load(&secret)?,
            #[cfg(feature = "net")]
            directory: Some(directory.to_owned()),
        })
    }

    /// That of the one member of a cluster which is kept nowhere.
    pub(crate) fn alone() -> Result<Self, TrustError> {
        #[cfg(feature = "net")]
        {
            Cluster::throwaway()?.admit()
        }
        #[cfg(not(feature = "net"))]
        {
            Ok(Self::of(Secret::generate()?))
        }
    }

    /// That of whoever knows the secret and has no identity.
    #[cfg(not(feature = "net"))]
    pub(crate) fn of(secret: Secret) -> Self {
        Self { secret }
    }

    /// When the node's certificate ends.
    #[cfg(feature = "net")]
    pub fn expires_at(&self) -> SystemTime {
        self.identity.expires_at()
    }

    /// The cluster secret, from which the digest key of every store derives.
    pub fn secret(&self) -> &[u8; 32] {
        self.secret.bytes()
    }

    /// The cluster that this is a member of.
    pub fn cluster_id(&self) -> ClusterId {
        self.secret.cluster_id()
    }
}

/// Shows who and where; not the secret.
impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Membership");
        #[cfg(feature = "net")]
        shown.field("identity", &self.identity);
        shown
            .field("cluster", &self.cluster_id())
            .finish_non_exhaustive()
    }
}
