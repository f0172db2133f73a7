//! Where backups can lie.

use syncline_backup::{BackupError, Repository};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_named_by_its_path_or_its_url() {
    let world = World::new();
    let ada = world.node("ada").await;
    app(&ada).put("a", "1").await.unwrap();
    let (repository, place) = world.directory();
    backed_up(&ada, &repository).await;
    let url = format!("file://{}", place.display());
    let by_url = Repository::open_existing(&url).unwrap();
    assert_eq!(by_url.list().await.unwrap().len(), 1);
    assert_eq!(by_url.namespaces(&ada).await.unwrap(), ["app"]);
    let bob = world.node("bob").await;
    restored(&bob, &by_url).await;
}

#[test]
fn what_is_no_place_is_refused() {
    for wrong in [
        "/no/such/directory",
        "file:///no/such/directory",
        "ftp://host/folder",
    ] {
        let refused = Repository::open_existing(wrong);
        assert!(
            matches!(refused, Err(BackupError::Location { .. })),
            "{wrong}"
        );
    }
}
