//! What a node is called: the hash of its public key, in bytes and in text.

use core::fmt;

use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use syncline_crdt::{Canonical, DecodeError, Input};

/// The identity of a node: the BLAKE3 hash of its certificate's public key.
///
/// The hash covers the DER encoded `SubjectPublicKeyInfo`, so a certificate renewed over the same
/// key keeps the identity. The key was proven in the TLS handshake; nobody else can present it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The identity held in `certificate`'s public key.
    ///
    /// # Errors
    /// When the bytes are not an X.509 certificate.
    pub(crate) fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        Ok(Self::of_public_key(&key))
    }

    /// The identity held in a public key, given as the DER of its `SubjectPublicKeyInfo`.
    pub fn of_public_key(info: &[u8]) -> Self {
        Self(*blake3::hash(info).as_bytes())
    }

    /// The identity with these bytes, as written down elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The 32 bytes.
impl Canonical for NodeId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// As [`Display`](fmt::Display) writes it.
impl core::str::FromStr for NodeId {
    type Err = NoNodeId;

    fn from_str(text: &str) -> Result<Self, NoNodeId> {
        let mut bytes = [0; 32];
        let mut digits = text.chars().map(|digit| digit.to_digit(16).ok_or(NoNodeId));
        for byte in &mut bytes {
            let mut digit = || digits.next().unwrap_or(Err(NoNodeId));
            *byte = (digit()? << 4 | digit()?) as u8;
        }
        match digits.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(NoNodeId),
        }
    }
}

/// A text that is no [`NodeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id has 64 hexadecimal digits")]
pub struct NoNodeId;

/// 64 lower-case hexadecimal digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}
