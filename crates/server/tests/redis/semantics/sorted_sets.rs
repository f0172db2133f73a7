//! Sorted sets.

use super::{Apart, array};

#[test]
fn zadd_zadd() {
    let mut apart = Apart::after(&["ZADD z 5 n"]);
    apart.write("ZADD z 9 m", "ZADD z 2 m");
    assert_eq!(apart.all("ZSCORE z m"), "\"2\"");
    assert_eq!(apart.all("ZCARD z"), "(integer) 2");
    assert_eq!(apart.all("ZRANGE z 0 -1"), array(&["m", "n"]));
    assert_eq!(apart.all("ZCOUNT z 6 inf"), "(integer) 0");
    apart.cut();
    apart.write("ZADD z 1 a", "ZADD z 3 b");
    let ranks = array(&["a", "1", "m", "2", "b", "3", "n", "5"]);
    assert_eq!(apart.all("ZRANGE z 0 -1 WITHSCORES"), ranks);
}

#[test]
fn zincrby_zincrby() {
    let mut apart = Apart::after(&["ZADD z 1.1 m"]);
    apart.write("ZINCRBY z 1 m", "ZINCRBY z 1 m");
    assert_eq!(apart.all("ZSCORE z m"), "\"3.1000000000000001\"");
    apart.cut();
    apart.write("ZINCRBY z 0.1 new", "ZINCRBY z 0.2 new");
    assert_eq!(apart.all("ZSCORE z new"), "\"0.29999999999999999\"");
    assert_eq!(apart.all("ZRANK z new"), "(integer) 0");
    // Exact, so what was added and taken again leaves nothing.
    apart.cut();
    apart.write("ZINCRBY z -0.1 new", "ZINCRBY z -0.2 new");
    assert_eq!(apart.all("ZSCORE z new"), "\"0\"");
}

#[test]
fn zrem_zincrby() {
    for removal in ["ZREM z m", "ZPOPMAX z", "DEL z", "ZREMRANGEBYRANK z 0 -1"] {
        let mut apart = Apart::after(&["ZADD z 4.1 m"]);
        apart.write(removal, "ZINCRBY z 2 m");
        assert_eq!(apart.all("ZSCORE z m"), "\"2\"", "{removal}");
        assert_eq!(apart.all("ZRANGEBYSCORE z 2 2"), array(&["m"]));
    }
}

#[test]
fn zadd_zrem_and_zadd_del() {
    for removal in ["ZREM z m", "DEL z"] {
        for turns in [false, true] {
            let mut apart = Apart::after(&["ZADD z 4 m"]);
            match turns {
                false => apart.write("ZADD z 1 m", removal),
                true => apart.write(removal, "ZADD z 1 m"),
            };
            assert_eq!(apart.all("ZSCORE z m"), "\"1\"");
        }
    }
}

#[test]
fn zadd_zincrby() {
    for (first, second) in [
        ("ZADD z 100 m", "ZINCRBY z 1 m"),
        ("ZINCRBY z 1 m", "ZADD z 100 m"),
    ] {
        let mut apart = Apart::after(&["ZADD z 5 m"]);
        apart.write(first, second);
        assert_eq!(apart.all("ZSCORE z m"), "\"101\"");
    }
}

#[test]
fn zpopmin_zpopmin() {
    let mut apart = Apart::after(&["ZADD z 1 m 2 n"]);
    let popped = array(&["m", "1"]);
    assert_eq!(apart.write("ZPOPMIN z", "ZPOPMIN z"), [&popped[..]; 2]);
    assert_eq!(apart.all("ZRANGE z 0 -1"), array(&["n"]));
    apart.cut();
    let popped = array(&["z", "n", "2"]);
    assert_eq!(
        apart.write("BZPOPMIN z 0", "BZPOPMAX z 0"),
        [&popped[..]; 2]
    );
    assert_eq!(apart.all("EXISTS z"), "(integer) 0");
}

#[test]
fn zunionstore_zinterstore() {
    let mut apart = Apart::after(&["ZADD a 1 x 2 y", "ZADD b 3 y 4 w", "ZADD r 1 old"]);
    apart.write("ZINTERSTORE r 2 a b", "ZDIFFSTORE r 2 a b");
    assert_eq!(
        apart.all("ZRANGE r 0 -1 WITHSCORES"),
        array(&["x", "1", "y", "5"])
    );
}

#[test]
fn rename_zadd() {
    let mut apart = Apart::after(&["ZADD z 1 m"]);
    apart.write("RENAME z y", "ZADD z 2 n");
    assert_eq!(apart.all("ZRANGE y 0 -1 WITHSCORES"), array(&["m", "1"]));
    assert_eq!(apart.all("ZRANGE z 0 -1 WITHSCORES"), array(&["n", "2"]));
    // What was counted in meanwhile is under the old name.
    apart.cut();
    apart.write("RENAME z y", "ZINCRBY z 5 n");
    assert_eq!(apart.all("ZRANGE y 0 -1 WITHSCORES"), array(&["n", "2"]));
    assert_eq!(apart.all("ZSCORE z n"), "\"5\"");
}
