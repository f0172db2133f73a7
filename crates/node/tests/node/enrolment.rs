//! Becoming a member over the network, with a token and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use syncline::trust::{
    Authority, CertificateRequest, Cluster, FileAuthority, Invitation, JoinError, Refusal, Root,
    Token, TrustError,
};
use syncline::{Node, PeerAddr};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

/// A node that has the authority, and room for others.
struct Founder {
    scratch: TempDir,
    node: Node,
}

impl Founder {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let node = start(&scratch.path().join("founder")).await;
        Self { scratch, node }
    }

    fn invitation(&self) -> Invitation {
        Invitation::new([self.node.local_addr().unwrap().to_string()], HOUR)
    }

    fn invite(&self) -> Token {
        self.node.invite(&self.invitation()).unwrap()
    }

    fn data(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

async fn start(data: &Path) -> Node {
    let builder = Node::builder().data_dir(data).listen("127.0.0.1:0");
    builder.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_all_it_takes() {
    let founder = Founder::new().await;
    let text = founder.invite().to_string();
    let data = founder.data("joiner");
    let admission = Node::join(&text.parse().unwrap(), &data).await.unwrap();
    assert_eq!(admission.cluster, founder.node.cluster_id());
    assert!(admission.namespaces.is_none());

    let joiner = start(&data).await;
    assert_eq!(joiner.id(), admission.node);
    assert_eq!(joiner.cluster_id(), founder.node.cluster_id());
    founder
        .node
        .namespace("app")
        .unwrap()
        .put("k", "v")
        .await
        .unwrap();
    joiner
        .namespace("app")
        .unwrap()
        .sync_with(PeerAddr::from(&founder.node))
        .await
        .unwrap();
    let there = joiner.namespace("app").unwrap().get("k").await.unwrap();
    assert_eq!(there.unwrap(), b"v");

    // The key was made there and is nowhere else; no authority came along.
    let key = fs::read(data.join("identity/node/node.key")).unwrap();
    assert!(!data.join("identity/ca.key").exists());
    assert!(!data.join("identity.joining").exists());
    let mut seen = 0;
    every_file(&founder.data("founder/identity"), &mut |path| {
        seen += 1;
        assert_ne!(fs::read(path).unwrap(), key, "{}", path.display());
    });
    assert!(seen > 5, "the list of members and the invitation are there");
    let error = joiner.invite(&founder.invitation()).unwrap_err();
    assert!(matches!(error, TrustError::NoAuthority), "{error}");
}

fn every_file(directory: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => every_file(&path, look),
            false => look(&path),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_carries_the_namespaces_that_it_was_invited_to() {
    let founder = Founder::new().await;
    let invitation = founder.invitation().namespaces(["app"]);
    let token = founder.node.invite(&invitation).unwrap();
    let data = founder.data("joiner");
    let admission = Node::join(&token, &data).await.unwrap();
    assert_eq!(admission.namespaces.unwrap(), ["app"]);
    let joiner = start(&data).await;
    for name in ["app", "payroll"] {
        founder
            .node
            .namespace(name)
            .unwrap()
            .put("k", "v")
            .await
            .unwrap();
        joiner.namespace(name).unwrap();
    }
    let report = joiner
        .sync_with(PeerAddr::from(&founder.node))
        .await
        .unwrap();
    assert_eq!(report.not_shared, ["payroll"]);
    assert!(report.namespaces["app"].agreed);
    let report = founder
        .node
        .sync_with(PeerAddr::from(&joiner))
        .await
        .unwrap();
    assert_eq!(report.not_shared, ["payroll"]);
    assert_eq!(
        joiner.namespace("payroll").unwrap().count().await.unwrap(),
        0
    );
    let error = founder.node.namespace("payroll").unwrap();
    let error = error.sync_with(PeerAddr::from(&joiner)).await.unwrap_err();
    assert!(
        error.to_string().contains("the peer's certificate"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_makes_one_member_however_many_use_it_at_once() {
    let founder = Founder::new().await;
    let token = founder.invite();
    let mut joining = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (token, data) = (token.clone(), founder.data(&format!("joiner{number}")));
        joining.spawn(async move { Node::join(&token, data).await });
    }
    let outcomes = joining.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(
            matches!(
                error,
                JoinError::Refused {
                    refusal: Refusal::Used,
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("used by another node"),
            "{error}"
        );
    }
}

/// The answer was lost, and the same machine asks again; or it was killed before it had put everything in place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_machine_may_try_again() {
    let founder = Founder::new().await;
    let token = founder.invite();
    let first = Node::join(&token, founder.data("first")).await.unwrap();
    let joining = founder.data("second/identity.joining/node");
    fs::create_dir_all(&joining).unwrap();
    let key = first.identity.join("node.key");
    fs::copy(key, joining.join("node.key")).unwrap();
    let second = Node::join(&token, founder.data("second")).await.unwrap();
    assert_eq!(first.node, second.node);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_token_is_said() {
    let founder = Founder::new().await;
    let join = async |token: &Token| Node::join(token, founder.data("joiner")).await.unwrap_err();

    let invitation = Invitation::new(
        founder.invite().addresses().to_vec(),
        Duration::from_secs(1),
    );
    let expired = founder.node.invite(&invitation).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let error = join(&expired).await;
    assert!(
        matches!(error, JoinError::Expired) && error.to_string().contains("invite"),
        "{error}"
    );

    // The right authority, and an invitation that is not there.
    let unknown = founder.invite();
    fs::remove_dir_all(founder.data("founder/identity/invitations")).unwrap();
    let error = join(&unknown).await;
    assert!(error.is_of_the_peer());
    assert!(error.to_string().contains("unknown there"), "{error}");

    // Another cluster at the address.
    let other = Cluster::create(founder.data("other")).unwrap();
    let strange = other.invite(founder.invitation()).unwrap();
    let error = join(&strange).await;
    assert!(
        error.to_string().contains("another cluster answers"),
        "{error}"
    );

    // Nobody at the address, or no such address.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = Invitation::new([free.local_addr().unwrap().to_string()], HOUR);
    let error = join(&founder.node.invite(&silent).unwrap()).await;
    assert!(error.to_string().contains("no answer from"), "{error}");
    let nowhere = Invitation::new(["nowhere.invalid:7400"], HOUR);
    let error = join(&founder.node.invite(&nowhere).unwrap()).await;
    assert!(matches!(error, JoinError::Address { .. }), "{error}");

    // None of it has left anything that is in the way.
    Node::join(&founder.invite(), founder.data("joiner"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_data_of_its_own_does_not_change_clusters() {
    let founder = Founder::new().await;
    // One that has made its own cluster.
    let data = founder.data("own");
    Node::found(&data).unwrap();
    assert!(Node::found(&data).is_err());
    let error = Node::join(&founder.invite(), &data).await.unwrap_err();
    assert!(matches!(error, JoinError::HasCluster { .. }), "{error}");
    assert!(error.to_string().contains("export and import"), "{error}");

    // One that is a member elsewhere.
    let elsewhere = Founder::new().await;
    let data = founder.data("elsewhere");
    Node::join(&elsewhere.invite(), &data).await.unwrap();
    let before = fs::read(data.join("identity/node/node.pem")).unwrap();
    let error = Node::join(&founder.invite(), &data).await.unwrap_err();
    assert!(matches!(error, JoinError::OtherCluster { .. }), "{error}");
    assert_eq!(
        fs::read(data.join("identity/node/node.pem")).unwrap(),
        before
    );

    // One that runs.
    let joiner = start(&data).await;
    let error = Node::join(&elsewhere.invite(), &data).await.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(joiner);
}

/// A member whose certificate has ended joins once more, and is who it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_member_joins_again_as_itself() {
    let founder = Founder::new().await;
    let data = founder.data("joiner");
    let first = Node::join(&founder.invite(), &data).await.unwrap();
    let narrow = founder.invitation().namespaces(["app"]);
    let again = Node::join(&founder.node.invite(&narrow).unwrap(), &data)
        .await
        .unwrap();
    assert_eq!(first.node, again.node);
    assert_eq!(again.namespaces.unwrap(), ["app"]);
    assert_eq!(start(&data).await.id(), first.node);
}

/// An authority that is somewhere else; here, it is files in another place, and it counts.
struct Elsewhere {
    files: FileAuthority,
    certified: std::sync::Mutex<Vec<CertificateRequest>>,
    down: std::sync::atomic::AtomicBool,
}

impl Authority for Elsewhere {
    fn roots(&self) -> Result<Vec<Root>, TrustError> {
        self.files.roots()
    }

    fn certify(&self, request: &CertificateRequest) -> Result<String, TrustError> {
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(TrustError::Authority {
                reason: "it is down".to_owned(),
            });
        }
        self.certified.lock().unwrap().push(request.clone());
        self.files.certify(request)
    }

    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError> {
        self.files.sign(statement)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_elsewhere_makes_members() {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(scratch.path().join("authority")).unwrap();
    let identity = cluster.issue("founder").unwrap();
    let elsewhere = Arc::new(Elsewhere {
        files: FileAuthority::new(scratch.path().join("authority")),
        certified: std::sync::Mutex::default(),
        down: true.into(),
    });
    let builder = Node::builder()
        .data_dir(scratch.path().join("founder"))
        .identity(identity);
    let builder = builder.authority(elsewhere.clone()).listen("127.0.0.1:0");
    let node = builder.start().await.unwrap();
    let invitation = Invitation::new([node.local_addr().unwrap().to_string()], HOUR);
    let token = node.invite(&invitation.namespaces(["app"])).unwrap();

    let data = scratch.path().join("joiner");
    let error = Node::join(&token, &data).await.unwrap_err();
    assert!(
        matches!(
            error,
            JoinError::Refused {
                refusal: Refusal::Failed,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("Try again later"), "{error}");
    elsewhere
        .down
        .store(false, std::sync::atomic::Ordering::Relaxed);
    let admission = Node::join(&token, &data).await.unwrap();
    let certified = elsewhere.certified.lock().unwrap();
    assert_eq!(certified.len(), 1);
    assert_eq!(certified[0].node, admission.node);
    assert!(certified[0].grant.to_extension().is_some());
    assert_eq!(admission.cluster, node.cluster_id());
}
