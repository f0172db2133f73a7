//! The cluster's secret, and the name of the cluster that follows from it.

use std::fmt;
#[cfg(any(test, not(feature = "net")))]
use std::fs;
use std::path::Path;

use rand::TryRngCore as _;

use super::error::TrustError;
use super::files::read;
#[cfg(any(test, not(feature = "net")))]
use super::files::{Access, write_new};

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

/// The key of the digests, the same on every node of a cluster.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(super) fn generate() -> Result<Self, TrustError> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(TrustError::generate)?;
        Ok(Self(bytes))
    }

    pub(crate) fn load(path: &Path) -> Result<Self, TrustError> {
        let text = read(path)?;
        parse_hex(text.trim_end())
            .map(Self)
            .ok_or_else(|| TrustError::Damaged {
                path: path.to_owned(),
                reason: "it does not hold 64 hexadecimal digits".to_owned(),
            })
    }

    /// The secret in this file, which is made if it is not there. One process at a time may ask.
    #[cfg(any(test, not(feature = "net")))]
    pub(crate) fn kept_in(path: &Path) -> Result<Self, TrustError> {
        if path.exists() {
            return Self::load(path);
        }
        // Made aside and moved into place, so that a crash cannot leave half of a secret.
        let made = path.with_extension("new");
        let failed = |source| TrustError::Io {
            path: made.clone(),
            source,
        };
        if made.exists() {
            fs::remove_file(&made).map_err(failed)?;
        }
        let secret = Self::generate()?;
        write_new(&made, secret.to_text(), Access::Owner)?;
        fs::rename(&made, path).map_err(failed)?;
        Ok(secret)
    }

    #[cfg(feature = "net")]
    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key under which certificates name namespaces.
    #[cfg(feature = "net")]
    pub(super) fn tags(&self) -> [u8; 32] {
        blake3::derive_key("syncline v1: namespaces in certificates", &self.0)
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn to_text(&self) -> String {
        hex(&self.0) + "\n"
    }

    pub(crate) fn cluster_id(&self) -> ClusterId {
        let hash = blake3::derive_key("syncline v1: cluster id", &self.0);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        ClusterId(id)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn parse_hex(text: &str) -> Option<[u8; 32]> {
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
