//! `syncline backup` and `syncline restore`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use syncline::Node;
use syncline_admin::{BackedUp, BackupLine, BackupRequest, admin_key, back_up_all};
use syncline_backup::{BackupError, Listed, Repository, RestoreOptions, RestoreReport, restore};

use crate::args::{Backup, Home, Restore};
use crate::failure::{Doing, Failure, Reason};
use crate::home;
use crate::progress::Progress;
use crate::table::{Align, Table, bytes, count};

pub(crate) async fn run(arguments: &Backup) -> Result<(), Failure> {
    if arguments.list {
        return list(arguments).await;
    }
    let Some(data) = &arguments.home.data else {
        return Err(Failure::new(
            Reason::Usage,
            "--data says which node is to be backed up",
        ));
    };
    let home = Home {
        data: data.clone(),
        identity: arguments.home.identity.clone(),
    };
    let request = BackupRequest {
        url: absolute(&arguments.url)?,
        namespaces: arguments.namespaces.clone(),
        keep: arguments.keep,
    };
    let told = Told::new(arguments.json);
    match home::existing_node(&home).await {
        Ok(node) => {
            let teller = told.clone();
            let made = back_up_all(&node, &request, move |line| teller.line(line)).await;
            home::close(node).await?;
            made.map_err(|error| failure("cannot back up", &error))
        }
        // It runs, and does it itself.
        Err(failure) if failure.reason == Reason::InUse => match admin_key(data) {
            Ok(Some((admin, key))) => ask(admin, &key, &request, &told),
            Ok(None) => Err(Failure::new(
                Reason::InUse,
                format!(
                    "{failure}; a node that runs backs itself up, but this one has no admin face: start it without `--admin off`"
                ),
            )),
            Err(error) => Err(Failure::caused(
                "cannot read the key that the node has left in its data directory",
                &error,
            )),
        },
        Err(failure) => Err(failure),
    }
}

/// A path means the same to a node that runs elsewhere.
fn absolute(url: &str) -> Result<String, Failure> {
    if url.contains("://") {
        return Ok(url.to_owned());
    }
    let path = std::path::absolute(url).doing(|| format!("cannot make out {url}"))?;
    let path = path.into_os_string().into_string();
    path.map_err(|_| Failure::new(Reason::Usage, "the path is not UTF-8"))
}

/// Has a node that runs back itself up.
fn ask(admin: SocketAddr, key: &str, request: &BackupRequest, told: &Told) -> Result<(), Failure> {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let lost = |reason: &dyn std::fmt::Display| {
        let text =
            format!("the node at {admin} does not answer ({reason}); is it ending? Try again");
        Failure::new(Reason::Peer, text)
    };
    let body = serde_json::to_string(request).doing(|| "cannot write the request".to_owned())?;
    let asked = agent
        .post(format!("http://{admin}/v1/backup"))
        .header("authorization", format!("Bearer {key}"));
    let answer = asked.send(body).map_err(|error| lost(&error))?;
    let status = answer.status();
    let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
    if !status.is_success() {
        let reason = lines
            .next()
            .and_then(Result::ok)
            .unwrap_or_else(|| status.to_string());
        return Err(Failure::failed(format!(
            "the node does not back itself up: {reason}"
        )));
    }
    for line in lines {
        let line = line.map_err(|error| lost(&error))?;
        match serde_json::from_str(&line).map_err(|error| lost(&error))? {
            BackupLine::Done => return Ok(()),
            BackupLine::Failed(reason) => {
                return Err(Failure::failed(format!("cannot back up: {reason}")));
            }
            line => told.line(line),
        }
    }
    Err(lost(&"it has hung up"))
}

/// Says what happens, to people or programs.
#[derive(Clone)]
struct Told {
    json: bool,
    progress: Arc<Mutex<Option<(String, Progress)>>>,
}

impl Told {
    fn new(json: bool) -> Self {
        Self {
            json,
            progress: Arc::default(),
        }
    }

    fn line(&self, line: BackupLine) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            BackupLine::Progress {
                namespace,
                rows,
                of,
            } => {
                let shown = match &*progress {
                    Some((name, shown)) if *name == namespace => shown,
                    _ => {
                        let shown = Progress::bar(&format!("backing {namespace} up"), of);
                        &progress.insert((namespace, shown)).1
                    }
                };
                shown.reach_of(rows, of);
            }
            BackupLine::Made(made) => {
                *progress = None;
                match (self.json, serde_json::to_string(&made)) {
                    (true, Ok(line)) => println!("{line}"),
                    _ => print!("{}", people(&made)),
                }
            }
            BackupLine::Failed(_) | BackupLine::Done => {}
        }
    }
}

