//! What concurrent operations come to: two nodes apart, then healed. `A ∥ B` means that neither knew of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::{Decimal, Error, Kind, Namespace};

use crate::pair::{Ahead, Pair};

/// Reads on both sides and sees that they read the same.
macro_rules! both {
    ($pair:expr, $side:ident => $read:expr) => {{
        let [left, right] = [&$pair.a, &$pair.b].map(Clone::clone);
        let left = {
            let $side = left;
            $read.await.unwrap()
        };
        let right = {
            let $side = right;
            $read.await.unwrap()
        };
        assert_eq!(left, right);
        left
    }};
}

async fn get(namespace: &Namespace, key: &str) -> Option<String> {
    let value = namespace.get(key).await.unwrap();
    value.map(|bytes| String::from_utf8(bytes).unwrap())
}

async fn read(pair: &Pair, key: &str) -> Option<String> {
    let (left, right) = (get(&pair.a, key).await, get(&pair.b, key).await);
    assert_eq!(left, right);
    left
}

#[tokio::test]
async fn put_put_keeps_the_loser_as_a_sibling_until_someone_decides() {
    let pair = Pair::apart().await;
    pair.a.put("x", "a").await.unwrap();
    // Wall clocks have milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    pair.b.put("x", "b").await.unwrap();
    pair.heal().await;
    assert_eq!(read(&pair, "x").await.unwrap(), "b");
    let siblings = both!(pair, n => n.register("x").siblings());
    assert_eq!(siblings, [b"b", b"a"]);

    pair.a.put("x", "c").await.unwrap();
    pair.heal().await;
    assert_eq!(read(&pair, "x").await.unwrap(), "c");
    assert_eq!(both!(pair, n => n.register("x").siblings()), [b"c"]);
}

#[tokio::test]
async fn a_put_that_observed_a_stamp_from_the_future_wins() {
    let ahead = Arc::new(AtomicU64::new(30_000));
    let clock = Arc::new(Ahead(ahead.clone()));
    let pair = Pair::with(|a| a, |b| b.environment(clock)).await;
    pair.b.put("x", "from the future").await.unwrap();
    pair.heal().await;
    pair.a.put("x", "knowing that").await.unwrap();
    pair.heal().await;
    assert_eq!(read(&pair, "x").await.unwrap(), "knowing that");
    assert_eq!(both!(pair, n => n.register("x").siblings()).len(), 1);

    // Further away than the bound, the peer is refused, and nothing is torn.
    ahead.store(90_000, Ordering::Relaxed);
    let error = pair.nodes[0].sync_with(&pair.nodes[1]).await.unwrap_err();
    assert!(error.to_string().contains("clock"), "{error}");
}

#[tokio::test]
async fn put_delete_survives() {
    let pair = Pair::apart().await;
    pair.a.put("x", "old").await.unwrap();
    pair.heal().await;
    pair.a.put("x", "a").await.unwrap();
    assert!(pair.b.delete("x").await.unwrap());
    pair.heal().await;
    assert_eq!(read(&pair, "x").await.unwrap(), "a");
}

#[tokio::test]
async fn delete_delete_of_a_value_leaves_nothing() {
    let pair = Pair::apart().await;
    pair.a.put("x", "old").await.unwrap();
    pair.heal().await;
    assert!(pair.a.delete("x").await.unwrap());
    assert!(pair.b.delete("x").await.unwrap());
    pair.heal().await;
    assert_eq!(read(&pair, "x").await, None);
    let rows = both!(pair, n => n.read(|view| Ok(view.row_count())));
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn add_add_sums() {
    let pair = Pair::apart().await;
    pair.a.put("x", "10").await.unwrap();
    pair.heal().await;
    assert_eq!(pair.a.counter("x").add(7).await.unwrap(), 17);
    assert_eq!(pair.b.counter("x").add(3).await.unwrap(), 13);
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), 20);
}

