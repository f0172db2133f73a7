//! A member of a cluster, run by `syncline node`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::{syncline, text};

/// A node that runs, and is killed when it is dropped.
pub(crate) struct Member {
    child: Child,
    /// What it said at its start.
    pub(crate) said: Value,
    /// What it has logged so far.
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Member {
    /// Starts one at a free port of this machine, which serves no Redis clients and so carries none of their databases.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_with(data, &[&["--redis", "off"], more].concat())
    }

    /// Starts one at a free port of this machine, as it is without any more flags.
    pub(crate) fn start_with(data: &Path, more: &[&str]) -> Self {
        let mut command = syncline();
        command
            .args(["node", "--data", text(data), "--listen", "127.0.0.1:0"])
            .args(["--log", "json"])
            .args(more);
        Self::run(command)
    }

    /// Runs one.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let log = Arc::<Mutex<String>>::default();
        let reading = thread::spawn({
            let (log, errors) = (log.clone(), child.stderr.take().unwrap());
            move || collect(errors, &log)
        });
        let mut member = Self {
            child,
            said: Value::Null,
            log,
            reading: Some(reading),
        };
        member.said = serde_json::from_str(&line).unwrap_or_else(|_| {
            member.ended();
            panic!("it said {line:?} and logged {}", member.log());
        });
        member
    }

    pub(crate) fn address(&self) -> &str {
        self.said["listen"].as_str().unwrap()
    }

    pub(crate) fn admin(&self) -> &str {
        self.said["admin"].as_str().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end, and for all that it has to say.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        status
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn logs(&self, words: &str) {
        crate::command::until(|| self.log().contains(words));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn collect(mut errors: ChildStderr, log: &Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = errors.read(&mut chunk) {
        let text = String::from_utf8_lossy(&chunk[..read]);
        log.lock().unwrap().push_str(&text);
    }
}
