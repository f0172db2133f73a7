//! A cluster's authority, and how it makes members.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{KeyPair, PublicKeyData as _};
use syncline_sync::quic::Identity;

use super::authority::{FileAuthority, roots_of};
use super::certificates::{NODE_VALIDITY, node_params, pem};
use super::error::TrustError;
use super::files::{Access, create_directory, read, write_new};
use super::invitations::Invitation;
use super::office::Office;
use super::secret::Secret;
use super::token::Token;
use super::{AUTHORITY, CERTIFICATE, ClusterId, KEY, Membership, SECRET, certificates};

pub(super) const AUTHORITY_KEY: &str = "ca.key";
pub(super) const VOUCHED: &str = "ca.vouched.pem";

/// A cluster's authority and secret: all that it takes to admit nodes.
///
/// ```
/// use syncline::trust::{Cluster, Membership};
///
/// # let scratch = tempfile::tempdir()?;
/// # let directory = scratch.path().join("cluster");
/// let cluster = Cluster::create(&directory)?;
/// let ada = Membership::load(cluster.issue("ada")?)?;
/// let bob = Membership::load(cluster.issue("bob")?)?;
/// assert_eq!(ada.cluster_id(), bob.cluster_id());
/// assert_ne!(ada.identity.node_id(), bob.identity.node_id());
///
/// // Nothing is ever overwritten.
/// assert!(Cluster::create(&directory).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cluster {
    /// Where its files are; a throwaway cluster has none.
    directory: Option<PathBuf>,
    pub(super) key: KeyPair,
    /// The certificates that members trust, as PEM; that of the key first.
    pub(super) authority: String,
    /// How the authority before vouches for this one, as PEM, while members may trust that alone; empty otherwise.
    pub(super) vouched: String,
    secret: Secret,
}

