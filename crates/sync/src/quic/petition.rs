//! Petitions: one question and one answer, under a protocol of their own, for who wants to become a member or to stay one.
//!
//! ```text
//! guest or member                                        a node with a doorkeeper
//!   handshake, ALPN syncline-enrol/1 ───────────────────▶  is the key invited, or a member's?
//!              ◀─────────────────────────────────────────  certificates, with the authority's
//!   one stream: request, end ───────────────────────────▶  Doorkeeper::answer
//!              ◀─────────────────────────────────────────  answer, end
//! ```
//!
//! Both messages are opaque here. A guest shows a certificate that it has signed itself, with a key that it was given; it is
//! let in by that key's hash, and nothing but a petition comes of it. It knows the authority by the hash of its key, so the
//! authority's certificate goes along with the server's.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::VarInt;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::time::timeout;

use super::certificate::{AuthorityId, Grant, Root};
use super::drive::blocking;
use super::endpoint::{Endpoint, dial};
use super::limits::Limits;
use super::lost::{BindError, ConnectError, Lost};
use super::node_id::NodeId;
use super::tls::{self, PETITION_ALPN};

/// The longest request, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// The connection is closed because the answer is there.
const ANSWERED: VarInt = VarInt::from_u32(0);
/// The connection is closed because there will be no answer.
const FAILED: VarInt = VarInt::from_u32(1);

/// Who asks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Petitioner {
    /// Whoever holds the secret of an invitation; the hash of the key that follows from it.
    Guest {
        /// The hash of the key.
        key: NodeId,
    },
    /// A member.
    Member {
        /// Who it is.
        node: NodeId,
        /// The namespaces that its certificate lets it carry.
        grant: Grant,
    },
}

/// Decides on petitions. One is given to [`Trust::admit_petitions`](super::Trust::admit_petitions).
pub trait Doorkeeper: Send + Sync + 'static {
    /// Whether there is an invitation for the key with this hash. Asked in handshakes of strangers, so it must be quick.
    fn invited(&self, key: &NodeId) -> bool;

    /// The answer to a request, which can be any bytes. Called on a thread where blocking is allowed.
    fn answer(&self, petitioner: &Petitioner, from: SocketAddr, request: &[u8]) -> Vec<u8>;
}

/// Why a petition got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PetitionError {
    /// There is no socket to ask from.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There was no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended before the answer.
    #[error("no answer from {address}: {lost}")]
    Lost {
        /// Whom we asked.
        address: SocketAddr,
        /// How it ended.
        #[source]
        lost: Lost,
    },
    /// The answer did not come, was cut off, or was too long.
    #[error("no answer from {address} ({reason}); its log says why")]
    Unanswered {
        /// Whom we asked.
        address: SocketAddr,
        /// What happened.
        reason: String,
    },
}

impl PetitionError {
    /// How the connection ended, where that is what went wrong.
    pub fn lost(&self) -> Option<&Lost> {
        match self {
            Self::Lost { lost, .. } | Self::Connect(ConnectError::Handshake { lost, .. }) => {
                Some(lost)
            }
            _ => None,
        }
    }
}

/// A petition that has come in.
#[derive(Debug)]
pub struct Petition {
    pub(super) quinn: quinn::Connection,
    pub(super) petitioner: Petitioner,
    pub(super) doorkeeper: Option<Arc<dyn Doorkeeper>>,
    pub(super) limits: Limits,
}

impl fmt::Debug for dyn Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorkeeper")
    }
}

impl Petition {
    /// Who asks.
    pub fn petitioner(&self) -> &Petitioner {
        &self.petitioner
    }

    /// Has it answered, which takes [`Limits::connect`] at most for each message.
    ///
    /// # Errors
    /// [`PetitionError`].
    pub async fn answer(self) -> Result<(), PetitionError> {
        let quinn = self.quinn.clone();
        let outcome = self.exchange().await;
        if outcome.is_err() {
            quinn.close(FAILED, b"the petition failed; the log says why");
        }
        outcome
    }

    async fn exchange(self) -> Result<(), PetitionError> {
        let address = self.quinn.remote_address();
        let Some(doorkeeper) = self.doorkeeper else {
            self.quinn
                .close(FAILED, b"this node decides on no petitions");
            return Ok(());
        };
        let unanswered = |reason: String| PetitionError::Unanswered { address, reason };
        let late = |_| unanswered("it took too long".to_owned());
        let limit = self.limits.connect;
        let asked = async {
            let stream = self.quinn.accept_bi().await;
            let (send, mut recv) = stream.map_err(|error| PetitionError::Lost {
                address,
                lost: error.into(),
            })?;
            let request = recv.read_to_end(MAX_REQUEST).await;
            let request = request.map_err(|error| unanswered(error.to_string()))?;
            Ok::<_, PetitionError>((send, request))
        };
        let (mut send, request) = timeout(limit, asked).await.map_err(late)??;
        let petitioner = self.petitioner;
        let answer = blocking(move || doorkeeper.answer(&petitioner, address, &request))
            .await
            .map_err(|error| unanswered(error.to_string()))?;
        let sent = async {
            send.write_all(&answer)
                .await
                .map_err(|error| unanswered(error.to_string()))?;
            // It was not ended before.
            let _ended = send.finish();
            // The petitioner closes the connection once it has the answer.
            drop(self.quinn.closed().await);
            Ok(())
        };
        timeout(limit, sent).await.map_err(late)?
    }
}

