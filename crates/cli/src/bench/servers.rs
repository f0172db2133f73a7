//! The servers that are measured: a node and redis-server, each a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

use crate::failure::{Doing, Failure};

/// How long either may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server under test. Dropping it kills the process.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    /// The processor time that it has taken so far, of all its threads; on Linux alone.
    pub(super) fn busy(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The program's name, in parentheses, may hold anything; the twelfth and thirteenth field behind it are what is wanted.
        let (_, fields) = text.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse().unwrap_or(0)).sum();
        let each = Duration::from_secs(1) / u32::try_from(clock_ticks_per_second()).ok()?;
        Some(each * u32::try_from(ticks).ok()?)
    }

    /// Its resident memory, in bytes; on Linux alone.
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        let file = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&file).doing(|| format!("cannot read {file}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| Failure::failed(format!("{file} does not say how much is resident")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A node with its data below `scratch`, `Buffered`.
pub(super) fn node(scratch: &Path) -> Result<Process, Failure> {
    let starting = || "cannot start a node".to_owned();
    let log = std::fs::File::create(scratch.join("node.log")).doing(starting)?;
    let mut child = Command::new(std::env::current_exe().doing(starting)?)
        .args(["node", "--listen", "127.0.0.1:0", "--redis", "127.0.0.1:0"])
        .args([
            "--admin",
            "off",
            "--log",
            "json",
            "--durability",
            "buffered",
        ])
        .arg("--data")
        .arg(scratch.join("node"))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .doing(starting)?;
    let mut line = String::new();
    let output = child.stdout.take().map(BufReader::new);
    output
        .map(|mut output| output.read_line(&mut line))
        .transpose()
        .doing(starting)?;
    let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let address = said["redis"]
        .as_str()
        .and_then(|address| address.parse().ok());
    // Made before it is looked at, so that it is killed in any case.
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    let process = Process {
        child,
        address: address.unwrap_or(unknown),
    };
    match address {
        Some(_) => Ok(process),
        None => Err(Failure::failed(
            "the node does not say where it serves Redis clients",
        )),
    }
}

/// redis-server with its log below `scratch`, synced every second.
pub(super) fn redis(scratch: &Path) -> Result<Process, Failure> {
    let starting =
        || "cannot start redis-server; install it, or see that it is on the PATH".to_owned();
    let folder = scratch.join("redis");
    std::fs::create_dir(&folder).doing(|| format!("cannot make {}", folder.display()))?;
    // Free now, and most probably still so in a moment.
    let listener = TcpListener::bind("127.0.0.1:0").doing(starting)?;
    let address = listener.local_addr().doing(starting)?;
    drop(listener);
    let child = Command::new("redis-server")
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--maxclients",
            "20000",
        ])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
        .arg(&folder)
        .stdout(Stdio::null())
        .spawn()
        .doing(starting)?;
    let process = Process { child, address };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(Failure::failed("redis-server does not listen"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(process)
}
