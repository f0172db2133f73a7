//! Removing prefixes and whole namespaces everywhere, and dropping a namespace here.

use syncline::{Error, Node};

use crate::pair::Pair;

#[tokio::test]
async fn a_prefix_goes_and_nothing_else() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.put("a:1", "x").await.unwrap();
    app.set("a:2").insert("x").await.unwrap();
    app.set("a:2").insert("y").await.unwrap();
    app.map("a:3").set("f", "x").await.unwrap();
    app.counter("a:4").add(5).await.unwrap();
    for other in ["a", "a9", "b:1"] {
        app.put(other, "x").await.unwrap();
    }
    assert_eq!(app.remove_prefix("a:").await.unwrap(), 5);
    assert_eq!(app.count().await.unwrap(), 3, "a remnant is no key");
    assert_eq!(
        app.keys("").await.unwrap().collect().await.unwrap().len(),
        3
    );
    assert_eq!(app.remove_prefix("a:").await.unwrap(), 0);
    assert_eq!(app.counter("a:4").increment().await.unwrap(), 1);
    assert_eq!(app.clear().await.unwrap(), 4);
    assert!(
        app.keys("")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .is_empty()
    );
}

/// More than a chunk, healed in a few hundred bytes, with what the other node has written meanwhile.
#[tokio::test]
async fn what_was_not_observed_survives_on_both_sides() {
    let pair = Pair::apart().await;
    let members = (0..10_000).map(|n| format!("{n:05}"));
    pair.a
        .transaction(|t| {
            members
                .into_iter()
                .try_for_each(|it| t.set("s").insert(it).map(drop))
        })
        .await
        .unwrap();
    pair.a.counter("c").add(5).await.unwrap();
    pair.heal().await;
    pair.b.set("s").insert("00007").await.unwrap();
    pair.b.set("s").insert("new").await.unwrap();
    pair.b.counter("c").add(2).await.unwrap();
    pair.a.counter("c").add(3).await.unwrap();

    assert_eq!(pair.a.clear().await.unwrap(), 10_001);
    let report = pair.a.sync_with(&pair.nodes[1]).await.unwrap();
    assert!(report.agreed);
    assert!(report.bytes_total() < 3_000, "{}", report.bytes_total());
    for node in [&pair.a, &pair.b] {
        let left = node.set("s").members().await.unwrap().collect().await;
        assert_eq!(left.unwrap(), [&b"00007"[..], b"new"]);
        assert_eq!(node.counter("c").value().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_dropped_namespace_is_gone_here_and_nowhere_else() {
    let scratch = tempfile::tempdir().unwrap();
    let start = async || {
        let node = Node::builder().data_dir(scratch.path());
        node.start().await.unwrap()
    };
    let files = || -> Vec<String> {
        let files = std::fs::read_dir(scratch.path().join("namespaces")).unwrap();
        let mut names: Vec<_> = files
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let node = start().await;
    for name in ["app", "app.2", "kept"] {
        let namespace = node.namespace(name).unwrap();
        namespace.put("a", "x").await.unwrap();
    }
    let app = node.namespace("app").unwrap();
    assert!(matches!(
        node.drop_namespace("other").await,
        Err(Error::NotCarried { .. })
    ));
    // As long as somebody reads it, it stays as it was.
    let view = app.view().await.unwrap();
    assert!(matches!(
        node.drop_namespace("app").await,
        Err(Error::InUse { .. })
    ));
    assert_eq!(app.count().await.unwrap(), 1);
    drop(view);
    node.drop_namespace("app").await.unwrap();
    assert!(matches!(app.count().await, Err(Error::Dropped { .. })));
    assert!(matches!(
        app.put("a", "y").await,
        Err(Error::Dropped { .. })
    ));
    assert!(matches!(
        node.drop_namespace("app").await,
        Err(Error::NotCarried { .. })
    ));
    assert_eq!(node.namespaces(), ["app.2", "kept"]);
    assert!(files().iter().all(|it| !it.starts_with("app.redb")));
    let again = node.namespace("app").unwrap();
    assert_eq!(again.count().await.unwrap(), 0);
    again.put("b", "y").await.unwrap();
    node.shutdown().await.unwrap();
    assert!(matches!(
        node.drop_namespace("app").await,
        Err(Error::Closed)
    ));

    // A crash in the middle of a drop: the store is called dropped, all else is still there.
    let directory = scratch.path().join("namespaces");
    std::fs::rename(directory.join("app.redb"), directory.join("app.dropped")).unwrap();
    std::fs::write(directory.join("app.redb.log-00000000000000000007"), "left").unwrap();
    let node = start().await;
    assert_eq!(node.namespaces(), ["app.2", "kept"]);
    assert!(
        files()
            .iter()
            .all(|it| !it.starts_with("app.redb") && !it.contains("dropped"))
    );
    for name in ["app.2", "kept"] {
        assert_eq!(node.namespace(name).unwrap().count().await.unwrap(), 1);
    }
    node.shutdown().await.unwrap();
}

/// The others keep it, and give it back to whoever asks for it again.
#[tokio::test]
async fn peers_keep_what_is_dropped() {
    let pair = Pair::apart().await;
    pair.a.put("a", "x").await.unwrap();
    pair.heal().await;
    let name = pair.b.name().to_owned();
    pair.nodes[1].drop_namespace(&name).await.unwrap();
    assert!(
        pair.a.sync_with(&pair.nodes[1]).await.is_err(),
        "it is not carried"
    );
    let again = pair.nodes[1].namespace(&name).unwrap();
    assert!(pair.a.sync_with(&pair.nodes[1]).await.unwrap().agreed);
    assert_eq!(again.get("a").await.unwrap().as_deref(), Some(&b"x"[..]));
}
