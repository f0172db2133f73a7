//! Members that greet as somebody whom their certificate does not make them.

use syncline_sync::quic::{ALPN, Endpoint};
use syncline_sync::{RefusalCode, Session, SessionError, Strategy};

use crate::members::Authority;
use crate::raw::{Raw, RawStream, raw_server};
use crate::world::*;

/// What the impostor is told.
async fn told(stream: &mut RawStream, mut session: Session<Replica>) -> RefusalCode {
    loop {
        // Its own name may be on its way before it has heard ours.
        let frame = in_time(stream.next()).await;
        match session.handle_frame(&frame) {
            Ok(()) => {}
            Err(SessionError::Refused(refusal)) => return refusal.code,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_as_another_node_is_refused() {
    let authority = Authority::new("ours");
    let mut server = Server::start(&authority.identity(), impatient(), store());
    let (papers, another) = (authority.papers(), authority.papers().node());
    let raw = Raw::new(authority.certificate(), Some(papers));
    let raw = raw.connect(server.address).await.unwrap();
    let here = store();
    fill(&here, "here", 0..10);
    for greets_as in [another, *server.endpoint.node().as_bytes(), [9; 32]] {
        let mut stream = raw.stream().await;
        stream.node = greets_as;
        let session = stream.greet(&here, Strategy::Auto).await;
        assert_eq!(told(&mut stream, session).await, RefusalCode::Identity);
        let outcome = server.outcome().await.unwrap_err();
        assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Identity);
    }
    assert_eq!(rows(&server.store), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_as_another_node_is_refused() {
    let authority = Authority::new("ours");
    let endpoint = raw_server(&authority.papers(), ALPN);
    let address = endpoint.local_addr().unwrap();
    let another = authority.papers().node();
    let answering = tokio::spawn(async move {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (send, recv) = connection.accept_bi().await.unwrap();
        let mut stream = RawStream {
            send,
            recv,
            node: another,
        };
        let there = store();
        fill(&there, "there", 0..10);
        let session = stream.answer(&there).await;
        told(&mut stream, session).await
    });
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), impatient()).unwrap();
    let connection = client.connect(address).await.unwrap();
    let here = store();
    let error = in_time(sync(&connection, &here, Strategy::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Identity);
    assert_eq!(answering.await.unwrap(), RefusalCode::Identity);
    assert_eq!(rows(&here), 0);
}
