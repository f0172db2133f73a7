//! The arguments of `syncline node`. Their values are read together with those of the environment and the file, by
//! [`crate::node`], so that all three are checked and blamed alike.

use std::path::PathBuf;

use clap::{ArgAction, Args};

#[derive(Debug, Args)]
#[command(after_help = "\
Each setting is taken from its flag; or else from the environment, where --sync-every is SYNCLINE_SYNC_EVERY and the values of a \
list are separated by commas; or else from the file that --config or SYNCLINE_CONFIG names, a TOML file in which it is `sync-every`.

SIGTERM and an interrupt end the node in order: it says goodbye to its peers and makes everything durable. A second one ends it at \
once, which loses nothing that was acknowledged either.

Examples:
  syncline node
  syncline node --data ./oslo --listen 0.0.0.0:7400 --namespace people
  syncline node --config node.toml --check-config")]
pub(crate) struct Node {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in force and where each comes from, and end.
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Print these as one JSON object.
    #[arg(long, requires = "check_config")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// The settings that may as well come from elsewhere.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// The data directory; made if need be. [default: syncline-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The node's identity, a directory that the cluster made for it. Without it DATA/identity/node is used; a node that has neither
    /// becomes a cluster of one.
    #[arg(long, value_name = "DIR")]
    identity: Option<String>,
    /// Where other nodes connect to. [default: 127.0.0.1:7400]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where `syncline status` and other programs ask how it is, over HTTP and without a password; or off. [default: the port after that of
    /// --listen, on 127.0.0.1]
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<String>,
    /// Let --admin be an address that others can reach.
    #[arg(long)]
    admin_exposed: bool,
    /// Where Redis clients connect to; or off. [default: 127.0.0.1:6379 where --listen has the port 7400, a free port where it has 0, or else off]
    #[arg(long, value_name = "IP:PORT")]
    redis: Option<String>,
    /// Let --redis be an address that others can reach, though there is no password.
    #[arg(long)]
    redis_exposed: bool,
    /// A file with the password that Redis clients have to say, on one line.
    #[arg(long, value_name = "FILE")]
    redis_password_file: Option<String>,
    /// A file with the certificate that is shown to Redis clients, and those between it and its authority, in PEM: they then have to speak TLS. A new
    /// content is taken up without a restart.
    #[arg(long, value_name = "FILE")]
    redis_tls_certificate: Option<String>,
    /// A file with the key of that certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    redis_tls_key: Option<String>,
    /// A file with the authorities, in PEM, by one of which the certificate that each Redis client then has to show must be signed.
    #[arg(long, value_name = "FILE")]
    redis_tls_client_authorities: Option<String>,
    /// Where others reach this node, if that is another address than it listens on: behind address translation, or in a container. A host alone
    /// keeps the port.
    #[arg(long, value_name = "HOST[:PORT]")]
    advertise: Option<String>,
    /// Where the node stands, such as a region or a rack: members prefer those of their own zone.
    #[arg(long, value_name = "LABEL")]
    zone: Option<String>,
    /// A member to join the cluster by; repeat it for more. Any one that lives will do.
    #[arg(long, value_name = "HOST:PORT", action = ArgAction::Append)]
    join: Vec<String>,
    /// A namespace to carry, besides those that the data directory holds; repeat it for more.
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    namespace: Vec<String>,
    /// From one sync with a peer to the next. [default: 10s]
    #[arg(long, value_name = "TIME")]
    sync_every: Option<String>,
    /// What the node sends to others at most, such as 1MB/s, or off. [default: off]
    #[arg(long, value_name = "BYTES/S")]
    budget: Option<String>,
    /// The same for each peer. [default: off]
    #[arg(long, value_name = "BYTES/S")]
    peer_budget: Option<String>,
    /// What a write survives before it is acknowledged: memory, buffered or durable. [default: buffered]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<String>,
    /// Read and check everything again so long after it was last done, or off. [default: 7d]
    #[arg(long, value_name = "TIME")]
    scrub_every: Option<String>,
    /// Bytes that this reads in a second. [default: 4MiB]
    #[arg(long, value_name = "BYTES")]
    scrub_rate: Option<String>,
    /// Warn when the disk has less room than this. [default: 1GiB]
    #[arg(long, value_name = "BYTES")]
    space_warning: Option<String>,
    /// Take no more writes when it has less than this. [default: 256MiB]
    #[arg(long, value_name = "BYTES")]
    space_minimum: Option<String>,
    /// How to log to standard error: text or json. [default: text]
    #[arg(long, value_name = "FORM")]
    log: Option<String>,
    /// How much to log: error, warn, info, debug or trace. [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Flags {
    /// Those that were given, by the names that they have in a file.
    pub(crate) fn given(&self) -> Vec<(&'static str, Vec<String>)> {
        // Taken apart so that no flag can be forgotten.
        let Self {
            data,
            identity,
            listen,
            advertise,
            zone,
            admin,
            admin_exposed,
            redis,
            redis_exposed,
            redis_password_file,
            redis_tls_certificate,
            redis_tls_key,
            redis_tls_client_authorities,
            join,
            namespace,
            sync_every,
            budget,
            peer_budget,
            durability,
            scrub_every,
            scrub_rate,
            space_warning,
            space_minimum,
            log,
            log_level,
        } = self;
        let one = |value: &Option<String>| value.iter().cloned().collect();
        let flag = |given: bool| given.then(|| "true".to_owned()).into_iter().collect();
        let mut given = vec![
            ("data", one(data)),
            ("identity", one(identity)),
            ("listen", one(listen)),
            ("advertise", one(advertise)),
            ("zone", one(zone)),
            ("admin", one(admin)),
            ("admin-exposed", flag(*admin_exposed)),
            ("redis", one(redis)),
            ("redis-exposed", flag(*redis_exposed)),
            ("redis-password-file", one(redis_password_file)),
            ("redis-tls-certificate", one(redis_tls_certificate)),
            ("redis-tls-key", one(redis_tls_key)),
            (
                "redis-tls-client-authorities",
                one(redis_tls_client_authorities),
            ),
            ("join", join.clone()),
            ("namespace", namespace.clone()),
            ("sync-every", one(sync_every)),
            ("budget", one(budget)),
            ("peer-budget", one(peer_budget)),
            ("durability", one(durability)),
            ("scrub-every", one(scrub_every)),
            ("scrub-rate", one(scrub_rate)),
            ("space-warning", one(space_warning)),
            ("space-minimum", one(space_minimum)),
            ("log", one(log)),
            ("log-level", one(log_level)),
        ];
        given.retain(|(_, values): &(_, Vec<String>)| !values.is_empty());
        given
    }
}
