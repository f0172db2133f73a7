//! What comes back is what there was, and goes on as a replica of its own.

use std::time::Duration;

use syncline::Registers;
use syncline_backup::{BackupError, BackupOptions, RestoreOptions, back_up, restore};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_come_back_with_their_conflicts_and_deadlines() {
    let world = World::new();
    let (ada, bob) = (world.node("ada").await, world.node("bob").await);
    let here = app(&ada);
    here.put("motto", "merge, do not fork").await.unwrap();
    here.set("online").insert("ada").await.unwrap();
    here.map("user").set("name", "Ada").await.unwrap();
    here.counter("visits").add(5).await.unwrap();
    here.counter("gone").add(3).await.unwrap();
    here.delete("gone").await.unwrap();
    here.put("brief", "a while").await.unwrap();
    here.expire("brief", Duration::from_secs(3600))
        .await
        .unwrap();
    here.put("contested", "by ada").await.unwrap();
    app(&bob).put("contested", "by bob").await.unwrap();
    synced(&ada, &bob).await;
    here.put("removed", "for good").await.unwrap();
    here.delete("removed").await.unwrap();

    let repository = world.repository();
    let made = backed_up(&ada, &repository).await;
    assert_eq!(made.root, root(&here).await);
    let cleo = world.node("cleo").await;
    let report = restored(&cleo, &repository).await;
    assert_eq!(
        (report.root, report.rows, report.keys),
        (made.root, made.rows, made.keys)
    );
    assert_eq!(report.backup, made.id);

    let there = app(&cleo);
    assert_eq!(root(&there).await, made.root);
    assert_eq!(
        there.get("motto").await.unwrap().unwrap(),
        b"merge, do not fork"
    );
    assert!(there.set("online").contains("ada").await.unwrap());
    assert_eq!(
        there.map("user").get("name").await.unwrap().unwrap(),
        b"Ada"
    );
    assert!(there.deadline("brief").await.unwrap().is_some());
    assert_eq!(there.get("removed").await.unwrap(), None);
    let all = cleo.namespace_with("app", Registers::AllSiblings).unwrap();
    assert!(
        matches!(all.get("contested").await, Err(syncline::Error::Conflict { siblings, .. }) if siblings.len() == 2)
    );
    // Counters go on where they were, at once, also one that was deleted.
    there.counter("visits").add(2).await.unwrap();
    assert_eq!(there.counter("visits").value().await.unwrap(), 7);
    there.counter("gone").add(1).await.unwrap();
    assert_eq!(there.counter("gone").value().await.unwrap(), 1);
    let recount = there.read(|view| view.recount()).await.unwrap();
    assert!(recount.is_sound(), "{recount:?}");

    // It survives a restart, and nothing of the work is left.
    cleo.shutdown().await.unwrap();
    assert!(!world.scratch.path().join("cleo/restoring/app").exists());
    let cleo = world.node("cleo").await;
    assert_eq!(app(&cleo).counter("visits").value().await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_replica_is_a_carrier_of_its_own_and_syncs_the_difference_only() {
    let world = World::new();
    let (ada, bob) = (world.node("ada").await, world.node("bob").await);
    fill(&app(&ada), 0..5000).await;
    synced(&ada, &bob).await;
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    // After the backup: additions, an overwrite, removals.
    fill(&app(&bob), 5000..5010).await;
    app(&bob).put("key:000001", "anew").await.unwrap();
    app(&bob).delete("key:000002").await.unwrap();
    app(&bob).delete("key:000003").await.unwrap();
    synced(&ada, &bob).await;
    let lost = app(&ada).carrier().await.unwrap();
    ada.shutdown().await.unwrap();

    let cleo = world.node("cleo").await;
    restored(&cleo, &repository).await;
    let there = app(&cleo);
    let me = there.carrier().await.unwrap();
    assert_ne!(me, lost);
    assert!(
        there.carriers().await.unwrap().counts(&lost),
        "it is waited for"
    );
    there.counter("on cleo").add(1).await.unwrap();

    let report = synced(&cleo, &bob).await;
    let bytes = report.sent.total() + report.received.total();
    assert!(
        bytes < 8_000,
        "{bytes} bytes for 14 changes among 5000 rows"
    );
    assert_eq!(root(&there).await, root(&app(&bob)).await);
    assert_eq!(
        there.get("key:000002").await.unwrap(),
        None,
        "a removal is not undone"
    );
    assert_eq!(app(&bob).get("key:000003").await.unwrap(), None);
    assert_eq!(there.get("key:000001").await.unwrap().unwrap(), b"anew");
    assert_eq!(app(&bob).counter("on cleo").value().await.unwrap(), 1);
    let roster = app(&bob).carriers().await.unwrap();
    assert!(roster.counts(&me) && roster.counts(&lost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_were_restored_from_one_backup_make_no_dot_twice() {
    let world = World::new();
    let ada = world.node("ada").await;
    app(&ada).counter("visits").add(5).await.unwrap();
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    let (bob, cleo) = (world.node("bob").await, world.node("cleo").await);
    for node in [&bob, &cleo] {
        restored(node, &repository).await;
    }
    app(&ada).counter("visits").add(1).await.unwrap();
    app(&bob).counter("visits").add(10).await.unwrap();
    app(&cleo).counter("visits").add(100).await.unwrap();
    for (a, b) in [(&ada, &bob), (&bob, &cleo), (&ada, &cleo), (&ada, &bob)] {
        synced(a, b).await;
    }
    for node in [&ada, &bob, &cleo] {
        assert_eq!(app(node).counter("visits").value().await.unwrap(), 116);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_backup_it_was_must_not_have_been_forgotten() {
    let world = World::new();
    let (ada, bob) = (world.node("ada").await, world.node("bob").await);
    app(&ada).put("a", "1").await.unwrap();
    synced(&ada, &bob).await;
    let repository = world.repository();
    app(&ada).put("b", "only here").await.unwrap();
    backed_up(&ada, &repository).await;
    let lost = app(&ada).carrier().await.unwrap();
    ada.shutdown().await.unwrap();
    app(&bob).forget_carrier(lost).await.unwrap();

    let cleo = world.node("cleo").await;
    restored(&cleo, &repository).await;
    let error = cleo.sync_with(&bob).await.unwrap_err();
    assert!(
        format!("{error:?} {error}").contains("forgotten since"),
        "{error:?}"
    );
    assert_eq!(app(&bob).get("b").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_holds_something_is_not_overwritten() {
    let world = World::new();
    let ada = world.node("ada").await;
    app(&ada).put("a", "1").await.unwrap();
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    let error = restore(&ada, "app", &repository, &RestoreOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(app(&ada).get("a").await.unwrap().unwrap(), b"1");

    // One of another name, or cluster, is not there.
    let error = restore(&ada, "other", &repository, &RestoreOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, BackupError::NoBackup { .. })
            && error.to_string().contains("app of cluster"),
        "{error}"
    );
    let stranger = World::new().node("eve").await;
    let error = restore(&stranger, "app", &repository, &RestoreOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("export and import"), "{error}");
    assert!(!stranger.namespaces().contains(&"app".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_can_be_backed_up_too() {
    let world = World::new();
    let ada = world.node("ada").await;
    let repository = world.repository();
    let made = back_up(&ada, "app", &repository, &BackupOptions::default())
        .await
        .unwrap();
    assert_eq!((made.rows, made.chunks), (0, 0));
    let bob = world.node("bob").await;
    assert_eq!(restored(&bob, &repository).await.rows, 0);
}
