//! The events of a run, in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_crdt::{Dot, ReplicaId};
use syncline_gossip::{Dissemination, Input, Members, Message, Output, Rumour, RumourId, Timer};

use crate::report::{Quantiles, Report, Spread, mean};
use crate::scenario::{Scenario, ScenarioError};

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
    Ok(cluster.report())
}

/// An event, and its place in the order of all: by time, then as they were caused.
struct Scheduled {
    at: Duration,
    number: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

enum Event {
    Arrive {
        from: u32,
        to: u32,
        sent: Duration,
        message: Message,
    },
    Timer {
        node: u32,
        timer: Timer,
    },
    Publish {
        number: u32,
    },
    Kill,
    /// Those who live learn who does not.
    Notice,
}

struct Cluster<'s> {
    scenario: &'s Scenario,
    nodes: Vec<Node>,
    random: ChaCha8Rng,
    now: Duration,
    queue: BinaryHeap<Reverse<Scheduled>>,
    caused: u64,
    writers: Vec<u32>,
    spreads: Vec<Spread>,
    numbers: BTreeMap<RumourId, usize>,
    measured_from: Option<Duration>,
    bytes: BTreeMap<&'static str, u64>,
    bytes_between: u64,
    messages: u64,
    lagging: u64,
    trace: u64,
}

