//! Nodes with nothing but their memberships, in virtual time: a network that delays, loses and cuts, and a disk for generations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_gossip::membership::{
    Card, Config, Event, Identity, Input, MAX_PACKET, Membership, Output, State,
};

pub(crate) type Node = u32;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn address(node: Node) -> SocketAddr {
    let [_, b, c, d] = node.to_be_bytes();
    ([10, b, c, d], 7400).into()
}

pub(crate) fn card(node: Node) -> Card {
    Card {
        zone: format!("zone-{}", node % 3),
        namespaces: ["app".into(), format!("shard-{}", node % 16)].into(),
        features: 1,
        version: "1.0.0".into(),
    }
}

enum What {
    Arrive {
        from: Node,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Wake {
        node: Node,
        life: u32,
        number: u64,
    },
}

struct Host {
    membership: Option<Membership<Node>>,
    random: ChaCha8Rng,
    /// What its disk says.
    persisted: u64,
    address: SocketAddr,
    seeds: Vec<Node>,
    life: u32,
    wakes: u64,
    is_stopped: bool,
    /// What lies in its sockets while it is stopped, and whether a timer has run out meanwhile.
    waiting: Vec<Input<Node>>,
}

pub(crate) struct Cluster {
    pub(crate) now: Duration,
    pub(crate) config: Config,
    pub(crate) loss: f64,
    /// Which side of a cut each node is on.
    pub(crate) side: fn(Node) -> u32,
    pub(crate) is_cut: bool,
    /// What the network loses of its own will.
    pub(crate) loses: fn(from: Node, to: Node, bytes: &[u8]) -> bool,
    pub(crate) events: Vec<(Duration, Node, Event<Node>)>,
    pub(crate) refused: Vec<(Node, String)>,
    /// Bytes sent in all, and the greatest packet.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) greatest: usize,
    pub(crate) trace: u64,
    /// What one of them has said since one listens to it.
    overheard: Option<(Node, Vec<Vec<u8>>)>,
    hosts: BTreeMap<Node, Host>,
    at: BTreeMap<SocketAddr, Node>,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    caused: BTreeMap<u64, What>,
    count: u64,
    random: ChaCha8Rng,
}

impl Cluster {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            config: Config::new(),
            loss: 0.0,
            side: |_| 0,
            is_cut: false,
            loses: |_, _, _| false,
            events: Vec::new(),
            refused: Vec::new(),
            bytes: 0,
            packets: 0,
            greatest: 0,
            trace: 0,
            overheard: None,
            hosts: BTreeMap::new(),
            at: BTreeMap::new(),
            queue: BinaryHeap::new(),
            caused: BTreeMap::new(),
            count: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// So many nodes, each of which knows node 0 as its seed, and has just started.
    pub(crate) fn of(nodes: Node, seed: u64) -> Self {
        let mut cluster = Self::new(seed);
        for node in 0..nodes {
            cluster.start(node, &[0]);
        }
        cluster
    }

    /// Starts a node, for the first time or again.
    pub(crate) fn start(&mut self, node: Node, seeds: &[Node]) {
        self.start_at(node, seeds, address(node));
    }

    pub(crate) fn start_at(&mut self, node: Node, seeds: &[Node], address: SocketAddr) {
        let (persisted, life) = match self.hosts.get(&node) {
            Some(host) => (host.persisted + 1, host.life + 1),
            None => (1, 0),
        };
        let mut random = ChaCha8Rng::seed_from_u64(self.random.random());
        let me = Identity::new(node, persisted, address);
        let membership = Membership::new(me, card(node), self.config.clone(), &mut random).unwrap();
        let host = Host {
            membership: Some(membership),
            random,
            persisted,
            address,
            seeds: seeds.to_vec(),
            life,
            wakes: 0,
            is_stopped: false,
            waiting: Vec::new(),
        };
        self.at.insert(address, node);
        self.hosts.insert(node, host);
        for seed in seeds {
            let at = self
                .hosts
                .get(seed)
                .map_or(self::address(*seed), |it| it.address);
            self.input(node, Input::Join(*seed, at));
        }
    }

