//! What makes members: an authority, be it files on this machine, an external one, or a key that never leaves its store.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateSigningRequestParams, KeyPair, PublicKeyData as _, SigningKey as _};
use syncline_sync::quic::{AuthorityId, Grant, NodeId, Root};

use super::certificates::{self, node_params};
use super::cluster::Cluster;
use super::error::TrustError;

/// A certificate that somebody wants. Whether it gets it was decided before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CertificateRequest {
    /// The request itself, PKCS#10 as DER. Its signature was checked.
    pub der: Vec<u8>,
    /// The hash of the public key in it.
    pub node: NodeId,
    /// The namespaces that the certificate has to name, in the extension
    /// [`GRANT_EXTENSION`](syncline_sync::quic::GRANT_EXTENSION).
    pub grant: Grant,
    /// How long the certificate should be good for.
    pub valid_for: Duration,
}

impl CertificateRequest {
    /// Reads a request and checks that whoever made it has the key.
    pub(super) fn read(der: &[u8], grant: Grant) -> Option<Self> {
        let parsed = CertificateSigningRequestParams::from_der(&der.to_vec().into()).ok()?;
        let info = parsed.public_key.subject_public_key_info();
        Some(Self {
            der: der.to_vec(),
            node: NodeId::of_public_key(&info),
            grant,
            valid_for: certificates::NODE_VALIDITY,
        })
    }
}

/// A request for a certificate over this key.
pub(super) fn request(key: &KeyPair) -> Result<Vec<u8>, TrustError> {
    let params = rcgen::CertificateParams::new([syncline_sync::quic::CERTIFICATE_NAME.to_owned()]);
    let request = params.and_then(|params| params.serialize_request(key));
    Ok(request.map_err(TrustError::generate)?.der().to_vec())
}

/// What makes members of those who were let in. [`FileAuthority`] is the one that `syncline cluster init` makes; another can
/// pass requests on to a certificate authority elsewhere, or sign with a key in a hardware store. A node is given one by
/// [`Builder::authority`](crate::Builder::authority).
///
/// Calls may block. They can come from several threads.
pub trait Authority: Send + Sync + 'static {
    /// The certificates that members are to trust, the one that signs first.
    ///
    /// # Errors
    /// [`TrustError`], as the authority has it; [`TrustError::Authority`] for what is wrong with one elsewhere.
    fn roots(&self) -> Result<Vec<Root>, TrustError>;

    /// A certificate for the key in the request, as PEM, followed by those between it and the root, if any. It must have the DNS name
    /// [`CERTIFICATE_NAME`](syncline_sync::quic::CERTIFICATE_NAME), be good for clients and servers, and hold the grant as its extension.
    ///
    /// # Errors
    /// As [`roots`](Self::roots).
    fn certify(&self, request: &CertificateRequest) -> Result<String, TrustError>;

    /// Signs a statement of a few hundred bytes with the key of the first root: that a node is revoked, for example. ECDSA
    /// with SHA-256 over P-256 in the built-in authority; whatever TLS knows for the root's kind of key otherwise.
    ///
    /// # Errors
    /// As [`roots`](Self::roots).
    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError>;
}

/// The authority that lies in files: see [`Cluster`]. They are read anew for each request, so that a node that runs goes by what was
/// changed beside it.
#[derive(Clone, Debug)]
pub struct FileAuthority {
    directory: PathBuf,
}

impl FileAuthority {
    /// The one in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    fn open(&self) -> Result<Cluster, TrustError> {
        Cluster::open(&self.directory)
    }
}

impl Authority for FileAuthority {
    fn roots(&self) -> Result<Vec<Root>, TrustError> {
        self.open()?.roots()
    }

    fn certify(&self, request: &CertificateRequest) -> Result<String, TrustError> {
        self.open()?.certify(request)
    }

    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError> {
        self.open()?.sign(statement)
    }
}

impl Authority for Cluster {
    fn roots(&self) -> Result<Vec<Root>, TrustError> {
        roots_of(&self.authority)
    }

    fn certify(&self, request: &CertificateRequest) -> Result<String, TrustError> {
        let parsed = CertificateSigningRequestParams::from_der(&request.der.as_slice().into())
            .map_err(TrustError::generate)?;
        let mut params = node_params().map_err(TrustError::generate)?;
        certificates::grant(&mut params, &request.grant);
        certificates::valid_for(&mut params, request.valid_for);
        let certificate = certificates::signed(&params, &parsed.public_key, &self.key);
        Ok(certificate.map_err(TrustError::generate)? + &self.vouched)
    }

    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError> {
        self.key.sign(statement).map_err(TrustError::generate)
    }
}

/// The authorities in a PEM file.
pub(super) fn roots_of(text: &str) -> Result<Vec<Root>, TrustError> {
    Ok(Root::all_from_pem(text)?)
}

/// As [`Authority::roots`] orders them.
pub(super) fn signing(authority: &dyn Authority) -> Result<AuthorityId, TrustError> {
    let roots = authority.roots()?;
    let first = roots.first().ok_or_else(|| TrustError::Authority {
        reason: "it has no certificate".to_owned(),
    })?;
    Ok(first.id())
}
