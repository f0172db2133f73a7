//! `syncline node`: a member of a cluster in the foreground.

mod layers;
mod meter;
mod settings;
pub(crate) mod signals;
mod units;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use syncline::{Node, StartError};
use syncline_admin::{Admin, AdminError, Options};
use syncline_server::{Server, ServerError};
use tracing::level_filters::LevelFilter;

use self::layers::{Layers, wrong};
use self::meter::RedisMetrics;
use self::settings::{LogForm, Settings};
use self::signals::{Asked, Signals};
use crate::args;
use crate::failure::{Doing, Failure, Reason};
use crate::files;

pub(crate) fn run(arguments: &args::Node, verbose: u8) -> Result<(), Failure> {
    let layers = Layers::read(
        arguments.flags.given(),
        std::env::vars_os(),
        arguments.config.as_deref(),
    )?;
    let settings = Settings::read(&layers)?;
    if arguments.check_config {
        return check(&settings, arguments.json);
    }
    log(&settings, verbose);
    for name in &settings.unknown {
        tracing::warn!(variable = name, "no setting is called so; it is ignored");
    }
    files::raise_limit();
    crate::runtime()?.block_on(serve(&settings))
}

/// Says what the settings are. What nobody knows is an error here even where it is ignored otherwise.
fn check(settings: &Settings, as_json: bool) -> Result<(), Failure> {
    match as_json {
        true => println!("{}", settings.to_json()),
        false => print!("{settings}"),
    }
    match settings.unknown.first() {
        None => Ok(()),
        Some(name) => Err(wrong(format!("{name} is set, and is no setting"))),
    }
}

