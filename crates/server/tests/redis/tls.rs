//! Clients that speak TLS, and those that should.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use syncline_server::{Options, Server, ServerError, TlsError, TlsFiles};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::Redis;

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certify(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

fn write(dir: &Path, pair: &Pair) {
    fs::write(dir.join("certificate"), &pair.certificate).unwrap();
    fs::write(dir.join("key"), &pair.key).unwrap();
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles {
        certificate: dir.join("certificate"),
        key: dir.join("key"),
        client_authorities: None,
    }
}

/// What is answered to a PING of a client that trusts an authority, and the certificate that was shown.
fn ping(
    address: SocketAddr,
    trusted: &Authority,
    shown: Option<&Pair>,
) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.0.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)?;
    let certificate = stream.conn.peer_certificates().unwrap()[0].to_vec();
    Ok((reply.to_vec(), certificate))
}

#[test]
fn clients_are_spoken_to_in_tls_and_new_certificates_are_taken_up() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    write(dir.path(), &authority.certify("localhost"));
    let redis = Redis::start_with(|options| options.tls = Some(files(dir.path())));
    let (reply, first) = ping(redis.address, &authority, None).unwrap();
    assert_eq!(reply, b"+PONG\r\n");

    let mut plain = TcpStream::connect(redis.address).unwrap();
    plain.write_all(b"PING\r\n").unwrap();
    let mut said = Vec::new();
    plain.read_to_end(&mut said).unwrap();
    assert!(!said.ends_with(b"PONG\r\n"), "{said:?}");
    assert!(ping(redis.address, &Authority::new(), None).is_err());

    // Of no use: all stays as it is.
    fs::write(dir.path().join("key"), "nonsense").unwrap();
    let again = ping(redis.address, &authority, None).unwrap();
    assert_eq!(again.1, first);
    write(dir.path(), &authority.certify("localhost"));
    while ping(redis.address, &authority, None).unwrap().1 == first {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    write(dir.path(), &authority.certify("localhost"));
    let authorities = dir.path().join("authorities");
    let ours = Authority::new();
    fs::write(&authorities, ours.0.pem()).unwrap();
    let redis = Redis::start_with(|options| {
        options.tls = Some(TlsFiles {
            client_authorities: Some(authorities),
            ..files(dir.path())
        });
        // Whoever has no certificate does not get in, so there need be no password.
        options.address = ([0, 0, 0, 0], 0).into();
    });
    let at = SocketAddr::from(([127, 0, 0, 1], redis.address.port()));
    let known = ours.certify("ada");
    assert_eq!(ping(at, &authority, Some(&known)).unwrap().0, b"+PONG\r\n");
    let unknown = Authority::new().certify("eve");
    assert!(ping(at, &authority, Some(&unknown)).is_err());
    assert!(ping(at, &authority, None).is_err());
}

#[tokio::test]
async fn files_of_no_use_are_named() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let node = syncline::Node::in_memory().await.unwrap();
    let start = || async {
        let mut options = Options::new(([127, 0, 0, 1], 0).into());
        options.tls = Some(files(dir.path()));
        match Server::start(node.clone(), options).await {
            Err(ServerError::Tls(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(start().await, TlsError::Read { .. }));
    write(
        dir.path(),
        &Pair {
            certificate: "nonsense".to_owned(),
            ..authority.certify("localhost")
        },
    );
    let said = start().await.to_string();
    assert!(
        said.ends_with("certificate holds no certificate in PEM"),
        "{said}"
    );
    write(
        dir.path(),
        &Pair {
            key: authority.certify("localhost").key,
            ..authority.certify("localhost")
        },
    );
    assert!(
        matches!(start().await, TlsError::Unfit(_)),
        "of another certificate"
    );
}
