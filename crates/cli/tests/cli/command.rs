//! Running the command.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn syncline() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_syncline")))
}

/// The developer's own settings are no part of a test.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("SYNCLINE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it with these arguments, one word each.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    Ran::from(
        syncline()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

/// Runs it with text on standard input.
pub(crate) fn run_with(arguments: &[&str], input: &str) -> Ran {
    let mut command = syncline();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that refuses its input does not read all of it.
        let _refused = stdin.write_all(input.as_bytes());
    });
    let ran = Ran::from(child.wait_with_output().unwrap());
    writer.join().unwrap();
    ran
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ran {
    /// What was said of arguments that make no sense.
    #[track_caller]
    pub(crate) fn misused(self) -> String {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        self.stderr
    }

    /// Standard output of a run that went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The one line in which a run that failed with this code said why.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        let mut lines = self.stderr.lines();
        let line = lines.next().unwrap().to_owned();
        assert!(line.starts_with("error: "), "{line}");
        assert_eq!(lines.next(), None, "more than one line");
        for trace in ["panicked", "backtrace", "Err(", "Error {"] {
            assert!(!line.contains(trace), "{line}");
        }
        line
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A new cluster in this directory, with an identity for each of these nodes beneath it.
pub(crate) fn cluster(directory: &Path, nodes: &[&str]) -> PathBuf {
    let cluster = directory.join("cluster");
    let nodes = nodes.iter().flat_map(|node| ["--node", node]);
    let words = ["cluster", "init", text(&cluster), "--json"].into_iter();
    let made = run(&words.chain(nodes).collect::<Vec<_>>()).json();
    assert_eq!(made["made"], true);
    cluster
}

/// Waits until something is so, within reason.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "it did not come to this");
        std::thread::sleep(Duration::from_millis(20));
    }
}
