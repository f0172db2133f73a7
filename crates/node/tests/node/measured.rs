//! What a node tells of its own work.

use std::time::Duration;

use syncline::{Node, Sizes};
use syncline_merkle::RangeDigest;

#[tokio::test]
async fn the_key_range_is_told_in_parts_of_about_the_same_size() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    assert!(app.read(|view| view.parts(64)).await.unwrap().is_empty());
    // More than are read one by one.
    let fill = app.transaction(|t| (0..30_000).try_for_each(|n| t.put(format!("key:{n:05}"), "x")));
    fill.await.unwrap();
    let parts = app.read(|view| view.parts(64)).await.unwrap();
    assert!((48..=64).contains(&parts.len()), "{}", parts.len());
    assert!(parts[0].key.is_empty() && parts[0].lower.is_empty());
    assert!(parts.windows(2).all(|pair| pair[0].lower < pair[1].lower));
    assert!(parts.windows(2).all(|pair| pair[0].key < pair[1].key));
    let sum = parts
        .iter()
        .fold(RangeDigest::ZERO, |sum, it| sum + it.digest);
    assert_eq!(sum, app.read(|view| view.root()).await.unwrap());
    let digest = app.read(|view| Ok((view.digest_of("")?, view.digest_of("key:01")?)));
    let (all, some) = digest.await.unwrap();
    assert_eq!((all, some.count()), (sum, 1000));
    let largest = parts.iter().map(|it| it.digest.count()).max().unwrap();
    assert!(largest < 4 * 30_000 / 64, "{largest}");
}

#[tokio::test]
async fn a_session_shows_where_rows_were_exchanged() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let [ada, bob] = &cluster.namespaces("app").unwrap()[..] else {
        unreachable!("there are two");
    };
    let fill = ada.transaction(|t| (0..1_000).try_for_each(|n| t.put(format!("key:{n:03}"), "x")));
    fill.await.unwrap();
    cluster.sync_all().await.unwrap();
    ada.put("key:100", "ours").await.unwrap();
    bob.put("key:900", "theirs").await.unwrap();
    bob.delete("key:505").await.unwrap();
    ada.sync_with(&cluster[1]).await.unwrap();
    ada.sync_with(&cluster[1]).await.unwrap();

    let sessions = cluster[0].sessions();
    assert_eq!(sessions.len(), 2, "the last one had nothing to do");
    let session = &sessions[0];
    assert!(session.began_here && session.peer == cluster[1].id());
    assert!(session.ended.as_ref().unwrap().as_ref().unwrap().agreed);
    let parts = &session.parts;
    assert_eq!(parts.len(), 64);
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), 1_000);
    let of = |key: &str| {
        let next = parts.partition_point(|part| part.key.as_slice() <= key.as_bytes());
        &parts[next - 1]
    };
    assert_eq!((of("key:100").sent, of("key:100").received), (1, 0));
    assert_eq!((of("key:900").sent, of("key:900").received), (0, 1));
    assert!(of("key:505").received >= 1);
    let moved = parts.iter().filter(|part| part.sent + part.received > 0);
    assert_eq!(moved.count(), 3);

    // The other side saw the same, the other way round.
    let served = loop {
        let served = cluster[1].sessions();
        if served.len() == 2 && served.iter().all(|it| it.ended.is_some()) {
            break served;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(!served[0].began_here);
    let received: u64 = served[0].parts.iter().map(|part| part.received).sum();
    assert_eq!(received, 1);
    let traffic = &cluster[0].traffic()[&cluster[1].id()];
    assert_eq!(traffic.begun.agreed, 3);
    assert_eq!((traffic.rows_sent, traffic.rows_received), (1_001, 1));
    assert!(traffic.sent.rows > 0 && traffic.flights > 0);
}

#[tokio::test]
async fn work_outlives_what_is_read_of_it_and_sizes_tell_what_is_kept_for_a_time() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    app.put("session", "ada").await.unwrap();
    app.expire("session", Duration::from_secs(3600))
        .await
        .unwrap();
    app.counter("visits").add(1).await.unwrap();
    app.put("other", "x").await.unwrap();
    app.delete("other").await.unwrap();
    app.get("session").await.unwrap();
    let (work, sizes) = (app.work(), app.sizes().await.unwrap());
    assert_eq!(work.transaction_time.count(), 4, "a removal goes in chunks");
    assert_eq!((work.transactions, work.failed), (5, 0));
    assert!(work.reads >= 1 && work.commits >= 4);
    assert_eq!((sizes.deadlines, sizes.removals), (1, 1));
    assert!(sizes.bytes > 0 && sizes.removal_bytes > 0);
    const { assert!(Sizes::COUNTED > 1) };
    app.counter("visits").add(-1).await.unwrap();
}

#[tokio::test]
async fn nodes_that_hold_the_same_are_in_accord() {
    let cluster = syncline::trust::Cluster::throwaway().unwrap();
    let member = || {
        let node = Node::builder().in_memory().cluster(&cluster).carry("app");
        node.listen("127.0.0.1:0")
    };
    let ada = member().start().await.unwrap();
    assert_eq!(ada.accord().await.unwrap().agrees, None);
    let bob = member().join(&ada).start().await.unwrap();
    bob.namespace("app")
        .unwrap()
        .put("motto", "merge")
        .await
        .unwrap();
    let here = ada.namespace("app").unwrap();
    let accord = loop {
        let accord = ada.accord().await.unwrap();
        let rows = here.read(|view| Ok(view.row_count())).await.unwrap();
        if accord.agrees == Some(true) && rows == 1 {
            break accord;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!((accord.peers, accord.peers_up), (1, 1));
    assert_eq!((accord.behind, accord.ahead), (0, 0));
}

#[tokio::test]
async fn conflicts_are_told_a_page_at_a_time() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let app = cluster.namespaces("app").unwrap();
    for (namespace, value) in app.iter().zip(["ours", "theirs"]) {
        let fill = namespace.transaction(move |t| {
            for number in 0..5 {
                t.put(format!("key:{number}"), value)?;
                t.put(format!("calm:{value}:{number}"), value)?;
            }
            t.map("map").set("field", value)
        });
        fill.await.unwrap();
    }
    cluster.sync_all().await.unwrap();
    let (mut found, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let start: Option<Vec<u8>> = from.take();
        let page = app[0].read(move |view| view.conflict_page("", start.as_deref(), 4, 2));
        let page = page.await.unwrap();
        assert!(page.conflicts.len() <= 2);
        pages += 1;
        found.extend(page.conflicts);
        match page.rest {
            Some(rest) => from = Some(rest),
            None => break,
        }
    }
    assert_eq!(
        found,
        app[0].conflicts("").await.unwrap().collect().await.unwrap()
    );
    assert_eq!(found.len(), 6);
    // Sixteen rows, four at most in each; the map's row is a family of its own.
    assert!(pages >= 4, "{pages}");
    let page = app[0].read(|view| view.conflict_page("map", Some(b""), 100, 100));
    let page = page.await.unwrap();
    assert_eq!(page.conflicts.len(), 1);
    assert_eq!(page.conflicts[0].field.as_deref(), Some(&b"field"[..]));
}
