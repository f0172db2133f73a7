//! Two durable nodes that write apart and then heal: `cargo run --example embed`
//!
//! Both run in this process, each with a data directory of its own, and meet over QUIC on loopback.

use std::error::Error;
use std::path::Path;

use syncline::trust::{Cluster, Membership};
use syncline::{Node, Report};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let cluster = Cluster::create(home.path().join("cluster"))?;
    let ada = start(home.path(), &cluster, "ada").await?;
    let bob = start(home.path(), &cluster, "bob").await?;

    // Apart, each goes on writing.
    let here = ada.namespace("shop")?;
    here.set("cart").insert("tea").await?;
    here.set("cart").insert("scones").await?;
    here.counter("visits").add(7).await?;
    here.put("greeting", "good morning").await?;

    let there = bob.namespace("shop")?;
    there.set("cart").insert("jam").await?;
    there.counter("visits").add(3).await?;
    there
        .transaction(|t| {
            t.put("greeting", "good evening")?;
            t.map("user:bob").set("city", "Turin")
        })
        .await?;

    // Together: one session brings both to the same state.
    let report = here.sync_with(&bob).await?;
    print(&report);
    for (name, shop) in [("ada", &here), ("bob", &there)] {
        let cart = shop.set("cart").members().await?.collect().await?;
        let cart: Vec<_> = cart
            .iter()
            .map(|item| item.escape_ascii().to_string())
            .collect();
        let visits = shop.counter("visits").value().await?;
        let greetings = shop.register("greeting").siblings().await?.len();
        println!("{name}: cart {cart:?}, {visits} visits, {greetings} greetings to choose from");
    }
    ada.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}

async fn start(home: &Path, cluster: &Cluster, name: &str) -> Result<Node, Box<dyn Error>> {
    let identity = Membership::load(cluster.issue(name)?)?;
    let builder = Node::builder().data_dir(home.join(name));
    Ok(builder
        .membership(identity)
        .listen("127.0.0.1:0")
        .start()
        .await?)
}

fn print(report: &Report) {
    println!("agreed:       {}", report.agreed);
    println!("round trips:  {}", report.round_trips());
    println!(
        "rows:         {} sent, {} received",
        report.rows_sent, report.rows_received
    );
    println!("bytes:        {} in all", report.bytes_total());
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
