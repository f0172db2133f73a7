//! What operators see of clients, and do to them.

use crate::client::Redis;

#[test]
fn clients_are_listed_and_ended() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("CLIENT SETNAME ada");
    let list = bob.say("CLIENT LIST");
    assert!(
        list.contains("name=ada ") && list.contains("cmd=client|list"),
        "{list}"
    );
    assert!(ada.say("CLIENT INFO").contains("name=ada "));
    let id = ada.say("CLIENT ID").replace("(integer) ", "");
    assert_eq!(bob.say(&format!("CLIENT KILL ID {id}")), "(integer) 1");
    assert!(ada.is_closed());
    assert_eq!(bob.say("PING"), "PONG");
}

#[test]
fn who_wants_no_reply_gets_none() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.ask(["CLIENT", "REPLY", "OFF"]);
    ada.ask(["SET", "a", "1"]);
    assert_eq!(ada.say("CLIENT REPLY ON"), "OK");
    ada.ask(["CLIENT", "REPLY", "SKIP"]);
    ada.ask(["GET", "a"]);
    assert_eq!(ada.say("GET a"), "\"1\"");
}

#[test]
fn paused_clients_write_when_the_pause_is_over() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    bob.say("CLIENT PAUSE 100000000 WRITE");
    assert_eq!(ada.say("GET a"), "(nil)", "reads go on");
    ada.ask(["SET", "a", "1"]);
    for _ in 0..10 {
        assert_eq!(bob.say("GET a"), "(nil)");
    }
    bob.say("CLIENT UNPAUSE");
    assert_eq!(ada.reply().to_string().trim(), "OK");
}

#[test]
fn a_password_that_is_set_holds_for_who_comes_next() {
    let redis = Redis::start();
    let mut ada = redis.client();
    assert_eq!(ada.say("CONFIG SET requirepass secret"), "OK");
    assert_eq!(ada.say("PING"), "PONG");
    let mut bob = redis.client();
    assert!(bob.say("PING").starts_with("(error) NOAUTH"));
    assert!(bob.say("AUTH wrong").starts_with("(error) WRONGPASS"));
    assert_eq!(bob.say("AUTH secret"), "OK");
    assert_eq!(bob.say("PING"), "PONG");
}

#[test]
fn info_tells_what_happened() {
    let redis = Redis::start();
    let mut ada = redis.client();
    for _ in 0..3 {
        ada.say("SET a 1");
    }
    ada.say("INCR a x");
    let info = ada.say("INFO");
    for part in [
        "# Server",
        "redis_version:7",
        "# Syncline",
        "peers:0",
        "db0:keys=1",
    ] {
        assert!(info.contains(part), "{part} is not in {info}");
    }
    assert!(!info.contains("# Commandstats"));
    let info = ada.say("INFO commandstats");
    assert!(info.contains("cmdstat_set:calls=3,"), "{info}");
    ada.say("CONFIG RESETSTAT");
    assert!(!ada.say("INFO commandstats").contains("cmdstat_set"));
}