fn log(settings: &Settings, verbose: u8) {
    let level = match verbose {
        0 => settings.log_level,
        1 => settings.log_level.max(LevelFilter::DEBUG),
        _ => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr);
    match settings.log {
        LogForm::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogForm::Json => log.json().flatten_event(true).init(),
    }
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let mut signals = Signals::take().doing(|| "cannot listen to signals".to_owned())?;
    let node = tokio::select! {
        node = start(settings) => node?,
        Asked::End { exit_code } = signals.next() => std::process::exit(exit_code),
    };
    let admin = match show(settings, &node).await {
        Ok(admin) => admin,
        Err(failure) => {
            // It has hardly begun, and the failure says more than that of an end.
            let _ended = node.shutdown().await;
            return Err(failure);
        }
    };
    let redis = match serve_redis(settings, &node).await {
        Ok(redis) => redis,
        Err(failure) => {
            let _ended = node.shutdown().await;
            return Err(failure);
        }
    };
    if let (Some(admin), Some(redis)) = (&admin, &redis) {
        admin.also_measure(Arc::new(RedisMetrics(redis.meter())));
    }
    greet(settings, &node, admin.as_ref(), redis.as_ref())?;
    let asked = async {
        match &redis {
            Some(redis) => redis.asked_to_end().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        Asked::End { .. } = signals.next() => {}
        () = asked => tracing::info!("a Redis client asks for the end"),
    }
    tracing::info!("ending in order; once more ends at once");
    if let Some(admin) = &admin {
        admin.drain();
    }
    let ended = async {
        if let Some(redis) = redis {
            redis.stop().await;
        }
        let ended = node.shutdown().await;
        if let Some(admin) = admin {
            admin.stop().await;
        }
        ended
    };
    tokio::select! {
        ended = ended => ended.doing(|| "cannot end the node in order".to_owned()),
        Asked::End { exit_code } = signals.next() => std::process::exit(exit_code),
    }
}

async fn start(settings: &Settings) -> Result<Node, Failure> {
    let mut builder = Node::builder()
        .data_dir(&settings.data)
        .listen(&settings.listen)
        .sync_every(settings.sync_every)
        .durability(settings.durability)
        .space_limits(settings.space);
    if let Some(identity) = &settings.identity {
        builder = builder.identity(identity);
    }
    if let Some(address) = &settings.advertise {
        builder = builder.advertise(address);
    }
    if let Some(zone) = &settings.zone {
        builder = builder.zone(zone);
    }
    if let Some((every, rate)) = settings.scrub {
        builder = builder.scrub_every(every, rate);
    }
    if let Some(rate) = settings.budget {
        builder = builder.budget(rate);
    }
    if let Some(rate) = settings.peer_budget {
        builder = builder.peer_budget(rate);
    }
    for member in &settings.join {
        builder = builder.join(member.as_str());
    }
    for name in &settings.namespaces {
        builder = builder.carry(name);
    }
    builder.start().await.map_err(|error| not_started(&error))
}

/// Lets others ask how it is.
async fn show(settings: &Settings, node: &Node) -> Result<Option<Admin>, Failure> {
    let Some(address) = settings.admin else {
        return Ok(None);
    };
    let options = Options {
        address,
        exposed: settings.admin_exposed,
        data: settings.data.clone(),
        version: env!("CARGO_PKG_VERSION"),
    };
    match Admin::start(node.clone(), options).await {
        Ok(admin) => Ok(Some(admin)),
        Err(error) => Err(
            Failure::caused("cannot show the node", &error).because(match &error {
                AdminError::Exposed { .. } => Reason::Usage,
                error if error.is_in_use() => Reason::InUse,
                _ => Reason::Failed,
            }),
        ),
    }
}

/// Lets Redis clients in.
async fn serve_redis(settings: &Settings, node: &Node) -> Result<Option<Server>, Failure> {
    let Some(address) = settings.redis else {
        return Ok(None);
    };
    let mut options = syncline_server::Options::new(address);
    options.exposed = settings.redis_exposed;
    options.version = env!("CARGO_PKG_VERSION");
    options.tls.clone_from(&settings.redis_tls);
    if let Some(file) = &settings.redis_password_file {
        options.password = Some(password(file)?);
    }
    match Server::start(node.clone(), options).await {
        Ok(server) => Ok(Some(server)),
        Err(error) => Err(
            Failure::caused("cannot serve Redis clients", &error).because(match &error {
                ServerError::Exposed { .. } | ServerError::Tls(_) => Reason::Usage,
                error if error.is_in_use() => Reason::InUse,
                _ => Reason::Failed,
            }),
        ),
    }
}

/// The first line of a file.
fn password(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file).doing(|| format!("cannot read {}", file.display()))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(wrong(format!(
            "{} has no password in its first line",
            file.display()
        ))),
    }
}

fn not_started(error: &StartError) -> Failure {
    let failure = Failure::caused("cannot start the node", error);
    match error.is_in_use() {
        true => failure.because(Reason::InUse),
        false => failure,
    }
}

/// One line for whoever started it, or for the program that did.
fn greet(
    settings: &Settings,
    node: &Node,
    admin: Option<&Admin>,
    redis: Option<&Server>,
) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (id, cluster) = (node.id().to_string(), node.cluster_id().to_string());
    let listen = node.local_addr().map(|address| address.to_string());
    let admin = admin.map(|admin| admin.local_addr().to_string());
    let redis = redis.map(|redis| redis.local_addr().to_string());
    let data = settings.data.display().to_string();
    let line = match settings.log {
        LogForm::Json => json!({
            "version": version,
            "node": id,
            "cluster": cluster,
            "listen": listen,
            "admin": admin,
            "redis": redis,
            "data": data,
        })
        .to_string(),
        LogForm::Text => format!(
            "syncline {version}: node {} of cluster {} is at {}, its data in {data}, {}, {}; interrupt to end it",
            &id[..12],
            &cluster[..12],
            listen.unwrap_or_default(),
            match admin {
                Some(admin) => format!("its status at http://{admin}"),
                None => "its status nowhere".to_owned(),
            },
            match redis {
                Some(redis) => format!("Redis clients welcome at {redis}"),
                None => "no Redis clients".to_owned(),
            },
        ),
    };
    let mut output = io::stdout();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .doing(|| "cannot write to standard output".to_owned())
}
