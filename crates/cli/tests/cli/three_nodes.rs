//! Three real nodes, each a process of its own, under mutual TLS.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::tempdir;

use crate::command::{cluster, run, syncline, text, until};
use crate::member::Member;
use crate::redis::ask;

/// Starts a member that carries one namespace, with an identity that the cluster made for it.
fn start(scratch: &Path, name: &str, seed: Option<&Member>) -> Member {
    let carries = ["--redis", "off", "--namespace", "people"];
    start_with(scratch, name, seed, &carries)
}

fn start_with(scratch: &Path, name: &str, seed: Option<&Member>, more: &[&str]) -> Member {
    let identity = scratch.join("cluster").join(name);
    let mut arguments = vec!["--identity", text(&identity)];
    if let Some(seed) = seed {
        arguments.extend(["--join", seed.address()]);
    }
    arguments.extend(more);
    Member::start_with(&scratch.join(name), &arguments)
}

/// How one of them sees another.
fn sees(one: &Member, other: &Value) -> String {
    let peers = run(&["peers", "--admin", one.admin(), "--json"]).json();
    let peers = peers["peers"].as_array().unwrap();
    let peer = peers.iter().find(|peer| peer["node"] == *other);
    peer.map_or_else(String::new, |peer| {
        peer["state"].as_str().unwrap().to_owned()
    })
}

/// Whether all that a node knows of hold the same.
fn agreement(node: &Member) -> Value {
    run(&["status", "--admin", node.admin(), "--json"]).json()["agreement"].clone()
}

#[test]
fn three_nodes_join_leave_die_and_come_back() {
    let scratch = tempdir().unwrap();
    cluster(scratch.path(), &["a", "b", "c"]);

    let a = start(scratch.path(), "a", None);
    let mut b = start(scratch.path(), "b", Some(&a));
    // By b, and yet it gets to know a.
    let mut c = start(scratch.path(), "c", Some(&b));
    let [id_a, id_b, id_c] = [&a, &b, &c].map(|node| node.said["node"].clone());
    for (one, others) in [
        (&a, [&id_b, &id_c]),
        (&b, [&id_a, &id_c]),
        (&c, [&id_a, &id_b]),
    ] {
        until(|| others.iter().all(|other| sees(one, other) == "alive"));
    }
    let status = run(&["status", "--admin", a.admin(), "--json"]).json();
    assert_eq!(
        (&status["peers"], &status["peers_up"]),
        (&2.into(), &2.into())
    );
    for node in [&a, &b, &c] {
        until(|| agreement(node) == "yes");
    }
    let table = run(&["convergence", "--admin", a.admin()]).ok();
    for id in [&id_b, &id_c] {
        let line = table
            .lines()
            .find(|line| line.contains(&id.as_str().unwrap()[..12]));
        assert!(
            line.is_some_and(|line| line.contains("people") && line.contains("yes")),
            "{table}"
        );
    }
    let views = ["topology", "--admin", a.admin(), "--also", b.admin()];
    let graph = run(&[&views[..], &["--format", "dot"]].concat()).ok();
    for id in [&id_a, &id_b, &id_c] {
        assert!(graph.contains(id.as_str().unwrap()), "{graph}");
    }
    let views = run(&[&views[..], &["--json"]].concat()).json();
    assert_eq!([&views["node"], &views["also"][0]["node"]], [&id_a, &id_b]);

    // Who says goodbye is not suspected first.
    c.signal(Signal::TERM);
    assert!(c.ended().success(), "{}", c.log());
    until(|| sees(&a, &id_c) == "left" && sees(&b, &id_c) == "left");

    // Who dies without a word is found out.
    b.signal(Signal::KILL);
    b.ended();
    until(|| sees(&a, &id_b) == "down");
    // It is shown as it was last, and does not count.
    let told = run(&["convergence", "--admin", a.admin(), "--json"]).json();
    assert_eq!(told["agreement"], "unknown", "{told}");
    let gone = &told["namespaces"][0]["peers"][0];
    assert_eq!((&gone["node"], &gone["up"]), (&id_b, &false.into()));
    assert_eq!(
        (&gone["agreement"], &gone["behind"]["dots"]),
        (&"yes".into(), &0.into())
    );

    // Both come back as who they were.
    let b = start(scratch.path(), "b", Some(&a));
    let c = start(scratch.path(), "c", Some(&a));
    assert_eq!([&b.said["node"], &c.said["node"]], [&id_b, &id_c]);
    until(|| {
        sees(&a, &id_b) == "alive" && sees(&a, &id_c) == "alive" && sees(&b, &id_c) == "alive"
    });
}

