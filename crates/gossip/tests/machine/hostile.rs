//! What a peer cannot make a machine do.

use syncline_crdt::{Context, Dot};
use syncline_gossip::{Config, Input, Message, Output, Rumour, Strategy, Timer};

use crate::single::{A, Machine, announce, id, push, pushed, rumour};

#[test]
fn hops_without_end_are_only_hops() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, u16::MAX));
    machine.receive(2, push(5, u16::MAX));
    machine.receive(2, push(6, u16::MAX));
    assert!(machine.gossip.known().contains(&Dot::new(A, 6)));
}

#[test]
fn announcements_without_end_are_bounded_and_one_peer_leaves_room_for_others() {
    let mut config = Config::new(Strategy::Plumtree);
    config.max_missing = 40;
    let mut machine = Machine::new(config, [1, 2]);
    for counter in 1..=1_000 {
        machine.receive(1, announce([counter]));
    }
    assert_eq!(machine.gossip.stats().announcements_refused, 990);
    machine.receive(2, announce([2_000]));
    machine.input(Input::Timer(Timer::Ask));
    let asked = machine.input(Input::Timer(Timer::Ask));
    let graft = |to, ids| Output::Send {
        to,
        message: Message::Graft(ids),
    };
    assert!(
        asked.contains(&graft(1, (1..=10).map(id).collect())),
        "{asked:?}"
    );
    assert!(asked.contains(&graft(2, vec![id(2_000)])), "{asked:?}");
    // Nobody answered: they are let go, and the timer with them.
    machine.input(Input::Timer(Timer::Ask));
    assert_eq!(machine.input(Input::Timer(Timer::Ask)), []);
    assert_eq!(machine.gossip.stats().announced_in_vain, 11);
}

#[test]
fn who_asks_without_end_gets_a_share_in_each_period() {
    let mut config = Config::new(Strategy::Plumtree);
    config.offer_above = 4 << 20;
    let mut machine = Machine::new(config, [1]);
    let large = Rumour::new(A, 1, 1, vec![0; 1 << 20]).unwrap();
    machine.input(Input::Publish(large));
    let want = || Input::Received {
        from: 1,
        message: Message::Want(vec![id(1)]),
    };
    let mut given = || {
        (0..100)
            .map(|_| machine.says(1, want()).len())
            .sum::<usize>()
    };
    assert_eq!(given(), 4);
    assert_eq!(given(), 0);
    machine.input(Input::Timer(Timer::Period));
    assert_eq!(machine.says(1, want()).len(), 1);
    // A context that claims to know nothing, over and over, begins one session, and then none.
    machine.input(Input::Learned([Dot::new(A, 9)].into_iter().collect()));
    let pull = || Message::Pull {
        known: Context::new(),
        mutual: false,
    };
    let outputs: Vec<_> = (0..100).flat_map(|_| machine.receive(1, pull())).collect();
    let sessions = outputs.iter().filter(|it| matches!(it, Output::Lagging(1)));
    assert_eq!(sessions.count(), 1);
    assert!(machine.gossip.stats().answers_refused > 180);
}

#[test]
fn rumours_that_would_make_us_deaf_or_fill_our_memory_are_refused() {
    let mut config = Config::new(Strategy::Plumtree);
    config.max_known = 3;
    let mut machine = Machine::new(config, [1]);
    let greedy = Rumour::new(A, 1, u64::MAX, Vec::new()).unwrap();
    assert_eq!(machine.receive(1, pushed(greedy, 1, false)), []);
    for counter in [10, 20, 30, 40, 31] {
        machine.receive(1, push(counter, 1));
    }
    let known = machine.gossip.known();
    assert!(
        [10, 20, 30, 31]
            .iter()
            .all(|it| known.contains(&Dot::new(A, *it)))
    );
    assert!(!known.contains(&Dot::new(A, 40)) && !known.contains(&Dot::new(A, 1)));
    assert_eq!(machine.gossip.stats().rumours_refused, 2);
    // What is replayed is counted, and not delivered.
    assert_eq!(machine.receive(1, push(10, 1)), []);
    assert_eq!(machine.gossip.stats().repeated, 1);
    assert_eq!(machine.gossip.stats().delivered, 4);
}

#[test]
fn what_is_gathered_for_a_peer_is_bounded() {
    let mut machine = Machine::linked([1]);
    for counter in 1..=2_000 {
        machine.input(Input::Publish(rumour(counter)));
    }
    let rest = machine.says(1, Input::Timer(Timer::Gather));
    let [Message::Batch(batch)] = &rest[..] else {
        unreachable!("{rest:?}")
    };
    assert!(batch.len() < 512, "{}", batch.len());
}

#[test]
fn strangers_and_crowds_become_no_neighbours() {
    let mut machine = Machine::tree([1]);
    let stranger = Input::Received {
        from: 99,
        message: Message::Link { near: false },
    };
    assert_eq!(machine.says(99, stranger), [Message::Unlink]);
    let mut machine = Machine::tree(1..=100);
    for from in 1..=100 {
        machine.receive(from, Message::Link { near: false });
    }
    assert!(
        machine.gossip.branches().count() <= 22,
        "{}",
        machine.gossip.branches().count()
    );
}
