//! A run, in virtual time: the nodes, and what becomes of what happens.

mod agreeing;
mod events;
mod members;
mod outcome;
mod postage;
mod sessions;
mod spreading;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_gossip::budget::Budget;
use syncline_gossip::{Dissemination, Input, Members, Message, RumourId, convergence, membership};

use self::events::{Event, Events, Scheduled};
use self::members::Own;
use self::postage::{Item, Letter};
use crate::network;
use crate::report::{Report, Spread};
use crate::scenario::{Crash, Cut, Membership, Scenario, ScenarioError, Side};
use crate::stores::{Replica, Talks};

/// Runs a scenario to its end: until all that was published has come to every node, or has had its time to.
///
/// O(e log e) for e events; the memory of a node is some kilobytes.
///
/// # Errors
/// [`ScenarioError`] for one that cannot be run.
pub fn run(scenario: &Scenario) -> Result<Report, ScenarioError> {
    run_watched(scenario, |_| ())
}

/// As [`run`]; shows how many rumours have been published whenever one is.
///
/// # Errors
/// [`ScenarioError`] for a scenario that cannot be run.
pub fn run_watched(
    scenario: &Scenario,
    mut watch: impl FnMut(u32),
) -> Result<Report, ScenarioError> {
    scenario.check()?;
    let mut cluster = Cluster::new(scenario);
    cluster.play(&mut watch);
    match cluster.failure.take() {
        Some(failure) => Err(ScenarioError::Store(failure)),
        None => Ok(cluster.report()),
    }
}

struct Cluster<'s> {
    scenario: &'s Scenario,
    nodes: Vec<Node>,
    random: ChaCha8Rng,
    now: Duration,
    events: Events,
    writers: Vec<u32>,
    spreads: Vec<Spread>,
    numbers: BTreeMap<RumourId, usize>,
    measured_from: Option<Duration>,
    bytes: BTreeMap<&'static str, u64>,
    bytes_between: u64,
    messages: u64,
    lagging: u64,
    /// Packets of the membership that were refused.
    refused: u64,
    trace: u64,
    /// Measured rumours that are everywhere.
    complete: usize,
    talks: Talks,
    sessions: u64,
    broken: u64,
    /// When all stores were found to agree, with nothing more to come.
    agreed: Option<Duration>,
    /// The first failure of a store.
    failure: Option<String>,
}

struct Node {
    gossip: Dissemination<u32>,
    random: ChaCha8Rng,
    written: u64,
    replica: Option<Replica>,
    /// The most that it has sent in a second, and in which second how much so far.
    sent: (u64, u64, u64),
    /// What it allows itself to send, if there is a limit.
    budget: Option<Box<Budget<u32, Item>>>,
    /// Until when its line is taken by what it has sent.
    busy_until: Duration,
    is_alive: bool,
    /// How often it has begun anew.
    life: u32,
    /// What its timers take of the time that they are set to.
    pace: f64,
    /// Its own view of the members, if it has one.
    own: Option<Box<Own>>,
    /// In which of its generations it is, by its disk.
    generation: u64,
    /// Where it is reached: its port.
    door: u16,
    /// Whether it is there to the end: what is measured is measured among these.
    survives: bool,
}

