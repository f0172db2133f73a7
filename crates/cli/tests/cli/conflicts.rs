//! What lost to concurrency, as a terminal shows it.

use std::fs;

use tempfile::tempdir;

use crate::command::{cluster, run, text, until};
use crate::member::Member;

#[test]
fn what_two_have_written_apart_is_shown_with_what_lost() {
    let scratch = tempdir().unwrap();
    let cluster = cluster(scratch.path(), &["a", "b"]);
    let mut members: Vec<Member> = Vec::new();
    // Both write before either runs.
    for (name, city) in [("a", "Rome"), ("b", "Oslo")] {
        let file = scratch.path().join(format!("{name}.csv"));
        fs::write(&file, format!("id,city\nada,{city}\n{name},Bern\n")).unwrap();
        let (data, identity) = (scratch.path().join(name), cluster.join(name));
        let place = ["--data", text(&data), "--identity", text(&identity)];
        let told = ["--namespace", "people", text(&file)];
        run(&[&["import"], &place[..], &told[..]].concat()).ok();
    }
    for name in ["a", "b"] {
        let identity = cluster.join(name);
        let mut arguments = vec!["--identity", text(&identity), "--namespace", "people"];
        if let Some(first) = members.first() {
            arguments.extend(["--join", first.address()]);
        }
        let member = Member::start(&scratch.path().join(name), &arguments);
        members.push(member);
    }
    let admin = members[0].admin();
    let ask = |more: &[&str]| run(&[&["conflicts", "--admin", admin], more].concat());
    let found = || ask(&["--json"]).json()["namespaces"][0]["conflicts"].clone();
    until(|| found().as_array().is_some_and(|it| it.len() == 1));

    let conflict = &found()[0];
    assert_eq!(
        (&conflict["key"], &conflict["field"]),
        (&"ada".into(), &"city".into())
    );
    let mut values = [&conflict["shown"], &conflict["lost"][0]].map(|it| it["value"].clone());
    values.sort_by_key(ToString::to_string);
    assert_eq!(values, ["Oslo", "Rome"]);
    let table = ask(&["a", "--namespace", "people"]).ok();
    assert!(table.contains("people ada -> city\n  shown  "), "{table}");
    assert!(
        table.contains("\n  lost   ") && table.ends_with("people: 1 conflict\n"),
        "{table}"
    );
    assert_eq!(ask(&["b"]).ok(), "people: 0 conflicts\n");
    let error = ask(&["--namespace", "nobody"]).failed(2);
    assert!(
        error.contains("no namespace is called \"nobody\" here"),
        "{error}"
    );
}