#[tokio::test]
async fn put_add_erases_only_what_the_put_had_observed() {
    let pair = Pair::apart().await;
    pair.b.counter("x").add(40).await.unwrap();
    pair.heal().await;
    pair.a.put("x", "100").await.unwrap();
    pair.b.counter("x").increment().await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), 101);
}

#[tokio::test]
async fn put_of_text_add_reads_the_text() {
    let pair = Pair::apart().await;
    pair.a.put("x", "text").await.unwrap();
    pair.b.counter("x").increment().await.unwrap();
    pair.heal().await;
    assert_eq!(read(&pair, "x").await.unwrap(), "text");
    for namespace in [&pair.a, &pair.b] {
        let outcome = namespace.counter("x").increment().await;
        assert!(matches!(outcome, Err(Error::NotANumber { .. })));
    }
}

#[tokio::test]
async fn delete_add_leaves_what_the_delete_had_not_observed() {
    let pair = Pair::apart().await;
    pair.b.counter("x").add(5).await.unwrap();
    pair.heal().await;
    assert!(pair.a.delete("x").await.unwrap());
    assert_eq!(pair.b.counter("x").increment().await.unwrap(), 6);
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), 1);
}

#[tokio::test]
async fn delete_delete_of_a_counter_starts_anew() {
    let pair = Pair::apart().await;
    pair.a.counter("x").add(5).await.unwrap();
    pair.b.counter("x").add(6).await.unwrap();
    pair.heal().await;
    assert!(pair.a.counter("x").reset().await.unwrap());
    assert!(pair.b.delete("x").await.unwrap());
    pair.heal().await;
    assert_eq!(read(&pair, "x").await, None);
    assert_eq!(both!(pair, n => n.kind("x")), None);
    assert_eq!(pair.a.counter("x").increment().await.unwrap(), 1);
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), 1);
}

#[tokio::test]
async fn sums_beyond_64_bits_read_as_the_bound() {
    let pair = Pair::apart().await;
    pair.a.counter("x").add(i64::MAX).await.unwrap();
    pair.b.counter("x").add(i64::MAX).await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), i64::MAX);
    assert_eq!(read(&pair, "x").await.unwrap(), i64::MAX.to_string());
    assert!(matches!(
        pair.a.counter("x").increment().await,
        Err(Error::Overflow { .. })
    ));
    // The way back is open, and leads through what was really summed up.
    pair.a.counter("x").add(-i64::MAX).await.unwrap();
    pair.a.counter("x").add(-7).await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").value()), i64::MAX - 7);
}

#[tokio::test]
async fn decimals_add_up_exactly() {
    let pair = Pair::apart().await;
    let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    pair.a.put("x", "1.0").await.unwrap();
    pair.heal().await;
    assert_eq!(pair.a.get("x").await.unwrap().as_deref(), Some(&b"1.0"[..]));
    let refused = pair.a.counter("x").increment().await;
    assert!(matches!(refused, Err(Error::NotAnInteger { .. })));
    let sum = pair.a.counter("x").add_decimal(number("0.1")).await;
    assert_eq!(sum.unwrap(), number("1.1"));
    pair.b
        .counter("x")
        .add_decimal(number("0.2"))
        .await
        .unwrap();
    pair.b
        .counter("x")
        .add_decimal(number("-0.1"))
        .await
        .unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("x").decimal()), number("1.2"));
    assert_eq!(pair.b.get("x").await.unwrap().as_deref(), Some(&b"1.2"[..]));
    let read = pair.b.counter("x").value().await;
    assert!(matches!(read, Err(Error::NotAnInteger { .. })));

    // Back among the integers, as which they count on.
    pair.b
        .counter("x")
        .add_decimal(number("0.8"))
        .await
        .unwrap();
    assert_eq!(pair.b.counter("x").increment().await.unwrap(), 3);
    let field = pair.a.map("m").increment_decimal("f", number("2.5")).await;
    assert_eq!(field.unwrap(), number("2.5"));
    pair.b.map("m").increment("f", 1).await.unwrap();
    pair.heal().await;
    let field = both!(pair, n => n.map("m").get("f"));
    assert_eq!(field.as_deref(), Some(&b"3.5"[..]));

    // Only a merge leaves the range.
    pair.a.put("y", "9223372036854775806.5").await.unwrap();
    pair.heal().await;
    pair.a
        .counter("y")
        .add_decimal(number("0.4"))
        .await
        .unwrap();
    pair.b
        .counter("y")
        .add_decimal(number("0.4"))
        .await
        .unwrap();
    let refused = pair.b.counter("y").add_decimal(number("1")).await;
    assert!(matches!(refused, Err(Error::Overflow { .. })));
    pair.heal().await;
    assert_eq!(both!(pair, n => n.counter("y").decimal()), i64::MAX.into());
}

