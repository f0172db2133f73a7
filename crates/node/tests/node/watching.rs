//! Whoever follows a watch holds what the prefix shows.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use syncline::watch::{Change, Event, Resume};
use syncline::{Error, Kind, Namespace, Node, Registers, Watch};

use super::pair::Pair;

/// By key, kind, and field or member.
type Places = BTreeMap<(Vec<u8>, Kind, Vec<u8>), Vec<Vec<u8>>>;

/// What the events come to.
#[derive(Default)]
struct Mirror {
    places: Places,
    kept: Vec<u8>,
    resets: usize,
}

impl Mirror {
    fn apply(&mut self, change: Change) {
        let (place, values) = match change {
            Change::Value { key, values } => ((key, Kind::Value, Vec::new()), values),
            Change::Field { key, field, values } => ((key, Kind::Map, field), values),
            Change::Member {
                key,
                member,
                present,
            } => {
                let values = if present {
                    vec![Vec::new()]
                } else {
                    Vec::new()
                };
                ((key, Kind::Set, member), values)
            }
            other => panic!("{other:?}"),
        };
        match values.is_empty() {
            true => self.places.remove(&place),
            false => self.places.insert(place, values),
        };
    }

    /// Follows until a complete point that is of now, if nobody writes meanwhile.
    async fn follow(&mut self, watch: &mut Watch, app: &Namespace, prefix: &str) {
        loop {
            match watch.next().await.unwrap() {
                Event::Reset => {
                    self.places.clear();
                    self.resets += 1;
                }
                Event::Change(change) => self.apply(change),
                Event::Resume(point) => {
                    self.kept = point.to_bytes();
                    if point.is_complete() && self.places == shown(app, prefix).await {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What a reader sees under a prefix.
async fn shown(app: &Namespace, prefix: &str) -> BTreeMap<(Vec<u8>, Kind, Vec<u8>), Vec<Vec<u8>>> {
    let mut shown = BTreeMap::new();
    for (key, kind) in app.keys(prefix).await.unwrap().collect().await.unwrap() {
        match kind {
            Kind::Value => {
                let value = app.get(&key).await.unwrap().unwrap();
                shown.insert((key, kind, Vec::new()), vec![value]);
            }
            Kind::Map => {
                let fields = app.map(&key).fields().await.unwrap();
                for (field, value) in fields.collect().await.unwrap() {
                    shown.insert((key.clone(), kind, field), vec![value]);
                }
            }
            Kind::Set => {
                let members = app.set(&key).members().await.unwrap();
                for member in members.collect().await.unwrap() {
                    shown.insert((key.clone(), kind, member), vec![Vec::new()]);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    shown
}

async fn write_some(app: &Namespace, round: u32) {
    app.put("x:motto", format!("motto {round}")).await.unwrap();
    app.put(format!("x:{round}"), "once").await.unwrap();
    app.delete(format!("x:{}", round.wrapping_sub(1)))
        .await
        .unwrap();
    app.counter("x:n").add(i64::from(round) + 1).await.unwrap();
    app.map("x:m")
        .set(format!("f{}", round % 3), format!("{round}"))
        .await
        .unwrap();
    app.map("x:m")
        .remove(format!("f{}", (round + 1) % 3))
        .await
        .unwrap();
    app.set("x:s")
        .insert(format!("{}", round % 5))
        .await
        .unwrap();
    app.set("x:s")
        .remove(format!("{}", (round + 2) % 5))
        .await
        .unwrap();
    app.put("y", format!("{round}")).await.unwrap();
    if round % 4 == 3 {
        app.counter("x:n").reset().await.unwrap();
        app.set("x:s").clear().await.unwrap();
    }
}

#[tokio::test]
async fn a_mirror_follows_what_is_written_here_and_there() {
    let pair = Pair::apart().await;
    write_some(&pair.a, 0).await;
    let mut mirror = Mirror::default();
    let mut watch = pair.a.watch("x:").await.unwrap();
    mirror.follow(&mut watch, &pair.a, "x:").await;
    for round in 1..12 {
        write_some(&pair.a, round).await;
        write_some(&pair.b, round + 1).await;
        if round % 2 == 0 {
            mirror.follow(&mut watch, &pair.a, "x:").await;
        }
        pair.heal().await;
        mirror.follow(&mut watch, &pair.a, "x:").await;
        if round % 3 == 0 {
            watch = pair.a.watch_from("x:", &mirror.kept).await.unwrap();
        }
    }
    assert_eq!(mirror.resets, 1);
    assert!(mirror.places.len() > 4);
    assert!(mirror.places.keys().all(|(key, ..)| key.starts_with(b"x:")));
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::default();
    for round in 0..4 {
        let builder = Node::builder().data_dir(directory.path());
        let node = builder.start().await.unwrap();
        let app = node.namespace("app").unwrap();
        write_some(&app, 2 * round).await;
        let mut watch = app.watch_from("x:", &mirror.kept).await.unwrap();
        mirror.follow(&mut watch, &app, "x:").await;
        // What is not followed any more is told after the restart.
        write_some(&app, 2 * round + 1).await;
        node.shutdown().await.unwrap();
        loop {
            match watch.next().await {
                Ok(_) => {}
                Err(Error::Closed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(mirror.resets, 1);
}

#[tokio::test]
async fn large_prefixes_come_in_parts_that_can_be_resumed() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let fill = app
        .transaction(|t| (0..2_000).try_for_each(|n| t.set("s").insert(format!("{n}")).map(drop)));
    fill.await.unwrap();
    let mut mirror = Mirror::default();
    let mut points = 0;
    loop {
        // Begun again at every point.
        let mut watch = app.watch_from("", &mirror.kept).await.unwrap();
        let complete = loop {
            match watch.next().await.unwrap() {
                Event::Reset => mirror.resets += 1,
                Event::Change(change) => mirror.apply(change),
                Event::Resume(point) => {
                    mirror.kept = point.to_bytes();
                    break point.is_complete();
                }
                other => panic!("{other:?}"),
            }
        };
        points += 1;
        if complete {
            break;
        }
        app.set("s")
            .remove(format!("{}", 100 * points))
            .await
            .unwrap();
    }
    assert_eq!(
        (mirror.resets, mirror.places.len()),
        (1, 2_000 - points + 1)
    );
    assert!(points > 3);
}

#[tokio::test]
async fn a_transaction_is_not_torn_and_a_dropped_future_loses_nothing() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let mut watch = app.watch("").await.unwrap();
    assert_eq!(watch.next().await.unwrap(), Event::Reset);
    assert!(matches!(watch.next().await.unwrap(), Event::Resume(_)));
    let writer = tokio::spawn({
        let app = app.clone();
        async move {
            for n in 0..200u32 {
                let both = app.transaction(move |t| {
                    t.put("a", n.to_string())?;
                    t.put("b", n.to_string())
                });
                both.await.unwrap();
            }
        }
    });
    let (mut seen, mut points) = (BTreeMap::new(), 0);
    while seen.get(&b"a"[..]).is_none_or(|value| value != b"199") || points == 0 {
        // Polled once and dropped, as `select!` would.
        for _ in 0..3 {
            let next = pin!(watch.next());
            let polled = next.poll(&mut Context::from_waker(Waker::noop()));
            if let std::task::Poll::Ready(event) = polled {
                note(event.unwrap(), &mut seen, &mut points);
            }
        }
        note(watch.next().await.unwrap(), &mut seen, &mut points);
    }
    writer.await.unwrap();

    fn note(event: Event, seen: &mut BTreeMap<Vec<u8>, Vec<u8>>, points: &mut usize) {
        match event {
            Event::Change(Change::Value { key, mut values }) => {
                seen.insert(key, values.remove(0));
            }
            Event::Resume(point) => {
                assert!(point.is_complete());
                assert_eq!(seen.get(&b"a"[..]), seen.get(&b"b"[..]), "torn");
                *points += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_point_of_another_prefix_or_node_begins_anew() {
    let pair = Pair::apart().await;
    pair.a.put("x", "1").await.unwrap();
    pair.heal().await;
    let kept = pair.a.resume_from_now("x").await.unwrap().to_bytes();
    for (app, prefix, bytes) in [
        (&pair.a, "", &kept[..]),
        (&pair.b, "x", &kept[..]),
        (&pair.a, "x", &kept[1..]),
        (&pair.a, "x", b"garbage"),
    ] {
        let mut watch = app.watch_from(prefix, bytes).await.unwrap();
        assert_eq!(watch.next().await.unwrap(), Event::Reset);
        assert!(matches!(watch.next().await.unwrap(), Event::Change(_)));
    }
    // The one that fits tells only what changes from then on.
    let mut watch = pair.a.watch_from("x", &kept).await.unwrap();
    pair.a.delete("x").await.unwrap();
    let Event::Change(gone) = watch.next().await.unwrap() else {
        panic!("a removal was expected");
    };
    assert!(gone.is_removal() && gone.key() == b"x");
}

#[tokio::test]
async fn deadlines_are_told_as_they_apply() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    app.put("k", "v").await.unwrap();
    let kept = app.resume_from_now("").await.unwrap().to_bytes();
    let mut watch = app.watch_from("", &kept).await.unwrap();
    app.expire("k", std::time::Duration::from_secs(3600))
        .await
        .unwrap();
    let end = app.deadline("k").await.unwrap();
    let told = |event| match event {
        Event::Change(Change::Deadline { key, at }) => (key, at),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(watch.next().await.unwrap()), (b"k".to_vec(), end));
    assert!(matches!(watch.next().await.unwrap(), Event::Resume(_)));
    app.persist("k").await.unwrap();
    assert_eq!(told(watch.next().await.unwrap()), (b"k".to_vec(), None));
    // With a value that keeps it, a deadline is told as often as it may have changed.
    assert!(matches!(watch.next().await.unwrap(), Event::Resume(_)));
    app.register("k").set("w").await.unwrap();
    assert!(matches!(
        watch.next().await.unwrap(),
        Event::Change(Change::Value { .. })
    ));
}

#[tokio::test]
async fn conflicts_are_told_as_the_handle_reads_them() {
    let pair = Pair::apart().await;
    let mut all = pair.nodes[0]
        .namespace_with("app", Registers::AllSiblings)
        .unwrap()
        .watch("")
        .await
        .unwrap();
    pair.a.put("k", "ours").await.unwrap();
    pair.b.put("k", "theirs").await.unwrap();
    pair.heal().await;
    let mut last = None;
    while last.as_ref().is_none_or(|values: &Vec<_>| values.len() < 2) {
        if let Event::Change(Change::Value { values, .. }) = all.next().await.unwrap() {
            last = Some(values);
        }
    }
    let mut values = last.unwrap();
    values.sort();
    assert_eq!(values, [&b"ours"[..], b"theirs"]);
}

#[test]
fn resume_points_have_frozen_bytes() {
    // Version 1, the prefix "x:", a bookmark of version 1 (frozen by the store).
    let frozen = "01".to_owned()
        + "02783a"
        + "01"
        + &"0a".repeat(16)
        + "05"
        + "0600"
        + "00"
        + "01"
        + &"0b".repeat(16)
        + "010004";
    let bytes: Vec<u8> = (0..frozen.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&frozen[at..at + 2], 16).unwrap())
        .collect();
    let point = Resume::from_bytes(&bytes).unwrap();
    assert!(point.is_complete());
    assert_eq!(point.to_bytes(), bytes);
    assert!(Resume::from_bytes(&bytes[1..]).is_none());
}

#[tokio::test]
async fn what_arrives_is_told_apart_from_what_is_written_here_and_a_flood_is_said_to_be_one() {
    let cluster = syncline::testing::cluster(2).await.unwrap();
    let apps = cluster.namespaces("app").unwrap();
    let mut arrivals = apps[0].arrivals("user:").await.unwrap();
    apps[0].put("user:ada", "here").await.unwrap();
    apps[1].put("user:bob", "there").await.unwrap();
    apps[1].put("elsewhere", "there").await.unwrap();
    apps[1].set("user:roles").insert("admin").await.unwrap();
    cluster.sync_all().await.unwrap();
    let arrived = arrivals.next().await.unwrap();
    let keys: Vec<&[u8]> = arrived.changes.iter().map(Change::key).collect();
    assert_eq!(keys, [&b"user:bob"[..], b"user:roles"]);
    assert!(!arrived.has_missed);
    // Removals, those of ranges included.
    apps[1].remove_prefix("user:").await.unwrap();
    cluster.sync_all().await.unwrap();
    let arrived = arrivals.next().await.unwrap();
    assert!(arrived.changes.iter().all(Change::is_removal));
    assert_eq!(arrived.changes.len(), 3, "{arrived:?}");

    let write = apps[1]
        .transaction(|t| (0..10_000).try_for_each(|number| t.put(format!("user:{number}"), "x")));
    write.await.unwrap();
    cluster.sync_all().await.unwrap();
    let arrived = arrivals.next().await.unwrap();
    assert!(arrived.has_missed);
    apps[1].put("user:later", "there").await.unwrap();
    cluster.sync_all().await.unwrap();
    let mut keys = Vec::new();
    while !keys.contains(&b"user:later".to_vec()) {
        let arrived = arrivals.next().await.unwrap();
        keys.extend(arrived.changes.iter().map(|it| it.key().to_vec()));
    }
    cluster[0].shutdown().await.unwrap();
    assert!(matches!(arrivals.next().await, Err(Error::Closed)));
}

#[tokio::test]
async fn keys_that_expire_are_told_by_their_deadlines() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let since = app.read(|view| Ok(view.taken_at())).await.unwrap();
    for (key, ms) in [
        ("late", 3),
        ("early", 1),
        ("middle", 2),
        ("kept", 3_600_000),
    ] {
        app.set(key).insert("x").await.unwrap();
        app.expire(key, Duration::from_millis(ms)).await.unwrap();
    }
    for key in ["late", "early", "middle"] {
        while !app.set(key).is_empty().await.unwrap() {
            tokio::task::yield_now().await;
        }
    }
    let expired = async |since: SystemTime| {
        let expired = app.read(move |view| {
            let mut expired = Vec::new();
            view.expired_since(since, |key, at| {
                assert_eq!(view.expired_at(&key)?, Some(at));
                expired.push((at, key));
                Ok(())
            })?;
            Ok(expired)
        });
        expired.await.unwrap()
    };
    let all = expired(since).await;
    assert!(all.is_sorted(), "{all:?}");
    let keys: BTreeSet<_> = all.iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(keys.len(), 3, "{all:?}");
    let last = all.last().unwrap().0;
    assert!(expired(last).await.is_empty());
    let kept = app.read(|view| view.expired_at("kept")).await.unwrap();
    assert_eq!(kept, None);
}
