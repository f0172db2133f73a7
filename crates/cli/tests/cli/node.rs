use std::fs;

use rustix::process::Signal;
use tempfile::tempdir;

use crate::command::{run, syncline, text};
use crate::member::Member;

#[test]
fn a_node_says_where_it_is_and_ends_in_order() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Member::start(&data, &["--namespace", "people"]);
        for key in ["version", "node", "cluster"] {
            assert!(node.said[key].is_string(), "{}", node.said);
        }
        assert_eq!(node.said["data"], text(&data));
        node.signal(Signal::HUP);
        node.logs("asked to read files again");
        node.signal(signal);
        assert!(node.ended().success(), "{}", node.log());
        let log = node.log();
        assert!(log.contains("ending in order"), "{log}");
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}

#[test]
fn who_was_killed_starts_again_with_what_it_had() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut node = Member::start(&data, &[]);
    let identity = node.said["node"].clone();
    node.signal(Signal::KILL);
    assert!(!node.ended().success());
    let node = Member::start(&data, &[]);
    assert_eq!(node.said["node"], identity);
}

#[test]
fn what_another_process_holds_is_told_apart() {
    let scratch = tempdir().unwrap();
    let [data, other] = ["data", "other"].map(|name| scratch.path().join(name));
    let node = Member::start(&data, &[]);
    let start = |data: &std::path::Path, address: &str| {
        run(&[
            "node",
            "--data",
            text(data),
            "--listen",
            address,
            "--log-level",
            "error",
        ])
    };
    let error = start(&data, "127.0.0.1:0").failed(6);
    assert!(error.contains("in use by another node"), "{error}");
    let error = start(&other, node.address()).failed(6);
    assert!(error.contains(node.address()), "{error}");
    assert!(error.contains("choose another address"), "{error}");
}

#[test]
fn a_seed_that_does_not_answer_is_a_warning() {
    let scratch = tempdir().unwrap();
    // Nobody listens there: the port is this very socket's, which never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let seed = silent.local_addr().unwrap().to_string();
    let mut node = Member::start(
        scratch.path(),
        &["--join", &seed, "--join", "nowhere.invalid:1"],
    );
    node.logs("nowhere.invalid:1");
    let log = node.log();
    assert!(log.contains("WARN"), "{log}");
    node.signal(Signal::TERM);
    assert!(node.ended().success(), "{}", node.log());
}

#[test]
fn the_settings_in_force_are_printed_with_their_sources() {
    let scratch = tempdir().unwrap();
    let file = scratch.path().join("node.toml");
    fs::write(&file, "listen = \"0.0.0.0:7400\"\nsync-every = \"30s\"\n").unwrap();
    let check = |variables: &[(&str, &str)]| {
        let output = syncline()
            .args(["node", "--config", text(&file), "--check-config", "--json"])
            .args(["--data", "here"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        crate::command::Ran::from(output)
    };
    let settings = check(&[("SYNCLINE_SYNC_EVERY", "5s")]).json();
    assert_eq!(settings["data"]["source"], "flag");
    assert_eq!(settings["sync-every"]["value"][0], "5s");
    assert_eq!(settings["sync-every"]["source"], "environment");
    assert_eq!(settings["listen"]["source"], format!("{}:1", text(&file)));
    assert_eq!(settings["durability"]["source"], "default");

    let error = check(&[("SYNCLINE_SINC_EVERY", "5s")]).failed(2);
    assert!(error.contains("SYNCLINE_SINC_EVERY"), "{error}");
    fs::write(&file, "listen = \"0.0.0.0:7400\"\nsinc-every = \"30s\"\n").unwrap();
    let error = check(&[]).failed(2);
    assert!(error.contains(":2: sinc-every is no setting"), "{error}");
    assert!(!scratch.path().join("here").exists(), "it only looks");
}

#[test]
fn a_running_node_is_asked_by_the_commands_for_it() {
    let scratch = tempdir().unwrap();
    let node = Member::start(scratch.path(), &["--namespace", "people"]);
    let ask =
        |command: &str, more: &[&str]| run(&[&[command, "--admin", node.admin()], more].concat());
    let status = ask("status", &["--json"]).json();
    assert_eq!(status["node"], node.said["node"]);
    assert_eq!(status["namespaces"][0]["name"], "people");
    assert_eq!(status["read_only"], false);
    let people = ask("status", &[]).ok();
    assert!(
        people.contains(&node.said["node"].as_str().unwrap()[..12]),
        "{people}"
    );
    assert!(people.contains("certificate good for 36"), "{people}");
    assert_eq!(
        ask("peers", &["--json"]).json()["peers"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert!(
        ask("topology", &["--format", "dot"])
            .ok()
            .starts_with("digraph")
    );
    assert_eq!(
        ask("convergence", &["--json"]).json()["agreement"],
        "unknown"
    );
    let error = run(&["status", "--admin", "127.0.0.1:1"]).failed(5);
    assert!(error.contains("127.0.0.1:1"), "{error}");
}

#[test]
fn the_admin_face_stays_on_this_machine_unless_it_is_told() {
    let scratch = tempdir().unwrap();
    let wide = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "0.0.0.0:0",
        "--log-level",
        "error",
    ];
    let mut arguments = vec!["node", "--data", text(scratch.path())];
    arguments.extend(wide);
    let error = run(&arguments).failed(2);
    assert!(error.contains("loopback"), "{error}");
    let node = Member::start(scratch.path(), &["--admin", "0.0.0.0:0", "--admin-exposed"]);
    assert!(node.admin().starts_with("0.0.0.0:"));
}
