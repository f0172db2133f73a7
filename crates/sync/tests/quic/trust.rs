//! What changes while endpoints are bound: certificates, authorities, who was revoked; and who may carry what.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use syncline_sync::quic::{
    AdoptError, Alert, ConnectError, DriveError, Endpoint, Grant, Identity, Lost, Root,
    StreamError, Trust,
};
use syncline_sync::{RefusalCode, Strategy};

use crate::members::Authority;
use crate::world::*;

const DAY: Duration = Duration::from_secs(86_400);

fn trusting(identity: Identity) -> Trust {
    Trust::new(identity).unwrap()
}

fn server(trust: &Trust) -> Server {
    let store = store();
    fill(&store, "there", 0..10);
    Server::with_trust(trust, impatient(), store, config)
}

fn client(trust: &Trust) -> Endpoint {
    Endpoint::bind_with(LOOPBACK, trust, impatient()).unwrap()
}

/// Connects and syncs; why it does not work.
async fn refusal(client: &Endpoint, server: &Server) -> Lost {
    match in_time(client.connect(server.address)).await {
        Ok(connection) => match in_time(sync(&connection, &store(), Strategy::Auto)).await {
            Err(DriveError::Stream(StreamError::Lost(lost))) => lost,
            other => panic!("{other:?}"),
        },
        Err(ConnectError::Handshake { lost, .. }) => lost,
        Err(other) => panic!("{other}"),
    }
}

