//! Backups that are not what was written, and work that was broken off.

use std::fs;

use syncline_backup::{BackupError, BackupOptions, RestoreOptions, back_up, restore};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_and_nothing_is_half_restored() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..3000).await;
    let (repository, place) = world.directory();
    let made = backed_up(&ada, &repository).await;
    assert!(made.chunks > 2);
    let files = files(&place);
    let chunks: Vec<_> = files
        .iter()
        .filter(|path| path.to_str().unwrap().contains("/chunks/"))
        .collect();
    let manifest = files
        .iter()
        .find(|path| path.to_str().unwrap().contains("/backups/"))
        .unwrap();
    let bob = world.node("bob").await;
    let cleo = world.node("cleo").await;
    app(&cleo).put("own", "row").await.unwrap();
    let before = root(&app(&cleo)).await;

    let mut attempts = Vec::new();
    for (path, is_chunk) in [(chunks[chunks.len() / 2], true), (manifest, false)] {
        let bytes = fs::read(path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 4;
        attempts.push((path, bytes.clone(), Some(flipped), is_chunk));
        attempts.push((
            path,
            bytes.clone(),
            Some(bytes[..bytes.len() - 7].to_vec()),
            is_chunk,
        ));
        attempts.push((path, bytes.clone(), Some(Vec::new()), is_chunk));
        attempts.push((path, bytes, None, is_chunk));
    }
    for (path, bytes, damaged, is_chunk) in attempts {
        match &damaged {
            Some(damaged) => fs::write(path, damaged).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        for (node, options) in [
            (&bob, RestoreOptions::default()),
            (&cleo, RestoreOptions::default().join()),
        ] {
            let options = options.backup(made.id.clone());
            let error = restore(node, "app", &repository, &options)
                .await
                .unwrap_err();
            match damaged.is_some() {
                true => assert!(matches!(error, BackupError::Damaged { .. }), "{error}"),
                false if is_chunk => {
                    assert!(matches!(error, BackupError::Missing { .. }), "{error}")
                }
                false => assert!(matches!(error, BackupError::NotFound { .. }), "{error}"),
            }
        }
        assert!(!bob.namespaces().contains(&"app".to_owned()));
        assert_eq!(root(&app(&cleo)).await, before);
        fs::write(path, bytes).unwrap();
    }
    // A format that is not known yet.
    let bytes = fs::read(manifest).unwrap();
    let mut newer = bytes.clone();
    newer[7] = 9;
    fs::write(manifest, newer).unwrap();
    let error = restore(&bob, "app", &repository, &RestoreOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, BackupError::NewerFormat { found: 9, .. }),
        "{error}"
    );
    fs::write(manifest, bytes).unwrap();
    assert_eq!(restored(&bob, &repository).await.root, made.root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_is_gone_is_written_again() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..3000).await;
    let (repository, place) = world.directory();
    backed_up(&ada, &repository).await;
    let files = files(&place);
    let chunk = files
        .iter()
        .find(|path| path.to_str().unwrap().contains("/chunks/"))
        .unwrap();
    fs::remove_file(chunk).unwrap();
    let again = backed_up(&ada, &repository).await;
    assert_eq!(again.chunks_written, 1);
    let bob = world.node("bob").await;
    assert_eq!(restored(&bob, &repository).await.root, again.root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_broken_off_harms_none() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..3000).await;
    let repository = world.repository();
    let first = backed_up(&ada, &repository).await;
    fill(&app(&ada), 3000..9000).await;
    // Dropped as soon as it has come somewhere, as a kill would end it.
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let options = BackupOptions::default().on_progress(move |progress| {
        let _sent = told.send(progress);
    });
    tokio::select! {
        made = back_up(&ada, "app", &repository, &options) => panic!("{made:?}"),
        _ = hear.recv() => {}
    }
    assert_eq!(repository.list().await.unwrap().len(), 1);
    let bob = world.node("bob").await;
    assert_eq!(restored(&bob, &repository).await.root, first.root);
    let second = backed_up(&ada, &repository).await;
    let cleo = world.node("cleo").await;
    assert_eq!(restored(&cleo, &repository).await.root, second.root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_broken_off_leaves_nothing_and_can_be_repeated() {
    let world = World::new();
    let ada = world.node("ada").await;
    fill(&app(&ada), 0..9000).await;
    let repository = world.repository();
    let made = backed_up(&ada, &repository).await;
    let bob = world.node("bob").await;
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let options = RestoreOptions::default().on_progress(move |progress| {
        let _sent = told.send(progress);
    });
    tokio::select! {
        report = restore(&bob, "app", &repository, &options) => panic!("{report:?}"),
        _ = hear.recv() => {}
    }
    assert!(!bob.namespaces().contains(&"app".to_owned()));
    bob.shutdown().await.unwrap();
    // As a kill leaves it.
    let left = world.scratch.path().join("bob/restoring/app");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("store.redb"), "half").unwrap();
    let bob = world.node("bob").await;
    assert!(!left.exists() && bob.namespaces().is_empty());
    assert_eq!(restored(&bob, &repository).await.root, made.root);
}
