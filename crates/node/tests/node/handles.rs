//! Every handle, on one node.

use syncline::{Error, Kind, Namespace, Node, StoreError};

use super::pair::Pair;

async fn app() -> Namespace {
    let node = Node::in_memory().await.unwrap();
    node.namespace("app").unwrap()
}

fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn a_set_holds_each_member_once() {
    let set = app().await.set("online");
    assert!(set.is_empty().await.unwrap());
    assert!(set.insert("bob").await.unwrap());
    assert!(set.insert(b"ada").await.unwrap());
    assert!(!set.insert("bob").await.unwrap());
    assert_eq!(set.len().await.unwrap(), 2);
    assert!(set.contains("ada").await.unwrap());
    assert!(!set.contains("eve").await.unwrap());
    let members = set.members().await.unwrap().collect().await.unwrap();
    assert_eq!(members, [b"ada", b"bob"]);

    assert!(set.remove("ada").await.unwrap());
    assert!(!set.remove("ada").await.unwrap());
    assert_eq!(set.clear().await.unwrap(), 1);
    assert!(set.is_empty().await.unwrap());
    assert_eq!(set.clear().await.unwrap(), 0);
}

#[tokio::test]
async fn a_map_has_registers_and_counters_for_fields() {
    let map = app().await.map("user:ada");
    assert!(map.set("city", "London").await.unwrap());
    assert!(!map.set("city", "Paris").await.unwrap());
    assert_eq!(text(map.get("city").await.unwrap()).unwrap(), "Paris");
    assert_eq!(map.get("street").await.unwrap(), None);
    assert_eq!(map.increment("visits", 3).await.unwrap(), 3);
    assert_eq!(map.increment("visits", -5).await.unwrap(), -2);
    assert_eq!(text(map.get("visits").await.unwrap()).unwrap(), "-2");
    assert!(matches!(
        map.increment("city", 1).await,
        Err(Error::NotANumber { .. })
    ));
    assert_eq!(map.len().await.unwrap(), 2);
    assert!(map.contains("visits").await.unwrap());
    let fields = map.fields().await.unwrap().collect().await.unwrap();
    let pair = |field: &str, value: &str| (field.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(fields, [pair("city", "Paris"), pair("visits", "-2")]);

    // A field that was counted in leaves a remnant, which nobody sees.
    assert!(map.remove("visits").await.unwrap());
    assert!(!map.remove("visits").await.unwrap());
    assert!(!map.contains("visits").await.unwrap());
    assert_eq!(map.len().await.unwrap(), 1);
    assert_eq!(map.clear().await.unwrap(), 1);
    assert!(map.is_empty().await.unwrap());
    assert!(map.set("visits", "7").await.unwrap());
    assert_eq!(map.increment("visits", 1).await.unwrap(), 8);
}

#[tokio::test]
async fn a_register_reads_what_was_written_last() {
    let register = app().await.register("motto");
    assert_eq!(register.get().await.unwrap(), None);
    assert!(register.siblings().await.unwrap().is_empty());
    register.set("first").await.unwrap();
    register.set(b"second".to_vec()).await.unwrap();
    assert_eq!(text(register.get().await.unwrap()).unwrap(), "second");
    assert_eq!(register.siblings().await.unwrap(), [b"second"]);
    register.set("").await.unwrap();
    assert_eq!(text(register.get().await.unwrap()).unwrap(), "");
    assert!(register.clear().await.unwrap());
    assert!(!register.clear().await.unwrap());
    assert_eq!(register.get().await.unwrap(), None);
}

#[tokio::test]
async fn a_counter_counts() {
    let counter = app().await.counter("visits");
    assert_eq!(counter.value().await.unwrap(), 0);
    assert_eq!(counter.increment().await.unwrap(), 1);
    assert_eq!(counter.add(41).await.unwrap(), 42);
    assert_eq!(counter.decrement().await.unwrap(), 41);
    assert_eq!(counter.value().await.unwrap(), 41);
    assert!(counter.reset().await.unwrap());
    assert!(!counter.reset().await.unwrap());
    assert_eq!(counter.value().await.unwrap(), 0);
    assert_eq!(counter.add(i64::MAX).await.unwrap(), i64::MAX);
    assert!(matches!(
        counter.increment().await,
        Err(Error::Overflow { .. })
    ));
    assert_eq!(counter.value().await.unwrap(), i64::MAX);
}

#[tokio::test]
async fn a_counter_and_a_value_are_one_thing() {
    let app = app().await;
    app.put("n", "40").await.unwrap();
    assert_eq!(app.counter("n").add(2).await.unwrap(), 42);
    assert_eq!(text(app.get("n").await.unwrap()).unwrap(), "42");
    assert_eq!(text(app.register("n").get().await.unwrap()).unwrap(), "42");
    app.put("n", "a word").await.unwrap();
    let counter = app.counter("n");
    assert!(matches!(
        counter.value().await,
        Err(Error::NotANumber { .. })
    ));
    let error = counter.increment().await.unwrap_err();
    assert!(
        error.to_string().contains("write a number first"),
        "{error}"
    );
}

#[tokio::test]
async fn raw_values_are_scanned_in_order() {
    let app = app().await;
    for key in ["user:2", "user:1", "user", "users", "visit:1"] {
        app.put(key, format!("<{key}>")).await.unwrap();
    }
    app.set("user:3").insert("not a value").await.unwrap();
    app.map("user:4").set("nor", "this").await.unwrap();
    app.counter("user:5").add(7).await.unwrap();

    let keys = |pairs: Vec<(Vec<u8>, Vec<u8>)>| -> Vec<String> {
        let keys = pairs.into_iter().map(|(key, _)| key);
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    };
    let scan = async |prefix: &str| keys(app.scan(prefix).await.unwrap().collect().await.unwrap());
    assert_eq!(scan("user:").await, ["user:1", "user:2", "user:5"]);
    assert_eq!(scan("user:1").await, ["user:1"]);
    assert_eq!(scan("").await.len(), 6);
    assert!(scan("nobody").await.is_empty());

    let range = app.range("user:1".."user:5").await.unwrap();
    assert_eq!(keys(range.collect().await.unwrap()), ["user:1", "user:2"]);
    let range = app.range("user:2"..="user:5").await.unwrap();
    assert_eq!(keys(range.collect().await.unwrap()), ["user:2", "user:5"]);
    let range = app.range("user:5"..).await.unwrap();
    let rest = ["user:5", "users", "visit:1"];
    assert_eq!(keys(range.collect().await.unwrap()), rest);

    let all = app.keys("user:").await.unwrap().collect().await.unwrap();
    let kinds: Vec<Kind> = all.into_iter().map(|(_, kind)| kind).collect();
    use Kind::{Map, Set, Value};
    assert_eq!(kinds, [Value, Value, Set, Map, Value]);
    assert_eq!(app.count().await.unwrap(), 8);
}

#[tokio::test]
async fn long_collections_are_read_page_by_page_from_one_state() {
    const MEMBERS: u64 = 3000;
    let app = app().await;
    app.transaction(|t| {
        for i in 0..MEMBERS {
            t.set("s").insert(format!("{i:05}"))?;
            t.map("m").set(format!("{i:05}"), "x")?;
            t.put(format!("v{i:05}"), "x")?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let mut members = app.set("s").members().await.unwrap();
    let fields = app.map("m").fields().await.unwrap();
    let values = app.scan("").await.unwrap();
    app.set("s").clear().await.unwrap();
    app.delete("m").await.unwrap();
    for i in 0..MEMBERS {
        let member = members.next().await.unwrap().unwrap();
        assert_eq!(member, format!("{i:05}").as_bytes());
    }
    assert_eq!(members.next().await.unwrap(), None);
    assert_eq!(fields.collect().await.unwrap().len() as u64, MEMBERS);
    // Neither the set's rows nor the map's are among them.
    assert_eq!(values.collect().await.unwrap().len() as u64, MEMBERS);
    assert_eq!(app.set("s").len().await.unwrap(), 0);
}

#[tokio::test]
async fn a_key_is_used_as_what_it_holds() {
    let app = app().await;
    app.set("s").insert("x").await.unwrap();
    app.map("m").set("f", "x").await.unwrap();
    app.put("v", "x").await.unwrap();
    macro_rules! assert_wrong {
        ($($operation:expr),* $(,)?) => {$(
            let outcome = $operation.await.map(drop);
            assert!(matches!(outcome, Err(Error::WrongKind { .. })), "{outcome:?}");
        )*};
    }
    assert_wrong!(
        app.get("s"),
        app.register("m").get(),
        app.register("s").siblings(),
        app.register("s").clear(),
        app.counter("s").add(1),
        app.counter("m").value(),
        app.counter("m").reset(),
        app.set("v").insert("y"),
        app.set("m").remove("f"),
        app.set("m").contains("f"),
        app.set("v").members(),
        app.set("v").len(),
        app.set("m").clear(),
        app.map("s").set("f", "y"),
        app.map("s").increment("f", 1),
        app.map("v").get("f"),
        app.map("v").fields(),
        app.map("v").remove("f"),
    );
    let error = app.get("s").await.unwrap_err().to_string();
    assert!(error.contains("\"s\" holds a set"), "{error}");

    // A put takes the place of whatever was there, and a deleted key is anything again.
    app.put("s", "now a value").await.unwrap();
    assert_eq!(app.kind("s").await.unwrap(), Some(Kind::Value));
    assert!(app.delete("m").await.unwrap());
    assert!(!app.delete("m").await.unwrap());
    app.set("m").insert("now a set").await.unwrap();
    assert_eq!(app.kind("m").await.unwrap(), Some(Kind::Set));
    assert_eq!(app.kind("nothing").await.unwrap(), None);
}

#[tokio::test]
async fn deletes_leave_no_rows_but_for_remnants_of_counters() {
    let app = app().await;
    app.put("v", "x").await.unwrap();
    app.set("s").insert("x").await.unwrap();
    app.map("m").set("f", "x").await.unwrap();
    for key in ["v", "s", "m"] {
        assert!(app.delete(key).await.unwrap());
    }
    let rows = async || app.read(|view| Ok(view.row_count())).await.unwrap();
    assert_eq!(rows().await, 0);
    app.counter("c").add(5).await.unwrap();
    assert!(app.delete("c").await.unwrap());
    assert_eq!(rows().await, 1);
    assert_eq!(app.get("c").await.unwrap(), None);
    assert!(!app.delete("c").await.unwrap());
    assert_eq!(app.counter("c").increment().await.unwrap(), 1);
}

#[tokio::test]
async fn any_bytes_are_keys_members_and_values() {
    let app = app().await;
    let odd: [&[u8]; 5] = [b"", b"\0", b"\0\x01", b"\xff\xff", "ключ".as_bytes()];
    for key in odd {
        app.put(key, key).await.unwrap();
        assert_eq!(app.get(key).await.unwrap().as_deref(), Some(key));
        app.set("members").insert(key).await.unwrap();
        app.map("fields").set(key, key).await.unwrap();
    }
    assert_eq!(app.set("members").len().await.unwrap(), 5);
    let fields = app.map("fields").fields().await.unwrap();
    for (field, value) in fields.collect().await.unwrap() {
        assert_eq!(field, value);
    }
    let keys = app.scan("").await.unwrap().collect().await.unwrap();
    assert_eq!(keys.len(), 5);
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let app = app().await;
    let long = vec![b'k'; 64 * 1024];
    app.put(&long, "x").await.unwrap();
    app.set("s").insert(&long).await.unwrap();
    let too_long = vec![b'k'; 64 * 1024 + 1];
    assert!(matches!(
        app.put(&too_long, "x").await,
        Err(Error::Store(_))
    ));
    assert!(app.counter(&too_long).add(1).await.is_err());
    assert!(app.set("s").insert(&too_long).await.is_err());
    assert!(app.map("m").set(&too_long, "x").await.is_err());
    assert_eq!(app.count().await.unwrap(), 2);
    // Reading what cannot exist is no error.
    assert_eq!(app.get(&too_long).await.unwrap(), None);
}

/// The limit is that of the value alone, whatever its encoding puts around it, and everywhere a value can be.
#[tokio::test]
async fn a_value_of_exactly_the_limit_is_written_and_synced() {
    let Pair { a, b, nodes } = Pair::apart().await;
    let largest = vec![b'v'; 16 << 20];
    a.put("plain", &largest).await.unwrap();
    // What was counted with leaves a baseline behind.
    a.counter("counted").add(1).await.unwrap();
    a.put("counted", &largest).await.unwrap();
    a.map("m").set("f", &largest).await.unwrap();
    assert!(a.sync_with(&nodes[1]).await.unwrap().agreed);
    for key in ["plain", "counted"] {
        assert_eq!(b.get(key).await.unwrap().as_ref(), Some(&largest));
    }
    assert_eq!(b.map("m").get("f").await.unwrap(), Some(largest));

    let refused = |error: Error| match &error {
        Error::Store(error) => {
            matches!(**error, StoreError::ValueTooLarge { length } if length == (16 << 20) + 1)
        }
        _ => false,
    };
    let over = vec![b'v'; (16 << 20) + 1];
    assert!(refused(b.put("plain", &over).await.unwrap_err()));
    assert!(refused(b.register("new").set(&over).await.unwrap_err()));
    assert!(refused(b.map("m").set("f", &over).await.unwrap_err()));
    // Nor does one change anything that is refused where the transaction goes on.
    let transaction = b.transaction(move |t| {
        assert!(t.put("m", &over).is_err());
        t.map("m").len()
    });
    assert_eq!(transaction.await.unwrap(), 1);
    assert_eq!(b.count().await.unwrap(), 3);
}

#[tokio::test]
async fn names_of_namespaces_are_checked() {
    let node = Node::in_memory().await.unwrap();
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "App",
        "-x",
        "_x",
        "a b",
        "ä",
        &"x".repeat(65),
    ] {
        let error = node.namespace(name).unwrap_err();
        assert!(error.to_string().contains("use 1 to 64"), "{error}");
    }
    for name in ["a", "0", "app.v2", "my-app_1", &"x".repeat(64)] {
        node.namespace(name).unwrap();
    }
    assert_eq!(node.namespaces().len(), 5);
    let one = node.namespace("one").unwrap();
    one.put("k", "v").await.unwrap();
    let other = node.namespace("other").unwrap();
    assert_eq!(other.get("k").await.unwrap(), None);
}
