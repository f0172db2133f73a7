//! A counter that several machines count in without asking each other: `cargo run -p syncline --example shared_counter`
//!
//! Every addition counts exactly once, however often and by whatever ways it arrives. A reset takes back what it had seen,
//! and nothing that was counted elsewhere meanwhile.

use std::error::Error;

use syncline::testing::{Cluster, cluster};

const VIEWS: &str = "views:/index.html";

/// What each machine reads.
async fn views(cluster: &Cluster) -> Result<Vec<i64>, Box<dyn Error>> {
    let mut views = Vec::new();
    for site in cluster.namespaces("site")? {
        views.push(site.counter(VIEWS).value().await?);
    }
    Ok(views)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = cluster(3).await?;
    let site = cluster.namespaces("site")?;

    for (machine, visitors) in [(0, 20), (1, 300), (2, 4000)] {
        for _ in 0..visitors / 10 {
            site[machine].counter(VIEWS).add(10).await?;
        }
    }
    println!("counted apart:           {:?}", views(&cluster).await?);
    cluster.sync_all().await?;
    println!("after a sync:            {:?}", views(&cluster).await?);
    assert_eq!(views(&cluster).await?, [4320; 3]);

    // Once more, by another way: nothing counts twice.
    cluster[2].sync_with(&cluster[0]).await?;
    assert_eq!(views(&cluster).await?, [4320; 3]);

    // Machine 2 is cut off and goes on counting, while a new month begins for the others.
    cluster.cut(0, 2);
    cluster.cut(1, 2);
    site[2].counter(VIEWS).add(7).await?;
    site[0].counter(VIEWS).reset().await?;
    site[1].counter(VIEWS).add(5).await?;
    cluster.sync_all().await?;
    println!("reset, without the last: {:?}", views(&cluster).await?);
    assert_eq!(views(&cluster).await?, [5, 5, 4327]);

    cluster.heal().await?;
    println!("all together again:      {:?}", views(&cluster).await?);
    assert_eq!(views(&cluster).await?, [12; 3]);
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
