//! `syncline cluster init`: the files that make machines members of one cluster.

use serde_json::json;
use syncline::trust::Cluster;

use crate::args::ClusterInit;
use crate::failure::{Doing, Failure};

pub(crate) fn init(arguments: &ClusterInit) -> Result<(), Failure> {
    let directory = &arguments.directory;
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
