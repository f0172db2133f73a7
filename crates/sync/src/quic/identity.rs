//! What a node proves itself with: its certificate, the key behind it, and the authority that vouches for both.

use core::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};

use super::certificate::{AuthorityId, Grant, Root, Terms};
use super::node_id::NodeId;
use super::tls;

/// The name that every node certificate carries as a DNS subject alternative name.
///
/// Certificates are checked against this one name whatever address was dialled: a node is its key,
/// and may move between addresses without a new certificate. The chain to the cluster's authority
/// is what admits it.
///
/// ```
/// assert_eq!(syncline_sync::quic::CERTIFICATE_NAME, "node.syncline");
/// ```
pub const CERTIFICATE_NAME: &str = "node.syncline";

/// A node's certificate chain and private key, and the authority it trusts; two of them while one takes the place of the
/// other.
///
/// Cloning is cheap. Whatever is wrong with the files is found when they are loaded, not at the
/// first handshake: the identity is checked as a peer would check it, in both roles.
///
/// ```no_run
/// use syncline_sync::quic::Identity;
///
/// let identity = Identity::load("ada/node.pem", "ada/node.key", "ada/ca.pem")?;
/// println!("this node is {}", identity.node_id());
/// # Ok::<(), syncline_sync::quic::IdentityError>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// The same, with the certificates of the authorities behind it.
    certified_with_roots: Arc<CertifiedKey>,
    store: Arc<RootCertStore>,
    roots: Arc<[Root]>,
    node: NodeId,
    terms: Terms,
}

impl Identity {
    /// Reads an identity from three PEM files: the certificate (with its intermediates, if any),
    /// its private key (PKCS#8, SEC 1 or PKCS#1), and the certificates of the cluster's authorities, most often one.
    ///
    /// # Errors
    /// [`IdentityError`], whose text names the file and what to do about it.
    pub fn load(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
        authority: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        let certificate = PemText::read(certificate.as_ref())?;
        let key = PemText::read(key.as_ref())?;
        let authority = PemText::read(authority.as_ref())?;
        Self::parse(&certificate, &key, &authority)
    }

    /// As [`Identity::load`], from PEM text already in memory.
    ///
    /// # Errors
    /// [`IdentityError`], as for [`Identity::load`].
    pub fn from_pem(certificate: &str, key: &str, authority: &str) -> Result<Self, IdentityError> {
        let part = |name: &str, text: &str| PemText {
            name: name.to_owned(),
            text: text.as_bytes().to_vec(),
        };
        Self::parse(
            &part("the certificate", certificate),
            &part("the private key", key),
            &part("the authority's certificate", authority),
        )
    }

    fn parse(
        certificate: &PemText,
        key: &PemText,
        authority: &PemText,
    ) -> Result<Self, IdentityError> {
        let chain = certificate.certificates()?;
        let (store, roots) = authority.roots()?;
        let private = PrivateKeyDer::from_pem_slice(&key.text).map_err(|e| key.not_pem(e))?;
        let certified =
            CertifiedKey::from_der(chain, private, &tls::provider()).map_err(|error| {
                let (key, certificate) = (key.name.clone(), certificate.name.clone());
                match error {
                    rustls::Error::InconsistentKeys(_) => {
                        IdentityError::KeyMismatch { key, certificate }
                    }
                    rustls::Error::InvalidCertificate(_) => IdentityError::Unusable {
                        file: certificate,
                        reason: error.to_string(),
                    },
                    _ => IdentityError::Unusable {
                        file: key,
                        reason: error.to_string(),
                    },
                }
            })?;
        let unusable = |reason: rustls::Error| IdentityError::Unusable {
            file: certificate.name.clone(),
            reason: reason.to_string(),
        };
        let node = certified
            .end_entity_cert()
            .and_then(NodeId::of_certificate)
            .map_err(unusable)?;
        let terms = certified
            .end_entity_cert()
            .and_then(Terms::of)
            .map_err(unusable)?;
        let identity = Self {
            certified_with_roots: Arc::new(with_roots(&certified, &roots)),
            certified: Arc::new(certified),
            store: Arc::new(store),
            roots: roots.into(),
            node,
            terms,
        };
        identity
            .check(UnixTime::now())
            .map_err(|error| describe(error, &certificate.name, &authority.name))?;
        Ok(identity)
    }

