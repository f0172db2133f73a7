//! A disk that fills up, and has room again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline::{Builder, Error, Namespace, Node, SpaceLimits, SpaceState};

const LIMITS: SpaceLimits = SpaceLimits {
    warn_below: 1_000,
    read_only_below: 400,
};

/// A disk with as much room as the test says.
#[derive(Clone)]
struct Disk(Arc<AtomicU64>);

impl Disk {
    fn with(free: u64) -> Self {
        Self(Arc::new(AtomicU64::new(free)))
    }

    fn under(&self, builder: Builder) -> Builder {
        let disk = self.clone();
        builder
            .space_limits(LIMITS)
            .space_from(move || Ok(disk.0.load(Ordering::Relaxed)))
    }

    async fn node(&self) -> Node {
        self.under(Node::builder().in_memory())
            .start()
            .await
            .unwrap()
    }

    /// Leaves so much, and waits until the node has noticed.
    async fn leaves(&self, free: u64, node: &Node) -> SpaceState {
        self.0.store(free, Ordering::Relaxed);
        loop {
            let space = node.space().unwrap();
            if space.free == free {
                return space.state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, free: u64, needed: u64) {
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("free some space"), "{error}");
    let Error::ReadOnly {
        free: was,
        needed: wants,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((was, wants), (free, needed));
}

async fn filled(app: &Namespace) {
    app.put("motto", "merge").await.unwrap();
    app.counter("visits").add(3).await.unwrap();
    app.set("online").insert("ada").await.unwrap();
    app.map("user").set("role", "admin").await.unwrap();
    app.put("session:1", "ada").await.unwrap();
}

#[tokio::test]
async fn writes_are_refused_before_the_disk_is_full_and_taken_again_when_it_is_not() {
    let disk = Disk::with(10_000);
    let node = disk.node().await;
    let app = node.namespace("app").unwrap();
    filled(&app).await;
    assert_eq!(disk.leaves(500, &node).await, SpaceState::Low);
    app.put("motto", "merge, do not fork").await.unwrap();

    assert_eq!(disk.leaves(399, &node).await, SpaceState::ReadOnly);
    refused(app.put("motto", "x").await, 399, 500);
    refused(app.counter("visits").increment().await, 399, 500);
    refused(app.set("online").insert("bob").await, 399, 500);
    refused(app.expire("user", Duration::from_secs(60)).await, 399, 500);
    let both = app.transaction(|t| {
        t.delete("motto")?;
        t.put("other", "x")
    });
    refused(both.await, 399, 500);
    assert_eq!(
        app.get("motto").await.unwrap().unwrap(),
        b"merge, do not fork"
    );
    assert_eq!(app.count().await.unwrap(), 5);

    assert_eq!(
        disk.leaves(499, &node).await,
        SpaceState::ReadOnly,
        "not for so little"
    );
    assert_eq!(disk.leaves(500, &node).await, SpaceState::Low);
    app.put("motto", "x").await.unwrap();
}

#[tokio::test]
async fn removals_go_on_down_to_a_last_reserve() {
    let disk = Disk::with(399);
    let node = disk.node().await;
    assert_eq!(
        node.space().unwrap().state,
        SpaceState::ReadOnly,
        "from the start"
    );
    let app = node.namespace("app").unwrap();
    refused(app.put("k", "v").await, 399, 500);
    disk.leaves(10_000, &node).await;
    filled(&app).await;

    disk.leaves(100, &node).await;
    // A counter leaves a remnant, which is written.
    assert!(app.delete("visits").await.unwrap());
    assert!(app.set("online").remove("ada").await.unwrap());
    assert!(app.map("user").remove("role").await.unwrap());
    assert_eq!(app.remove_prefix("session:").await.unwrap(), 1);
    assert!(app.transaction(|t| t.delete("motto")).await.unwrap());
    let left = app.keys("").await.unwrap().collect().await.unwrap();
    assert_eq!(left, []);

    disk.leaves(10_000, &node).await;
    filled(&app).await;
    assert_eq!(disk.leaves(99, &node).await, SpaceState::Full);
    refused(app.delete("motto").await, 99, 125);
    refused(app.transaction(|t| t.delete("motto")).await, 99, 125);
    refused(app.set("online").remove("ada").await, 99, 125);
    assert_eq!(app.collect().await.unwrap(), 0);
    assert_eq!(app.count().await.unwrap(), 5);
    disk.leaves(125, &node).await;
    assert!(app.delete("motto").await.unwrap());
}

#[tokio::test]
async fn a_directory_has_the_room_of_its_file_system() {
    let scratch = tempfile::tempdir().unwrap();
    let node = Node::builder()
        .data_dir(scratch.path())
        .start()
        .await
        .unwrap();
    let space = node.space().unwrap();
    assert!(space.free > 0);
    assert_eq!(space.limits, SpaceLimits::default());
    let memory = Node::in_memory().await.unwrap();
    assert_eq!(memory.space(), None);
}

#[tokio::test]
async fn a_file_system_that_does_not_say_is_no_reason_to_stop() {
    let silent = Node::builder()
        .in_memory()
        .space_from(|| Err(io::Error::other("no such call")));
    let node = silent.start().await.unwrap();
    let app = node.namespace("app").unwrap();
    app.put("k", "v").await.unwrap();
    assert_eq!(node.space().unwrap().state, SpaceState::Plenty);
}
