//! The programs that people use.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::client::Redis;

/// It asks for the documentation of all commands when it starts at a terminal, and dies of a reply of another shape.
#[test]
#[ignore = "needs redis-cli"]
fn redis_cli_knows_the_commands_when_it_starts() {
    let redis = Redis::start();
    let port = redis.address.port();
    let mut terminal = Command::new("timeout")
        .args(["20", "script", "-qec"])
        .args([
            &format!("stty rows 24 cols 80; redis-cli -p {port}"),
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed");
    let mut keys = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let (mut said, mut lines) = (String::new(), ["help exists\r", "quit\r"].into_iter());
    let (mut buffer, mut seen) = ([0; 4096], 0);
    loop {
        let length = screen.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        said += &String::from_utf8_lossy(&buffer[..length]);
        // What is typed before it asks, it throws away.
        if said[seen..].contains(&format!("{port}> "))
            && let Some(line) = lines.next()
        {
            seen = said.len();
            keys.write_all(line.as_bytes()).unwrap();
        }
    }
    terminal.wait().unwrap();
    let summary = "Determines whether one or more keys exist.";
    assert!(said.contains(summary), "{said:?}");
}