    /// Looks at our own certificate with a peer's eyes, as a client's and as a server's.
    fn check(&self, now: UnixTime) -> Result<(), rustls::Error> {
        let chain = self.certified.cert.split_first();
        let (end, intermediates) = chain.ok_or(rustls::Error::NoCertificatesPresented)?;
        check(end, intermediates, &self.store, now)
    }

    /// This node's identity, as its peers see it.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// The DER of the certificate.
    pub fn certificate(&self) -> &[u8] {
        self.certified.cert.first().map_or(&[], |it| it.as_ref())
    }

    /// When the certificate begins to be good.
    pub fn valid_from(&self) -> SystemTime {
        self.terms.begins
    }

    /// The same, trusting these authorities; whether one of them has signed the own certificate is not looked at.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when the certificate of one cannot be used.
    pub fn with_authorities(&self, roots: &[Root]) -> Result<Self, IdentityError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store
                .add(root.der().clone())
                .map_err(|error| IdentityError::Unusable {
                    file: "the authority's certificate".to_owned(),
                    reason: error.to_string(),
                })?;
        }
        Ok(Self {
            certified_with_roots: Arc::new(with_roots(&self.certified, roots)),
            store: Arc::new(store),
            roots: roots.into(),
            ..self.clone()
        })
    }

    /// When the certificate ends.
    pub fn expires_at(&self) -> SystemTime {
        self.terms.ends
    }

    /// The namespaces that the certificate lets its holder carry.
    pub fn grant(&self) -> &Grant {
        &self.terms.grant
    }

    /// The authorities whose members it trusts.
    pub fn authorities(&self) -> &[Root] {
        &self.roots
    }

    /// Which of the authorities has signed the certificate: itself, or through those between them.
    pub fn issuer(&self) -> Option<AuthorityId> {
        let (end, intermediates) = self.certified.cert.split_first()?;
        let issued = |root: &&Root, between: &[CertificateDer<'_>]| {
            let mut alone = RootCertStore::empty();
            let added = alone.add(root.der().clone());
            added.is_ok() && check(end, between, &Arc::new(alone), UnixTime::now()).is_ok()
        };
        let direct = self.roots.iter().find(|root| issued(root, &[]));
        let issuer = direct.or_else(|| self.roots.iter().find(|root| issued(root, intermediates)));
        issuer.map(Root::id)
    }

    pub(crate) fn roots(&self) -> &Arc<RootCertStore> {
        &self.store
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(crate) fn certified_with_roots(&self) -> &Arc<CertifiedKey> {
        &self.certified_with_roots
    }
}

/// Looks at a certificate with a peer's eyes, as a client's and as a server's.
fn check(
    end: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    tls::client_verifier(roots)?.verify_client_cert(end, intermediates, now)?;
    let name = ServerName::try_from(CERTIFICATE_NAME).expect("the constant is a valid DNS name");
    tls::server_verifier(roots)?.verify_server_cert(end, intermediates, &name, &[], now)?;
    Ok(())
}

/// The same chain, followed by the authorities' certificates.
fn with_roots(certified: &CertifiedKey, roots: &[Root]) -> CertifiedKey {
    let chain = certified.cert.iter().chain(roots.iter().map(Root::der));
    CertifiedKey::new(chain.cloned().collect(), certified.key.clone())
}

/// Shows the node's identity alone; the key never reaches a log.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// PEM text, with the name that errors call it by.
struct PemText {
    name: String,
    text: Vec<u8>,
}

impl PemText {
    fn read(path: &Path) -> Result<Self, IdentityError> {
        let name = path.display().to_string();
        match fs::read(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                Err(IdentityError::Missing { file: name })
            }
            Err(source) => Err(IdentityError::Unreadable { file: name, source }),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let all = CertificateDer::pem_slice_iter(&self.text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.not_pem(error))?;
        if all.is_empty() {
            return Err(self.not_pem(pem::Error::NoItemsFound));
        }
        Ok(all)
    }

