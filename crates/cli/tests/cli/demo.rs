use std::fs;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use crate::command::{run, text};

fn people(scratch: &TempDir, count: usize) -> PathBuf {
    let path = scratch.path().join("people.csv");
    let mut csv = String::from("id,city,trade,name\n");
    for n in 0..count {
        csv.push_str(&format!(
            "{n:05},city {},trade {},\"name, {n}\"\n",
            n % 40,
            n % 7
        ));
    }
    fs::write(&path, csv).unwrap();
    path
}

#[test]
fn three_processes_come_apart_and_agree_again() {
    let scratch = tempdir().unwrap();
    let (input, keep) = (people(&scratch, 500), scratch.path().join("kept"));
    let report = run(&[
        "demo",
        "--json",
        "--input",
        text(&input),
        "--keep",
        text(&keep),
    ])
    .json();
    assert_eq!(report["agreed"], true);
    assert_eq!(report["load"]["records"], 500);
    assert_eq!(report["bring_up"].as_array().unwrap().len(), 2);
    assert!(report["cut"]["datagrams_lost"].as_u64().unwrap() > 0);
    assert!(report["deleted_part"]["records"].as_u64().unwrap() > 0);

    let kill = &report["kill"];
    assert_eq!(kill["acknowledged_lost"], 0);
    assert!(kill["landed"].as_u64() >= kill["acknowledged"].as_u64());
    assert!(
        kill["landed"].as_u64() < kill["sent"].as_u64(),
        "it was not killed while it wrote"
    );

    for pair in report["apart"].as_array().unwrap() {
        assert!(pair["rows"].as_u64().unwrap() > 50, "{pair}");
    }
    for healed in report["heal"].as_array().unwrap() {
        let session = &healed["session"];
        assert_eq!(session["agreed"], true);
        assert!(session["bytes"]["rows"].as_u64().unwrap() > 0);
    }
    for conflict in report["conflicts"].as_array().unwrap() {
        assert_eq!(conflict["holds"], true, "{conflict}");
    }
    let proof = &report["proof"];
    assert_eq!(
        (&proof["roots_equal"], &proof["stamps_out_of_order"]),
        (&true.into(), &0.into())
    );
    for replica in proof["replicas"].as_array().unwrap() {
        assert!(replica["reference"]["places"].as_u64().unwrap() > 2_000);
        assert_eq!(replica["reference"]["different"], 0);
        let (rows, root) = (&replica["rows"], replica["root"].as_str().unwrap());
        let sum = root.strip_prefix(&format!("{rows}:")).unwrap();
        assert_eq!(sum.len(), 64, "{root}");
    }
    // What was kept can be looked at with the ordinary commands.
    let data = keep.join("B");
    let exported = run(&[
        "export",
        "--data",
        text(&data),
        "--namespace",
        "demo",
        "--prefix",
        "scene/",
    ])
    .ok();
    assert!(exported.contains("\"value\":101"), "{exported}");
}

#[test]
fn the_report_reads_well_without_a_terminal() {
    let scratch = tempdir().unwrap();
    let input = people(&scratch, 200);
    let said = run(&["demo", "--seed", "7", "--input", text(&input)]).ok();
    for words in [
        "1. Load into A",
        "Cut all links",
        "Kill C with SIGKILL",
        "none is lost",
        "bytes by kind",
        "INCRBY 7",
        "The root digests are equal: ",
        "All three replicas hold the same, and it is what the operations come to; so do the five members.",
    ] {
        assert!(said.contains(words), "{words:?} is missing from:\n{said}");
    }
    assert!(
        !said.contains('\u{1b}'),
        "escape sequences without a terminal"
    );
}

#[test]
fn input_that_will_not_do_is_refused() {
    let scratch = tempdir().unwrap();
    let few = people(&scratch, 20);
    let error = run(&["demo", "--input", text(&few)]).failed(4);
    assert!(
        error.contains("20 records") && error.contains("100 or more"),
        "{error}"
    );
    fs::write(&few, b"id,name\n1,\xff\n").unwrap();
    let error = run(&["demo", "--input", text(&few)]).failed(4);
    assert!(error.contains(":2: the record is not UTF-8"), "{error}");
    let error = run(&["demo", "--keep", text(scratch.path())]).failed(1);
    assert!(error.contains("exists already"), "{error}");
}
