//! Tokens: what somebody is given who is to become a member.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde::{Deserialize, Serialize};
use syncline_sync::quic::{AuthorityId, BindError, Guest, NodeId};

use super::error::TrustError;

/// What every token begins with.
const PREFIX: &str = "syncline-invite-";
/// What the hash of a token's other bytes is made for, the first four of which end it.
const CHECKSUM: &str = "syncline v1: invitation checksum";
/// The most addresses in a token.
pub(super) const MOST_ADDRESSES: usize = 16;
/// The longest token, in characters: that of sixteen long addresses.
const LONGEST: usize = 8 << 10;
/// A private key of Ed25519 as PKCS#8, but for its 32 bytes (RFC 8410, section 7).
const ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What somebody is given who is to become a member: good for one member, until it expires.
///
/// Whoever has it can join, so it is handed over on a channel that nobody else reads. It says where to enrol, and how to tell
/// that it is the right cluster that answers there.
///
/// ```
/// use std::time::Duration;
/// use syncline::trust::{Cluster, Invitation, Token};
///
/// # let scratch = tempfile::tempdir()?;
/// let cluster = Cluster::create(scratch.path().join("identity"))?;
/// let day = Duration::from_secs(24 * 60 * 60);
/// let token = cluster.invite(Invitation::new(["oslo.example:7400"], day))?;
/// let text = token.to_string();
/// assert!(text.starts_with("syncline-invite-"));
/// assert_eq!(text.parse::<Token>()?.addresses(), ["oslo.example:7400"]);
/// assert!("syncline-invite-cut".parse::<Token>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Token {
    words: Words,
}

/// What a token holds, in the order in which it is encoded.
#[derive(Clone, Serialize, Deserialize)]
struct Words {
    secret: [u8; 32],
    authority: [u8; 32],
    expires: u64,
    addresses: Vec<String>,
}

/// Why a text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no invitation ({reason}); copy all of what `syncline cluster invite` printed")]
pub struct TokenError {
    reason: &'static str,
}

impl Token {
    pub(super) fn mint(
        authority: AuthorityId,
        addresses: Vec<String>,
        expires: SystemTime,
    ) -> Result<Self, TrustError> {
        let mut secret = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut secret)
            .map_err(TrustError::generate)?;
        Ok(Self {
            words: Words {
                secret,
                authority: *authority.as_bytes(),
                expires: seconds(expires),
                addresses,
            },
        })
    }

    /// Where to enrol: `host:port`, any of them.
    pub fn addresses(&self) -> &[String] {
        &self.words.addresses
    }

    /// Until when it is good.
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.words.expires)
    }

    /// The authority of the cluster.
    pub fn authority(&self) -> AuthorityId {
        AuthorityId::from_bytes(self.words.authority)
    }

    /// The hash of the key that the token is good for, by which those who invited know it.
    pub fn key(&self) -> Result<NodeId, TrustError> {
        let info = self.key_pair()?.subject_public_key_info();
        Ok(NodeId::of_public_key(&info))
    }

    /// The key that follows from the secret.
    fn key_pair(&self) -> Result<KeyPair, TrustError> {
        let seed = blake3::derive_key("syncline v1: invitation key", &self.words.secret);
        let document = [&ED25519[..], &seed].concat();
        KeyPair::try_from(document).map_err(TrustError::generate)
    }

    /// What the holder shows when it enrols.
    pub(super) fn guest(&self) -> Result<Guest, TrustError> {
        let key = self.key_pair()?;
        let shown = CertificateParams::new(Vec::<String>::new())
            .and_then(|params| params.self_signed(&key))
            .map_err(TrustError::generate)?;
        Guest::new(shown.der(), key.serialized_der(), self.authority())
            .map_err(|error: BindError| TrustError::generate(error))
    }
}

/// The text that is handed over, secret included.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = postcard::to_allocvec(&self.words).map_err(|_| fmt::Error)?;
        let checksum = blake3::derive_key(CHECKSUM, &bytes);
        bytes.extend_from_slice(&checksum[..4]);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let wrong = |reason| TokenError { reason };
        let text = text.trim();
        let text = text
            .strip_prefix(PREFIX)
            .filter(|rest| rest.len() <= LONGEST)
            .ok_or(wrong("it does not begin with syncline-invite-"))?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| wrong("characters are missing or changed"))?;
        let (words, checksum) = bytes
            .split_last_chunk::<4>()
            .ok_or(wrong("it is cut short"))?;
        if blake3::derive_key(CHECKSUM, words)[..4] != *checksum {
            return Err(wrong("characters are missing or changed"));
        }
        let (words, rest): (Words, _) =
            postcard::take_from_bytes(words).map_err(|_| wrong("it is of another version"))?;
        if !rest.is_empty() || words.addresses.len() > MOST_ADDRESSES {
            return Err(wrong("it is of another version"));
        }
        Ok(Self { words })
    }
}

/// Shows no secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("addresses", &self.words.addresses)
            .field("expires", &self.words.expires)
            .finish_non_exhaustive()
    }
}

/// Unix time in seconds.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests;
