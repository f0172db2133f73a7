//! Five members of a cluster that runs itself: nobody tells them whom to sync with.
//!
//! Each is a process that the others reach by a wire of its own, whose address it advertises. When all wires are cut, each is
//! alone.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use syncline::trust::Cluster;
use syncline_sync::quic::Forwarder;
use tokio::runtime::Runtime;

use super::place::Place;
use super::process::Process;
use crate::failure::{Doing, Failure};
use crate::progress::Progress;
use crate::table::{Align, Table, count, duration};

const NAMES: [&str; 5] = ["P", "Q", "R", "S", "T"];
/// The one that is killed, and leaves in the end.
const LAST: usize = NAMES.len() - 1;
/// Writes whose way to all is timed.
const WRITES: usize = 50;
/// Writes of each while it is alone.
const APART: usize = 20;
/// How long anything may take before it is taken never to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the members are asked.
const GLANCE: Duration = Duration::from_millis(20);

/// What became of the five.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Company {
    pub(crate) names: Vec<String>,
    /// From the start of the first until each knew all others.
    pub(crate) joined_ms: f64,
    pub(crate) spread: Spread,
    /// From the kill until all others had noticed.
    pub(crate) kill_noticed_ms: f64,
    /// From the new start of the killed one until it held what was written meanwhile.
    pub(crate) caught_up_ms: f64,
    /// From the cut until each took all others for gone.
    pub(crate) cut_noticed_ms: f64,
    /// Writes made while each was alone.
    pub(crate) apart: usize,
    /// From the mending until each knew all others, and all held the same.
    pub(crate) healed_ms: f64,
    /// What each held then.
    pub(crate) convergence: Vec<Held>,
    /// From the orderly end of one until all others knew.
    pub(crate) leave_noticed_ms: f64,
    /// How many of them were told so, instead of finding out: the goodbye is a message that can get lost.
    pub(crate) told_goodbye: usize,
}

/// How long writes took from one member to all.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) writes: usize,
    pub(crate) median_ms: f64,
    pub(crate) most_ms: f64,
}

/// What a member held in the end.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Held {
    pub(crate) member: String,
    pub(crate) root: String,
    pub(crate) rows: u64,
    /// How many others it took for alive.
    pub(crate) alive: usize,
}

impl Company {
    /// Whether all that was written is on all of them.
    pub(crate) fn holds(&self) -> bool {
        let first = self.convergence.first();
        let rows = (WRITES + 1 + self.apart) as u64;
        self.convergence.len() == NAMES.len()
            && self.convergence.iter().all(|held| {
                held.rows == rows
                    && held.alive == NAMES.len() - 1
                    && Some(&held.root) == first.map(|first| &first.root)
            })
    }

