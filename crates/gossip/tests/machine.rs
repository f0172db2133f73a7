//! Single machines: what they answer, and what a peer cannot make them do.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use syncline_crdt::{Context, Dot, ReplicaId};
use syncline_gossip::{
    Config, Dissemination, Input, Members, Message, Notice, Output, Pushed, Rumour, RumourId,
    Strategy, Timer,
};

const A: ReplicaId = ReplicaId::from_bytes([1; 16]);

struct Machine {
    gossip: Dissemination<u32>,
    random: ChaCha8Rng,
}

impl Machine {
    fn new(config: Config, members: impl IntoIterator<Item = u32>) -> Self {
        let mut machine = Self {
            gossip: Dissemination::new(0, config),
            random: ChaCha8Rng::seed_from_u64(1),
        };
        machine.input(Input::View(members.into_iter().collect::<Members<u32>>()));
        machine
    }

    fn tree(members: impl IntoIterator<Item = u32>) -> Self {
        Self::new(Config::new(Strategy::Plumtree), members)
    }

    /// Every member is a neighbour, by a branch.
    fn linked(members: impl IntoIterator<Item = u32> + Clone) -> Self {
        let mut machine = Self::tree(members.clone());
        for member in members {
            machine.receive(member, Message::Link { near: false });
        }
        machine
    }

    fn input(&mut self, input: Input<u32>) -> Vec<Output<u32>> {
        self.gossip.handle(input, &mut self.random)
    }

    fn receive(&mut self, from: u32, message: Message) -> Vec<Output<u32>> {
        self.input(Input::Received { from, message })
    }

    /// What it sends to a peer, nothing else.
    fn says(&mut self, to: u32, input: Input<u32>) -> Vec<Message> {
        let outputs = self.input(input).into_iter();
        let said = outputs.filter_map(|output| match output {
            Output::Send { to: peer, message } if peer == to => Some(message),
            _ => None,
        });
        said.collect()
    }
}

fn rumour(counter: u64) -> Rumour {
    Rumour::new(A, counter, counter, vec![7; 100]).unwrap()
}

fn pushed(rumour: Rumour, hops: u16, asked: bool) -> Message {
    let pushed = Pushed { rumour, hops };
    Message::Push { pushed, asked }
}

fn push(counter: u64, hops: u16) -> Message {
    pushed(rumour(counter), hops, false)
}

fn announce(counters: impl IntoIterator<Item = u64>) -> Message {
    let notice = |counter| Notice {
        id: id(counter),
        hops: 3,
    };
    Message::Announce(counters.into_iter().map(notice).collect())
}

fn id(counter: u64) -> RumourId {
    rumour(counter).id()
}

#[test]
fn a_rumour_is_delivered_once() {
    let mut machine = Machine::tree([1, 2]);
    let deliveries = |outputs: Vec<Output<u32>>| {
        let delivered = |output: &&Output<u32>| matches!(output, Output::Deliver(_));
        outputs.iter().filter(delivered).count()
    };
    assert_eq!(deliveries(machine.receive(1, push(5, 1))), 1);
    assert_eq!(deliveries(machine.receive(1, push(5, 1))), 0);
    assert_eq!(deliveries(machine.receive(2, push(5, 1))), 0);
    // What a session has brought is no news.
    machine.input(Input::Learned([Dot::new(A, 6)].into_iter().collect()));
    assert_eq!(deliveries(machine.receive(2, push(6, 1))), 0);
    // Our own are not delivered to us.
    assert_eq!(deliveries(machine.input(Input::Publish(rumour(7)))), 0);
}

#[test]
fn a_transaction_known_in_part_is_news() {
    let mut machine = Machine::tree([1]);
    machine.input(Input::Learned([Dot::new(A, 3)].into_iter().collect()));
    let rumour = Rumour::new(A, 1, 3, Vec::new()).unwrap();
    let outputs = machine.receive(1, pushed(rumour.clone(), 1, false));
    assert!(outputs.contains(&Output::Deliver(rumour)));
}

