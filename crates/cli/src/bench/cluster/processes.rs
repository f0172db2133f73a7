//! The members as the benchmark holds them: child processes, orders to them, and all that they say, in the order in which it comes.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::protocol::{Order, Said};
use crate::failure::{Doing, Failure};

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Processes {
    scratch: PathBuf,
    authority: syncline::trust::Cluster,
    members: Vec<Process>,
    heard: Receiver<(usize, Said)>,
    mouth: Sender<(usize, Said)>,
}

/// One member. Dropping it kills the process.
struct Process {
    child: Child,
    orders: ChildStdin,
    address: SocketAddr,
    node: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Processes {
    pub(super) fn new(scratch: &Path) -> Result<Self, Failure> {
        let authority = syncline::trust::Cluster::create(scratch.join("cluster"));
        let authority = authority.doing(|| "cannot make a cluster".to_owned())?;
        let (mouth, heard) = channel();
        Ok(Self {
            scratch: scratch.to_owned(),
            authority,
            members: Vec::new(),
            heard,
            mouth,
        })
    }

    /// Starts one more member, which joins by the first, and returns its number.
    pub(super) fn start(&mut self, budget: Option<u64>) -> Result<usize, Failure> {
        let number = self.members.len();
        let starting = || format!("cannot start member {number}");
        let identity = self.authority.issue(&format!("member-{number}"));
        let identity = identity.doing(starting)?;
        let log = std::fs::File::create(self.scratch.join(format!("member-{number}.log")));
        let mut command = Command::new(std::env::current_exe().doing(starting)?);
        command
            .args(["bench-member", "--listen", "127.0.0.1:0", "--identity"])
            .arg(identity)
            .arg("--data")
            .arg(self.scratch.join(format!("data-{number}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.doing(starting)?);
        if let Some(first) = self.members.first() {
            command.args(["--join", &first.address.to_string()]);
        }
        if let Some(budget) = budget {
            command.args(["--budget", &budget.to_string()]);
        }
        let mut child = command.spawn().doing(starting)?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::failed(starting()));
        };
        let mouth = self.mouth.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(said) = serde_json::from_str(&line)
                    && mouth.send((number, said)).is_err()
                {
                    break;
                }
            }
        });
        let (address, node) = self.wait_for(|from, said| match said {
            Said::Ready { address, node } if from == number => Some((*address, node.clone())),
            _ => None,
        })?;
        self.members.push(Process {
            child,
            orders,
            address,
            node,
        });
        Ok(number)
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn node(&self, number: usize) -> &str {
        &self.members[number].node
    }

    pub(super) fn order(&mut self, number: usize, order: &Order) -> Result<(), Failure> {
        let ordering = || format!("member {number} takes no orders any more");
        let mut line = serde_json::to_vec(order).doing(ordering)?;
        line.push(b'\n');
        self.members[number].orders.write_all(&line).doing(ordering)
    }

    pub(super) fn signal(&self, number: usize, signal: Signal) -> Result<(), Failure> {
        let pid = Pid::from_child(&self.members[number].child);
        kill_process(pid, signal).doing(|| format!("cannot signal member {number}"))
    }

    /// Waits until something is said that matters, and returns what matters about it.
    pub(super) fn wait_for<T>(
        &self,
        mut matters: impl FnMut(usize, &Said) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (from, said) = self.hear(deadline)?;
            if let Some(matter) = matters(from, &said) {
                return Ok(matter);
            }
        }
    }

    /// Hears all that is said until this moment.
    pub(super) fn listen(
        &self,
        until: Instant,
        mut hear: impl FnMut(usize, &Said),
    ) -> Result<(), Failure> {
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if let Ok((from, said)) = self.heard.recv_timeout(left) {
                fail(from, &said)?;
                hear(from, &said);
            }
        }
        Ok(())
    }

    fn hear(&self, deadline: Instant) -> Result<(usize, Said), Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let heard = self.heard.recv_timeout(left);
        let (from, said) = heard.map_err(|_| {
            let logs = self.scratch.display();
            Failure::failed(format!(
                "nothing that was waited for has come in {} s; see the logs in {logs}",
                PATIENCE.as_secs()
            ))
        })?;
        fail(from, &said)?;
        Ok((from, said))
    }

    /// Ends all that still live, in order.
    pub(super) fn close(mut self, living: &[usize]) -> Result<(), Failure> {
        for number in living {
            self.order(*number, &Order::Close)?;
        }
        for number in living {
            let closing = || format!("member {number} does not end");
            self.members[*number].child.wait().doing(closing)?;
        }
        Ok(())
    }
}

fn fail(from: usize, said: &Said) -> Result<(), Failure> {
    match said {
        Said::Failed { error } => Err(Failure::failed(format!("member {from}: {error}"))),
        _ => Ok(()),
    }
}
