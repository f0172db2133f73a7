//! Peers: the schedule, several namespaces, strangers.

use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{Builder, Limits, Namespace, Node, Strategy, SyncError, SyncOptions};

fn member(cluster: &Cluster) -> Builder {
    Node::builder().in_memory().cluster(cluster)
}

/// A member that peers can connect to.
async fn listening(cluster: &Cluster) -> Node {
    let node = member(cluster).listen("127.0.0.1:0").start();
    node.await.unwrap()
}

/// Waits until the condition holds; a test that waits for long has failed.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), patience).await;
    assert!(waited.is_ok(), "{what} never came");
}

async fn has(namespace: &Namespace, key: &str) -> bool {
    namespace.get(key).await.unwrap().is_some()
}

#[tokio::test]
async fn static_peers_are_synced_again_and_again() {
    let cluster = Cluster::throwaway().unwrap();
    let bob = listening(&cluster).await;
    let ada = member(&cluster)
        .peer(&bob)
        .sync_every(Duration::from_millis(20));
    let ada = ada.start().await.unwrap();
    let [a, b] = [&ada, &bob].map(|node| node.namespace("app").unwrap());
    a.put("from ada", "1").await.unwrap();
    b.put("from bob", "1").await.unwrap();
    eventually("the first sync", async || {
        has(&a, "from bob").await && has(&b, "from ada").await
    })
    .await;
    b.put("later", "1").await.unwrap();
    eventually("a later sync", async || has(&a, "later").await).await;

    let [peer] = &ada.peers()[..] else {
        panic!("one peer was given")
    };
    assert_eq!(peer.node, Some(bob.id()));
    assert_eq!((peer.failures, &peer.last_error), (0, &None));
    assert!(peer.last_success.is_some());
    assert!(peer.last_report.as_ref().unwrap().agreed());
    assert!(bob.peers().is_empty());
    ada.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_peer_that_is_down_at_first_is_synced_when_it_comes() {
    let cluster = Cluster::throwaway().unwrap();
    let bob = listening(&cluster).await;
    let address = bob.local_addr().unwrap();
    bob.shutdown().await.unwrap();

    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(100);
    let ada = member(&cluster)
        .peer(address)
        .limits(limits)
        .sync_every(Duration::from_millis(20));
    let ada = ada.start().await.unwrap();
    let a = ada.namespace("app").unwrap();
    a.put("waiting", "1").await.unwrap();
    eventually("a failure", async || ada.peers()[0].failures > 0).await;
    let peer = &ada.peers()[0];
    assert!(peer.last_error.is_some() && peer.last_success.is_none());

    let bob = member(&cluster).listen(address.to_string());
    let bob = bob.start().await.unwrap();
    let b = bob.namespace("app").unwrap();
    eventually("bob", async || has(&b, "waiting").await).await;
    eventually("the status", async || ada.peers()[0].last_error.is_none()).await;
    assert_eq!(ada.peers()[0].node, Some(bob.id()));
}

#[tokio::test]
async fn what_both_carry_is_synced_and_nothing_else() {
    let cluster = Cluster::throwaway().unwrap();
    let bob = listening(&cluster).await;
    let ada = member(&cluster).start().await.unwrap();
    for name in ["both", "more", "adas"] {
        let namespace = ada.namespace(name).unwrap();
        namespace.put("k", name).await.unwrap();
    }
    for name in ["both", "more", "bobs"] {
        bob.namespace(name).unwrap();
    }
    let report = ada.sync_with(&bob).await.unwrap();
    assert!(report.agreed());
    assert_eq!(report.peer, bob.id());
    assert_eq!(report.namespaces.len(), 2);
    assert_eq!(report.namespaces["both"].rows_sent, 1);
    assert_eq!(report.not_shared, ["adas"]);
    assert_eq!(bob.namespaces(), ["bobs", "both", "more"]);

    let alone = ada.namespace("adas").unwrap().sync_with(&bob).await;
    let error = alone.unwrap_err();
    assert!(matches!(error, SyncError::Session { .. }), "{error}");
}

#[tokio::test]
async fn every_strategy_heals() {
    let cluster = Cluster::throwaway().unwrap();
    let bob = listening(&cluster).await;
    let ada = member(&cluster).start().await.unwrap();
    let [a, b] = [&ada, &bob].map(|node| node.namespace("app").unwrap());
    for strategy in [Strategy::Auto, Strategy::Walk, Strategy::Full] {
        a.put(format!("a:{strategy}"), "1").await.unwrap();
        b.set("s").insert(format!("b:{strategy}")).await.unwrap();
        let options = SyncOptions::default().strategy(strategy);
        let report = a.sync(&bob, &options).await.unwrap();
        assert!(report.agreed, "{report:?}");
        assert_eq!(report.strategy, strategy);
        assert_eq!(a.count().await.unwrap(), b.count().await.unwrap());
    }
    a.put("user:1", "1").await.unwrap();
    a.put("visit:1", "1").await.unwrap();
    let users = SyncOptions::default().prefix("user:");
    assert!(a.sync(&bob, &users).await.unwrap().agreed);
    assert!(has(&b, "user:1").await);
    assert!(!has(&b, "visit:1").await);
}

#[tokio::test]
async fn strangers_and_nobody_are_errors_with_a_remedy() {
    let mut limits = Limits::default();
    limits.connect = Duration::from_millis(300);
    let home = Cluster::throwaway().unwrap();
    let ada = member(&home).limits(limits).start().await.unwrap();
    ada.namespace("app").unwrap();
    let abroad = Cluster::throwaway().unwrap();
    let eve = listening(&abroad).await;
    let error = ada.sync_with(&eve).await.unwrap_err();
    assert!(matches!(error, SyncError::Connect(_)), "{error}");

    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = ada.sync_with(nobody.local_addr().unwrap()).await;
    assert!(matches!(error, Err(SyncError::Connect(_))));
    let error = ada.sync_with("no such host:1").await.unwrap_err();
    assert!(matches!(error, SyncError::Address { .. }), "{error}");
    let mute = member(&home).start().await.unwrap();
    let error = ada.sync_with(&mute).await.unwrap_err();
    assert!(error.to_string().contains("does not listen"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_sync_all_at_once_while_they_write() {
    let cluster = Cluster::throwaway().unwrap();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = member(&cluster).listen("127.0.0.1:0").start().await;
        nodes.push(node.unwrap());
    }
    let namespaces: Vec<_> = nodes
        .iter()
        .map(|node| node.namespace("app").unwrap())
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (me, namespace) in namespaces.iter().cloned().enumerate() {
        let nodes = nodes.clone();
        tasks.spawn(async move {
            for i in 0..100 {
                namespace.counter("total").increment().await.unwrap();
                namespace
                    .set("s")
                    .insert(format!("{me}:{i}"))
                    .await
                    .unwrap();
                if i % 10 == me {
                    let peer = &nodes[(me + 1) % nodes.len()];
                    namespace.sync_with(peer).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for _ in 0..2 {
        for pair in [[0, 1], [1, 2], [2, 0]] {
            nodes[pair[0]].sync_with(&nodes[pair[1]]).await.unwrap();
        }
    }
    for namespace in &namespaces {
        assert_eq!(namespace.counter("total").value().await.unwrap(), 300);
        assert_eq!(namespace.set("s").len().await.unwrap(), 300);
        let (ours, first) = (
            super::pair::root(namespace).await,
            super::pair::root(&namespaces[0]).await,
        );
        assert_eq!(ours, first);
    }
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_end() {
    let cluster = Cluster::throwaway().unwrap();
    let bob = listening(&cluster).await;
    let ada = member(&cluster).start().await.unwrap();
    for node in [&ada, &bob] {
        let app = node.namespace("app").unwrap();
        app.put("k", "v").await.unwrap();
    }
    ada.sync_with(&bob).await.unwrap();
    let begun = std::time::Instant::now();
    bob.shutdown().await.unwrap();
    ada.shutdown().await.unwrap();
    // With nothing under way nobody is waited for.
    assert!(begun.elapsed() < Duration::from_secs(3), "{begun:?}");
    assert!(ada.sync_with(&bob).await.is_err());
}
