//! Sets and hashes.

use super::{Apart, array};

#[test]
fn sadd_srem() {
    for (first, second) in [("SADD s e", "SREM s e"), ("SREM s e", "SADD s e")] {
        let mut apart = Apart::after(&["SADD s e"]);
        apart.write(first, second);
        assert_eq!(apart.all("SMEMBERS s"), array(&["e"]));
    }
}

#[test]
fn sadd_del() {
    let mut apart = Apart::after(&["SADD s a b"]);
    apart.write("SADD s e", "DEL s");
    assert_eq!(apart.all("SMEMBERS s"), array(&["e"]));
}

#[test]
fn srem_srem_and_spop_spop() {
    let one = "(integer) 1";
    let mut apart = Apart::after(&["SADD s e f"]);
    assert_eq!(apart.write("SREM s e", "SREM s e"), [one, one]);
    assert_eq!(apart.all("SMEMBERS s"), array(&["f"]));
    apart.cut();
    assert_eq!(apart.write("SPOP s", "SPOP s"), ["\"f\""; 2]);
    assert_eq!(apart.all("EXISTS s"), "(integer) 0");
}

#[test]
fn smove_smove() {
    let mut apart = Apart::after(&["SADD s e"]);
    apart.write("SMOVE s t e", "SMOVE s u e");
    assert_eq!(apart.all("SMEMBERS s"), array(&[]));
    assert_eq!(apart.all("SINTER t u"), array(&["e"]));
}

#[test]
fn sinterstore_sunionstore() {
    let mut apart = Apart::after(&["SADD a 1 2", "SADD b 2 3", "SADD r old"]);
    apart.write("SINTERSTORE r a b", "SDIFFSTORE r a b");
    assert_eq!(apart.all("SMEMBERS r"), array(&["1", "2"]));
}

#[test]
fn hset_of_two_fields() {
    let mut apart = Apart::after(&[]);
    apart.write("HSET h f a", "HSET h g b");
    assert_eq!(apart.all("HGETALL h"), array(&["f", "a", "g", "b"]));
}

#[test]
fn hset_of_one_field() {
    let mut apart = Apart::after(&[]);
    apart.write("HSET h f a", "HSET h f b");
    assert_eq!(apart.all("HGETALL h"), array(&["f", "b"]));
    assert_eq!(apart.all("HLEN h"), "(integer) 1");
}

#[test]
fn hset_hdel_and_hset_del() {
    for removal in ["HDEL h f", "DEL h"] {
        let mut apart = Apart::after(&["HSET h f old"]);
        apart.write("HSET h f a", removal);
        assert_eq!(apart.all("HGETALL h"), array(&["f", "a"]));
    }
    let mut apart = Apart::after(&["HSET h f 1 g 2"]);
    apart.write("HSET h new 3", "DEL h");
    assert_eq!(apart.all("HGETALL h"), array(&["new", "3"]));
}

#[test]
fn hincrby_hincrby() {
    let mut apart = Apart::after(&["HSET h f 10"]);
    apart.write("HINCRBY h f 7", "HINCRBY h f 3");
    assert_eq!(apart.all("HGET h f"), "\"20\"");
    apart.cut();
    apart.write("HINCRBYFLOAT h f 0.1", "HINCRBYFLOAT h f 0.2");
    assert_eq!(apart.all("HGET h f"), "\"20.3\"");
    // What is incremented begins at what its removal had not seen.
    apart.cut();
    apart.write("HDEL h f", "HINCRBY h f 0");
    apart.cut();
    apart.write("HSET h n 5", "HINCRBY h n 2");
    assert_eq!(apart.all("HGET h n"), "\"7\"");
}
