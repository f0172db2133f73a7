use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::command::{cluster, run, syncline};

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
        "skewed",
        "growing",
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
fn writes_are_measured_beside_the_bare_engine_at_each_durability() {
    for (arguments, commits) in [
        ("--durability memory", 1),
        ("--batch 100 --log-mib 1", 8),
        ("--durability durable --batch 200", 4),
        ("--durability durable --writers 8", 800),
        ("--writers 2 --batch 100", 8),
    ] {
        let words = format!("bench write --json --rows 800 {arguments}");
        let figures = run(&words.split_whitespace().collect::<Vec<_>>()).json();
        let told = format!("{arguments}: {figures}");
        let durability = arguments.split(' ').nth(1).unwrap();
        let durability = if arguments.contains("--durability") {
            durability
        } else {
            "buffered"
        };
        assert_eq!(figures["durability"], durability, "{told}");
        assert_eq!(figures["bare"]["synced"], durability != "memory", "{told}");
        for rate in ["rows_per_second", "sustained_rows_per_second", "commits"] {
            assert!(figures[rate].as_u64().unwrap() > 0, "{told}");
        }
        let made = figures["commits"].as_u64().unwrap();
        match arguments.contains("--writers") {
            // Those who wait at the same time share one.
            true => assert!(made <= commits, "{told}"),
            false => assert_eq!(made, commits, "{told}"),
        }
    }
}