#[tokio::test]
async fn insert_remove_of_a_member_keeps_it() {
    let pair = Pair::apart().await;
    pair.a.set("s").insert("e").await.unwrap();
    pair.heal().await;
    // It is there already, and yet this is what the removal does not know of.
    assert!(!pair.a.set("s").insert("e").await.unwrap());
    assert!(pair.b.set("s").remove("e").await.unwrap());
    pair.heal().await;
    assert!(both!(pair, n => n.set("s").contains("e")));
}

#[tokio::test]
async fn insert_delete_of_the_set_keeps_the_insertion_alone() {
    let pair = Pair::apart().await;
    pair.a.set("s").insert("old").await.unwrap();
    pair.heal().await;
    pair.a.set("s").insert("e").await.unwrap();
    assert!(pair.b.delete("s").await.unwrap());
    pair.heal().await;
    let members = both!(pair, n => n.set("s").members().await.unwrap().collect());
    assert_eq!(members, [b"e"]);
}

#[tokio::test]
async fn remove_remove_removes_once() {
    let pair = Pair::apart().await;
    pair.a.set("s").insert("e").await.unwrap();
    pair.heal().await;
    assert!(pair.a.set("s").remove("e").await.unwrap());
    assert!(pair.b.set("s").remove("e").await.unwrap());
    pair.heal().await;
    assert!(both!(pair, n => n.set("s").is_empty()));
    pair.b.set("s").insert("e").await.unwrap();
    pair.heal().await;
    assert!(both!(pair, n => n.set("s").contains("e")));
}

#[tokio::test]
async fn fields_set_apart_are_both_there() {
    let pair = Pair::apart().await;
    pair.a.map("h").set("f", "a").await.unwrap();
    pair.b.map("h").set("g", "b").await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.map("h").len()), 2);
}

#[tokio::test]
async fn one_field_set_twice_reads_the_winner() {
    let pair = Pair::apart().await;
    pair.a.map("h").set("f", "a").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    pair.b.map("h").set("f", "b").await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.map("h").get("f")).unwrap(), b"b");
}

#[tokio::test]
async fn a_field_set_survives_its_removal() {
    let pair = Pair::apart().await;
    pair.a.map("h").set("f", "old").await.unwrap();
    pair.heal().await;
    pair.a.map("h").set("f", "a").await.unwrap();
    assert!(pair.b.map("h").remove("f").await.unwrap());
    pair.heal().await;
    assert_eq!(both!(pair, n => n.map("h").get("f")).unwrap(), b"a");
}

#[tokio::test]
async fn a_field_set_survives_the_deletion_of_its_map() {
    let pair = Pair::apart().await;
    pair.a.map("h").set("f", "old").await.unwrap();
    pair.a.map("h").set("g", "old").await.unwrap();
    pair.heal().await;
    pair.a.map("h").set("f", "a").await.unwrap();
    pair.a.map("h").set("new", "b").await.unwrap();
    assert!(pair.b.delete("h").await.unwrap());
    pair.heal().await;
    let fields = both!(pair, n => n.map("h").fields().await.unwrap().collect());
    let fields: Vec<_> = fields.iter().map(|(field, _)| &field[..]).collect();
    assert_eq!(fields, [&b"f"[..], b"new"]);
}

