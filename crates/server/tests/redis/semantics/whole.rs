//! Whole keys, databases, transactions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Apart, array};

#[test]
fn two_types_on_one_key() {
    let mut apart = Apart::after(&[]);
    apart.write("SADD k a", "HSET k f v");
    assert_eq!(apart.all("TYPE k"), "hash");
    assert_eq!(apart.all("HGETALL k"), array(&["f", "v"]));
    let refused = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(apart.all("SMEMBERS k"), refused);
    // The rest is kept until whoever has seen it removes it.
    assert_eq!(apart.rows(), 2 * 3);
    apart.on(2, "DEL k");
    apart.heal();
    assert_eq!(apart.all("TYPE k"), "none");
    assert_eq!(apart.rows(), 0);

    apart.cut();
    apart.write("SADD k a", "SET k text");
    assert_eq!(apart.all("GET k"), "\"text\"");
    apart.on(0, "SET k new");
    apart.heal();
    assert_eq!(apart.all("GET k"), "\"new\"");
    assert_eq!(apart.rows(), 3);
}

#[test]
fn flushdb() {
    let mut apart = Apart::after(&["SET seen 1", "SADD s a", "HSET h f v"]);
    apart.write("FLUSHDB", "SET unseen 1");
    apart.cut();
    assert_eq!(apart.all("DBSIZE"), "(integer) 1");
    assert_eq!(apart.all("GET unseen"), "\"1\"");
    let mut apart = Apart::after(&["SADD s a"]);
    apart.write("SADD s b", "FLUSHDB");
    assert_eq!(apart.all("SMEMBERS s"), array(&["b"]));
}

#[test]
fn multi_exec_and_mset() {
    let mut apart = Apart::after(&["SET x 1"]);
    for line in ["MULTI", "INCRBY x 5", "SADD s a", "HSET h f v"] {
        apart.on(0, line);
    }
    let done = "(array of 3)\n  (integer) 6\n  (integer) 1\n  (integer) 1";
    assert_eq!(apart.on(0, "EXEC"), done);
    apart.later();
    for line in ["MULTI", "INCRBY x 3", "SADD s b", "HSET h f w", "EXEC"] {
        apart.on(1, line);
    }
    apart.heal();
    assert_eq!(apart.all("GET x"), "\"9\"");
    assert_eq!(apart.all("SMEMBERS s"), array(&["a", "b"]));
    assert_eq!(apart.all("HGET h f"), "\"w\"");
    apart.cut();
    apart.write("MSET a 1 b 1", "MSET b 2 c 2");
    assert_eq!(apart.all("MGET a b c"), array(&["1", "2", "2"]));
}

#[test]
fn deletes_leave_nothing_and_nothing_comes_back() {
    let mut apart = Apart::after(&["SET x a", "SADD s a b", "HSET h f v"]);
    // The last node is away while the others forget.
    apart.cluster.mend(0, 1);
    apart.on(0, "DEL x s h");
    apart.runtime.block_on(apart.cluster.sync_all()).unwrap();
    assert_eq!(apart.on(1, "EXISTS x s h"), "(integer) 0");
    assert_eq!(apart.on(2, "EXISTS x s h"), "(integer) 3");
    apart.heal();
    assert_eq!(apart.all("EXISTS x s h"), "(integer) 0");
    assert_eq!(apart.rows(), 0);
}

#[test]
fn a_clock_that_is_too_far_ahead_is_refused_until_it_is_set() {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut apart = Apart::after(&["SET x old"]);
    apart.pass(1, HOUR);
    apart.on(1, "SET x ahead");
    apart.later();
    apart.on(0, "SET x new");
    // Past the wires, which are cut.
    let address = apart.cluster[1].local_addr().unwrap();
    let sync = format!("SYNCLINE SYNC {address}");
    let refused = apart.on(0, &sync);
    assert!(refused.starts_with("(error) ERR"), "{refused}");
    assert!(
        refused.contains("ms apart, over the bound of 60000"),
        "{refused}"
    );
    assert_eq!(apart.on(0, "GET x"), "\"new\"");
    let hour = u64::try_from(HOUR.as_millis()).unwrap();
    apart.ahead[1].fetch_sub(hour, Ordering::Relaxed);
    assert!(apart.on(0, &sync).starts_with("(array of 6)"));
    apart.heal();
    // It was stamped later. What is written by who has seen it is later still, whatever the clock says.
    assert_eq!(apart.all("GET x"), "\"ahead\"");
    apart.cut();
    apart.on(2, "SET x last");
    apart.heal();
    assert_eq!(apart.all("GET x"), "\"last\"");
}
