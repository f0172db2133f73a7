use serde_json::Value;

use crate::command::run;

fn sync(arguments: &str) -> Value {
    let words = format!("bench sync --json --rows 3000 {arguments}");
    run(&words.split_whitespace().collect::<Vec<_>>()).json()
}

#[test]
fn every_kind_and_strategy_agrees_and_sends_what_is_needed() {
    for kind in [
        "none",
        "adds",
        "overwrites",
        "deletes",
        "clustered",
        "bootstrap",
    ] {
        for strategy in ["auto", "walk"] {
            let figures = sync(&format!(
                "--differences 100 --kind {kind} --strategy {strategy}"
            ));
            let told = format!("{kind} {strategy}: {figures}");
            assert_eq!(figures["agreed"], true, "{told}");
            assert_eq!(figures["rows_sent"], figures["rows_needed"], "{told}");
            assert_eq!(figures["kind"], kind);
            assert_eq!(figures["strategy"], strategy);
        }
    }
}

#[test]
fn the_figures_have_the_promised_names() {
    let figures = sync("--differences 10 --kind adds");
    for name in [
        "rows",
        "differences",
        "kind",
        "strategy",
        "round_trips",
        "bytes_total",
        "bytes_rows",
        "overhead_bytes_per_difference",
        "rows_sent",
        "rows_needed",
        "cpu_ms",
        "commit_ms",
        "wall_ms",
        "agreed",
    ] {
        assert!(!figures[name].is_null(), "{name}");
    }
    assert_eq!(figures["rows"], 3_000);
    assert_eq!(figures["rows_needed"], 10);
    // Keys of 40 bytes and values of 100.
    assert_eq!(figures["bytes_rows"], 1_400);
}

#[test]
fn nothing_differs_costs_one_round_trip() {
    let figures = sync("--kind none");
    assert_eq!(figures["round_trips"], 1.0);
    assert!(figures["bytes_total"].as_u64().unwrap() <= 1_024);
}

#[test]
fn a_link_with_a_delay_takes_its_time() {
    let figures = sync("--kind none --rtt-ms 40");
    assert!(figures["wall_ms"].as_f64().unwrap() >= 40.0, "{figures}");
}

#[test]
fn full_sends_everything_and_still_agrees() {
    let figures = sync("--differences 10 --kind deletes --strategy full");
    assert_eq!(figures["agreed"], true);
}

#[test]
fn a_store_opens_after_a_kill_with_its_digests_right() {
    let figures = run(&["bench", "open", "--rows", "3000", "--json"]).json();
    assert_eq!(figures["digests_right"], true);
    assert_eq!(figures["rows"], 3_000);
    assert!(figures["commits_acknowledged"].as_u64().unwrap() >= 50);
}

#[test]
fn writes_are_compared_with_the_bare_engine_step_by_step() {
    let figures = run(&[
        "bench", "write", "--rows", "3000", "--batch", "500", "--json",
    ])
    .json();
    assert!(figures["ratio_to_bare"].as_f64().unwrap() > 0.0);
    assert_eq!(figures["steps"].as_array().unwrap().len(), 6);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_of_digests_is_measured() {
    let figures = run(&["bench", "memory", "--rows", "3000", "--json"]).json();
    assert!(
        figures["resident_with_digests"].as_u64().unwrap() > 0,
        "{figures}"
    );
}
