//! The commands that ask a running node: `status`, `peers`, `topology`, `convergence` and `conflicts`.

mod client;
mod graph;
mod show;

use std::io::{self, IsTerminal as _, Write as _};
use std::iter;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_admin::{Agreement, Conflicts, Convergence, Peers, Status, Topology};

use self::client::Client;
use crate::args::{Ask, AskConflicts, AskTopology, TopologyFormat, Whom};
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
    const PATH: &str = "/v1/topology";
    let format = match arguments.json {
        true => TopologyFormat::Json,
        false => arguments.format,
    };
    let gather = |client: &Client| {
        let also = arguments.also.iter();
        let also = also.map(|admin| Client::new(*admin).get(PATH, &[]));
        Ok(Views {
            first: client.get(PATH, &[])?,
            also: also.collect::<Result<_, _>>()?,
        })
    };
    let form = |views: &Views| match format {
        TopologyFormat::Text => Ok(show::topology(views)),
        TopologyFormat::Json => form(true, views, show::topology),
        TopologyFormat::Dot => Ok(graph::dot(views)),
    };
    ask_by(&arguments.whom, gather, form).map(drop)
}

/// The cluster as one node sees it, and as others do who were asked as well.
#[derive(Serialize)]
struct Views {
    #[serde(flatten)]
    first: Topology,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Topology>,
}

impl Views {
    fn all(&self) -> impl Iterator<Item = &Topology> {
        iter::once(&self.first).chain(&self.also)
    }
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

pub(crate) fn conflicts(arguments: &AskConflicts) -> Result<(), Failure> {
    let gather = |client: &Client| gather(client, arguments);
    let form = |found: &Found| form(arguments.json, found, |it| show::conflicts(&it.namespaces));
    ask_by(&arguments.whom, gather, form).map(drop)
}

/// The conflicts of several namespaces.
#[derive(Serialize)]
struct Found {
    node: String,
    namespaces: Vec<Conflicts>,
}

/// Asks for page after page of each namespace.
fn gather(client: &Client, arguments: &AskConflicts) -> Result<Found, Failure> {
    let status: Status = client.get("/v1/status", &[])?;
    let mut names = arguments.namespace.clone();
    if names.is_empty() {
        let carried = status.namespaces.into_iter();
        names = carried.map(|namespace| namespace.name).collect();
    }
    let mut namespaces = Vec::with_capacity(names.len());
    for name in names {
        let mut found = Conflicts {
            node: status.node.clone(),
            namespace: name,
            conflicts: Vec::new(),
            next: None,
        };
        loop {
            let limit = arguments.limit - found.conflicts.len();
            let limit = limit.to_string();
            let after = found.next.take().map(|next| ("after", next));
            let mut query = vec![
                ("namespace", found.namespace.as_str()),
                ("prefix", &arguments.prefix),
                ("limit", &limit),
            ];
            query.extend(after.iter().map(|(name, next)| (*name, next.as_str())));
            let page: Conflicts = client.get("/v1/conflicts", &query)?;
            found.conflicts.extend(page.conflicts);
            found.next = page.next;
            if found.next.is_none() || found.conflicts.len() >= arguments.limit {
                break;
            }
        }
        namespaces.push(found);
    }
    Ok(Found {
        node: status.node,
        namespaces,
    })
}

/// Asks for what is at a path once, or again and again, and prints each answer. Returns the last.
fn ask<T: DeserializeOwned>(
    whom: &Whom,
    path: &str,
    form: impl Fn(&T) -> Result<String, Failure>,
) -> Result<T, Failure> {
    ask_by(whom, |client| client.get(path, &[]), form)
}

/// The same for what takes more than a path.
fn ask_by<T>(
    whom: &Whom,
    ask: impl Fn(&Client) -> Result<T, Failure>,
    form: impl Fn(&T) -> Result<String, Failure>,
) -> Result<T, Failure> {
    let client = Client::new(whom.admin);
    let clears = whom.watch && io::stdout().is_terminal();
    loop {
        let answer = ask(&client)?;
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
