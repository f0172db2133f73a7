//! `syncline cluster rotate`.

use serde_json::json;
use syncline::trust::{RenewError, renew_certificate};

use super::{days, office, unix};
use crate::args::ClusterRotate;
use crate::failure::{Doing, Failure, Reason};

pub(super) async fn run(arguments: &ClusterRotate) -> Result<(), Failure> {
    match (arguments.authority, arguments.finish) {
        (false, _) => renew(arguments).await,
        (true, false) => begin(arguments),
        (true, true) => finish(arguments),
    }
}

async fn renew(arguments: &ClusterRotate) -> Result<(), Failure> {
    let renewed = renew_certificate(&arguments.data).await;
    let ends = renewed.map_err(|error| {
        let failure = Failure::caused("cannot renew the certificate", &error);
        match error {
            RenewError::Unreachable { .. } | RenewError::Refused(_) => {
                failure.because(Reason::Peer)
            }
            _ => failure,
        }
    })?;
    let ends = unix(ends);
    match arguments.json {
        true => println!("{}", json!({"expires": ends})),
        false => println!(
            "the certificate is good for another {}; a running node goes by it within seconds",
            days(ends.saturating_sub(unix(std::time::SystemTime::now())))
        ),
    }
    Ok(())
}

fn begin(arguments: &ClusterRotate) -> Result<(), Failure> {
    let office = office(&arguments.data)?;
    office
        .begin_exchange()
        .doing(|| "cannot exchange the authority".to_owned())?;
    let left = office
        .left_behind()
        .doing(|| "cannot read the list of members".to_owned())?;
    match arguments.json {
        true => println!(
            "{}",
            json!({"exchange": "begun", "members_to_renew": left.len()})
        ),
        false => println!(
            "another authority signs from now on, and both are trusted\n\
             {} members have to renew, which they do by themselves where they run and reach this node; then\n\
             \x20 syncline cluster rotate --data {} --authority --finish",
            left.len(),
            arguments.data.display(),
        ),
    }
    Ok(())
}

fn finish(arguments: &ClusterRotate) -> Result<(), Failure> {
    office(&arguments.data)?
        .finish_exchange(arguments.force)
        .doing(|| "cannot finish the exchange".to_owned())?;
    match arguments.json {
        true => println!("{}", json!({"exchange": "finished"})),
        false => println!("the old authority is trusted no longer"),
    }
    Ok(())
}
