//! The two TLS configurations: 1.3 only, both sides show a certificate of the cluster's authority.
//!
//! Nothing is resumed and no data goes early. A resumed session would skip the certificates, so
//! that a member that was shut out could come back on the strength of an old ticket; and early data
//! can be replayed.
//!
//! Which certificate to show and whether the peer's will do is asked of [`Trust`] at each handshake, so that what
//! has changed there counts at once.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::trust::{Side, Trust};

/// The application protocol, negotiated in the handshake: peers of another major version part
/// there.
///
/// ```
/// assert_eq!(syncline_sync::quic::ALPN, b"syncline/1");
/// ```
pub const ALPN: &[u8] = b"syncline/1";

/// The protocol of [petitions](super::Petition), which is all that those who were invited can speak.
///
/// ```
/// assert_eq!(syncline_sync::quic::PETITION_ALPN, b"syncline-enrol/1");
/// ```
pub const PETITION_ALPN: &[u8] = b"syncline-enrol/1";

/// The cryptography used everywhere here, passed explicitly: a process default belongs to the
/// application, and two libraries that each install one panic.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Checks the certificates of those who connect to us.
pub(crate) fn client_verifier(
    authority: &Arc<RootCertStore>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    WebPkiClientVerifier::builder_with_provider(authority.clone(), provider())
        // The hints would tell the authority's name to anybody who connects.
        .clear_root_hint_subjects()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

/// Checks the certificates of those we connect to.
pub(crate) fn server_verifier(
    authority: &Arc<RootCertStore>,
) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    WebPkiServerVerifier::builder_with_provider(authority.clone(), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

pub(crate) fn server_config(trust: &Trust) -> Result<QuicServerConfig, rustls::Error> {
    let asked = Arc::new(Asked(trust.clone()));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(asked.clone())
        .with_cert_resolver(asked);
    config.alpn_protocols = vec![ALPN.to_vec(), PETITION_ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(no_initial_suite)
}

pub(crate) fn client_config(trust: &Trust, alpn: &[u8]) -> Result<QuicClientConfig, rustls::Error> {
    let asked = Arc::new(Asked(trust.clone()));
    client_config_with(asked.clone(), asked, alpn)
}

pub(crate) fn client_config_with(
    verifier: Arc<dyn ServerCertVerifier>,
    resolver: Arc<dyn ResolvesClientCert>,
    alpn: &[u8],
) -> Result<QuicClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(no_initial_suite)
}

/// Cannot happen with ring, which has the suite that QUIC's first packets need; another provider
/// might lack it.
fn no_initial_suite(error: quinn::crypto::rustls::NoInitialCipherSuite) -> rustls::Error {
    rustls::Error::General(error.to_string())
}

/// Answers TLS as [`Trust`] has it at the moment.
struct Asked(Trust);

impl Asked {
    fn judge(
        &self,
        side: Side,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let chain: Vec<_> = std::iter::once(end).chain(intermediates).cloned().collect();
        self.0.judge(side, &chain, now).map(drop)
    }
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut offered = hello.alpn().into_iter().flatten();
        Some(match offered.any(|protocol| protocol == PETITION_ALPN) {
            true => self.0.certified_with_roots(),
            false => self.0.certified(),
        })
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certified())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Asked {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(Side::Client, end, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let clients = self.0.clients();
        clients.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let clients = self.0.clients();
        clients.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clients().supported_verify_schemes()
    }
}

impl ServerCertVerifier for Asked {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(Side::Server, end, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let servers = self.0.servers();
        servers.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let servers = self.0.servers();
        servers.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.servers().supported_verify_schemes()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asked").field(&self.0).finish()
    }
}
