//! Rows that a newer version wrote: kept, passed on, never misread.

use syncline::trust::Cluster;
use syncline::{Error, Kind, Node};
use syncline_crdt::{Family, RowKey};
use syncline_store::{Config, Durability, RedbEngine, RedbOptions, Store, StoreError};

/// A payload whose tag nobody knows yet.
const NEWER: &[u8] = &[0x7f, 1, 2, 3];

#[tokio::test]
async fn rows_of_a_newer_version_are_kept_and_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::throwaway().unwrap();
    let ada = cluster.admit().unwrap();
    let namespaces = directory.path().join("namespaces");
    std::fs::create_dir(&namespaces).unwrap();
    let file = RedbEngine::create(namespaces.join("app.redb"), RedbOptions::default()).unwrap();
    let store = Store::open(file, Config::new("app", *ada.secret())).unwrap();
    store
        .transact(Durability::Durable, |t| {
            t.put(&RowKey::cell(b"value"), NEWER.to_vec())?;
            t.put(&RowKey::field(b"map", b"new"), NEWER.to_vec())?;
            t.put(&RowKey::field(b"map", b"old"), b"\x01x".to_vec())?;
            t.put(&RowKey::new(b"list", Family(9), b"1"), NEWER.to_vec())?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    drop(store);

    let builder = Node::builder().data_dir(directory.path()).membership(ada);
    let node = builder.start().await.unwrap();
    let app = node.namespace("app").unwrap();
    let bob = Node::builder().in_memory().cluster(&cluster);
    let bob = bob.listen("127.0.0.1:0").start().await.unwrap();
    let copy = bob.namespace("app").unwrap();
    assert!(app.sync_with(&bob).await.unwrap().agreed);
    assert_eq!(copy.count().await.unwrap(), 3);

    // It is there, and says so, but no old reader makes anything of it.
    assert_eq!(copy.kind("value").await.unwrap(), Some(Kind::Value));
    assert_eq!(copy.kind("list").await.unwrap(), Some(Kind::Unknown));
    for outcome in [
        copy.get("value").await.map(drop),
        copy.counter("value").increment().await.map(drop),
        copy.register("value").siblings().await.map(drop),
        copy.map("map").get("new").await.map(drop),
        copy.map("map").increment("new", 1).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::NewerEncoding { .. })));
    }
    let outcome = copy.set("list").insert("x").await;
    assert!(matches!(outcome, Err(Error::WrongKind { .. })));
    assert_eq!(copy.map("map").get("old").await.unwrap().unwrap(), b"x");

    // What was observed can be overwritten and deleted all the same.
    copy.put("value", "anew").await.unwrap();
    assert!(copy.delete("map").await.unwrap());
    assert!(copy.delete("list").await.unwrap());
    assert!(app.sync_with(&bob).await.unwrap().agreed);
    assert_eq!(app.get("value").await.unwrap().unwrap(), b"anew");
    assert_eq!(app.count().await.unwrap(), 1);
    node.shutdown().await.unwrap();
}
