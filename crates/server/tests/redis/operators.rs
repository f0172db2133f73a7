//! What operators ask, and what Redis does not have.

use syncline::Node;
use syncline_server::{Options, Server};
use tokio::runtime::Runtime;

use crate::client::{Client, Redis};
use crate::semantics::Apart;

#[test]
fn slow_requests_are_listed() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("CONFIG SET slowlog-log-slower-than 0");
    ada.say("SET a 1");
    let log = ada.say("SLOWLOG GET");
    assert!(log.contains("\"SET\"") && log.contains("\"a\""), "{log}");
    ada.say("CONFIG SET slowlog-log-slower-than -1");
    ada.say("SLOWLOG RESET");
    assert_eq!(ada.say("SLOWLOG LEN"), "(integer) 0");
}

#[test]
fn where_a_node_stands_is_told() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("SET a 1");
    assert!(
        ada.say("SYNCLINE WAITFOR nonsense 1")
            .starts_with("(error) ERR this is not a token")
    );
    assert!(
        ada.say("SYNCLINE DIGEST")
            .contains("\"rows\"\n  (integer) 1")
    );
    assert_eq!(ada.say("SYNCLINE CONFLICTS"), "(array of 0)");
    // Of keys that begin alike, whatever else there is.
    ada.say("MSET user:ada 1 user:bob 2 v 3");
    let users = ada.say("SYNCLINE DIGEST user:");
    assert!(users.contains("\"rows\"\n  (integer) 2"), "{users}");
    ada.say("SET v 4");
    assert_eq!(ada.say("SYNCLINE DIGEST user:"), users);
    ada.say("SET user:ada 2");
    assert_ne!(ada.say("SYNCLINE DIGEST user:"), users);
    assert_eq!(ada.say("SYNCLINE DIGEST a b"), "(error) ERR syntax error");
    assert_eq!(ada.say("CONFIG GET dir"), "(array of 2)\n  \"dir\"\n  \"\"");
}

#[test]
fn what_there_is_none_of_is_refused() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("SET a 1");
    assert!(ada.say("SWAPDB 0 1").starts_with("(error) ERR SWAPDB"));
    assert!(
        ada.say("REPLICAOF NO ONE")
            .starts_with("(error) ERR all nodes")
    );
}

#[test]
fn a_write_is_durable_on_another_node_once_that_has_it() {
    let runtime = Runtime::new().unwrap();
    let trust = syncline::trust::Cluster::throwaway().unwrap();
    let member = || Node::builder().in_memory().cluster(&trust);
    let (ada_node, bob_node, server) = runtime.block_on(async {
        let ada = member().listen("127.0.0.1:0").start().await.unwrap();
        let bob = member().listen("127.0.0.1:0").join(&ada);
        let bob = bob.start().await.unwrap();
        bob.namespace("db0").unwrap();
        let options = Options::new(([127, 0, 0, 1], 0).into());
        let server = Server::start(ada.clone(), options).await.unwrap();
        (ada, bob, server)
    });
    let mut ada = Client::connect(server.local_addr());
    // Nothing is written by this client, so whoever carries the database has it.
    while ada.say("WAIT 1 100") != "(integer) 1" {}
    ada.say("SET a 1");
    // As many as there are, where more are asked for.
    assert_eq!(ada.say("WAIT 7 0"), "(integer) 1");
    let has = runtime.block_on(async { bob_node.namespace("db0").unwrap().get("a").await });
    assert_eq!(has.unwrap().unwrap(), b"1");
    assert_eq!(ada.say("WAIT 0 0"), "(integer) 0");
    let wrong = [
        ("WAIT x 0", "value is not an integer or out of range"),
        ("WAIT 1 -1", "timeout is negative"),
        ("WAIT 1 x", "timeout is not an integer or out of range"),
    ];
    for (line, why) in wrong {
        assert_eq!(ada.say(line), format!("(error) ERR {why}"));
    }
    // It is durable on nobody's disk who is gone.
    runtime.block_on(bob_node.shutdown()).unwrap();
    ada.say("SET b 1");
    assert_eq!(ada.say("WAIT 1 20"), "(integer) 0");
    let mut eve = Client::connect(server.local_addr());
    let id = ada.say("CLIENT ID").replace("(integer) ", "");
    ada.ask(["WAIT", "1", "0"]);
    while eve.say(&format!("CLIENT UNBLOCK {id}")) == "(integer) 0" {
        std::thread::yield_now();
    }
    assert_eq!(ada.reply().to_string().trim(), "(integer) 0");
    drop(eve);
    drop(ada);
    runtime.block_on(async {
        server.stop().await;
        ada_node.shutdown().await.unwrap();
    });
}

#[test]
fn a_token_is_waited_for_elsewhere() {
    let mut apart = Apart::after(&[]);
    assert!(
        apart
            .on(0, "SYNCLINE TOKEN")
            .starts_with("(error) ERR nothing is recorded")
    );
    assert_eq!(apart.on(0, "SYNCLINE RECORD"), "OK");
    apart.on(0, "SET a 1");
    let token = apart.on(0, "SYNCLINE TOKEN").replace('"', "");
    let wait = format!("SYNCLINE WAITFOR {token} 20");
    assert!(apart.on(1, &wait).starts_with("(error)"), "it has not come");
    apart.heal();
    assert_eq!(apart.on(1, &wait), "OK");
    let holders = apart.on(0, "SYNCLINE WHOHAS");
    assert!(holders.starts_with("(array of 6)\n  \"has\""), "{holders}");
    // It is of one database.
    apart.on(0, "SELECT 1");
    assert!(apart.on(0, "SYNCLINE TOKEN").starts_with("(error)"));
}

