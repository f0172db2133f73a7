//! The two TLS configurations: 1.3 only, both sides show a certificate of the cluster's authority.
//!
//! Nothing is resumed and no data goes early. A resumed session would skip the certificates, so
//! that a member that was shut out could come back on the strength of an old ticket; and early data
//! can be replayed.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The application protocol, negotiated in the handshake: peers of another major version part
/// there.
///
/// ```
/// assert_eq!(syncline_sync::quic::ALPN, b"syncline/1");
/// ```
pub const ALPN: &[u8] = b"syncline/1";

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

pub(crate) fn server_config(
    key: &Arc<CertifiedKey>,
    authority: &Arc<RootCertStore>,
) -> Result<QuicServerConfig, rustls::Error> {
    let key = SingleCertAndKey::from(key.clone());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(client_verifier(authority)?)
        .with_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(no_initial_suite)
}

pub(crate) fn client_config(
    key: &Arc<CertifiedKey>,
    authority: &Arc<RootCertStore>,
) -> Result<QuicClientConfig, rustls::Error> {
    let key = SingleCertAndKey::from(key.clone());
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(server_verifier(authority)?)
        .with_client_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(no_initial_suite)
}

/// Cannot happen with ring, which has the suite that QUIC's first packets need; another provider
/// might lack it.
fn no_initial_suite(error: quinn::crypto::rustls::NoInitialCipherSuite) -> rustls::Error {
    rustls::Error::General(error.to_string())
}
