//! When sessions begin: soon where there is a reason, seldom where there is none, and never all together.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_gossip::schedule::{Input, Outcome, Output, Pace, Schedule};
use syncline_gossip::{Cost, Selection};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One node, whose sessions take a tenth of a second and end as they are told to.
struct Node {
    schedule: Schedule<u32>,
    selection: Selection<u32>,
    random: ChaCha8Rng,
    now: Duration,
    wake: Option<Duration>,
    ends: Vec<(Duration, u32)>,
    begun: Vec<(Duration, u32)>,
    outcome: fn(u32) -> Outcome,
}

impl Node {
    fn new(seed: u64, peers: u32) -> Self {
        let mut node = Self {
            schedule: Schedule::new(Pace::new()),
            selection: Selection::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            now: Duration::ZERO,
            wake: None,
            ends: Vec::new(),
            begun: Vec::new(),
            outcome: |_| Outcome::Equal,
        };
        for peer in 0..peers {
            node.selection.set(peer, Cost::default());
            node.input(Input::Up(peer));
        }
        node
    }

    fn input(&mut self, input: Input<u32>) {
        let outputs = self
            .schedule
            .handle(input, self.now, &self.selection, &mut self.random);
        for output in outputs {
            match output {
                Output::Begin(peer) => {
                    self.begun.push((self.now, peer));
                    self.ends.push((self.now + ms(100), peer));
                }
                Output::Wake { after } => self.wake = Some(self.now + after),
            }
        }
    }

    /// The next thing that happens.
    fn next(&self) -> Option<Duration> {
        let ends = self.ends.iter().map(|(at, _)| *at);
        ends.chain(self.wake).min()
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            if self.wake == Some(at) {
                self.wake = None;
                self.input(Input::Timer);
            } else {
                let place = self.ends.iter().position(|it| it.0 == at).unwrap();
                let (_, with) = self.ends.swap_remove(place);
                let outcome = (self.outcome)(with);
                self.input(Input::Ended { with, outcome });
            }
        }
        self.now = end;
    }

    fn begun_since(&self, since: Duration) -> Vec<(Duration, u32)> {
        self.begun
            .iter()
            .copied()
            .filter(|it| it.0 >= since)
            .collect()
    }
}

#[test]
fn it_comes_to_rest_when_nothing_is_found_and_wakes_when_something_is() {
    let mut node = Node::new(1, 20);
    node.run(Duration::from_secs(600));
    let calm = node.now;
    node.run(Duration::from_secs(3600));
    let begun = node.begun_since(calm).len();
    assert!((40..=80).contains(&begun), "{begun} in an hour");
    let different: BTreeSet<_> = node.begun.iter().map(|it| it.1).collect();
    assert!(different.len() > 15, "{different:?}");

    node.outcome = |_| Outcome::Moved;
    node.run(Duration::from_secs(120));
    let busy = node.now;
    node.run(Duration::from_secs(600));
    let begun = node.begun_since(busy).len();
    assert!((200..=400).contains(&begun), "{begun} in ten minutes");
}

#[test]
fn a_lost_rumour_is_fetched_at_once_and_a_disagreement_soon() {
    for seed in 0..50 {
        let mut node = Node::new(seed, 20);
        node.run(Duration::from_secs(600));
        let since = node.now;
        node.input(Input::Lagging(7));
        node.input(Input::Disagrees(8));
        node.input(Input::Disagrees(8));
        node.run(Duration::from_secs(3));
        let first = |peer| {
            node.begun_since(since)
                .into_iter()
                .find(|it| it.1 == peer)
                .unwrap()
                .0
                - since
        };
        assert!(first(7) <= ms(200));
        assert!((ms(1000)..=ms(2000)).contains(&first(8)), "{:?}", first(8));
        let eights = node
            .begun_since(since)
            .iter()
            .filter(|it| it.1 == 8)
            .count();
        assert_eq!(eights, 1);
    }
}

