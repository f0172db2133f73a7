//! Reading registers by the last writer, as all siblings, or through a resolver; and the list of conflicts.

use syncline::{Error, Namespace, Registers, Sibling};

use crate::pair::{Pair, root};

/// The greatest value.
fn greatest() -> Registers {
    Registers::resolve(|siblings| {
        let values = siblings.iter().map(|sibling| sibling.payload.clone());
        values.max().unwrap()
    })
}

/// Writes at both sides without letting them know of each other, this side first; then heals.
async fn in_conflict() -> Pair {
    let pair = Pair::apart().await;
    for (side, value) in [(&pair.a, "z first"), (&pair.b, "a second")] {
        side.put("x", value).await.unwrap();
        side.map("m").set("f", value).await.unwrap();
        // Wall clocks have milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    pair.a.put("calm", "one").await.unwrap();
    pair.a.map("m").set("calm", "one").await.unwrap();
    pair.heal().await;
    pair
}

fn read_as(pair: &Pair, registers: &Registers) -> [Namespace; 2] {
    [0, 1].map(|at| {
        pair.nodes[at]
            .namespace_with("app", registers.clone())
            .unwrap()
    })
}

fn texts<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    let text = |value: T| String::from_utf8(value.as_ref().to_vec()).unwrap();
    values.into_iter().map(text).collect()
}

/// What a namespace reads at the places in conflict, in every way to read it.
async fn readings(app: &Namespace) -> Vec<Result<Option<Vec<u8>>, Error>> {
    let view = app.view().await.unwrap();
    let mut readings = vec![
        app.get("x").await,
        app.register("x").get().await,
        app.map("m").get("f").await,
        view.get("x"),
        view.register("x").get(),
        view.map("m").get("f"),
    ];
    let within = app.transaction(|t| Ok([t.get("x"), t.register("x").get(), t.map("m").get("f")]));
    readings.extend(within.await.unwrap());
    readings
}

/// The values of all entries, of keys and of fields, by scans of both kinds.
async fn entries(app: &Namespace) -> [Vec<String>; 2] {
    let values = |entries: Vec<(Vec<u8>, Vec<u8>)>| texts(entries.into_iter().map(|it| it.1));
    let keys = values(app.scan("").await.unwrap().collect().await.unwrap());
    let fields = app
        .map("m")
        .fields()
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let fields = values(fields);
    let view = app.view().await.unwrap();
    let all: Result<_, _> = view.range("a"..).unwrap().collect();
    assert_eq!(values(all.unwrap()), keys);
    let all: Result<_, _> = view.map("m").fields().unwrap().collect();
    assert_eq!(values(all.unwrap()), fields);
    [keys, fields]
}

