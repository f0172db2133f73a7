//! What operators ask, and what Redis does not have.

use crate::client::Redis;

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
