use std::time::Duration;

use syncline_store::{Durability, RedbEngine, RedbOptions, Store};
use syncline_sync::Strategy;
use syncline_sync::quic::{Endpoint, Limits};

use crate::members::Authority;
use crate::world::*;

/// Both sides add, overwrite and remove what the other does not know of.
fn diverge(here: &Replica, there: &Replica) {
    fill(here, "here", 0..40);
    fill(there, "there", 0..60);
    fill(here, "common", 100..120);
    fill(there, "common", 110..140);
    remove(here, "common", 200..250);
    remove(there, "common", 240..300);
}

async fn heals(strategy: Strategy) {
    let (here, there) = (store(), store());
    fill(&here, "common", 0..2000);
    let mut pair = Pair::new(there.clone(), Limits::default()).await;

    let first = pair.sync(&here, strategy).await;
    assert!(first.agreed);
    assert_eq!((first.rows_sent, first.rows_received), (2000, 0));
    assert_equal(&here, &there);

    diverge(&here, &there);
    let second = pair.sync(&here, strategy).await;
    assert!(second.agreed);
    assert_equal(&here, &there);
    assert_eq!(rows(&here), 2000 - 100 + 100);

    let quiet = pair.sync(&here, strategy).await;
    assert!(quiet.agreed);
    assert_eq!(quiet.flights, 2);
    assert!(quiet.bytes_total() <= 512, "{} bytes", quiet.bytes_total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_heals() {
    in_time(heals(Strategy::Auto)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn walk_heals() {
    in_time(heals(Strategy::Walk)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_heals() {
    in_time(heals(Strategy::Full)).await;
}

/// Two sides that both stream more than all windows and queues between them hold do not wait for
/// each other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_may_stream_at_once() {
    let mut limits = Limits::default();
    limits.stream_window = 16 << 10;
    limits.connection_window = 32 << 10;
    for strategy in [Strategy::Auto, Strategy::Full] {
        let (here, there) = (store(), store());
        fill(&here, "here", 0..15_000);
        fill(&there, "there", 0..15_000);
        let mut pair = Pair::new(there.clone(), limits.clone()).await;
        let report = in_time(pair.sync(&here, strategy)).await;
        assert!(report.agreed);
        assert!(report.rows_sent >= 15_000 && report.rows_received >= 15_000);
        assert_equal(&here, &there);
    }
}

/// A frame may exceed every window on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_value_crosses() {
    let (here, there) = (store(), store());
    let largest = vec![5; syncline_crdt::limits::MAX_PAYLOAD];
    here.transact(Durability::Memory, |txn| {
        txn.put(&key("large", 0), largest.clone())
    })
    .unwrap();
    let mut pair = Pair::new(there.clone(), Limits::default()).await;
    assert!(in_time(pair.sync(&here, Strategy::Auto)).await.agreed);
    assert_equal(&here, &there);
}

/// Durable stores on disk, one of which is opened anew in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_on_disk_heal() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("here.redb");
    let open = || {
        let engine = RedbEngine::open_or_create(&path, RedbOptions::default()).unwrap();
        Store::open(engine, syncline_store::Config::new(NAMESPACE, [3; 32])).unwrap()
    };
    let there = store();
    fill(&there, "there", 0..3000);
    let pair = Pair::new(there.clone(), Limits::default()).await;
    let sync = async |here: Store<RedbEngine>| {
        let session = pair
            .connection
            .sync(here, config(), request(Strategy::Auto));
        in_time(session).await.unwrap()
    };

    assert!(sync(open()).await.agreed);
    let here = open();
    assert_eq!(here.view().unwrap().row_count(), 3000);
    here.transact(Durability::Durable, |txn| txn.remove(&key("there", 7)))
        .unwrap();
    let report = sync(here.clone()).await;
    assert!(report.agreed);
    assert_eq!(rows(&there), 2999);
    assert_eq!(
        here.view().unwrap().root().unwrap(),
        there.view().unwrap().root().unwrap()
    );
}

/// A report is not worth much if closing the connection right after it loses the peer's last frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_right_after_a_session_loses_nothing() {
    let authority = Authority::new("ours");
    let (here, there) = (store(), store());
    let mut server = Server::start(&authority.identity(), Limits::default(), there.clone());
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), Limits::default()).unwrap();
    for round in 0..30 {
        fill(&here, "here", round * 10..round * 10 + 10);
        let connection = client.connect(server.address).await.unwrap();
        let report = in_time(sync(&connection, &here, Strategy::Auto))
            .await
            .unwrap();
        connection.close();
        assert!(report.agreed);
        assert!(server.outcome().await.unwrap().agreed);
    }
    assert_equal(&here, &there);
}

/// The initiator's own endpoint may serve at the same time, even the peer's sessions over the same
/// stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_begin() {
    let authority = Authority::new("ours");
    let (here, there) = (store(), store());
    fill(&here, "here", 0..500);
    fill(&there, "there", 0..500);
    let one = Server::start(&authority.identity(), Limits::default(), here.clone());
    let other = Server::start(&authority.identity(), Limits::default(), there.clone());
    let out = one.endpoint.connect(other.address).await.unwrap();
    let back = other.endpoint.connect(one.address).await.unwrap();
    assert_eq!(out.peer(), other.endpoint.node());
    assert_eq!(back.peer(), one.endpoint.node());
    let (first, second) = in_time(async {
        tokio::join!(
            sync(&out, &here, Strategy::Auto),
            sync(&back, &there, Strategy::Walk)
        )
    })
    .await;
    first.unwrap();
    second.unwrap();
    in_time(sync(&out, &here, Strategy::Auto)).await.unwrap();
    assert_equal(&here, &there);
    assert!(out.rtt() < Duration::from_secs(1));
}
