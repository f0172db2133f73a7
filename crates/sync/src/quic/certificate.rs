//! What certificates say beyond what TLS checks: how long they last, which namespaces their holder may carry, and whether
//! an authority has signed a statement.

use core::fmt;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use x509_parser::asn1_rs::{Any, FromDer as _, Oid};
use x509_parser::certificate::X509Certificate;

use super::tls;

/// The extension of a node's certificate that says which namespaces the node may carry: an octet string of
/// [`NamespaceTag`]s, 16 bytes each. It is not critical. The number under 2.25 is a random one.
///
/// ```
/// assert_eq!(syncline_sync::quic::GRANT_EXTENSION[..2], [2, 25]);
/// ```
pub const GRANT_EXTENSION: &[u64] = &[2, 25, 1_845_301_993_072_640_157];

/// The most namespaces that a certificate names.
const MOST_NAMESPACES: usize = 256;

/// Stands for a namespace's name in certificates, which strangers see.
pub type NamespaceTag = [u8; 16];

/// Which namespaces the holder of a certificate may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant(Option<BTreeSet<NamespaceTag>>);

impl Grant {
    /// All there are and will be; what a certificate without the extension grants.
    pub const ALL: Self = Self(None);

    /// These, under the key that [`Trust::tagging_by`](super::Trust::tagging_by) is given. At most 256 are read.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>, key: &[u8; 32]) -> Self {
        Self(Some(names.into_iter().map(|name| tag(name, key)).collect()))
    }

    /// Whether this namespace is among them.
    pub fn covers(&self, namespace: &str, key: &[u8; 32]) -> bool {
        match &self.0 {
            None => true,
            Some(tags) => tags.contains(&tag(namespace, key)),
        }
    }

    /// The content of the extension; `None` where there is to be none.
    pub fn to_extension(&self) -> Option<Vec<u8>> {
        let tags: Vec<u8> = self.0.as_ref()?.iter().flatten().copied().collect();
        let mut der = vec![0x04];
        match tags.len() {
            short @ 0..0x80 => der.push(short as u8),
            long => {
                let length = long.to_be_bytes();
                let used = &length[length.iter().take_while(|byte| **byte == 0).count()..];
                der.push(0x80 | used.len() as u8);
                der.extend_from_slice(used);
            }
        }
        der.extend(tags);
        Some(der)
    }

    fn from_extension(content: &[u8]) -> Option<Self> {
        let (rest, tags) = <&[u8]>::from_der(content).ok()?;
        let (tags, odd) = tags.as_chunks::<16>();
        (rest.is_empty() && odd.is_empty() && tags.len() <= MOST_NAMESPACES)
            .then(|| Self(Some(tags.iter().copied().collect())))
    }
}

/// The first 16 bytes of the name's keyed hash.
fn tag(namespace: &str, key: &[u8; 32]) -> NamespaceTag {
    let hash = blake3::keyed_hash(key, namespace.as_bytes());
    let mut tag = [0; 16];
    tag.copy_from_slice(&hash.as_bytes()[..16]);
    tag
}

/// What a node's certificate says.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) begins: SystemTime,
    pub(crate) ends: SystemTime,
    pub(crate) grant: Grant,
}

impl Terms {
    /// Reads a certificate that TLS has accepted.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let malformed = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| malformed())?;
        let validity = parsed.validity();
        let time = |seconds: i64| {
            let seconds = u64::try_from(seconds).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let oid = Oid::from(GRANT_EXTENSION).map_err(|_| malformed())?;
        let grant = match parsed.get_extension_unique(&oid) {
            Ok(None) => Grant::ALL,
            Ok(Some(extension)) => Grant::from_extension(extension.value).ok_or_else(malformed)?,
            Err(_) => return Err(malformed()),
        };
        Ok(Self {
            begins: time(validity.not_before.timestamp()),
            ends: time(validity.not_after.timestamp()),
            grant,
        })
    }
}

/// Names an authority: the BLAKE3 hash of its public key, as [`NodeId`](super::NodeId) does a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId([u8; 32]);

impl AuthorityId {
    /// The name with these bytes, as written down elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityId({self})")
    }
}

/// An authority that members trust: its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Root {
    /// Reads the DER of an authority's certificate; `None` if it is none.
    pub fn from_der(certificate: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        if !parsed.is_ca() {
            return None;
        }
        let key = ParsedCertificate::try_from(&certificate)
            .ok()?
            .subject_public_key_info()
            .to_vec();
        Some(Self { certificate, key })
    }

    /// The DER of its certificate.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its name.
    pub fn id(&self) -> AuthorityId {
        AuthorityId(*blake3::hash(&self.key).as_bytes())
    }

    /// Whether it made this signature over the message, by whatever algorithm is in use for keys of its kind.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some((algorithm, key)) = public_key(&self.key) else {
            return false;
        };
        tls::provider()
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|it| it.public_key_alg_id().as_ref() == algorithm)
            .any(|it| it.verify_signature(key, message, signature).is_ok())
    }
}

/// Algorithm and bits of a `SubjectPublicKeyInfo`.
fn public_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, info) = Any::from_der(info).ok()?;
    let (rest, algorithm) = Any::from_der(info.data).ok()?;
    let (_, bits) = Any::from_der(rest).ok()?;
    // The first byte counts the bits of the last one that are not used: none, in a key.
    match bits.data {
        [0, key @ ..] => Some((algorithm.data, key)),
        _ => None,
    }
}
