//! What nodes know of each other, writes that are waited for on other nodes, and reads from several.

use std::path::Path;
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{MemberState, Namespace, Node, QuorumError, Recorded, Replicas};
use syncline_sync::quic::Forwarder;

use crate::patience::{PATIENCE, eventually};
use crate::wires::wired;

/// How long it is waited for what cannot come.
const IN_VAIN: Duration = Duration::from_secs(2);

/// A node that hardly ever syncs by itself, in memory or where it is told.
async fn member(cluster: &Cluster, seed: Option<&Node>, dir: Option<&Path>) -> Node {
    let mut node = Node::builder()
        .cluster(cluster)
        .sync_every(Duration::from_secs(3600))
        .listen("127.0.0.1:0");
    node = match dir {
        Some(dir) => node.data_dir(dir),
        None => node.in_memory(),
    };
    if let Some(seed) = seed {
        node = node.join(seed);
    }
    node.start().await.unwrap()
}

async fn members(count: usize) -> Vec<Node> {
    let cluster = Cluster::throwaway().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let node = member(&cluster, nodes.last(), None).await;
        nodes.push(node);
    }
    nodes
}

fn apps(nodes: &[Node]) -> Vec<Recorded> {
    let app = |node: &Node| node.namespace("app").unwrap().recorded();
    nodes.iter().map(app).collect()
}