#[test]
fn upkeep_is_told_part_by_part() {
    let words = "bench write --json --rows 3000 --upkeep --writes 1000 --batch 500";
    let figures = run(&words.split_whitespace().collect::<Vec<_>>()).json();
    let kinds = figures["kinds"].as_array().unwrap();
    let part = |kind: usize, name: &str| {
        let parts = kinds[kind]["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["part"] == name).unwrap();
        ["store_ns", "log_ns"].map(|ns| part[ns].as_u64().unwrap())
    };
    for (at, name) in ["inserts", "overwrites", "removals"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(kinds[at]["kind"], name);
        assert!(
            part(at, "digest tree").iter().all(|ns| *ns > 0),
            "{figures}"
        );
        assert!(part(at, "dot index").iter().all(|ns| *ns > 0), "{figures}");
        assert!(part(at, "sketch")[0] > 0, "{figures}");
        let (some, all) = (&kinds[at]["digests_and_sketch_ns"], &kinds[at]["whole_ns"]);
        assert!(some.as_u64() < all.as_u64(), "{figures}");
    }
    assert!(
        part(2, "removal log")[0] > part(0, "removal log")[0],
        "{figures}"
    );
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

/// The log tells nothing, so that `auto` has to take the sketch.
#[test]
fn a_truncated_removal_log_leaves_deletes_to_the_sketch() {
    let deletes = "--kind deletes --differences 100";
    let by_log = sync(deletes);
    assert_eq!(by_log["round_trips"], 1.5, "{by_log}");
    assert_eq!(
        (&by_log["symbols"], &by_log["decode_ms"]),
        (&0.into(), &Value::Null)
    );
    let by_sketch = sync(&format!("{deletes} --removal-log-bytes 0"));
    assert_eq!(by_sketch["agreed"], true);
    assert!(by_sketch["symbols"].as_u64().unwrap() >= 100, "{by_sketch}");
    assert!(
        by_sketch["decode_ms"].as_f64().unwrap() > 0.0,
        "{by_sketch}"
    );
    assert_eq!(by_sketch["ranges_compared"], 0, "{by_sketch}");
}

#[test]
fn reopenings_are_counted_in_bytes_and_what_sessions_cost_is_told() {
    let words = "bench reopen --json --rows 3000 --differences 100 --kind deletes --times 20";
    let figures = run(&words.split_whitespace().collect::<Vec<_>>()).json();
    let growth = figures["context_bytes_per_opening"].as_f64().unwrap();
    assert!((16.0..=32.0).contains(&growth), "{figures}");
    let sessions = figures["sessions"].as_array().unwrap();
    let [idle, busy] = &sessions[..] else {
        panic!("{figures}");
    };
    assert_eq!(idle["before"]["round_trips"], 1.0, "{figures}");
    assert_eq!(idle["after"]["round_trips"], 1.0, "{figures}");
    for when in ["before", "after"] {
        assert!(busy[when]["bytes_total"].as_u64() > idle[when]["bytes_total"].as_u64());
    }
}

/// `bench serve` as a process of its own; ended when dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(identity: &Path, arguments: &str) -> Self {
        let words = format!("bench serve --json --listen 127.0.0.1:0 {arguments}");
        let mut command = syncline();
        command
            .args(words.split_whitespace())
            .arg("--identity")
            .arg(identity);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let address = told["listening"].as_str().unwrap().to_owned();
        Self { child, address }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn two_hosts_are_measured_over_the_network_between_them() {
    let scratch = tempdir().unwrap();
    let cluster = cluster(scratch.path(), &["oslo", "berlin"]);
    let [oslo, berlin] = ["oslo", "berlin"].map(|name| cluster.join(name));
    let workload = "--rows 3000 --differences 100 --kind deletes --removal-log-bytes 0";
    let serving = Serving::start(&oslo, workload);
    let from_berlin = |workload: &str| {
        let words = format!("bench sync --json --peer {} {workload}", serving.address);
        let words: Vec<_> = words.split_whitespace().collect();
        let identity = ["--identity", berlin.to_str().unwrap()];
        run(&[&words[..], &identity[..]].concat())
    };
    let alone = sync(&workload.replace("--rows 3000", ""));
    for _ in 0..2 {
        let figures = from_berlin(workload).json();
        assert_eq!(figures["agreed"], true, "{figures}");
        assert_eq!(figures["peer"], serving.address, "{figures}");
        for same in ["round_trips", "rows_sent", "rows_needed"] {
            assert_eq!(figures[same], alone[same], "{same}: {figures}");
        }
        assert!(figures["symbols"].as_u64().unwrap() >= 100, "{figures}");
    }
    let other = from_berlin(&workload.replace("deletes", "adds")).failed(5);
    assert!(other.contains("namespace"), "{other}");
}

#[test]
fn runs_are_held_against_saved_ones() {
    let scratch = tempdir().unwrap();
    let file = scratch.path().join("baseline.json");
    let file = file.to_str().unwrap();
    let bench = |arguments: &str| {
        let words = format!("bench sync --rows 3000 --differences 50 {arguments} {file}");
        run(&words.split_whitespace().collect::<Vec<_>>())
    };
    let absent = bench("--kind adds --compare").failed(1);
    assert!(absent.contains("baseline.json"), "{absent}");
    bench("--kind adds --save").ok();
    bench("--kind deletes --save").ok();
    // Times differ widely where little is measured.
    let alike = "--time-tolerance 100000 --compare";
    let same = bench(&format!("--kind adds {alike}"));
    assert_eq!(same.code, 0, "{}", same.stderr);
    assert!(same.stdout.contains("bytes_total"), "{}", same.stdout);
    let told = bench(&format!("--kind adds --json {alike}")).ok();
    let told: Value = serde_json::from_str(told.lines().nth(1).unwrap()).unwrap();
    let lines = told["baseline"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["worse"] == false), "{told}");
    let other = bench(&format!("--kind overwrites {alike}")).failed(1);
    assert!(other.contains("--save"), "{other}");

    // Somebody has made sessions dearer.
    let saved = std::fs::read_to_string(file).unwrap();
    let mut saved: Value = serde_json::from_str(&saved).unwrap();
    for workload in saved.as_object_mut().unwrap().values_mut() {
        let bytes = workload["bytes_total"].as_f64().unwrap();
        workload["bytes_total"] = (bytes / 1.2).into();
    }
    std::fs::write(file, saved.to_string()).unwrap();
    let worse = bench(&format!("--kind adds {alike}")).failed(3);
    assert!(worse.contains("bytes_total"), "{worse}");
    let allowed = bench(&format!("--kind adds --tolerance 25 {alike}"));
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
}

#[test]
fn real_processes_spread_writes_heal_and_notice_who_dies() {
    let words = "bench cluster --nodes 3 --writes 10 --stop-seconds 1 --json";
    let figures = run(&words.split_whitespace().collect::<Vec<_>>()).json();
    assert_eq!(figures["resurrected"], 0, "{figures}");
    assert_eq!(
        (&figures["nodes"], &figures["writes"]),
        (&3.into(), &10.into())
    );
    for time in [
        "joined_ms",
        "spread_p50_ms",
        "healed_ms",
        "killed_noticed_ms",
    ] {
        assert!(figures[time].as_f64().unwrap() > 0.0, "{time}: {figures}");
    }
}

#[test]
fn a_budget_is_measured_while_rows_are_fetched() {
    let words = "bench cluster --budget 1000000 --rows 2000 --json";
    let figures = run(&words.split_whitespace().collect::<Vec<_>>()).json();
    assert_eq!(figures["rows"], 2_000);
    assert!(figures["of_budget"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(figures["writes"].as_u64().unwrap() > 0, "{figures}");
}
