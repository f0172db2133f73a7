//! Nodes that find each other, spread what is written, and notice who comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{Member, MemberEvent, MemberState, Namespace, Node};
use syncline_sync::quic::Limits;

use crate::pair::Ahead;
use crate::patience::{PATIENCE, eventually};
use crate::wires::Place;

/// So many members in memory, of which each joins by the one before it. They hardly ever sync by themselves.
async fn members(count: usize) -> Vec<Node> {
    let cluster = Cluster::throwaway().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let mut node = Node::builder()
            .in_memory()
            .cluster(&cluster)
            .sync_every(Duration::from_secs(3600))
            .listen("127.0.0.1:0");
        if let Some(before) = nodes.last() {
            node = node.join(before);
        }
        nodes.push(node.start().await.unwrap());
    }
    nodes
}

async fn alive(node: &Node) -> Vec<Member> {
    let members = node.members().await.unwrap();
    let alive = members
        .into_iter()
        .filter(|it| it.state == MemberState::Alive);
    alive.collect()
}

async fn all_know_each_other(nodes: &[Node], namespace: &str) {
    for node in nodes {
        eventually("everybody is learnt, with what they carry", || async {
            let alive = alive(node).await;
            let carry = |it: &&Member| it.namespaces.contains(namespace);
            alive.iter().filter(carry).count() == nodes.len() - 1
        })
        .await;
    }
}

fn namespaces(nodes: &[Node], name: &str) -> Vec<Namespace> {
    nodes.iter().map(|it| it.namespace(name).unwrap()).collect()
}

