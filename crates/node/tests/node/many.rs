//! Operations of many members or fields at once.

use syncline::{Error, Namespace, Node};

async fn app() -> Namespace {
    let node = Node::in_memory().await.unwrap();
    node.namespace("app").unwrap()
}

fn texts(items: impl Iterator<Item = Result<Vec<u8>, Error>>) -> Vec<String> {
    items
        .map(|item| String::from_utf8(item.unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn members_come_and_go_together() {
    let app = app().await;
    let added = app.transaction(|t| {
        let mut set = t.set("s");
        assert_eq!(set.insert_all(["b", "d", "a", "b"])?, 3);
        assert_eq!(set.insert_all(["a", "c"])?, 1);
        assert_eq!(set.insert_all::<&str>([])?, 0);
        assert_eq!(texts(set.members()?), ["a", "b", "c", "d"]);
        assert_eq!(set.remove_all(["x", "d", "d"])?, 1);
        assert_eq!(t.set("nothing").remove_all(["x"])?, 0);
        t.put("text", "hello")?;
        let refused = t.set("text").insert_all(["a"]);
        assert!(matches!(refused, Err(Error::WrongKind { .. })));
        t.set("s").len()
    });
    assert_eq!(added.await.unwrap(), 3);
    let read = app.read(|view| {
        let set = view.set("s");
        let contains = set.lookup()?;
        assert!(contains(b"a")? && !contains(b"d")?);
        assert!(!view.set("nothing").lookup()?(b"a")?);
        assert_eq!(texts(set.members_within("b"..)?), ["b", "c"]);
        assert_eq!(texts(set.members_within("a".."b")?), ["a"]);
        assert_eq!(texts(set.members_within("a"..="b")?), ["a", "b"]);
        assert_eq!(texts(set.members_within(.."b")?), ["a"]);
        use std::ops::Bound::{Excluded, Unbounded};
        let behind = set.members_within::<&str>((Excluded("a"), Unbounded))?;
        assert_eq!(texts(behind), ["b", "c"]);
        Ok(())
    });
    read.await.unwrap();
}

#[tokio::test]
async fn fields_come_and_go_together() {
    let app = app().await;
    let written = app.transaction(|t| {
        let mut map = t.map("h");
        assert_eq!(map.set_all([("b", "1"), ("a", "2"), ("b", "3")])?, 2);
        assert_eq!(map.increment("n", 5)?, 5);
        assert_eq!(map.remove_all(["n", "n", "x"])?, 1);
        assert_eq!(map.set_all([("n", "7"), ("a", "8")])?, 1);
        Ok(())
    });
    written.await.unwrap();
    let read = app.read(|view| {
        let map = view.map("h");
        let values: Result<Vec<_>, _> = map.get_all(["b", "x", "n"])?.collect();
        assert_eq!(values?, [Some(b"3".to_vec()), None, Some(b"7".to_vec())]);
        let values: Result<Vec<_>, _> = view.map("nothing").get_all(["b"])?.collect();
        assert_eq!(values?, [None]);
        let fields = map.fields_within("b"..)?;
        assert_eq!(texts(fields.map(|entry| Ok(entry?.0))), ["b", "n"]);
        Ok(())
    });
    read.await.unwrap();
}

#[tokio::test]
async fn what_has_so_many_before_it_is_found_in_views_and_transactions() {
    let app = app().await;
    let names: Vec<String> = (0..3000).map(|n| format!("{n:04}")).collect();
    let all = names.clone();
    let written = app.transaction(move |t| {
        t.set("s").insert_all(&all)?;
        t.set("t").insert("other")?;
        t.map("h").set_all(all.iter().map(|name| (name, name)))?;
        Ok(())
    });
    written.await.unwrap();
    let expected = names.clone();
    let read = app.read(move |view| {
        for n in [0, 1, 31, 1500, 2999] {
            let name = expected[n].as_bytes();
            assert_eq!(view.set("s").nth(n as u64)?.as_deref(), Some(name));
            let (field, value) = view.map("h").nth(n as u64)?.unwrap();
            assert_eq!((&field[..], &value[..]), (name, name));
        }
        assert_eq!(view.set("s").nth(3000)?, None);
        assert_eq!(view.map("h").nth(3000)?, None);
        assert_eq!(view.set("nothing").nth(0)?, None);
        Ok(())
    });
    read.await.unwrap();
    // Some go, some come, some are counters that leave a remnant behind.
    let changed = app.transaction(move |t| {
        let mut left = names.clone();
        for name in names.iter().step_by(7) {
            t.set("s").remove(name)?;
            t.map("h").remove(name)?;
            t.map("h").increment(name, 1)?;
            t.map("h").remove(name)?;
        }
        left.retain(|name| name.parse::<u32>().unwrap() % 7 != 0);
        for more in ["0000a", "1500a", "2999a", "zzz"] {
            t.set("s").insert(more)?;
            t.map("h").set(more, "1")?;
            left.push(more.to_owned());
        }
        left.sort();
        for (n, name) in left.iter().enumerate().step_by(5) {
            let name = name.as_bytes();
            assert_eq!(t.set("s").nth(n as u64)?.as_deref(), Some(name));
            assert_eq!(t.map("h").nth(n as u64)?.unwrap().0, name);
        }
        assert_eq!(t.set("s").nth(left.len() as u64)?, None);
        assert_eq!(t.map("h").nth(left.len() as u64)?, None);
        Ok(left)
    });
    let left = changed.await.unwrap();
    let read = app.read(move |view| {
        for (n, name) in left.iter().enumerate().step_by(5) {
            let name = name.as_bytes();
            assert_eq!(view.set("s").nth(n as u64)?.as_deref(), Some(name));
            assert_eq!(view.map("h").nth(n as u64)?.unwrap().0, name);
        }
        assert_eq!(view.map("h").nth(left.len() as u64)?, None);
        Ok(())
    });
    read.await.unwrap();
}