#[test]
fn the_later_of_two_equal_ways_leaves_the_tree() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, 2));
    let late = Input::Received {
        from: 2,
        message: push(5, 2),
    };
    assert_eq!(machine.says(2, late), [Message::Prune]);
    assert_eq!(machine.gossip.branches().collect::<Vec<_>>(), [1]);
}

#[test]
fn what_is_ours_and_comes_back_shows_a_cycle() {
    let mut machine = Machine::linked([1, 2]);
    machine.input(Input::Publish(rumour(5)));
    let back = Input::Received {
        from: 2,
        message: push(5, 3),
    };
    assert_eq!(machine.says(2, back), [Message::Prune]);
}

#[test]
fn of_two_copies_that_cross_the_one_of_far_fewer_hops_decides() {
    // Theirs came to them over 5 hops and crosses ours, which comes to them over 3: they will turn to us.
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, 2));
    let crossing = Input::Received {
        from: 2,
        message: push(5, 6),
    };
    assert_eq!(machine.says(2, crossing), []);
    assert!(machine.gossip.branches().any(|peer| peer == 2));
}

#[test]
fn a_copy_pulled_first_leaves_the_tree_as_it_is() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(9, pushed(rumour(5), 4, true));
    let tree = Input::Received {
        from: 1,
        message: push(5, 4),
    };
    assert_eq!(machine.says(1, tree), []);
    assert_eq!(machine.gossip.branches().count(), 2);
}

#[test]
fn hops_without_end_are_only_hops() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, u16::MAX));
    machine.receive(2, push(5, u16::MAX));
    machine.receive(2, push(6, u16::MAX));
    assert!(machine.gossip.known().contains(&Dot::new(A, 6)));
}

#[test]
fn a_way_of_far_fewer_hops_replaces_the_quicker_one() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, 6));
    let late = Input::Received {
        from: 2,
        message: push(5, 2),
    };
    assert_eq!(machine.says(1, late), [Message::Prune]);
    assert_eq!(machine.gossip.branches().collect::<Vec<_>>(), [2]);
}

#[test]
fn what_was_announced_and_does_not_come_is_asked_for() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(2, Message::Prune);
    machine.receive(2, announce([5, 6]));
    assert_eq!(
        machine.says(2, Input::Timer(Timer::Ask)),
        [],
        "it has its time to come"
    );
    machine.receive(1, push(6, 1));
    let asked = machine.says(2, Input::Timer(Timer::Ask));
    assert_eq!(asked, [Message::Graft(vec![id(5)])]);
    assert!(machine.gossip.branches().any(|peer| peer == 2));
}

#[test]
fn a_graft_is_answered_with_what_is_still_there() {
    let mut machine = Machine::linked([1, 2]);
    machine.receive(1, push(5, 1));
    let graft = Input::Received {
        from: 2,
        message: Message::Graft(vec![id(5), id(99)]),
    };
    let answer = pushed(rumour(5), 2, true);
    assert_eq!(machine.says(2, graft), [answer]);
}