async fn all_show(namespaces: &[Namespace], key: &str, value: Option<&str>) {
    for namespace in namespaces {
        eventually("what was written is shown everywhere", || async {
            let found = namespace.get(key).await.unwrap();
            found.as_deref() == value.map(str::as_bytes)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_find_each_other_and_what_is_written_spreads_without_sessions() {
    let nodes = members(4).await;
    let apps = namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    for (number, app) in apps.iter().enumerate() {
        let key = format!("key {number}");
        app.put(&key, "here").await.unwrap();
        all_show(&apps, &key, Some("here")).await;
    }
    // Removals, and removals of ranges, travel as well.
    assert!(apps[1].delete("key 0").await.unwrap());
    all_show(&apps, "key 0", None).await;
    apps[2].remove_prefix("key").await.unwrap();
    for key in ["key 1", "key 2", "key 3"] {
        all_show(&apps, key, None).await;
    }
    let roots = async || {
        let mut roots = Vec::new();
        for app in &apps {
            roots.push(app.read(|view| view.root()).await.unwrap());
        }
        roots
    };
    eventually("all hold the same", || async {
        let roots = roots().await;
        roots.iter().all(|root| *root == roots[0])
    })
    .await;
    for node in &nodes {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_known_to_have_left_and_who_vanishes_is_found_out() {
    let mut nodes = members(3).await;
    namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    let mut events = nodes[0].member_events();

    let leaving = nodes.pop().unwrap();
    leaving.shutdown().await.unwrap();
    let left = async {
        loop {
            if let Some(MemberEvent::Left(node)) = events.next().await.unwrap() {
                return node;
            }
        }
    };
    let left = tokio::time::timeout(PATIENCE, left).await.unwrap();
    assert_eq!(left, leaving.id());

    // Without a goodbye.
    let vanishing = nodes.pop().unwrap();
    let gone = vanishing.id();
    drop(vanishing);
    let down = async {
        loop {
            if let Some(MemberEvent::Down(node)) = events.next().await.unwrap() {
                return node;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, down).await.unwrap(), gone);
    assert_eq!(alive(&nodes[0]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_apart_is_found_by_those_who_join_later() {
    let nodes = members(2).await;
    let apps = namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    apps[0].put("early", "bird").await.unwrap();
    // Too large for a rumour.
    let large = "x".repeat(1 << 20);
    apps[1].put("large", &large).await.unwrap();
    all_show(&apps, "early", Some("bird")).await;
    all_show(&apps, "large", Some(&large)).await;

    let cluster = Cluster::throwaway().unwrap();
    let stranger = Node::builder().in_memory().cluster(&cluster);
    let stranger = stranger.listen("127.0.0.1:0").join(&nodes[0]);
    let stranger = stranger.start().await.unwrap();
    stranger.namespace("app").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stranger.members().await.unwrap(), []);
    assert_eq!(nodes[0].members().await.unwrap().len(), 1);
}

/// The others' connections to its earlier life are told nothing of its end, and would look sound for an hour.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_killed_and_is_back_hears_of_what_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(scratch.path().join("cluster")).unwrap();
    let mut limits = Limits::default();
    limits.idle = Duration::from_secs(3600);
    let (here, there) = (Place::new().await, Place::new().await);
    let start = async |place: &Place, name: &str, seed: &Place| {
        let identity = scratch.path().join("cluster").join(name);
        let node = Node::builder().data_dir(scratch.path().join(name));
        let node = place.listen(node.identity(identity).limits(limits.clone()));
        node.join(seed.wire.local_addr()).start().await.unwrap()
    };
    cluster.issue("ada").unwrap();
    cluster.issue("bob").unwrap();
    let ada = start(&here, "ada", &there).await;
    let bob = start(&there, "bob", &here).await;
    let nodes = [ada, bob];
    let apps = namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    apps[0].put("before", "x").await.unwrap();
    all_show(&apps, "before", Some("x")).await;

    // What it sends as it ends goes nowhere.
    there.wire.cut();
    here.wire.cut();
    let [ada, bob] = nodes;
    drop((bob, apps));
    there.is_free().await;
    there.wire.restore();
    here.wire.restore();
    let bob = start(&there, "bob", &here).await;
    let nodes = [ada, bob];
    let apps = namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    for number in 0..3 {
        let key = format!("after {number}");
        apps[0].put(&key, "y").await.unwrap();
        all_show(&apps, &key, Some("y")).await;
    }
}

#[tokio::test]
async fn a_member_has_to_be_reachable() {
    let started = Node::builder()
        .in_memory()
        .join("127.0.0.1:1")
        .start()
        .await;
    assert!(matches!(started, Err(syncline::StartError::Unreachable)));
    let node = Node::builder().in_memory().listen("127.0.0.1:0");
    let started = node.advertise("no such host.invalid").start().await;
    assert!(matches!(
        started,
        Err(syncline::StartError::Advertise { .. })
    ));
}

#[tokio::test]
async fn rumours_go_on_after_a_clock_far_ahead_has_been_set_right() {
    let cluster = Cluster::throwaway().unwrap();
    let ahead = Arc::new(AtomicU64::new(3_600_000));
    let node = |ahead: &Arc<AtomicU64>| {
        let node = Node::builder().in_memory().cluster(&cluster);
        let node = node.environment(Arc::new(Ahead(ahead.clone())));
        let node = node.sync_every(Duration::from_secs(3600));
        node.listen("127.0.0.1:0")
    };
    let ada = node(&ahead).start().await.unwrap();
    let told = ada.namespace("app").unwrap();
    told.put("x", "from the future").await.unwrap();
    ahead.store(0, Ordering::Relaxed);
    let bob = node(&ahead).join(&ada).start().await.unwrap();
    let nodes = [ada, bob];
    let namespaces = namespaces(&nodes, "app");
    all_know_each_other(&nodes, "app").await;
    // By a session; whatever knows of it is stamped later.
    all_show(&namespaces, "x", Some("from the future")).await;
    let mut written = 0;
    eventually("a rumour is believed whose time is known already", || {
        written += 1;
        let put = namespaces[1].put("x", format!("after that {written}"));
        async {
            put.await.unwrap();
            namespaces[0].work().rumours_joined > 0
        }
    })
    .await;
}
