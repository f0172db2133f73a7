//! Making a cluster, inviting, joining.

use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::command::{run, run_with, text};
use crate::sync::Serving;

fn founder(scratch: &Path) -> PathBuf {
    let data = scratch.join("founder");
    let made = run(&["cluster", "init", "--data", text(&data), "--json"]).json();
    assert_eq!(made["made"], true);
    assert_eq!(made["cluster"].as_str().unwrap().len(), 32);
    data
}

fn invite(data: &Path, more: &[&str]) -> String {
    let arguments = ["cluster", "invite", "--data", text(data)];
    run(&[&arguments[..], more].concat()).ok().trim().to_owned()
}

#[test]
fn three_commands_make_two_members_that_sync() {
    let scratch = tempdir().unwrap();
    let data = founder(scratch.path());
    let serving = Serving::start(&data, "app");
    // While the node runs.
    let token = invite(
        &data,
        &[
            "--at",
            &serving.address,
            "--name",
            "oslo",
            "--namespace",
            "app",
        ],
    );
    let other = scratch.path().join("other");
    let joined = run(&["cluster", "join", "--data", text(&other), &token, "--json"]).json();
    assert_eq!(joined["namespaces"][0], "app");

    let members = run(&["cluster", "members", "--data", text(&data), "--json"]).json();
    let oslo = members
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "oslo");
    assert_eq!(oslo.unwrap()["node"], joined["node"]);
    let table = run(&["cluster", "members", "--data", text(&data)]).ok();
    assert!(table.contains("oslo") && table.contains(" d"), "{table}");

    let sync = [
        "sync",
        "--data",
        text(&other),
        "--peer",
        &serving.address,
        "--namespace",
    ];
    let report = run(&[&sync[..], &["app", "--json"]].concat()).json();
    assert_eq!(report["agreed"], true);
    let refused = run(&[&sync[..], &["payroll"]].concat()).failed(5);
    assert!(refused.contains("does not name namespace"), "{refused}");

    // The token is used up; on standard input it works as well.
    let third = scratch.path().join("third");
    let join = ["cluster", "join", "--data", text(&third), "-"];
    let used = run_with(&join, &format!("{token}\n")).failed(5);
    assert!(used.contains("used by another node"), "{used}");
    let log = serving.log();
    assert!(log.contains("a used invitation was shown"), "{log}");
    assert!(log.contains(joined["node"].as_str().unwrap()), "{log}");
}

#[test]
fn mistakes_are_told_apart() {
    let scratch = tempdir().unwrap();
    let data = founder(scratch.path());
    let place = ["--data", text(&data)];
    run(&[&["cluster", "init"], &place[..]].concat()).failed(1);
    let wrong = [&["cluster", "invite"], &place[..], &["--at", "nowhere"]].concat();
    assert!(run(&wrong).failed(2).contains("no address"));
    let other = scratch.path().join("other");
    let none = run(&["cluster", "invite", "--data", text(&other), "--at", "a:1"]).failed(1);
    assert!(none.contains("syncline cluster init"), "{none}");
    let join = |token: &str| run(&["cluster", "join", "--data", text(&other), token]);
    assert!(
        join("syncline-invite-x")
            .failed(4)
            .contains("copy all of what")
    );
    let token = invite(&data, &["--at", "127.0.0.1:9"]);
    let unreachable = join(&token).failed(5);
    assert!(unreachable.contains("127.0.0.1:9"), "{unreachable}");
    assert!(!other.join("identity").exists());
}

/// Whoever enrols while the deciding node is killed again and again is the only member that a token makes.
#[test]
fn a_token_makes_one_member_though_the_node_is_killed() {
    let scratch = tempdir().unwrap();
    let data = founder(scratch.path());
    let address = {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let token = invite(&data, &["--at", &address]);
    let joiners: Vec<_> = (0..3)
        .map(|n| scratch.path().join(format!("joiner{n}")))
        .collect();
    let joining: Vec<_> = joiners
        .iter()
        .map(|joiner| {
            let (joiner, token) = (joiner.clone(), token.clone());
            std::thread::spawn(move || {
                // Until it is a member, or is told that another one is.
                loop {
                    let joined = run(&["cluster", "join", "--data", text(&joiner), &token]);
                    if joined.code == 0 || joined.stderr.contains("used by another") {
                        return joined.code == 0;
                    }
                }
            })
        })
        .collect();
    for pause in [40, 80, 120, 200] {
        let serving = Serving::at(&data, "app", &address);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        // By SIGKILL.
        drop(serving);
    }
    let _serving = Serving::at(&data, "app", &address);
    let members = joining.into_iter().map(|it| it.join().unwrap());
    assert_eq!(members.filter(|member| *member).count(), 1);
    let list = run(&["cluster", "members", "--data", text(&data), "--json"]).json();
    assert_eq!(
        list.as_array().unwrap().len(),
        2,
        "the founder's own node is one"
    );
    assert_eq!(
        joiners
            .iter()
            .filter(|it| it.join("identity").exists())
            .count(),
        1
    );
}

/// Waits for something that a running node takes over within seconds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..120 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("{what}");
}

