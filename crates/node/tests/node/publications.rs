//! What is published on one node and heard on others.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline::trust::Cluster;
use syncline::{
    Member, MemberState, Namespace, Node, Publications, PublishError, Published, Space,
};
use syncline_sync::quic::Forwarder;

use crate::patience::{PATIENCE, eventually};
use crate::wires::wired;

async fn three() -> (Vec<Node>, Vec<Forwarder>) {
    let cluster = Cluster::throwaway().unwrap();
    let (mut nodes, mut wires) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (node, wire) = wired(&cluster, wires.first()).await;
        nodes.push(node);
        wires.push(wire);
    }
    (nodes, wires)
}

async fn alive(node: &Node, namespace: &str) -> usize {
    let is_alive =
        |it: &&Member| it.state == MemberState::Alive && it.namespaces.contains(namespace);
    node.members()
        .await
        .unwrap()
        .iter()
        .filter(is_alive)
        .count()
}

async fn all_see(nodes: &[Node], others: usize) {
    for node in nodes {
        eventually("members are seen, with what they carry", || async {
            alive(node, "app").await == others
        })
        .await;
    }
}

fn say(namespace: &Namespace, message: &str) {
    namespace.publish(Space::Channels, "news", message).unwrap();
}

async fn next(publications: &mut Publications) -> Published {
    let next = tokio::time::timeout(PATIENCE, publications.next()).await;
    next.expect("it is heard").unwrap().expect("it goes on")
}

async fn message(publications: &mut Publications) -> String {
    let published = next(publications).await;
    assert_eq!(*published.channel, *b"news");
    String::from_utf8(published.message.to_vec()).unwrap()
}

/// Publishes until it is heard: links are made some time after members have met.
async fn heard_by(from: &Namespace, by: &mut [Publications]) {
    let mut said = 0;
    let mut silent: BTreeSet<usize> = (0..by.len()).collect();
    while !silent.is_empty() {
        assert!(said < 1000, "it is not heard");
        say(from, "ping");
        said += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        for at in silent.clone() {
            let soon = tokio::time::timeout(Duration::from_millis(10), by[at].next()).await;
            if soon.is_ok() {
                silent.remove(&at);
            }
        }
    }
    say(from, "end");
    for publications in by {
        while message(publications).await != "end" {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_heard_once_everywhere_and_in_order() {
    let (nodes, _wires) = three().await;
    let apps: Vec<Namespace> = nodes
        .iter()
        .map(|it| it.namespace("app").unwrap())
        .collect();
    let others = nodes[1].namespace("other").unwrap();
    let mut elsewhere = others.publications();
    all_see(&nodes, 2).await;
    let mut ears: Vec<Publications> = apps.iter().map(Namespace::publications).collect();
    heard_by(&apps[0], &mut ears[1..]).await;

    for number in 0..500 {
        say(&apps[0], &number.to_string());
    }
    for ears in &mut ears[1..] {
        for number in 0..500 {
            assert_eq!(message(ears).await, number.to_string());
        }
    }
    // Large ones are offered first; that does not let later ones overtake them.
    let large = "x".repeat(200 << 10);
    say(&apps[2], &large);
    say(&apps[2], "small");
    apps[2].publish(Space::Shards, "news", "sharded").unwrap();
    for ears in &mut ears[..2] {
        assert_eq!(message(ears).await, large);
        assert_eq!(message(ears).await, "small");
        assert_eq!(next(ears).await.space, Space::Shards);
    }
    let too_large = vec![0; Published::MAX_BYTES];
    let refused = apps[0].publish(Space::Channels, "news", too_large);
    assert!(
        matches!(refused, Err(PublishError::TooLarge(_))),
        "{refused:?}"
    );

    say(&apps[0], "last");
    assert_eq!(message(&mut ears[1]).await, "last");
    for node in &nodes {
        node.shutdown().await.unwrap();
    }
    assert_eq!(
        elsewhere.next().await,
        Ok(None),
        "it was of another namespace"
    );
    assert_eq!(ears[1].next().await, Ok(None), "nothing came twice");
    let closed = apps[0].publish(Space::Channels, "news", "late");
    assert!(matches!(closed, Err(PublishError::Node(_))), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_and_is_healed_hears_what_is_published_later() {
    let (nodes, wires) = three().await;
    let apps: Vec<Namespace> = nodes
        .iter()
        .map(|it| it.namespace("app").unwrap())
        .collect();
    all_see(&nodes, 2).await;
    let mut ears: Vec<Publications> = apps.iter().map(Namespace::publications).collect();
    heard_by(&apps[0], &mut ears[1..]).await;
    wires.iter().for_each(Forwarder::cut);
    for _ in 0..100 {
        say(&apps[0], "unheard");
    }
    wires.iter().for_each(Forwarder::restore);
    // While connections are made anew some may get lost, and none comes twice or out of its turn.
    let mut heard = [Vec::new(), Vec::new()];
    let mut number = 0;
    while heard.iter().any(|it| it.len() < 10) {
        assert!(number < 2000, "{heard:?}");
        say(&apps[0], &format!("{number:04}"));
        number += 1;
        for (ears, heard) in ears[1..].iter_mut().zip(&mut heard) {
            let soon = Duration::from_millis(20);
            while let Ok(published) = tokio::time::timeout(soon, ears.next()).await {
                let published = published.unwrap().unwrap();
                heard.push(String::from_utf8(published.message.to_vec()).unwrap());
            }
        }
    }
    for heard in &mut heard {
        heard.retain(|it| it != "unheard");
        assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    }
}

#[tokio::test]
async fn a_node_in_no_cluster_publishes_to_nobody() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let mut publications = app.publications();
    say(&app, "nothing");
    assert_eq!(publications.next().await, Ok(None));
}