    #[cfg(test)]
    pub(crate) fn good() -> Self {
        let held = |name: &&str| Held {
            member: (*name).to_owned(),
            root: "00".to_owned(),
            rows: (WRITES + 1) as u64,
            alive: LAST,
        };
        Self {
            convergence: NAMES.iter().map(held).collect(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ms: f64| duration(Duration::from_secs_f64(ms / 1e3));
        let spread = &self.spread;
        let last = NAMES[LAST];
        writeln!(
            f,
            "  join    all know each other after {}",
            ms(self.joined_ms)
        )?;
        writeln!(
            f,
            "  spread  {} writes, each visible on all five after {} in the median, {} at most",
            count(spread.writes as u64),
            ms(spread.median_ms),
            ms(spread.most_ms)
        )?;
        writeln!(
            f,
            "  kill    {last} dies by SIGKILL, all others know after {}; started again, it has what was written meanwhile after {}",
            ms(self.kill_noticed_ms),
            ms(self.caught_up_ms)
        )?;
        writeln!(
            f,
            "  cut     each is alone, and knows after {}; together they write {} values",
            ms(self.cut_noticed_ms),
            count(self.apart as u64)
        )?;
        writeln!(
            f,
            "  heal    one cluster again, and all hold the same, after {}",
            ms(self.healed_ms)
        )?;
        let mut table = Table::new(&[
            ("member", Align::Left),
            ("rows", Align::Right),
            ("others alive", Align::Right),
            ("root digest", Align::Left),
        ]);
        for held in &self.convergence {
            let root: String = held.root.chars().take(32).collect();
            table.row([
                held.member.clone(),
                count(held.rows),
                held.alive.to_string(),
                format!("{root}…"),
            ]);
        }
        write!(f, "{table}")?;
        writeln!(
            f,
            "  leave   {last} says goodbye, which reaches {} of the others; all know after {}",
            self.told_goodbye,
            ms(self.leave_noticed_ms)
        )
    }
}

/// The members while they go on.
struct Members<'a> {
    place: &'a Place,
    processes: Vec<Process>,
    wires: Vec<Forwarder>,
    listening: Vec<SocketAddr>,
    runtime: Runtime,
}

/// Has it all take place.
pub(super) fn play(place: &Place) -> Result<Company, Failure> {
    let progress = Progress::spinner("five members join");
    let began = Instant::now();
    let mut members = Members::start(place)?;
    members.until_all_see("alive")?;
    let mut company = Company {
        names: NAMES.map(str::to_owned).into(),
        joined_ms: ms_since(began),
        ..Company::default()
    };

    progress.say("each writes, all wait for it".to_owned());
    company.spread = members.spread()?;

    progress.say(format!("{} is killed", NAMES[LAST]));
    (company.kill_noticed_ms, company.caught_up_ms) = members.kill_last()?;

    progress.say("all wires are cut".to_owned());
    (company.cut_noticed_ms, company.apart) = members.cut()?;

    progress.say("the wires are mended".to_owned());
    company.healed_ms = members.heal()?;
    company.convergence = members.convergence()?;

    progress.say(format!("{} leaves", NAMES[LAST]));
    (company.leave_noticed_ms, company.told_goodbye) = members.leave()?;
    members.close()?;
    Ok(company)
}

impl<'a> Members<'a> {
    fn start(place: &'a Place) -> Result<Self, Failure> {
        let cluster = Cluster::create(place.path().join("five"))
            .doing(|| "cannot make the cluster of five".to_owned())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .doing(|| "cannot start the network".to_owned())?;
        let mut members = Self {
            place,
            processes: Vec::new(),
            wires: Vec::new(),
            listening: Vec::new(),
            runtime,
        };
        for (index, name) in NAMES.into_iter().enumerate() {
            let admitting = || format!("cannot make the identity of {name}");
            let issued = cluster.issue(name).doing(admitting)?;
            let identity = place.data(name).join("identity");
            std::fs::create_dir_all(&identity).doing(admitting)?;
            std::fs::rename(issued, identity.join("node")).doing(admitting)?;
            let listening = free_port().doing(|| "cannot find a free port".to_owned())?;
            let wire = Forwarder::start(listening, Duration::ZERO);
            let wire = members.runtime.block_on(wire);
            members
                .wires
                .push(wire.doing(|| "cannot lay a wire".to_owned())?);
            members.listening.push(listening);
            let process = members.begin(index)?;
            members.processes.push(process);
        }
        Ok(members)
    }

    /// Starts a member, which joins by the first; the first by nobody, or by the second if it is there.
    fn begin(&self, index: usize) -> Result<Process, Failure> {
        let address = |of: usize| self.wires[of].local_addr().to_string();
        let mut arguments = vec![
            "--listen".to_owned(),
            self.listening[index].to_string(),
            "--advertise".to_owned(),
            address(index),
        ];
        if index > 0 {
            arguments.extend(["--join".to_owned(), address(0)]);
        }
        let name = NAMES[index];
        Process::start_with(
            name,
            &self.place.data(name),
            &self.place.log(name),
            &arguments,
        )
    }

    /// Asks until each of the members sees all others in a state.
    fn until_all_see(&mut self, state: &str) -> Result<(), Failure> {
        let nodes: Vec<String> = self.nodes();
        self.until("the members to see each other", |process| {
            let states = process.members()?;
            let seen = |node: &String| {
                *node == process.node || states.get(node).is_some_and(|is| is == state)
            };
            Ok(nodes.iter().all(seen))
        })
    }

    /// Asks until no member takes this one for alive.
    fn until_all_miss(&mut self, node: &str) -> Result<(), Failure> {
        self.until("the others to notice", |process| {
            let states = process.members()?;
            Ok(states.get(node).is_none_or(|state| state != "alive"))
        })
    }

