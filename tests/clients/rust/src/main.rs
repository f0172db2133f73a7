//! The `redis` crate, by either version of the protocol.

use redis::{Commands, RedisResult, Value};

fn main() -> RedisResult<()> {
    let port = std::env::args().nth(1).expect("the port is given");
    for protocol in ["resp2", "resp3"] {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/?protocol={protocol}"))?;
        let mut connection = client.get_connection()?;
        let () = redis::cmd("FLUSHALL").query(&mut connection)?;
        let () = connection.set("k", "v")?;
        assert_eq!(connection.get::<_, String>("k")?, "v");
        assert_eq!(connection.get::<_, Option<String>>("nothing")?, None);
        assert_eq!(connection.incr::<_, _, i64>("n", 41)?, 41);
        let (one, two): (i64, String) = redis::pipe().atomic().incr("n", 1).get("n").query(&mut connection)?;
        assert_eq!((one, two.as_str()), (42, "42"));
        let () = connection.hset_multiple("h", &[("f", 1), ("g", 2)])?;
        let fields: std::collections::BTreeMap<String, i64> = connection.hgetall("h")?;
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), [("f".into(), 1), ("g".into(), 2)]);
        let () = connection.sadd("s", &["x", "y"])?;
        let members: std::collections::BTreeSet<String> = connection.smembers("s")?;
        assert_eq!(members.len(), 2);
        let () = connection.zadd_multiple("z", &[(1.5, "a"), (2.5, "b")])?;
        let scores: Vec<(String, f64)> = connection.zrange_withscores("z", 0, -1)?;
        assert_eq!(scores, [("a".into(), 1.5), ("b".into(), 2.5)]);
        let mut keys: Vec<String> = connection.scan()?.collect::<RedisResult<_>>()?;
        keys.sort();
        assert_eq!(keys, ["h", "k", "n", "s", "z"]);
        let refused: RedisResult<Value> = redis::cmd("INCR").arg("s").query(&mut connection);
        assert!(refused.unwrap_err().to_string().contains("WRONGTYPE"));
        let new_n: Option<(i64,)> = redis::transaction(&mut connection, &["n"], |connection, pipe| {
            let n: i64 = connection.get("n")?;
            pipe.set("n", n + 1).ignore().get("n").query(connection)
        })
        .map(Some)?;
        assert_eq!(new_n, Some((43,)));
    }
    println!("ok");
    Ok(())
}
