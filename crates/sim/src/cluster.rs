//! The events of a run, in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_crdt::{Dot, ReplicaId};
use syncline_gossip::{
    Dissemination, Input, Members, Message, Output, Pushed, Rumour, RumourId, Timer,
};

use crate::network;
use crate::report::{Quantiles, Report, Spread, mean};
use crate::scenario::{Crash, Cut, Scenario, ScenarioError, Side};

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
        /// In which life of the node it was set.
        life: u32,
        timer: Timer,
    },
    Publish {
        number: u32,
    },
    /// By its number in the scenario.
    Crash {
        number: usize,
    },
    Return {
        nodes: Vec<u32>,
    },
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
    /// How often it has begun anew.
    life: u32,
    /// What its timers take of the time that they are set to.
    pace: f64,
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
                life: 0,
                pace: 1.0 + scenario.drift * (2.0 * network::place(scenario.seed, node) - 1.0),
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
        let begins = scenario.begins();
        for (number, crash) in scenario.crashes.iter().enumerate() {
            self.cause(begins + crash.at, Event::Crash { number });
            self.cause(begins + crash.at + crash.noticed_after, Event::Notice);
        }
        let first = begins - scenario.interval * scenario.warm_up;
        for number in 0..scenario.warm_up + scenario.rumours {
            let at = first + scenario.interval * number;
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
                    Message::Push { pushed, .. } => self.pushed(to, pushed),
                    Message::Batch(batch) => batch.iter().for_each(|it| self.pushed(to, it)),
                    _ => {}
                }
                // As a transport knows it of everybody with whom it has to do.
                let rtt = (self.now - sent) * 2;
                self.input(to, Input::Rtt { peer: from, rtt });
                self.input(to, Input::Received { from, message });
            }
            Event::Timer { node, life, timer } => {
                if self.nodes[node as usize].life == life {
                    self.input(node, Input::Timer(timer));
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
        }
    }

    fn crash(&mut self, number: usize) {
        let Crash { share, lasts, .. } = self.scenario.crashes[number];
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
            self.nodes[*node as usize].is_alive = false;
        }
        if let Some(lasts) = lasts {
            self.cause(self.now + lasts, Event::Return { nodes });
        }
    }

    /// A node is back. Of what it was told in its last life it knows what it had committed, and nothing else.
    fn begin_anew(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        let known = node.gossip.known().clone();
        node.gossip = Dissemination::new(number, self.scenario.gossip.clone());
        node.is_alive = true;
        node.life += 1;
        self.input(number, Input::Learned(known));
    }

    fn notice(&mut self) {
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

    fn input(&mut self, at: u32, input: Input<u32>) {
        let node = &mut self.nodes[at as usize];
        if !node.is_alive {
            return;
        }
        for output in node.gossip.handle(input, &mut node.random) {
            match output {
                Output::Send { to, message } => self.send(at, to, message),
                Output::Wake { timer, after } => {
                    let node = &self.nodes[at as usize];
                    let (life, after) = (node.life, after.mul_f64(node.pace));
                    let node = at;
                    self.cause(self.now + after, Event::Timer { node, life, timer });
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
        if self.is_cut(from, to) {
            return;
        }
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
        let writer = self.writers[turn as usize % self.writers.len()];
        let mut others = (writer..scenario.nodes).chain(0..writer);
        let can_write = |node: &u32| {
            let node = &self.nodes[*node as usize];
            node.is_alive && node.survives
        };
        // If the writer is down just now, the next one takes its turn.
        others.find(can_write).unwrap_or(writer)
    }

    fn pushed(&mut self, to: u32, Pushed { rumour, hops }: &Pushed) {
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
            spread.last_hops = *hops;
            spread.max_hops = spread.max_hops.max(*hops);
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
        if living().all(|(_, node)| node.gossip.neighbours().next().is_none()) {
            return 0;
        }
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
        Message::Push { .. } | Message::Batch(_) => "push",
        Message::Known(_) => "feedback",
        Message::Announce(_) | Message::Offer(_) | Message::Want(_) => "announce",
        Message::Graft(_) | Message::Prune | Message::Link { .. } | Message::Unlink => "tree",
        Message::Compare(_) | Message::Same | Message::Pull { .. } => "pull",
    }
}
