//! `syncline sync`: one session per namespace with a peer, or the other side of it.

use std::time::{Duration, Instant};

use serde_json::json;
use syncline::{Node, Report, SyncError, SyncOptions};

use crate::args::Sync;
use crate::by_kind::BytesByKind;
use crate::failure::{Doing, Failure, Reason, chain};
use crate::home;
use crate::progress::Progress;
use crate::table::{Align, Table, bytes, count, duration, share};

pub(crate) async fn run(arguments: &Sync) -> Result<(), Failure> {
    match (&arguments.peer, arguments.listen) {
        (Some(peer), _) => sync(arguments, peer).await,
        (None, Some(address)) => serve(arguments, &address.to_string()).await,
        // clap lets nobody through with neither.
        (None, None) => Ok(()),
    }
}

async fn sync(arguments: &Sync, peer: &str) -> Result<(), Failure> {
    let node = home::open(&arguments.home).await?;
    let outcome = sessions(arguments, &node, peer).await;
    home::close(node).await?;
    if outcome? {
        return Ok(());
    }
    Err(Failure::new(
        Reason::Differs,
        "the replicas do not agree yet; one of them was written to meanwhile, or rows were set aside: sync again",
    ))
}

/// Runs the sessions one after the other; whether all ended in agreement.
async fn sessions(arguments: &Sync, node: &Node, peer: &str) -> Result<bool, Failure> {
    let options = SyncOptions::default().strategy(arguments.strategy.into());
    let mut agreed = true;
    for name in namespaces(arguments, node)? {
        let namespace = node
            .namespace(&name)
            .doing(|| "cannot open the namespace".to_owned())?;
        let progress = Progress::spinner(&format!("syncing {name} with {peer}"));
        let began = Instant::now();
        let outcome = namespace.sync(peer, &options).await;
        let elapsed = began.elapsed();
        drop(progress);
        let report = outcome.map_err(|error| failed(&name, &error))?;
        agreed &= report.agreed;
        if arguments.json {
            println!("{}", machine(&name, peer, &report, elapsed));
        } else {
            print!("{}", people(&name, peer, &report, elapsed));
        }
    }
    Ok(agreed)
}

/// Those named, or all that the node carries.
fn namespaces(arguments: &Sync, node: &Node) -> Result<Vec<String>, Failure> {
    if !arguments.namespaces.is_empty() {
        return Ok(arguments.namespaces.clone());
    }
    let carried = node.namespaces();
    if carried.is_empty() {
        return Err(Failure::failed(format!(
            "{} holds no namespace yet; name those to sync with --namespace",
            arguments.home.data.display()
        )));
    }
    Ok(carried)
}

fn failed(namespace: &str, error: &SyncError) -> Failure {
    let ours = matches!(error, SyncError::Replica(_) | SyncError::Bind(_));
    let failure = Failure::failed(format!("cannot sync {namespace}: {}", chain(error)));
    match ours {
        true => failure,
        false => failure.because(Reason::Peer),
    }
}

async fn serve(arguments: &Sync, address: &str) -> Result<(), Failure> {
    let node = home::listen(&arguments.home, address).await?;
    for name in namespaces(arguments, &node)? {
        node.namespace(&name)
            .doing(|| "cannot open the namespace".to_owned())?;
    }
    if let Some(address) = node.local_addr() {
        match arguments.json {
            true => println!(
                "{}",
                json!({"listening": address.to_string(), "namespaces": node.namespaces()})
            ),
            false => println!(
                "serving {} at {address}; interrupt to end",
                node.namespaces().join(", ")
            ),
        }
    }
    tokio::signal::ctrl_c()
        .await
        .doing(|| "cannot wait for an interrupt".to_owned())?;
    home::close(node).await
}

fn people(namespace: &str, peer: &str, report: &Report, elapsed: Duration) -> String {
    let verdict = match report.agreed {
        true => "both sides now hold the same",
        false => "the two sides still differ",
    };
    let mut kinds = Table::new(&[
        ("", Align::Left),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("of rows", Align::Right),
        ("digests", Align::Right),
        ("sketch", Align::Right),
        ("context", Align::Right),
        ("hello", Align::Right),
        ("control", Align::Right),
    ]);
    for (side, rows, traffic) in [
        ("sent", report.rows_sent, &report.sent),
        ("received", report.rows_received, &report.received),
    ] {
        kinds.row([
            side.to_owned(),
            count(rows),
            bytes(traffic.total()),
            bytes(traffic.rows),
            bytes(traffic.digests),
            bytes(traffic.sketch),
            bytes(traffic.context),
            bytes(traffic.hello),
            bytes(traffic.control),
        ]);
    }
    format!(
        "{namespace} with {peer}: {verdict}\n{kinds}\
         \x20 {} round trips, {} ranges compared, {}; {} of a full copy ({})\n",
        report.round_trips(),
        count(report.ranges_compared),
        duration(elapsed),
        share(report.bytes_total(), report.full_copy_bytes),
        bytes(report.full_copy_bytes),
    )
}

fn machine(namespace: &str, peer: &str, report: &Report, elapsed: Duration) -> serde_json::Value {
    json!({
        "namespace": namespace,
        "peer": peer,
        "strategy": report.strategy.name(),
        "agreed": report.agreed,
        "round_trips": report.round_trips(),
        "rows_sent": report.rows_sent,
        "rows_received": report.rows_received,
        "ranges_compared": report.ranges_compared,
        "ranges_unsettled": report.ranges_unsettled,
        "bytes_total": report.bytes_total(),
        "bytes_sent": BytesByKind::from(&report.sent),
        "bytes_received": BytesByKind::from(&report.received),
        "full_copy_bytes": report.full_copy_bytes,
        "elapsed_ms": elapsed.as_millis() as u64,
    })
}
