//! Old backups go, and what others need stays.

use std::num::NonZeroUsize;
use std::time::Duration;

use object_store::{ObjectStoreExt as _, path::Path};
use syncline_backup::{BackupError, BackupOptions, Repository, back_up, prune};

use crate::harness::*;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_kept_ones_need_stays() {
    let world = World::new();
    let ada = world.node("ada").await;
    let repository = world.repository();
    let mut made = Vec::new();
    for round in 0..4 {
        fill(&app(&ada), 0..3000).await;
        app(&ada)
            .put("key:000000", format!("round {round}"))
            .await
            .unwrap();
        made.push(backed_up(&ada, &repository).await);
        fill(&app(&ada), 3000 + round * 100..3100 + round * 100).await;
    }
    let pruned = prune(&ada, "app", &repository, NonZeroUsize::new(2).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (pruned.kept, pruned.backups_removed, pruned.gave_way),
        (2, 2, false)
    );
    assert!(pruned.chunks_removed > 0);
    let left = repository.list().await.unwrap();
    let ids: Vec<_> = left.iter().map(|listed| &listed.id).collect();
    assert_eq!(ids, [&made[2].id, &made[3].id]);
    for (at, kept) in made[2..].iter().enumerate() {
        let node = world.node(&format!("restored-{at}")).await;
        let options = syncline_backup::RestoreOptions::default().backup(kept.id.clone());
        let report = syncline_backup::restore(&node, "app", &repository, &options)
            .await
            .unwrap();
        assert_eq!(report.root, kept.root);
    }
    let again = prune(&ada, "app", &repository, NonZeroUsize::new(2).unwrap())
        .await
        .unwrap();
    assert_eq!((again.backups_removed, again.chunks_removed), (0, 0));
}

/// Puts an object that says that somebody is at work, as one who was killed leaves it.
async fn somebody(world: &World, ada: &syncline::Node, folder: &str) -> Path {
    let path = Path::from(format!(
        "{}/app/{folder}/0123456789abcdef",
        ada.cluster_id()
    ));
    world.objects.put(&path, "".into()).await.unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_gives_way_to_a_backup_and_a_backup_waits_for_a_prune() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..100).await;
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    backed_up(&ada, &repository).await;
    let running = somebody(&world, &ada, "running").await;
    let pruned = prune(&ada, "app", &repository, ONE).await.unwrap();
    assert!(pruned.gave_way && pruned.backups_removed == 0);
    assert_eq!(repository.list().await.unwrap().len(), 2);
    world.objects.delete(&running).await.unwrap();

    let pruning = somebody(&world, &ada, "pruning").await;
    let waiting = tokio::spawn({
        let (ada, repository) = (ada.clone(), repository.clone());
        async move { backed_up(&ada, &repository).await }
    });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!waiting.is_finished());
    world.objects.delete(&pruning).await.unwrap();
    waiting.await.unwrap();
    assert_eq!(
        prune(&ada, "app", &repository, ONE)
            .await
            .unwrap()
            .backups_removed,
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_taken_for_dead_takes_its_manifest_back() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..3000).await;
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    // To a prune with this patience everybody is dead.
    let impatient: Repository = repository.clone().stale_after(Duration::ZERO);
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let options = BackupOptions::default().on_progress(move |progress| {
        // The first time it stops for as long as the prune takes.
        if told.send(progress).is_ok() {
            let _told = wait.lock().unwrap().recv();
        }
    });
    let making = tokio::spawn({
        let (ada, repository) = (ada.clone(), repository.clone());
        async move { back_up(&ada, "app", &repository, &options).await }
    });
    hear.recv().await.unwrap();
    hear.close();
    let pruned = prune(&ada, "app", &impatient, ONE).await.unwrap();
    assert!(!pruned.gave_way);
    drop(go);
    let error = making.await.unwrap().unwrap_err();
    assert!(matches!(error, BackupError::Overtaken { .. }), "{error}");
    assert_eq!(repository.list().await.unwrap().len(), 1);
    // What is left can be restored.
    let bob = world.node("bob").await;
    restored(&bob, &repository).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_a_backup_that_was_broken_off_go() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..100).await;
    let repository = world.repository();
    backed_up(&ada, &repository).await;
    let path = Path::from(format!(
        "{}/app/chunks/ab/ab{}",
        ada.cluster_id(),
        "0".repeat(62)
    ));
    world.objects.put(&path, "left over".into()).await.unwrap();
    let pruned = prune(&ada, "app", &repository, ONE).await.unwrap();
    assert_eq!((pruned.chunks_removed, pruned.bytes_removed), (1, 9));
}
