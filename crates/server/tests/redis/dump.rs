//! What is dumped comes back.

use crate::client::{Redis, Value};

#[test]
fn what_is_dumped_comes_back() {
    let redis = Redis::start();
    let mut client = redis.client();
    client.say("SET string hello");
    client.say("SADD set b a");
    client.say("HSET hash f 1 g 2");
    client.say("ZADD sorted 1.5 b -inf a 0.1 c");
    for (key, question) in [
        ("string", "GET string"),
        ("set", "SMEMBERS set"),
        ("hash", "HGETALL hash"),
        ("sorted", "ZRANGE sorted 0 -1 WITHSCORES"),
    ] {
        let before = client.say(question);
        let Value::Bulk(_, bytes) = client.call(["DUMP", key]) else {
            panic!("{key} is there");
        };
        let restore = |ttl: &str, word: &[u8]| {
            let words = [b"RESTORE", key.as_bytes(), ttl.as_bytes(), &bytes, word];
            words.map(<[u8]>::to_vec)
        };
        let busy = client.call(restore("0", b"ABSTTL")).to_string();
        assert_eq!(
            busy.trim_end(),
            "(error) BUSYKEY Target key name already exists."
        );
        client.say(&format!("DEL {key}"));
        assert_eq!(
            client.call(restore("100000", b"REPLACE")).to_string(),
            "OK\n"
        );
        assert_eq!(client.say(question), before);
        assert_eq!(client.say(&format!("TTL {key}")), "(integer) 100");
        // A deadline that has passed leaves nothing of it, nor of what was there.
        client.call(restore("1", b"REPLACE"));
        let Value::Line(_, _) = client.call([
            "RESTORE".as_bytes(),
            key.as_bytes(),
            b"1",
            &bytes,
            b"REPLACE",
            b"ABSTTL",
        ]) else {
            panic!("it is done");
        };
        assert_eq!(client.say(&format!("EXISTS {key}")), "(integer) 0");
    }
}
