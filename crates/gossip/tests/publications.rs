//! Publications in virtual time: on a network that delays, overtakes, doubles, loses and cuts.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use syncline_crdt::{Context, ReplicaId};
use syncline_gossip::publication::Publications;
use syncline_gossip::{Input, Message, Output, Pushed, Rumour, Timer};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Net {
    nodes: Vec<Publications<u32>>,
    random: ChaCha8Rng,
    now: Duration,
    due: BTreeMap<(Duration, u64), (u32, Input<u32>)>,
    begun: u64,
    /// What came to each, and by which number of its publisher.
    told: Vec<Vec<(ReplicaId, u64, Vec<u8>)>>,
    cut: BTreeSet<u32>,
    /// In percent of messages.
    doubled: u32,
    lost: u32,
    pushes: usize,
    messages: usize,
}

impl Net {
    fn new(count: u32, seed: u64) -> Self {
        let mut net = Self {
            nodes: (0..count).map(Publications::new).collect(),
            random: ChaCha8Rng::seed_from_u64(seed),
            now: Duration::ZERO,
            due: BTreeMap::new(),
            begun: 0,
            told: vec![Vec::new(); count as usize],
            cut: BTreeSet::new(),
            doubled: 0,
            lost: 0,
            pushes: 0,
            messages: 0,
        };
        for node in 0..count {
            for peer in (0..count).filter(|it| *it != node) {
                net.input(node, Input::Up(peer));
            }
        }
        net.run(ms(3000));
        net
    }

    fn input(&mut self, node: u32, input: Input<u32>) {
        let machine = &mut self.nodes[node as usize];
        let outputs = machine.handle(input, &mut self.random);
        self.carry_out(node, outputs);
    }

    fn publish(&mut self, node: u32, payload: &[u8]) {
        let machine = &mut self.nodes[node as usize];
        let outputs = machine.publish(payload.to_vec(), &mut self.random);
        self.carry_out(node, outputs);
    }

    fn carry_out(&mut self, node: u32, outputs: Vec<Output<u32>>) {
        for output in outputs {
            match output {
                Output::Send { to, message } => self.send(node, to, &message),
                Output::Wake { timer, after } => self.later(after, node, Input::Timer(timer)),
                Output::Deliver(rumour) => {
                    let id = rumour.id();
                    let told = (id.replica(), id.last(), rumour.payload().to_vec());
                    self.told[node as usize].push(told);
                }
                Output::Lagging(_) => panic!("there are no sessions for them"),
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, message: &Message) {
        self.messages += 1;
        self.pushes += match &message {
            Message::Push { .. } => 1,
            Message::Batch(batch) => batch.len(),
            _ => 0,
        };
        let is_cut = self.cut.contains(&from) != self.cut.contains(&to);
        let copies = 1 + u32::from(self.random.random_range(0..100) < self.doubled);
        for _ in 0..copies {
            if !is_cut && self.random.random_range(0..100) >= self.lost {
                let after = ms(self.random.random_range(1..50));
                let message = Message::from_bytes(&message.to_bytes()).unwrap();
                self.later(after, to, Input::Received { from, message });
            }
        }
    }

    fn later(&mut self, after: Duration, node: u32, input: Input<u32>) {
        self.begun += 1;
        let at = (self.now + after, self.begun);
        self.due.insert(at, (node, input));
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(first) = self.due.first_entry().filter(|it| it.key().0 <= until) {
            let ((at, _), (node, input)) = first.remove_entry();
            self.now = at;
            self.input(node, input);
        }
        self.now = until;
    }

    /// What came to a node, of each publisher.
    fn by_publisher(&self, node: u32) -> BTreeMap<ReplicaId, Vec<u64>> {
        let mut by_publisher: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (publisher, number, _) in &self.told[node as usize] {
            by_publisher.entry(*publisher).or_default().push(*number);
        }
        by_publisher
    }

    fn payloads(&self, node: u32) -> Vec<&[u8]> {
        let told = self.told[node as usize].iter();
        told.map(|(_, _, payload)| &payload[..]).collect()
    }
}

#[test]
fn each_comes_to_all_others_once_and_in_the_order_of_its_publisher() {
    for seed in 0..8 {
        let mut net = Net::new(20, seed);
        net.doubled = 30;
        for number in 1..=200_u32 {
            for node in [3, 11] {
                net.publish(node, &number.to_be_bytes());
            }
            net.run(ms(3));
        }
        net.run(ms(10_000));
        for node in 0..20 {
            let heard = net.by_publisher(node);
            let publishers = if [3, 11].contains(&node) { 1 } else { 2 };
            assert_eq!(heard.len(), publishers, "node {node}");
            for numbers in heard.values() {
                assert_eq!(*numbers, (1..=200).collect::<Vec<_>>(), "node {node}");
            }
            assert_eq!(net.nodes[node as usize].lost(), 0);
        }
        // Along a tree: not every link carries each of them.
        assert!(net.pushes < 400 * 19 * 3, "{} copies", net.pushes);
    }
}

#[test]
fn what_a_link_loses_others_make_up_for_and_the_order_holds() {
    let mut net = Net::new(12, 1);
    net.lost = 5;
    for number in 1..=300_u32 {
        net.publish(0, &number.to_be_bytes());
        net.run(ms(20));
    }
    net.run(ms(10_000));
    let mut missed = 0;
    for node in 1..12 {
        let heard = net.by_publisher(node);
        for numbers in heard.values() {
            assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
            missed += 300 - numbers.len();
        }
    }
    assert!(missed < 11 * 300 / 50, "{missed} of {}", 11 * 300);
}

#[test]
fn who_was_cut_off_gets_what_is_published_later_and_nothing_else() {
    let mut net = Net::new(3, 5);
    net.publish(0, b"before");
    net.run(ms(1000));
    net.cut = [2].into();
    net.publish(0, b"unheard");
    net.run(ms(1000));
    for (node, peer) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        net.input(node, Input::Down(peer));
    }
    net.publish(0, b"unheard, too");
    net.run(ms(60_000));
    net.cut.clear();
    for (node, peer) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
        net.input(node, Input::Up(peer));
    }
    net.run(ms(20_000));
    net.publish(0, b"after");
    net.run(ms(5000));
    assert_eq!(net.payloads(2), [&b"before"[..], b"after"]);
    let all = [&b"before"[..], b"unheard", b"unheard, too", b"after"];
    assert_eq!(net.payloads(1), all);
}

