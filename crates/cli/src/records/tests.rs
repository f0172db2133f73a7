#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

type Shown = (u64, String, Vec<(String, String)>);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn all(input: &str, format: Format, key: Option<&str>) -> Result<Vec<Shown>, RecordError> {
    read(input.as_bytes(), format, key)?
        .map(|record| {
            let Record { line, key, fields } = record?;
            let fields = fields.iter().map(|(name, value)| (text(name), text(value)));
            Ok((line, text(&key), fields.collect()))
        })
        .collect()
}

fn shown(line: u64, key: &str, fields: &[(&str, &str)]) -> Shown {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (line, key.to_owned(), fields.collect())
}

#[test]
fn the_three_formats_read_the_same_records() {
    let want = vec![
        shown(2, "ada", &[("born", "1815"), ("likes", "a, b")]),
        shown(3, "bob", &[("likes", "c \"d\"")]),
    ];
    let csv = "name,born,likes\nada,1815,\"a, b\"\nbob,,\"c \"\"d\"\"\"\n";
    assert_eq!(all(csv, Format::Csv, None).unwrap(), want);
    let tsv = "born\tname\tlikes\n1815\tada\ta, b\n\tbob\tc \"d\"\n";
    assert_eq!(all(tsv, Format::Tsv, Some("name")).unwrap(), want);
    let json = "\n{\"name\":\"ada\",\"born\":1815,\"likes\":\"a, b\"}\n{\"name\":\"bob\",\"born\":null,\"likes\":\"c \\\"d\\\"\"}";
    assert_eq!(all(json, Format::Jsonl, Some("name")).unwrap(), want);
}

#[test]
fn json_values_become_their_text() {
    let json = r#"{"key":7,"a":true,"b":[1,"x"],"c":{"d":1.5},"e":""}"#;
    let want = shown(
        1,
        "7",
        &[
            ("a", "true"),
            ("b", "[1,\"x\"]"),
            ("c", "{\"d\":1.5}"),
            ("e", ""),
        ],
    );
    assert_eq!(all(json, Format::Jsonl, None).unwrap(), vec![want]);
}

#[test]
fn malformed_records_are_named_by_line_and_cause() {
    for (input, format, key, line, words) in [
        ("{\"key\":1}\n{\"key\":", Format::Jsonl, None, 2, "column 7"),
        ("{\"key\":1}\n[1]\n", Format::Jsonl, None, 2, "an array"),
        ("{\"id\":1}\n", Format::Jsonl, None, 1, "no field \"key\""),
        ("{\"key\":\"\"}\n", Format::Jsonl, None, 1, "empty"),
        ("", Format::Csv, None, 1, "no header"),
        (
            "a,b\n1,2\n\n1,2,3\n",
            Format::Csv,
            None,
            4,
            "3 columns and the header 2",
        ),
        ("a,b\n,2\n", Format::Csv, None, 2, "empty"),
        (
            "a,b\n1,2\n",
            Format::Csv,
            Some("c"),
            1,
            "it has \"a\", \"b\"",
        ),
        ("a,a\n1,2\n", Format::Csv, None, 1, "twice"),
        (
            "a\tb\n1\n",
            Format::Tsv,
            None,
            2,
            "1 columns and the header 2",
        ),
    ] {
        let error = all(input, format, key).unwrap_err();
        assert_eq!(error.line(), line, "{input:?}: {error}");
        assert!(error.to_string().contains(words), "{input:?}: {error}");
    }
}

#[test]
fn reading_stops_at_the_first_malformed_record() {
    let mut records = read(
        "{\"key\":1}\nx\n{\"key\":2}\n".as_bytes(),
        Format::Jsonl,
        None,
    )
    .unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn a_spreadsheets_byte_order_mark_is_no_part_of_the_first_name() {
    let csv = "\u{feff}id,x\n1,2\n";
    assert_eq!(
        all(csv, Format::Csv, Some("id")).unwrap(),
        vec![shown(2, "1", &[("x", "2")])]
    );
}

#[test]
fn bytes_that_are_not_utf8_pass_through_csv() {
    let mut records = read(&b"id,x\n1,\xff\n"[..], Format::Csv, None).unwrap();
    assert_eq!(
        records.next().unwrap().unwrap().fields,
        vec![(b"x".to_vec(), vec![0xff])]
    );
}
