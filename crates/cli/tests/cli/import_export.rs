use std::fs;

use tempfile::tempdir;

use crate::command::{Ran, run, run_with, text};

/// Every kind of value, with bytes of every kind.
const EXPORT: &str = r#"{"key":"base64:/wA=","type":"register","value":"base64:gA=="}
{"key":"empty","type":"register","value":""}
{"key":"game","scores":{"ada":"3.5","bob":"-inf"},"type":"sorted set"}
{"key":"motto","type":"register","value":"merge, \"do\" not\nfork"}
{"key":"online","members":["ada","bob","base64:/g=="],"type":"set"}
{"fields":{"base64:/w==":"x","born":"1815","name":"Ada"},"key":"user:ada","type":"map"}
{"key":"visits","type":"counter","value":-3}
"#;

fn import(data: &str, more: &[&str], input: &str) -> Ran {
    let arguments = [
        &["import", "--data", data, "--namespace", "app", "--json"],
        more,
        &["-"],
    ];
    run_with(&arguments.concat(), input)
}

fn export(data: &str, more: &[&str]) -> String {
    run(&[&["export", "--data", data, "--namespace", "app"], more].concat()).ok()
}

/// In key order, as it is exported.
fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_is_exported_imports_to_the_same_values() {
    let scratch = tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| scratch.path().join(name));
    let imported = import(text(&one), &[], EXPORT).json();
    assert_eq!(imported["rows_written"], 12);
    let exported = export(text(&one), &[]);
    assert_eq!(sorted(&exported), sorted(EXPORT));
    import(text(&other), &[], &exported).ok();
    assert_eq!(export(text(&other), &[]), exported);
}

#[test]
fn importing_again_changes_nothing() {
    let scratch = tempdir().unwrap();
    let data = text(scratch.path());
    import(data, &[], EXPORT).ok();
    let before = export(data, &[]);
    let again = import(data, &[], EXPORT).json();
    assert_eq!(
        (&again["rows_written"], &again["rows_unchanged"]),
        (&0.into(), &12.into())
    );
    assert_eq!(export(data, &[]), before);
}

#[test]
fn records_of_all_formats_become_the_same_maps() {
    let want = r#"{"fields":{"born":"1815","city":"London"},"key":"p:ada","type":"map"}
{"fields":{"city":"Oslo"},"key":"p:bob","type":"map"}
"#;
    for (name, content) in [
        ("people.csv", "id,born,city\nada,1815,London\nbob,,Oslo\n"),
        (
            "people.tsv",
            "born\tid\tcity\n1815\tada\tLondon\n\tbob\tOslo\n",
        ),
        (
            "people.jsonl",
            "{\"id\":\"ada\",\"born\":1815,\"city\":\"London\"}\n{\"id\":\"bob\",\"city\":\"Oslo\"}\n",
        ),
    ] {
        let scratch = tempdir().unwrap();
        let (file, data) = (scratch.path().join(name), scratch.path().join("data"));
        fs::write(&file, content).unwrap();
        let place = ["--data", text(&data), "--namespace", "app"];
        let told = ["--key", "id", "--prefix", "p:", text(&file)];
        let said = run(&[&["import"], &place[..], &told[..]].concat()).ok();
        assert!(said.contains("imported 2 records"), "{said}");
        assert_eq!(export(text(&data), &[]), want, "{name}");
        assert_eq!(export(text(&data), &["--prefix", "p:b"]).lines().count(), 1);
    }
}

