//! Disagreements: those that rumours on their way explain, and those that last.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_gossip::convergence::{Input, Output};

use crate::virtual_cluster::{Cluster, dots, replica};

/// How often a node was told of each peer that it is overdue, in so many seconds from now.
fn overdue(cluster: &mut Cluster, node: u32, seconds: u64) -> BTreeMap<u32, usize> {
    cluster.seen.clear();
    cluster.seconds(seconds);
    overdue_so_far(cluster, node)
}

fn overdue_so_far(cluster: &Cluster, node: u32) -> BTreeMap<u32, usize> {
    let mut told = BTreeMap::new();
    for (at, output) in &cluster.seen {
        if let (true, Output::Overdue { peer, .. }) = (*at == node, output) {
            *told.entry(*peer).or_default() += 1;
        }
    }
    told
}

#[test]
fn rumours_on_their_way_are_no_reason_to_sync_and_what_does_not_come_is() {
    let mut cluster = Cluster::new(3);
    // The first writes ten times a second, the others have it a second later or so.
    let root = |count: u64| u8::try_from(count % 251).unwrap();
    let mut written = 10;
    for node in 0..3 {
        cluster.stand(node, 10, &dots(0, 10));
    }
    for _ in 0..60 {
        written += 10;
        cluster.stand(0, root(written), &dots(0, written));
        for node in 1..3 {
            let has = written - 5 * u64::from(node);
            cluster.run(Duration::from_millis(300));
            cluster.stand(node, root(has), &dots(0, has));
        }
        cluster.run(Duration::from_millis(400));
    }
    let turns = |it: &&(u32, Output<u32>)| matches!(it.1, Output::Disagrees { .. });
    assert!(cluster.seen.iter().filter(turns).count() > 0);
    for node in 0..3 {
        assert_eq!(overdue_so_far(&cluster, node), BTreeMap::new());
    }

    // One dot does not come to the last, whatever else does.
    let lost = syncline_crdt::Dot::new(replica(0), written);
    for _ in 0..10 {
        written += 10;
        for node in 0..3 {
            let mut has = dots(0, written);
            if node == 2 {
                has.remove(lost);
            }
            cluster.stand(node, root(written + u64::from(node / 2)), &has);
        }
        cluster.seconds(1);
    }
    let told = overdue_so_far(&cluster, 2);
    assert!(told[&0] > 2 && told[&1] > 2, "{told:?}");
}

#[test]
fn what_has_come_since_a_silent_peer_told_of_it_is_not_overdue() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &dots(0, 5));
    cluster.stand(1, 2, &dots(0, 9));
    cluster.seconds(1);
    // It comes, and we go on.
    for written in 10..40 {
        cluster.stand(0, written, &dots(0, written.into()));
        cluster.seconds(1);
    }
    assert_eq!(overdue_so_far(&cluster, 0), BTreeMap::new());
    let told = overdue_so_far(&cluster, 1);
    assert!(told.contains_key(&0), "it lacks what we have: {told:?}");
}

#[test]
fn who_holds_something_else_and_stands_still_is_overdue_whatever_dots_it_has() {
    // A removal that has not come to its row, with the same dots; and one that lacks ours, and has nothing to tell us.
    for (theirs, none, some) in [(dots(0, 5), 2, 3), (dots(0, 3), 4, 6)] {
        let mut cluster = Cluster::new(2);
        cluster.stand(0, 1, &dots(0, 5));
        cluster.stand(1, 2, &theirs);
        assert_eq!(overdue(&mut cluster, 0, none), BTreeMap::new());
        assert!(overdue(&mut cluster, 0, some).contains_key(&1));
        cluster.input(0, Input::Down(1));
        assert_eq!(overdue(&mut cluster, 0, 60), BTreeMap::new(), "it is away");
        cluster.up(0, 1);
        assert!(overdue(&mut cluster, 0, 2).contains_key(&1), "it is back");
        cluster.stand(0, 2, &dots(0, 5));
        assert_eq!(overdue(&mut cluster, 0, 60), BTreeMap::new(), "they agree");
    }
}

#[test]
fn of_many_that_are_overdue_it_is_told_of_some() {
    let mut cluster = Cluster::new(60);
    for node in 0..60 {
        cluster.stand(node, 1 + u8::from(node > 0), &dots(0, 5));
    }
    cluster.seconds(30);
    let told: usize = overdue(&mut cluster, 0, 3).values().sum();
    assert!((8..=24).contains(&told), "{told}");
    let told = overdue(&mut cluster, 0, 30);
    assert!(told.len() > 40, "not always of the same: {told:?}");
}
