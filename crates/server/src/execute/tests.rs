use std::net::SocketAddr;

use super::*;
use crate::server::{Options, Server};

const MIB: usize = 1024 * 1024;

pub(crate) async fn session() -> (Session, Server) {
    let node = syncline::Node::in_memory().await.unwrap();
    let nowhere: SocketAddr = ([127, 0, 0, 1], 0).into();
    let server = Server::start(node, Options::new(nowhere)).await.unwrap();
    let shared = server.shared();
    let client = shared.clients.admit(nowhere, nowhere, 1).unwrap();
    (Session::new(shared, client), server)
}

fn request(words: &[&[u8]]) -> Request {
    Request::of(words.iter().copied())
}

/// However much a pipeline asks for, no more of it is held than a little, and one reply.
#[tokio::test]
async fn replies_wait_until_those_before_are_sent() {
    let (mut session, _server) = session().await;
    let value = vec![b'x'; MIB];
    for command in ["get", "getset", "mget"] {
        let ask = match command {
            "getset" => request(&[b"getset", b"k", &value]),
            command => request(&[command.as_bytes(), b"k"]),
        };
        let mut requests = VecDeque::from([request(&[b"set", b"k", &value])]);
        requests.extend(std::iter::repeat_n(ask, 20));
        let mut sent = 0;
        let mut turns = 0;
        while !requests.is_empty() {
            let mut out = Vec::new();
            execute(&mut session, &mut requests, &mut out).await;
            assert!(out.len() < REPLIES + MIB + 64, "{command}: {}", out.len());
            sent += out.len();
            turns += 1;
        }
        assert!(sent > 20 * MIB, "{command}: all are answered");
        assert_eq!(turns, 20, "{command}");
    }
}

/// A transaction is answered at once, so what it may come to has a limit, beyond which it has not happened.
#[tokio::test]
async fn a_transaction_whose_replies_are_too_large_does_not_happen() {
    let (mut session, _server) = session().await;
    let value = vec![b'x'; 16 * MIB - 1];
    let mut requests = VecDeque::from([
        request(&[b"set", b"k", &value]),
        request(&[b"multi"]),
        request(&[b"set", b"done", b"1"]),
    ]);
    requests.extend(std::iter::repeat_n(request(&[b"get", b"k"]), 65));
    requests.extend([request(&[b"exec"]), request(&[b"get", b"done"])]);
    let mut out = Vec::new();
    execute(&mut session, &mut requests, &mut out).await;
    assert!(requests.is_empty());
    let said = String::from_utf8(out).unwrap();
    assert!(
        said.contains("\r\n-ERR the replies of the transaction"),
        "{said}"
    );
    assert!(said.ends_with("\r\n$-1\r\n"), "{said}");
}

/// One request may name a large value as often as it likes.
#[tokio::test]
async fn a_reply_that_is_too_large_is_refused() {
    let (mut session, _server) = session().await;
    let value = vec![b'x'; 16 * MIB - 1];
    let mget = [&b"mget"[..]].into_iter().chain([&b"k"[..]; 65]);
    let hmget = [&b"hmget"[..], b"h"].into_iter().chain([&b"f"[..]; 65]);
    let mut requests = VecDeque::from([
        request(&[b"set", b"k", &value]),
        request(&[b"hset", b"h", b"f", &value]),
        request(&mget.collect::<Vec<_>>()),
        request(&hmget.collect::<Vec<_>>()),
    ]);
    let mut out = Vec::new();
    execute(&mut session, &mut requests, &mut out).await;
    let refused = "-ERR the reply is over the limit of the server\r\n";
    let said = String::from_utf8(out).unwrap();
    assert_eq!(said, format!("+OK\r\n:1\r\n{refused}{refused}"));
}