/// Waits until a node has heard where so many others stand.
async fn has_heard_of(node: &Node, others: usize) {
    eventually("everybody says where it stands", || async {
        let all = node.convergence().await.unwrap();
        let app = all.iter().find(|it| it.namespace == "app");
        app.is_some_and(|app| {
            let heard = app
                .peers
                .iter()
                .filter(|peer| peer.heard.is_some() && peer.is_up);
            heard.count() == others
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_waited_for_on_all_of_three_nodes_and_so_is_a_removal() {
    let nodes = members(3).await;
    let apps = apps(&nodes);
    has_heard_of(&nodes[0], 2).await;

    apps[0].put("motto", "merge, do not fork").await.unwrap();
    apps[0].set("online").insert("ada").await.unwrap();
    let written = apps[0].token();
    let done = apps[0]
        .wait_replicated(&written, Replicas::All, PATIENCE)
        .await;
    let done = done.unwrap();
    assert_eq!((done.holders.len(), done.carriers), (3, 3));
    for app in &apps {
        assert!(done.holders.contains(&app.carrier().await.unwrap()));
        assert!(app.set("online").contains("ada").await.unwrap());
    }

    let session = nodes[1].namespace("app").unwrap().recorded();
    assert!(session.delete("motto").await.unwrap());
    let removed = session.token();
    let done = session
        .wait_replicated(&removed, Replicas::All, PATIENCE)
        .await;
    assert_eq!(done.unwrap().holders.len(), 3);
    for app in &apps {
        assert_eq!(app.get("motto").await.unwrap(), None);
    }

    // They come to say so, too, and who has what is heard.
    eventually("the others have said to have it", || async {
        let holders = apps[0].holders(&removed).await.unwrap();
        holders.has.len() == 2 && holders.lacks.is_empty()
    })
    .await;
    for node in &nodes {
        eventually("all agree", || async {
            let all = node.convergence().await.unwrap();
            let mut peers = all.iter().flat_map(|it| &it.peers);
            peers.all(|peer| peer.agrees && peer.behind.dots == Some(0))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_named_and_has_it_when_it_is_back() {
    let cluster = Cluster::throwaway().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let first = member(&cluster, None, None).await;
    let second = member(&cluster, Some(&first), None).await;
    let third = member(&cluster, Some(&first), Some(dir.path())).await;
    let app = first.namespace("app").unwrap().recorded();
    let (_, there) = (
        second.namespace("app").unwrap(),
        third.namespace("app").unwrap(),
    );
    has_heard_of(&first, 2).await;
    let (gone, store) = (third.id(), there.carrier().await.unwrap());
    app.put("before", "x").await.unwrap();
    let all = app
        .wait_replicated(&app.token(), Replicas::All, PATIENCE)
        .await;
    assert_eq!(all.unwrap().carriers, 3);

    third.shutdown().await.unwrap();
    drop(there);
    drop(third);
    app.put("while away", "y").await.unwrap();
    let written = app.token();
    let most = app
        .wait_replicated(&written, Replicas::Majority, PATIENCE)
        .await;
    assert_eq!(most.unwrap().holders.len(), 2);
    let error = app
        .wait_replicated(&written, Replicas::N(3), IN_VAIN)
        .await
        .unwrap_err();
    match &error {
        QuorumError::NotReplicated {
            wanted: 3,
            holders,
            missing,
            ..
        } => {
            assert_eq!(holders.len(), 2);
            assert_eq!(
                (missing.len(), missing[0].carrier),
                (1, Some(store)),
                "{error}"
            );
            assert!(!missing[0].lacks);
        }
        // It has said goodbye, and nobody here had met its store.
        QuorumError::TooFew {
            wanted: 3,
            carriers: 2,
        } => {}
        other => panic!("{other}"),
    }
    assert!(
        app.wait_replicated(&written, Replicas::N(4), IN_VAIN)
            .await
            .is_err()
    );

    // It has another identity now, and the same store.
    let third = member(&cluster, Some(&first), Some(dir.path())).await;
    assert_ne!(third.id(), gone);
    let there = third.namespace("app").unwrap();
    assert_eq!(there.carrier().await.unwrap(), store);
    has_heard_of(&first, 2).await;
    let all = app
        .wait_replicated(&written, Replicas::All, PATIENCE)
        .await
        .unwrap();
    assert_eq!((all.holders.len(), all.carriers), (3, 3));
    assert_eq!(
        there.get("while away").await.unwrap().as_deref(),
        Some(&b"y"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_confirms_nothing_until_it_is_healed() {
    let cluster = Cluster::throwaway().unwrap();
    let (ada, ada_wire) = wired(&cluster, None).await;
    let (bob, bob_wire) = wired(&cluster, Some(&ada_wire)).await;
    let (cleo, cleo_wire) = wired(&cluster, Some(&ada_wire)).await;
    let nodes = [ada, bob, cleo];
    let apps = apps(&nodes);
    for node in &nodes {
        has_heard_of(node, 2).await;
    }
    let wires = [ada_wire, bob_wire, cleo_wire];
    wires.iter().for_each(Forwarder::cut);
    apps[0].put("motto", "merge").await.unwrap();
    let written = apps[0].token();
    let error = apps[0]
        .wait_replicated(&written, Replicas::Majority, IN_VAIN)
        .await;
    let error = error.unwrap_err();
    let QuorumError::NotReplicated {
        wanted, missing, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*wanted, missing.len()), (2, 2), "{error}");
    let unread = apps[0].gather("motto", Replicas::Majority, IN_VAIN).await;
    assert!(
        matches!(unread, Err(QuorumError::NotGathered { wanted: 1, .. })),
        "{unread:?}"
    );

    wires.iter().for_each(Forwarder::restore);
    let healed = apps[0]
        .wait_replicated(&written, Replicas::All, PATIENCE)
        .await;
    assert_eq!(healed.unwrap().holders.len(), 3);
    for app in &apps {
        assert_eq!(
            app.get("motto").await.unwrap().as_deref(),
            Some(&b"merge"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_from_all_joins_what_they_have_and_repairs_who_is_behind() {
    let cluster = Cluster::throwaway().unwrap();
    let mut nodes = vec![member(&cluster, None, None).await];
    for _ in 1..3 {
        nodes.push(member(&cluster, nodes.first(), None).await);
    }
    let apps: Vec<Namespace> = nodes
        .iter()
        .map(|it| it.namespace("app").unwrap())
        .collect();
    let others: Vec<Namespace> = nodes
        .iter()
        .map(|it| it.namespace("other").unwrap())
        .collect();
    has_heard_of(&nodes[0], 2).await;
    // Too large for rumours, so that they are told by sessions alone.
    let part = |node: usize| vec![b'a' + node as u8; 300 << 10];
    for (node, app) in apps.iter().enumerate() {
        let field = format!("{node}");
        app.map("parts").set(field, part(node)).await.unwrap();
    }
    let gathered = apps[0].gather("parts", Replicas::All, PATIENCE).await;
    assert_eq!(gathered.unwrap().nodes.len(), 2);
    for node in 0..3 {
        let found = apps[0].map("parts").get(format!("{node}")).await.unwrap();
        assert_eq!(found, Some(part(node)));
    }
    // Who was asked has what was known here by then.
    for app in &apps[1..] {
        let found = app.map("parts").get("0").await.unwrap();
        assert_eq!(found, Some(part(0)));
    }
    assert!(
        others[0]
            .gather("nothing", Replicas::Majority, PATIENCE)
            .await
            .is_ok()
    );
    has_heard_of(&nodes[2], 2).await;
    apps[1].put("plain", "x").await.unwrap();
    let read = apps[2]
        .get_from("plain", Replicas::All, PATIENCE)
        .await
        .unwrap();
    assert_eq!(read.as_deref(), Some(&b"x"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_the_cluster_are_numbered() {
    let cluster = Cluster::throwaway().unwrap();
    let first = member(&cluster, None, None).await;
    let before = first.cluster_view().await.unwrap();
    assert_eq!(before.members, []);
    let second = member(&cluster, Some(&first), None).await;
    eventually("the second is there", || async {
        let view = first.cluster_view().await.unwrap();
        let is_second = |it: &syncline::Member| it.node == second.id();
        let there = view.members.iter().find(|it| is_second(it));
        there.is_some_and(|it| it.state == MemberState::Alive) && view.epoch > before.epoch
    })
    .await;
}
