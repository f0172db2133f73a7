//! `syncline cluster`: what makes machines members of one cluster, and what ends that.

mod init;
mod join;
mod rotate;

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;
use syncline::trust::{Cluster, Invitation, Membership, Office};

use crate::args::{self, ClusterInvite, ClusterMembers, ClusterRevoke};
use crate::failure::{Doing, Failure, Reason};
use crate::table::{Align, Table};

pub(crate) fn run(command: &args::Cluster) -> Result<(), Failure> {
    match command {
        args::Cluster::Init(arguments) => init::run(arguments),
        args::Cluster::Invite(arguments) => invite(arguments),
        args::Cluster::Join(arguments) => crate::runtime()?.block_on(join::run(arguments)),
        args::Cluster::Members(arguments) => members(arguments),
        args::Cluster::Revoke(arguments) => revoke(arguments, false),
        args::Cluster::Forget(arguments) => revoke(arguments, true),
        args::Cluster::Rotate(arguments) => crate::runtime()?.block_on(rotate::run(arguments)),
    }
}

/// Who decides on members with the authority in a data directory. The node may be running.
fn office(data: &Path) -> Result<Office, Failure> {
    let home = data.join("identity");
    if !home.join("ca.key").exists() {
        return Err(Failure::failed(format!(
            "{} has no certificate authority; use the data directory in which the cluster was made, or make one with \
             `syncline cluster init --data {}`",
            data.display(),
            data.display(),
        )));
    }
    Cluster::open(&home)
        .and_then(|cluster| cluster.office())
        .doing(|| "cannot open the cluster".to_owned())
}

fn invite(arguments: &ClusterInvite) -> Result<(), Failure> {
    let office = office(&arguments.data)?;
    let time = Duration::from_secs(arguments.hours * 60 * 60);
    let mut invitation = Invitation::new(arguments.addresses.clone(), time);
    if !arguments.namespaces.is_empty() {
        invitation = invitation.namespaces(arguments.namespaces.clone());
    }
    if let Some(name) = &arguments.name {
        invitation = invitation.named(name);
    }
    let token = office.invite(&invitation).map_err(|error| match error {
        syncline::trust::TrustError::Invitation { .. } => {
            Failure::caused("cannot invite", &error).because(Reason::Usage)
        }
        _ => Failure::caused("cannot invite", &error),
    })?;
    if arguments.json {
        println!(
            "{}",
            json!({
                "token": token.to_string(),
                "expires": unix(token.expires_at()),
                "addresses": token.addresses(),
                "namespaces": (!arguments.namespaces.is_empty()).then_some(&arguments.namespaces),
            })
        );
        return Ok(());
    }
    println!("{token}");
    eprintln!(
        "good for one machine, for {} hours; there:\n  syncline cluster join --data DIR TOKEN",
        arguments.hours
    );
    Ok(())
}

fn revoke(arguments: &ClusterRevoke, gone: bool) -> Result<(), Failure> {
    let office = office(&arguments.data)?;
    let node = office
        .find(&arguments.node)
        .doing(|| "cannot revoke".to_owned())?;
    let own = Membership::load(arguments.data.join("identity/node"))
        .doing(|| "cannot read this node's identity".to_owned())?;
    if own.identity.node_id() == node {
        return Err(Failure::failed(
            "cannot revoke: that is this node itself; its data directory has the authority",
        ));
    }
    let news = office
        .revoke(&node, gone)
        .doing(|| "cannot revoke".to_owned())?;
    let what = if gone { "forgotten" } else { "revoked" };
    match (arguments.json, news) {
        (true, _) => println!(
            "{}",
            json!({"node": node.to_string(), what: true, "news": news})
        ),
        (false, true) => println!("{what} {node}"),
        (false, false) => println!("{node} was {what} before"),
    }
    Ok(())
}

fn members(arguments: &ClusterMembers) -> Result<(), Failure> {
    let office = office(&arguments.data)?;
    let members = office
        .members()
        .doing(|| "cannot read the list of members".to_owned())?;
    let revoked = office
        .revoked()
        .doing(|| "cannot read who was revoked".to_owned())?;
    if arguments.json {
        let members: Vec<_> = members
            .iter()
            .map(|member| {
                json!({
                    "node": member.node.to_string(),
                    "name": member.name,
                    "expires": member.expires,
                    "revoked": revoked.contains(&member.node),
                })
            })
            .collect();
        println!("{}", json!(members));
        return Ok(());
    }
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("name", Align::Left),
        ("certificate ends in", Align::Right),
    ]);
    let now = unix(SystemTime::now());
    for member in &members {
        table.row([
            member.node.to_string(),
            member.name.clone().unwrap_or_default(),
            match revoked.contains(&member.node) {
                true => "it was revoked".to_owned(),
                false => days(member.expires.saturating_sub(now)),
            },
        ]);
    }
    print!("{table}");
    Ok(())
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Seconds as people say them of certificates.
fn days(seconds: u64) -> String {
    match seconds {
        0 => "it has ended".to_owned(),
        1..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
