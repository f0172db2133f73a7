//! Single machines: what they answer.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod hostile;
mod near;
mod single;

use single::{A, Machine, announce, id, push, pushed, rumour};
use syncline_crdt::{Context, Dot};
use syncline_gossip::{Config, Input, Message, Notice, Output, Pushed, Rumour, Strategy, Timer};

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

#[test]
fn who_comes_back_gets_its_share_of_the_links_and_no_more() {
    let mut machine = Machine::tree(1..=40);
    for peer in 17..=40 {
        machine.input(Input::Down(peer));
    }
    machine.input(Input::Timer(Timer::Period));
    // Enough of those who are left have linked to it, too.
    for peer in 1..=16 {
        machine.receive(peer, Message::Link { near: false });
        machine.receive(peer, Message::Prune);
    }
    let links = |machine: &Machine, peers: std::ops::RangeInclusive<u32>| {
        let all = machine.gossip.neighbours();
        all.filter(|peer| peers.contains(peer)).count()
    };
    let before = links(&machine, 1..=40);
    for peer in 17..=40 {
        machine.input(Input::Up(peer));
    }
    machine.input(Input::Timer(Timer::Period));
    // Three fifths of the five that it makes.
    assert_eq!(links(&machine, 17..=40), 3);
    assert_eq!(links(&machine, 1..=40), before, "others went for them");
    for _ in 0..20 {
        machine.input(Input::Timer(Timer::Period));
    }
    assert_eq!(links(&machine, 17..=40), 3);
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
