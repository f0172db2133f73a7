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

#[test]
fn who_asks_for_nothing_for_too_long_is_disconnected() {
    let redis = Redis::start();
    let [mut idle, mut subscriber, mut waiting, mut bob] = [(); 4].map(|()| redis.client());
    subscriber.say("SUBSCRIBE news");
    waiting.ask(["BZPOPMIN", "z", "0"]);
    assert_eq!(idle.say("PING"), "PONG");
    bob.say("CONFIG SET timeout 1");
    assert!(idle.is_closed());
    // Whoever is still there waits for others.
    let mut eve = redis.client();
    eve.say("CONFIG SET timeout 0");
    assert_eq!(eve.say("PUBLISH news hello"), "(integer) 1");
    assert!(subscriber.reply().to_string().contains("hello"));
    eve.say("ZADD z 1 a");
    assert!(waiting.reply().to_string().contains("\"a\""));
}

#[test]
fn waits_within_commands_are_ended_by_others() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    let id = ada.say("CLIENT ID").replace("(integer) ", "");
    assert_eq!(ada.say("SYNCLINE RECORD"), "OK");
    ada.say("SET a 1");
    let token = ada.say("SYNCLINE TOKEN").replace('"', "");
    // Of a database that has nothing of it.
    ada.say("SELECT 1");
    let unblocked = "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK";
    let wait_for = format!("SYNCLINE WAITFOR {token} 100000000");
    for (line, over) in [("DEBUG SLEEP 100000", "OK"), (&wait_for, "(error) ERR ")] {
        for (how, told) in [("TIMEOUT", over), ("ERROR", unblocked)] {
            ada.ask(line.split(' '));
            while bob.say(&format!("CLIENT UNBLOCK {id} {how}")) == "(integer) 0" {
                std::thread::yield_now();
            }
            assert!(ada.reply().to_string().starts_with(told), "{line} {how}");
        }
    }
}

#[test]
fn keys_that_expire_are_counted() {
    let redis = Redis::start();
    let mut ada = redis.client();
    ada.say("SET a 1 EX 1000");
    ada.say("SET b 1");
    assert!(ada.say("INFO keyspace").contains("db0:keys=2,expires=1,"));
}
