//! How far rumours come, and at which cost, at sizes that a test can afford.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use syncline_gossip::Strategy;
use syncline_sim::{
    Crash, Growth, Network, Quantiles, Reach, Report, Scenario, ScenarioError, run, run_all,
};

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
    scenario.crashes = vec![Crash::for_good(killed)];
    run(&scenario).unwrap()
}

#[test]
fn pushing_reaches_the_share_that_the_epidemics_equation_gives() {
    for (nodes, runs, points) in [(100, 20, 3.0), (1_000, 4, 1.0)] {
        for fanout in [2, 3, 5, 8] {
            let scenarios = Reach::scenarios(nodes, fanout, 1, runs);
            let reports = run_all(&scenarios, || ()).unwrap();
            let reach = Reach::of(&scenarios, &reports).unwrap();
            assert!(reach.off_by < points, "{reach:?}");
            assert!(2 * reach.took_off > reach.rumours, "{reach:?}");
        }
    }
}

#[test]
fn what_a_node_sends_grows_no_faster_than_the_logarithm_of_the_cluster() {
    let growth = [100, 400, 1_600].map(|nodes| {
        let scenario = Scenario {
            nodes,
            rumours: 20,
            ..plumtree(10, 1)
        };
        Growth::of(nodes, &[run(&scenario).unwrap()])
    });
    for pair in growth.windows(2) {
        let [small, large] = pair else { unreachable!() };
        assert_eq!(large.delivered, 1.0);
        assert!(
            large.bytes_over_log <= small.bytes_over_log * 1.02,
            "{small:?}, {large:?}"
        );
    }
}

#[test]
fn runs_side_by_side_are_the_runs_one_after_another() {
    let scenarios: Vec<Scenario> = (1..=5)
        .map(|seed| Scenario {
            nodes: 40,
            ..plumtree(2, seed)
        })
        .collect();
    let together = run_all(&scenarios, || ()).unwrap();
    let alone: Vec<Report> = scenarios.iter().map(|it| run(it).unwrap()).collect();
    assert_eq!(together, alone);
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
fn a_tree_that_weighs_latencies_sends_half_as_much_between_regions_and_holds_together() {
    for (nodes, writers, seed) in [(300, 1, 1), (300, 10, 2)] {
        let regions = |by_latency| {
            let mut scenario = Scenario {
                nodes,
                network: Network::three_regions(),
                ..plumtree(writers, seed)
            };
            scenario.gossip.by_latency = by_latency;
            let report = run(&scenario).unwrap();
            assert_eq!((report.delivered, report.overlay_parts), (1.0, 1));
            report
        };
        let (uniform, weighed) = (regions(false), regions(true));
        let between = [&uniform, &weighed].map(|it| it.between_regions_per_node_second);
        assert!(2.0 * between[1] <= between[0], "{between:?}");
        assert!(weighed.copies < 1.2, "{weighed:?}");
        assert!(
            weighed.times.all_ms < uniform.times.all_ms * 1.5,
            "{weighed:?}"
        );
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
    for (killed, periods) in [(0.3, 10), (0.5, 20), (0.8, 20)] {
        let report = hit(1, 0.05, killed);
        assert_eq!(report.delivered, 1.0, "{killed}");
        let Quantiles {
            all_max_periods, ..
        } = report.times;
        assert!(all_max_periods <= periods, "{killed}: {:?}", report.times);
    }
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let small = |seed| Scenario {
        nodes: 80,
        network: Network {
            loss: 0.1,
            between: Network::ring(3, Duration::from_millis(40)),
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
    let lopsided = with(|s| s.network.between = vec![Vec::new()]);
    assert_eq!(lopsided, ScenarioError::Regions);
    assert_eq!(with(|s| s.network.doubled = -0.1), ScenarioError::Share);
    let few = with(|s| s.crashes = vec![Crash::for_good(0.9995)]);
    assert_eq!(few, ScenarioError::TooFewSurvivors);
}