#[tokio::test]
async fn the_last_writer_is_read_unless_something_else_is_asked_for() {
    let pair = in_conflict().await;
    for app in [&pair.a, &pair.b] {
        for reading in readings(app).await {
            assert_eq!(reading.unwrap().unwrap(), b"a second");
        }
        assert_eq!(entries(app).await, [["one", "a second"]; 2]);
        let siblings = app.map("m").siblings("f").await.unwrap();
        assert_eq!(texts(siblings), ["a second", "z first"]);
        assert!(app.map("m").siblings("g").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn all_siblings_are_shown_and_none_is_chosen() {
    let pair = in_conflict().await;
    for app in &read_as(&pair, &Registers::AllSiblings) {
        for reading in readings(app).await {
            let Err(Error::Conflict { key, siblings }) = reading else {
                panic!("{reading:?}");
            };
            assert!(key == b"x" || key == b"m");
            let values = siblings.iter().map(|sibling| &sibling.payload);
            assert_eq!(texts(values), ["a second", "z first"]);
        }
        assert_eq!(entries(app).await, [["one", "a second", "z first"]; 2]);
        // Where nothing is in conflict nothing is different.
        assert_eq!(app.get("calm").await.unwrap().unwrap(), b"one");
        assert_eq!(app.register("x").siblings().await.unwrap().len(), 2);
        assert_eq!(app.map("m").len().await.unwrap(), 2);
    }
    let [app, _] = read_as(&pair, &Registers::AllSiblings);
    app.put("x", "chosen").await.unwrap();
    app.map("m").set("f", "chosen").await.unwrap();
    for reading in readings(&app).await {
        assert_eq!(reading.unwrap().unwrap(), b"chosen");
    }
}

#[tokio::test]
async fn a_resolver_is_asked_where_there_is_a_conflict_and_changes_nothing() {
    let pair = in_conflict().await;
    let before = root(&pair.a).await;
    for app in &read_as(&pair, &greatest()) {
        for reading in readings(app).await {
            assert_eq!(reading.unwrap().unwrap(), b"z first");
        }
        assert_eq!(entries(app).await, [["one", "z first"]; 2]);
        assert_eq!(root(app).await, before);
        assert_eq!(app.register("x").siblings().await.unwrap().len(), 2);
    }
    let never = Registers::resolve(|_| unreachable!("there is nothing to resolve"));
    let [app, _] = read_as(&pair, &never);
    assert_eq!(app.get("calm").await.unwrap().unwrap(), b"one");
    assert_eq!(app.get("absent").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_added_counts_on_whatever_is_shown() {
    let pair = Pair::apart().await;
    pair.a.put("n", "7").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    pair.b.put("n", "5").await.unwrap();
    pair.b.counter("n").add(10).await.unwrap();
    pair.heal().await;
    for app in &read_as(&pair, &greatest()) {
        assert_eq!(app.get("n").await.unwrap().unwrap(), b"17");
        // Counters know the last writer alone.
        assert_eq!(app.counter("n").value().await.unwrap(), 15);
    }
    for app in &read_as(&pair, &Registers::AllSiblings) {
        let entries = app.scan("").await.unwrap().collect().await.unwrap();
        assert_eq!(texts(entries.into_iter().map(|it| it.1)), ["15", "17"]);
    }
}

#[tokio::test]
async fn siblings_are_not_torn_between_pages() {
    const KEYS: usize = 700;
    let pair = Pair::apart().await;
    for side in [&pair.a, &pair.b] {
        let write = side.transaction(|t| {
            for at in 0..KEYS {
                t.put(format!("k{at:03}"), "v")?;
                t.map("m").set(format!("k{at:03}"), "v")?;
            }
            Ok(())
        });
        write.await.unwrap();
    }
    // One that is alone, so that a page which ends by counting would end between two siblings.
    pair.a.put("alone", "v").await.unwrap();
    pair.a.map("m").set("alone", "v").await.unwrap();
    pair.heal().await;
    let [app, _] = read_as(&pair, &Registers::AllSiblings);
    let entries = app.scan("").await.unwrap().collect().await.unwrap();
    assert_eq!(entries.len(), 2 * KEYS + 1);
    let fields = app.map("m").fields().await.unwrap();
    assert_eq!(fields.collect().await.unwrap().len(), 2 * KEYS + 1);
    let conflicts = app.conflicts("").await.unwrap().collect().await.unwrap();
    assert_eq!(conflicts.len(), 2 * KEYS);
}

#[tokio::test]
async fn conflicts_are_values_written_without_knowledge_of_each_other() {
    let pair = in_conflict().await;
    // None of these is one: kinds of operations that do not compete.
    pair.a.counter("counted").add(1).await.unwrap();
    pair.b.counter("counted").add(2).await.unwrap();
    pair.a.put("deleted", "1").await.unwrap();
    pair.a.counter("deleted").add(1).await.unwrap();
    pair.heal().await;
    pair.a.delete("deleted").await.unwrap();
    pair.b.put("deleted", "2").await.unwrap();
    pair.a.set("s").insert("e").await.unwrap();
    pair.b.set("s").insert("e").await.unwrap();
    pair.heal().await;

    for app in [&pair.a, &pair.b] {
        let conflicts = app.conflicts("").await.unwrap().collect().await.unwrap();
        let places: Vec<_> = conflicts
            .iter()
            .map(|it| (&it.key[..], it.field.as_deref()))
            .collect();
        assert_eq!(places, [(&b"m"[..], Some(&b"f"[..])), (b"x", None)]);
        for conflict in &conflicts {
            let [winner, loser]: &[Sibling; 2] = conflict.siblings[..].try_into().unwrap();
            assert_eq!(
                texts([&winner.payload, &loser.payload]),
                ["a second", "z first"]
            );
            assert!(winner.stamp > loser.stamp);
            assert_ne!(winner.dot.replica, loser.dot.replica);
        }
        let view = app.view().await.unwrap();
        let again: Result<Vec<_>, _> = view.conflicts("").unwrap().collect();
        assert_eq!(again.unwrap(), conflicts);
        let some = app.conflicts("x").await.unwrap().collect().await.unwrap();
        assert_eq!(some, conflicts[1..]);
    }

    pair.a.put("x", "settled").await.unwrap();
    pair.b.map("m").remove("f").await.unwrap();
    pair.heal().await;
    for app in [&pair.a, &pair.b] {
        assert!(
            app.conflicts("")
                .await
                .unwrap()
                .next()
                .await
                .unwrap()
                .is_none()
        );
    }
}
