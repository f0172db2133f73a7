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
    assert_eq!(members[0]["node"], joined["node"]);
    assert_eq!(members[0]["name"], "oslo");
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
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        joiners
            .iter()
            .filter(|it| it.join("identity").exists())
            .count(),
        1
    );
}