impl<'s> Cluster<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(scenario.seed);
        let mut nodes: Vec<Node> = (0..scenario.nodes)
            .map(|node| Node {
                gossip: Dissemination::new(node, scenario.gossip.clone()),
                random: ChaCha8Rng::seed_from_u64(random.random()),
                written: 0,
                replica: None,
                sent: (0, 0, 0),
                budget: postage::budget(scenario),
                busy_until: Duration::ZERO,
                life: 0,
                pace: 1.0 + scenario.drift * (2.0 * network::place(scenario.seed, node) - 1.0),
                is_alive: true,
                own: None,
                generation: 0,
                door: members::DOOR,
                survives: false,
            })
            .collect();
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.shuffle(&mut random);
        for survivor in order.iter().take(scenario.survivors() as usize) {
            nodes[*survivor].survives = true;
        }
        let mut cluster = Self {
            scenario,
            nodes,
            random,
            now: Duration::ZERO,
            events: Events::new(),
            writers: Vec::new(),
            spreads: Vec::new(),
            numbers: BTreeMap::new(),
            measured_from: None,
            bytes: BTreeMap::new(),
            bytes_between: 0,
            messages: 0,
            lagging: 0,
            refused: 0,
            trace: 0,
            complete: 0,
            talks: Talks::new(postage::frame_bytes(scenario)),
            sessions: 0,
            broken: 0,
            agreed: None,
            failure: None,
        };
        for node in 0..scenario.nodes {
            if scenario.stores.is_some() {
                let replica = Replica::new(scenario.seed, node);
                cluster.nodes[node as usize].replica = cluster.sound(replica);
            }
        }
        cluster.schedule();
        cluster
    }

    /// What a store has answered. One that fails ends the run.
    fn sound<T>(&mut self, result: Result<T, impl Display>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failure.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }

    fn schedule(&mut self) {
        let scenario = self.scenario;
        let begins = scenario.begins();
        self.keep_newcomers_away();
        match scenario.membership {
            Membership::Shared => self.notice(),
            Membership::Own => self.start_all(),
        }
        if let Some(stores) = scenario.stores {
            let shared = scenario.membership == Membership::Shared;
            for node in (0..scenario.nodes).filter(|_| shared) {
                let at = stores
                    .sync_every
                    .mul_f64(self.random.random_range(0.0..1.0));
                self.cause(at, Event::Sync { node, life: 0 });
            }
            self.cause(scenario.quiet_from(), Event::Check);
        }
        for (number, crash) in scenario.crashes.iter().enumerate() {
            self.cause(begins + crash.at, Event::Crash { number });
            if let Some(noticed_after) = crash.noticed_after {
                self.cause(begins + crash.at + noticed_after, Event::Notice);
            }
        }
        let first = begins - scenario.interval * scenario.warm_up;
        for number in 0..scenario.warm_up + scenario.rumours {
            let at = first + scenario.interval * number;
            self.cause(at, Event::Publish { number });
        }
    }

    fn cause(&mut self, at: Duration, event: Event) {
        self.events.cause(at, event);
    }

    fn play(&mut self, watch: &mut impl FnMut(u32)) {
        let mut end = self.scenario.quiet_from() + self.scenario.settle;
        while let Some(next) = self.events.next() {
            let Scheduled { at, number, event } = next;
            if at > end || self.failure.is_some() {
                break;
            }
            self.now = at;
            self.note(&[at.as_nanos() as u64, number]);
            if let Event::Publish { number } = event {
                watch(number + 1);
            }
            self.happen(event);
            // With no copies on their way, what has reached everybody costs nothing more.
            let is_settled = self.complete == self.scenario.rumours as usize
                && self.agreed.is_some() == self.scenario.stores.is_some();
            if is_settled {
                end = end.min(self.now + self.scenario.gossip.period);
            }
        }
    }

    /// Takes an event into the trace.
    fn note(&mut self, words: &[u64]) {
        for word in words {
            // FNV-1a over words.
            self.trace = (self.trace ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive {
                from,
                to,
                door,
                sent,
                letter,
            } => {
                let receiver = &self.nodes[to as usize];
                if !receiver.is_alive || receiver.door != door {
                    // Nobody is there any more.
                    return;
                }
                // As a transport knows it of everybody with whom it has to do.
                let rtt = (self.now - sent) * 2;
                let message = match letter {
                    Letter::Rumours(message) => message,
                    Letter::Members(bytes) => {
                        self.measured(to, from, rtt);
                        return self.member(to, membership::Input::Received { from, bytes });
                    }
                    Letter::Standings(message) => {
                        self.measured(to, from, rtt);
                        return self.agree(to, convergence::Input::Received { from, message });
                    }
                };
                match &message {
                    Message::Push { pushed, .. } => self.pushed(to, pushed),
                    Message::Batch(batch) => batch.iter().for_each(|it| self.pushed(to, it)),
                    _ => {}
                }
                self.measured(to, from, rtt);
                self.input(to, Input::Received { from, message });
            }
            Event::Timer { node, life, timer } => {
                if self.nodes[node as usize].life == life {
                    self.input(node, Input::Timer(timer));
                }
            }
            Event::Start { node } => self.start(node),
            Event::Due { node, life, due } => {
                if self.nodes[node as usize].life == life {
                    self.due(node, due);
                }
            }
            Event::Publish { number } => self.publish(number),
            Event::Crash { number } => self.crash(number),
            Event::Return { nodes } => {
                for number in nodes {
                    self.begin_anew(number);
                }
                self.notice();
            }
            Event::Notice => self.notice(),
            Event::Frame(frame) => self.frame(&frame),
            Event::Offer(frame) => self.offer_frame(frame),
            Event::Speak { talk, side } => self.speak(talk, side),
            Event::Paid { node, life } => {
                if self.nodes[node as usize].life == life {
                    self.paid(node);
                }
            }
            Event::Sync { node, life } => self.sync(node, life),
            Event::Check => self.check(),
        }
    }

    fn crash(&mut self, number: usize) {
        let Crash {
            share,
            lasts,
            moves,
            leaves,
            ..
        } = self.scenario.crashes[number];
        let count = self.scenario.part(share) as usize;
        // Who is gone for good was chosen at the beginning.
        let mut nodes: Vec<u32> = (0..self.scenario.nodes)
            .filter(|node| {
                let node = &self.nodes[*node as usize];
                node.is_alive && node.survives == lasts.is_some()
            })
            .collect();
        if nodes.len() > count {
            let (chosen, _) = nodes.partial_shuffle(&mut self.random, count);
            nodes = chosen.to_vec();
        }
        for node in &nodes {
            if leaves {
                self.member(*node, membership::Input::Leave);
            }
            let gone = &mut self.nodes[*node as usize];
            gone.is_alive = false;
            gone.own = None;
            gone.door += u16::from(moves);
            for [one, other] in self.talks.end_all_of(*node) {
                self.fall_silent(one, other);
            }
        }
        if let Some(lasts) = lasts {
            self.cause(self.now + lasts, Event::Return { nodes });
        }
    }

    /// A node is back. Of what it was told in its last life it knows what it had committed, and nothing else.
    fn begin_anew(&mut self, number: u32) {
        let node = &self.nodes[number as usize];
        let known = match &node.replica {
            Some(replica) => replica.context(),
            None => Ok(node.gossip.known().clone()),
        };
        let known = self.sound(known).unwrap_or_default();
        let node = &mut self.nodes[number as usize];
        node.gossip = Dissemination::new(number, self.scenario.gossip.clone());
        node.budget = postage::budget(self.scenario);
        node.is_alive = true;
        node.life += 1;
        let life = node.life;
        self.input(number, Input::Learned(known));
        match self.scenario.membership {
            Membership::Own => self.start(number),
            Membership::Shared if self.scenario.stores.is_some() => self.sync(number, life),
            Membership::Shared => {}
        }
    }

    fn set_clock(&mut self, number: u32) {
        let skew = self.scenario.stores.map_or(Duration::ZERO, |it| it.skew);
        let place = network::place(self.scenario.seed.rotate_left(7), number);
        if let Some(replica) = &self.nodes[number as usize].replica {
            replica
                .clock
                .set(self.now, skew.as_secs_f64() * (2.0 * place - 1.0));
        }
    }

    /// Counts what is sent.
    fn count(&mut self, kind: &'static str, from: u32, to: u32, bytes: u64) {
        if self.measured_from.is_none() {
            return;
        }
        self.messages += 1;
        *self.bytes.entry(kind).or_default() += bytes;
        let network = &self.scenario.network;
        if network.region(from) != network.region(to) {
            self.bytes_between += bytes;
        }
        let (most, second, sent) = &mut self.nodes[from as usize].sent;
        if *second != self.now.as_secs() {
            (*second, *sent) = (self.now.as_secs(), 0);
        }
        *sent += bytes;
        *most = (*most).max(*sent);
    }

    fn notice(&mut self) {
        if self.scenario.membership == Membership::Own {
            // They notice by themselves.
            return;
        }
        let alive = |node: &u32| self.nodes[*node as usize].is_alive;
        let members: Members<u32> = (0..self.scenario.nodes).filter(alive).collect();
        for node in 0..self.scenario.nodes {
            self.input(node, Input::View(members.clone()));
        }
    }

    /// Whether a cut lies between two nodes now.
    fn is_cut(&self, one: u32, other: u32) -> bool {
        let scenario = self.scenario;
        let Some(since) = self.now.checked_sub(scenario.begins()) else {
            return false;
        };
        let side = |cut: &Cut, node| match &cut.side {
            Side::Share(share) => network::place(!scenario.seed, node) < *share,
            Side::Regions(regions) => regions.contains(&scenario.network.region(node)),
        };
        let mut cuts = scenario.cuts.iter();
        cuts.any(|cut| (cut.from..cut.until).contains(&since) && side(cut, one) != side(cut, other))
    }
}