    /// Starts it again, as it was.
    pub(crate) fn restart(&mut self, node: Node) {
        let seeds = self.hosts[&node].seeds.clone();
        let address = self.hosts[&node].address;
        self.start_at(node, &seeds, address);
    }

    /// All that a node says in the time to come.
    pub(crate) fn overhear(&mut self, node: Node, time: Duration) -> Vec<Vec<u8>> {
        self.overheard = Some((node, Vec::new()));
        self.run(time);
        self.overheard
            .take()
            .map_or_else(Vec::new, |(_, said)| said)
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, node: Node) {
        self.hosts.get_mut(&node).unwrap().membership = None;
    }

    /// Writes on its disk something older than there was.
    pub(crate) fn restore(&mut self, node: Node, persisted: u64) {
        self.hosts.get_mut(&node).unwrap().persisted = persisted;
    }

    /// Gives a node the address that another would have.
    pub(crate) fn move_to(&mut self, node: Node, as_of: Node) {
        let address = address(as_of);
        self.at.insert(address, node);
        self.hosts.get_mut(&node).unwrap().address = address;
        self.input(node, Input::Moved(address));
    }

    /// Stops a node where it stands.
    pub(crate) fn stop(&mut self, node: Node) {
        self.hosts.get_mut(&node).unwrap().is_stopped = true;
    }

    /// Lets it go on: what has come is read first.
    pub(crate) fn go_on(&mut self, node: Node) {
        let host = self.hosts.get_mut(&node).unwrap();
        host.is_stopped = false;
        for input in std::mem::take(&mut host.waiting) {
            self.input(node, input);
        }
        self.input(node, Input::Timer);
    }

    pub(crate) fn membership(&self, node: Node) -> &Membership<Node> {
        self.hosts[&node].membership.as_ref().unwrap()
    }

    pub(crate) fn persisted(&self, node: Node) -> u64 {
        self.hosts[&node].persisted
    }

    pub(crate) fn living(&self) -> Vec<Node> {
        let alive = self.hosts.iter().filter(|(_, it)| it.membership.is_some());
        alive.map(|(node, _)| *node).collect()
    }

