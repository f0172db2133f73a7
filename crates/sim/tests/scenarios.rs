//! Every scenario in the directory, at a size that a test can afford.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use syncline_sim::{FileError, Membership, Scenario, ScenarioError, ScenarioFile, run, run_all};

fn files() -> Vec<(String, ScenarioFile)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &Path| ScenarioFile::parse(&fs::read_to_string(path).unwrap());
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, read(path).unwrap())
        })
        .collect()
}

#[test]
fn every_scenario_comes_to_what_it_says_and_to_the_same_again() {
    let files = files();
    assert!(files.len() >= 8);
    let quick = |file: &ScenarioFile| Scenario {
        nodes: file.quick_nodes.unwrap(),
        ..file.scenario.clone()
    };
    let scenarios: Vec<Scenario> = files.iter().map(|(_, file)| quick(file)).collect();
    let reports = run_all(&scenarios, || ()).unwrap();
    let again = run_all(&scenarios, || ()).unwrap();
    let mut failures = Vec::new();
    for (((name, file), report), again) in files.iter().zip(&reports).zip(&again) {
        assert_eq!(report, again, "{name}: the same seed, another run");
        for failure in file.expectations.failures(report) {
            failures.push(format!("{name}: {failure}: {:?}", report.times));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn what_goes_wrong_in_a_scenario_makes_a_difference() {
    let files = files();
    let scenario = |wanted: &str| {
        let (_, file) = files.iter().find(|(name, _)| name == wanted).unwrap();
        Scenario {
            nodes: 60,
            ..file.scenario.clone()
        }
    };
    let slowest = |scenario: &Scenario| run(scenario).unwrap().times.all_max_ms;
    let calm = |it: &Scenario| Scenario {
        crashes: Vec::new(),
        cuts: Vec::new(),
        ..it.clone()
    };
    for name in ["cut", "churn", "region-cut-off"] {
        let scenario = scenario(name);
        assert!(
            slowest(&scenario) > slowest(&calm(&scenario)) + 1_000.0,
            "{name}"
        );
    }
    let thin = scenario("thin-lines");
    let mut wide = thin.clone();
    wide.network.bandwidth = None;
    assert!(slowest(&thin) > slowest(&wide) + 10.0);
    let lossy = scenario("lossy");
    for change in [
        (|it: &mut Scenario| it.network.doubled = 0.0) as fn(&mut Scenario),
        |it| it.network.reordered = 0.0,
        |it| it.drift = 0.0,
    ] {
        let mut other = lossy.clone();
        change(&mut other);
        assert_ne!(run(&lossy).unwrap().trace, run(&other).unwrap().trace);
    }
}

#[test]
fn what_rumours_cannot_bring_any_more_sessions_bring() {
    let files = files();
    let (_, file) = files
        .iter()
        .find(|(name, _)| name == "split-beyond-buffers")
        .unwrap();
    let scenario = Scenario {
        nodes: 20,
        ..file.scenario.clone()
    };
    let report = run(&scenario).unwrap();
    assert!(report.lagging > 0 && report.sessions > 0, "{report:?}");
    assert!(report.agreed_ms.is_some(), "{report:?}");
    let mut alone = scenario.clone();
    alone.stores = None;
    let report = run(&alone).unwrap();
    assert!(report.delivered < 1.0, "{report:?}");
}

#[test]
fn who_joins_in_mid_run_has_all_in_the_end_and_nothing_before() {
    let files = files();
    let (_, file) = files
        .iter()
        .find(|(name, _)| name == "new-members")
        .unwrap();
    let scenario = Scenario {
        nodes: 20,
        ..file.scenario.clone()
    };
    for membership in [Membership::Own, Membership::Shared] {
        let report = run(&Scenario {
            membership,
            ..scenario.clone()
        });
        let report = report.unwrap();
        assert_eq!(report.delivered, 1.0, "{report:?}");
        assert!(report.agreed_ms.is_some(), "{report:?}");
        // The first rumours came to the last when they had joined.
        assert!(report.times.all_max_ms > 39_000.0, "{report:?}");
    }
}

#[test]
fn writes_that_come_by_rumours_cause_hardly_any_sessions() {
    let files = files();
    let (_, file) = files.iter().find(|(name, _)| name == "split").unwrap();
    let scenario = Scenario {
        nodes: 30,
        rumours: 60,
        cuts: Vec::new(),
        ..file.scenario.clone()
    };
    let report = run(&scenario).unwrap();
    assert_eq!((report.delivered, report.lagging), (1.0, 0), "{report:?}");
    // As often as a schedule of half a minute asks for while something is found, and what there is at the start.
    let each = report.sessions as f64 / f64::from(scenario.nodes);
    assert!(
        each < report.seconds / 5.0,
        "{each} in {} s",
        report.seconds
    );
}

#[test]
fn expectations_that_are_not_met_are_told() {
    let file = ScenarioFile::parse(
        r#"
        about = "Half of all is lost, and nobody asks again."
        nodes = 50
        strategy = "push"
        fanout = 2
        [network]
        loss = 0.5
        [expect]
        delivered = 0.99
        copies = 0.01
        "#,
    );
    let file = file.unwrap();
    let failures = file.expectations.failures(&run(&file.scenario).unwrap());
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].contains("delivered is 0."), "{failures:?}");
}

#[test]
fn what_is_no_scenario_is_refused() {
    let parse = |text: &str| {
        let text = format!("about = \"\"\nstrategy = \"plumtree\"\n{text}");
        ScenarioFile::parse(&text).unwrap_err()
    };
    assert!(matches!(parse("nods = 3"), FileError::Malformed(_)));
    assert!(matches!(parse("settle_s = -1.0"), FileError::Time(_)));
    assert!(matches!(parse("interval_ms = nan"), FileError::Time(_)));
    let error = parse("nodes = 1");
    assert!(matches!(
        error,
        FileError::Scenario(ScenarioError::TooFewNodes)
    ));
    let crash = |membership: &str, words: &str| {
        let text =
            format!("membership = \"{membership}\"\n[[crash]]\nat_s = 0\nshare = 0.1\n{words}");
        match parse(&text) {
            FileError::Scenario(error) => error,
            other => panic!("{other}"),
        }
    };
    for words in ["moves = true\nlasts_s = 5", "leaves = true"] {
        let words = format!("noticed_after_s = 4\n{words}");
        assert_eq!(crash("shared", &words), ScenarioError::SharedView);
    }
    assert_eq!(crash("shared", "lasts_s = 5"), ScenarioError::Unnoticed);
    let noticed = crash("own", "lasts_s = 5\nnoticed_after_s = 4");
    assert_eq!(noticed, ScenarioError::NoticedByThemselves);
    assert_eq!(crash("own", "moves = true"), ScenarioError::MovesForGood);
    let error = parse("nodes = 10\n[[join]]\nat_s = 5\nshare = 0.8");
    assert!(matches!(
        error,
        FileError::Scenario(ScenarioError::TooManyJoin)
    ));
    let error = ScenarioFile::parse("about = \"\"\nstrategy = \"shout\"").unwrap_err();
    assert!(
        error.to_string().contains("no strategy \"shout\""),
        "{error}"
    );
}
