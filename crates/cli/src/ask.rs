//! The commands that ask a running node: `status`, `peers`, `topology` and `convergence`.

mod client;
mod show;

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_admin::{Agreement, Convergence, Peers, Status, Topology};

use self::client::Client;
use crate::args::{Ask, AskTopology, TopologyFormat, Whom};
use crate::failure::{Doing, Failure, Reason};

const EVERY: Duration = Duration::from_secs(1);

pub(crate) fn status(arguments: &Ask) -> Result<(), Failure> {
    ask::<Status>(&arguments.whom, "/v1/status", |status| {
        form(arguments.json, status, show::status)
    })
    .map(drop)
}

pub(crate) fn peers(arguments: &Ask) -> Result<(), Failure> {
    ask::<Peers>(&arguments.whom, "/v1/peers", |peers| {
        form(arguments.json, peers, show::peers)
    })
    .map(drop)
}

pub(crate) fn topology(arguments: &AskTopology) -> Result<(), Failure> {
    let format = match arguments.json {
        true => TopologyFormat::Json,
        false => arguments.format,
    };
    ask::<Topology>(&arguments.whom, "/v1/topology", |topology| match format {
        TopologyFormat::Text => Ok(show::topology(topology)),
        TopologyFormat::Json => form(true, topology, show::topology),
        TopologyFormat::Dot => Ok(show::dot(topology)),
    })
    .map(drop)
}

pub(crate) fn convergence(arguments: &Ask) -> Result<(), Failure> {
    let told = ask::<Convergence>(&arguments.whom, "/v1/convergence", |convergence| {
        form(arguments.json, convergence, show::convergence)
    })?;
    match told.agreement {
        Agreement::Yes | Agreement::Unknown => Ok(()),
        Agreement::No => Err(Failure::new(
            Reason::Differs,
            "replicas differ; writes that are on their way settle by themselves, so ask again in a moment",
        )),
    }
}

/// Asks once, or again and again, and prints each answer. Returns the last.
fn ask<T: DeserializeOwned>(
    whom: &Whom,
    path: &str,
    form: impl Fn(&T) -> Result<String, Failure>,
) -> Result<T, Failure> {
    let client = Client::new(whom.admin);
    let clears = whom.watch && io::stdout().is_terminal();
    loop {
        let answer = client.get::<T>(path)?;
        let text = form(&answer)?;
        let mut output = io::stdout().lock();
        // To the upper left, and all below it is erased.
        let clear = if clears { "\x1b[H\x1b[2J" } else { "" };
        write!(output, "{clear}{text}")
            .and_then(|()| output.flush())
            .doing(|| "cannot write to standard output".to_owned())?;
        if !whom.watch {
            return Ok(answer);
        }
        drop(output);
        thread::sleep(EVERY);
    }
}

fn form<T: Serialize>(
    as_json: bool,
    answer: &T,
    people: impl Fn(&T) -> String,
) -> Result<String, Failure> {
    match as_json {
        true => serde_json::to_string(answer)
            .map(|line| line + "\n")
            .doing(|| "cannot print the answer".to_owned()),
        false => Ok(people(answer)),
    }
}
