//! Keys that expire, on nodes whose clocks are moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline::testing::{Cluster, cluster_with};
use syncline::{Builder, Environment, ExpireIf, Namespace, Node, SystemEnvironment};

const START: u64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// A clock that stands still until it is moved.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    fn set(&self, seconds: u64) {
        self.0.store(START + seconds * 1000, Ordering::Relaxed);
    }
}

impl Environment for Clock {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        SystemEnvironment.entropy()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(START) + Duration::from_secs(seconds)
}

async fn alone() -> (Namespace, Clock, Node) {
    let clock = Clock::new();
    let node = Node::builder()
        .in_memory()
        .environment(Arc::new(clock.clone()));
    let node = node.start().await.unwrap();
    (node.namespace("app").unwrap(), clock, node)
}

#[tokio::test]
async fn a_key_is_hidden_from_its_deadline_on() {
    let (app, clock, _node) = alone().await;
    app.put("k:value", "1").await.unwrap();
    app.set("k:set").insert("a").await.unwrap();
    app.map("k:map").set("f", "1").await.unwrap();
    app.counter("k:counter").add(5).await.unwrap();
    app.put("stays", "1").await.unwrap();
    assert!(!app.expire("none", SECOND).await.unwrap());
    for key in ["k:value", "k:set", "k:map", "k:counter"] {
        assert!(app.expire(key, 10 * SECOND).await.unwrap());
        assert_eq!(app.deadline(key).await.unwrap(), Some(at(10)));
    }
    clock.pass(9);
    assert_eq!(app.count().await.unwrap(), 5);
    let before = app.view().await.unwrap();
    clock.pass(1);
    assert_eq!(before.count().unwrap(), 5, "it is as of its time");
    let root = before.root().unwrap();
    for key in ["k:value", "k:set", "k:map", "k:counter"] {
        assert_eq!(app.kind(key).await.unwrap(), None);
        assert_eq!(app.deadline(key).await.unwrap(), None);
        assert!(!app.expire(key, SECOND).await.unwrap());
        assert!(!app.persist(key).await.unwrap());
    }
    assert_eq!(app.get("k:value").await.unwrap(), None);
    let set = app.set("k:set");
    assert!(!set.contains("a").await.unwrap() && set.is_empty().await.unwrap());
    assert_eq!(set.len().await.unwrap(), 0);
    assert!(
        set.members()
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .is_empty()
    );
    let map = app.map("k:map");
    assert_eq!(
        (map.get("f").await.unwrap(), map.len().await.unwrap()),
        (None, 0)
    );
    assert!(
        map.fields()
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(app.counter("k:counter").value().await.unwrap(), 0);
    assert_eq!(app.count().await.unwrap(), 1);
    assert_eq!(
        app.keys("").await.unwrap().collect().await.unwrap().len(),
        1
    );
    assert!(
        app.scan("k:")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .is_empty()
    );
    let view = app.view().await.unwrap();
    assert_eq!(view.kinds("k:set").unwrap(), []);
    assert_eq!(view.root().unwrap(), root, "nothing is written by hiding");
    assert!(!app.delete("k:value").await.unwrap());
}

#[tokio::test]
async fn conditions() {
    let (app, _clock, _node) = alone().await;
    app.put("k", "1").await.unwrap();
    for (seconds, condition, done) in [
        (10, ExpireIf::Present, false),
        (10, ExpireIf::Later, false),
        (10, ExpireIf::Sooner, true),
        (20, ExpireIf::Sooner, false),
        (20, ExpireIf::Absent, false),
        (20, ExpireIf::Later, true),
        (15, ExpireIf::Later, false),
        (15, ExpireIf::Present, true),
        (30, ExpireIf::Always, true),
    ] {
        let before = app.deadline("k").await.unwrap();
        assert_eq!(
            app.expire_at("k", at(seconds), condition).await.unwrap(),
            done
        );
        let now = app.deadline("k").await.unwrap();
        assert_eq!(now, if done { Some(at(seconds)) } else { before });
    }
    assert!(app.persist("k").await.unwrap() && !app.persist("k").await.unwrap());
    assert!(app.expire_at("k", at(5), ExpireIf::Absent).await.unwrap());
}

#[tokio::test]
async fn what_keeps_a_deadline_and_what_does_not() {
    let (app, clock, _node) = alone().await;
    app.put("k", "1").await.unwrap();
    app.set("s").insert("a").await.unwrap();
    for key in ["k", "s"] {
        app.expire(key, 10 * SECOND).await.unwrap();
    }
    app.counter("k").add(1).await.unwrap();
    app.set("s").insert("b").await.unwrap();
    assert_eq!(app.deadline("k").await.unwrap(), Some(at(10)));
    assert_eq!(app.deadline("s").await.unwrap(), Some(at(10)));
    app.put_keeping_deadline("k", "5").await.unwrap();
    assert_eq!(app.deadline("k").await.unwrap(), Some(at(10)));
    app.put("k", "6").await.unwrap();
    assert_eq!(app.deadline("k").await.unwrap(), None);
    // A set that is emptied and filled is another one.
    app.set("s").clear().await.unwrap();
    app.set("s").insert("c").await.unwrap();
    assert_eq!(app.deadline("s").await.unwrap(), None);
    clock.pass(60);
    assert_eq!(app.get("k").await.unwrap().as_deref(), Some(&b"6"[..]));
    // In one transaction, a deadline is of what was put before it.
    let put = app.transaction(|t| {
        t.put("t", "1")?;
        t.expire("t", SECOND)
    });
    assert!(put.await.unwrap());
    assert_eq!(app.deadline("t").await.unwrap(), Some(at(61)));
}

#[tokio::test]
async fn a_write_to_a_hidden_key_begins_it_anew() {
    let (app, clock, _node) = alone().await;
    app.set("s").insert("old").await.unwrap();
    app.map("m").set("old", "1").await.unwrap();
    app.map("n").increment("old", 1).await.unwrap();
    app.counter("c").add(5).await.unwrap();
    for key in ["s", "m", "n", "c"] {
        app.expire(key, SECOND).await.unwrap();
    }
    clock.pass(1);
    assert!(app.set("s").insert("new").await.unwrap());
    app.map("m").set("new", "2").await.unwrap();
    assert_eq!(app.map("n").increment("old", 1).await.unwrap(), 1);
    assert_eq!(app.counter("c").add(1).await.unwrap(), 1);
    assert_eq!(
        app.set("s")
            .members()
            .await
            .unwrap()
            .collect()
            .await
            .unwrap(),
        [b"new"]
    );
    assert_eq!(app.map("m").len().await.unwrap(), 1);
    for key in ["s", "m", "n", "c"] {
        assert_eq!(app.deadline(key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_shows_nothing_again() {
    let (app, clock, _node) = alone().await;
    app.put("k", "1").await.unwrap();
    app.expire("k", 10 * SECOND).await.unwrap();
    clock.set(10);
    app.collect().await.unwrap();
    app.put("other", "1").await.unwrap();
    app.expire("other", SECOND).await.unwrap();
    clock.set(0);
    assert_eq!(app.deadline("other").await.unwrap(), Some(at(11)));
    assert_eq!(app.get("k").await.unwrap(), None);
}

/// Three nodes, each with a clock.
async fn three() -> (Cluster, Vec<Namespace>, Vec<Clock>) {
    let clocks = vec![Clock::new(), Clock::new(), Clock::new()];
    let each = clocks.clone();
    let cluster = cluster_with(3, move |node, builder: Builder| {
        builder.environment(Arc::new(each[node].clone()))
    });
    let cluster = cluster.await.unwrap();
    let apps = cluster.namespaces("app").unwrap();
    (cluster, apps, clocks)
}

/// Rounds of sync, in which everybody says what it has seen; returns how many rows were collected.
async fn settle(cluster: &Cluster, apps: &[Namespace]) -> u64 {
    let mut rows = 0;
    for _ in 0..4 {
        for app in apps {
            rows += app.collect().await.unwrap();
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            if let Some(address) = cluster.address(from, to) {
                // A wire may be cut.
                drop(apps[from].sync_with(address).await);
            }
        }
    }
    rows
}

async fn held(app: &Namespace) -> u64 {
    app.read(|view| Ok(view.row_count())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_rows_go_once_all_have_passed_the_deadline() {
    let (cluster, apps, clocks) = three().await;
    apps[0].set("s").insert("a").await.unwrap();
    apps[1].counter("n").add(5).await.unwrap();
    settle(&cluster, &apps).await;
    apps[0].expire("s", 10 * SECOND).await.unwrap();
    apps[2].counter("n").reset().await.unwrap();
    settle(&cluster, &apps).await;
    // One clock is behind: it may still put the deadline off.
    clocks[0].pass(20);
    clocks[1].pass(20);
    assert!(apps[0].set("s").is_empty().await.unwrap());
    assert!(!apps[2].set("s").is_empty().await.unwrap());
    settle(&cluster, &apps).await;
    for app in &apps {
        assert_eq!(held(app).await, 2, "the remnant is gone, the set is not");
    }
    clocks[2].pass(20);
    settle(&cluster, &apps).await;
    for app in &apps {
        assert_eq!(held(app).await, 0);
        assert!(app.read(|view| view.recount()).await.unwrap().is_sound());
    }
    assert!(cluster.converged().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_was_put_off_out_of_sight_is_not_acted_on() {
    let (cluster, apps, clocks) = three().await;
    apps[0].set("s").insert("a").await.unwrap();
    settle(&cluster, &apps).await;
    apps[0].expire("s", 10 * SECOND).await.unwrap();
    settle(&cluster, &apps).await;
    cluster.cut(0, 2);
    cluster.cut(1, 2);
    apps[2].persist("s").await.unwrap();
    apps[2].set("s").insert("b").await.unwrap();
    for clock in &clocks {
        clock.pass(20);
    }
    apps[0].set("t").insert("c").await.unwrap();
    for app in &apps[..2] {
        app.collect().await.unwrap();
    }
    apps[0]
        .sync_with(cluster.address(0, 1).unwrap())
        .await
        .unwrap();
    assert_eq!(apps[0].collect().await.unwrap(), 0, "one is away");
    assert!(apps[0].set("s").is_empty().await.unwrap());
    let status = apps[0].stability().await.unwrap();
    let away = apps[2].carrier().await.unwrap();
    assert!(status.awaited.contains(&away) && status.unstable_dots > 0);

    cluster.heal().await.unwrap();
    settle(&cluster, &apps).await;
    for app in &apps {
        assert_eq!(app.set("s").len().await.unwrap(), 2);
    }
    assert!(cluster.converged().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_is_gone_for_good_is_forgotten() {
    let (cluster, apps, clocks) = three().await;
    apps[0].set("s").insert("a").await.unwrap();
    apps[0].expire("s", 10 * SECOND).await.unwrap();
    settle(&cluster, &apps).await;
    cluster.cut(0, 2);
    cluster.cut(1, 2);
    clocks.iter().for_each(|clock| clock.pass(20));
    let gone = apps[2].carrier().await.unwrap();
    assert!(apps[0].forget_carrier(gone).await.unwrap());
    let address = cluster.address(0, 1).unwrap();
    let mut rows = 0;
    for _ in 0..4 {
        apps[0].sync_with(address.clone()).await.unwrap();
        rows += apps[0].collect().await.unwrap() + apps[1].collect().await.unwrap();
    }
    assert_eq!(rows, 4, "a member and a deadline on each");
    cluster.mend(0, 2);
    cluster.mend(1, 2);
    let refused = apps[2].sync_with(cluster.address(2, 1).unwrap()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("forgotten"), "{refused}");
    assert_eq!(held(&apps[1]).await, 0);
}
