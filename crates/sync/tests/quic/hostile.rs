use std::time::{Duration, SystemTime};

use quinn::{ConnectionError, VarInt};
use syncline_sync::quic::{
    Alert, ConnectError, DriveError, Endpoint, Identity, Limits, Lost, StreamError,
};
use syncline_sync::{RefusalCode, SessionError, Strategy};

use crate::log::warnings;
use crate::members::Authority;
use crate::raw::{Raw, RawConnection, raw_server};
use crate::world::*;

/// After whatever a peer has done, another is served as if nothing had happened.
async fn still_serves(authority: &Authority, server: &mut Server) {
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), Limits::default()).unwrap();
    let connection = client.connect(server.address).await.unwrap();
    let here = store();
    let report = in_time(sync(&connection, &here, Strategy::Auto))
        .await
        .unwrap();
    assert!(report.agreed);
    assert!(server.outcome().await.unwrap().agreed);
    assert_equal(&here, &server.store);
}

/// A server of a thousand rows, and a member that does as it likes.
async fn with_member(transport: quinn::TransportConfig) -> (Authority, Server, RawConnection) {
    let authority = Authority::new("ours");
    let store = store();
    fill(&store, "there", 0..1000);
    let server = Server::start(&authority.identity(), impatient(), store);
    let mut raw = Raw::new(authority.certificate(), Some(authority.papers()));
    raw.transport = transport;
    let connection = raw.connect(server.address).await.unwrap();
    (authority, server, connection)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_there_is_nothing() {
    let authority = Authority::new("ours");
    let mut server = Server::start(&authority.identity(), impatient(), store());
    // The handshake is over for the client before the server has missed its certificate.
    let raw = Raw::new(authority.certificate(), None);
    let closed = match raw.connect(server.address).await {
        Ok(raw) => in_time(raw.connection.closed()).await,
        Err(error) => error,
    };
    let ConnectionError::ConnectionClosed(close) = closed else {
        panic!("{closed}");
    };
    // Alert 116: certificate required.
    assert_eq!(u64::from(close.error_code), 0x100 + 116);
    still_serves(&authority, &mut server).await;
    assert!(server.served_nobody());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_cluster_is_refused_by_the_server() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut server = Server::start(&ours.identity(), impatient(), store());
    // A client that trusts the server all the same, so that it is for the server to refuse.
    let papers = theirs.papers();
    let both = format!("{}{}", ours.pem, theirs.pem);
    let stranger = Identity::from_pem(&papers.certificate, &papers.key, &both).unwrap();
    let client = Endpoint::bind(LOOPBACK, &stranger, impatient()).unwrap();
    let lost = match client.connect(server.address).await {
        Ok(connection) => match in_time(sync(&connection, &store(), Strategy::Auto)).await {
            Err(DriveError::Stream(StreamError::Lost(lost))) => lost,
            other => panic!("{other:?}"),
        },
        Err(ConnectError::Handshake { lost, .. }) => lost,
        Err(other) => panic!("{other}"),
    };
    assert!(
        matches!(lost, Lost::RefusedByPeer { alert: Alert(48) }),
        "{lost:?}"
    );
    assert!(lost.to_string().contains("not of its cluster"), "{lost}");
    still_serves(&ours, &mut server).await;
    assert!(server.served_nobody());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_cluster_is_refused_by_the_client() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = Server::start(&theirs.identity(), impatient(), store());
    let client = Endpoint::bind(LOOPBACK, &ours.identity(), impatient()).unwrap();
    let error = client.connect(server.address).await.unwrap_err();
    let ConnectError::Handshake { lost, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(
            lost,
            Lost::RefusedByUs {
                alert: Alert(48),
                ..
            }
        ),
        "{lost:?}"
    );
    assert!(error.to_string().contains("not of our cluster"), "{error}");
}

const EXPIRED: &str = "its certificate is not valid at our time";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_refused_and_the_log_says_why() {
    assert!(!warnings().contains(EXPIRED));
    let authority = Authority::new("ours");
    let server = Server::start(&authority.identity(), impatient(), store());
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let name = syncline_sync::quic::CERTIFICATE_NAME;
    let papers = authority.papers_with(name, now - 2 * day, now - day);
    let raw = Raw::new(authority.certificate(), Some(papers));
    let closed = match raw.connect(server.address).await {
        Ok(raw) => in_time(raw.connection.closed()).await,
        Err(error) => error,
    };
    let lost = Lost::from(closed);
    assert!(
        matches!(lost, Lost::RefusedByPeer { alert: Alert(45) }),
        "{lost:?}"
    );
    let logged = async {
        while !warnings().contains(EXPIRED) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(logged).await;
    let line = warnings();
    let line = line.lines().find(|line| line.contains(EXPIRED)).unwrap();
    assert!(line.contains("turned away"), "{line}");
}

/// The right authority, yet another secret: the cluster's identity tells, in the greeting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_under_the_same_authority_is_refused() {
    let mut pair = Pair::new(store(), impatient()).await;
    let here = store();
    fill(&here, "here", 0..10);
    let mut config = config();
    config.cluster = [8; 16];
    let session = pair.connection.sync(here, config, request(Strategy::Auto));
    let error = in_time(session).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Cluster);
    let outcome = pair.server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Cluster);
    assert_eq!(rows(&pair.server.store), 0);
    // The connection serves on.
    pair.sync(&store(), Strategy::Auto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_out_of_bounds_is_refused_with_both_times() {
    let mut pair = Pair::new(store(), impatient()).await;
    let mut config = config();
    config.clock_ms += 3_600_000;
    let ahead = config.clock_ms.to_string();
    let session = pair
        .connection
        .sync(store(), config, request(Strategy::Auto));
    let error = in_time(session).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Clock);
    assert!(error.to_string().contains(&ahead), "{error}");
    let outcome = pair.server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Clock);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_carried_is_refused() {
    let mut pair = Pair::new(store(), impatient()).await;
    let mut config = config();
    config.namespace = "elsewhere".to_owned();
    let session = pair
        .connection
        .sync(store(), config, request(Strategy::Auto));
    let error = in_time(session).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Namespace);
    assert!(error.to_string().contains("elsewhere"), "{error}");
    let outcome = pair.server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Namespace);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_protocol_is_refused_in_the_handshake() {
    let authority = Authority::new("ours");
    let mut server = Server::start(&authority.identity(), impatient(), store());
    let mut raw = Raw::new(authority.certificate(), Some(authority.papers()));
    raw.alpn = b"syncline/2".to_vec();
    let Err(error) = raw.connect(server.address).await else {
        panic!("connected");
    };
    assert!(matches!(
        Lost::from(error),
        Lost::RefusedByPeer { alert: Alert(120) }
    ));
    still_serves(&authority, &mut server).await;

    // And the other way round.
    let endpoint = raw_server(&authority.papers(), b"syncline/2");
    let address = endpoint.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let incoming = endpoint.accept().await.unwrap();
        incoming.await.map(|_| ())
    });
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), impatient()).unwrap();
    let error = client.connect(address).await.unwrap_err();
    assert!(
        error.to_string().contains("no version of the protocol"),
        "{error}"
    );
    assert!(accepting.await.unwrap().is_err());
}

