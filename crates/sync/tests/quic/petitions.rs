//! Petitions, of those who were invited and of members, and of those who are neither.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use syncline_sync::quic::{
    Alert, BindError, Doorkeeper, Endpoint, Grant, Guest, Limits, Lost, NodeId, PETITION_ALPN,
    PetitionError, Petitioner, Root, Trust,
};

use crate::members::{Authority, Papers};
use crate::raw::Raw;
use crate::world::*;

/// Says who asked what, and answers with the same.
struct Door {
    invited: NodeId,
    asked: Mutex<Vec<(Petitioner, Vec<u8>)>>,
}

impl Doorkeeper for Door {
    fn invited(&self, key: &NodeId) -> bool {
        *key == self.invited
    }

    fn answer(&self, petitioner: &Petitioner, _: SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((petitioner.clone(), request.to_vec()));
        [b"you said ", request].concat()
    }
}

struct Scene {
    authority: Authority,
    server: Server,
    door: Arc<Door>,
    papers: Papers,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("ours");
        let trust = Trust::new(authority.identity()).unwrap();
        let key = KeyPair::generate().unwrap();
        let papers = self_signed(&key);
        let door = Arc::new(Door {
            invited: NodeId::of_public_key(&key.subject_public_key_info()),
            asked: Mutex::default(),
        });
        trust.admit_petitions(door.clone());
        Self {
            server: Server::with_trust(&trust, impatient(), store(), config),
            authority,
            door,
            papers,
        }
    }

    fn guest(&self, papers: &Papers) -> Result<Guest, BindError> {
        let (chain, key) = papers.der();
        let root = Root::from_der(&self.authority.certificate()).unwrap();
        Guest::new(&chain[0], key.secret_der(), root.id())
    }

    async fn ask(&self, guest: &Guest, request: &[u8]) -> Result<Vec<u8>, PetitionError> {
        in_time(guest.petition(self.server.address, request, &impatient())).await
    }

    fn asked(&self) -> Vec<(Petitioner, Vec<u8>)> {
        std::mem::take(&mut *self.door.asked.lock().unwrap())
    }
}

fn self_signed(key: &KeyPair) -> Papers {
    let params = CertificateParams::new(["guest".to_owned()]).unwrap();
    Papers {
        certificate: params.self_signed(key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_answered() {
    let scene = Scene::new();
    let guest = scene.guest(&scene.papers).unwrap();
    let request = vec![7; 60_000];
    let answer = scene.ask(&guest, &request).await.unwrap();
    assert_eq!(answer, [b"you said ", &request[..]].concat());
    let asked = scene.asked();
    assert!(matches!(&asked[..], [(Petitioner::Guest { key }, _)] if *key == scene.door.invited));
    // A request beyond the bound is not.
    let error = scene.ask(&guest, &vec![7; 70_000]).await.unwrap_err();
    assert!(error.to_string().contains("log says why"), "{error}");
    assert!(scene.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_answered_as_one() {
    let scene = Scene::new();
    let identity = scene
        .authority
        .papers_for(&["app"])
        .identity(&scene.authority.pem)
        .unwrap();
    let client = Endpoint::bind(LOOPBACK, &identity, impatient()).unwrap();
    let answer = in_time(client.petition(scene.server.address, b"renew")).await;
    assert_eq!(answer.unwrap(), b"you said renew");
    let asked = scene.asked();
    let [(Petitioner::Member { node, grant }, _)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(*node, identity.node_id());
    assert_eq!(*grant, Grant::of(["app"], &[0; 32]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_in_the_handshake() {
    let mut scene = Scene::new();
    let stranger = self_signed(&KeyPair::generate().unwrap());
    let other = Authority::new("theirs").papers();
    for papers in [stranger, other] {
        let guest = scene.guest(&papers).unwrap();
        let error = scene.ask(&guest, b"let me in").await.unwrap_err();
        let Some(Lost::RefusedByPeer { alert }) = error.lost() else {
            panic!("{error:?}");
        };
        assert!(matches!(alert, Alert(48) | Alert(42)), "{alert:?}");
    }
    assert!(scene.asked().is_empty() && scene.server.served_nobody());
}

/// A guest gets past the handshake under the protocol of sessions as well, and no further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_gets_no_session() {
    let mut scene = Scene::new();
    fill(&scene.server.store, "secret", 0..10);
    let raw = Raw::new(
        scene.authority.certificate(),
        Some(self_signed_again(&scene.papers)),
    );
    let raw = raw.connect(scene.server.address).await.unwrap();
    let lost = Lost::from(in_time(raw.connection.closed()).await);
    assert!(
        matches!(&lost, Lost::ClosedByPeer { reason } if reason == "no member"),
        "{lost:?}"
    );
    assert!(scene.server.served_nobody() && scene.asked().is_empty());
}

/// Under the protocol of petitions, one stream is read; whatever else is sent has nobody who takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_can_do_nothing_but_ask() {
    let mut scene = Scene::new();
    let mut raw = Raw::new(
        scene.authority.certificate(),
        Some(self_signed_again(&scene.papers)),
    );
    raw.alpn = PETITION_ALPN.to_vec();
    let raw = raw.connect(scene.server.address).await.unwrap();
    // The greeting of a session is a request like any other.
    let mut stream = raw.stream().await;
    stream.greet(&store(), syncline_sync::Strategy::Auto).await;
    stream.send.finish().unwrap();
    assert!(in_time(stream.rest()).await.starts_with(b"you said "));
    // A second stream is not answered, and all is over in time.
    let mut again = raw.stream().await;
    again.bytes(b"and another thing").await;
    in_time(raw.connection.closed()).await;
    assert_eq!(scene.asked().len(), 1);
    assert!(scene.server.served_nobody());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_authority_is_not_asked() {
    let scene = Scene::new();
    let theirs = Authority::new("theirs");
    let trust = Trust::new(theirs.identity()).unwrap();
    trust.admit_petitions(scene.door.clone());
    let impostor = Server::with_trust(&trust, impatient(), store(), config);
    let guest = scene.guest(&scene.papers).unwrap();
    let error = in_time(guest.petition(impostor.address, b"secret", &impatient())).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error.lost(),
            Some(Lost::RefusedByUs {
                alert: Alert(48),
                ..
            })
        ),
        "{error}"
    );
    assert!(scene.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_doorkeeper_there_is_no_answer() {
    let authority = Authority::new("ours");
    let server = Server::start(&authority.identity(), Limits::default(), store());
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), impatient()).unwrap();
    let error = in_time(client.petition(server.address, b"renew"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("decides on no petitions"),
        "{error}"
    );
}

fn self_signed_again(papers: &Papers) -> Papers {
    Papers {
        certificate: papers.certificate.clone(),
        key: papers.key.clone(),
    }
}
