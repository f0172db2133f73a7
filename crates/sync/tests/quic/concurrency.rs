use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use syncline_sync::quic::{DriveError, Endpoint, Limits, Lost, StreamError};
use syncline_sync::{RefusalCode, Strategy};

use crate::members::Authority;
use crate::raw::Raw;
use crate::world::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_run_at_once_while_writes_go_on() {
    let authority = Authority::new("ours");
    let hub = store();
    fill(&hub, "common", 0..300);
    let server = Server::start(&authority.identity(), Limits::default(), hub.clone());
    let leaves: Vec<Replica> = (0..3).map(|_| store()).collect();

    let writing = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = leaves
        .iter()
        .chain([&hub])
        .enumerate()
        .map(|(who, store)| {
            let (store, writing) = (store.clone(), writing.clone());
            tokio::task::spawn_blocking(move || {
                let mut round = 0;
                while writing.load(Ordering::Relaxed) {
                    fill(&store, &format!("writer{who}"), round * 5..round * 5 + 5);
                    remove(&store, &format!("writer{who}"), round * 5..round * 5 + 2);
                    remove(&store, "common", round % 300..round % 300 + 1);
                    round += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();

    let mut sessions = tokio::task::JoinSet::new();
    for leaf in &leaves {
        let client = Endpoint::bind(LOOPBACK, &authority.identity(), Limits::default()).unwrap();
        let connection = client.connect(server.address).await.unwrap();
        for strategy in [
            Strategy::Auto,
            Strategy::Walk,
            Strategy::Full,
            Strategy::Auto,
        ] {
            let (connection, leaf) = (connection.clone(), leaf.clone());
            sessions.spawn(async move {
                for _ in 0..3 {
                    sync(&connection, &leaf, strategy).await.unwrap();
                }
            });
        }
    }
    in_time(async {
        while let Some(session) = sessions.join_next().await {
            session.unwrap();
        }
    })
    .await;
    writing.store(false, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }

    // Now that all is quiet, two rounds bring everybody together.
    for _ in 0..2 {
        for leaf in &leaves {
            let client =
                Endpoint::bind(LOOPBACK, &authority.identity(), Limits::default()).unwrap();
            let connection = client.connect(server.address).await.unwrap();
            let report = in_time(sync(&connection, leaf, Strategy::Auto))
                .await
                .unwrap();
            assert!(report.agreed);
        }
    }
    for leaf in &leaves {
        assert_equal(leaf, &hub);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_too_many_is_told_so() {
    let authority = Authority::new("ours");
    let mut limits = Limits::default();
    limits.sessions = 1;
    let there = store();
    fill(&there, "there", 0..100);
    let mut server = Server::start(&authority.identity(), limits.clone(), there);
    let raw = Raw::new(authority.certificate(), Some(authority.papers()));
    let raw = raw.connect(server.address).await.unwrap();
    let mut dawdler = raw.stream().await;
    dawdler.greet(&store(), Strategy::Walk).await;
    // The answer shows that the session is under way.
    let mut byte = [0];
    dawdler.recv.read_exact(&mut byte).await.unwrap();

    let client = Endpoint::bind(LOOPBACK, &authority.identity(), limits).unwrap();
    let connection = client.connect(server.address).await.unwrap();
    let here = store();
    let error = in_time(sync(&connection, &here, Strategy::Auto))
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Busy);
    let outcome = server.outcome().await.unwrap_err();
    assert_eq!(outcome.refusal().unwrap().code, RefusalCode::Busy);

    // The place is free again when the session in it has ended.
    dawdler.send.reset(0u32.into()).unwrap();
    let outcome = server.outcome().await.unwrap_err();
    assert!(
        matches!(outcome, DriveError::Stream(StreamError::Abandoned)),
        "{outcome}"
    );
    assert!(
        in_time(sync(&connection, &here, Strategy::Auto))
            .await
            .unwrap()
            .agreed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_refused() {
    let authority = Authority::new("ours");
    let mut limits = Limits::default();
    limits.connections = 1;
    let server = Server::start(&authority.identity(), limits, store());
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), Limits::default()).unwrap();
    let first = client.connect(server.address).await.unwrap();
    in_time(sync(&first, &store(), Strategy::Auto))
        .await
        .unwrap();
    let error = client.connect(server.address).await.unwrap_err();
    assert!(error.to_string().contains("no more connections"), "{error}");
    in_time(sync(&first, &store(), Strategy::Auto))
        .await
        .unwrap();
}

/// Dropping a session in the middle ends it on both sides, keeps what was stored, and the next goes
/// on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_session_leaves_both_stores_sound() {
    let there = store();
    fill(&there, "there", 0..20_000);
    let mut pair = Pair::slow(there.clone()).await;
    let here = store();
    let begun = {
        let session = sync(&pair.connection, &here, Strategy::Auto);
        let some_rows = async {
            while rows(&here) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            outcome = session => panic!("too fast to be dropped: {outcome:?}"),
            () = in_time(some_rows) => rows(&here),
        }
    };
    let outcome = pair.server.outcome().await.unwrap_err();
    assert!(
        matches!(outcome, DriveError::Stream(StreamError::Abandoned)),
        "{outcome}"
    );
    assert!(here.view().unwrap().recount().unwrap().is_sound());
    let report = in_time(pair.sync(&here, Strategy::Auto)).await;
    assert!(report.agreed);
    assert!(report.rows_received <= 20_000 - begun);
    assert_equal(&here, &there);
}

/// An endpoint that closes says so, and what is under way ends on both sides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_an_endpoint_ends_its_sessions() {
    let there = store();
    fill(&there, "there", 0..20_000);
    let pair = Pair::slow(there).await;
    let here = store();
    let session = sync(&pair.connection, &here, Strategy::Auto);
    let closing = async {
        while rows(&here) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        pair.server.endpoint.close().await;
    };
    let (outcome, ()) = in_time(async { tokio::join!(session, closing) }).await;
    let Err(DriveError::Stream(StreamError::Lost(Lost::ClosedByPeer { reason }))) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(reason, "the node shuts down");
    assert!(here.view().unwrap().recount().unwrap().is_sound());
    assert!(pair.client.connect(pair.server.address).await.is_err());
}