#[tokio::test]
async fn fields_count_as_counters_do() {
    let pair = Pair::apart().await;
    pair.a.map("h").set("f", "10").await.unwrap();
    pair.heal().await;
    pair.a.map("h").increment("f", 7).await.unwrap();
    pair.b.map("h").increment("f", 3).await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.map("h").get("f")).unwrap(), b"20");

    pair.a.map("h").increment("f", 1).await.unwrap();
    assert!(pair.b.delete("h").await.unwrap());
    pair.heal().await;
    assert_eq!(both!(pair, n => n.map("h").get("f")).unwrap(), b"1");
}

#[tokio::test]
async fn two_kinds_on_one_key_show_the_first_until_someone_decides() {
    let pair = Pair::apart().await;
    pair.a.set("k").insert("x").await.unwrap();
    pair.b.map("k").set("f", "y").await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.kind("k")), Some(Kind::Map));
    let kinds = both!(pair, n => n.read(|view| view.kinds("k")));
    assert_eq!(kinds, [Kind::Map, Kind::Set]);
    let outcome = pair.a.set("k").insert("z").await;
    assert!(matches!(outcome, Err(Error::WrongKind { .. })));
    assert_eq!(pair.a.map("k").len().await.unwrap(), 1);

    // Clearing what is shown shows what was kept.
    pair.a.map("k").clear().await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.kind("k")), Some(Kind::Set));

    // A put or delete that observed all of it settles it.
    pair.b.map("other").set("f", "y").await.unwrap();
    pair.a.set("other").insert("x").await.unwrap();
    pair.heal().await;
    pair.a.put("other", "settled").await.unwrap();
    assert!(pair.b.delete("k").await.unwrap());
    pair.heal().await;
    let kinds = both!(pair, n => n.read(|view| view.kinds("other")));
    assert_eq!(kinds, [Kind::Value]);
    let rows = both!(pair, n => n.read(|view| Ok(view.row_count())));
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_put_leaves_what_it_had_not_observed() {
    let pair = Pair::apart().await;
    pair.a.set("k").insert("observed").await.unwrap();
    pair.heal().await;
    pair.a.put("k", "value").await.unwrap();
    pair.b.set("k").insert("unobserved").await.unwrap();
    pair.heal().await;
    assert_eq!(read(&pair, "k").await.unwrap(), "value");
    pair.b.register("k").clear().await.unwrap();
    pair.heal().await;
    let members = both!(pair, n => n.set("k").members().await.unwrap().collect());
    assert_eq!(members, [b"unobserved"]);
}

#[tokio::test]
async fn a_transaction_arrives_elsewhere() {
    let pair = Pair::apart().await;
    let transaction = pair.a.transaction(|t| {
        for i in 0..100 {
            t.set("s").insert(format!("{i}"))?;
            t.counter("n").add(1)?;
        }
        t.map("m").set("f", "x")?;
        Ok(())
    });
    transaction.await.unwrap();
    pair.b.counter("n").add(11).await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.set("s").len()), 100);
    assert_eq!(both!(pair, n => n.counter("n").value()), 111);
    assert_eq!(both!(pair, n => n.map("m").len()), 1);
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back_from_a_replica_that_was_away() {
    let pair = Pair::apart().await;
    for i in 0..200 {
        pair.a.put(format!("k{i}"), "x").await.unwrap();
    }
    pair.heal().await;
    for i in 0..200 {
        if i % 3 != 0 {
            assert!(pair.a.delete(format!("k{i}")).await.unwrap());
        }
    }
    pair.b.put("k3", "changed meanwhile").await.unwrap();
    pair.heal().await;
    assert_eq!(both!(pair, n => n.count()), 67);
    assert_eq!(read(&pair, "k3").await.unwrap(), "changed meanwhile");
}
