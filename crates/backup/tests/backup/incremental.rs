//! What has not changed is neither read nor written, and what is backed up is of one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_ranges_that_have_changed_are_read_and_written() {
    let world = World::new();
    let (ada, bob) = (world.node("ada").await, world.node("bob").await);
    fill(&app(&ada), 0..20_000).await;
    let repository = world.repository();
    let first = backed_up(&ada, &repository).await;
    assert_eq!(
        (first.rows_read, first.chunks_written),
        (20_000, first.chunks)
    );
    assert!(first.chunks > 10, "{first:?}");

    let again = backed_up(&ada, &repository).await;
    assert_eq!((again.rows_read, again.chunks_written), (0, 0));
    assert_eq!(
        (again.base.as_ref(), again.chunks),
        (Some(&first.id), first.chunks)
    );

    app(&ada).put("key:010000", "anew").await.unwrap();
    let changed = backed_up(&ada, &repository).await;
    assert_eq!(changed.chunks_written, 1);
    assert!(changed.rows_read < 8_000, "{changed:?}");

    // Another node that holds the same shares the chunks, too.
    synced(&ada, &bob).await;
    let other = backed_up(&bob, &repository).await;
    assert_eq!((other.rows_read, other.chunks_written), (0, 0));

    // And each of them can be restored.
    for (at, backup) in [first, again, changed, other].into_iter().enumerate() {
        let node = world.node(&format!("restored-{at}")).await;
        let options = syncline_backup::RestoreOptions::default().backup(backup.id.clone());
        let report = syncline_backup::restore(&node, "app", &repository, &options)
            .await
            .unwrap();
        assert_eq!(
            (report.root, report.chunks_read),
            (backup.root, backup.chunks)
        );
        let recount = app(&node).read(|view| view.recount()).await.unwrap();
        assert!(recount.is_sound(), "{recount:?}");
    }
    assert_eq!(repository.list().await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_range_takes_several_chunks() {
    let world = World::new();
    let ada = world.node("ada").await;
    for n in 0..7u8 {
        app(&ada).put([n], vec![n; 3 << 20]).await.unwrap();
    }
    let repository = world.repository();
    let made = backed_up(&ada, &repository).await;
    assert_eq!(made.chunks, 4, "of two values each");
    app(&ada).put([3], "small").await.unwrap();
    let changed = backed_up(&ada, &repository).await;
    assert!(changed.chunks_written < changed.chunks, "{changed:?}");
    let bob = world.node("bob").await;
    assert_eq!(restored(&bob, &repository).await.root, changed.root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn it_is_of_one_commit_while_writing_goes_on() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..3000).await;
    let stop = Arc::new(AtomicBool::new(false));
    // Both keys change in one transaction, and lie far apart.
    let writer = tokio::spawn({
        let (app, stop) = (app(&ada), stop.clone());
        async move {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let both = app.transaction(move |t| {
                    t.register("key:000000").set(n.to_string())?;
                    t.register("key:002999").set(n.to_string())
                });
                both.await.unwrap();
            }
        }
    });
    let repository = world.repository();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(backed_up(&ada, &repository).await);
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    for (at, backup) in made.iter().enumerate() {
        let node = world.node(&format!("restored-{at}")).await;
        let options = syncline_backup::RestoreOptions::default().backup(backup.id.clone());
        let report = syncline_backup::restore(&node, "app", &repository, &options)
            .await
            .unwrap();
        assert_eq!(report.root, backup.root);
        let (low, high) = (
            app(&node).get("key:000000").await.unwrap(),
            app(&node).get("key:002999").await.unwrap(),
        );
        let (low, high) = (low.unwrap(), high.unwrap());
        assert!(low == high || (low.starts_with(b"the") && high.starts_with(b"the")));
        let recount = app(&node).read(|view| view.recount()).await.unwrap();
        assert!(recount.is_sound(), "{recount:?}");
    }
}
