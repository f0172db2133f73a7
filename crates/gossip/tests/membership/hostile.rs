//! Members and others who say what is not so, or too much.

use syncline_gossip::membership::{Event, Input, State};

use crate::cluster::{Cluster, ms, secs};

#[test]
fn who_is_told_over_and_over_that_it_is_dead_writes_to_its_disk_once_a_second_at_most() {
    let mut cluster = Cluster::of(5, 3);
    cluster.run(secs(10));
    for _ in 0..200 {
        // "You are held dead", from member 1 to member 0 in its present life.
        let generation = cluster.persisted(0) as u8;
        let to = [0, generation, 4, 10, 0, 0, 0, 0x1c, 0xe8];
        let swim = [&[1, 1, 4, 10, 0, 0, 1, 0x1c, 0xe8, 0], &to[..], &[0x0b]].concat();
        let bytes = [vec![1, swim.len() as u8], swim].concat();
        cluster.input(0, Input::Received { from: 1, bytes });
        cluster.run(ms(50));
    }
    assert!(
        (8..=12).contains(&cluster.persisted(0)),
        "{}",
        cluster.persisted(0)
    );
    assert!(cluster.until(secs(10), Cluster::is_one).is_some());
}

#[test]
fn nobody_speaks_for_another() {
    let mut cluster = Cluster::of(5, 3);
    cluster.run(secs(10));
    let since = cluster.now;
    // All that member 1 says for a while, sent once more by member 2.
    let said = cluster.overhear(1, secs(2));
    assert!(said.len() > 4);
    for bytes in said {
        cluster.input(0, Input::Received { from: 2, bytes });
    }
    assert!(
        cluster
            .refused
            .iter()
            .all(|(node, why)| { *node == 0 && why == "the peer speaks in the name of member 1" })
    );
    assert!(cluster.membership(0).refusals().forged > 4);
    cluster.run(secs(10));
    assert_eq!(cluster.events_since(since).count(), 0);
}

#[test]
fn old_packets_that_come_again_change_nothing() {
    let mut cluster = Cluster::of(5, 3);
    let old = cluster.overhear(1, secs(3));
    cluster.run(secs(5));
    cluster.restart(1);
    cluster.run(secs(5));
    assert!(cluster.is_one());
    let since = cluster.now;
    for bytes in old {
        cluster.input(0, Input::Received { from: 1, bytes });
    }
    cluster.run(secs(20));
    assert_eq!(cluster.events_since(since).count(), 0);
    assert!(cluster.is_one());
}

#[test]
fn a_flood_is_cut_off_and_the_others_are_heard() {
    let mut cluster = Cluster::of(5, 3);
    cluster.run(secs(10));
    let since = cluster.now;
    for _ in 0..100 {
        for _ in 0..100 {
            let bytes = vec![0xff; 100];
            cluster.input(0, Input::Received { from: 1, bytes });
        }
        cluster.run(ms(100));
    }
    let refusals = cluster.membership(0).refusals();
    assert!(refusals.flood > 4000, "{refusals:?}");
    assert!(refusals.malformed <= 11 * 500, "{refusals:?}");
    let told = |it: &&(u32, String)| it.1.starts_with("the peer floods");
    assert!(cluster.refused.iter().filter(told).count() <= 11);
    let gone = |event: &Event<u32>| matches!(event, Event::Down(_));
    // Member 1 may be found not to answer: what it says is not listened to. The others are not.
    assert!(
        !cluster
            .events_since(since)
            .any(|(_, it)| gone(it) && *it != Event::Down(1))
    );
}

#[test]
fn who_invents_members_fills_no_memory() {
    let mut cluster = Cluster::new(5);
    cluster.config.max_members = 50;
    for node in 0..10 {
        cluster.start(node, &[0]);
    }
    cluster.run(secs(10));
    // A member of another cluster's size, with a table of its own, that is well connected to one of them.
    let said = Cluster::of(300, 6).overhear(9, secs(10));
    cluster.kill(9);
    for bytes in said {
        cluster.input(0, Input::Received { from: 9, bytes });
        cluster.run(ms(10));
    }
    for node in 0..9 {
        assert!(cluster.membership(node).members().count() < 50);
    }
    assert!(cluster.membership(0).refusals().full > 0);
    // The dead make room.
    cluster.run(secs(60));
    cluster.start(50, &[0]);
    cluster.run(secs(20));
    assert_eq!(
        cluster.membership(0).member(50).unwrap().state,
        State::Alive
    );
}

#[test]
fn nobody_is_made_to_send_to_where_nobody_is_known() {
    let mut cluster = Cluster::of(5, 3);
    cluster.run(secs(10));
    // From member 1 to member 0: a request to ping member 9 at some address; then the same of member 2.
    let identity = |id: u8, last: u8| vec![id, 1, 4, 10, 0, 0, last, 0x1c, 0xe8];
    for (target, expected) in [
        (identity(9, 9), 0),
        (identity(2, 77), 0),
        (identity(2, 2), 1),
    ] {
        let header = [identity(1, 1), vec![0], identity(0, 0), vec![3, 1], target].concat();
        let bytes = [vec![1, header.len() as u8], header].concat();
        let before = cluster.packets;
        cluster.input(0, Input::Received { from: 1, bytes });
        assert_eq!(cluster.packets - before, expected);
    }
    assert!(cluster.refused.is_empty());
    cluster.input(
        0,
        Input::Received {
            from: 0,
            bytes: vec![1],
        },
    );
    assert!(cluster.refused[0].1.contains("same key in use twice"));
}
