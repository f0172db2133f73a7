//! What it costs to remove a large set, on the node that does it and on one that hears of it afterwards; beside removing
//! members one by one.
//!
//! ```text
//! cargo run --release --example bulk_removal -- 10000000
//! ```

use std::time::{Duration, Instant};

use syncline::trust::Cluster;
use syncline::{Error, Namespace, Node};

/// Members written in one transaction.
const BATCH: u64 = 10_000;
/// Members removed one by one, where there are as many.
const ONE_BY_ONE: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let members: u64 = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 20_000,
    };
    let scratch = tempfile::tempdir()?;
    let cluster = Cluster::throwaway()?;
    let node = Node::builder()
        .data_dir(scratch.path())
        .cluster(&cluster)
        .listen("127.0.0.1:0");
    let node = node.start().await?;
    let peer = Node::builder()
        .in_memory()
        .cluster(&cluster)
        .start()
        .await?;

    let single = members.min(ONE_BY_ONE);
    for (name, count, at_once) in [("one-by-one", single, false), ("at-once", members, true)] {
        let (ours, theirs) = (node.namespace(name)?, peer.namespace(name)?);
        fill(&ours, count).await?;
        theirs.sync_with(&node).await?;

        let begun = Instant::now();
        let removed = match at_once {
            true => ours.set("members").clear().await?,
            false => one_by_one(&ours, count).await?,
        };
        let removing = begun.elapsed();
        let begun = Instant::now();
        let report = theirs.sync_with(&node).await?;
        let healing = begun.elapsed();
        assert!(report.agreed && theirs.count().await? == 0);
        println!(
            "{name}: {removed} members removed in {}; a peer healed in {}, by {} bytes; {} at most resident",
            seconds(removing),
            seconds(healing),
            report.bytes_total(),
            peak()
        );
    }
    peer.shutdown().await?;
    node.shutdown().await?;
    Ok(())
}

async fn fill(namespace: &Namespace, count: u64) -> Result<(), Error> {
    for first in (0..count).step_by(BATCH as usize) {
        let members = first..count.min(first + BATCH);
        let write = namespace.transaction(move |t| {
            for member in members {
                t.set("members").insert(format!("member:{member:010}"))?;
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}

async fn one_by_one(namespace: &Namespace, count: u64) -> Result<u64, Error> {
    let set = namespace.set("members");
    for member in 0..count {
        set.remove(format!("member:{member:010}")).await?;
    }
    Ok(count)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The most memory that the process has held so far, where the system tells: both nodes, with their caches.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |kib| kib.trim().to_owned())
}