/// A version of the greeting that this software cannot read, but for the versions in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_the_greeting_is_refused_with_both_versions() {
    let (authority, mut server, raw) = with_member(Default::default()).await;
    let mut stream = raw.stream().await;
    // Flight 1, a greeting, versions 2 to 3, and what nobody knows yet.
    stream.frame(&[1, 0, 2, 3, 0xff, 0xff, 0xff, 0xff]).await;
    let answer = stream.rest().await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("versions 2 to 3"), "{text}");
    let outcome = server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Version);
    still_serves(&authority, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_wherever_it_comes() {
    let (authority, mut server, raw) = with_member(Default::default()).await;
    for garbage in [&[][..], &[0xff; 40], &[1, 99, 7, 7], &[1, 5, 0, 0]] {
        let mut stream = raw.stream().await;
        stream.frame(garbage).await;
        let answer = stream.rest().await;
        assert!(
            !answer.is_empty(),
            "no reason was given for refusing {garbage:?}"
        );
        let outcome = server.outcome().await.unwrap_err();
        assert!(matches!(outcome, DriveError::Session(_)), "{outcome}");
    }
    for garbage in [&[][..], &[0xff; 40], &[3, 99, 7, 7]] {
        let mut stream = raw.stream().await;
        stream.greet(&store(), Strategy::Walk).await;
        stream.frame(garbage).await;
        stream.rest().await;
        let outcome = server.outcome().await.unwrap_err();
        assert!(
            matches!(outcome, DriveError::Session(SessionError::Malformed(_))),
            "{outcome}"
        );
    }
    still_serves(&authority, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_over_the_bound_is_refused_unread() {
    let (authority, mut server, raw) = with_member(Default::default()).await;
    for greets in [false, true] {
        let mut stream = raw.stream().await;
        if greets {
            stream.greet(&store(), Strategy::Walk).await;
        }
        stream.bytes(&u32::MAX.to_le_bytes()).await;
        let answer = stream.rest().await;
        assert!(String::from_utf8_lossy(&answer).contains("4294967295 bytes"));
        let outcome = server.outcome().await.unwrap_err();
        assert!(
            matches!(outcome, DriveError::Stream(StreamError::Oversized { .. })),
            "{outcome}"
        );
    }
    still_serves(&authority, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_in_mid_frame_is_cut() {
    let (authority, mut server, raw) = with_member(Default::default()).await;
    // One falls silent, one ends its stream, one resets it.
    let mut silent = raw.stream().await;
    silent.bytes(&1000u32.to_le_bytes()).await;
    silent.bytes(&[0; 10]).await;
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(
            outcome,
            DriveError::Silent { .. }
                | DriveError::Stream(StreamError::Stalled { sending: false, .. })
        ),
        "{outcome}"
    );

    let mut ended = raw.stream().await;
    ended.greet(&store(), Strategy::Walk).await;
    ended.bytes(&1000u32.to_le_bytes()).await;
    ended.send.finish().unwrap();
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(outcome, DriveError::Stream(StreamError::Truncated)),
        "{outcome}"
    );

    let mut reset = raw.stream().await;
    reset.greet(&store(), Strategy::Walk).await;
    // Once the answer is there, the server is in mid-session.
    let mut byte = [0];
    reset.recv.read_exact(&mut byte).await.unwrap();
    reset.bytes(&[1, 0]).await;
    reset.send.reset(VarInt::from_u32(5)).unwrap();
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(outcome, DriveError::Stream(StreamError::Abandoned)),
        "{outcome}"
    );
    still_serves(&authority, &mut server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_after_its_greeting_is_cut() {
    let (authority, mut server, raw) = with_member(Default::default()).await;
    let mut stream = raw.stream().await;
    stream.greet(&store(), Strategy::Walk).await;
    let outcome = server.outcome().await.unwrap_err();
    assert!(matches!(outcome, DriveError::Silent { .. }), "{outcome}");
    still_serves(&authority, &mut server).await;
}

/// A byte now and then is not progress enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_trickles_is_cut() {
    let (_authority, mut server, raw) = with_member(Default::default()).await;
    let mut stream = raw.stream().await;
    stream.greet(&store(), Strategy::Walk).await;
    stream.bytes(&100_000u32.to_le_bytes()).await;
    let trickle = tokio::spawn(async move {
        while stream.send.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(
            outcome,
            DriveError::Stream(StreamError::Stalled { sending: false, .. })
        ),
        "{outcome}"
    );
    in_time(trickle).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_reading_is_cut() {
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(2048));
    let (authority, mut server, raw) = with_member(transport).await;
    let mut stream = raw.stream().await;
    // A hundred kilobytes are on their way, and two are taken.
    stream.greet(&store(), Strategy::Full).await;
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(
            outcome,
            DriveError::Silent { .. }
                | DriveError::Stream(StreamError::Stalled { sending: true, .. })
        ),
        "{outcome}"
    );
    drop(stream);
    still_serves(&authority, &mut server).await;
}

/// Frames after the end, from a peer that was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_after_the_end_is_an_error() {
    let (_authority, mut server, raw) = with_member(Default::default()).await;
    let mut stream = raw.stream().await;
    // Equal roots: the session is over with the two greetings, and when they know each other.
    let (same, view) = (store(), server.store.view().unwrap());
    let rows = view.scan(&syncline_merkle::KeyRange::ALL);
    let incoming = syncline_store::Incoming {
        rows: rows.collect::<Result<_, _>>().unwrap(),
        learned: view.context().clone(),
        ..syncline_store::Incoming::from_peer(view.context())
    };
    same.join(incoming, syncline_store::Durability::Durable)
        .unwrap();
    let mut session = stream.greet(&same, Strategy::Auto).await;
    for _ in 0..2 {
        session.handle_frame(&stream.next().await).unwrap();
    }
    while let Some(frame) = session.poll_frame().unwrap() {
        stream.frame(&frame).await;
    }
    assert!(session.is_finished());
    stream.frame(&[1, 2, 3]).await;
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(
            outcome,
            DriveError::Trailing | DriveError::Session(SessionError::Over)
        ),
        "{outcome}"
    );
}

/// What a stranger gives as its reason stands in our errors and logs.
#[test]
fn reasons_for_closing_are_escaped() {
    let reason = || "a\n\u{1b}[2J".as_bytes().to_vec().into();
    let by_application = ConnectionError::ApplicationClosed(quinn::ApplicationClose {
        error_code: VarInt::from_u32(1),
        reason: reason(),
    });
    let by_transport = ConnectionError::ConnectionClosed(quinn::ConnectionClose {
        error_code: quinn::TransportErrorCode::NO_ERROR,
        frame_type: None,
        reason: reason(),
    });
    for closed in [by_application, by_transport] {
        let text = Lost::from(closed).to_string();
        assert!(text.contains(r"a\n\u{1b}[2J"), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
