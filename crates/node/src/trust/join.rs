//! Becoming a member, with a token: the other side of the office.
//!
//! ```text
//! data/identity.joining/node/    the key, made here before anything is asked; it stays over a crash and over a second try
//!   ── renamed, once all is in it ──▶ data/identity/node/
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::KeyPair;
use syncline_sync::quic::{Limits, NodeId, PetitionError};

use super::authority::{request, roots_of};
use super::enrolment::{Answer, Ask, Joined, Papers, Refusal, decode, encode};
use super::error::TrustError;
use super::fields::Fields;
use super::files::{Access, create_directory, io_error, read, replace, sync_directory, write_new};
use super::notices::Notices;
use super::secret::Secret;
use super::token::Token;
use super::{AUTHORITY, CERTIFICATE, ClusterId, KEY, Membership, SECRET};
use crate::data_dir::{IDENTITY, OWN};
use crate::start_error::StartError;

/// Where a member learnt to have its certificate renewed, and what it may carry.
pub(super) const ENROLMENT: &str = "enrolment";

/// What came of joining.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Admission {
    /// Who this node is now.
    pub node: NodeId,
    /// What it is a member of.
    pub cluster: ClusterId,
    /// The namespaces that it may carry; all if `None`.
    pub namespaces: Option<Vec<String>>,
    /// When its certificate ends.
    pub expires_at: SystemTime,
    /// Where its identity lies.
    pub identity: PathBuf,
}

/// Why joining failed. Nothing has changed, and the same token may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The token was good until some time ago, by this machine's clock.
    #[error(
        "the invitation has expired; ask for another with `syncline cluster invite`, or correct this machine's clock"
    )]
    Expired,
    /// The node is in a cluster already, whose authority it has.
    #[error(
        "{} is a cluster of its own already, with its own data; join with another data directory, and move the data by export and import", .path.display()
    )]
    HasCluster {
        /// The identity that is there.
        path: PathBuf,
    },
    /// The data belongs to another cluster than the token.
    #[error(
        "{} belongs to cluster {own}, the invitation to {other}; join with another data directory", .path.display()
    )]
    OtherCluster {
        /// The identity that is there.
        path: PathBuf,
        /// Its cluster.
        own: ClusterId,
        /// That of the token.
        other: ClusterId,
    },
    /// Nobody who could decide was reached at any address.
    #[error("{address}: {source}{}", hint(.source))]
    Unreachable {
        /// The address that was tried last.
        address: String,
        /// What happened there.
        #[source]
        source: PetitionError,
    },
    /// An address in the token cannot be made out.
    #[error(
        "{address} cannot be found ({reason}); check the network, or ask for an invitation with another address"
    )]
    Address {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The cluster said no.
    #[error("{address} has turned the petition down: {refusal}")]
    Refused {
        /// Who decided.
        address: String,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// What came back is no answer.
    #[error("the answer of {address} makes no sense; bring both sides to compatible versions")]
    Nonsense {
        /// Who answered.
        address: String,
    },
    /// The data directory cannot be used, or is in use.
    #[error(transparent)]
    Start(#[from] Box<StartError>),
    /// A file could not be read or written, or what came does not make an identity.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl From<StartError> for JoinError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl JoinError {
    /// Whether it is between this node and the other side, rather than in the files here.
    pub fn is_of_the_peer(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Refused { .. }
                | Self::Nonsense { .. }
                | Self::Address { .. }
        )
    }
}

/// What a refusal in the handshake most likely means here.
fn hint(error: &PetitionError) -> &'static str {
    use syncline_sync::quic::Lost;
    match error.lost() {
        Some(Lost::RefusedByPeer { .. }) => {
            " (the invitation is unknown there: it has expired, or was made for another node's data directory; ask for another)"
        }
        Some(Lost::RefusedByUs { .. }) => {
            " (another cluster answers there; ask for an invitation with the right address)"
        }
        _ => "",
    }
}

