//! A replica as its parent holds it: a child process, orders to it, answers from it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::log::{Stamp, Transaction};
use super::protocol::{Answer, Order, Session};
use crate::failure::{Doing, Failure};

/// How long a replica may take for one answer before the demo gives up. Nothing takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running replica. Dropping it kills the process.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    orders: ChildStdin,
    answers: Receiver<Answer>,
    log: PathBuf,
    /// Who it is among the members of the cluster.
    pub(crate) node: String,
    pub(crate) address: SocketAddr,
    pub(crate) opened_ms: f64,
}

/// What became of a replica that was killed while it wrote.
pub(crate) struct Killed {
    pub(crate) acknowledged: Vec<(u64, Stamp)>,
}

impl Process {
    /// Starts this very program as a replica and waits until it listens.
    pub(crate) fn start(name: &'static str, data: &Path, log: &Path) -> Result<Self, Failure> {
        Self::start_with(name, data, log, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(
        name: &'static str,
        data: &Path,
        log: &Path,
        more: &[String],
    ) -> Result<Self, Failure> {
        let starting = || format!("cannot start replica {name}");
        let program = std::env::current_exe().doing(starting)?;
        // A replica that is started again goes on in the same log.
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .doing(starting)?;
        let mut child = Command::new(program)
            .args(["demo-replica", "--name", name, "--data"])
            .arg(data)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .doing(starting)?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::failed(starting()));
        };
        let (said, answers) = channel();
        // Reads until the process ends, so that answers given just before a kill are not lost.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The last line of a killed process may be half a line: then it was not said.
                if let Ok(answer) = serde_json::from_str(&line)
                    && said.send(answer).is_err()
                {
                    break;
                }
            }
        });
        let mut process = Self {
            name,
            child,
            orders,
            answers,
            log: log.to_owned(),
            node: String::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            opened_ms: 0.0,
        };
        match process.answer()? {
            Answer::Ready {
                node,
                address,
                opened_ms,
            } => {
                process.node = node;
                process.address = address;
                process.opened_ms = opened_ms;
                Ok(process)
            }
            other => Err(process.unexpected(&other)),
        }
    }

    fn order(&mut self, order: &Order) -> Result<(), Failure> {
        let ordering = || format!("replica {} does not take orders any more", self.name);
        let mut line = serde_json::to_vec(order).doing(ordering)?;
        line.push(b'\n');
        self.orders.write_all(&line).doing(ordering)
    }

    fn answer(&mut self) -> Result<Answer, Failure> {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(Answer::Failed { error }) => Err(Failure::failed(format!(
                "replica {} failed: {error}",
                self.name
            ))),
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(Failure::failed(format!(
                "replica {} has not answered for {} s",
                self.name,
                PATIENCE.as_secs()
            ))),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// What is known of a process that ended by itself. Its log may be gone with its directory soon.
    fn ended(&self) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.unwrap_or("its log is empty");
        Failure::failed(format!("replica {} ended unexpectedly: {last}", self.name))
    }

    fn unexpected(&self, answer: &Answer) -> Failure {
        let answer = serde_json::to_string(answer).unwrap_or_default();
        Failure::failed(format!(
            "replica {} answered out of turn: {answer}",
            self.name
        ))
    }

    /// Has transactions applied and returns when each was written. `progress` is told of each.
    pub(crate) fn apply(
        &mut self,
        transactions: Vec<Transaction>,
        window: usize,
        mut progress: impl FnMut(),
    ) -> Result<Vec<(u64, Stamp)>, Failure> {
        self.order(&Order::Apply {
            transactions,
            window,
        })?;
        let mut acknowledged = Vec::new();
        loop {
            match self.answer()? {
                Answer::Applied { number, stamp } => acknowledged.push((number, stamp)),
                Answer::Done => return Ok(acknowledged),
                other => return Err(self.unexpected(&other)),
            }
            progress();
        }
    }

    /// Has transactions applied and kills the process, with SIGKILL, once `after` of them are acknowledged and the others
    /// are waiting or being written. What it said before it died is counted in.
    pub(crate) fn kill_while_applying(
        mut self,
        transactions: Vec<Transaction>,
        window: usize,
        after: usize,
    ) -> Result<Killed, Failure> {
        self.order(&Order::Apply {
            transactions,
            window,
        })?;
        let mut acknowledged = Vec::new();
        while acknowledged.len() < after {
            match self.answer()? {
                Answer::Applied { number, stamp } => acknowledged.push((number, stamp)),
                other => return Err(self.unexpected(&other)),
            }
        }
        let killing = || format!("cannot kill replica {}", self.name);
        self.child.kill().doing(killing)?;
        self.child.wait().doing(killing)?;
        let deadline = Instant::now() + PATIENCE;
        // The channel ends when the reader has read all that the process wrote.
        while let Ok(answer) = self.answers.recv_timeout(deadline - Instant::now()) {
            if let Answer::Applied { number, stamp } = answer {
                acknowledged.push((number, stamp));
            }
        }
        Ok(Killed { acknowledged })
    }

    /// Has it sync with the peer at `address`. The inner error is what the replica says when that fails.
    pub(crate) fn sync(&mut self, peer: SocketAddr) -> Result<Result<Session, String>, Failure> {
        self.order(&Order::Sync { peer })?;
        match self.answer()? {
            Answer::Synced(session) => Ok(Ok(*session)),
            Answer::NotSynced { error } => Ok(Err(error)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The transactions that took place.
    pub(crate) fn journal(&mut self) -> Result<Vec<(u64, Stamp)>, Failure> {
        self.order(&Order::Journal)?;
        match self.answer()? {
            Answer::Journal { landed } => Ok(landed),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Root digest, which is the count of rows and the sum in hexadecimal; rows and keys.
    pub(crate) fn root(&mut self) -> Result<(String, u64, u64), Failure> {
        self.order(&Order::Root)?;
        match self.answer()? {
            Answer::Root { digest, rows, keys } => Ok((digest, rows, keys)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Has it write what readers see to a file.
    pub(crate) fn dump(&mut self, path: &Path) -> Result<(), Failure> {
        self.order(&Order::Dump {
            path: path.to_owned(),
        })?;
        match self.answer()? {
            Answer::Dumped => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Has it write a value, and returns once that is acknowledged.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.order(&Order::Put {
            key: key.to_owned(),
            value: value.to_owned(),
        })?;
        self.done()
    }

    /// Has it wait for a value. [`done`](Self::done) returns when it is there.
    pub(crate) fn begin_awaiting(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.order(&Order::Await {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Waits until it has done what it was told.
    pub(crate) fn done(&mut self) -> Result<(), Failure> {
        match self.answer()? {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The other members that it knows, and how each is doing.
    pub(crate) fn members(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        self.order(&Order::Members)?;
        match self.answer()? {
            Answer::Members { states } => Ok(states),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends it in order.
    pub(crate) fn close(mut self) -> Result<(), Failure> {
        self.order(&Order::Close)?;
        match self.answer()? {
            Answer::Done => {}
            other => return Err(self.unexpected(&other)),
        }
        let ended = self
            .child
            .wait()
            .doing(|| format!("cannot end replica {}", self.name))?;
        match ended.success() {
            true => Ok(()),
            false => Err(Failure::failed(format!(
                "replica {} ended with {ended}",
                self.name
            ))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended already cannot be killed, which is as well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
