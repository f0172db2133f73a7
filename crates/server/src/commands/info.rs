//! `INFO`: how the server is, as text.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use syncline::MemberState;

use crate::commands::connection::REDIS_VERSION;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::{DATABASES, Shared, database_name};
use crate::session::{Done, Session};
use crate::table::{self, Command};

pub(crate) const INFO: Command = Command::session("info", -1, info).docs(
    "1.0.0",
    "O(N) in the databases and the other members",
    "Returns information and statistics about the server.",
);

/// Those that are shown when none is named.
const DEFAULT: [&str; 9] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cluster",
    "keyspace",
    "syncline",
];
/// Those that are shown only when asked for.
const MORE: [&str; 2] = ["commandstats", "latencystats"];

fn info(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let named: Vec<String> = request
            .from(1)
            .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
            .collect();
        let has = |word: &str| named.iter().any(|name| name == word);
        let is_all = has("all") || has("everything");
        let is_default = named.is_empty() || has("default");
        let mut text = String::new();
        for (sections, is_wanted) in [(&DEFAULT[..], is_default || is_all), (&MORE[..], is_all)] {
            for section in sections {
                if is_wanted || has(section) {
                    if !text.is_empty() {
                        text += "\r\n";
                    }
                    text += &of(&session.server, section).await?;
                }
            }
        }
        Ok(Reply::Verbatim(text))
    })
}

/// The lines of a section.
struct Section(String);

impl Section {
    fn new(name: &str) -> Self {
        Self(format!("# {name}\r\n"))
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _written = write!(self.0, "{name}:{value}\r\n");
    }
}

async fn of(server: &Shared, name: &str) -> Result<String, Refusal> {
    Ok(match name {
        "server" => about(server),
        "clients" => clients(server),
        "memory" => memory(),
        "persistence" => persistence(server),
        "stats" => stats(server),
        "replication" => replication(),
        "cluster" => {
            let mut section = Section::new("Cluster");
            section.line("cluster_enabled", 0);
            section.0
        }
        "keyspace" => keyspace(server).await?,
        "syncline" => syncline(server).await?,
        "commandstats" => commands(server),
        _ => latencies(server),
    })
}

fn about(server: &Shared) -> String {
    let mut section = Section::new("Server");
    let uptime = server.began.elapsed().as_secs();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    section.line("redis_version", REDIS_VERSION);
    section.line("syncline_version", server.version);
    section.line("redis_mode", "standalone");
    section.line("os", std::env::consts::OS);
    section.line("arch_bits", usize::BITS);
    section.line("process_id", std::process::id());
    // As long as Redis's, of 40 digits.
    section.line("run_id", &server.node.id().to_string()[..40]);
    section.line("tcp_port", server.address.port());
    section.line("server_time_usec", now.as_micros());
    section.line("uptime_in_seconds", uptime);
    section.line("uptime_in_days", uptime / 86_400);
    section.0
}

fn clients(server: &Shared) -> String {
    let mut section = Section::new("Clients");
    let clients = server.clients.all();
    let subscribers = clients.iter().filter(|client| client.subscriptions() > 0);
    let blocked = clients.iter().filter(|client| client.is_blocked());
    section.line("connected_clients", clients.len());
    section.line("maxclients", server.settings.max_clients());
    section.line("blocked_clients", blocked.count());
    section.line("tracking_clients", 0);
    section.line("pubsub_clients", subscribers.count());
    section.0
}

/// Of the process, where the operating system tells it.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn memory() -> String {
    let mut section = Section::new("Memory");
    let used = resident_bytes().unwrap_or(0);
    section.line("used_memory", used);
    section.line(
        "used_memory_human",
        format_args!("{:.2}M", used as f64 / f64::from(1 << 20)),
    );
    section.line("used_memory_rss", used);
    section.line("maxmemory", 0);
    section.line("maxmemory_human", "0B");
    section.line("maxmemory_policy", "noeviction");
    section.0
}

fn persistence(server: &Shared) -> String {
    let mut section = Section::new("Persistence");
    let saved = server.last_save.load(Ordering::Relaxed);
    section.line("loading", 0);
    section.line("rdb_changes_since_last_save", 0);
    section.line("rdb_bgsave_in_progress", 0);
    section.line("rdb_last_save_time", saved);
    section.line("rdb_last_bgsave_status", "ok");
    section.line("aof_enabled", 1);
    section.line("aof_rewrite_in_progress", 0);
    section.line("aof_last_write_status", "ok");
    section.0
}

