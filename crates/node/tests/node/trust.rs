//! Memberships that end, are renewed, and go on under another authority, while nodes run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use syncline::trust::{
    Authority, CertificateRequest, Cluster, FileAuthority, Invitation, Office, Root, TrustError,
};
use syncline::{Node, PeerAddr};
use tempfile::TempDir;

use crate::patience::eventually;

const HOUR: Duration = Duration::from_secs(3600);

/// A node with the authority, and others that have joined by invitations and know each other.
struct World {
    scratch: TempDir,
    founder: Node,
}

impl World {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let builder = Node::builder().data_dir(scratch.path().join("founder"));
        let founder = builder.listen("127.0.0.1:0").start().await.unwrap();
        Self { scratch, founder }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn office(&self) -> Office {
        let cluster = Cluster::open(self.data("founder").join("identity")).unwrap();
        cluster.office().unwrap()
    }

    async fn member(&self, name: &str) -> Node {
        let address = self.founder.local_addr().unwrap().to_string();
        let invitation = Invitation::new([address], HOUR).named(name);
        let token = self.founder.invite(&invitation).unwrap();
        Node::join(&token, self.data(name)).await.unwrap();
        self.start(name).await
    }

    async fn start(&self, name: &str) -> Node {
        let builder = Node::builder().data_dir(self.data(name));
        let builder = builder.listen("127.0.0.1:0").join(&self.founder);
        builder.start().await.unwrap()
    }
}

fn key(data: &Path) -> Vec<u8> {
    fs::read(data.join("identity/node/node.key")).unwrap()
}

