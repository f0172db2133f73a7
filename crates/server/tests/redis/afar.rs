//! Nodes that are members of one cluster: what clients of one hear of what clients of others say and do.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use syncline::Node;
use syncline::trust::Cluster;
use syncline_server::{Options, Server};
use tokio::runtime::Runtime;

use crate::client::{Client, Value};

/// Longer than anything here should take, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

struct Several {
    runtime: Runtime,
    // Ended before the nodes are.
    servers: Vec<Server>,
    nodes: Vec<Node>,
}

impl Several {
    /// Members that all know each other.
    fn start(count: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let (nodes, servers) = runtime.block_on(async {
            let cluster = Cluster::throwaway().unwrap();
            let (mut nodes, mut servers) = (Vec::<Node>::new(), Vec::new());
            for _ in 0..count {
                let mut node = Node::builder()
                    .in_memory()
                    .cluster(&cluster)
                    .listen("127.0.0.1:0");
                if let Some(first) = nodes.first() {
                    node = node.join(first);
                }
                let node = node.start().await.unwrap();
                let options = Options::new(([127, 0, 0, 1], 0).into());
                servers.push(Server::start(node.clone(), options).await.unwrap());
                nodes.push(node);
            }
            (nodes, servers)
        });
        Self {
            runtime,
            servers,
            nodes,
        }
    }

    fn client(&self, node: usize) -> Client {
        Client::connect(self.servers[node].local_addr())
    }

    /// Waits until what one says all others hear: members have met some time before there are links between them.
    fn acquaint(&self) {
        for from in 0..self.servers.len() {
            let mut publisher = self.client(from);
            for to in (0..self.servers.len()).filter(|to| *to != from) {
                let mut listener = self.client(to);
                listener.say("SUBSCRIBE meeting");
                eventually("publications come", || {
                    publisher.say("PUBLISH meeting hello");
                    let Value::Many(_, parts) = listener.call(["PING"]) else {
                        panic!("no reply");
                    };
                    parts[0] == Value::Bulk('$', b"message".to_vec())
                });
            }
        }
    }
}

impl Drop for Several {
    fn drop(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        self.runtime.block_on(async {
            for server in servers {
                server.stop().await;
            }
            for node in &self.nodes {
                node.shutdown().await.unwrap();
            }
        });
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The next message, in words.
fn message(client: &mut Client) -> String {
    let message = client.reply().to_string();
    let words = message.split_whitespace().filter(|it| it.starts_with('"'));
    words.collect::<Vec<_>>().join(" ").replace('"', "")
}

#[test]
fn publications_come_to_the_subscribers_of_all_nodes_once_and_in_order() {
    let several = Several::start(3);
    several.acquaint();
    let [mut ada, mut bob, mut cleo] = [0, 1, 2].map(|node| several.client(node));
    bob.say("SUBSCRIBE news");
    cleo.say("PSUBSCRIBE n*");
    cleo.say("SSUBSCRIBE news");
    let mut other = several.client(2);
    other.say("SELECT 3");
    assert_eq!(ada.say("PUBLISH news 0"), "(integer) 0", "receivers here");
    for number in 1..100 {
        ada.say(&format!("PUBLISH news {number}"));
    }
    for number in 0..100 {
        assert_eq!(message(&mut bob), format!("message news {number}"));
        assert_eq!(message(&mut cleo), format!("pmessage n* news {number}"));
    }
    // By whichever database, and within a transaction.
    other.say("MULTI");
    other.say("PUBLISH news transacted");
    assert_eq!(other.say("EXEC"), "(array of 1)\n  (integer) 1");
    assert_eq!(message(&mut bob), "message news transacted");
    assert_eq!(message(&mut cleo), "pmessage n* news transacted");
    ada.say("SPUBLISH news sharded");
    assert_eq!(message(&mut cleo), "smessage news sharded");
    ada.say("PUBLISH news last");
    assert_eq!(message(&mut bob), "message news last");
    let too_large = vec![b'x'; 256 << 10];
    let refused = ada.call([&b"PUBLISH"[..], b"news", &too_large]);
    let Value::Line('-', refused) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        refused.starts_with("ERR a publication of 262150 bytes, more than 262144;"),
        "{refused}"
    );
}

/// What a subscriber to all events has heard until one has set the key `~end`, which comes after all others.
fn until_end(client: &mut Client) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let message = message(client);
        if message.starts_with("pong") {
            continue;
        }
        let Some(event) = message.strip_prefix("pmessage __key* __keyevent@0__:") else {
            panic!("{message}");
        };
        match event.replace(' ', ":") {
            end if end.ends_with(":~end") => return heard,
            event => heard.push(event),
        }
    }
}

