//! What nodes know of each other, by what they say of themselves.
#![allow(missing_docs, clippy::unwrap_used)]

mod asking;
mod overdue;
#[path = "../virtual_cluster/mod.rs"]
mod virtual_cluster;

use std::time::Duration;

use asking::ask;
use syncline_crdt::Context;
use syncline_gossip::convergence::{Config, Input, Output};
use virtual_cluster::{APP, Cluster, carrier, dots, replica};

const MINUTE: Duration = Duration::from_secs(60);

/// The tag of standings that are passed on, or given when asked for.
const STANDINGS: u8 = 1;

fn union(contexts: &[Context]) -> Context {
    let mut all = Context::new();
    contexts.iter().for_each(|context| all.merge(context));
    all
}

#[test]
fn who_agrees_and_since_when_not() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &dots(0, 5));
    cluster.stand(1, 1, &dots(0, 5));
    assert!(cluster.comes(MINUTE, |it| it.report(0, 1).agrees
        && it.report(1, 0).agrees));
    let agreed = Output::Agrees {
        namespace: APP.into(),
        peer: 1,
    };
    assert!(cluster.seen.contains(&(0, agreed)));
    cluster.seconds(20);
    assert_eq!(cluster.report(0, 1).agreed, Some(Duration::ZERO));
    assert_eq!(cluster.report(0, 1).carrier, Some(carrier(1)));
    let carriers: Vec<_> = cluster.nodes[0].carriers(APP).collect();
    assert_eq!(carriers, [(1, Some(carrier(1)))]);

    cluster.stand(0, 2, &dots(0, 9));
    let disagreed = Output::Disagrees {
        namespace: APP.into(),
        peer: 1,
    };
    assert!(cluster.seen.contains(&(0, disagreed)));
    cluster.seconds(30);
    let behind = cluster.report(0, 1);
    assert_eq!(behind.agreed, Some(Duration::from_secs(30)));
    assert_eq!(behind.behind.dots, Some(4));
    assert_eq!(behind.behind.lasts, Some(Duration::from_secs(30)));
    assert_eq!((behind.ahead.dots, behind.ahead.lasts), (Some(0), None));
    let ahead = cluster.report(1, 0);
    assert_eq!((ahead.ahead.dots, ahead.behind.dots), (Some(4), Some(0)));
    let lasts = ahead.ahead.lasts.unwrap();
    assert!(
        lasts > Duration::from_secs(28) && lasts < Duration::from_secs(30),
        "{lasts:?}"
    );
}

#[test]
fn what_was_lacked_and_has_come_does_not_count_any_more() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 0, &dots(0, 1));
    cluster.stand(1, 0, &dots(0, 1));
    // Each is always some dots behind, none of them for long.
    for at in 1..60 {
        cluster.stand(0, at, &dots(0, u64::from(at) * 10));
        cluster.seconds(2);
        cluster.stand(1, at, &dots(0, u64::from(at) * 10 - 5));
        cluster.seconds(2);
    }
    let behind = cluster.report(0, 1).behind;
    assert_eq!(behind.dots, Some(5));
    assert!(behind.lasts.unwrap() < Duration::from_secs(6), "{behind:?}");
    let ahead = cluster.report(1, 0).ahead;
    assert_eq!(ahead.dots, Some(5));
    assert!(ahead.lasts.unwrap() < Duration::from_secs(10), "{ahead:?}");
}

#[test]
fn a_peer_that_stands_still_was_left_behind_when_it_was() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 0, &dots(0, 1));
    cluster.stand(1, 0, &dots(0, 1));
    cluster.seconds(100);
    for at in 1..=200 {
        cluster.stand(0, at, &dots(0, 1 + u64::from(at)));
        cluster.seconds(1);
    }
    let report = cluster.report(0, 1);
    assert_eq!(report.behind.dots, Some(200));
    // Told less exactly the longer ago, and never less than it is.
    let lasts = report.behind.lasts.unwrap().as_secs();
    assert!((200..=300).contains(&lasts), "{lasts}");
    // What it does not say again was its last word.
    assert_eq!(report.agreed, Some(Duration::from_secs(200)));
}

#[test]
fn standings_are_passed_on_along_the_branches() {
    let mut cluster = Cluster::new(3);
    cluster.passes =
        Box::new(|from, to, message| from.abs_diff(to) == 1 && message.to_bytes()[0] == STANDINGS);
    for node in 0..3 {
        cluster.stand(node, 1, &dots(0, 5));
        let peers = [node.wrapping_sub(1), node + 1];
        let peers = peers.into_iter().filter(|peer| *peer < 3).collect();
        let namespace = APP.into();
        cluster.input(node, Input::Branches { namespace, peers });
    }
    assert!(cluster.comes(MINUTE, |it| it.report(0, 2).agrees
        && it.report(2, 0).agrees));
}