#[test]
fn of_many_that_disagree_one_is_asked_at_a_time_and_none_any_more_when_that_has_helped() {
    let mut node = Node::new(1, 100);
    node.run(Duration::from_secs(600));
    let since = node.now;
    for _ in 0..20 {
        (0..100).for_each(|peer| node.input(Input::Disagrees(peer)));
        node.run(Duration::from_secs(1));
    }
    let begun = node.begun_since(since).len();
    assert!((10..=22).contains(&begun), "{begun} in 20 s");

    node.outcome = |_| Outcome::Moved;
    (0..100).for_each(|peer| node.input(Input::Disagrees(peer)));
    let since = node.now;
    node.run(Duration::from_secs(6));
    let begun = node.begun_since(since);
    assert!(begun[0].0 - since <= ms(2000), "{begun:?}");
    assert!(
        begun.len() <= 4,
        "one, and those of its own choice: {begun:?}"
    );
}

#[test]
fn who_disagrees_for_nothing_is_believed_less_and_less() {
    let mut node = Node::new(1, 1);
    let sessions = |node: &mut Node| {
        let since = node.now;
        for _ in 0..1000 {
            node.input(Input::Disagrees(0));
            node.run(Duration::from_secs(1));
        }
        node.begun_since(since).len()
    };
    let unfounded = sessions(&mut node);
    assert!((10..=50).contains(&unfounded), "{unfounded}");
    node.outcome = |_| Outcome::Moved;
    node.run(Duration::from_secs(200));
    let founded = sessions(&mut node);
    assert!(founded > 200, "{founded}");
}

#[test]
fn a_peer_that_comes_back_is_met_within_the_settling_time_by_somebody() {
    let mut node = Node::new(1, 20);
    node.run(Duration::from_secs(600));
    let since = node.now;
    node.input(Input::Down(3));
    node.input(Input::Up(3));
    node.run(Pace::new().settling);
    assert!(!node.begun_since(since).is_empty());
}

#[test]
fn a_failing_peer_is_tried_less_and_less_and_never_given_up() {
    let mut node = Node::new(1, 1);
    node.outcome = |_| Outcome::Failed;
    for _ in 0..36_000 {
        node.input(Input::Lagging(0));
        node.run(ms(100));
    }
    let gaps: Vec<_> = node.begun.windows(2).map(|it| it[1].0 - it[0].0).collect();
    assert!(gaps[0] < Duration::from_secs(4), "{gaps:?}");
    assert!(node.begun.len() < 60, "{gaps:?}");
    assert!(
        gaps.iter().all(|gap| *gap < Duration::from_secs(200)),
        "{gaps:?}"
    );
    node.outcome = |_| Outcome::Equal;
    node.run(Duration::from_secs(400));
    let since = node.now;
    node.input(Input::Lagging(0));
    node.run(Duration::from_secs(2));
    assert_eq!(node.begun_since(since).len(), 1);
}

#[test]
fn a_peer_that_always_has_news_is_let_alone_for_a_while() {
    let mut node = Node::new(1, 2);
    for _ in 0..10_000 {
        node.input(Input::Lagging(0));
        node.run(ms(10));
    }
    let with_it = node.begun.iter().filter(|it| it.1 == 0).count();
    assert!((50..=200).contains(&with_it), "{with_it} in 100 seconds");
    assert!(node.schedule.running() <= 2);
}

#[test]
fn a_thousand_that_start_at_once_do_not_storm() {
    let n = 1000;
    let seconds = 30;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut by_second = vec![0; seconds];
    let mut answering = BTreeMap::<(u64, u32), u32>::new();
    for node in 0..n {
        let mut it = Node::new(u64::from(node), 0);
        it.outcome = |_| Outcome::Moved;
        // The others turn up one after the other, as memberships find them.
        let mut ups: Vec<_> = (0..n)
            .filter(|peer| *peer != node)
            .map(|peer| (random.random_range(0..8000), peer))
            .collect();
        ups.sort_unstable();
        for (at, peer) in ups {
            it.run(ms(at).saturating_sub(it.now));
            it.selection.set(peer, Cost::default());
            it.input(Input::Up(peer));
        }
        it.run(Duration::from_secs(seconds as u64) - it.now);
        for (at, peer) in it.begun {
            if let Some(count) = by_second.get_mut(at.as_secs() as usize) {
                *count += 1;
            }
            *answering
                .entry((at.as_millis() as u64 / 100, peer))
                .or_default() += 1;
        }
    }
    let most = by_second.iter().max().unwrap();
    assert!(*most <= 700, "{by_second:?}");
    assert!(by_second[8..].iter().all(|it| *it >= 300), "{by_second:?}");
    // Nobody is met by more than a few at a time.
    assert!(*answering.values().max().unwrap() <= 8);
}
