//! Keys by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline::ops::random_key;
use syncline::{Environment, Error, Namespace, Node, SystemEnvironment, Transaction};

/// Numbers that are each as likely, and the same in each run.
fn below(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |n| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % n
    }
}

async fn draw(app: &Namespace, draw: impl FnMut(u64) -> u64 + Send + 'static) -> Option<String> {
    let key = app.read(|view| random_key(view, draw)).await.unwrap();
    key.map(|key| String::from_utf8(key).unwrap())
}

#[tokio::test]
async fn each_key_is_as_likely_as_any_other() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    assert_eq!(draw(&app, below(0)).await, None);
    app.put("value", "1").await.unwrap();
    app.sorted_set("sorted").insert("m", 1.0).await.unwrap();
    let fill = |t: &mut Transaction<'_>| {
        (0..10).try_for_each(|n: u8| t.set("members").insert([n]).map(drop))
    };
    app.transaction(fill).await.unwrap();
    // Removed, so that what is left shows nothing.
    app.counter("gone").add(1).await.unwrap();
    app.delete("gone").await.unwrap();
    let mut drawn = [0; 3];
    for seed in 0..300 {
        let key = draw(&app, below(seed)).await.unwrap();
        let at = ["value", "sorted", "members"]
            .iter()
            .position(|it| *it == key);
        drawn[at.unwrap()] += 1;
    }
    assert!(
        drawn.iter().all(|times| (60..140).contains(times)),
        "{drawn:?}"
    );
    // In a transaction it is of what that has written.
    let drawn = app.transaction(|t| {
        for key in ["value", "sorted", "members"] {
            t.delete(key)?;
        }
        assert_eq!(random_key(t, below(0))?, None);
        t.put("new", "1")?;
        random_key(t, below(0))
    });
    assert_eq!(drawn.await.unwrap().unwrap(), b"new");
}

#[tokio::test]
async fn one_is_found_where_no_draw_finds_any() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    app.set("a").insert("1").await.unwrap();
    app.set("m").insert("1").await.unwrap();
    app.set("m").insert("2").await.unwrap();
    // Never the first of a key.
    assert_eq!(draw(&app, |rows| rows - 1).await.unwrap(), "m");
}

struct Ahead(Arc<AtomicU64>);

impl Environment for Ahead {
    fn wall_ms(&self) -> u64 {
        SystemEnvironment.wall_ms() + self.0.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        SystemEnvironment.entropy()
    }
}

#[tokio::test]
async fn what_has_expired_is_not_drawn() -> Result<(), Error> {
    let ahead = Arc::new(AtomicU64::new(0));
    let clock = Arc::new(Ahead(ahead.clone()));
    let node = Node::builder().in_memory().environment(clock);
    let node = node.start().await.unwrap();
    let app = node.namespace("app").unwrap();
    for key in ["a", "b", "y", "z"] {
        app.put(key, "1").await?;
        app.expire(key, Duration::from_secs(60)).await?;
    }
    app.put("left", "1").await?;
    ahead.store(61_000, Ordering::Relaxed);
    for seed in 0..20 {
        assert_eq!(draw(&app, below(seed)).await.unwrap(), "left");
    }
    // On both sides of where the draws end.
    assert_eq!(draw(&app, |_| 0).await.unwrap(), "left");
    assert_eq!(draw(&app, |rows| rows - 1).await.unwrap(), "left");
    app.delete("left").await?;
    assert_eq!(draw(&app, |_| 0).await, None);
    Ok(())
}
