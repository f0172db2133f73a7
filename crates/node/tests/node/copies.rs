//! A node's data, copied.

use std::fs;
use std::path::Path;

use syncline::trust::Cluster;
use syncline::{Node, StartError};

async fn start(cluster: &Cluster, directory: &Path) -> Result<Node, StartError> {
    let node = Node::builder().data_dir(directory).cluster(cluster);
    node.listen("127.0.0.1:0").start().await
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Under one name, others would take what the one has seen for what the other has.
#[tokio::test]
async fn a_copy_goes_on_beside_the_original_under_a_name_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let places = ["original", "copy"].map(|name| scratch.path().join(name));
    fs::create_dir(&places[1]).unwrap();
    let cluster = Cluster::throwaway().unwrap();
    let original = start(&cluster, &places[0]).await.unwrap();
    let app = original.namespace("app").unwrap();
    app.put("k", "v").await.unwrap();
    original.shutdown().await.unwrap();
    copy(&places[0], &places[1]);

    let original = start(&cluster, &places[0]).await.unwrap();
    let twin = start(&cluster, &places[1]).await.unwrap();
    let [theirs, ours] = [&original, &twin].map(|node| node.namespace("app").unwrap());
    assert_eq!(ours.get("k").await.unwrap().unwrap(), b"v");
    let before = theirs.carrier().await.unwrap();
    assert_eq!(ours.carrier().await.unwrap(), before);
    ours.put("from the copy", "1").await.unwrap();
    theirs.put("from the original", "1").await.unwrap();
    let refused = ours.sync_with(&original).await.unwrap_err();
    assert!(refused.to_string().contains("copy"), "{refused}");

    let name = ours.rename_carrier().await.unwrap();
    assert_ne!(name, before);
    assert_eq!(ours.carrier().await.unwrap(), name);
    assert!(ours.sync_with(&original).await.unwrap().agreed);
    for app in [&ours, &theirs] {
        assert_eq!(app.count().await.unwrap(), 3);
        let carriers = app.carriers().await.unwrap();
        assert!(carriers.counts(&name) && carriers.counts(&before));
    }
}
