//! Bytes per second: held, shared, and bounded.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use syncline_gossip::budget::{Budget, Class, Input, Limits, Output};

const MB: u64 = 1_000_000;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A budget with a clock. What is sent is an item's time of offering and its bytes.
struct Wire {
    budget: Budget<u32, (Duration, u64)>,
    now: Duration,
    wake: Option<Duration>,
    sent: Vec<(Duration, u32, Class, Duration, u64)>,
    dropped: Vec<(u32, Class, u64)>,
}

impl Wire {
    fn new(limits: Limits) -> Self {
        Self {
            budget: Budget::new(limits),
            now: Duration::ZERO,
            wake: None,
            sent: Vec::new(),
            dropped: Vec::new(),
        }
    }

    fn limited(node: Option<u64>, peer: Option<u64>) -> Self {
        Self::new(Limits {
            node,
            peer,
            ..Limits::new()
        })
    }

    fn input(&mut self, input: Input<u32, (Duration, u64)>) {
        for output in self.budget.handle(input, self.now) {
            match output {
                Output::Send { to, class, item } => {
                    self.sent.push((self.now, to, class, item.0, item.1))
                }
                Output::Dropped { to, class, item } => self.dropped.push((to, class, item.1)),
                Output::Wake { after } => self.wake = Some(self.now + after),
            }
        }
    }

    fn offer(&mut self, to: u32, class: Class, bytes: u64) {
        let item = (self.now, bytes);
        self.input(Input::Offer {
            to,
            class,
            bytes,
            item,
        });
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.wake.filter(|at| *at <= end) {
            self.now = at;
            self.wake = None;
            self.input(Input::Timer);
        }
        self.now = end;
    }

    fn bytes(&self, wanted: impl Fn(u32, Class) -> bool) -> u64 {
        let sent = self.sent.iter().filter(|it| wanted(it.1, it.2));
        sent.map(|it| it.4).sum()
    }
}

#[test]
fn a_rate_is_held_while_a_bootstrap_floods_and_rumours_do_not_wait() {
    let mut wire = Wire::limited(Some(MB), None);
    for step in 0..3000 {
        while wire.budget.waiting() < 500_000 {
            wire.offer(1, Class::Bootstrap, 64 << 10);
        }
        if step % 10 == 0 {
            wire.offer(step % 7, Class::Rumour, 1000);
        }
        wire.run(ms(10));
    }
    // In each second, and in all.
    for second in 1..30 {
        let within = |at: Duration| at.as_secs() == second;
        let bytes: u64 = wire
            .sent
            .iter()
            .filter(|it| within(it.0))
            .map(|it| it.4)
            .sum();
        assert!(
            (900_000..=1_100_000).contains(&bytes),
            "{bytes} in second {second}"
        );
    }
    let all = wire.bytes(|_, _| true);
    assert!((29 * MB..=31 * MB).contains(&all), "{all}");
    let rumours = wire.sent.iter().filter(|it| it.2 == Class::Rumour);
    let waits: Vec<_> = rumours.map(|it| it.0 - it.3).collect();
    assert_eq!(waits.len(), 300);
    assert!(
        waits.iter().all(|wait| *wait <= ms(150)),
        "{:?}",
        waits.iter().max()
    );
}

#[test]
fn the_least_important_gets_its_share_and_no_more() {
    let mut wire = Wire::limited(Some(MB), None);
    for _ in 0..1000 {
        for class in [Class::Rumour, Class::Bootstrap] {
            while wire.bytes(|_, it| it == class) + 300_000 > offered(&wire, class) {
                wire.offer(1, class, 10_000);
            }
        }
        wire.run(ms(20));
    }
    let share = wire.bytes(|_, it| it == Class::Bootstrap) as f64 / wire.bytes(|_, _| true) as f64;
    assert!((0.04..0.07).contains(&share), "{share}");
}

fn offered(wire: &Wire, class: Class) -> u64 {
    let spent = wire.budget.spent(class);
    let waiting = wire.budget.waiting_of(class);
    spent.sent_bytes + spent.dropped_bytes + waiting
}

#[test]
fn each_peer_has_its_rate_and_its_turn() {
    let mut wire = Wire::limited(Some(MB), Some(100_000));
    for _ in 0..500 {
        for peer in 0..5 {
            wire.offer(peer, Class::Pull, 5_000);
        }
        wire.run(ms(20));
    }
    for peer in 0..5 {
        let bytes = wire.bytes(|it, _| it == peer);
        assert!((950_000..=1_050_000).contains(&bytes), "{bytes} for {peer}");
    }

    // When the node's rate is what is short, it is divided evenly.
    let mut wire = Wire::limited(Some(100_000), None);
    for _ in 0..500 {
        for peer in 0..5 {
            wire.offer(peer, Class::Pull, 5_000);
        }
        wire.run(ms(20));
    }
    for peer in 0..5 {
        let bytes = wire.bytes(|it, _| it == peer);
        assert!((190_000..=210_000).contains(&bytes), "{bytes} for {peer}");
    }
}

