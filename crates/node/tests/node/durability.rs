//! What is on disk: restarts, locks, shutdowns.

use std::collections::BTreeSet;

use syncline::trust::Cluster;
use syncline::{Durability, Error, Node, StartError};

async fn start(directory: &std::path::Path) -> Node {
    Node::builder().data_dir(directory).start().await.unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let (id, cluster) = (node.id(), node.cluster_id());
    let app = node.namespace("app").unwrap();
    app.put("v", "x").await.unwrap();
    app.counter("c").add(5).await.unwrap();
    app.set("s").insert("m").await.unwrap();
    let quick = app.with_durability(Durability::Memory);
    quick.map("m").set("f", "y").await.unwrap();
    node.namespace("other")
        .unwrap()
        .put("k", "z")
        .await
        .unwrap();
    let root = super::pair::root(&app).await;
    node.shutdown().await.unwrap();

    let node = start(directory.path()).await;
    assert_eq!((node.id(), node.cluster_id()), (id, cluster));
    assert_eq!(node.namespaces(), ["app", "other"]);
    let app = node.namespace("app").unwrap();
    assert_eq!(super::pair::root(&app).await, root);
    assert_eq!(app.counter("c").increment().await.unwrap(), 6);
    assert_eq!(app.map("m").get("f").await.unwrap().unwrap(), b"y");
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_node_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    assert_eq!(node.data_dir(), Some(directory.path()));
    let again = Node::builder().data_dir(directory.path()).start().await;
    let error = again.unwrap_err();
    assert!(matches!(error, StartError::AlreadyOpen { .. }), "{error}");
    assert!(error.to_string().contains("in use by another node"));

    let app = node.namespace("app").unwrap();
    app.put("k", "v").await.unwrap();
    node.shutdown().await.unwrap();
    let next = start(directory.path()).await;
    // Handles of the node that was shut down stay harmless.
    assert!(matches!(app.get("k").await, Err(Error::Closed)));
    assert!(matches!(app.put("k", "v").await, Err(Error::Closed)));
    let late = node.namespace("late").unwrap();
    assert!(matches!(late.put("k", "v").await, Err(Error::Closed)));
    node.shutdown().await.unwrap();
    let app = next.namespace("app").unwrap();
    assert_eq!(app.get("k").await.unwrap().unwrap(), b"v");
}

#[tokio::test]
async fn other_nodes_can_join_the_cluster_that_a_first_start_made() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("ada");
    let ada = Node::builder().data_dir(&home).listen("127.0.0.1:0");
    let ada = ada.start().await.unwrap();
    ada.namespace("app").unwrap().put("k", "v").await.unwrap();

    let identity = Cluster::open(home.join("identity")).unwrap();
    let identity = identity.issue("bob").unwrap();
    let bob = Node::builder().in_memory().identity(identity);
    let bob = bob.start().await.unwrap();
    assert_eq!(ada.cluster_id(), bob.cluster_id());
    let app = bob.namespace("app").unwrap();
    assert!(app.sync_with(&ada).await.unwrap().agreed);
    assert_eq!(app.get("k").await.unwrap().unwrap(), b"v");
}

#[tokio::test]
async fn a_store_of_another_cluster_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    node.namespace("app").unwrap().put("k", "v").await.unwrap();
    node.shutdown().await.unwrap();
    let stranger = Cluster::throwaway().unwrap();
    let builder = Node::builder().data_dir(directory.path());
    let node = builder.cluster(&stranger).start().await.unwrap();
    let error = node.namespace("app").unwrap().get("k").await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }));
    assert!(
        error.to_string().contains("another cluster secret"),
        "{error}"
    );
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let path = directory.path().join("namespaces").join("app.redb");
    std::fs::write(&path, "a shopping list").unwrap();
    let app = node.namespace("app").unwrap();
    let error = app.put("k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"a shopping list");
    // With the obstacle out of the way the same handle works.
    std::fs::remove_file(&path).unwrap();
    app.put("k", "v").await.unwrap();
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_row_is_withdrawn_and_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::throwaway().unwrap();
    let ada = || Node::builder().data_dir(directory.path()).cluster(&cluster);
    let bob = Node::builder().in_memory().cluster(&cluster);
    let bob = bob.listen("127.0.0.1:0").start().await.unwrap();
    bob.namespace("app").unwrap();

    let node = ada().start().await.unwrap();
    let app = node.namespace("app").unwrap();
    for key in ["damaged", "sound", "scanned"] {
        app.put(key, "value").await.unwrap();
    }
    app.sync_with(&bob).await.unwrap();
    let root = super::pair::root(&app).await;
    node.shutdown().await.unwrap();
    for key in ["damaged", "scanned"] {
        damage(directory.path(), key);
    }

    let node = ada().start().await.unwrap();
    let app = node.namespace("app").unwrap();
    let error = app.get("damaged").await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("sync with a peer"), "{error}");
    let error = app.scan("").await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(app.get("damaged").await.unwrap(), None);
    assert_eq!(app.get("sound").await.unwrap().unwrap(), b"value");

    assert!(app.sync_with(&bob).await.unwrap().agreed);
    assert_eq!(app.get("damaged").await.unwrap().unwrap(), b"value");
    assert_eq!(super::pair::root(&app).await, root);
    let recount = app.read(|view| view.recount()).await.unwrap();
    assert!(recount.is_sound(), "{recount:?}");
    node.shutdown().await.unwrap();
}