fn people(made: &BackedUp) -> String {
    let name = &made.namespace;
    let mut text = format!(
        "{name}: {} rows are in {}; {} of {} chunks were new, {} written\n",
        count(made.rows),
        made.backup,
        count(made.chunks_written),
        count(made.chunks),
        bytes(made.bytes_written)
    );
    match &made.pruned {
        Some(pruned) if pruned.gave_way => {
            text += &format!("{name}: nothing was removed, since another backup is being made\n");
        }
        Some(pruned) => {
            text += &format!(
                "{name}: {} backups are kept, {} were removed, {} freed\n",
                count(pruned.kept),
                count(pruned.backups_removed),
                bytes(pruned.bytes_removed)
            );
        }
        None => {}
    }
    text
}

async fn list(arguments: &Backup) -> Result<(), Failure> {
    let failed = |error: BackupError| failure("cannot list the backups", &error);
    let repository = Repository::open_existing(&arguments.url).map_err(failed)?;
    let listed = repository.list().await.map_err(failed)?;
    if arguments.json {
        for Listed {
            cluster,
            namespace,
            id,
            node,
            taken_ms,
            rows,
            keys,
            bytes,
            root,
            ..
        } in listed
        {
            let line = json!({
                "cluster": cluster,
                "namespace": namespace,
                "backup": id.to_string(),
                "node": node,
                "taken_ms": taken_ms,
                "rows": rows,
                "keys": keys,
                "bytes": bytes,
                "root": root.to_string(),
            });
            println!("{line}");
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        ("cluster", Align::Left),
        ("namespace", Align::Left),
        ("backup", Align::Left),
        ("node", Align::Left),
        ("rows", Align::Right),
        ("size", Align::Right),
    ]);
    for backup in listed {
        table.row([
            backup.cluster[..12].to_owned(),
            backup.namespace,
            backup.id.to_string(),
            backup.node[..12].to_owned(),
            count(backup.rows),
            bytes(backup.bytes),
        ]);
    }
    print!("{table}");
    Ok(())
}

pub(crate) async fn run_restore(arguments: &Restore) -> Result<(), Failure> {
    let failed = |error: BackupError| failure("cannot restore", &error);
    let repository = Repository::open_existing(&arguments.url).map_err(failed)?;
    let node = home::open(&arguments.home).await?;
    let restored = restore_all(arguments, &repository, &node).await;
    home::close(node).await?;
    restored
}

async fn restore_all(
    arguments: &Restore,
    repository: &Repository,
    node: &Node,
) -> Result<(), Failure> {
    let mut names = arguments.namespaces.clone();
    if names.is_empty() {
        let found = repository.namespaces(node).await;
        names = found.map_err(|error| failure("cannot restore", &error))?;
    }
    if names.is_empty() {
        return Err(Failure::failed(format!(
            "there are no backups of cluster {} in {repository}; a cluster restores its own backups only: check URL and --data, or join the cluster first",
            node.cluster_id()
        )));
    }
    for name in names {
        let progress = Arc::new(Progress::bar(&format!("restoring {name}"), 0));
        let shown = progress.clone();
        let mut options =
            RestoreOptions::default().on_progress(move |done| shown.reach_of(done.rows, done.of));
        if let Some(backup) = &arguments.backup {
            options = options.backup(backup.clone());
        }
        if arguments.join {
            options = options.join();
        }
        let report = restore(node, &name, repository, &options).await;
        drop((options, progress));
        let report = report.map_err(|error| failure(&format!("cannot restore {name}"), &error))?;
        match arguments.json {
            true => println!("{}", restored_machine(&name, &report)),
            false => println!(
                "{name}: {} rows are back from {}, digest {}; {} read",
                count(report.rows),
                report.backup,
                report.root,
                bytes(report.bytes_read)
            ),
        }
    }
    Ok(())
}

fn restored_machine(name: &str, report: &RestoreReport) -> Value {
    json!({
        "namespace": name,
        "backup": report.backup.to_string(),
        "taken_ms": report.taken_ms,
        "rows": report.rows,
        "keys": report.keys,
        "root": report.root.to_string(),
        "chunks_read": report.chunks_read,
        "chunks_held": report.chunks_held,
        "bytes_read": report.bytes_read,
    })
}

/// A failure with the exit code that fits.
fn failure(doing: &str, error: &BackupError) -> Failure {
    let failure = Failure::caused(doing, error);
    match error {
        BackupError::Location { .. } => failure.because(Reason::Usage),
        BackupError::Damaged { .. } | BackupError::Missing { .. } => {
            failure.because(Reason::BadInput)
        }
        BackupError::BeingPruned { .. } => failure.because(Reason::InUse),
        _ => failure,
    }
}
