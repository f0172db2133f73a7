//! Deadlines.

use std::time::Duration;

use super::{Apart, array};

/// Whether a key has a deadline of so many seconds from now, a few more or less.
fn expires(apart: &mut Apart, key: &str, seconds: i64) {
    let reply = apart.on(0, &format!("EXPIRETIME {key}"));
    assert_eq!(apart.all(&format!("EXPIRETIME {key}")), reply);
    let at: i64 = reply.strip_prefix("(integer) ").unwrap().parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    assert!((at - now - seconds).abs() < 30, "{key} at {at}, now {now}");
}

const NONE: &str = "(integer) -1";

#[test]
fn expire_expire() {
    for (first, second) in [
        ("EXPIRE k 100", "EXPIRE k 1000"),
        ("EXPIRE k 1000", "EXPIRE k 100"),
    ] {
        let mut apart = Apart::after(&["SET k v"]);
        apart.write(first, second);
        expires(&mut apart, "k", 1000);
    }
}

#[test]
fn persist_expire() {
    for (first, second) in [("PERSIST k", "EXPIRE k 100"), ("EXPIRE k 100", "PERSIST k")] {
        let mut apart = Apart::after(&["SET k v EX 50"]);
        apart.write(first, second);
        assert_eq!(apart.all("EXPIRETIME k"), NONE);
    }
}

#[test]
fn set_clears_an_observed_deadline_and_others_keep_it() {
    let mut apart = Apart::after(&["SET k 1 EX 1000", "HSET h f 1", "EXPIRE h 1000"]);
    for line in [
        "APPEND k 2",
        "INCR k",
        "SETRANGE k 0 3",
        "HSET h g 2",
        "HINCRBY h f 1",
    ] {
        apart.on(0, line);
    }
    apart.heal();
    expires(&mut apart, "k", 1000);
    expires(&mut apart, "h", 1000);
    apart.on(1, "SET k 2");
    apart.heal();
    assert_eq!(apart.all("EXPIRETIME k"), NONE);
}

#[test]
fn set_expire() {
    // A deadline that was stamped after the winning SET applies, one from before it does not.
    let mut apart = Apart::after(&["SET k a"]);
    apart.write("SET k b", "EXPIRE k 1000");
    assert_eq!(apart.all("GET k"), "\"b\"");
    expires(&mut apart, "k", 1000);
    let mut apart = Apart::after(&["SET k a"]);
    apart.write("EXPIRE k 1000", "SET k b");
    assert_eq!(apart.all("GET k"), "\"b\"");
    assert_eq!(apart.all("EXPIRETIME k"), NONE);
}

#[test]
fn del_expire_then_sadd() {
    let mut apart = Apart::after(&["SADD k a"]);
    apart.write("DEL k", "EXPIRE k 10");
    assert_eq!(apart.all("EXISTS k"), "(integer) 0");
    apart.on(2, "SADD k b");
    apart.heal();
    for node in 0..super::NODES {
        apart.pass(node, Duration::from_secs(30));
    }
    assert_eq!(apart.all("SMEMBERS k"), array(&["b"]));
    assert_eq!(apart.all("EXPIRETIME k"), NONE);
}

#[test]
fn a_deadline_passes() {
    let mut apart = Apart::after(&["SADD k a", "EXPIRE k 20", "SADD l a", "EXPIRE l 20"]);
    // Each by its own clock, told by nobody.
    apart.pass(0, Duration::from_secs(40));
    assert_eq!(apart.on(0, "SMEMBERS k"), array(&[]));
    assert_eq!(apart.on(0, "EXISTS k"), "(integer) 0");
    assert_eq!(apart.on(1, "SMEMBERS k"), array(&["a"]));
    // Elsewhere it is put off meanwhile; here it begins anew.
    apart.on(1, "EXPIRE l 1000");
    assert_eq!(apart.on(0, "SADD k b"), "(integer) 1");
    apart.heal();
    assert_eq!(apart.all("SMEMBERS k"), array(&["b"]));
    assert_eq!(apart.all("EXPIRETIME k"), NONE);
    assert_eq!(apart.all("SMEMBERS l"), array(&["a"]));
    apart.pass(1, Duration::from_secs(40));
    apart.pass(2, Duration::from_secs(40));
    assert_eq!(apart.all("SMEMBERS l"), array(&["a"]));
}