#[test]
fn two_sides_of_a_split_hear_of_each_other_again() {
    for seed in 0..8 {
        let mut net = Net::new(40, seed);
        let sides: Vec<BTreeSet<u32>> = vec![(0..16).collect(), (16..40).collect()];
        let across: Vec<_> = (0..16)
            .flat_map(|one| (16..40).flat_map(move |other| [(one, other), (other, one)]))
            .collect();
        net.cut = sides[0].clone();
        for (node, peer) in &across {
            net.input(*node, Input::Down(*peer));
        }
        net.run(ms(60_000));
        net.cut.clear();
        for (node, peer) in &across {
            net.input(*node, Input::Up(*peer));
        }
        net.run(ms(5000));
        net.publish(0, b"to the others");
        net.publish(39, b"and back");
        net.run(ms(5000));
        for node in 1..39 {
            let mut heard = net.payloads(node);
            heard.sort_unstable();
            assert_eq!(
                heard,
                [&b"and back"[..], b"to the others"],
                "{node}, {seed}"
            );
        }
    }
}

#[test]
fn who_was_taken_for_dead_and_has_not_noticed_hears_again() {
    let mut net = Net::new(3, 7);
    for node in [0, 1] {
        net.input(node, Input::Down(2));
        net.input(node, Input::Up(2));
    }
    // One that looks for neighbours has enough of them without it.
    net.run(ms(60_000));
    net.publish(0, b"after");
    net.run(ms(5000));
    assert_eq!(net.payloads(2), [b"after"]);
}

#[test]
fn nothing_is_said_of_the_past() {
    let mut net = Net::new(3, 9);
    for _ in 0..100 {
        net.publish(0, b"news");
    }
    net.run(ms(60_000));
    let (messages, pushes) = (net.messages, net.pushes);
    net.run(ms(60_000));
    assert_eq!(net.pushes, pushes);
    // A reminder of one neighbour in four seconds.
    assert!(net.messages - messages <= 3 * 15 + 3);
    // Whoever asks gets no answer.
    let outputs = net.nodes[0].handle(
        Input::Received {
            from: 1,
            message: Message::Pull {
                known: Context::new(),
                mutual: true,
            },
        },
        &mut net.random,
    );
    assert_eq!(outputs, []);
}

#[test]
fn a_publisher_that_was_silent_for_long_is_heard_at_once() {
    let mut net = Net::new(2, 2);
    for _ in 0..20 {
        net.publish(0, b"early");
    }
    net.run(Duration::from_secs(1300));
    assert!(net.nodes[1].known().is_empty(), "it was forgotten");
    net.told[1].clear();
    net.publish(0, b"late");
    net.run(ms(100));
    assert_eq!(net.payloads(1), [b"late"], "nobody waits for the first 20");
}

#[test]
fn a_flood_costs_bounded_memory_and_is_over_some_time_after_it() {
    let mut machine = Publications::new(0_u32);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    machine.handle(Input::Up(1), &mut random);
    let mut push = |machine: &mut Publications<u32>, name: [u8; 16], number| {
        let rumour = Rumour::new(ReplicaId::from_bytes(name), number, number, vec![0; 100]);
        let rumour = rumour.unwrap();
        let message = Message::Push {
            pushed: Pushed { rumour, hops: 1 },
            asked: false,
        };
        let outputs = machine.handle(Input::Received { from: 1, message }, &mut random);
        let delivered = |it: &&Output<u32>| matches!(it, Output::Deliver(_));
        outputs.iter().filter(delivered).count()
    };
    for invented in 0..10_000_u128 {
        push(&mut machine, invented.to_be_bytes(), 1 + invented as u64);
    }
    assert_eq!(machine.known().interval_count(), 4096);
    assert!(machine.stats().rumours_refused > 5000);
    assert_eq!(push(&mut machine, [0; 16], 2), 1, "who was known goes on");
    assert_eq!(push(&mut machine, [0xaa; 16], 1), 0);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..601 {
        machine.handle(Input::Timer(Timer::Period), &mut random);
    }
    let known = machine.known().interval_count();
    assert_eq!(known, 0);
}