    /// Asks each member until it says yes.
    fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Process) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        for process in &mut self.processes {
            while !holds(process)? {
                if Instant::now() > deadline {
                    return Err(Failure::failed(format!(
                        "waited for {what} for {} s",
                        PATIENCE.as_secs()
                    )));
                }
                thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    fn nodes(&self) -> Vec<String> {
        let nodes = self.processes.iter().map(|process| process.node.clone());
        nodes.collect()
    }

    /// Each writes in turn, and it is timed until all others show it.
    fn spread(&mut self) -> Result<Spread, Failure> {
        let mut times = Vec::with_capacity(WRITES);
        for number in 0..WRITES {
            let (key, writer) = (format!("spread/{number}"), number % NAMES.len());
            let value = NAMES[writer];
            let others = || (0..NAMES.len()).filter(|other| *other != writer);
            for other in others() {
                self.processes[other].begin_awaiting(&key, value)?;
            }
            let began = Instant::now();
            self.processes[writer].put(&key, value)?;
            for other in others() {
                self.processes[other].done()?;
            }
            times.push(ms_since(began));
        }
        times.sort_by(f64::total_cmp);
        Ok(Spread {
            writes: WRITES,
            median_ms: times[WRITES / 2],
            most_ms: times[WRITES - 1],
        })
    }

    /// Kills the last, writes, and starts it again.
    fn kill_last(&mut self) -> Result<(f64, f64), Failure> {
        let Some(killed) = self.processes.pop() else {
            return Err(Failure::failed("there is nobody to kill"));
        };
        let node = killed.node.clone();
        // By SIGKILL.
        drop(killed);
        let began = Instant::now();
        self.until_all_miss(&node)?;
        let noticed = ms_since(began);
        let (key, value) = ("while it was away", "unseen");
        self.processes[0].put(key, value)?;
        let began = Instant::now();
        let mut process = self.begin(LAST)?;
        process.begin_awaiting(key, value)?;
        process.done()?;
        let caught_up = ms_since(began);
        self.processes.push(process);
        self.until_all_see("alive")?;
        Ok((noticed, caught_up))
    }

    /// Cuts all wires, and has each write while it is alone.
    fn cut(&mut self) -> Result<(f64, usize), Failure> {
        self.wires.iter().for_each(Forwarder::cut);
        let began = Instant::now();
        for node in self.nodes() {
            self.until_all_miss(&node)?;
        }
        let noticed = ms_since(began);
        for (process, name) in self.processes.iter_mut().zip(NAMES) {
            for number in 0..APART {
                process.put(&format!("apart/{name}/{number}"), name)?;
            }
        }
        Ok((noticed, APART * NAMES.len()))
    }

    /// Mends the wires, and waits until all is as if nothing had been.
    fn heal(&mut self) -> Result<f64, Failure> {
        self.wires.iter().for_each(Forwarder::restore);
        let began = Instant::now();
        self.until_all_see("alive")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let roots: Vec<_> = self.processes.iter_mut().map(Process::root).collect();
            let roots = roots.into_iter().collect::<Result<Vec<_>, _>>()?;
            // If they do not come to agree, the report says so.
            if roots.iter().all(|root| root == &roots[0]) || Instant::now() > deadline {
                return Ok(ms_since(began));
            }
            thread::sleep(GLANCE);
        }
    }

    fn convergence(&mut self) -> Result<Vec<Held>, Failure> {
        let held = self.processes.iter_mut().zip(NAMES).map(|(process, name)| {
            let (root, rows, _) = process.root()?;
            let states = process.members()?;
            Ok(Held {
                member: name.to_owned(),
                root,
                rows,
                alive: states.values().filter(|state| *state == "alive").count(),
            })
        });
        held.collect()
    }

    /// Ends the last in order.
    fn leave(&mut self) -> Result<(f64, usize), Failure> {
        let Some(leaving) = self.processes.pop() else {
            return Err(Failure::failed("there is nobody to leave"));
        };
        let node = leaving.node.clone();
        let began = Instant::now();
        leaving.close()?;
        self.until_all_miss(&node)?;
        let noticed = ms_since(began);
        let mut told = 0;
        for process in &mut self.processes {
            let states = process.members()?;
            told += usize::from(states.get(&node).is_some_and(|state| state == "left"));
        }
        Ok((noticed, told))
    }

    fn close(self) -> Result<(), Failure> {
        self.processes.into_iter().try_for_each(Process::close)
    }
}

/// A port that was free a moment ago: a member has to say where it is reached before it listens.
fn free_port() -> std::io::Result<SocketAddr> {
    UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