async fn works(client: &Endpoint, server: &mut Server) {
    let connection = in_time(client.connect(server.address)).await.unwrap();
    let report = in_time(sync(&connection, &store(), Strategy::Auto)).await;
    assert!(report.unwrap().agreed);
    assert!(server.outcome().await.unwrap().agreed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_gets_nothing_and_open_connections_to_it_close() {
    let authority = Authority::new("ours");
    let (ours, theirs) = (
        trusting(authority.identity()),
        trusting(authority.identity()),
    );
    let (mut server, client) = (server(&ours), client(&theirs));
    let open = client.connect(server.address).await.unwrap();
    in_time(sync(&open, &store(), Strategy::Auto))
        .await
        .unwrap();
    server.outcome().await.unwrap();

    ours.revoke(BTreeSet::from([client.node()]));
    assert!(matches!(
        in_time(open.closed()).await,
        Lost::ClosedByPeer { .. }
    ));
    let lost = refusal(&client, &server).await;
    assert!(
        matches!(lost, Lost::RefusedByPeer { alert: Alert(44) }),
        "{lost:?}"
    );
    assert!(lost.to_string().contains("shut out"), "{lost}");
    assert!(server.served_nobody());

    // As a server it is refused, too.
    ours.revoke(BTreeSet::new());
    works(&client, &mut server).await;
    theirs.revoke(BTreeSet::from([server.endpoint.node()]));
    let error = client.connect(server.address).await.unwrap_err();
    assert!(error.to_string().contains("shut out"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_the_certificate() {
    let authority = Authority::new("ours");
    let papers = authority.papers_with(
        syncline_sync::quic::CERTIFICATE_NAME,
        SystemTime::now() - DAY,
        SystemTime::now() + Duration::from_secs(2),
    );
    let theirs = trusting(papers.identity(&authority.pem).unwrap());
    let ours = trusting(authority.identity());
    let (mut server, client) = (server(&ours), client(&theirs));
    let open = client.connect(server.address).await.unwrap();
    assert!(matches!(
        in_time(open.closed()).await,
        Lost::ClosedByPeer { .. }
    ));
    let lost = refusal(&client, &server).await;
    assert!(
        matches!(lost, Lost::RefusedByPeer { alert: Alert(45) }),
        "{lost:?}"
    );

    // Renewed over the same key, it is the same node at the same endpoint.
    let renewed = authority.papers_again(&papers, SystemTime::now() + DAY);
    theirs
        .adopt(renewed.identity(&authority.pem).unwrap())
        .unwrap();
    works(&client, &mut server).await;
    let left = theirs
        .identity()
        .expires_at()
        .duration_since(SystemTime::now());
    assert!(left.unwrap() > DAY / 2);
}

#[test]
fn a_certificate_over_another_key_is_not_adopted() {
    let authority = Authority::new("ours");
    let trust = trusting(authority.identity());
    let before = trust.identity().node_id();
    let error = trust.adopt(authority.identity()).unwrap_err();
    assert!(
        matches!(error, AdoptError::OtherNode { own, .. } if own == before),
        "{error}"
    );
    assert_eq!(trust.identity().node_id(), before);
}

/// One authority takes the place of another while nodes stay up, and both are trusted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_are_exchanged_under_way() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let both = format!("{}{}", new.pem, old.pem);
    let (papers, client_papers) = (old.papers(), old.papers());
    let ours = trusting(papers.identity(&old.pem).unwrap());
    let theirs = trusting(client_papers.identity(&old.pem).unwrap());
    let (mut server, client) = (server(&ours), client(&theirs));
    works(&client, &mut server).await;

    // The server comes to trust both, and shows what the new one has signed once the client trusts both as well.
    ours.adopt(papers.identity(&both).unwrap()).unwrap();
    assert_eq!(ours.identity().authorities().len(), 2);
    assert_eq!(ours.identity().issuer(), Some(id(&old)));
    works(&client, &mut server).await;
    theirs
        .adopt(client_papers.identity(&both).unwrap())
        .unwrap();
    let renewed = new.papers_again(&papers, SystemTime::now() + DAY);
    ours.adopt(renewed.identity(&both).unwrap()).unwrap();
    assert_eq!(ours.identity().issuer(), Some(id(&new)));
    works(&client, &mut server).await;

    // The old one goes: whoever has not got a new certificate until then is out, open connections or not.
    let open = client.connect(server.address).await.unwrap();
    ours.adopt(renewed.identity(&new.pem).unwrap()).unwrap();
    assert!(matches!(
        in_time(open.closed()).await,
        Lost::ClosedByPeer { .. }
    ));
    let lost = refusal(&client, &server).await;
    assert!(
        matches!(lost, Lost::RefusedByPeer { alert: Alert(48) }),
        "{lost:?}"
    );
    let client_renewed = new.papers_again(&client_papers, SystemTime::now() + DAY);
    theirs
        .adopt(client_renewed.identity(&new.pem).unwrap())
        .unwrap();
    works(&client, &mut server).await;
}

fn id(authority: &Authority) -> syncline_sync::quic::AuthorityId {
    Root::from_der(&authority.certificate()).unwrap().id()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_the_certificate_does_not_name_is_refused_on_both_sides() {
    let authority = Authority::new("ours");
    let narrow = |names: &[&str]| {
        trusting(
            authority
                .papers_for(names)
                .identity(&authority.pem)
                .unwrap(),
        )
    };
    let everything = trusting(authority.identity());
    let mut server = server(&everything);

    works(&client(&narrow(&["other", NAMESPACE])), &mut server).await;

    // By a client that would begin the session, be it for its own sake …
    let outsider = narrow(&["other"]);
    let connection = client(&outsider).connect(server.address).await.unwrap();
    assert!(connection.may_carry("other") && !connection.may_carry(NAMESPACE));
    let error = in_time(sync(&connection, &store(), Strategy::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Namespace);
    assert!(
        error.to_string().contains("this node's certificate"),
        "{error}"
    );

    // … or for the server's, …
    let narrow_server = Server::with_trust(&narrow(&["other"]), impatient(), store(), config);
    let connection = client(&everything)
        .connect(narrow_server.address)
        .await
        .unwrap();
    let error = in_time(sync(&connection, &store(), Strategy::Auto))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the peer's certificate"),
        "{error}"
    );

    // … and by the server, of a client that does not care.
    let papers = authority.papers_for(&["other"]);
    let raw = crate::raw::Raw::new(authority.certificate(), Some(papers));
    let raw = raw.connect(server.address).await.unwrap();
    let mut stream = raw.stream().await;
    stream.greet(&store(), Strategy::Auto).await;
    let answer = stream.rest().await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("not carried here"), "{text}");
    let outcome = server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Namespace);
}

#[test]
fn grants_are_read_as_they_were_written() {
    let key = [5; 32];
    let golden = Grant::of(["app"], &key).to_extension().unwrap();
    assert_eq!(golden[..2], [0x04, 16]);
    assert_eq!(
        golden[2..],
        blake3::keyed_hash(&key, b"app").as_bytes()[..16]
    );
    assert!(Grant::ALL.to_extension().is_none());
    assert!(Grant::ALL.covers("anything", &key));

    let authority = Authority::new("ours");
    // The three forms that the length of the extension takes.
    for count in [0, 1, 7, 8, 15, 16, 256] {
        let names: Vec<_> = (0..count).map(|number| format!("n{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let identity = authority
            .papers_for(&names)
            .identity(&authority.pem)
            .unwrap();
        assert_eq!(
            *identity.grant(),
            Grant::of(names.iter().copied(), &[0; 32])
        );
        assert!(
            names
                .iter()
                .all(|name| identity.grant().covers(name, &[0; 32]))
        );
        assert!(!identity.grant().covers("n256", &[0; 32]));
        assert!(
            !identity.grant().covers("n0", &key),
            "under another key it is another name"
        );
    }
    let names: Vec<_> = (0..257).map(|number| format!("n{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(
        authority
            .papers_for(&names)
            .identity(&authority.pem)
            .is_err()
    );
}

#[test]
fn an_authority_signs_statements_that_others_can_check() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let root = Root::from_der(&ours.certificate()).unwrap();
    let signature = ours.sign(b"a statement");
    assert!(root.has_signed(b"a statement", &signature));
    assert!(!root.has_signed(b"another", &signature));
    assert!(!root.has_signed(b"a statement", &theirs.sign(b"a statement")));
    for cut in 0..signature.len() {
        assert!(!root.has_signed(b"a statement", &signature[..cut]));
    }
    assert_ne!(
        root.id(),
        Root::from_der(&theirs.certificate()).unwrap().id()
    );
    // A node is no authority.
    assert!(Root::from_der(&ours.papers().der().0[0]).is_none());
    assert!(Root::from_der(b"nothing").is_none());
}
