//! A network of its own for nodes: each in a network namespace, all on one bridge that is cut and healed at will.
//!
//! ```text
//!  node 0 ── eth0 ═ port0 ┐                                      ┌ port2 ═ eth0 ── node 2
//!  node 1 ── eth0 ═ port1 ┴─ here          after a split   there ┴ port3 ═ eth0 ── node 3
//! ```
//!
//! The namespaces have no names and lie in no list. A process holds each, `cat` on a pipe from the test; when the test ends, however it does, the
//! pipe is closed, the process ends, and the namespace goes with all that was in it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{Ran, clean};

/// Whom a frame is sent to that is to reach nobody.
const NOBODY: &str = "02:00:00:00:00:01";

/// A network namespace, held by a process.
struct Space {
    holder: Child,
}

impl Space {
    fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // What comes back shows that `cat` runs, and so that it has the namespace.
        holder.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        let output = holder.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let space = Self { holder };
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let its = fs::read_link(space.path()).unwrap();
        assert!(
            line == "\n" && own != its,
            "no network namespace is to be had"
        );
        space.ip("link set lo up");
        space
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// A program that is to run in it.
    fn command(&self, program: &str) -> Command {
        let mut command = clean(Command::new("nsenter"));
        command
            .arg(format!("--net={}", self.path()))
            .args(["--", program]);
        command
    }

    #[track_caller]
    fn ip(&self, words: &str) {
        let ran = self.command("ip").args(words.split(' ')).output().unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "ip {words}: {error}");
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It ends by itself, too.
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// Nodes' places on one bridge.
pub(crate) struct Network {
    switch: Space,
    places: Vec<Space>,
}

impl Network {
    pub(crate) fn new(places: usize) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "network namespaces are for root; run this test as root"
        );
        let switch = Space::new();
        for bridge in ["here", "there"] {
            switch.ip(&format!("link add {bridge} type bridge"));
            switch.ip(&format!("link set {bridge} up"));
        }
        let places: Vec<_> = (0..places).map(|_| Space::new()).collect();
        let network = Self { switch, places };
        for (number, place) in network.places.iter().enumerate() {
            let holder = place.holder.id();
            let port = format!(
                "link add port{number} type veth peer name eth0 address {}",
                mac(number)
            );
            network.switch.ip(&format!("{port} netns {holder}"));
            network.switch.ip(&format!("link set port{number} up"));
            place.ip(&format!("addr add {}/24 dev eth0", address(number)));
            place.ip("link set eth0 up");
        }
        network.heal();
        network
    }

    /// Cuts these places off from all others; they keep each other.
    pub(crate) fn split(&self, places: &[usize]) {
        for place in places {
            let port = format!("link set port{place} master there");
            self.switch.ip(&port);
        }
    }

    /// Has nothing pass between two places, silently.
    pub(crate) fn cut(&self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.send_to(from, to, NOBODY);
        }
    }

    /// Undoes a cut.
    pub(crate) fn join(&self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.send_to(from, to, &mac(to));
        }
    }

    /// Undoes all splits.
    pub(crate) fn heal(&self) {
        for place in 0..self.places.len() {
            self.switch.ip(&format!("link set port{place} master here"));
        }
    }

    fn send_to(&self, from: usize, to: usize, mac: &str) {
        let entry = format!("{} lladdr {mac} dev eth0 nud permanent", address(to));
        self.places[from].ip(&format!("neigh replace {entry}"));
    }

    /// The command, run at a place.
    pub(crate) fn syncline(&self, place: usize) -> Command {
        self.places[place].command(env!("CARGO_BIN_EXE_syncline"))
    }

    /// The same, run to its end.
    pub(crate) fn run(&self, place: usize, arguments: &[&str]) -> Ran {
        let mut command = self.syncline(place);
        let ran = command.args(arguments).stdin(Stdio::null()).output();
        Ran::from(ran.unwrap())
    }

    /// Connects from a place to an address there.
    pub(crate) fn connect(&self, place: usize, address: &str) -> TcpStream {
        let path = self.places[place].path();
        // A thread has its own namespace, and a socket keeps that of its thread.
        let connecting = thread::scope(|scope| {
            let connecting = scope.spawn(|| {
                let space = File::open(path)?;
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                TcpStream::connect(address)
            });
            connecting.join().unwrap()
        });
        connecting.unwrap()
    }
}

/// The address of a place.
pub(crate) fn address(place: usize) -> String {
    format!("10.77.0.{}", place + 1)
}

fn mac(place: usize) -> String {
    format!("02:00:00:00:77:{:02x}", place + 1)
}