#[test]
fn who_is_there_is_told_whatever_else_waits() {
    let mut wire = Wire::limited(Some(10_000), Some(10_000));
    for _ in 0..10 {
        wire.offer(1, Class::Walk, 50_000);
    }
    wire.offer(1, Class::Membership, 500);
    let last = wire.sent.last().unwrap();
    assert_eq!((last.0, last.2), (wire.now, Class::Membership));
}

#[test]
fn a_dead_peer_costs_bounded_memory_and_delays_nobody() {
    let mut wire = Wire::limited(Some(MB), None);
    wire.input(Input::Blocked(1));
    for _ in 0..1000 {
        wire.offer(1, Class::Rumour, 10_000);
        wire.offer(1, Class::Bootstrap, 10_000);
        wire.offer(2, Class::Bootstrap, 5_000);
        wire.run(ms(10));
    }
    assert!(wire.budget.waiting() <= 2 << 20);
    assert_eq!(wire.bytes(|peer, _| peer == 1), 0);
    assert_eq!(wire.bytes(|peer, _| peer == 2), 5 * MB);
    let dropped = wire.budget.spent(Class::Rumour).dropped;
    assert!((890..=900).contains(&dropped), "{dropped}");
    // Of the rumours the latest are kept; of the bootstrap the first.
    wire.input(Input::Ready(1));
    wire.run(Duration::from_secs(60));
    let to_it = |class| {
        wire.sent
            .iter()
            .filter(move |it| it.1 == 1 && it.2 == class)
            .map(|it| it.3)
    };
    assert_eq!(to_it(Class::Rumour).max(), Some(ms(9990)));
    assert!(to_it(Class::Bootstrap).max().unwrap() < ms(2000));
    assert_eq!(wire.budget.waiting(), 0);

    wire.input(Input::Blocked(3));
    wire.offer(3, Class::Walk, 7);
    wire.dropped.clear();
    wire.input(Input::Gone(3));
    assert_eq!(wire.dropped, [(3, Class::Walk, 7)]);
}

#[test]
fn without_limits_nothing_waits() {
    let mut wire = Wire::limited(None, None);
    for class in Class::ALL {
        wire.offer(1, class, 100 << 20);
    }
    assert_eq!(wire.sent.len(), Class::ALL.len());
    wire.budget.set_rates(Some(0), None);
    wire.offer(1, Class::Walk, 10);
    assert_eq!(wire.sent.len(), Class::ALL.len());
    assert_eq!(wire.budget.waiting(), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is offered is sent or dropped, once, and no rate is exceeded in any second by more than the burst and one item.
    #[test]
    fn nothing_is_lost_or_doubled_and_no_rate_is_exceeded(
        offers in prop::collection::vec((0..4_u32, 0..5_usize, 1..20_000_u64, 0..40_u64), 1..400),
        node in 50_000..500_000_u64,
        peer in 50_000..500_000_u64,
    ) {
        let limits = Limits { node: Some(node), peer: Some(peer), waiting: 60_000, waiting_in_all: 200_000, ..Limits::new() };
        let mut wire = Wire::new(limits);
        for (to, class, bytes, after) in &offers {
            // What may wait of these may overdraw.
            let class = Class::ALL[(*class).max(1)];
            wire.offer(*to, class, *bytes);
            prop_assert!(wire.budget.waiting() <= 200_000);
            wire.run(ms(*after));
        }
        wire.run(Duration::from_secs(60));
        prop_assert_eq!(wire.budget.waiting(), 0);
        prop_assert_eq!(wire.sent.len() + wire.dropped.len(), offers.len());
        let in_second = |from: Duration, wanted: &dyn Fn(u32) -> bool| -> u64 {
            let within = wire.sent.iter().filter(|it| it.0 >= from && it.0 < from + ms(1000) && wanted(it.1));
            within.map(|it| it.4).sum()
        };
        for (at, to, ..) in &wire.sent {
            prop_assert!(in_second(*at, &|_| true) <= node + node / 10 + 20_000);
            prop_assert!(in_second(*at, &|it| it == *to) <= peer + peer / 10 + 20_000);
        }
        let mut last = BTreeMap::new();
        for (_, to, class, offered, _) in &wire.sent {
            // In its order, for each peer and class.
            let before = last.insert((*to, *class), *offered);
            prop_assert!(before.is_none_or(|it| it <= *offered));
        }
    }
}

#[test]
fn items_are_small_where_the_rate_is() {
    let of = |node, peer| {
        let limits = Limits {
            node,
            peer,
            ..Limits::new()
        };
        limits.item_bytes(256 << 10)
    };
    assert_eq!(of(None, None), 256 << 10);
    assert_eq!(of(Some(1_000_000), None), 62_500);
    assert_eq!(of(Some(100 << 20), None), 256 << 10);
    assert_eq!(of(Some(1_000_000), Some(512 << 10)), 32 << 10);
    assert_eq!(of(None, Some(64 << 10)), 16 << 10);
}
