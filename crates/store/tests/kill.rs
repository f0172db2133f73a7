//! A process is killed by SIGKILL at arbitrary instants while it writes. What it acknowledged as
//! buffered or durable is there, no commit is there in part, no dot is used twice, and everything that a commit
//! maintains agrees with the rows.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use syncline_crdt::{Dot, RowKey};
use syncline_merkle::KeyRange;
use syncline_store::{
    Config, Durability, LogOptions, LoggedEngine, RedbOptions, Store, StoreError, View,
};

const PATH: &str = "SYNCLINE_KILL_TEST_STORE";

fn open(path: &Path) -> Store<LoggedEngine> {
    // Little, so that the kill comes at any moment of a group on its way to the tables, too.
    let log = LogOptions {
        max_unapplied_bytes: 1 << 20,
        ..LogOptions::default()
    };
    let engine = LoggedEngine::open_or_create(path, RedbOptions::default(), log).unwrap();
    Store::open(engine, Config::new("kill", [3; 32])).unwrap()
}

/// The rows that the child's `n`th transaction puts, and one that it removes.
fn edits(n: u32) -> (Vec<(RowKey, Vec<u8>)>, Option<RowKey>) {
    let cell = |n: u32| RowKey::cell(format!("key{}", n % 97).as_bytes());
    let members = (0..n % 50).map(|more| RowKey::member(b"set", &(n % 1_000 + more).to_be_bytes()));
    let mut puts = vec![(cell(n), n.to_be_bytes().to_vec())];
    puts.extend(members.map(|key| (key, n.to_le_bytes().to_vec())));
    (puts, n.is_multiple_of(5).then(|| cell(n + 13)))
}

/// Some commits may be lost: a later one of the others takes them along, a kill before it loses them.
fn durability(n: u32) -> Durability {
    match n % 6 {
        0 => Durability::Durable,
        2 | 3 => Durability::Buffered,
        _ => Durability::Memory,
    }
}

/// The child: writes, and says what was acknowledged, until it is killed.
#[test]
#[ignore = "run by the test below, as a process of its own"]
fn child_writes_until_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let store = open(Path::new(&path));
    let mut out = std::io::stdout();
    for n in 0u32.. {
        let (puts, removal) = edits(n);
        let written: Result<(Vec<Dot>, _), StoreError> = store.transact(durability(n), |txn| {
            let put = |(key, payload)| txn.put(&key, payload);
            let dots = puts.into_iter().map(put).collect();
            if let Some(key) = removal {
                txn.remove(&key)?;
            }
            dots
        });
        for dot in written.unwrap().0 {
            writeln!(out, "dot {} {}", dot.replica, dot.counter).unwrap();
        }
        writeln!(out, "wrote {n}").unwrap();
    }
}

fn contents(view: &View<LoggedEngine>) -> BTreeMap<RowKey, Vec<u8>> {
    view.scan(&KeyRange::ALL)
        .map(Result::unwrap)
        .map(|(key, row)| (key, row.winner().unwrap().payload.clone()))
        .collect()
}

/// What a child had said when it was killed after `life`.
fn run_and_kill(path: &Path, life: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_writes_until_killed", "--exact", "--ignored"])
        .arg("--nocapture")
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        said
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = reader.join().unwrap();
    // The last line may be cut off in the middle.
    let whole = said.rfind('\n').map_or(0, |end| end + 1);
    said[..whole].lines().map(str::to_owned).collect()
}

#[test]
fn nothing_acknowledged_is_lost_that_need_not_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut dots_ever = HashSet::new();
    let mut expected = BTreeMap::new();
    let mut commits = 0;
    for round in 0..12 {
        // From before the file is made to the middle of a run of commits.
        let lines = run_and_kill(&path, Duration::from_millis(round * round * 5));
        let mut acknowledged = None;
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["dot", replica, counter] => {
                    let dot = (replica.to_owned(), counter.to_owned());
                    assert!(dots_ever.insert(dot), "a dot was used twice: {line}");
                }
                ["wrote", n] => acknowledged = Some(n.parse::<u32>().unwrap()),
                // The test harness has something to say, too.
                _ => {}
            }
        }

        let begun = Instant::now();
        let store = open(&path);
        let opened = begun.elapsed();
        assert!(opened < Duration::from_secs(1), "opening took {opened:?}");
        let view = store.view().unwrap();
        let recount = view.recount().unwrap();
        assert!(recount.is_sound(), "{round}: {:#?}", recount.mismatches);

        // The store is as it was after one of the commits, whole, and of none before the last
        // acknowledged one that had to be kept. One commit may have been made whose acknowledgement nobody saw.
        let found = contents(&view);
        let made = acknowledged.map_or(0, |n| n + 1);
        let kept = (0..made)
            .rev()
            .find(|n| durability(*n) != Durability::Memory);
        let mut is_possible = kept.is_none() && found == expected;
        for n in 0..=made {
            let (puts, removal) = edits(n);
            expected.extend(puts);
            removal.iter().for_each(|key| drop(expected.remove(key)));
            is_possible |= kept.is_none_or(|kept| kept <= n) && found == expected;
        }
        assert!(
            is_possible,
            "round {round}: not as after any commit from {kept:?} to {made}"
        );
        expected = found;
        commits += made;
    }
    assert!(commits > 100, "the children hardly wrote: {commits}");
}
