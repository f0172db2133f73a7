//! How far rumours come, and at which cost, at sizes that a test can afford.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use syncline_gossip::Strategy;
use syncline_sim::{Kill, Network, Report, Scenario, ScenarioError, run};

fn plumtree(writers: u32, seed: u64) -> Scenario {
    Scenario {
        writers,
        seed,
        ..Scenario::new(Strategy::Plumtree)
    }
}

fn hit(seed: u64, loss: f64, killed: f64) -> Report {
    let mut scenario = plumtree(10, seed);
    scenario.network.loss = loss;
    scenario.kill = Some(Kill {
        share: killed,
        noticed_after: Duration::from_secs(5),
    });
    run(&scenario).unwrap()
}

#[test]
fn pushing_reaches_the_share_that_the_epidemics_equation_gives() {
    for fanout in 2..=5 {
        let scenario = Scenario {
            warm_up: 0,
            rumours: 40,
            settle: Duration::from_secs(3),
            ..Scenario::new(Strategy::Push { fanout })
        };
        let report = run(&scenario).unwrap();
        let expected = scenario.expected_reach().unwrap();
        assert!(
            (report.reached - expected).abs() < 0.01,
            "fanout {fanout}: {} and not {expected}",
            report.reached
        );
        assert!(
            report.took_off >= 25,
            "fanout {fanout}: {}",
            report.took_off
        );
    }
}

#[test]
fn after_warm_up_the_tree_brings_each_rumour_once_over_few_hops() {
    for (writers, copies) in [(1, 1.05), (10, 1.2)] {
        let report = run(&plumtree(writers, 1)).unwrap();
        assert_eq!(report.delivered, 1.0);
        assert!(report.copies <= copies, "{writers}: {}", report.copies);
        assert!(report.max_hops <= 10, "{writers}: {}", report.max_hops);
        assert_eq!(report.lagging, 0);
    }
}

#[test]
fn losses_are_made_up_for() {
    let mut scenario = plumtree(10, 1);
    scenario.network.loss = 0.05;
    let report = run(&scenario).unwrap();
    assert_eq!(report.delivered, 1.0);
    assert!(report.copies < 1.5, "{}", report.copies);
}

#[test]
fn who_survives_hears_of_everything_though_many_fail_at_once() {
    let period = 1_000.0;
    let third = hit(1, 0.05, 0.3);
    assert_eq!(third.delivered, 1.0);
    assert!(third.times.all_max_ms <= 10.0 * period, "{:?}", third.times);
    let most = hit(1, 0.05, 0.8);
    assert_eq!(most.delivered, 1.0);
    assert!(most.times.all_max_ms <= 20.0 * period, "{:?}", most.times);
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let small = |seed| Scenario {
        nodes: 80,
        network: Network {
            loss: 0.1,
            regions: 3,
            ..Network::new()
        },
        ..plumtree(5, seed)
    };
    let (one, again) = (run(&small(1)).unwrap(), run(&small(1)).unwrap());
    assert_eq!(one, again);
    assert_ne!(one.trace, run(&small(2)).unwrap().trace);
}

#[test]
fn whatever_pulls_brings_everything_to_everybody_through_losses() {
    for strategy in [
        Strategy::Pull,
        Strategy::PushPull { fanout: 2 },
        Strategy::Plumtree,
    ] {
        let scenario = Scenario {
            nodes: 60,
            network: Network {
                loss: 0.3,
                ..Network::new()
            },
            settle: Duration::from_secs(60),
            ..Scenario::new(strategy)
        };
        let report = run(&scenario).unwrap();
        assert_eq!(report.delivered, 1.0, "{strategy:?}");
    }
}

#[test]
fn feedback_goes_on_where_dying_would_have_stopped() {
    let spread = |strategy| {
        let scenario = Scenario {
            nodes: 200,
            warm_up: 0,
            ..Scenario::new(strategy)
        };
        run(&scenario).unwrap()
    };
    let (fanout, tired) = (2, 4);
    let once = spread(Strategy::Push { fanout });
    let on = spread(Strategy::PushWithFeedback { fanout, tired });
    assert!(on.delivered > 0.99 && once.delivered < 0.85);
    assert!(on.copies < 8.0, "it ends: {}", on.copies);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let with = |change: fn(&mut Scenario)| {
        let mut scenario = plumtree(1, 1);
        change(&mut scenario);
        run(&scenario).unwrap_err()
    };
    assert_eq!(with(|s| s.nodes = 1), ScenarioError::TooFewNodes);
    assert_eq!(with(|s| s.writers = 0), ScenarioError::Writers);
    assert_eq!(with(|s| s.writers = 1_001), ScenarioError::Writers);
    assert_eq!(with(|s| s.network.loss = 1.0), ScenarioError::Share);
    assert_eq!(with(|s| s.network.loss = f64::NAN), ScenarioError::Share);
    assert_eq!(with(|s| s.network.regions = 0), ScenarioError::Regions);
    let few = with(|s| {
        s.kill = Some(Kill {
            share: 0.9995,
            noticed_after: Duration::ZERO,
        });
    });
    assert_eq!(few, ScenarioError::TooFewSurvivors);
}
