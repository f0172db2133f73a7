//! Cuts that heal, and the suspicions that they leave behind.

use syncline_gossip::membership::{Event, Input, State};

use crate::cluster::{Cluster, ms, secs};

#[test]
fn two_halves_of_a_cluster_become_one_again() {
    let mut cluster = Cluster::of(200, 5);
    cluster.run(secs(20));
    assert!(cluster.is_one());
    cluster.side = |node| node % 2;
    cluster.is_cut = true;
    cluster.run(secs(600));
    assert_eq!(cluster.membership(0).active(), 100);
    cluster.is_cut = false;
    let took = cluster.until(secs(60), Cluster::is_one);
    println!("{took:?}");
    assert!(took.unwrap() <= secs(30));
}

#[test]
#[ignore = "takes minutes"]
fn two_halves_of_a_thousand_become_one_again() {
    let mut cluster = Cluster::of(1000, 5);
    cluster.run(secs(15));
    cluster.side = |node| node % 2;
    cluster.is_cut = true;
    cluster.run(secs(90));
    assert_eq!(cluster.membership(0).active(), 500);
    cluster.is_cut = false;
    let before = cluster.bytes;
    let took = cluster.until(secs(30), |it| {
        it.membership(5).active() == 1000 && it.is_one()
    });
    println!("{took:?}, {} bytes each", (cluster.bytes - before) / 1000);
    assert!(took.is_some());
}

/// Whatever the length of the cut: some are suspects when it ends, some are down, some are told so and begin another life.
#[test]
fn whoever_was_cut_off_for_a_moment_is_no_suspect_for_ever() {
    type Side = fn(u32) -> u32;
    let each: Side = |node| node;
    let the_last: Side = |node| u32::from(node == 2);
    let halves: Side = |node| node % 2;
    let sides = [(3, each), (3, the_last), (5, each), (5, halves)];
    let mut worst = ms(0);
    for (nodes, side) in sides {
        for (seed, cut) in (500..6000).step_by(100).enumerate() {
            let mut cluster = Cluster::of(nodes, seed as u64);
            cluster.run(secs(5));
            cluster.side = side;
            cluster.is_cut = true;
            cluster.run(ms(cut));
            cluster.is_cut = false;
            let took = cluster.until(secs(30), Cluster::is_one);
            worst = worst.max(took.unwrap_or_else(|| panic!("{nodes} nodes, a cut of {cut} ms")));
        }
    }
    println!("{worst:?}");
    assert!(worst <= secs(10), "{worst:?}");
}

/// Member 0 is sent an answer with one entry: this member, in its first life, is a suspect.
fn list_as_suspect(cluster: &mut Cluster, member: u8) {
    // Incarnation 0, suspect, no card.
    let entry = [member, 1, 4, 10, 0, 0, member, 0x1c, 0xe8, 0, 1, 0, 0];
    let bytes = [vec![4], vec![0; 32], entry.to_vec()].concat();
    cluster.input(0, Input::Received { from: 1, bytes });
    let suspect = cluster.membership(0).member(member.into()).unwrap();
    assert_eq!(suspect.state, State::Suspect);
}

#[test]
fn a_suspicion_that_is_found_in_a_table_is_news_and_comes_to_the_suspect_in_time() {
    let mut worst = ms(0);
    for seed in 0..10 {
        let mut cluster = Cluster::of(50, seed);
        cluster.run(secs(20));
        assert!(cluster.is_one());
        list_as_suspect(&mut cluster, 40);
        cluster.run(ms(50));
        worst = worst.max(cluster.until(secs(20), Cluster::is_one).unwrap());
    }
    println!("{worst:?}");
    assert!(worst <= ms(2500), "{worst:?}");
}

/// Whichever of the two asks whether tables agree, the other or the suspect itself.
#[test]
fn a_suspicion_of_which_no_news_are_left_is_refuted_all_the_same() {
    type Loses = fn(u32, u32, &[u8]) -> bool;
    let of_the_other: Loses = |from, _, bytes| from == 0 && bytes[0] == 2;
    let of_the_suspect: Loses = |from, _, bytes| from == 1 && bytes[0] == 2;
    for silence in [of_the_other, of_the_suspect] {
        let mut cluster = Cluster::of(2, 3);
        cluster.run(secs(5));
        cluster.loses = silence;
        list_as_suspect(&mut cluster, 1);
        let took = cluster.until(secs(10), Cluster::is_one);
        assert!(took.is_some_and(|it| it <= secs(3)), "{took:?}");
        assert!([0, 1].iter().all(|node| cluster.persisted(*node) == 1));
    }
}

#[test]
fn who_objects_in_time_goes_on_in_the_life_it_leads() {
    for seed in 0..50 {
        let mut cluster = Cluster::of(3, seed);
        cluster.run(secs(5));
        let since = cluster.now;
        cluster.side = |node| node;
        cluster.is_cut = true;
        cluster.run(secs(1));
        cluster.is_cut = false;
        cluster.until(secs(20), Cluster::is_one).unwrap();
        cluster.run(secs(5));
        let all: Vec<_> = cluster.events_since(since).collect();
        assert!(all.iter().any(|(_, it)| matches!(it, Event::Suspect(_))));
        for node in 0..3 {
            let was_down = all.iter().any(|(_, it)| **it == Event::Down(node));
            assert!(was_down || cluster.persisted(node) == 1, "{seed}: {node}");
        }
    }
}

#[test]
fn tables_agree_again_once_suspicions_are_refuted() {
    let mut cluster = Cluster::of(5, 3);
    cluster.run(secs(5));
    cluster.side = |node| node;
    cluster.is_cut = true;
    cluster.run(secs(1));
    cluster.is_cut = false;
    cluster.until(secs(20), Cluster::is_one).unwrap();
    cluster.run(secs(10));
    for node in 0..5 {
        // The third kind of packet says how tables differ.
        let said = cluster.overhear(node, secs(10));
        assert!(said.iter().all(|bytes| bytes[0] != 3));
    }
}
