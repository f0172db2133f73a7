//! TLS for clients: what the server shows, whom it lets in, and how it takes up new files without a restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::fs;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// How long a client may take to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(2);

/// The files by which a server shows who it is, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities by one of which a client's certificate has to be signed; `None` lets clients in without one.
    pub client_authorities: Option<PathBuf>,
}

/// Why files are of no use for TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// One cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// One is no PEM, or does not hold what it should.
    #[error("{} holds no {wanted} in PEM", file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Certificate and key do not fit each other, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
    /// No client could be let in by these authorities.
    #[error("the authorities of clients cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

/// What the files held when they were read.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

/// Those who let clients in by TLS, as the files were last.
pub(crate) struct Tls {
    files: TlsFiles,
    acceptor: RwLock<TlsAcceptor>,
}

impl Tls {
    /// By these files, and by what they hold later.
    pub(crate) async fn new(files: TlsFiles) -> Result<(Self, Followed), TlsError> {
        let content = files.read().await?;
        let tls = Self {
            acceptor: RwLock::new(files.acceptor(&content)?),
            files,
        };
        Ok((tls, Followed(content)))
    }

    /// Greets a client.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.acceptor.read();
        let acceptor = acceptor.unwrap_or_else(PoisonError::into_inner).clone();
        let greeted = timeout(HANDSHAKE, acceptor.accept(stream)).await;
        greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes up what the files hold whenever that changes. What is of no use is told once, and the server goes on with what it had.
    pub(crate) async fn follow(self: Arc<Self>, Followed(mut known): Followed) {
        let mut complaint = String::new();
        loop {
            sleep(LOOK).await;
            let renewed = match self.files.read().await {
                Ok(content) if content == known => {
                    complaint.clear();
                    continue;
                }
                Ok(content) => {
                    let acceptor = self.files.acceptor(&content);
                    acceptor.map(|acceptor| (acceptor, content))
                }
                Err(error) => Err(error),
            };
            match renewed {
                Ok((acceptor, content)) => {
                    let mut current = self
                        .acceptor
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    *current = acceptor;
                    known = content;
                    complaint.clear();
                    tracing::info!(certificate = %self.files.certificate.display(), "Redis clients are shown a new certificate");
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        tracing::warn!(%error, "Redis clients are still shown the certificate of before");
                        complaint = text;
                    }
                }
            }
        }
    }
}

/// What the files held when they were last taken up.
pub(crate) struct Followed(Content);

impl TlsFiles {
    async fn read(&self) -> Result<Content, TlsError> {
        Ok(Content {
            certificate: read(&self.certificate).await?,
            key: read(&self.key).await?,
            authorities: match &self.client_authorities {
                Some(file) => Some(read(file).await?),
                None => None,
            },
        })
    }

    fn acceptor(&self, content: &Content) -> Result<TlsAcceptor, TlsError> {
        let chain = certificates(&self.certificate, &content.certificate)?;
        let unfound = |_| TlsError::Content {
            file: self.key.clone(),
            wanted: "private key",
        };
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(unfound)?;
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone());
        let config = config.with_safe_default_protocol_versions()?;
        let config = match (&self.client_authorities, &content.authorities) {
            (Some(file), Some(authorities)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(file, authorities)? {
                    roots.add(authority)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build()?)
            }
            _ => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).await.map_err(|source| TlsError::Read {
        file: file.to_owned(),
        source,
    })
}

fn certificates(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Content {
            file: file.to_owned(),
            wanted: "certificate",
        }),
    }
}
