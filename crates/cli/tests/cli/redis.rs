//! Redis clients of a node.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use tempfile::tempdir;

use crate::member::Member;

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_node_serves_redis_clients_without_being_told_and_ends_when_one_says_so() {
    let scratch = tempdir().unwrap();
    let mut node = Member::start_with(scratch.path(), &[]);
    let address = node.said["redis"].as_str().unwrap().to_owned();
    assert_eq!(ask(&address, "SET greeting hello\r\n"), "+OK\r\n");
    // There is no reply to it.
    assert_eq!(ask(&address, "SHUTDOWN\r\n"), "");
    assert!(node.ended().success(), "{}", node.log());

    let mut node = Member::start_with(scratch.path(), &[]);
    let address = node.said["redis"].as_str().unwrap().to_owned();
    assert_eq!(ask(&address, "STRLEN greeting\r\n"), ":5\r\n");
    node.signal(rustix::process::Signal::TERM);
    assert!(node.ended().success(), "{}", node.log());
}

#[test]
fn a_node_that_others_could_reach_wants_a_password_for_redis_clients() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let arguments = [
        "node",
        "--data",
        crate::command::text(&data),
        "--listen",
        "127.0.0.1:0",
    ];
    let refused = crate::command::run(
        &[
            &arguments[..],
            &["--redis", "0.0.0.0:0", "--log-level", "error"],
        ]
        .concat(),
    );
    let error = refused.failed(2);
    assert!(error.contains("has no password"), "{error}");
}
