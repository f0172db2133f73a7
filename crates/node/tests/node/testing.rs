//! The cluster that applications test with: it starts, is cut, and heals.

use syncline::testing::cluster;
use syncline::{SyncError, SyncOptions};

#[tokio::test]
async fn a_cluster_heals_whatever_was_written_where() {
    let cluster = cluster(3).await.unwrap();
    assert!(cluster.converged().await.unwrap());
    let [a, b, c] = &cluster.namespaces("app").unwrap()[..] else {
        panic!("three nodes were asked for");
    };
    for app in [a, b, c] {
        app.counter("n").increment().await.unwrap();
    }
    // One that only one node has heard of.
    cluster[1]
        .namespace("rare")
        .unwrap()
        .put("k", "v")
        .await
        .unwrap();
    assert!(!cluster.converged().await.unwrap());
    cluster.sync_all().await.unwrap();
    assert!(cluster.converged().await.unwrap());
    for app in [a, b, c] {
        assert_eq!(app.counter("n").value().await.unwrap(), 3);
    }
    let rare = cluster[2].namespace("rare").unwrap();
    assert_eq!(rare.get("k").await.unwrap().unwrap(), b"v");

    // A removal is news, too, though it brings no row.
    c.counter("n").reset().await.unwrap();
    rare.delete("k").await.unwrap();
    cluster.heal().await.unwrap();
    assert!(cluster.converged().await.unwrap());
    assert_eq!(a.counter("n").value().await.unwrap(), 0);
}

#[tokio::test]
async fn a_cut_is_a_cut_until_it_is_mended() {
    let cluster = cluster(4).await.unwrap();
    let apps = cluster.namespaces("app").unwrap();
    // A line, 3 – 1 – 0 – 2, against the order in which pairs are synced; and what passes along it.
    for (a, b) in [(0, 3), (1, 2), (2, 3)] {
        cluster.cut(a, b);
    }
    apps[3].put("from", "3").await.unwrap();
    cluster.sync_all().await.unwrap();
    assert!(cluster.converged().await.unwrap());
    assert_eq!(apps[2].get("from").await.unwrap().unwrap(), b"3");

    cluster.cut(1, 0);
    apps[1].put("other half", "1").await.unwrap();
    cluster.sync_all().await.unwrap();
    assert!(!cluster.converged().await.unwrap());
    assert!(apps[3].get("other half").await.unwrap().is_some());
    assert_eq!(apps[0].get("other half").await.unwrap(), None);

    // Not only is the pair passed over: nothing comes through.
    let through = cluster.address(0, 1).unwrap();
    let cut = apps[0].sync(through.clone(), &SyncOptions::default()).await;
    assert!(matches!(cut, Err(SyncError::Connect(_))), "{cut:?}");
    cluster.mend(0, 1);
    assert!(apps[0].sync_with(through).await.unwrap().agreed);
    assert!(apps[0].get("other half").await.unwrap().is_some());
    cluster.heal().await.unwrap();
    assert!(cluster.converged().await.unwrap());
}

#[tokio::test]
async fn a_node_that_is_not_there_is_none() {
    let cluster = cluster(1).await.unwrap();
    assert_eq!(cluster.nodes().len(), 1);
    assert!(cluster.address(0, 0).is_none() && cluster.address(0, 1).is_none());
    cluster.cut(0, 7);
    cluster.heal().await.unwrap();
    assert!(cluster.converged().await.unwrap());
}
