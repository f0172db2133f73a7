//! Scrubs of a node's namespaces, and what becomes of damage.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{Builder, Node, ScrubOptions, ScrubRate};

const VALUE: &str = "a value that is found again in the file";

fn builder(data: &Path, cluster: &Cluster) -> Builder {
    Node::builder().data_dir(data).cluster(cluster)
}

/// A node with ten values, and a peer that has them, too. The node's directory, with one value damaged.
async fn damaged(data: &Path, cluster: &Cluster) -> Node {
    let healthy = Node::builder().in_memory().cluster(cluster);
    let healthy = healthy.listen("127.0.0.1:0").start().await.unwrap();
    healthy.namespace("app").unwrap();
    let node = builder(data, cluster).start().await.unwrap();
    let app = node.namespace("app").unwrap();
    for n in 0..10 {
        app.put(format!("k{n}"), format!("{VALUE} {n}"))
            .await
            .unwrap();
    }
    assert!(app.sync_with(&healthy).await.unwrap().agreed);
    node.shutdown().await.unwrap();

    let file = data.join("namespaces/app.redb");
    let mut bytes = fs::read(&file).unwrap();
    let value = format!("{VALUE} 4");
    let places: Vec<usize> = (0..bytes.len() - value.len())
        .filter(|at| bytes[*at..].starts_with(value.as_bytes()))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    healthy
}

#[tokio::test]
async fn a_scrub_finds_what_nobody_reads_and_the_next_sync_heals_it() {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::throwaway().unwrap();
    let healthy = damaged(scratch.path(), &cluster).await;
    let node = builder(scratch.path(), &cluster).start().await.unwrap();
    let app = node.namespace("app").unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let steps = told.clone();
    let options = ScrubOptions::default()
        .rate(ScrubRate::UNBOUNDED)
        .on_progress(move |report| {
            steps.fetch_max(report.rows, Ordering::Relaxed);
        });
    let report = app.scrub(&options).await.unwrap();
    assert_eq!((report.rows, report.withdrawn.rows), (10, 1));
    assert!(!report.is_clean() && report.finished);
    assert_eq!(told.load(Ordering::Relaxed), 10);
    assert_eq!(app.get("k4").await.unwrap(), None);

    assert!(app.sync_with(&healthy).await.unwrap().agreed);
    for node in [&node, &healthy] {
        let value = node.namespace("app").unwrap().get("k4").await.unwrap();
        assert_eq!(value, Some(format!("{VALUE} 4").into_bytes()));
    }
    assert!(app.scrub(&options).await.unwrap().is_clean());
    node.shutdown().await.unwrap();
    assert!(app.scrub(&options).await.is_err());
}

#[tokio::test]
async fn a_node_scrubs_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::throwaway().unwrap();
    let healthy = damaged(scratch.path(), &cluster).await;
    let hour = Duration::from_secs(3600);
    let node = builder(scratch.path(), &cluster).scrub_every(hour, ScrubRate::UNBOUNDED);
    let node = node.start().await.unwrap();
    let app = node.namespace("app").unwrap();
    // No read of the row, which would find it damaged by itself.
    while app.count().await.unwrap() == 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(app.sync_with(&healthy).await.unwrap().agreed);
    assert_eq!(app.count().await.unwrap(), 10);
    node.shutdown().await.unwrap();
}
