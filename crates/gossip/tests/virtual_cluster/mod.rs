//! A cluster of machines in virtual time, for tests and figures.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use syncline_crdt::{CarrierId, Context, ReplicaId};
use syncline_gossip::convergence::{
    Config, Convergence, Found, Input, Message, Output, PeerReport, Standing,
};

pub(crate) const APP: &str = "app";
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

type Passes = Box<dyn FnMut(u32, u32, &Message<u32>) -> bool>;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Convergence<u32>>,
    pub(crate) now: Duration,
    random: Vec<ChaCha8Rng>,
    config: Config,
    due: BTreeMap<(Duration, u64), (u32, Input<u32>)>,
    begun: u64,
    /// Whether a message passes.
    pub(crate) passes: Passes,
    /// Everything that came out but timers, by node.
    pub(crate) seen: Vec<(u32, Output<u32>)>,
    pub(crate) keeps_seen: bool,
    /// Bytes sent by each.
    pub(crate) bytes: Vec<u64>,
    /// What each one's store is said to have.
    pub(crate) stores: Vec<Context>,
}

impl Cluster {
    pub(crate) fn new(nodes: u32) -> Self {
        Self::with(nodes, Config::default())
    }

    pub(crate) fn with(nodes: u32, config: Config) -> Self {
        let mut cluster = Self::unacquainted(nodes, config);
        for node in 0..nodes {
            for peer in (0..nodes).filter(|peer| *peer != node) {
                cluster.up(node, peer);
            }
        }
        cluster
    }

    pub(crate) fn unacquainted(nodes: u32, config: Config) -> Self {
        let machine = |me| Convergence::new(me, 1, config.clone());
        Self {
            nodes: (0..nodes).map(machine).collect(),
            now: Duration::ZERO,
            random: (0..nodes)
                .map(|node| ChaCha8Rng::seed_from_u64(node.into()))
                .collect(),
            config,
            due: BTreeMap::new(),
            begun: 0,
            passes: Box::new(|_, _, _| true),
            seen: Vec::new(),
            keeps_seen: true,
            bytes: vec![0; nodes as usize],
            stores: vec![Context::new(); nodes as usize],
        }
    }

    pub(crate) fn up(&mut self, node: u32, peer: u32) {
        let namespaces = vec![APP.into()];
        self.input(
            node,
            Input::Up {
                node: peer,
                namespaces,
            },
        );
    }

    /// A new process of a node, that has met nobody.
    pub(crate) fn restart(&mut self, node: u32, generation: u64) {
        self.nodes[node as usize] = Convergence::new(node, generation, self.config.clone());
        self.due
            .retain(|_, (at, input)| *at != node || !matches!(input, Input::Timer(_)));
    }

    pub(crate) fn stand(&mut self, node: u32, root: u8, durable: &Context) {
        self.stores[node as usize] = durable.clone();
        let standing = Standing {
            namespace: APP.into(),
            carrier: carrier(node),
            root: [root; 40],
            durable: Arc::new(durable.clone()),
        };
        self.input(node, Input::Standing(standing));
    }

    pub(crate) fn input(&mut self, node: u32, input: Input<u32>) {
        let at = node as usize;
        for output in self.nodes[at].handle(input, self.now, &mut self.random[at]) {
            if let Output::Send { to, message } = &output {
                self.bytes[at] += message.to_bytes().len() as u64;
                if (self.passes)(node, *to, message) {
                    let message = Message::from_bytes(&message.to_bytes()).unwrap();
                    let input = Input::Received {
                        from: node,
                        message,
                    };
                    self.later(LATENCY, *to, input);
                }
            }
            if let Output::Wake { timer, after } = output {
                self.later(after, node, Input::Timer(timer));
            } else if self.keeps_seen {
                self.seen.push((node, output));
            }
        }
    }

    fn later(&mut self, after: Duration, node: u32, input: Input<u32>) {
        self.begun += 1;
        self.due
            .insert((self.now + after, self.begun), (node, input));
    }

    /// The first thing that is due until then.
    fn step(&mut self, until: Duration) -> bool {
        let Some(first) = self.due.first_entry().filter(|it| it.key().0 <= until) else {
            self.now = until;
            return false;
        };
        let ((at, _), (node, input)) = first.remove_entry();
        self.now = at;
        self.input(node, input);
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// Whether it comes to hold within the time.
    pub(crate) fn comes(&mut self, within: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + within;
        while !holds(self) {
            if !self.step(until) {
                return holds(self);
            }
        }
        true
    }

    /// What a node can tell of a peer.
    pub(crate) fn report(&self, node: u32, peer: u32) -> PeerReport<u32> {
        let reports = self.nodes[node as usize].peers(APP, self.now);
        reports.into_iter().find(|it| it.peer == peer).unwrap()
    }

    /// Answers all that were asked to look, as their stores have it.
    pub(crate) fn look(&mut self) {
        for (node, output) in std::mem::take(&mut self.seen) {
            let Output::Look {
                from, ask, write, ..
            } = output
            else {
                continue;
            };
            let found = match self.stores[node as usize].covers(write.live()) {
                true => Found::Here,
                false => Found::NotYet,
            };
            let looked = Input::Looked {
                from,
                ask,
                carrier: carrier(node),
                found,
            };
            self.input(node, looked);
        }
    }
}

pub(crate) fn carrier(node: u32) -> CarrierId {
    CarrierId::from_bytes([node as u8; 16])
}

pub(crate) fn replica(id: u32) -> ReplicaId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    ReplicaId::from_bytes(bytes)
}

/// So many dots of one replica.
pub(crate) fn dots(id: u32, count: u64) -> Context {
    let mut context = Context::new();
    context.insert_range(replica(id), 1, count);
    context
}
