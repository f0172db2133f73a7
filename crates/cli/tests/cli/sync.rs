use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::command::{cluster, run, run_with, syncline, text};

/// A node that serves until it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    log: PathBuf,
}

impl Serving {
    pub(crate) fn start(data: &Path, namespace: &str) -> Self {
        Self::at(data, namespace, "127.0.0.1:0")
    }

    pub(crate) fn at(data: &Path, namespace: &str, address: &str) -> Self {
        let log = data.with_extension("log");
        let mut child = syncline()
            .args([
                "sync",
                "--data",
                text(data),
                "--listen",
                address,
                "--json",
                "-v",
            ])
            .args(["--namespace", namespace])
            .stderr(
                File::options()
                    .create(true)
                    .append(true)
                    .open(&log)
                    .unwrap(),
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["listening"].as_str().unwrap().to_owned();
        Self {
            child,
            address,
            log,
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Two data directories whose nodes belong to one cluster.
fn two_members(scratch: &Path) -> [std::path::PathBuf; 2] {
    let cluster = cluster(scratch, &["a", "b"]);
    ["a", "b"].map(|name| {
        let data = scratch.join(format!("data-{name}"));
        fs::create_dir_all(data.join("identity")).unwrap();
        fs::rename(cluster.join(name), data.join("identity/node")).unwrap();
        data
    })
}

fn import(data: &Path, namespace: &str, input: &str) {
    let place = ["--data", text(data), "--namespace", namespace];
    run_with(
        &[&["import", "--format", "csv"], &place[..], &["-"]].concat(),
        input,
    )
    .ok();
}

fn export(data: &Path, namespace: &str) -> String {
    run(&["export", "--data", text(data), "--namespace", namespace]).ok()
}

#[test]
fn two_machines_made_by_hand_sync_both_ways() {
    let scratch = tempdir().unwrap();
    let [a, b] = two_members(scratch.path());
    import(&a, "people", "id,city\nada,London\n");
    import(&b, "people", "id,city\nbob,Oslo\n");
    {
        let serving = Serving::start(&a, "people");
        let told = ["--data", text(&b), "--peer", &serving.address];
        let first = run(&[&["sync", "--json"], &told[..]].concat()).json();
        assert_eq!(first["agreed"], true);
        assert_eq!(
            (&first["rows_sent"], &first["rows_received"]),
            (&1.into(), &1.into())
        );
        let bytes = &first["bytes_sent"];
        assert!(bytes["hello"].as_u64().unwrap() > 0 && bytes["rows"].as_u64().unwrap() > 0);

        let walk = [
            &["sync", "--strategy", "walk", "--namespace", "people"],
            &told[..],
        ]
        .concat();
        let second = run(&walk).ok();
        assert!(second.contains("both sides now hold the same"), "{second}");
        assert!(second.contains("round trips"), "{second}");
    }
    assert_eq!(export(&a, "people"), export(&b, "people"));
    assert_eq!(export(&a, "people").lines().count(), 2);
}

#[test]
fn a_peer_that_cannot_be_had_is_told_apart_from_a_failure_here() {
    let scratch = tempdir().unwrap();
    let [a, b] = two_members(scratch.path());
    import(&b, "people", "id,city\nbob,Oslo\n");
    let data = ["--data", text(&b), "--namespace", "people"];
    let to = |peer: &str| run(&[&["sync"], &data[..], &["--peer", peer]].concat());
    let error = to("no such host").failed(5);
    assert!(error.contains("address"), "{error}");

    // A node of another cluster.
    let stranger = scratch.path().join("stranger");
    let serving = Serving::start(&stranger, "people");
    let error = to(&serving.address).failed(5);
    assert!(error.contains("cluster"), "{error}");
    drop(serving);

    // A peer that carries something else.
    let serving = Serving::start(&a, "other");
    let error = to(&serving.address).failed(5);
    assert!(error.contains("people"), "{error}");

    // A data directory in use.
    let error = run(&["sync", "--data", text(&a), "--peer", "127.0.0.1:1"]).failed(6);
    assert!(error.contains("in use"), "{error}");
    // A data directory without anything to sync.
    let empty = scratch.path().join("empty");
    let error = run(&["sync", "--data", text(&empty), "--peer", "127.0.0.1:1"]).failed(1);
    assert!(error.contains("--namespace"), "{error}");
}

#[test]
fn a_cluster_is_made_once_and_added_to_later() {
    let scratch = tempdir().unwrap();
    let cluster = scratch.path().join("cluster");
    let said = run(&["cluster", "init", text(&cluster), "--node", "a"]).ok();
    assert!(said.contains("DATA/identity/node"), "{said}");
    let again = run(&["cluster", "init", text(&cluster), "--node", "b", "--json"]).json();
    assert_eq!(again["made"], false);
    assert!(cluster.join("b/node.pem").exists());
    let error = run(&["cluster", "init", text(&cluster)]).failed(1);
    assert!(error.contains("--node"), "{error}");
    let error = run(&["cluster", "init", text(&cluster), "--node", "a"]).failed(1);
    assert!(error.contains("exists"), "{error}");
}