impl Cluster {
    /// Makes a new cluster in `directory`, which is created if need be.
    ///
    /// The keys are ECDSA P-256; the authority is valid for ten years.
    ///
    /// # Errors
    /// [`TrustError::Exists`] when one of the files is already there (none is touched), and when they cannot be written.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Self, TrustError> {
        Self::create_around(directory.into(), Secret::generate()?)
    }

    /// As [`create`](Self::create), around a secret that there is already.
    pub(crate) fn create_around(directory: PathBuf, secret: Secret) -> Result<Self, TrustError> {
        let files = [AUTHORITY, AUTHORITY_KEY, SECRET].map(|name| directory.join(name));
        if let Some(path) = files.iter().find(|path| path.exists()) {
            return Err(TrustError::Exists { path: path.clone() });
        }
        let cluster = Self::generate(secret)?;
        create_directory(&directory)?;
        let [authority_file, key_file, secret_file] = &files;
        write_new(key_file, cluster.key.serialize_pem(), Access::Owner)?;
        write_new(secret_file, cluster.secret.to_text(), Access::Owner)?;
        write_new(authority_file, &cluster.authority, Access::All)?;
        Ok(Self {
            directory: Some(directory),
            ..cluster
        })
    }

    /// Makes a new cluster that is kept nowhere: for nodes in memory, and tests. It ends with those whom it admits.
    ///
    /// ```
    /// use syncline::Node;
    /// use syncline::trust::Cluster;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::throwaway()?;
    /// let ada = Node::builder().in_memory().cluster(&cluster).start().await?;
    /// let bob = Node::builder().in_memory().cluster(&cluster).start().await?;
    /// assert_ne!(ada.id(), bob.id());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TrustError::Generate`].
    pub fn throwaway() -> Result<Self, TrustError> {
        Self::generate(Secret::generate()?)
    }

    fn generate(secret: Secret) -> Result<Self, TrustError> {
        let key = KeyPair::generate().map_err(TrustError::generate)?;
        let authority = certificates::authority(&key).map_err(TrustError::generate)?;
        Ok(Self {
            directory: None,
            key,
            authority,
            vouched: String::new(),
            secret,
        })
    }

    /// Opens the cluster that [`Cluster::create`] made in `directory`.
    ///
    /// # Errors
    /// [`TrustError`] when a file is missing, unreadable or damaged.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, TrustError> {
        let directory = directory.into();
        let key_file = directory.join(AUTHORITY_KEY);
        let key = KeyPair::from_pem(&read(&key_file)?).map_err(|error| TrustError::Damaged {
            path: key_file,
            reason: error.to_string(),
        })?;
        let authority = read(&directory.join(AUTHORITY))?;
        let authority = own_first(&key, &authority)?;
        let vouched = match read(&directory.join(VOUCHED)) {
            Err(TrustError::Missing { .. }) => String::new(),
            text => text?,
        };
        let secret = Secret::load(&directory.join(SECRET))?;
        Ok(Self {
            directory: Some(directory),
            key,
            authority,
            vouched,
            secret,
        })
    }

    /// Names the cluster in hellos and logs. Derived from the secret, which it does not give away.
    pub fn id(&self) -> ClusterId {
        self.secret.cluster_id()
    }

    /// Makes the identity of one node, in a directory of that name next to the authority's files; returns the directory.
    ///
    /// All of it goes to one machine, where [`Membership::load`] reads it. The certificate is valid for a year.
    /// `name` is for people: 1 to 64 of ASCII letters, digits, `-`, `_` and `.`, not beginning with a dot.
    ///
    /// # Errors
    /// [`TrustError::Name`]; [`TrustError::Exists`] when there is such a directory; [`TrustError::Throwaway`] when the
    /// cluster has no directory itself; and when it cannot be written.
    pub fn issue(&self, name: &str) -> Result<PathBuf, TrustError> {
        check_name(name)?;
        let home = self.directory.as_ref().ok_or(TrustError::Throwaway)?;
        let directory = home.join(name);
        if directory.exists() {
            return Err(TrustError::Exists { path: directory });
        }
        // An authority whose files do not belong together is found out before anything is written.
        let (certificate, key, identity) = self.certify_new()?;

        create_directory(&directory)?;
        write_new(&directory.join(KEY), &key, Access::Owner)?;
        write_new(
            &directory.join(SECRET),
            self.secret.to_text(),
            Access::Owner,
        )?;
        write_new(&directory.join(AUTHORITY), &self.authority, Access::All)?;
        write_new(&directory.join(CERTIFICATE), &certificate, Access::All)?;
        let office = self.office()?;
        let expires = SystemTime::now() + NODE_VALIDITY;
        office.note(&identity.node_id(), name, expires)?;
        Ok(directory)
    }

    /// Makes the identity of one node without writing it anywhere: it lasts as long as whoever holds it.
    ///
    /// # Errors
    /// [`TrustError::Identity`] when the authority's files do not belong together, [`TrustError::Generate`].
    pub fn admit(&self) -> Result<Membership, TrustError> {
        let (_, _, identity) = self.certify_new()?;
        Ok(Membership {
            identity,
            secret: self.secret.clone(),
            directory: None,
        })
    }

    /// Invites somebody to become a member by enrolling with a node that runs with this authority, in
    /// [a data directory](crate::Builder::data_dir) whose `identity/` this is; or with [`Node::invite`](crate::Node::invite).
    ///
    /// # Errors
    /// [`TrustError::Invitation`] when it cannot be meant so; [`TrustError::Throwaway`]; and when it cannot be written.
    pub fn invite(&self, invitation: Invitation) -> Result<Token, TrustError> {
        self.office()?.invite(&invitation)
    }

    /// Who decides on petitions with this authority.
    ///
    /// # Errors
    /// [`TrustError::Throwaway`] when it has no directory.
    pub fn office(&self) -> Result<Office, TrustError> {
        let home = self.directory.as_ref().ok_or(TrustError::Throwaway)?;
        let authority = Arc::new(FileAuthority::new(home));
        Ok(Office::new(authority, home.clone(), self.secret.clone()))
    }

    /// A fresh certificate and its key, as PEM and as the identity that they make.
    fn certify_new(&self) -> Result<(String, String, Identity), TrustError> {
        let key = KeyPair::generate().map_err(TrustError::generate)?;
        let params = node_params().map_err(TrustError::generate)?;
        let certificate =
            certificates::signed(&params, &key, &self.key).map_err(TrustError::generate)?;
        let certificate = certificate + &self.vouched;
        let key = key.serialize_pem();
        let identity = Identity::from_pem(&certificate, &key, &self.authority)?;
        Ok((certificate, key, identity))
    }
}

/// The certificates with that of the key at the head: while authorities are exchanged, the file may still be ahead of the
/// key or behind it. One that is not there is found out when something is signed.
fn own_first(key: &KeyPair, authority: &str) -> Result<String, TrustError> {
    let info = key.subject_public_key_info();
    let own = blake3::hash(&info);
    let mut roots = roots_of(authority)?;
    roots.sort_by_key(|root| root.id().as_bytes() != own.as_bytes());
    Ok(roots.iter().map(|root| pem(root.certificate())).collect())
}

/// Shows where it is and which one; neither key nor secret.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("directory", &self.directory)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), TrustError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(legal) {
        return Ok(());
    }
    Err(TrustError::Name {
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests;
