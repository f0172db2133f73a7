//! Members that are nearer than others, and the links that stay left to chance.

use std::time::Duration;

use syncline_gossip::{Input, Message, Notice, Output, Timer};

use crate::single::{Machine, id, push};

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
