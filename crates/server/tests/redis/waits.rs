//! Clients that wait for members of sorted sets.

use crate::client::{Client, Redis};
use crate::semantics::Apart;

/// Asks for what has to be waited for, and goes on once so many clients wait.
fn wait(waiting: &mut Client, line: &str, other: &mut Client, count: usize) {
    waiting.ask(line.split_whitespace());
    until_blocked(other, count);
}

fn until_blocked(other: &mut Client, count: usize) {
    let wanted = format!("blocked_clients:{count}\\r\\n");
    while !other.say("INFO clients").contains(&wanted) {
        std::thread::yield_now();
    }
}

fn reply(client: &mut Client) -> String {
    client.reply().to_string().trim_end().to_owned()
}

fn popped(key: &str, member: &str, score: &str) -> String {
    format!("(array of 3)\n  \"{key}\"\n  \"{member}\"\n  \"{score}\"")
}

#[test]
fn who_waits_is_given_what_another_adds() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    wait(&mut ada, "BZPOPMIN y z 0", &mut bob, 1);
    let list = bob.say("CLIENT LIST");
    let flags = |line: &str| {
        line.split(' ')
            .find(|it| it.starts_with("flags="))
            .map(str::to_owned)
    };
    let waiting = list.split("\\n").find(|line| line.contains("cmd=bzpopmin"));
    assert_eq!(
        waiting.and_then(flags).as_deref(),
        Some("flags=b"),
        "{list}"
    );
    bob.say("ZADD z 2 b 1 a");
    assert_eq!(reply(&mut ada), popped("z", "a", "1"));
    until_blocked(&mut bob, 0);
    assert_eq!(bob.say("ZCARD z"), "(integer) 1");
    // What is there is given at once, from the first key that has any.
    bob.say("ZADD y 7 c");
    assert_eq!(ada.say("BZPOPMAX y z 0"), popped("y", "c", "7"));
    wait(&mut ada, "BZMPOP 0 2 x y MAX COUNT 2", &mut bob, 1);
    bob.say("ZADD y 1 a 2 b 3 c");
    let two = "(array of 2)\n  \"y\"\n  (array of 2)\n    (array of 2)\n      \"c\"\n      \"3\"\n    (array of 2)\n      \"b\"\n      \"2\"";
    assert_eq!(reply(&mut ada), two);
    // By whatever way it comes.
    for way in [
        &["ZADD from 1 a", "RENAME from q"][..],
        &["ZADD from 1 a", "COPY from q", "DEL from"],
        &[
            "ZUNIONSTORE q 1 none",
            "ZADD from 1 a",
            "ZUNIONSTORE q 1 from",
        ],
        &["MULTI", "ZADD q 1 a", "EXEC"],
        &["ZINCRBY q 1 a"],
    ] {
        wait(&mut ada, "BZPOPMIN q 0", &mut bob, 1);
        for line in way {
            bob.say(line);
        }
        assert_eq!(reply(&mut ada), popped("q", "a", "1"), "{way:?}");
    }
}

#[test]
fn who_came_first_is_served_first() {
    let redis = Redis::start();
    let mut bob = redis.client();
    let mut waiting: Vec<_> = (0..4).map(|_| redis.client()).collect();
    for (count, client) in waiting.iter_mut().enumerate() {
        let keys = if count == 1 { "y z" } else { "z" };
        wait(client, &format!("BZPOPMIN {keys} 0"), &mut bob, count + 1);
    }
    bob.say("ZADD z 1 a 2 b 3 c");
    for (client, member) in waiting.iter_mut().zip(["a", "b", "c"]) {
        assert!(reply(client).contains(&format!("\"{member}\"")));
    }
    until_blocked(&mut bob, 1);
    // Who leaves is not in the way of those behind.
    let mut ada = redis.client();
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 2);
    drop(waiting);
    until_blocked(&mut bob, 1);
    bob.say("ZADD z 4 d");
    assert_eq!(reply(&mut ada), popped("z", "d", "4"));
    // Who is woken for another key leaves alone what is for those before.
    let mut eve = redis.client();
    for _ in 0..20 {
        wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
        wait(&mut eve, "BZPOPMIN z y 0", &mut bob, 2);
        bob.send(b"MULTI\r\nZADD y 1 b\r\nZADD z 1 a\r\nEXEC\r\n");
        assert_eq!(reply(&mut ada), popped("z", "a", "1"));
        assert_eq!(reply(&mut eve), popped("y", "b", "1"));
        (0..4).for_each(|_| drop(bob.reply()));
    }
}

#[test]
fn nothing_is_taken_for_who_waits_no_more() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    assert_eq!(ada.say("BZPOPMIN z 0.01"), "(nil array)");
    let mut gone = redis.client();
    wait(&mut gone, "BZPOPMIN z 0", &mut bob, 1);
    // What it sends meanwhile is read, and so is its end.
    gone.ask(["PING"]);
    drop(gone);
    until_blocked(&mut bob, 0);
    bob.say("ZADD z 1 a");
    assert_eq!(bob.say("ZCARD z"), "(integer) 1");
    bob.say("DEL z");
    // By others.
    for (how, told) in [
        ("", "(nil array)"),
        (" TIMEOUT", "(nil array)"),
        (
            " ERROR",
            "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK",
        ),
    ] {
        let id = ada.say("CLIENT ID").replace("(integer) ", "");
        wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
        assert_eq!(bob.say(&format!("CLIENT UNBLOCK {id}{how}")), "(integer) 1");
        assert_eq!(reply(&mut ada), told);
        assert_eq!(bob.say(&format!("CLIENT UNBLOCK {id}{how}")), "(integer) 0");
    }
    let id = ada.say("CLIENT ID").replace("(integer) ", "");
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    assert_eq!(bob.say(&format!("CLIENT KILL ID {id}")), "(integer) 1");
    assert!(ada.is_closed());
    // By the end of the server.
    let mut last = redis.client();
    wait(&mut last, "BZPOPMIN z 0", &mut bob, 1);
    drop(redis);
    assert!(last.is_closed());
}

