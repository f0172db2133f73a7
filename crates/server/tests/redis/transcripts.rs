//! Transcripts of what Redis said: each file in `tests/transcripts` is replayed, and the replies must be the same.
//!
//! ```text
//! # a comment
//! > SET greeting "hello world"
//! OK
//! other> GET greeting           asked by another client
//! "hello world"
//! ! > SWAPDB 0 1                not asked of Redis: here we differ, or Redis has no such command
//! (error) ERR …
//! ~ > SMEMBERS s                in no order: the items of the reply are sorted
//! ? > HELLO 3                   the reply differs each time: it is not written down
//! ```
//!
//! Words are quoted as in `redis-cli`. With `SYNCLINE_RECORD=write` the test that needs `redis-server` writes down what that says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Client, Redis, Value};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// A line of a transcript that asks something.
struct Question<'a> {
    client: &'a str,
    words: Vec<Vec<u8>>,
    is_ours: bool,
    is_unordered: bool,
    is_unknown: bool,
}

fn question(line: &str) -> Option<Question<'_>> {
    let (is_ours, line) = line
        .strip_prefix("! ")
        .map_or((false, line), |rest| (true, rest));
    let (is_unordered, line) = line
        .strip_prefix("~ ")
        .map_or((false, line), |rest| (true, rest));
    let (is_unknown, line) = line
        .strip_prefix("? ")
        .map_or((false, line), |rest| (true, rest));
    let (client, words) = line.split_once("> ")?;
    client
        .bytes()
        .all(|byte| byte.is_ascii_lowercase())
        .then(|| Question {
            client,
            words: words_of(words),
            is_ours,
            is_unordered,
            is_unknown,
        })
}

/// In double quotes, `\xHH`, `\n`, `\r`, `\t`, `\\` and `\"` are what they are in `redis-cli`.
fn words_of(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut rest) = (Vec::new(), line.bytes().peekable());
    loop {
        while rest.next_if_eq(&b' ').is_some() {}
        let Some(first) = rest.next() else {
            return words;
        };
        let mut word = Vec::new();
        if first != b'"' {
            word.push(first);
            while let Some(byte) = rest.next_if(|byte| *byte != b' ') {
                word.push(byte);
            }
        } else {
            loop {
                match rest.next().expect("a quote ends") {
                    b'"' => break,
                    b'\\' => word.push(match rest.next().unwrap() {
                        b'x' => {
                            let digits = [rest.next().unwrap(), rest.next().unwrap()];
                            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                        }
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => other,
                    }),
                    byte => word.push(byte),
                }
            }
        }
        words.push(word);
    }
}

/// Asks what a transcript asks, and writes it down anew. What is only ours is left as it is written where Redis is asked.
fn replay(text: &str, address: SocketAddr, is_redis: bool) -> String {
    let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
    let (mut said, mut keeps) = (String::new(), false);
    for line in text.lines() {
        let Some(question) = question(line) else {
            if line.is_empty() || line.starts_with('#') || keeps {
                writeln!(said, "{line}").unwrap();
            }
            continue;
        };
        writeln!(said, "{line}").unwrap();
        keeps = is_redis && question.is_ours;
        if keeps {
            continue;
        }
        let client = clients
            .entry(question.client)
            .or_insert_with(|| Client::connect(address));
        let mut reply = client.call(&question.words);
        if question.is_unordered
            && let Value::Many(mark, items) = &mut reply
        {
            let pairs = if *mark == '%' { 2 } else { 1 };
            let mut parts: Vec<_> = items.chunks(pairs).map(<[Value]>::to_vec).collect();
            parts.sort_by_key(|part| part[0].to_string());
            *items = parts.concat();
        }
        if !question.is_unknown {
            write!(said, "{reply}").unwrap();
        }
    }
    said
}

#[test]
fn replies_are_those_of_redis() {
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let redis = Redis::start();
        let said = replay(&text, redis.address, false);
        compare(&file, &text, &said);
    }
}

fn compare(file: &Path, text: &str, said: &str) {
    let mut question = "";
    let mut lines = said.lines();
    for (number, line) in text.lines().enumerate() {
        if self::question(line).is_some() {
            question = line;
        }
        let answered = lines.next();
        assert_eq!(
            answered,
            Some(line),
            "{}:{}, after {question}",
            file.display(),
            number + 1
        );
    }
    assert_eq!(lines.next(), None, "{}: more is said", file.display());
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "needs redis-server 7"]
fn transcripts_are_what_redis_says() {
    let is_recording = std::env::var("SYNCLINE_RECORD").is_ok_and(|value| value == "write");
    for file in files() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn();
        let _server = Server(server.expect("redis-server is installed"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let said = replay(&text, address, true);
        match is_recording {
            true => std::fs::write(&file, said).unwrap(),
            false => compare(&file, &text, &said),
        }
    }
}
