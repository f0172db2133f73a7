//! The two TLS configurations: 1.3 only, both sides show a certificate of the cluster's authority.
//!
//! Nothing is resumed and no data goes early. A resumed session would skip the certificates, so that a member that was
//! shut out could come back on the strength of an old ticket; and early data can be replayed.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::identity::{Identity, provider};

/// The application protocol, negotiated in the handshake: peers of another major version part there.
///
/// ```
/// assert_eq!(syncline_sync::quic::ALPN, b"syncline/1");
/// ```
pub const ALPN: &[u8] = b"syncline/1";

/// Checks the certificates of those who connect to us.
pub(crate) fn client_verifier(
    identity: &Identity,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    WebPkiClientVerifier::builder_with_provider(identity.authority().clone(), Arc::new(provider()))
        // The hints would tell the authority's name to anybody who connects.
        .clear_root_hint_subjects()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

/// Checks the certificates of those we connect to.
pub(crate) fn server_verifier(
    identity: &Identity,
) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    WebPkiServerVerifier::builder_with_provider(identity.authority().clone(), Arc::new(provider()))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

pub(crate) fn server_config(identity: &Identity) -> Result<QuicServerConfig, rustls::Error> {
    let key = SingleCertAndKey::from(identity.certified().clone());
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(client_verifier(identity)?)
        .with_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(no_initial_suite)
}

pub(crate) fn client_config(identity: &Identity) -> Result<QuicClientConfig, rustls::Error> {
    let key = SingleCertAndKey::from(identity.certified().clone());
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(server_verifier(identity)?)
        .with_client_cert_resolver(Arc::new(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(no_initial_suite)
}

/// Cannot happen with ring, which has the suite that QUIC's first packets need; another provider might lack it.
fn no_initial_suite(error: quinn::crypto::rustls::NoInitialCipherSuite) -> rustls::Error {
    rustls::Error::General(error.to_string())
}