impl Endpoint {
    /// Asks a node something as a member: to have the own certificate renewed.
    ///
    /// # Errors
    /// [`PetitionError`]; after [`Limits::connect`] for each step at the latest.
    pub async fn petition(
        &self,
        address: SocketAddr,
        request: &[u8],
    ) -> Result<Vec<u8>, PetitionError> {
        let config = tls::client_config(self.trust(), PETITION_ALPN).map_err(BindError::tls)?;
        ask(self.quinn(), config, address, request, self.limits()).await
    }
}

/// What somebody who was invited shows and knows.
pub struct Guest {
    certified: Arc<CertifiedKey>,
    authority: AuthorityId,
}

impl Guest {
    /// One who shows this certificate, DER as is its key, and takes for a member whoever has a certificate of that authority.
    ///
    /// # Errors
    /// [`BindError::Tls`] when certificate and key do not belong together.
    pub fn new(certificate: &[u8], key: &[u8], authority: AuthorityId) -> Result<Self, BindError> {
        let key = PrivateKeyDer::try_from(key.to_vec()).map_err(|reason| BindError::Tls {
            reason: reason.to_owned(),
        })?;
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let certified =
            CertifiedKey::from_der(chain, key, &tls::provider()).map_err(BindError::tls)?;
        Ok(Self {
            certified: Arc::new(certified),
            authority,
        })
    }

    /// Asks the node at an address, from a socket of its own.
    ///
    /// # Errors
    /// As [`Endpoint::petition`].
    pub async fn petition(
        &self,
        address: SocketAddr,
        request: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, PetitionError> {
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let quinn = quinn::Endpoint::client(local).map_err(|source| BindError::Address {
            address: local,
            source,
        })?;
        let verifier = Arc::new(Pinned {
            authority: self.authority,
        });
        let resolver: Arc<dyn ResolvesClientCert> =
            Arc::new(SingleCertAndKey::from(self.certified.clone()));
        let config =
            tls::client_config_with(verifier, resolver, PETITION_ALPN).map_err(BindError::tls)?;
        let answer = ask(&quinn, config, address, request, limits).await;
        // The other side is told that it was received; it finds out by itself if that fails.
        let _told = timeout(limits.connect, quinn.wait_idle()).await;
        answer
    }
}

/// Shows no key.
impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

async fn ask(
    endpoint: &quinn::Endpoint,
    tls: quinn::crypto::rustls::QuicClientConfig,
    address: SocketAddr,
    request: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, PetitionError> {
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(limits.transport());
    let connection = dial(endpoint, config, address, limits.connect).await?;
    let unanswered = |reason: String| PetitionError::Unanswered { address, reason };
    let exchange = async {
        let (mut send, mut recv) = connection.open_bi().await?;
        // Where the peer refuses us, writing fails first; the connection knows why.
        if send.write_all(request).await.is_ok() {
            let _ended = send.finish();
        }
        Ok::<_, quinn::ConnectionError>(recv.read_to_end(MAX_ANSWER).await)
    };
    let answer = timeout(limits.connect, exchange)
        .await
        .map_err(|_| unanswered("it took too long".to_owned()))?;
    match answer {
        Ok(Ok(answer)) => {
            connection.close(ANSWERED, b"thank you");
            Ok(answer)
        }
        Ok(Err(error)) => Err(match connection.close_reason() {
            Some(reason) => PetitionError::Lost {
                address,
                lost: reason.into(),
            },
            None => unanswered(error.to_string()),
        }),
        Err(error) => Err(PetitionError::Lost {
            address,
            lost: error.into(),
        }),
    }
}

/// Accepts whoever has a certificate of the one authority whose key has this hash; the authority's certificate must be in
/// the chain.
#[derive(Debug)]
struct Pinned {
    authority: AuthorityId,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let root = intermediates
            .iter()
            .filter_map(|it| Root::from_der(it))
            .find(|root| root.id() == self.authority)
            .ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        tls::server_verifier(&Arc::new(roots))?.verify_server_cert(
            end,
            intermediates,
            name,
            ocsp,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
