//! A peer that speaks QUIC and nothing else that it does not want to.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{RecvStream, SendStream, TransportConfig};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use syncline_sync::quic::{ALPN, CERTIFICATE_NAME};
use syncline_sync::{Opening, Session, Strategy};

use crate::members::Papers;
use crate::world::{LOOPBACK, Replica, config, request};

pub struct Raw {
    pub alpn: Vec<u8>,
    pub transport: TransportConfig,
    trusts: CertificateDer<'static>,
    shows: Option<Papers>,
}

impl Raw {
    pub fn new(trusts: CertificateDer<'static>, shows: Option<Papers>) -> Self {
        Self {
            alpn: ALPN.to_vec(),
            transport: TransportConfig::default(),
            trusts,
            shows,
        }
    }

    pub async fn connect(
        self,
        address: SocketAddr,
    ) -> Result<RawConnection, quinn::ConnectionError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut node = [0; 32];
        let mut tls = match self.shows {
            Some(papers) => {
                let (chain, key) = papers.der();
                node = papers.node();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![self.alpn];
        let mut client =
            quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        client.transport_config(Arc::new(self.transport));
        let mut endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
        endpoint.set_default_client_config(client);
        let connection = endpoint.connect(address, CERTIFICATE_NAME).unwrap().await?;
        Ok(RawConnection {
            connection,
            node,
            _endpoint: endpoint,
        })
    }
}

/// A server that does as it likes, by this protocol.
pub fn raw_server(papers: &Papers, alpn: &[u8]) -> quinn::Endpoint {
    let (chain, key) = papers.der();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let tls = QuicServerConfig::try_from(tls).unwrap();
    quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(tls)), LOOPBACK).unwrap()
}

pub struct RawConnection {
    pub connection: quinn::Connection,
    node: [u8; 32],
    _endpoint: quinn::Endpoint,
}

impl RawConnection {
    pub async fn stream(&self) -> RawStream {
        let (send, recv) = self.connection.open_bi().await.unwrap();
        RawStream {
            send,
            recv,
            node: self.node,
        }
    }
}

pub struct RawStream {
    pub send: SendStream,
    pub recv: RecvStream,
    /// Who it greets as.
    pub node: [u8; 32],
}

impl RawStream {
    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    pub async fn frame(&mut self, frame: &[u8]) {
        self.bytes(&(frame.len() as u32).to_le_bytes()).await;
        self.bytes(frame).await;
    }

    /// The greeting of an honest initiator that holds `store`.
    pub async fn greet(&mut self, store: &Replica, strategy: Strategy) -> Session<Replica> {
        let mut config = config();
        config.node = self.node;
        let mut session = Session::initiate(store.clone(), config, request(strategy)).unwrap();
        let hello = session.poll_frame().unwrap().unwrap();
        self.frame(&hello).await;
        session
    }

    /// The answer of an honest responder that holds `store`, to the greeting that comes.
    pub async fn answer(&mut self, store: &Replica) -> Session<Replica> {
        let mut config = config();
        config.node = self.node;
        let opening = Opening::read(&self.next().await).unwrap();
        let mut session = Session::respond(store.clone(), config, opening).unwrap();
        let hello = session.poll_frame().unwrap().unwrap();
        self.frame(&hello).await;
        session
    }

    /// The peer's next frame.
    pub async fn next(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.recv.read_exact(&mut length).await.unwrap();
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        self.recv.read_exact(&mut frame).await.unwrap();
        frame
    }

    /// Everything that the peer says before it ends the stream.
    pub async fn rest(&mut self) -> Vec<u8> {
        self.recv.read_to_end(1 << 20).await.unwrap()
    }
}
