//! Scans of many keys, which others change meanwhile.

use std::collections::BTreeSet;

use crate::client::{Client, Redis, Value};

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(_, bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?} is no text"),
    }
}

/// The next cursor, and what was found.
fn scan(client: &mut Client, words: &str) -> (String, Vec<String>) {
    match client.call(format!("SCAN {words}").split(' ')) {
        Value::Many(_, parts) => match &parts[..] {
            [cursor, Value::Many(_, found)] => (text(cursor), found.iter().map(text).collect()),
            other => panic!("{other:?} is no reply of SCAN"),
        },
        other => panic!("{other} is no reply of SCAN"),
    }
}

#[test]
fn what_is_there_all_the_time_is_found_once_whatever_comes_and_goes() {
    let redis = Redis::start();
    let (mut client, mut other) = (redis.client(), redis.client());
    let stays: BTreeSet<_> = (0..400).map(|at| format!("k{:03}:stays", at)).collect();
    for (at, key) in stays.iter().enumerate() {
        client.say(&format!("SET {key} 1"));
        client.say(&format!("SET k{at:03}:goes 1"));
    }
    let (mut cursor, mut found, mut rounds) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let (next, keys) = scan(&mut client, &format!("{cursor} MATCH k*:stays COUNT 7"));
        found.extend(keys);
        if next == "0" {
            break;
        }
        // The last key looked at is among those that go.
        for at in 0..400 {
            if at % 100 == rounds % 100 {
                other.say(&format!("DEL k{at:03}:goes"));
                other.say(&format!("SET k{at:03}:comes 1"));
            }
        }
        cursor = next;
        rounds += 1;
    }
    assert!(rounds > 100, "{rounds} rounds");
    assert_eq!(found.len(), stays.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), stays);
}

#[test]
fn a_cursor_that_nobody_was_given_is_refused() {
    let redis = Redis::start();
    let mut client = redis.client();
    for key in ["a1", "a2", "b1", "b2", "c1"] {
        client.say(&format!("SET {key} 1"));
    }
    let invalid = "(error) ERR invalid cursor";
    assert_eq!(client.say("SCAN 12345"), invalid);
    let (cursor, found) = scan(&mut client, "0 COUNT 3");
    assert_eq!(found, ["a1", "a2", "b1"]);
    // As often as it is asked for, and with another pattern, be it one of keys long passed.
    for (words, found) in [
        ("", &["b2", "c1"][..]),
        (" MATCH b*", &["b2"]),
        (" MATCH c*", &["c1"]),
        (" MATCH a*", &[]),
    ] {
        let (end, keys) = scan(&mut client, &format!("{cursor}{words}"));
        assert_eq!(
            (end.as_str(), &keys[..]),
            (
                "0",
                &found
                    .iter()
                    .map(|key| (*key).to_owned())
                    .collect::<Vec<_>>()[..]
            )
        );
    }
    client.say("SELECT 1");
    assert_eq!(client.say(&format!("SCAN {cursor}")), invalid);
}