    fn roots(&self) -> Result<(RootCertStore, Vec<Root>), IdentityError> {
        let unusable = |reason: String| IdentityError::Unusable {
            file: self.name.clone(),
            reason,
        };
        let mut store = RootCertStore::empty();
        let mut roots = Vec::new();
        for certificate in self.certificates()? {
            let root = Root::from_der(&certificate);
            roots.push(root.ok_or_else(|| unusable("it is not of an authority".to_owned()))?);
            let added = store.add(certificate);
            added.map_err(|error| unusable(error.to_string()))?;
        }
        Ok((store, roots))
    }

    fn not_pem(&self, error: pem::Error) -> IdentityError {
        let reason = match error {
            pem::Error::NoItemsFound => "it holds no such section".to_owned(),
            other => other.to_string(),
        };
        IdentityError::NotPem {
            file: self.name.clone(),
            reason,
        }
    }
}

impl Root {
    /// The authorities in PEM text, of which there has to be one.
    ///
    /// # Errors
    /// [`IdentityError::NotPem`], [`IdentityError::Unusable`].
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, IdentityError> {
        let text = PemText {
            name: "the authority's certificate".to_owned(),
            text: text.as_bytes().to_vec(),
        };
        Ok(text.roots()?.1)
    }
}

/// Turns what a peer would object to into what the owner can do about it.
fn describe(error: rustls::Error, certificate: &str, authority: &str) -> IdentityError {
    let file = certificate.to_owned();
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            IdentityError::Expired {
                file,
                ago: since(not_after, time),
            }
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            time,
            not_before,
        }) => IdentityError::NotYetValid {
            file,
            ahead: since(time, not_before),
        },
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => IdentityError::OtherAuthority {
            certificate: file,
            authority: authority.to_owned(),
        },
        other => IdentityError::Unusable {
            file,
            reason: other.to_string(),
        },
    }
}

fn since(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

/// What keeps three files from being an identity. Every text ends with the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file is not there.
    #[error(
        "{file} does not exist; create an identity with `syncline cluster init`, or correct the path"
    )]
    Missing {
        /// The path that was tried.
        file: String,
    },
    /// A file is there and cannot be read.
    #[error("{file} cannot be read ({source}); check its owner and permissions")]
    Unreadable {
        /// The path that was tried.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not PEM, is cut short, or holds sections of another kind.
    #[error(
        "{file} is not the PEM file expected here ({reason}); copy it again from where the identity was issued"
    )]
    NotPem {
        /// The file, or the part of the identity given as text.
        file: String,
        /// What was wrong with the text.
        reason: String,
    },
    /// The private key belongs to another certificate.
    #[error(
        "the key in {key} does not match the certificate in {certificate}; both must come from the same identity directory"
    )]
    KeyMismatch {
        /// Where the key came from.
        key: String,
        /// Where the certificate came from.
        certificate: String,
    },
    /// The certificate, or the authority's, ended some time ago.
    #[error("the certificate in {file} expired {} ago; issue a new identity, or correct this machine's clock", rough(*.ago))]
    Expired {
        /// The certificate.
        file: String,
        /// For how long it has been invalid.
        ago: Duration,
    },
    /// The certificate begins in the future.
    #[error("the certificate in {file} becomes valid in {}; correct this machine's clock, or that of the machine which issued it", rough(*.ahead))]
    NotYetValid {
        /// The certificate.
        file: String,
        /// How long until it is valid.
        ahead: Duration,
    },
    /// The certificate was signed by another authority.
    #[error(
        "the certificate in {certificate} was not issued by the authority in {authority}; all files must come from the same cluster"
    )]
    OtherAuthority {
        /// The certificate.
        certificate: String,
        /// The authority's certificate.
        authority: String,
    },
    /// Well-formed, yet not usable for a node: another name, another purpose, an unknown kind of
    /// key.
    #[error(
        "{file} cannot serve as a node's identity ({reason}); issue one with `syncline cluster init`"
    )]
    Unusable {
        /// The file at fault.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A duration as a person says it: the greatest unit alone.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}