    pub(crate) fn input(&mut self, node: Node, input: Input<Node>) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&node) else {
            return;
        };
        if host.is_stopped {
            host.waiting.push(input);
            return;
        }
        let Some(membership) = &mut host.membership else {
            return;
        };
        for output in membership.handle(input, now, &mut host.random) {
            match output {
                Output::Send { to, address, bytes } => self.send(node, to, address, bytes),
                Output::Wake { after } => {
                    let host = self.hosts.get_mut(&node).unwrap();
                    host.wakes += 1;
                    let (life, number) = (host.life, host.wakes);
                    self.cause(now + after, What::Wake { node, life, number });
                }
                Output::Event(event) => self.events.push((now, node, event)),
                Output::Persist(generation) => {
                    let host = self.hosts.get_mut(&node).unwrap();
                    assert!(generation > host.persisted, "a generation went back");
                    host.persisted = generation;
                }
                Output::Refused { why, .. } => self.refused.push((node, why.to_string())),
            }
        }
        let host = &self.hosts[&node];
        if let Some(membership) = &host.membership {
            let generation = membership.identity().generation();
            assert_eq!(generation, host.persisted, "used before it was on the disk");
        }
    }

    fn send(&mut self, from: Node, to: Node, at: SocketAddr, bytes: Vec<u8>) {
        assert_ne!(from, to);
        if bytes[0] == 1 {
            // The length of what the failure detector says, the sender, its generation.
            let mut input = syncline_crdt::Input::new(&bytes[1..]);
            let [_, sender, generation] = [(); 3].map(|()| input.varint().unwrap());
            assert_eq!(sender, u64::from(from));
            let persisted = self.hosts[&from].persisted;
            assert!(generation <= persisted, "used before it was on the disk");
        }
        assert!(bytes.len() <= MAX_PACKET);
        if let Some((_, said)) = self.overheard.as_mut().filter(|it| it.0 == from) {
            said.push(bytes.clone());
        }
        self.bytes += bytes.len() as u64;
        self.packets += 1;
        self.greatest = self.greatest.max(bytes.len());
        self.note(&[u64::from(from) << 32 | u64::from(to), bytes.len() as u64]);
        if self.loss > 0.0 && self.random.random_bool(self.loss) {
            return;
        }
        let travel = Duration::from_micros(self.random.random_range(10_000..50_000));
        let arrive = What::Arrive {
            from,
            to: at,
            bytes,
        };
        self.cause(self.now + travel, arrive);
    }

    fn note(&mut self, words: &[u64]) {
        for word in words {
            self.trace = (self.trace ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn cause(&mut self, at: Duration, what: What) {
        self.queue.push(Reverse((at, self.count)));
        self.caused.insert(self.count, what);
        self.count += 1;
    }

    /// Runs for so long.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            self.note(&[at.as_nanos() as u64]);
            match self.caused.remove(&number) {
                Some(What::Arrive { from, to, bytes }) => self.arrive(from, to, bytes),
                Some(What::Wake { node, life, number }) => {
                    let host = &self.hosts[&node];
                    if host.life == life && host.wakes == number {
                        self.input(node, Input::Timer);
                    }
                }
                None => {}
            }
        }
        self.now = end;
    }

    /// Runs until something holds, looking every 100 ms, for so long at most; in how long it did.
    pub(crate) fn until(
        &mut self,
        most: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        while self.now < start + most {
            if holds(self) {
                return Some(self.now - start);
            }
            self.run(ms(100));
        }
        holds(self).then(|| self.now - start)
    }

    fn arrive(&mut self, from: Node, at: SocketAddr, bytes: Vec<u8>) {
        let Some(to) = self.at.get(&at).copied() else {
            return;
        };
        if self.hosts[&to].address != at {
            return;
        }
        if self.is_cut && (self.side)(from) != (self.side)(to) {
            return;
        }
        if (self.loses)(from, to, &bytes) {
            return;
        }
        self.input(to, Input::Received { from, bytes });
    }

    /// How each of the living sees the others, if all see all that live, and nobody else, in the lives that they lead, with their cards.
    pub(crate) fn is_one(&self) -> bool {
        let living = self.living();
        living.iter().all(|node| self.sees(*node, &living))
    }

    /// Whether each of the living holds all that live, and nobody else, to be there, suspects included.
    pub(crate) fn is_complete(&self) -> bool {
        let living = self.living();
        living.iter().all(|node| {
            let membership = self.membership(*node);
            let others = living.iter().filter(|other| *other != node);
            membership.active() == living.len()
                && others.clone().all(|other| {
                    membership
                        .member(*other)
                        .is_some_and(|it| it.state.is_active())
                })
        })
    }

    /// Whether a node sees these and nobody else.
    pub(crate) fn sees(&self, node: Node, others: &[Node]) -> bool {
        let membership = self.membership(node);
        membership.active() == others.len()
            && others.iter().filter(|it| **it != node).all(|other| {
                let it = membership.member(*other);
                it.is_some_and(|it| {
                    let them = self.membership(*other);
                    it.state == State::Alive
                        && it.generation == them.identity().generation()
                        && it.address == them.identity().address()
                        && it.card.is_some_and(|it| *it == card(*other))
                })
            })
    }

    pub(crate) fn events_since(
        &self,
        since: Duration,
    ) -> impl Iterator<Item = (Node, &Event<Node>)> {
        let events = self.events.iter().filter(move |(at, ..)| *at >= since);
        events.map(|(_, node, event)| (*node, event))
    }
}
