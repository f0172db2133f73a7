//! What it costs to tell who has what: bytes per node and second, by the size of the cluster, in virtual time.
//!
//! `cargo run --release -p syncline-gossip --example standings -- 5 100 1000`
//!
//! Ten nodes write ten times a second, everybody has it some 100 ms later and says where it stands, along a tree in which nobody has more than six
//! branches, over links of 10 to 50 ms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use syncline_crdt::{Canonical, CarrierId, Context, DecodeError, ReplicaId};
use syncline_gossip::convergence::{Config, Convergence, Input, Output, Standing};

/// As long as that of a real node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name(u32);

impl Canonical for Name {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 28]);
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn decode(input: &mut syncline_crdt::Input<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; 32] = input.array()?;
        let (_, last) = bytes.split_at(28);
        Ok(Self(
            last.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)),
        ))
    }
}

enum Event {
    Input(usize, Input<Name>),
    Moves(usize),
}

struct Run {
    nodes: Vec<Convergence<Name>>,
    random: ChaCha8Rng,
    now: Duration,
    due: BTreeMap<(Duration, u64), Event>,
    begun: u64,
    bytes: Vec<u64>,
}

impl Run {
    fn later(&mut self, after: Duration, event: Event) {
        self.begun += 1;
        self.due.insert((self.now + after, self.begun), event);
    }

    fn input(&mut self, at: usize, input: Input<Name>) {
        for output in self.nodes[at].handle(input, self.now, &mut self.random) {
            match output {
                Output::Send { to, message } => {
                    self.bytes[at] += message.to_bytes().len() as u64;
                    let delay = Duration::from_millis(self.random.random_range(10..50));
                    let from = Name(at as u32);
                    let input = Input::Received { from, message };
                    self.later(delay, Event::Input(to.0 as usize, input));
                }
                Output::Wake { timer, after } => {
                    self.later(after, Event::Input(at, Input::Timer(timer)));
                }
                _ => {}
            }
        }
    }

    /// Where a node stands that has all of the writes, but the very latest.
    fn standing(&mut self, at: usize, writes: bool) -> Input<Name> {
        let lag = self.random.random_range(0..200);
        let millis = self.now.as_millis() as u64;
        let count = if writes {
            millis.saturating_sub(lag) / 100
        } else {
            0
        };
        let mut durable = Context::new();
        for writer in 0..10 {
            durable.insert_range(ReplicaId::from_bytes([writer; 16]), 1, 1 + count);
        }
        let mut root = [7; 40];
        root[..8].copy_from_slice(&count.to_le_bytes());
        Input::Standing(Standing {
            namespace: "app".into(),
            carrier: CarrierId::from_bytes([at as u8; 16]),
            root,
            durable: Arc::new(durable),
        })
    }
}

fn main() {
    let sizes: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|it| it.parse().ok())
        .collect();
    println!("nodes  writes  bytes/node/s: mean  most  pace");
    for nodes in sizes {
        for writes in [false, true] {
            let (mean, most, pace) = measure(nodes, writes);
            println!("{nodes:5}  {writes:6}  {mean:18.0}  {most:4.0}  {pace:.1?}");
        }
    }
}

/// Bytes that a node sends in a second, on average and at most, and how often it speaks.
fn measure(nodes: u32, writes: bool) -> (f64, f64, Duration) {
    let node = |me| Convergence::new(Name(me), 1_700_000_000_000, Config::default());
    let mut run = Run {
        nodes: (0..nodes).map(node).collect(),
        random: ChaCha8Rng::seed_from_u64(1),
        now: Duration::ZERO,
        due: BTreeMap::new(),
        begun: 0,
        bytes: vec![0; nodes as usize],
    };
    let mut branches: Vec<Vec<Name>> = vec![Vec::new(); nodes as usize];
    for node in 1..nodes {
        let parent = loop {
            let parent = run.random.random_range(0..node);
            if branches[parent as usize].len() < 6 {
                break parent;
            }
        };
        branches[parent as usize].push(Name(node));
        branches[node as usize].push(Name(parent));
    }
    let namespaces = vec![Arc::from("app")];
    for (at, peers) in branches.into_iter().enumerate() {
        let first = run.standing(at, writes);
        run.input(at, first);
        for node in (0..nodes).map(Name) {
            let namespaces = namespaces.clone();
            run.input(at, Input::Up { node, namespaces });
        }
        let namespace = Arc::clone(&namespaces[0]);
        run.input(at, Input::Branches { namespace, peers });
        let after = Duration::from_millis(run.random.random_range(0..1_000));
        run.later(after, Event::Moves(at));
    }
    // Until all have heard of all, and then for some rounds.
    let warm = Duration::from_secs(60);
    let end = Duration::from_secs(180);
    let mut is_warm = false;
    while let Some(((at, _), event)) = run.due.pop_first() {
        if at > end {
            break;
        }
        run.now = at;
        if !is_warm && at > warm {
            is_warm = true;
            run.bytes.fill(0);
        }
        match event {
            Event::Input(at, input) => run.input(at, input),
            Event::Moves(at) => {
                let standing = run.standing(at, writes);
                run.input(at, standing);
                run.later(Duration::from_secs(1), Event::Moves(at));
            }
        }
    }
    let seconds = (end - warm).as_secs_f64();
    let per_second = |bytes: u64| bytes as f64 / seconds;
    let mean = per_second(run.bytes.iter().sum()) / f64::from(nodes);
    let most = run
        .bytes
        .iter()
        .max()
        .map_or(0.0, |bytes| per_second(*bytes));
    (mean, most, run.nodes[0].pace())
}