#[test]
fn a_malformed_record_is_named_and_whole_batches_before_it_stay() {
    let scratch = tempdir().unwrap();
    let (file, data) = (
        scratch.path().join("people.csv"),
        scratch.path().join("data"),
    );
    let mut content = String::from("id,city\n");
    for n in 0..25 {
        content.push_str(&format!("p{n:02},Oslo\n"));
    }
    content.push_str("p25,Oslo,Norway\np26,Oslo\n");
    fs::write(&file, &content).unwrap();
    let place = ["--data", text(&data), "--namespace", "app"];
    let arguments = [&["import"], &place[..], &["--batch", "10", text(&file)]].concat();
    let error = run(&arguments).failed(4);
    assert!(
        error.contains("people.csv:27: the record has 3 columns and the header 2"),
        "{error}"
    );
    assert!(error.contains("20 records"), "{error}");
    assert_eq!(export(text(&data), &[]).lines().count(), 20);

    fs::write(&file, content.replace(",Norway", "")).unwrap();
    run(&arguments).ok();
    assert_eq!(export(text(&data), &[]).lines().count(), 27);
}

#[test]
fn malformed_input_of_every_kind_is_refused_with_its_line() {
    for (format, input, words) in [
        (
            "jsonl",
            "{\"key\":\"k\",\"type\":\"register\",\"value\":\"v\"}\n{\"key\"",
            ":2: this is not a JSON object",
        ),
        ("jsonl", "{\"key\":\"k\"}\n", ":1: there is no \"type\""),
        ("jsonl", "\u{0}\u{1}\u{2}", ":1: this is not a JSON object"),
        ("csv", "", ":1: there is no header"),
        (
            "csv",
            "id,v\na,\"cut off",
            ":2: a quotation mark is opened and never closed",
        ),
        ("tsv", "id\tv\na\n", ":2: the record has 1 columns"),
    ] {
        let scratch = tempdir().unwrap();
        let error = import(text(scratch.path()), &["--format", format], input).failed(4);
        assert!(error.contains(words), "{error}");
        assert!(error.contains("nothing was imported"), "{error}");
    }
}

#[test]
fn what_is_over_the_limits_is_refused_with_its_line() {
    let scratch = tempdir().unwrap();
    let data = text(scratch.path());
    let long = "x".repeat(70_000);
    for (input, words) in [
        (
            format!("id,v\na,b\n{long},b\n"),
            "standard input:3: the key has 70000 bytes",
        ),
        (
            format!("id,{long}\na,b\n"),
            "standard input:2: the name of a field",
        ),
    ] {
        let error = import(data, &["--format", "csv"], &input).failed(4);
        assert!(error.contains(words), "{error}");
    }
    let huge = "y".repeat((16 << 20) + 1);
    let error = import(data, &["--format", "csv"], &format!("id,v\na,{huge}\n")).failed(4);
    assert!(
        error.contains("field \"v\" has 16777217 bytes, and the limit is 16777216"),
        "{error}"
    );
}

#[test]
fn a_key_of_another_kind_is_refused_with_its_line() {
    let scratch = tempdir().unwrap();
    let data = text(scratch.path());
    import(data, &[], EXPORT).ok();
    let error = import(data, &["--format", "csv"], "id,v\nother,1\nmotto,2\n").failed(4);
    assert!(
        error.contains("standard input:3:") && error.contains("map"),
        "{error}"
    );
}

#[test]
fn a_mistyped_place_is_not_taken_for_an_empty_one() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let arguments = ["export", "--data", text(&data), "--namespace", "other"];
    let error = run(&arguments).failed(1);
    assert!(error.contains("no data directory"), "{error}");
    import(text(&data), &[], EXPORT).ok();
    let error = run(&arguments).failed(1);
    assert!(error.contains("it has app"), "{error}");
    let error = run(&[
        "import",
        "--data",
        text(&data),
        "--namespace",
        "app",
        "missing.csv",
    ])
    .failed(1);
    assert!(error.contains("missing.csv"), "{error}");
}

#[test]
fn a_store_that_is_no_store_is_refused() {
    let scratch = tempdir().unwrap();
    let data = text(scratch.path());
    import(data, &[], EXPORT).ok();
    let store = scratch.path().join("namespaces/app.redb");
    fs::write(&store, b"not a store at all").unwrap();
    let error = run(&["export", "--data", data, "--namespace", "app"]).failed(1);
    assert!(error.contains("app"), "{error}");
}
