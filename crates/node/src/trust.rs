//! What makes a node a member of a cluster: the cluster's certificate authority, its secret, and the identities made with
//! them, as files.
//!
//! ```text
//! cluster/             kept by whoever admits nodes, on no node
//!   ca.pem             the authority's certificate
//!   ca.key             its key: whoever holds it can make members            0600
//!   cluster.secret     the key of the digests, the same on every node        0600
//!   ada/               one identity, to be copied to one machine             0700
//!     node.pem  node.key  ca.pem  cluster.secret
//! ```
//!
//! Certificates are looked at by anybody who connects, before they show one of their own. So they hold no name: not the
//! cluster's, not the node's.

mod error;

pub use error::TrustError;

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand::TryRngCore as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use syncline_sync::quic::{CERTIFICATE_NAME, Identity};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is good for.
const AUTHORITY_DAYS: u32 = 3650;
/// How long a node's certificate is good for.
const NODE_DAYS: u32 = 365;
/// Certificates begin in the past, for machines whose clocks are behind.
const SKEW: Duration = Duration::from_secs(60 * 60);

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
const SECRET: &str = "cluster.secret";
const CERTIFICATE: &str = "node.pem";
const KEY: &str = "node.key";

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
    key: KeyPair,
    authority: String,
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
        let directory = directory.into();
        let files = [AUTHORITY, AUTHORITY_KEY, SECRET].map(|name| directory.join(name));
        if let Some(path) = files.iter().find(|path| path.exists()) {
            return Err(TrustError::Exists { path: path.clone() });
        }
        let cluster = Self::generate()?;
        create_directory(&directory)?;
        let [authority_file, key_file, secret_file] = &files;
        write_new(key_file, &cluster.key.serialize_pem(), Access::Owner)?;
        write_new(secret_file, &cluster.secret.to_text(), Access::Owner)?;
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
        Self::generate()
    }

    fn generate() -> Result<Self, TrustError> {
        let key = KeyPair::generate().map_err(TrustError::generate)?;
        let mut params = authority_params(&key);
        valid_for(&mut params, AUTHORITY_DAYS);
        let authority = params
            .self_signed(&key)
            .map_err(TrustError::generate)?
            .pem();
        Ok(Self {
            directory: None,
            key,
            authority,
            secret: Secret::generate()?,
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
        let secret = Secret::load(&directory.join(SECRET))?;
        Ok(Self {
            directory: Some(directory),
            key,
            authority,
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
        let (certificate, key, _) = self.certify()?;

        create_directory(&directory)?;
        write_new(&directory.join(KEY), &key, Access::Owner)?;
        write_new(
            &directory.join(SECRET),
            &self.secret.to_text(),
            Access::Owner,
        )?;
        write_new(&directory.join(AUTHORITY), &self.authority, Access::All)?;
        write_new(&directory.join(CERTIFICATE), &certificate, Access::All)?;
        Ok(directory)
    }

    /// Makes the identity of one node without writing it anywhere: it lasts as long as whoever holds it.
    ///
    /// # Errors
    /// [`TrustError::Identity`] when the authority's files do not belong together, [`TrustError::Generate`].
    pub fn admit(&self) -> Result<Membership, TrustError> {
        let (_, _, identity) = self.certify()?;
        Ok(Membership {
            identity,
            secret: self.secret.clone(),
        })
    }

    /// A fresh certificate and its key, as PEM and as the identity that they make.
    fn certify(&self) -> Result<(String, String, Identity), TrustError> {
        let key = KeyPair::generate().map_err(TrustError::generate)?;
        // The issuer is known by its key alone, since its parameters are always the same: nothing is parsed.
        let issuer = Issuer::new(authority_params(&self.key), &self.key);
        let certificate = node_params()
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(TrustError::generate)?
            .pem();
        let key = key.serialize_pem();
        let identity = Identity::from_pem(&certificate, &key, &self.authority)?;
        Ok((certificate, key, identity))
    }
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

/// What a node holds as a member: its identity, and the cluster's secret.
#[derive(Clone)]
pub struct Membership {
    /// Certificate, key and authority, for connections.
    pub identity: Identity,
    secret: Secret,
}

impl Membership {
    /// Reads an identity directory made by [`Cluster::issue`].
    ///
    /// # Errors
    /// [`TrustError`], whose text names the file and the remedy: missing, unreadable, damaged, expired, of another
    /// cluster.
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, TrustError> {
        let directory = directory.as_ref();
        warn_if_shared(&directory.join(KEY));
        warn_if_shared(&directory.join(SECRET));
        let identity = Identity::load(
            directory.join(CERTIFICATE),
            directory.join(KEY),
            directory.join(AUTHORITY),
        )?;
        let secret = Secret::load(&directory.join(SECRET))?;
        Ok(Self { identity, secret })
    }

    /// The cluster secret, from which the digest key of every store derives.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret.0
    }

    /// The cluster that this is a member of.
    pub fn cluster_id(&self) -> ClusterId {
        self.secret.cluster_id()
    }
}

/// Shows who and where; not the secret.
impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("identity", &self.identity)
            .field("cluster", &self.cluster_id())
            .finish_non_exhaustive()
    }
}

/// Names a cluster: 16 bytes that follow from its secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId([u8; 16]);

impl ClusterId {
    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

#[derive(Clone)]
struct Secret([u8; 32]);

impl Secret {
    fn generate() -> Result<Self, TrustError> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(TrustError::generate)?;
        Ok(Self(bytes))
    }

    fn load(path: &Path) -> Result<Self, TrustError> {
        let text = read(path)?;
        parse_hex(text.trim_end())
            .map(Self)
            .ok_or_else(|| TrustError::Damaged {
                path: path.to_owned(),
                reason: "it does not hold 64 hexadecimal digits".to_owned(),
            })
    }

    fn to_text(&self) -> String {
        hex(&self.0) + "\n"
    }

    fn cluster_id(&self) -> ClusterId {
        let hash = blake3::derive_key("syncline v1: cluster id", &self.0);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        ClusterId(id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (digits.len() == 64)
        .then(|| bytes.try_into().ok())
        .flatten()
}

/// The authority's parameters but for its validity. They depend on its key alone, so that [`Cluster::issue`] can name the
/// issuer without reading its certificate. Each authority has a name of its own, after its key: one that all shared would
/// make a stranger's certificate look like a forged one.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = hex(&params.key_identifier(key));
    params.distinguished_name = common_name(&format!("syncline authority {id}"));
    params
}

fn node_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([CERTIFICATE_NAME.to_owned()])?;
    params.distinguished_name = common_name("syncline node");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, NODE_DAYS);
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + DAY * days).into();
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

fn read(path: &Path) -> Result<String, TrustError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TrustError::Missing {
            path: path.to_owned(),
        },
        _ => TrustError::Io {
            path: path.to_owned(),
            source,
        },
    })
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Owner,
    All,
}

/// Writes a file that was not there, all of it or with an error, and has it on disk.
fn write_new(path: &Path, text: &str, access: Access) -> Result<(), TrustError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Owner {
        use std::os::unix::fs::OpenOptionsExt as _;
        // From the start: a file made readable and then closed up was readable.
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => TrustError::Exists {
                path: path.to_owned(),
            },
            _ => TrustError::Io {
                path: path.to_owned(),
                source,
            },
        })
}

fn create_directory(path: &Path) -> Result<(), TrustError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|source| TrustError::Io {
        path: path.to_owned(),
        source,
    })
}

/// A copied key is easily left readable to all; whether that matters is for the owner to say.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A file that is not there is reported by whoever reads it next.
        if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
            tracing::warn!(path = %path.display(), "others can read this secret; chmod it to 600");
        }
    }
}

#[cfg(test)]
mod tests;
