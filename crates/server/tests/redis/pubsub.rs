//! Publications reach all who have subscribed, once, and nobody is harmed by who does not listen.

use crate::client::{Client, Redis, Value};

fn message(client: &mut Client) -> String {
    client
        .reply()
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn messages_come_to_who_has_subscribed() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("SUBSCRIBE news weather");
    ada.reply();
    ada.say("PSUBSCRIBE n?ws");
    assert_eq!(bob.say("PUBLISH news hello"), "(integer) 2");
    assert_eq!(
        message(&mut ada),
        r#"(array of 3) "message" "news" "hello""#
    );
    assert_eq!(
        message(&mut ada),
        r#"(array of 4) "pmessage" "n?ws" "news" "hello""#
    );
    assert_eq!(bob.say("SPUBLISH news hello"), "(integer) 0");
    ada.say("SSUBSCRIBE news");
    assert_eq!(bob.say("SPUBLISH news again"), "(integer) 1");
    assert_eq!(
        message(&mut ada),
        r#"(array of 3) "smessage" "news" "again""#
    );
    ada.say("RESET");
    assert_eq!(bob.say("PUBLISH news hello"), "(integer) 0");
    assert_eq!(ada.say("GET nothing"), "(nil)");
}

#[test]
fn the_newer_protocol_has_messages_beside_replies() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("HELLO 3");
    assert!(ada.say("SUBSCRIBE news").starts_with("(push of 3)"));
    assert_eq!(ada.say("SET a 1"), "OK");
    bob.say("PUBLISH news hello");
    assert_eq!(message(&mut ada), r#"(push of 3) "message" "news" "hello""#);
    // One's own, too.
    ada.ask(["PUBLISH", "news", "mine"]);
    let both = [message(&mut ada), message(&mut ada)];
    assert!(both.contains(&"(integer) 1".to_owned()), "{both:?}");
}

#[test]
fn who_is_gone_has_no_subscriptions() {
    let redis = Redis::start();
    let [mut ada, mut bob] = [redis.client(), redis.client()];
    ada.say("SUBSCRIBE news");
    drop(ada);
    while bob.say("PUBSUB NUMSUB news") != "(array of 2)\n  \"news\"\n  (integer) 0" {
        std::thread::yield_now();
    }
}

#[test]
fn a_slow_subscriber_is_dropped_and_another_gets_all() {
    let redis = Redis::start();
    let [mut slow, mut quick, mut bob] = [redis.client(), redis.client(), redis.client()];
    assert_eq!(
        bob.call([
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "pubsub 1mb 0 0"
        ]),
        Value::Line('+', "OK".to_owned())
    );
    slow.say("SUBSCRIBE news");
    quick.say("SUBSCRIBE news");
    let text = vec![b'x'; 256 << 10];
    // More than sockets hold, and far more than may wait.
    for _ in 0..200 {
        bob.call([&b"PUBLISH"[..], b"news", &text]);
        let Value::Many(_, parts) = quick.reply() else {
            panic!("no message");
        };
        assert_eq!(parts[2], Value::Bulk('$', text.clone()));
    }
    while bob.say("PUBSUB NUMSUB news") != "(array of 2)\n  \"news\"\n  (integer) 1" {
        std::thread::yield_now();
    }
    assert_eq!(bob.say("PUBLISH news hello"), "(integer) 1");
}
