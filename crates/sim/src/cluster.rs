//! The events of a run, in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Display;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_crdt::{Context, Dot, ReplicaId};
use syncline_gossip::{
    Dissemination, Input, Members, Message, Output, Pushed, Rumour, RumourId, Timer,
};

use crate::network;
use crate::report::{Quantiles, Report, Spread, mean};
use crate::scenario::{Crash, Cut, Scenario, ScenarioError, Side};
use crate::stores::{Frame, Replica, Talks};

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
    /// A frame of a session.
    Frame(Frame),
    /// A session with anybody is due.
    Sync {
        node: u32,
        life: u32,
    },
    /// Do all stores agree?
    Check,
}

/// How often stores are compared in the end.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// After how long a stream sends again what was lost.
const RETRANSMISSION: Duration = Duration::from_millis(200);

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
                replica: None,
                sent: (0, 0, 0),
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
            complete: 0,
            talks: Talks::new(),
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
        let members: Members<u32> = (0..scenario.nodes).collect();
        for node in 0..scenario.nodes {
            self.input(node, Input::View(members.clone()));
        }
        let begins = scenario.begins();
        if let Some(stores) = scenario.stores {
            for node in 0..scenario.nodes {
                let at = stores
                    .sync_every
                    .mul_f64(self.random.random_range(0.0..1.0));
                self.cause(at, Event::Sync { node, life: 0 });
            }
            self.cause(scenario.quiet_from(), Event::Check);
        }
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
        let mut end = self.scenario.quiet_from() + self.scenario.settle;
        while let Some(Reverse(next)) = self.queue.pop() {
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
            Event::Frame(frame) => self.frame(&frame),
            Event::Sync { node, life } => self.sync(node, life),
            Event::Check => self.check(),
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
            self.talks.end_all_of(*node);
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
        node.is_alive = true;
        node.life += 1;
        let life = node.life;
        self.input(number, Input::Learned(known));
        if self.scenario.stores.is_some() {
            self.sync(number, life);
        }
    }

    /// A session with a member chosen uniformly, and the next one after a while.
    fn sync(&mut self, number: u32, life: u32) {
        let node = &mut self.nodes[number as usize];
        let Some(stores) = self.scenario.stores.filter(|_| node.life == life) else {
            return;
        };
        let peer = node.random.random_range(0..self.scenario.nodes);
        let after = stores
            .sync_every
            .mul_f64(node.random.random_range(0.5..1.5));
        let event = Event::Sync { node: number, life };
        self.cause(self.now + after, event);
        if peer != number {
            self.talk(number, peer);
        }
    }

    /// Begins a session, if the peer can be reached.
    fn talk(&mut self, node: u32, peer: u32) {
        self.set_clock(node);
        let is_alive = |node: u32| self.nodes[node as usize].is_alive;
        if !is_alive(node) || !is_alive(peer) || self.is_cut(node, peer) {
            return;
        }
        let begun = {
            let node_ = &mut self.nodes[node as usize];
            let salt = node_.random.random();
            let Some(replica) = &node_.replica else {
                return;
            };
            self.talks.begin([node, peer], replica, salt)
        };
        if let Some(Some(talk)) = self.sound(begun) {
            self.sessions += 1;
            self.speak(talk, 0);
        }
    }

    /// Sends what one side of a session has to say.
    fn speak(&mut self, talk: u64, side: usize) {
        loop {
            match self.talks.poll(talk, side) {
                Ok(Some(frame)) => self.send_frame(frame),
                Ok(None) => break,
                Err(_) => return self.break_off(talk),
            }
        }
        if self.talks.is_finished(talk) {
            for node in self.talks.end(talk).into_iter().flatten() {
                let replica = self.nodes[node as usize].replica.as_ref();
                let context = replica.map(Replica::context).unwrap_or(Ok(Context::new()));
                if let Some(context) = self.sound(context) {
                    self.learn(node, context);
                }
            }
        }
    }

    /// A frame goes by a stream: what is lost is sent again, and all keeps its order.
    fn send_frame(&mut self, frame: Frame) {
        let Some((from, to)) = self.talks.way_to(frame.talk, frame.side) else {
            return;
        };
        let bytes = frame.bytes.len() as u64;
        self.count("session", from, to, bytes);
        let network = &self.scenario.network;
        let mut at = self.now;
        let busy_until = &mut self.nodes[from as usize].busy_until;
        match network.depart(at, busy_until, bytes) {
            Some(departs) if !self.is_cut(from, to) => at = departs,
            _ => return self.break_off(frame.talk),
        }
        let travel = loop {
            match network.travel(self.scenario.seed, from, to, &mut self.random) {
                Some(travel) => break travel,
                None => at += RETRANSMISSION,
            }
        };
        let at = self.talks.arrival(frame.talk, frame.side, at + travel);
        self.cause(at, Event::Frame(frame));
    }

    fn frame(&mut self, frame: &Frame) {
        let Some((from, to)) = self.talks.way_to(frame.talk, frame.side) else {
            return;
        };
        if self.is_cut(from, to) {
            return self.break_off(frame.talk);
        }
        self.set_clock(to);
        let Some(replica) = &self.nodes[to as usize].replica else {
            return;
        };
        match self.talks.receive(frame, replica) {
            Ok(()) => self.speak(frame.talk, frame.side),
            Err(_) => self.break_off(frame.talk),
        }
    }

    /// What was joined stays; the next session goes on from there.
    fn break_off(&mut self, talk: u64) {
        self.broken += u64::from(self.talks.end(talk).is_some());
    }

    /// A node has seen these dots in a session.
    fn learn(&mut self, node: u32, context: Context) {
        let known = self.nodes[node as usize].gossip.known();
        if known.covers(&context) {
            return;
        }
        if self.nodes[node as usize].survives {
            let is_news = |id: &RumourId| {
                let dot = Dot::new(id.replica(), id.last());
                context.contains(&dot) && !known.contains(&dot)
            };
            let news = self.numbers.iter().filter(|(id, _)| is_news(id));
            for number in news.map(|(_, number)| *number).collect::<Vec<_>>() {
                self.arrived(number);
            }
        }
        self.input(node, Input::Learned(context));
    }

    /// Whether all who are there to the end hold the same, by their roots.
    fn check(&mut self) {
        let survivors = self.nodes.iter().filter(|node| node.survives);
        let roots = survivors
            .filter_map(|it| it.replica.as_ref())
            .map(Replica::root);
        let roots = roots.collect::<Result<Vec<_>, _>>();
        let Some(roots) = self.sound(roots) else {
            return;
        };
        if roots.windows(2).all(|pair| pair[0] == pair[1]) {
            self.agreed = Some(self.now);
        } else {
            self.cause(self.now + CHECK_EVERY, Event::Check);
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
                Output::Deliver(rumour) => {
                    self.set_clock(at);
                    let replica = self.nodes[at as usize].replica.as_ref();
                    let joined = replica.map_or(Ok(()), |it| it.join(&rumour));
                    self.sound(joined);
                }
                Output::Lagging(peer) => {
                    self.lagging += 1;
                    self.talk(at, peer);
                }
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, message: Message) {
        let scenario = self.scenario;
        let bytes = message.to_bytes().len() as u64;
        self.note(&[u64::from(from) << 32 | u64::from(to), bytes]);
        self.count(kind(&message), from, to, bytes);
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
        self.set_clock(writer);
        let payload = self.scenario.payload;
        let node = &mut self.nodes[writer as usize];
        node.written += 1;
        let rumour = match &node.replica {
            Some(replica) => replica.write(number.into(), payload),
            None => Ok(numbered(writer, node.written, payload)),
        };
        let Some(Some(rumour)) = self.sound(rumour) else {
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
        let Some(number) = self.numbers.get(&rumour.id()).copied() else {
            return;
        };
        let spread = &mut self.spreads[number];
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
            spread.last_hops = *hops;
            spread.max_hops = spread.max_hops.max(*hops);
            self.arrived(number);
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

    /// One more node has a rumour.
    fn arrived(&mut self, number: usize) {
        let arrivals = &mut self.spreads[number].arrivals;
        arrivals.push(self.now);
        self.complete += usize::from(arrivals.len() == self.scenario.survivors() as usize);
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
            peak_bytes_per_second: self.nodes.iter().map(|node| node.sent.0).max().unwrap_or(0),
            lagging: self.lagging,
            sessions: self.sessions,
            sessions_broken: self.broken,
            agreed_ms: self
                .agreed
                .map(|at| (at - self.scenario.quiet_from()).as_secs_f64() * 1e3),
            seconds,
            trace: self.trace,
        }
    }
}

/// The rumour of a node without a store.
fn numbered(writer: u32, counter: u64, payload: usize) -> Option<Rumour> {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&writer.to_be_bytes());
    Rumour::new(
        ReplicaId::from_bytes(id),
        counter,
        counter,
        vec![0; payload],
    )
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
