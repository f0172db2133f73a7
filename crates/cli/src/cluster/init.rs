//! `syncline cluster init`.

use std::path::Path;

use serde_json::json;
use syncline::Node;
use syncline::trust::Cluster;

use crate::args::ClusterInit;
use crate::failure::{Doing, Failure};

pub(super) fn run(arguments: &ClusterInit) -> Result<(), Failure> {
    match (&arguments.data, &arguments.directory) {
        (Some(data), _) => first_node(arguments, data),
        (None, Some(directory)) => apart(arguments, directory),
        // clap lets nobody through with neither.
        (None, None) => Ok(()),
    }
}

/// A cluster in the data directory of its first node.
fn first_node(arguments: &ClusterInit, data: &Path) -> Result<(), Failure> {
    let founded = Node::found(data).doing(|| "cannot make the cluster".to_owned())?;
    if arguments.json {
        println!(
            "{}",
            json!({
                "cluster": founded.cluster.to_string(),
                "directory": founded.identity.parent(),
                "made": true,
                "node": founded.node.to_string(),
            })
        );
        return Ok(());
    }
    let data = data.display();
    println!(
        "made cluster {} in {data}, with node {}\n\
         {data}/identity/ca.key makes members: back it up, and let nobody else have it\n\n\
         Invite others with\n  syncline cluster invite --data {data} --at HOST:PORT",
        founded.cluster, founded.node,
    );
    Ok(())
}

/// A cluster whose authority is on no node.
fn apart(arguments: &ClusterInit, directory: &Path) -> Result<(), Failure> {
    // What `create` makes is never overwritten, so a cluster that is there is only added to.
    let there = directory.join("ca.pem").exists();
    if there && arguments.nodes.is_empty() {
        return Err(Failure::failed(format!(
            "{} holds a cluster already; name the nodes to add with --node",
            directory.display()
        )));
    }
    let cluster = match there {
        true => Cluster::open(directory).doing(|| "cannot open the cluster".to_owned())?,
        false => Cluster::create(directory).doing(|| "cannot make the cluster".to_owned())?,
    };
    let mut identities = Vec::new();
    for node in &arguments.nodes {
        let identity = cluster
            .issue(node)
            .doing(|| format!("cannot make the identity of {node}"))?;
        identities.push((node, identity));
    }
    if arguments.json {
        let identities: Vec<_> = identities
            .iter()
            .map(|(node, identity)| json!({"node": node, "identity": identity}))
            .collect();
        println!(
            "{}",
            json!({
                "cluster": cluster.id().to_string(),
                "directory": directory,
                "made": !there,
                "identities": identities,
            })
        );
        return Ok(());
    }
    let place = directory.display();
    match there {
        true => println!("cluster {} in {place}", cluster.id()),
        false => println!(
            "made cluster {} in {place}\n\
             keep ca.key there and nowhere else: whoever holds it can make members",
            cluster.id()
        ),
    }
    for (node, identity) in &identities {
        println!("made the identity of {node} in {}", identity.display());
    }
    if let Some((_, identity)) = identities.first() {
        println!(
            "\nMove each identity to its machine, over a channel that nobody else reads, as DATA/identity/node:\n\
             \x20 mkdir -p DATA/identity && mv {} DATA/identity/node\n\
             or wherever you like, and name it: syncline sync --data DATA --identity DIR ...",
            identity.display()
        );
    }
    Ok(())
}