#[test]
fn a_pull_brings_what_is_there_and_sends_the_rest_to_a_session() {
    let mut config = Config::new(Strategy::Pull);
    config.recent_bytes = 600;
    let mut machine = Machine::new(config, [1]);
    for counter in 1..=4 {
        machine.input(Input::Publish(rumour(counter)));
    }
    let pull = |known: Context| Message::Pull {
        known,
        mutual: false,
    };
    // Of the four, two fit the buffer.
    let outputs = machine.receive(1, pull(Context::new()));
    let pushed = |output: &&Output<u32>| {
        matches!(
            output,
            Output::Send {
                message: Message::Push { .. },
                ..
            }
        )
    };
    assert_eq!(outputs.iter().filter(pushed).count(), 2);
    assert!(outputs.contains(&Output::Lagging(1)));
    let mut known = Context::new();
    known.insert_range(A, 1, 3);
    let outputs = machine.receive(1, pull(known));
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let same = machine.gossip.known().clone();
    assert_eq!(machine.receive(1, pull(same)), []);
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
fn a_rumour_alone_goes_at_once_and_those_that_follow_go_together() {
    let mut machine = Machine::linked([1, 2]);
    let publish = |counter| Input::Publish(rumour(counter));
    assert_eq!(machine.says(1, publish(1)), [push(1, 1)]);
    assert_eq!(machine.says(1, publish(2)), []);
    assert_eq!(machine.says(1, publish(3)), []);
    let batch = |counters: [u64; 2]| {
        let pushed = |counter| Pushed {
            rumour: rumour(counter),
            hops: 1,
        };
        Message::Batch(counters.map(pushed).to_vec())
    };
    assert_eq!(
        machine.says(1, Input::Timer(Timer::Gather)),
        [batch([2, 3])]
    );
    // What comes while the second window is open waits for its end; after a silence nothing does.
    assert_eq!(machine.says(2, publish(4)), []);
    assert_eq!(machine.says(2, Input::Timer(Timer::Gather)), [push(4, 1)]);
    assert_eq!(machine.input(Input::Timer(Timer::Gather)), []);
    assert_eq!(machine.says(2, publish(5)), [push(5, 1)]);
    // The other side takes each as it would alone.
    let mut other = Machine::linked([1, 2]);
    let outputs = other.receive(1, batch([2, 3]));
    let delivered = outputs.iter().filter(|it| matches!(it, Output::Deliver(_)));
    assert_eq!(delivered.count(), 2);
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
fn a_large_rumour_is_offered_and_sent_to_who_wants_it() {
    let large = Rumour::new(A, 1, 1, vec![0; 65 << 10]).unwrap();
    let notice = |hops| Notice { id: id(1), hops };
    let mut ada = Machine::linked([1, 2]);
    let offer = ada.says(1, Input::Publish(large.clone()));
    assert_eq!(offer, [Message::Offer(vec![notice(1)])]);
    // Of two who offer it, the first is asked at once, the other if that comes to nothing.
    let mut bob = Machine::linked([1, 2]);
    let offered = |from| Input::Received {
        from,
        message: Message::Offer(vec![notice(1)]),
    };
    assert_eq!(bob.says(1, offered(1)), [Message::Want(vec![id(1)])]);
    assert_eq!(bob.says(2, offered(2)), []);
    assert_eq!(bob.says(2, Input::Timer(Timer::Ask)), []);
    assert_eq!(
        bob.says(2, Input::Timer(Timer::Ask)),
        [Message::Graft(vec![id(1)])]
    );
    let want = Input::Received {
        from: 1,
        message: Message::Want(vec![id(1)]),
    };
    let answer = ada.says(1, want);
    assert_eq!(answer, [pushed(large.clone(), 1, true)]);
    // And it goes on from there the same way.
    let outputs = bob.receive(1, answer[0].clone());
    assert!(outputs.contains(&Output::Deliver(large)));
    let message = Message::Offer(vec![notice(2)]);
    assert!(outputs.contains(&Output::Send { to: 2, message }));
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

#[test]
fn who_is_gone_is_no_branch_and_is_replaced() {
    let mut machine = Machine::tree(1..=50);
    machine.input(Input::Timer(Timer::Period));
    let gone = machine.gossip.branches().next().unwrap();
    let before = machine.gossip.branches().count();
    let outputs = machine.input(Input::Down(gone));
    assert!(machine.gossip.branches().all(|peer| peer != gone));
    assert_eq!(machine.gossip.branches().count(), before);
    assert!(outputs.iter().any(|it| matches!(
        it,
        Output::Send {
            message: Message::Link { near: false },
            ..
        }
    )));
}

fn far_and_near() -> Machine {
    let mut machine = Machine::linked([1]);
    for (peer, milliseconds) in [(1, 80), (2, 2)] {
        let rtt = Duration::from_millis(milliseconds);
        machine.input(Input::Up(peer));
        machine.input(Input::Rtt { peer, rtt });
    }
    machine
}

#[test]
fn a_member_that_is_much_nearer_becomes_a_neighbour_but_no_branch_yet() {
    let mut machine = far_and_near();
    let asked = machine.says(2, Input::Timer(Timer::Period));
    assert!(asked.contains(&Message::Link { near: true }), "{asked:?}");
    assert_eq!(machine.gossip.neighbours().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(machine.gossip.branches().collect::<Vec<_>>(), [1]);
    // Of members that are about as far as each other, none is preferred.
    let mut machine = far_and_near();
    let rtt = Duration::from_millis(20);
    machine.input(Input::Rtt { peer: 2, rtt });
    let asked = machine.says(2, Input::Timer(Timer::Period));
    assert!(!asked.contains(&Message::Link { near: true }), "{asked:?}");
}

#[test]
fn a_much_quicker_link_takes_the_place_of_the_one_that_brought_a_rumour() {
    let notice = |hops| {
        let message = Message::Announce(vec![Notice { id: id(5), hops }]);
        Input::Received { from: 2, message }
    };
    let mut machine = far_and_near();
    machine.receive(2, Message::Link { near: true });
    machine.receive(1, push(5, 3));
    // It would have come by more hops than it did: it may have come from us.
    assert_eq!(machine.says(2, notice(5)), []);
    let mut outputs = machine.input(notice(3));
    assert_eq!(machine.gossip.branches().collect::<Vec<_>>(), [2]);
    outputs.sort_by_key(|output| matches!(output, Output::Send { to: 1, .. }));
    let send = |to, message| Output::Send { to, message };
    assert_eq!(
        outputs,
        [send(2, Message::Graft(Vec::new())), send(1, Message::Prune)]
    );
}

#[test]
fn of_two_with_as_many_hops_only_one_turns_to_the_other() {
    // The machine is member 0; with 4 hops to us, the other has had it over 3, as we had.
    let mut machine = far_and_near();
    machine.receive(2, Message::Link { near: true });
    machine.receive(1, push(5, 3));
    let message = Message::Announce(vec![Notice { id: id(5), hops: 4 }]);
    let greater = Input::Received { from: 2, message };
    assert_eq!(machine.says(2, greater), []);
}

#[test]
fn some_links_stay_left_to_chance_though_all_others_are_near() {
    let mut machine = Machine::tree(1..=500);
    for period in 0..60 {
        for peer in machine.gossip.neighbours().collect::<Vec<_>>() {
            machine.receive(peer, Message::Prune);
        }
        for peer in 1..=500 {
            let milliseconds = if peer % 2 == 0 { 2 } else { 200 };
            let rtt = Duration::from_millis(milliseconds);
            machine.input(Input::Rtt { peer, rtt });
        }
        machine.receive(period + 1, Message::Link { near: false });
        machine.input(Input::Timer(Timer::Period));
    }
    let neighbours: Vec<u32> = machine.gossip.neighbours().collect();
    let far = neighbours.iter().filter(|it| *it % 2 == 1).count();
    assert!((1..=8).contains(&far), "{neighbours:?}");
    assert!((13..=26).contains(&neighbours.len()), "{neighbours:?}");
}

#[test]
fn what_comes_together_is_passed_on_together() {
    let mut machine = Machine::linked([1, 2]);
    let batch = (1..=300).map(|counter| Pushed {
        rumour: rumour(counter),
        hops: 1,
    });
    let message = Message::Batch(batch.collect());
    let said = machine.says(2, Input::Received { from: 1, message });
    let [Message::Batch(passed_on)] = &said[..] else {
        panic!("{} messages", said.len());
    };
    assert_eq!(passed_on.len(), 300);
}