#[test]
fn who_is_no_member_any_more_or_never_was_gets_nothing_and_the_log_says_why() {
    let scratch = tempdir().unwrap();
    let data = founder(scratch.path());
    let serving = Serving::start(&data, "app");
    let oslo = scratch.path().join("oslo");
    let token = invite(&data, &["--at", &serving.address, "--name", "oslo"]);
    let joined = run(&["cluster", "join", "--data", text(&oslo), &token, "--json"]).json();
    let sync = |data: &Path| {
        run(&[
            "sync",
            "--data",
            text(data),
            "--peer",
            &serving.address,
            "--namespace",
            "app",
        ])
    };
    sync(&oslo).ok();

    // A member of another cluster.
    let stranger = founder(&scratch.path().join("elsewhere"));
    let refused = sync(&stranger);
    let cluster = joined["cluster"].as_str().unwrap();
    assert!(!format!("{}{}", refused.stdout, refused.stderr).contains(cluster));
    refused.failed(5);
    let log = serving.log();
    assert!(log.contains("turned away"), "{log}");

    // A member that is revoked while the node runs.
    let revoke = ["cluster", "revoke", "--data", text(&data), "--json"];
    let revoked = run(&[&revoke[..], &["oslo"]].concat()).json();
    assert_eq!(revoked["node"], joined["node"]);
    assert_eq!(revoked["news"], true);
    eventually("the running node takes it over", || sync(&oslo).code == 5);
    assert!(sync(&oslo).failed(5).contains("shut out"));
    let log = serving.log();
    assert!(log.contains("a node was revoked"), "{log}");
    let line = log
        .lines()
        .find(|line| line.contains("turned away") && line.contains("Revoked"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
    let table = run(&["cluster", "members", "--data", text(&data)]).ok();
    assert!(table.contains("it was revoked"), "{table}");
    let own = run(&["cluster", "members", "--data", text(&data), "--json"]).json();
    let own = own
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "node")
        .unwrap();
    let itself = run(&[&revoke[..], &[own["node"].as_str().unwrap()]].concat()).failed(1);
    assert!(itself.contains("this node itself"), "{itself}");
}

#[test]
fn certificates_and_authorities_are_rotated() {
    let scratch = tempdir().unwrap();
    let data = founder(scratch.path());
    let serving = Serving::start(&data, "app");
    let oslo = scratch.path().join("oslo");
    let token = invite(&data, &["--at", &serving.address, "--name", "oslo"]);
    run(&["cluster", "join", "--data", text(&oslo), &token]).ok();
    let rotate = |data: &Path, more: &[&str]| {
        run(&[&["cluster", "rotate", "--data", text(data)], more].concat())
    };
    let renewed = rotate(&oslo, &["--json"]).json();
    assert!(renewed["expires"].as_u64().unwrap() > 1_700_000_000);

    let begun = rotate(&data, &["--authority", "--json"]).json();
    assert_eq!(begun["exchange"], "begun");
    // The node of the authority renews by itself; the other one is not running, and is told how.
    eventually("the running node renews", || {
        let left = rotate(&data, &["--authority", "--finish"]).failed(1);
        left.contains("exchange: oslo would be shut out")
    });
    rotate(&oslo, &[]).ok();
    rotate(&data, &["--authority", "--finish"]).ok();
    eventually("both go by the new authority", || {
        let sync = ["sync", "--data", text(&oslo), "--peer", &serving.address];
        run(&[&sync[..], &["--namespace", "app"]].concat()).code == 0
    });
    rotate(&data, &["--authority", "--finish"]).failed(1);
    drop(serving);
    let unreachable = rotate(&oslo, &[]).failed(5);
    assert!(unreachable.contains("no answer"), "{unreachable}");
}