/// Flips a bit of a row's value on disk.
fn damage(directory: &std::path::Path, key: &str) {
    use syncline_store::{Batch, Durability, Engine, RedbEngine, RedbOptions, Snapshot, Table};

    let path = directory.join("namespaces").join("app.redb");
    let engine = RedbEngine::open(path, RedbOptions::default()).unwrap();
    let row = syncline_crdt::RowKey::cell(key.as_bytes());
    let snapshot = engine.snapshot().unwrap();
    let mut value = snapshot.get(Table::Rows, row.as_bytes()).unwrap().unwrap();
    *value.last_mut().unwrap() ^= 1;
    let mut batch = Batch::new();
    batch.put(Table::Rows, row.as_bytes(), &value);
    engine.commit(batch, Durability::Durable).unwrap();
}

#[tokio::test]
async fn a_node_needs_to_know_where_its_data_lies() {
    let error = Node::builder().start().await.unwrap_err();
    assert!(matches!(error, StartError::NoStorage));
    let builder = Node::builder().in_memory().listen("nonsense");
    let error = builder.start().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Node::builder().data_dir(file.path()).start().await;
    let error = error.unwrap_err();
    assert!(matches!(error, StartError::DataDir { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_with_work_in_flight_keeps_exactly_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let app = node.namespace("app").unwrap();
    let writers: Vec<_> = (0..100)
        .map(|writer: u32| {
            let app = app.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for write in 0..1000 {
                    let key = format!("{writer}:{write}");
                    match app.put(&key, "x").await {
                        Ok(()) => acknowledged.push(key.into_bytes()),
                        Err(Error::Closed) => return acknowledged,
                        Err(error) => panic!("{error}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    while app.write_stats().await.unwrap().transactions < 200 {
        tokio::task::yield_now().await;
    }
    node.shutdown().await.unwrap();
    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!((200..100_000).contains(&acknowledged.len()));

    let node = start(directory.path()).await;
    let app = node.namespace("app").unwrap();
    let kept = app.scan("").await.unwrap().collect().await.unwrap();
    let kept: BTreeSet<_> = kept.into_iter().map(|(key, _)| key).collect();
    assert_eq!(kept, acknowledged);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_node_may_be_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let app = node.namespace("app").unwrap();
    app.put("k", "v").await.unwrap();
    drop(node);
    // A namespace goes on without its node, and with the last handle everything is closed.
    app.put("k", "w").await.unwrap();
    drop(app);
    let node = loop {
        match Node::builder().data_dir(directory.path()).start().await {
            Ok(node) => break node,
            Err(StartError::AlreadyOpen { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let app = node.namespace("app").unwrap();
    let value = loop {
        match app.get("k").await {
            Ok(value) => break value,
            // The writer's thread closes the file a moment after the last handle is dropped.
            Err(Error::Open { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(value.unwrap(), b"w");
}

#[tokio::test]
async fn a_file_that_held_more_gives_the_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(directory.path()).await;
    let app = node.namespace("app").unwrap();
    let fill = app
        .transaction(|t| (0..4_000).try_for_each(|n| t.put(format!("k{n}"), vec![n as u8; 1_000])));
    fill.await.unwrap();
    // So that it reaches the file.
    node.shutdown().await.unwrap();
    let node = start(directory.path()).await;
    let app = node.namespace("app").unwrap();
    let cleared =
        app.transaction(|t| (1..4_000).try_for_each(|n| t.delete(format!("k{n}")).map(drop)));
    cleared.await.unwrap();
    let mut watch = app.watch("").await.unwrap();
    while !matches!(
        watch.next().await.unwrap(),
        syncline::watch::Event::Resume(_)
    ) {}

    // Not under the feet of a reader.
    let view = app.view().await.unwrap();
    assert!(matches!(app.compact().await, Err(Error::InView)));
    assert_eq!(view.get("k0").unwrap().unwrap(), [0; 1_000]);
    drop(view);
    let compaction = app.compact().await.unwrap();
    assert!(compaction.before > 4_000_000, "{compaction:?}");
    assert!(compaction.after < 1_000_000, "{compaction:?}");

    // All is there, and goes on, watches too.
    assert_eq!(app.get("k0").await.unwrap().unwrap(), [0; 1_000]);
    assert!(app.read(|view| view.recount()).await.unwrap().is_sound());
    app.put("k0", "new").await.unwrap();
    assert!(matches!(
        watch.next().await.unwrap(),
        syncline::watch::Event::Change(change) if change.key() == b"k0"
    ));
    node.shutdown().await.unwrap();
    assert!(matches!(app.compact().await, Err(Error::Closed)));
    let memory = Node::in_memory().await.unwrap().namespace("app").unwrap();
    let compaction = memory.compact().await.unwrap();
    assert_eq!(compaction.before, compaction.after);
}
