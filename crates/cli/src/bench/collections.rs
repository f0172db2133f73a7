//! `syncline bench collections`: what single commands on a large set, hash and sorted set take, asked one after the other.

use std::fmt;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::baseline::{Measure, Measured};
use super::servers::{node, redis};
use super::{print, rounded, scratch};
use crate::args::BenchCollections;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{Align, Table, count};

/// Members that one command puts there.
const TOGETHER: u64 = 500;
/// Such commands at a time.
const PIPELINE: u64 = 20;
/// What is measured; `#` is a member that is there, `+` a new one.
const COMMANDS: [&str; 9] = [
    "SADD set +",
    "SISMEMBER set #",
    "SCARD set",
    "HSET hash + 1",
    "HGET hash #",
    "ZADD sorted 500000 +",
    "ZSCORE sorted #",
    "ZRANK sorted #",
    "ZRANGE sorted 500000 500009",
];

pub(super) fn run(arguments: &BenchCollections) -> Result<(), Failure> {
    let scratch = scratch()?;
    let (node, redis) = (node(scratch.path())?, redis(scratch.path())?);
    let progress = Progress::bar("filling", arguments.members * 6);
    let mut clients = [
        Client::connect(node.address)?,
        Client::connect(redis.address)?,
    ];
    for client in &mut clients {
        client.fill(arguments.members, &progress)?;
    }
    drop(progress);
    let mut rows = Vec::new();
    for command in COMMANDS {
        let mut taken = Vec::new();
        for client in &mut clients {
            taken.push(client.measure(command, arguments)?);
        }
        rows.push(Row {
            command,
            node: taken[0],
            redis: taken[1],
        });
    }
    let figures = Figures {
        members: arguments.members,
        calls: arguments.calls,
        rows,
    };
    print(&figures, arguments.json, &arguments.baseline)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).doing(connecting)?;
        stream.set_nodelay(true).doing(connecting)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn fill(&mut self, members: u64, progress: &Progress) -> Result<(), Failure> {
        for (command, before, after) in [
            ("SADD set", false, false),
            ("HSET hash", false, true),
            ("ZADD sorted", true, false),
        ] {
            let firsts: Vec<_> = (0..members).step_by(TOGETHER as usize).collect();
            for batch in firsts.chunks(PIPELINE as usize) {
                let mut lines = String::new();
                for &first in batch {
                    lines.push_str(command);
                    for number in first..members.min(first + TOGETHER) {
                        // Scores are spread, and in another order than names.
                        if before {
                            lines.push_str(&format!(" {}", number * 7_919 % members));
                        }
                        lines.push_str(&format!(" m{number}"));
                        if after {
                            lines.push_str(" 1");
                        }
                    }
                    lines.push_str("\r\n");
                }
                self.send(&lines)?;
                for _ in batch {
                    self.reply()?;
                }
                progress.add(TOGETHER * batch.len() as u64);
            }
        }
        Ok(())
    }

    /// How long the calls of a command took.
    fn measure(&mut self, command: &str, arguments: &BenchCollections) -> Result<Taken, Failure> {
        let mut times = Vec::new();
        for call in 0..arguments.calls {
            // All over the collection.
            let there = call.wrapping_mul(0x9e37_79b9_7f4a_7c15) % arguments.members;
            let line = command.replace('#', &format!("m{there}"));
            let line = line.replace('+', &format!("new{there}-{call}")) + "\r\n";
            let began = Instant::now();
            self.send(&line)?;
            self.reply()?;
            times.push(began.elapsed());
        }
        times.sort();
        Ok(Taken {
            median_us: micros(times[times.len() / 2]),
            p99_us: micros(times[times.len() * 99 / 100]),
        })
    }

    fn send(&mut self, lines: &str) -> Result<(), Failure> {
        self.0
            .get_mut()
            .write_all(lines.as_bytes())
            .doing(connecting)
    }

    /// Reads one reply, whatever it is but an error.
    fn reply(&mut self) -> Result<(), Failure> {
        let line = self.line()?;
        let number = || line[1..].parse::<u64>().unwrap_or(0);
        match line.as_bytes().first() {
            Some(b'*') => (0..number()).try_for_each(|_| self.reply()),
            Some(b'$') if !line.starts_with("$-") => {
                let mut bytes = vec![0; number() as usize + 2];
                self.0.read_exact(&mut bytes).doing(connecting)
            }
            Some(b':' | b'+' | b'$') => Ok(()),
            _ => Err(Failure::failed(format!("the server said {line}"))),
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).doing(connecting)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

fn connecting() -> String {
    "cannot talk to the server".to_owned()
}

fn micros(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6, 1)
}

/// In microseconds, from the question to the reply.
#[derive(Clone, Copy, Debug, Serialize)]
struct Taken {
    median_us: f64,
    p99_us: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    command: &'static str,
    node: Taken,
    redis: Taken,
}

#[derive(Debug, Serialize)]
struct Figures {
    members: u64,
    calls: u64,
    rows: Vec<Row>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "collections of {} members, {} calls each; microseconds, median and 99th of a hundred:\n",
            count(self.members),
            count(self.calls),
        )?;
        let mut table = Table::new(&[
            ("command", Align::Left),
            ("node", Align::Right),
            ("p99", Align::Right),
            ("redis-server", Align::Right),
            ("p99", Align::Right),
        ]);
        for row in &self.rows {
            table.row([
                row.command.to_owned(),
                row.node.median_us.to_string(),
                row.node.p99_us.to_string(),
                row.redis.median_us.to_string(),
                row.redis.p99_us.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

impl Measured for Figures {
    fn workload(&self) -> String {
        format!(
            "collections of {} members, {} calls",
            self.members, self.calls
        )
    }

    fn measures(&self) -> Vec<Measure> {
        let timed = |row: &Row| Measure::timed(row.command, row.node.median_us);
        self.rows.iter().map(timed).collect()
    }
}