struct Node {
    gossip: Dissemination<u32>,
    random: ChaCha8Rng,
    written: u64,
    /// Until when its line is taken by what it has sent.
    busy_until: Duration,
    is_alive: bool,
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
                busy_until: Duration::ZERO,
                is_alive: true,
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
            queue: BinaryHeap::new(),
            caused: 0,
            writers: Vec::new(),
            spreads: Vec::new(),
            numbers: BTreeMap::new(),
            measured_from: None,
            bytes: BTreeMap::new(),
            bytes_between: 0,
            messages: 0,
            lagging: 0,
            trace: 0,
        };
        cluster.schedule();
        cluster
    }

    fn schedule(&mut self) {
        let scenario = self.scenario;
        let members: Members<u32> = (0..scenario.nodes).collect();
        for node in 0..scenario.nodes {
            self.input(node, Input::View(members.clone()));
        }
        // Time to find neighbours in.
        let first = scenario.gossip.period * 2;
        for number in 0..scenario.warm_up + scenario.rumours {
            let at = first + scenario.interval * number;
            if number == scenario.warm_up
                && let Some(kill) = scenario.kill
            {
                self.cause(at, Event::Kill);
                self.cause(at + kill.noticed_after, Event::Notice);
            }
            self.cause(at, Event::Publish { number });
        }
    }

    fn cause(&mut self, at: Duration, event: Event) {
        let number = self.caused;
        self.queue.push(Reverse(Scheduled { at, number, event }));
        self.caused += 1;
    }

    fn play(&mut self, watch: &mut impl FnMut(u32)) {
        let mut end = None;
        while let Some(Reverse(next)) = self.queue.pop() {
            let Scheduled { at, number, event } = next;
            if end.is_some_and(|end| at > end) {
                break;
            }
            self.now = at;
            self.note(&[at.as_nanos() as u64, number]);
            if let Event::Publish { number } = event {
                watch(number + 1);
            }
            self.happen(event);
            let is_last = self.spreads.len() == self.scenario.rumours as usize;
            if is_last && end.is_none() {
                end = Some(self.now + self.scenario.settle);
            }
            // With no copies on their way, what has reached everybody costs nothing more.
            let survivors = self.scenario.survivors() as usize;
            if is_last && self.spreads.iter().all(|it| it.arrivals.len() == survivors) {
                let soon = self.now + self.scenario.gossip.period;
                end = end.map(|end| end.min(soon));
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
                sent,
                message,
            } => {
                match &message {
                    Message::Push { rumour, hops, .. } => self.pushed(to, rumour, *hops),
                    // As a transport would know it, of everybody with whom something went to and fro.
                    Message::Same | Message::Compare(_) => {
                        let rtt = (self.now - sent) * 2;
                        self.input(to, Input::Rtt { peer: from, rtt });
                    }
                    _ => {}
                }
                self.input(to, Input::Received { from, message });
            }
            Event::Timer { node, timer } => self.input(node, Input::Timer(timer)),
            Event::Publish { number } => self.publish(number),
            Event::Kill => {
                for node in self.nodes.iter_mut().filter(|node| !node.survives) {
                    node.is_alive = false;
                }
            }
            Event::Notice => {
                let alive = |node: &u32| self.nodes[*node as usize].is_alive;
                let members: Members<u32> = (0..self.scenario.nodes).filter(alive).collect();
                for node in 0..self.scenario.nodes {
                    self.input(node, Input::View(members.clone()));
                }
            }
        }
    }

    fn input(&mut self, at: u32, input: Input<u32>) {
        let node = &mut self.nodes[at as usize];
        if !node.is_alive {
            return;
        }
        for output in node.gossip.handle(input, &mut node.random) {
            match output {
                Output::Send { to, message } => self.send(at, to, message),
                Output::Wake { timer, after } => {
                    self.cause(self.now + after, Event::Timer { node: at, timer });
                }
                Output::Deliver(_) => {}
                Output::Lagging(_) => self.lagging += 1,
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, message: Message) {
        let scenario = self.scenario;
        let bytes = message.to_bytes().len() as u64;
        self.note(&[u64::from(from) << 32 | u64::from(to), bytes]);
        if self.measured_from.is_some() {
            self.messages += 1;
            *self.bytes.entry(kind(&message)).or_default() += bytes;
            if scenario.network.region(from) != scenario.network.region(to) {
                self.bytes_between += bytes;
            }
        }
        let network = &scenario.network;
        let busy_until = &mut self.nodes[from as usize].busy_until;
        let Some(departs) = network.depart(self.now, busy_until, bytes) else {
            return;
        };
        let copies = 1 + u32::from(network.is_doubled(&mut self.random));
        for _ in 0..copies {
            let travel = network.travel(scenario.seed, from, to, &mut self.random);
            if let Some(travel) = travel {
                let (sent, message) = (self.now, message.clone());
                let event = Event::Arrive {
                    from,
                    to,
                    sent,
                    message,
                };
                self.cause(departs + travel, event);
            }
        }
    }

    fn publish(&mut self, number: u32) {
        let writer = self.writer(number);
        if number == self.scenario.warm_up {
            self.measured_from = Some(self.now);
        }
        let node = &mut self.nodes[writer as usize];
        node.written += 1;
        let mut id = [0; 16];
        id[..4].copy_from_slice(&writer.to_be_bytes());
        let payload = vec![0; self.scenario.payload];
        let replica = ReplicaId::from_bytes(id);
        let Some(rumour) = Rumour::new(replica, node.written, node.written, payload) else {
            return;
        };
        if number >= self.scenario.warm_up {
            self.numbers.insert(rumour.id(), self.spreads.len());
            self.spreads.push(Spread {
                published: self.now,
                arrivals: vec![self.now],
                ..Spread::default()
            });
        }
        self.input(writer, Input::Publish(rumour));
    }

    /// Who writes this one.
    fn writer(&mut self, number: u32) -> u32 {
        let scenario = self.scenario;
        let turn = number % scenario.writers;
        if self.writers.is_empty() || (turn == 0 && scenario.writers > 1) {
            let survivors = (0..scenario.nodes).filter(|node| self.nodes[*node as usize].survives);
            let mut survivors: Vec<u32> = survivors.collect();
            let count = scenario.writers as usize;
            let (chosen, _) = survivors.partial_shuffle(&mut self.random, count);
            self.writers = chosen.to_vec();
        }
        self.writers[turn as usize % self.writers.len()]
    }

    fn pushed(&mut self, to: u32, rumour: &Rumour, hops: u16) {
        let node = &self.nodes[to as usize];
        let Some(spread) = self.numbers.get(&rumour.id()) else {
            return;
        };
        let spread = &mut self.spreads[*spread];
        if !node.survives {
            return;
        }
        spread.copies += 1;
        let id = rumour.id();
        if !node
            .gossip
            .known()
            .contains(&Dot::new(id.replica(), id.last()))
        {
            spread.arrivals.push(self.now);
            spread.last_hops = hops;
            spread.max_hops = spread.max_hops.max(hops);
        }
    }

    /// Into how many parts the links between neighbours who live fall.
    fn overlay_parts(&self) -> u32 {
        let mut part: Vec<usize> = (0..self.nodes.len()).collect();
        let root = |part: &mut Vec<usize>, mut node: usize| {
            while part[node] != node {
                part[node] = part[part[node]];
                node = part[node];
            }
            node
        };
        let living = || self.nodes.iter().enumerate().filter(|(_, it)| it.is_alive);
        for (number, node) in living() {
            for peer in node.gossip.neighbours() {
                if self.nodes[peer as usize].is_alive {
                    let (one, other) = (root(&mut part, number), root(&mut part, peer as usize));
                    part[one] = other;
                }
            }
        }
        living()
            .filter(|(number, _)| part[*number] == *number)
            .count() as u32
    }

    fn report(&self) -> Report {
        let survivors = self.scenario.survivors();
        let others = f64::from(survivors - 1);
        let reached = |spread: &Spread| (spread.arrivals.len() - 1) as f64 / others;
        let started = self.measured_from.unwrap_or(self.now);
        let seconds = (self.now - started).as_secs_f64();
        let node_seconds = f64::from(survivors) * seconds;
        let bytes: u64 = self.bytes.values().sum();
        let took_off = || self.spreads.iter().filter(|it| reached(it) > 0.1);
        let is_complete = |spread: &&Spread| spread.arrivals.len() == survivors as usize;
        Report {
            delivered: mean(self.spreads.iter().map(reached)),
            complete: self.spreads.iter().filter(is_complete).count() as u32,
            reached: mean(took_off().map(reached)),
            took_off: took_off().count() as u32,
            copies: mean(self.spreads.iter().map(|it| it.copies as f64 / others)),
            last_hops: mean(self.spreads.iter().map(|it| f64::from(it.last_hops))),
            max_hops: self
                .spreads
                .iter()
                .map(|it| it.last_hops)
                .max()
                .unwrap_or(0),
            times: Quantiles::of(&self.spreads, survivors, self.scenario.gossip.period),
            bytes_per_node_second: bytes as f64 / node_seconds,
            bytes_by_kind: self
                .bytes
                .iter()
                .map(|(kind, bytes)| (*kind, *bytes as f64 / node_seconds))
                .collect(),
            between_regions: self.bytes_between as f64 / bytes.max(1) as f64,
            between_regions_per_node_second: self.bytes_between as f64 / node_seconds,
            overlay_parts: self.overlay_parts(),
            messages_per_node_second: self.messages as f64 / node_seconds,
            lagging: self.lagging,
            seconds,
            trace: self.trace,
        }
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Push { .. } => "push",
        Message::Known(_) => "feedback",
        Message::Announce(_) => "announce",
        Message::Graft(_) | Message::Prune | Message::Link { .. } | Message::Unlink => "tree",
        Message::Compare(_) | Message::Same | Message::Pull { .. } => "pull",
    }
}
