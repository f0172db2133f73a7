//! `syncline bench clients`: the memory that clients take which have asked for something once, and wait.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde::Serialize;

use super::baseline::{Measure, Measured};
use super::servers::{Process, node, redis};
use super::{print, scratch};
use crate::args::BenchClients;
use crate::failure::{Doing, Failure};
use crate::files::raise_limit;
use crate::progress::Progress;
use crate::table::{bytes, count};

#[derive(Debug, Serialize)]
struct Figures {
    clients: u32,
    /// Resident memory of either process by then, in bytes for each client.
    node: u64,
    redis: u64,
}

pub(super) fn run(arguments: &BenchClients) -> Result<(), Failure> {
    // Its own ends of the connections.
    raise_limit();
    let scratch = scratch()?;
    let progress = Progress::bar("connecting", u64::from(arguments.clients) * 2);
    let clients = arguments.clients;
    let figures = Figures {
        clients,
        node: each(&node(scratch.path())?, clients, &progress)?,
        redis: each(&redis(scratch.path())?, clients, &progress)?,
    };
    drop(progress);
    print(&figures, arguments.json, &arguments.baseline)
}

/// What each of so many takes.
fn each(server: &Process, clients: u32, progress: &Progress) -> Result<u64, Failure> {
    // What is made once for all.
    drop(client(server.address)?);
    let before = server.resident()?;
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(client(server.address)?);
        progress.add(1);
    }
    let after = server.resident()?;
    Ok(after.saturating_sub(before) / u64::from(clients))
}

/// One that has set and got a value.
fn client(address: SocketAddr) -> Result<TcpStream, Failure> {
    let asking = || "cannot ask the server for something".to_owned();
    let mut stream = TcpStream::connect(address).doing(asking)?;
    stream
        .write_all(b"SET key value\r\nGET key\r\n")
        .doing(asking)?;
    let mut reply = [0; 16];
    stream.read_exact(&mut reply).doing(asking)?;
    match &reply == b"+OK\r\n$5\r\nvalue\r\n" {
        true => Ok(stream),
        false => Err(Failure::failed(format!(
            "the server said {}",
            reply.escape_ascii()
        ))),
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} idle clients: {} each of a node, {} each of redis-server",
            count(self.clients.into()),
            bytes(self.node),
            bytes(self.redis),
        )
    }
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!("{} idle clients", self.clients)
    }

    fn measures(&self) -> Vec<Measure> {
        vec![Measure::counted("bytes a client", self.node as f64)]
    }
}