#[test]
fn what_gets_lost_is_found_by_comparing() {
    let mut cluster = Cluster::new(5);
    // Nothing that is passed on arrives, only what was asked for.
    let mut asked = std::collections::BTreeSet::new();
    cluster.passes = Box::new(move |from, to, message| match message.to_bytes()[0] {
        STANDINGS => asked.contains(&(to, from)),
        _ => {
            asked.insert((from, to));
            true
        }
    });
    for node in 0..5 {
        cluster.stand(node, 1, &dots(node, 5));
    }
    let knows_all = |it: &Cluster| {
        let pairs = (0..5).flat_map(|node| (0..5).map(move |peer| (node, peer)));
        let mut others = pairs.filter(|(node, peer)| node != peer);
        others.all(|(node, peer)| it.report(node, peer).behind.dots == Some(5))
    };
    assert!(cluster.comes(2 * MINUTE, knows_all));
    // When all is said, they only ask whether it is the same.
    cluster.seconds(60);
    let before: u64 = cluster.bytes.iter().sum();
    cluster.seconds(1_000);
    let quiet: u64 = cluster.bytes.iter().sum::<u64>() - before;
    assert!(quiet < 5 * 1_000 * 3, "{quiet} bytes in 1,000 s");
}

#[test]
fn a_clock_that_went_back_is_noticed() {
    let mut cluster = Cluster::new(3);
    for node in 0..3 {
        cluster.restart(node, 1_000);
        cluster.stand(node, 1, &dots(0, 5));
        (0..3).for_each(|peer| cluster.up(node, peer));
    }
    assert!(cluster.comes(MINUTE, |it| it.report(1, 0).agrees
        && it.report(2, 0).agrees));
    // The node comes back without its data, and with a clock that is years behind.
    cluster.restart(0, 3);
    cluster.stand(0, 9, &Context::new());
    (1..3).for_each(|peer| cluster.up(0, peer));
    let knows = |it: &Cluster, node| it.report(node, 0).behind.dots == Some(5);
    assert!(cluster.comes(MINUTE, |it| knows(it, 1) && knows(it, 2)));
}

#[test]
fn what_a_peer_said_last_stays_while_it_is_away() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &dots(0, 5));
    cluster.stand(1, 1, &dots(0, 5));
    assert!(cluster.comes(MINUTE, |it| it.report(0, 1).agrees));
    cluster.input(0, Input::Down(1));
    cluster.stand(0, 2, &dots(0, 6));
    cluster.seconds(50);
    let away = cluster.report(0, 1);
    assert!(!away.is_up);
    assert_eq!(away.behind.dots, Some(1));
    assert_eq!(away.agreed, Some(Duration::from_secs(50)));
    cluster.up(0, 1);
    assert!(cluster.report(0, 1).is_up);
    cluster.input(0, Input::Forget(1));
    assert_eq!(cluster.nodes[0].peers(APP, cluster.now), []);
}

#[test]
fn who_has_some_dots_as_far_as_was_said() {
    let mut cluster = Cluster::new(4);
    cluster.stand(0, 1, &dots(0, 5));
    cluster.stand(1, 1, &dots(0, 5));
    cluster.stand(2, 2, &dots(0, 3));
    let heard = |it: &Cluster| (1..3).all(|peer| it.report(0, peer).heard.is_some());
    assert!(cluster.comes(MINUTE, heard));
    let who = cluster.nodes[0].who_has(APP, &dots(0, 4));
    assert_eq!(
        (who.has, who.lacks, who.unknown),
        (vec![1], vec![2], vec![3])
    );
}

#[test]
fn contexts_without_end_are_known_by_their_hash() {
    let huge = |ids: std::ops::Range<u32>| -> Context {
        let mut context = Context::new();
        ids.for_each(|id| context.insert_range(replica(id), 1, 9));
        context
    };
    // 20,000 ids take more than 300 KB.
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &huge(0..20_000));
    cluster.stand(1, 1, &huge(0..20_000));
    assert!(cluster.comes(MINUTE, |it| it.report(0, 1).agrees
        && it.report(1, 0).agrees));
    assert_eq!(
        cluster.report(0, 1).behind.dots,
        Some(0),
        "it is that of ours"
    );
    // Then what differs is told.
    cluster.stand(0, 2, &huge(0..20_010));
    assert!(cluster.comes(MINUTE, |it| it.report(1, 0).ahead.dots == Some(90)));
    let largest = cluster.bytes.iter().sum::<u64>();
    assert!(largest < 30_000, "{largest} bytes");

    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &huge(0..20_000));
    cluster.stand(1, 2, &huge(20_000..40_000));
    cluster.seconds(60);
    let report = cluster.report(0, 1);
    assert!(report.heard.is_some() && !report.agrees);
    assert_eq!((report.behind.dots, report.ahead.dots), (None, None));
}

