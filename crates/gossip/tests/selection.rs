//! Whom nodes talk to, and that nobody is left out.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use syncline_gossip::membership::Card;
use syncline_gossip::{Cost, Selection};

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Peers 0 to n - 1, the dearer the higher.
fn ranked(n: u32) -> Selection<u32> {
    let mut selection = Selection::new();
    for peer in 0..n {
        let round_trip = Some(Duration::from_millis(u64::from(peer) + 1));
        selection.set(
            peer,
            Cost {
                round_trip,
                shared: 1,
                ..Cost::default()
            },
        );
    }
    selection
}

#[test]
fn cheap_peers_are_chosen_as_often_as_promised_and_dear_ones_too() {
    let (n, times) = (40, 200_000);
    let selection = ranked(n);
    let random = &mut random(1);
    let mut counts = BTreeMap::<u32, f64>::new();
    for _ in 0..times {
        *counts
            .entry(selection.near(random, |_| true).unwrap())
            .or_default() += 1.0;
    }
    let power = |x: u32| f64::from(x).powi(Selection::<u32>::DRAWN as i32);
    let mixing = f64::from(Selection::<u32>::MIXING);
    for rank in 1..=n {
        let drawn = (power(n - rank + 1) - power(n - rank)) / power(n);
        let expected = (1.0 - 1.0 / mixing) * drawn + 1.0 / (mixing * f64::from(n));
        let found = counts[&(rank - 1)] / f64::from(times);
        let deviation = (expected * (1.0 - expected) / f64::from(times)).sqrt();
        assert!(
            (found - expected).abs() < 5.0 * deviation,
            "{rank}: {found} for {expected}"
        );
    }
}

#[test]
fn uniform_is_uniform() {
    let (n, times) = (40, 100_000);
    let selection = ranked(n);
    let random = &mut random(2);
    let mut counts = BTreeMap::<u32, f64>::new();
    for _ in 0..times {
        *counts
            .entry(selection.uniform(random, |_| true).unwrap())
            .or_default() += 1.0;
    }
    let expected = f64::from(times) / f64::from(n);
    assert!(
        counts
            .values()
            .all(|it| (it - expected).abs() < 5.0 * expected.sqrt()),
        "{counts:?}"
    );
    assert_eq!(counts.len(), 40);
}

#[test]
fn the_only_one_that_is_wanted_is_found() {
    let selection = ranked(1000);
    let random = &mut random(2);
    for peer in 0..1000 {
        assert_eq!(selection.uniform(random, |it| it == peer), Some(peer));
        assert_eq!(selection.near(random, |it| it == peer), Some(peer));
    }
    assert_eq!(selection.near(random, |_| false), None);
}

#[test]
fn the_own_zone_comes_first_and_shared_namespaces_count() {
    let mut selection = Selection::new();
    let cost = |is_other_zone, shared, ms| Cost {
        is_other_zone,
        shared,
        round_trip: Some(Duration::from_millis(ms)),
    };
    selection.set("far", cost(true, 9, 1));
    selection.set("slow", cost(false, 1, 90));
    selection.set("rich", cost(false, 4, 100));
    let random = &mut random(3);
    let mut counts = BTreeMap::<&str, u32>::new();
    for _ in 0..10_000 {
        *counts
            .entry(selection.near(random, |_| true).unwrap())
            .or_default() += 1;
    }
    assert!(counts["rich"] > 2 * counts["slow"], "{counts:?}");
    assert!(counts["slow"] > 2 * counts["far"], "{counts:?}");
    assert!(counts["far"] > 700, "{counts:?}");
    let near = || selection.near(&mut random.clone(), |it| it != "rich");
    assert_ne!(near(), Some("rich"));
}

#[test]
fn cards_say_what_is_shared() {
    let card = |zone: &str, namespaces: &[&str]| Card {
        zone: zone.into(),
        namespaces: namespaces.iter().map(|it| (*it).into()).collect(),
        ..Card::default()
    };
    let ours = card("west", &["app", "logs", "users"]);
    let cost = Cost::between(&ours, &card("west", &["app", "users", "other"]));
    assert_eq!((cost.is_other_zone, cost.shared), (false, 2));
    let cost = Cost::between(&ours, &card("east", &[]));
    assert_eq!((cost.is_other_zone, cost.shared), (true, 0));
}

#[test]
fn what_was_measured_is_smoothed_and_kept() {
    let mut selection = ranked(1);
    selection.measured(0, Duration::from_millis(9));
    assert_eq!(
        selection.cost(0).unwrap().round_trip,
        Some(Duration::from_millis(2))
    );
    selection.set(0, Cost::default());
    assert_eq!(
        selection.cost(0).unwrap().round_trip,
        Some(Duration::from_millis(2))
    );
    selection.remove(0);
    assert_eq!(selection.near(&mut random(1), |_| true), None);
    selection.measured(0, Duration::from_millis(9));
    assert!(selection.is_empty());
}

/// Whether links in either direction connect all nodes.
fn is_connected(links: &[Vec<u32>]) -> bool {
    let mut both = vec![BTreeSet::new(); links.len()];
    for (from, to) in links.iter().enumerate() {
        for to in to {
            both[from].insert(*to);
            both[*to as usize].insert(from as u32);
        }
    }
    let mut reached = BTreeSet::from([0]);
    let mut next = vec![0];
    while let Some(node) = next.pop() {
        for peer in &both[node as usize] {
            if reached.insert(*peer) {
                next.push(*peer);
            }
        }
    }
    reached.len() == links.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Zones that are as far from each other as can be, and nodes that see those of their own zone as much cheaper.
    #[test]
    fn neighbours_connect_all_nodes(seed in any::<u64>(), n in 2..200_u32, zones in 1..6_u32, count in 4..12_usize) {
        let random = &mut random(seed);
        let links: Vec<_> = (0..n).map(|node| {
            let mut selection = Selection::new();
            for peer in (0..n).filter(|peer| *peer != node) {
                let is_other_zone = peer % zones != node % zones;
                selection.set(peer, Cost { is_other_zone, shared: 1, round_trip: None });
            }
            let chosen = selection.neighbours(count, random);
            let different: BTreeSet<_> = chosen.iter().collect();
            assert_eq!(different.len(), chosen.len());
            assert_eq!(chosen.len(), count.min(n as usize - 1));
            chosen
        }).collect();
        prop_assert!(is_connected(&links));
    }
}