#[test]
fn what_is_asked_for_before_is_answered_before_and_what_is_behind_waits() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.send(b"SET a 1\r\nBZPOPMIN z 0\r\nGET a\r\nGET b\r\nBZPOPMAX z 0\r\n*1\r\n$4\r\nPI");
    assert_eq!(reply(&mut ada), "OK");
    until_blocked(&mut bob, 1);
    bob.say("SET b 2");
    ada.send(b"NG\r\nECHO last\r\n");
    bob.say("ZADD z 1 m");
    for expected in [&popped("z", "m", "1"), "\"1\"", "\"2\""] {
        assert_eq!(reply(&mut ada), *expected);
    }
    until_blocked(&mut bob, 1);
    bob.say("ZADD z 2 n");
    for expected in [&popped("z", "n", "2"), "PONG", "\"last\""] {
        assert_eq!(reply(&mut ada), *expected);
    }
    // Who wants no reply gets none, neither at first nor later.
    ada.ask(["CLIENT", "REPLY", "SKIP"]);
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    bob.say("ZADD z 1 m");
    assert_eq!(ada.say("GET a"), "\"1\"");
}

#[test]
fn a_key_of_another_kind_is_waited_for_until_it_is_none() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    wait(&mut ada, "BZPOPMIN y z 0", &mut bob, 1);
    bob.say("SET y text");
    bob.say("SADD z a");
    assert_eq!(
        bob.say("INFO clients").matches("blocked_clients:1").count(),
        1
    );
    bob.say("DEL z");
    bob.say("ZADD z 1 m");
    assert_eq!(reply(&mut ada), popped("z", "m", "1"));
    let wrong = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(ada.say("BZPOPMIN z y 0"), wrong);
}

#[test]
fn messages_come_while_it_waits() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("HELLO 3");
    ada.say("SUBSCRIBE news");
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    assert!(bob.say("CLIENT LIST").contains("flags=Pb "));
    bob.say("PUBLISH news hello");
    assert!(reply(&mut ada).starts_with("(push of 3)"));
    bob.say("ZADD z 1 m");
    assert_eq!(
        reply(&mut ada),
        "(array of 3)\n  \"z\"\n  \"m\"\n  (double) 1"
    );
}

#[test]
fn nothing_is_taken_in_a_pause() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    bob.say("CLIENT PAUSE 100000000 WRITE");
    // From elsewhere.
    let set = redis.node.namespace("db0").unwrap().sorted_set("z");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(set.insert("m", 1.0)).unwrap();
    for _ in 0..10 {
        assert_eq!(bob.say("ZCARD z"), "(integer) 1");
    }
    bob.say("CLIENT UNPAUSE");
    assert_eq!(reply(&mut ada), popped("z", "m", "1"));
}

#[test]
fn many_keys_are_waited_for() {
    let redis = Redis::start();
    let mut bob = redis.client();
    // More than are followed one by one, and none begins as another.
    let mut waiting: Vec<_> = (0..40).map(|_| redis.client()).collect();
    for (at, client) in waiting.iter_mut().enumerate() {
        wait(
            client,
            &format!("BZPOPMIN none{at} key{at:02} 0"),
            &mut bob,
            at + 1,
        );
    }
    for (at, client) in waiting.iter_mut().enumerate().rev() {
        bob.say(&format!("ZADD key{at:02} 1 m"));
        assert_eq!(reply(client), popped(&format!("key{at:02}"), "m", "1"));
    }
    let keys: Vec<_> = (0..1001).map(|at| format!("k{at}")).collect();
    let refused = bob.say(&format!("BZPOPMIN {} 0", keys.join(" ")));
    assert_eq!(refused, "(error) ERR at most 1000 keys can be waited for");
}

#[test]
fn what_comes_with_more_than_is_remembered_is_found() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    let keys = (0..6000).map(|at| format!("z{at:060} 1"));
    let keys: Vec<_> = keys.collect();
    bob.say("MULTI");
    bob.say(&format!("MSET {}", keys.join(" ")));
    bob.say("ZADD z 1 m");
    bob.say("EXEC");
    assert_eq!(reply(&mut ada), popped("z", "m", "1"));
}

#[test]
fn the_end_of_the_node_is_told() {
    let redis = Redis::start();
    let [mut ada, mut eve, mut bob] = [(); 3].map(|()| redis.client());
    wait(&mut ada, "BZPOPMIN z 0", &mut bob, 1);
    wait(&mut eve, "BZPOPMIN y z 0", &mut bob, 2);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(redis.node.shutdown()).unwrap();
    for client in [&mut ada, &mut eve] {
        assert_eq!(reply(client), "(error) ERR the server is shutting down");
    }
}

#[test]
fn what_comes_from_another_node_is_given() {
    let mut apart = Apart::after(&[]);
    let mut ada = apart.client(1);
    ada.ask(["BZPOPMIN", "z", "0"]);
    while !apart.on(1, "INFO clients").contains("blocked_clients:1") {
        std::thread::yield_now();
    }
    apart.on(0, "ZADD z 1 m");
    apart.mend();
    assert_eq!(reply(&mut ada), popped("z", "m", "1"));
    apart.heal();
    assert_eq!(apart.on(0, "EXISTS z"), "(integer) 0");
}
