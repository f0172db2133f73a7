//! Redis clients of a node.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use tempfile::tempdir;

use crate::member::Member;

pub(crate) fn ask(address: &str, request: &str) -> String {
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
fn what_redis_clients_do_is_among_the_metrics() {
    let scratch = tempdir().unwrap();
    let node = Member::start_with(scratch.path(), &["--admin", "127.0.0.1:0"]);
    let address = node.said["redis"].as_str().unwrap().to_owned();
    assert_eq!(ask(&address, "SET greeting hello\r\n"), "+OK\r\n");
    assert!(ask(&address, "INCR greeting\r\n").starts_with("-ERR"));
    let url = format!("http://{}/metrics", node.admin());
    let mut answer = ureq::get(&url).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    for line in [
        "syncline_redis_connections_total{outcome=\"admitted\"} 2",
        "syncline_redis_commands_total{family=\"string\",outcome=\"ok\"} 1",
        "syncline_redis_commands_total{family=\"string\",outcome=\"error\"} 1",
        "syncline_redis_command_seconds_count{family=\"string\"} 2",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
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
    assert!(error.contains("asks for no password"), "{error}");
}