#[test]
fn what_other_nodes_do_to_keys_is_told_and_nothing_twice() {
    let several = Several::start(2);
    several.acquaint();
    let [mut ada, mut bob] = [0, 1].map(|node| several.client(node));
    let mut listener = several.client(1);
    bob.say("CONFIG SET notify-keyspace-events EA");
    listener.say("PSUBSCRIBE __key*");
    // Whoever begins to listen does so a moment later.
    let mut round = 0;
    eventually("changes are told", || {
        round += 1;
        ada.say(&format!("SET probe {round}"));
        eventually("changes come", || {
            bob.say("GET probe") == format!("\"{round}\"")
        });
        std::thread::sleep(Duration::from_millis(20));
        listener.ask(["PING"]);
        message(&mut listener) != "pong"
    });
    let mut end = |ada: &mut Client| {
        ada.say("SET ~end 1");
        until_end(&mut listener)
    };
    end(&mut ada);
    for (line, events) in [
        ("SET s 1", &["set:s"][..]),
        ("APPEND s 1", &["set:s"]),
        ("SADD set a b c", &["sadd:set"]),
        ("SREM set a", &["srem:set"]),
        ("HSET h a 1 b 2", &["hset:h"]),
        ("HDEL h a", &["hdel:h"]),
        ("ZADD z 1 a", &["zadd:z"]),
        ("ZREM z a", &["del:z"]),
        ("EXPIRE h 1000", &["expire:h"]),
        ("PERSIST h", &["persist:h"]),
        ("SET t 1 EX 1000", &["set:t", "expire:t"]),
        ("SET t 2", &["set:t"]),
        ("DEL set", &["del:set"]),
        ("RENAME s u", &["del:s", "set:u"]),
    ] {
        ada.say(line);
        let heard = end(&mut ada);
        assert_eq!(heard, events, "{line}");
    }
    // What is done here is told as it always was, once.
    bob.say("SADD here a b");
    bob.say("SREM here a b");
    let heard = end(&mut ada);
    assert_eq!(heard, ["sadd:here", "srem:here", "del:here"]);
    // Each node tells by its own clock what expires, whoever has set the deadline.
    ada.say("SET short 1 PX 2000");
    bob.say("SET brief 1 PX 2000");
    let mut heard = BTreeSet::new();
    eventually("keys expire", || {
        heard.extend(end(&mut ada));
        heard.len() >= 6
    });
    let all = [
        "expire:brief",
        "expire:short",
        "expired:brief",
        "expired:short",
        "set:brief",
        "set:short",
    ];
    assert_eq!(heard.iter().map(String::as_str).collect::<Vec<_>>(), all);
    let later = end(&mut ada);
    assert!(later.is_empty(), "told once: {later:?}");
}

#[test]
fn a_database_that_one_node_uses_is_carried_by_all() {
    let several = Several::start(2);
    let [mut ada, mut bob] = [0, 1].map(|node| several.client(node));
    ada.say("SELECT 5");
    ada.say("SET a 1");
    bob.say("SELECT 5");
    eventually("it comes", || bob.say("GET a") == "\"1\"");
    bob.say("SELECT 7");
    eventually("and is found by who has not asked for it", || {
        several.nodes[1].namespaces().contains(&"db5".to_owned())
    });
}