/// Makes the node whose data directory this is a member, as the token says; the directory is made if need be, and no node may be
/// using it. The key is made here and leaves this machine never; all else comes over the network.
///
/// A node that was a member before, and whose certificate has ended, is one again, under the key that it had; under another, if it was revoked.
///
/// # Errors
/// [`JoinError`], whose text says what to do.
pub(crate) async fn join(token: &Token, data: &Path) -> Result<Admission, JoinError> {
    let home = data.join(IDENTITY);
    if home.join(super::cluster::AUTHORITY_KEY).exists() {
        return Err(JoinError::HasCluster { path: home });
    }
    if token.expires_at() <= SystemTime::now() {
        return Err(JoinError::Expired);
    }
    let again = home.join(OWN).join(KEY).exists();
    let work = match again {
        true => home.clone(),
        false => data.join(format!("{IDENTITY}.joining")),
    };
    let directory = work.join(OWN);
    create_directory(&directory)?;
    let key_file = directory.join(KEY);
    let ask = || Ok::<_, TrustError>(encode(&Ask::Join(request(&kept_key(&key_file)?)?)));
    let joined = match petition(token, &ask()?).await {
        // A key that was revoked stays so; the node comes back under another.
        Err(JoinError::Refused {
            refusal: Refusal::Revoked,
            ..
        }) => {
            fs::remove_file(&key_file).map_err(io_error(&key_file))?;
            petition(token, &ask()?).await?
        }
        outcome => outcome?,
    };

    let secret = Secret::from_bytes(joined.secret);
    for known in [directory.join(SECRET), data.join(SECRET)] {
        if known.exists() {
            let own = Secret::load(&known)?;
            if own.bytes() != secret.bytes() {
                return Err(JoinError::OtherCluster {
                    path: data.to_owned(),
                    own: own.cluster_id(),
                    other: secret.cluster_id(),
                });
            }
        }
    }
    replace(&directory.join(SECRET), secret.to_text(), Access::Owner)?;
    let enrolment = Fields::default().with_all("authority", token.addresses());
    let enrolment = match &joined.namespaces {
        None => enrolment,
        Some(names) => enrolment.with_all("namespace", names),
    };
    replace(&directory.join(ENROLMENT), enrolment.to_text(), Access::All)?;
    take_over(&directory, &joined.papers)?;
    let roots = roots_of(&joined.papers.authorities)?;
    if let Some(told) = Notices::from_bytes(&joined.papers.notices) {
        let mut notices = Notices::load(&directory)?;
        notices.learn(&told, &roots, secret.cluster_id(), SystemTime::now());
        notices.save(&directory)?;
    }
    let membership = Membership::load(&directory)?;
    if !again {
        fs::rename(&work, &home).map_err(io_error(&home))?;
        sync_directory(data)?;
    }
    Ok(Admission {
        node: membership.identity.node_id(),
        cluster: membership.cluster_id(),
        namespaces: joined.namespaces,
        expires_at: membership.identity.expires_at(),
        identity: home.join(OWN),
    })
}

/// The key in this file, which is made if it is not there.
fn kept_key(path: &Path) -> Result<KeyPair, TrustError> {
    if !path.exists() {
        let key = KeyPair::generate().map_err(TrustError::generate)?;
        let made = path.with_extension("new");
        if made.exists() {
            fs::remove_file(&made).map_err(io_error(&made))?;
        }
        write_new(&made, key.serialize_pem(), Access::Owner)?;
        fs::rename(&made, path).map_err(io_error(path))?;
    }
    KeyPair::from_pem(&read(path)?).map_err(|error| TrustError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Asks at each address until somebody decides.
async fn petition(token: &Token, ask: &[u8]) -> Result<Joined, JoinError> {
    let guest = token.guest()?;
    let limits = Limits::default();
    let mut failed = None;
    for address in token.addresses() {
        let found = match tokio::net::lookup_host(address).await {
            Ok(found) => found.collect::<Vec<SocketAddr>>(),
            Err(error) => {
                failed = Some(JoinError::Address {
                    address: address.clone(),
                    reason: error.to_string(),
                });
                continue;
            }
        };
        for there in found {
            let answer = guest.petition(there, ask, &limits).await;
            let address = address.clone();
            match answer.map(|bytes| decode(&bytes)) {
                Ok(Some(Answer::Joined(joined))) => return Ok(joined),
                Ok(Some(Answer::Refused(refusal))) => {
                    failed = Some(JoinError::Refused { address, refusal });
                }
                Ok(Some(Answer::Renewed(_)) | None) => {
                    failed = Some(JoinError::Nonsense { address });
                }
                // One that said why is worth more than one that did not answer.
                Err(source) => {
                    failed.get_or_insert(JoinError::Unreachable { address, source });
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| JoinError::Address {
        address: token.addresses().join(", "),
        reason: "it has no address".to_owned(),
    }))
}

/// Puts new papers in place of the old ones. The authorities come first, so that there is never a certificate whose
/// authority is missing.
pub(super) fn take_over(directory: &Path, papers: &Papers) -> Result<(), TrustError> {
    replace(&directory.join(AUTHORITY), &papers.authorities, Access::All)?;
    replace(
        &directory.join(CERTIFICATE),
        &papers.certificate,
        Access::All,
    )
}