#[test]
fn what_is_written_is_made_durable_when_asked_for() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("SET a 1");
    assert_eq!(ada.say("SAVE"), "OK");
    assert_eq!(ada.say("BGSAVE x"), "(error) ERR syntax error");
    assert_eq!(ada.say("BGSAVE SCHEDULE"), "Background saving started");
    assert!(ada.say("LASTSAVE").starts_with("(integer) "));
}

#[test]
fn the_end_is_asked_for_and_its_connection_closed() {
    let redis = Redis::start();
    let mut ada = redis.client();
    for wrong in ["SHUTDOWN x", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN NOW ABORT"] {
        assert_eq!(ada.say(wrong), "(error) ERR syntax error");
    }
    assert_eq!(
        ada.say("SHUTDOWN ABORT"),
        "(error) ERR No shutdown in progress."
    );
    ada.ask(["SHUTDOWN", "NOSAVE"]);
    assert!(ada.is_closed());
    redis.asked_to_end();
}

#[test]
fn a_flush_is_a_part_of_a_transaction() {
    let redis = Redis::start();
    let mut ada = redis.client();
    for line in [
        "SET a 1",
        "SADD b x y",
        "HSET c f 1",
        "INCR d",
        "MULTI",
        "SET e 1",
        "FLUSHDB",
        "SET f 1",
    ] {
        ada.say(line);
    }
    assert_eq!(ada.say("EXEC"), "(array of 3)\n  OK\n  OK\n  OK");
    assert_eq!(ada.say("KEYS *"), "(array of 1)\n  \"f\"");
}

#[test]
fn what_is_done_to_keys_is_published_where_that_is_wanted() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("PSUBSCRIBE __key*__:*");
    let mut heard = |line: &str| {
        bob.say(line);
        bob.say("PUBLISH __keys__:end end");
        let mut heard = Vec::new();
        loop {
            let message = ada.reply().to_string();
            let words: Vec<_> = message.split('"').collect();
            if words[7] == "end" {
                return heard;
            }
            heard.push(format!("{} {}", words[5], words[7]));
        }
    };
    assert!(heard("SET a 1").is_empty(), "nobody has asked");
    heard("CONFIG SET notify-keyspace-events KEA");
    assert_eq!(
        heard("SET a 1"),
        ["__keyspace@0__:a set", "__keyevent@0__:set a"]
    );
    assert!(heard("DEL nothing").is_empty());
    assert_eq!(
        heard("DEL a"),
        ["__keyspace@0__:a del", "__keyevent@0__:del a"]
    );
    heard("CONFIG SET notify-keyspace-events Eg");
    assert!(
        heard("SET a 1").is_empty(),
        "of strings, which are not wanted"
    );
    assert_eq!(heard("DEL a"), ["__keyevent@0__:del a"]);
    heard("CONFIG SET notify-keyspace-events g");
    heard("SET a 1");
    assert!(heard("DEL a").is_empty(), "no channel is wanted");
}

#[test]
fn the_size_of_a_key_is_estimated() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("SET a 12345");
    ada.say("HSET h a 1 b 2 c 3 d 4 e 5 f 6");
    ada.say("SADD s a b c");
    assert_eq!(ada.say("MEMORY USAGE a"), "(integer) 70");
    assert_eq!(ada.say("MEMORY USAGE h"), "(integer) 402");
    assert_eq!(ada.say("MEMORY USAGE h SAMPLES 0"), "(integer) 402");
    assert_eq!(ada.say("MEMORY USAGE s SAMPLES 1"), "(integer) 198");
    assert_eq!(ada.say("MEMORY USAGE nothing"), "(nil)");
    assert_eq!(
        ada.say("MEMORY USAGE a SAMPLES -1"),
        "(error) ERR syntax error"
    );
    assert_eq!(ada.say("DEBUG SLEEP 0"), "OK");
    assert_eq!(
        ada.say("DEBUG SLEEP x"),
        "(error) ERR value is not a valid float"
    );
}

#[test]
fn how_long_commands_took_is_told() {
    let redis = Redis::start();
    let mut ada = redis.client();
    for _ in 0..3 {
        ada.say("SET a 1");
        ada.say("CONFIG GET timeout");
    }
    let histogram = ada.say("LATENCY HISTOGRAM set config nosuch");
    for part in [
        "\"set\"",
        "\"config|get\"",
        "(integer) 3",
        "\"histogram_usec\"",
    ] {
        assert!(histogram.contains(part), "{part} is not in {histogram}");
    }
    assert!(!ada.say("LATENCY HISTOGRAM config|get").contains("\"set\""));
    assert!(
        ada.say("LATENCY HISTOGRAM")
            .contains("\"latency|histogram\"")
    );
    ada.say("CONFIG RESETSTAT");
    assert_eq!(ada.say("LATENCY HISTOGRAM set"), "(array of 0)");
}
