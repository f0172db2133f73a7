use std::fs;

use tempfile::tempdir;

use crate::command::{run, run_with, text};

/// A payload that is found again in the file.
const MOTTO: &str = "merge, do not fork: a text of some length";

#[test]
fn a_scrub_says_by_its_exit_code_whether_there_was_damage() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let place = ["--data", text(&data), "--namespace", "people"];
    let input = format!("id,motto\nada,\"{MOTTO}\"\nbob,another\n");
    run_with(
        &[&["import", "--format", "csv"], &place[..], &["-"]].concat(),
        &input,
    )
    .ok();

    let said = run(&["scrub", "--data", text(&data)]).ok();
    assert!(said.contains("people: all is well; read 2 rows"), "{said}");
    let report = run(&[
        "scrub",
        "--data",
        text(&data),
        "--rate",
        "1000000",
        "--json",
    ])
    .json();
    assert_eq!(report["clean"], true);
    assert_eq!((&report["rows"], &report["damage"]), (&2.into(), &0.into()));

    let file = data.join("namespaces/people.redb");
    let mut bytes = fs::read(&file).unwrap();
    let mut places = Vec::new();
    for at in 0..bytes.len() - MOTTO.len() {
        if bytes[at..].starts_with(MOTTO.as_bytes()) {
            places.push(at);
        }
    }
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 3] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    let damaged = run(&[&["scrub"], &place[..]].concat());
    assert_eq!(damaged.code, 3, "{}", damaged.stderr);
    assert!(
        damaged.stdout.contains("1 rows withdrawn"),
        "{}",
        damaged.stdout
    );
    assert!(
        damaged.stdout.contains("the row at key"),
        "{}",
        damaged.stdout
    );
    assert!(
        damaged.stderr.contains("sync with a peer"),
        "{}",
        damaged.stderr
    );
    // Once withdrawn it is no longer there to be found.
    run(&[&["scrub", "--resume"], &place[..]].concat()).ok();

    let error = run(&["scrub", "--data", text(&data), "--namespace", "other"]).failed(1);
    assert!(error.contains("it has people"), "{error}");
    let error = run(&["scrub", "--data", text(&scratch.path().join("none"))]).failed(1);
    assert!(error.contains("no data directory"), "{error}");
}