fn stats(server: &Shared) -> String {
    let mut section = Section::new("Stats");
    let stats = &server.stats;
    let mut line = |name, number: &std::sync::atomic::AtomicU64| {
        section.line(name, number.load(Ordering::Relaxed));
    };
    line("total_connections_received", &stats.connections);
    line("total_commands_processed", &stats.commands);
    line("total_net_input_bytes", &stats.bytes_in);
    line("total_net_output_bytes", &stats.bytes_out);
    line("rejected_connections", &stats.refused_connections);
    line("total_error_replies", &stats.failed);
    use crate::pubsub::Topic;
    section.line("pubsub_channels", server.pubsub.len(Topic::Channel));
    section.line("pubsub_patterns", server.pubsub.len(Topic::Pattern));
    section.line("pubsubshard_channels", server.pubsub.len(Topic::Shard));
    section.0
}

/// There are no replicas in Redis's sense: all nodes are equal. What there is instead, the section of Syncline tells.
fn replication() -> String {
    let mut section = Section::new("Replication");
    section.line("role", "master");
    section.line("connected_slaves", 0);
    section.0
}

async fn keyspace(server: &Shared) -> Result<String, Refusal> {
    let mut section = Section::new("Keyspace");
    let carried = server.node.namespaces();
    for database in 0..DATABASES {
        let name = database_name(database);
        if carried.contains(&name) {
            let namespace = server.namespace(database)?;
            let keys = namespace.count().await?;
            if keys > 0 {
                let expires = namespace.sizes().await?.deadlines;
                let line = format_args!("keys={keys},expires={expires},avg_ttl=0");
                section.line(&name, line);
            }
        }
    }
    Ok(section.0)
}

async fn syncline(server: &Shared) -> Result<String, Refusal> {
    let mut section = Section::new("Syncline");
    let node = &server.node;
    let members = node.members().await?;
    let up = members.iter().filter(|it| it.state == MemberState::Alive);
    section.line("node_id", node.id());
    section.line("cluster_id", node.cluster_id());
    section.line("peers", members.len());
    section.line("peers_up", up.count());
    for convergence in node.convergence().await? {
        let there = convergence.peers.iter().filter(|peer| peer.is_up);
        let agree = there.clone().filter(|peer| peer.agrees).count();
        let sum = |gaps: Vec<Option<u64>>| {
            let known: Option<u64> = gaps.into_iter().sum();
            known.map_or("unknown".to_owned(), |dots| dots.to_string())
        };
        let behind = sum(there.clone().map(|peer| peer.ahead.dots).collect());
        let ahead = sum(there.clone().map(|peer| peer.behind.dots).collect());
        section.line(
            &format!("namespace_{}", convergence.namespace),
            format_args!(
                "peers={},agree={agree},dots_behind={behind},dots_ahead={ahead}",
                there.count()
            ),
        );
    }
    Ok(section.0)
}

fn commands(server: &Shared) -> String {
    let mut section = Section::new("Commandstats");
    for entry in table::entries() {
        let calls = server.stats.of(entry);
        let count = calls.count.load(Ordering::Relaxed);
        if count > 0 {
            let usec = calls.nanoseconds.load(Ordering::Relaxed) / 1000;
            let failed = calls.failed.load(Ordering::Relaxed);
            let each = usec as f64 / count as f64;
            section.line(
                &format!("cmdstat_{}", entry.name),
                format_args!(
                    "calls={count},usec={usec},usec_per_call={each:.2},rejected_calls=0,failed_calls={failed}"
                ),
            );
        }
    }
    section.0
}

fn latencies(server: &Shared) -> String {
    let mut section = Section::new("Latencystats");
    for entry in table::entries() {
        let calls = server.stats.of(entry);
        if calls.count.load(Ordering::Relaxed) > 0 {
            let [half, most, nearly_all] = [50.0, 99.0, 99.9].map(|it| calls.percentile(it));
            section.line(
                &format!("latency_percentiles_usec_{}", entry.name),
                format_args!("p50={half}.000,p99={most}.000,p99.9={nearly_all}.000"),
            );
        }
    }
    section.0
}
