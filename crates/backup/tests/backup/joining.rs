//! Joining a backup into a namespace that holds something.

use syncline_backup::{RestoreOptions, restore};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_joined_as_a_peer_would_be() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..5000).await;
    app(&ada).put("old", "1").await.unwrap();
    app(&ada).delete("old").await.unwrap();
    let repository = world.repository();
    backed_up(&ada, &repository).await;

    // Written since, removed since, overwritten since: the backup changes none of it.
    app(&ada).put("since", "the backup").await.unwrap();
    app(&ada).delete("key:000001").await.unwrap();
    app(&ada).put("key:000002", "anew").await.unwrap();
    let before = root(&app(&ada)).await;
    let join = RestoreOptions::default().join();
    let report = restore(&ada, "app", &repository, &join).await.unwrap();
    assert_eq!(root(&app(&ada)).await, before);
    assert!(
        report.chunks_held > 0 && report.chunks_read < report.chunks_held,
        "{report:?}"
    );

    // Into a replica with rows of its own.
    let bob = world.node("bob").await;
    app(&bob).put("own", "row").await.unwrap();
    app(&bob).put("key:000003", "by bob").await.unwrap();
    restore(&bob, "app", &repository, &join).await.unwrap();
    assert_eq!(app(&bob).get("own").await.unwrap().unwrap(), b"row");
    assert_eq!(
        app(&bob).get("key:000003").await.unwrap().unwrap(),
        b"by bob",
        "the later one"
    );
    assert_eq!(
        app(&bob).get("key:000001").await.unwrap().unwrap(),
        b"the value of number 1, as it was at first"
    );
    let recount = app(&bob).read(|view| view.recount()).await.unwrap();
    assert!(recount.is_sound(), "{recount:?}");
    synced(&bob, &ada).await;
    assert_eq!(root(&app(&ada)).await, root(&app(&bob)).await);
    assert_eq!(app(&bob).get("key:000001").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_backup_had_seen_removed_goes() {
    let world = World::new();
    let (ada, bob) = (world.node("ada").await, world.node("bob").await);
    app(&ada).put("a", "1").await.unwrap();
    app(&ada).put("b", "2").await.unwrap();
    synced(&ada, &bob).await;
    app(&bob).delete("a").await.unwrap();
    let repository = world.repository();
    backed_up(&bob, &repository).await;
    let join = RestoreOptions::default().join();
    restore(&ada, "app", &repository, &join).await.unwrap();
    assert_eq!(app(&ada).get("a").await.unwrap(), None);
    assert_eq!(root(&app(&ada)).await, root(&app(&bob)).await);
}