/// What the README's first screen has.
#[test]
fn who_is_invited_joins_with_nothing_carried_by_hand() {
    let scratch = tempdir().unwrap();
    let [data_a, data_b] = ["a", "b"].map(|name| scratch.path().join(name));
    let a = Member::start(&data_a, &["--namespace", "app"]);
    let invite = [
        "cluster",
        "invite",
        "--data",
        text(&data_a),
        "--at",
        a.address(),
    ];
    let token = run(&invite).ok();
    run(&["cluster", "join", "--data", text(&data_b), token.trim()]).ok();
    let b = Member::start(&data_b, &["--namespace", "app", "--join", a.address()]);
    assert_eq!(a.said["cluster"], b.said["cluster"]);
    until(|| sees(&a, &b.said["node"]) == "alive" && sees(&b, &a.said["node"]) == "alive");
}

#[test]
fn who_is_of_another_cluster_is_not_let_in() {
    let scratch = tempdir().unwrap();
    let a = Member::start(&scratch.path().join("a"), &[]);
    let stranger = Member::start(&scratch.path().join("b"), &["--join", a.address()]);
    stranger.logs("WARN");
    let peers = run(&["peers", "--admin", a.admin(), "--json"]).json();
    assert_eq!(peers["peers"].as_array().unwrap().len(), 0, "{peers}");
}

/// Who is stopped is behind by what is written meanwhile, and for how long, until it goes on.
#[test]
fn how_far_a_stopped_peer_is_behind_is_told_until_it_is_not() {
    let scratch = tempdir().unwrap();
    cluster(scratch.path(), &["a", "b"]);
    let a = start_with(scratch.path(), "a", None, &[]);
    let b = start_with(scratch.path(), "b", Some(&a), &[]);
    let redis = a.said["redis"].as_str().unwrap().to_owned();
    let told = || {
        let ran = run(&["convergence", "--admin", a.admin(), "--json"]);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        let namespaces = told["namespaces"].as_array().unwrap().clone();
        let written = namespaces.iter().find(|it| it["name"] == "db0").unwrap();
        (ran.code, written["peers"][0].clone())
    };
    let lacks = |peer: &Value| (peer["agreement"].clone(), peer["behind"]["dots"].as_u64());
    assert_eq!(ask(&redis, "SET before x\r\n"), "+OK\r\n");
    until(|| lacks(&told().1) == ("yes".into(), Some(0)));

    b.signal(Signal::STOP);
    for key in 0..5 {
        assert_eq!(ask(&redis, &format!("SET during:{key} x\r\n")), "+OK\r\n");
    }
    until(|| {
        let (code, peer) = told();
        let seconds = peer["behind"]["seconds"].as_f64();
        // Those which it did not even have before it was stopped are counted, too.
        lacks(&peer) == ("no".into(), Some(5))
            && seconds > Some(0.0)
            && (code == 3 || peer["up"] == false)
    });
    let table = run(&["convergence", "--admin", a.admin()]).stdout;
    let id = &b.said["node"].as_str().unwrap()[..12];
    let line = table
        .lines()
        .find(|line| line.contains(id) && line.contains("db0 "));
    assert!(line.is_some_and(|line| line.contains(" 5 ")), "{table}");

    b.signal(Signal::CONT);
    until(|| lacks(&told().1) == ("yes".into(), Some(0)));
}

#[test]
fn convergence_is_told_again_and_again_to_who_watches() {
    let scratch = tempdir().unwrap();
    let a = Member::start(scratch.path(), &["--namespace", "people"]);
    let mut watching = syncline()
        .args(["convergence", "--admin", a.admin(), "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(told["node"], a.said["node"]);
        assert_eq!(told["namespaces"][0]["name"], "people");
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
}
