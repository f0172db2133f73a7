//! Large collections: one more member costs its own row, on the wire and on disk, however many are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syncline::{Error, Namespace, Node, Transaction};

use crate::pair::Pair;

const MEMBERS: u32 = 5_000;

type Add = fn(&mut Transaction<'_>, &str) -> Result<(), Error>;

/// The kinds of collections, and how a member is added to each.
const KINDS: [(&str, Add); 3] = [
    ("set", |t, member| t.set("set").insert(member).map(drop)),
    ("map", |t, member| t.map("map").set(member, "1").map(drop)),
    ("sorted set", |t, member| {
        t.sorted_set("sorted").insert(member, 1.0).map(drop)
    }),
];

async fn fill(app: &Namespace, add: Add) {
    app.transaction(move |t| {
        (0..MEMBERS).try_for_each(|number| add(t, &format!("member {number}")))
    })
    .await
    .unwrap();
}

async fn add_one(app: &Namespace, add: Add, member: &str) {
    let member = member.to_owned();
    app.transaction(move |t| add(t, &member)).await.unwrap();
}

#[tokio::test]
async fn one_more_member_costs_its_own_row_on_the_wire() {
    let pair = Pair::apart().await;
    for (kind, add) in KINDS {
        fill(&pair.a, add).await;
        pair.heal().await;
        add_one(&pair.a, add, "one more").await;
        let report = pair.a.sync_with(&pair.nodes[1]).await.unwrap();
        assert!(report.agreed, "{kind}");
        assert_eq!((report.rows_sent, report.rows_received), (1, 0), "{kind}");
        assert!(report.bytes_total() < 1_000, "{kind}: {report:?}");
    }
}

#[tokio::test]
async fn one_more_member_costs_its_own_row_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let node = Node::builder()
        .data_dir(scratch.path())
        .start()
        .await
        .unwrap();
    let app = node.namespace("app").unwrap();
    for (kind, add) in KINDS {
        fill(&app, add).await;
        let mut grown = Vec::new();
        // A new file may be begun, or an old one removed, in between.
        while grown.len() < 3 {
            let before = logs(scratch.path());
            add_one(&app, add, &format!("one more {}", grown.len())).await;
            let after = logs(scratch.path());
            if before.keys().eq(after.keys()) {
                grown.push(after.values().sum::<u64>() - before.values().sum::<u64>());
            }
        }
        for bytes in grown {
            assert!((1..2_000).contains(&bytes), "{kind}: {bytes}");
        }
    }
    node.shutdown().await.unwrap();
}

/// The logs in which commits lie first, and their sizes.
fn logs(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut logs(&path));
        } else if path.to_string_lossy().contains(".log-") {
            // It may be gone by now.
            found.extend(fs::metadata(&path).map(|it| (path, it.len())));
        }
    }
    found
}