fn certificate(data: &Path) -> Vec<u8> {
    fs::read(data.join("identity/node/node.pem")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_revoked_gets_nothing_from_anybody() {
    let world = World::new().await;
    let (oslo, rome) = (world.member("oslo").await, world.member("rome").await);
    for node in [&world.founder, &oslo, &rome] {
        node.namespace("app").unwrap().put("k", "v").await.unwrap();
    }
    rome.sync_with(PeerAddr::from(&oslo)).await.unwrap();
    assert!(world.founder.trust().has_authority && !oslo.trust().has_authority);

    // Beside the running node, which takes it over and tells the others.
    let office = world.office();
    assert!(office.revoke(&office.find("rome").unwrap(), false).unwrap());
    for node in [&world.founder, &oslo] {
        eventually("the revocation comes", async || {
            node.trust().revoked.contains(&rome.id())
        })
        .await;
        let error = rome.sync_with(PeerAddr::from(node)).await.unwrap_err();
        assert!(error.to_string().contains("shut out"), "{error}");
        let error = node.sync_with(PeerAddr::from(&rome)).await.unwrap_err();
        assert!(error.to_string().contains("shut out"), "{error}");
    }
    // It stays known over a restart, and those who stay go on.
    oslo.shutdown().await.unwrap();
    let oslo = world.start("oslo").await;
    assert!(oslo.trust().revoked.contains(&rome.id()));
    oslo.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    // It does not renew itself back in.
    let error = rome.renew_certificate().await.unwrap_err();
    assert!(error.to_string().contains("shut out"), "{error}");
    assert!(rome.trust().renewal.is_some());
    // It comes back by another invitation, under another key, with its data.
    let (before, port) = (rome.id(), world.founder.local_addr().unwrap());
    rome.shutdown().await.unwrap();
    let invitation = Invitation::new([port.to_string()], HOUR);
    let token = world.founder.invite(&invitation).unwrap();
    let admission = Node::join(&token, world.data("rome")).await.unwrap();
    assert_ne!(admission.node, before);
    let rome = world.start("rome").await;
    let report = rome.sync_with(PeerAddr::from(&oslo)).await.unwrap();
    assert!(report.namespaces.contains_key("app"));
    // Who joins now knows at once.
    let late = world.member("late").await;
    assert!(late.trust().revoked.contains(&before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_over_the_same_key() {
    let world = World::new().await;
    let oslo = world.member("oslo").await;
    for (node, name) in [(&oslo, "oslo"), (&world.founder, "founder")] {
        let data = world.data(name);
        let (id, key_before, before) = (node.id(), key(&data), certificate(&data));
        node.renew_certificate().await.unwrap();
        assert_eq!(key(&data), key_before);
        assert_ne!(certificate(&data), before);
        assert_eq!(node.trust().node, id);
        assert!(node.trust().renewal.is_none() && !node.trust().expires_soon);
    }
    oslo.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    // And beside the node, as the command does it.
    let before = certificate(&world.data("oslo"));
    syncline::trust::renew_certificate(world.data("oslo"))
        .await
        .unwrap();
    assert_ne!(certificate(&world.data("oslo")), before);
    assert_eq!(oslo.trust().node, oslo.id());
    let members = world.office().members().unwrap();
    let listed = members.iter().find(|it| it.node == oslo.id()).unwrap();
    assert_eq!(listed.name.as_deref(), Some("oslo"));
}

/// An authority that makes certificates for so short a time, at first.
struct Brief {
    files: FileAuthority,
    brief: AtomicBool,
}

impl Authority for Brief {
    fn roots(&self) -> Result<Vec<Root>, TrustError> {
        self.files.roots()
    }

    fn certify(&self, request: &CertificateRequest) -> Result<String, TrustError> {
        let mut request = request.clone();
        if self.brief.load(Ordering::Relaxed) {
            request.valid_for = Duration::from_secs(60);
        }
        self.files.certify(&request)
    }

    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError> {
        self.files.sign(statement)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_is_renewed_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("authority");
    let identity = Cluster::create(&home).unwrap().issue("founder").unwrap();
    let authority = Arc::new(Brief {
        files: FileAuthority::new(&home),
        brief: true.into(),
    });
    let builder = Node::builder()
        .data_dir(scratch.path().join("founder"))
        .identity(identity);
    let builder = builder.authority(authority.clone()).listen("127.0.0.1:0");
    let founder = builder.start().await.unwrap();
    let invitation = Invitation::new([founder.local_addr().unwrap().to_string()], HOUR);
    let token = founder.invite(&invitation).unwrap();
    let data = scratch.path().join("joiner");
    let admission = Node::join(&token, &data).await.unwrap();
    assert!(admission.expires_at < SystemTime::now() + HOUR);
    authority.brief.store(false, Ordering::Relaxed);

    let joiner = Node::builder().data_dir(&data).start().await.unwrap();
    assert!(joiner.trust().expires_soon);
    eventually("the certificate is renewed", async || {
        joiner.trust().expires_at > SystemTime::now() + HOUR
    })
    .await;
    assert_eq!(joiner.id(), admission.node);
    joiner.sync_with(PeerAddr::from(&founder)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_takes_the_place_of_one_while_all_go_on() {
    let world = World::new().await;
    let (oslo, rome) = (world.member("oslo").await, world.member("rome").await);
    let old = world.founder.trust().authorities;
    rome.shutdown().await.unwrap();

    let office = world.office();
    office.begin_exchange().unwrap();
    eventually("those who run renew", async || {
        let left = office.left_behind().unwrap();
        left.len() == 1 && left[0].name.as_deref() == Some("rome")
    })
    .await;
    oslo.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    assert_eq!(oslo.trust().authorities.len(), 2);
    let error = office.finish_exchange(false).unwrap_err();
    assert!(error.to_string().contains("rome"), "{error}");

    let rome = world.start("rome").await;
    eventually("the last one renews", async || {
        office.left_behind().unwrap().is_empty()
    })
    .await;
    office.finish_exchange(false).unwrap();
    for node in [&world.founder, &oslo, &rome] {
        eventually("the old authority goes", async || {
            let authorities = node.trust().authorities;
            authorities.len() == 1 && authorities != old
        })
        .await;
    }
    oslo.sync_with(PeerAddr::from(&rome)).await.unwrap();
    rome.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    // Over a restart, and for who comes new.
    oslo.shutdown().await.unwrap();
    let oslo = world.start("oslo").await;
    let late = world.member("late").await;
    late.sync_with(PeerAddr::from(&oslo)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_of_a_member_that_is_gone_are_not_counted_on() {
    let world = World::new().await;
    let oslo = world.member("oslo").await;
    let rome = world.member("rome").await;
    for node in [&world.founder, &oslo, &rome] {
        node.namespace("app").unwrap();
    }
    // Rome has met nobody but Oslo.
    rome.sync_with(PeerAddr::from(&oslo)).await.unwrap();
    oslo.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    let counted = async |node: &Node| {
        let carriers = node.namespace("app").unwrap().carriers().await.unwrap();
        carriers.counted().len()
    };
    assert_eq!(counted(&world.founder).await, 3);
    let (id, office) = (rome.id(), world.office());
    rome.shutdown().await.unwrap();
    office.revoke(&id, true).unwrap();
    eventually("Oslo gives Rome's store up", async || {
        counted(&oslo).await == 2
    })
    .await;
    oslo.sync_with(PeerAddr::from(&world.founder))
        .await
        .unwrap();
    assert_eq!(counted(&world.founder).await, 2);
}