#[test]
fn contexts_are_kept_within_the_bound() {
    let config = Config {
        max_intervals: 100,
        ..Config::default()
    };
    let mut cluster = Cluster::with(40, config);
    let own = |node| -> Context {
        let each = (0..10).map(|id| dots(node * 10 + id, 3));
        union(&each.collect::<Vec<_>>())
    };
    for node in 0..40 {
        cluster.stand(node, node as u8, &own(node));
    }
    cluster.seconds(300);
    let reports = cluster.nodes[0].peers(APP, cluster.now);
    assert!(reports.iter().all(|peer| peer.heard.is_some()));
    let known = reports
        .iter()
        .filter(|peer| peer.behind.dots.is_some())
        .count();
    assert!((5..=10).contains(&known), "{known}");
    // What they share costs once.
    let all = union(&(0..40).map(own).take(9).collect::<Vec<_>>());
    for node in 0..40 {
        cluster.stand(node, 99, &all);
    }
    cluster.seconds(300);
    let reports = cluster.nodes[0].peers(APP, cluster.now);
    assert!(
        reports.iter().all(|peer| peer.behind.dots == Some(0)),
        "{reports:?}"
    );
}

#[test]
fn an_older_standing_is_no_news() {
    let mut cluster = Cluster::new(3);
    let mut first = None;
    cluster.stand(0, 1, &dots(0, 1));
    cluster.stand(1, 1, &dots(0, 1));
    cluster.seconds(5);
    for (_, output) in &cluster.seen {
        if let Output::Send { to: 1, message } = output
            && message.to_bytes()[0] == STANDINGS
        {
            first.get_or_insert(message.clone());
        }
    }
    cluster.stand(0, 2, &dots(0, 7));
    assert!(cluster.comes(MINUTE, |it| it.report(1, 0).ahead.dots == Some(6)));
    let message = first.unwrap();
    cluster.input(1, Input::Received { from: 2, message });
    assert_eq!(cluster.report(1, 0).ahead.dots, Some(6));
}

#[test]
fn strangers_are_not_listened_to() {
    let mut cluster = Cluster::unacquainted(3, Config::default());
    cluster.stand(0, 1, &dots(0, 1));
    cluster.up(0, 2);
    cluster.stand(1, 1, &dots(0, 1));
    cluster.up(1, 0);
    cluster.up(1, 2);
    cluster.seconds(60);
    let known = cluster.nodes[0].peers(APP, cluster.now);
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0].heard, None);
    // Neither is what they ask.
    cluster.seen.clear();
    let ask = ask(dots(0, 1), 1);
    cluster.input(1, ask);
    cluster.seconds(5);
    assert!(
        !cluster
            .seen
            .iter()
            .any(|(_, it)| matches!(it, Output::Look { .. }))
    );
}

#[test]
fn the_more_carriers_the_more_seldom_each_speaks() {
    let mut paces = Vec::new();
    for nodes in [5, 40, 60] {
        let mut cluster = Cluster::with(nodes, Config::default());
        cluster.keeps_seen = false;
        for round in 1..=60 {
            for node in 0..nodes {
                cluster.stand(node, round, &dots(node, u64::from(round)));
            }
            if round == 20 {
                cluster.bytes.fill(0);
            }
            cluster.seconds(1);
        }
        let mean = cluster.bytes.iter().sum::<u64>() / u64::from(nodes) / 40;
        assert!(
            mean < 5_000,
            "{mean} bytes per node and second among {nodes}"
        );
        paces.push(cluster.nodes[0].pace());
    }
    assert_eq!(paces[0], Duration::from_secs(1));
    assert!(
        paces[1] > paces[0] && paces[2] * 10 > paces[1] * 14,
        "{paces:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut cluster = Cluster::new(8);
        for round in 0..10 {
            cluster.stand(round % 8, round as u8, &dots(round, 5));
            cluster.seconds(3);
        }
        format!("{:?}", cluster.seen)
    };
    assert_eq!(run(), run());
}
