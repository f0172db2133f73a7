//! The settings of a node, read from wherever they are said.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use syncline::{Durability, ScrubRate, SpaceLimits};
use syncline_server::TlsFiles;
use tracing::level_filters::LevelFilter;

use super::layers::{Layers, Said, Source, wrong};
use super::units;
use crate::failure::Failure;
use crate::table::{Align, Table};

/// What a node is to be.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) identity: Option<PathBuf>,
    pub(crate) listen: String,
    pub(crate) advertise: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) admin_exposed: bool,
    pub(crate) redis: Option<SocketAddr>,
    pub(crate) redis_exposed: bool,
    pub(crate) redis_password_file: Option<PathBuf>,
    pub(crate) redis_tls: Option<TlsFiles>,
    pub(crate) join: Vec<String>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) sync_every: Duration,
    /// In bytes per second, to all and to each peer.
    pub(crate) budget: Option<u64>,
    pub(crate) peer_budget: Option<u64>,
    pub(crate) durability: Durability,
    pub(crate) scrub: Option<(Duration, ScrubRate)>,
    pub(crate) space: SpaceLimits,
    pub(crate) log: LogForm,
    pub(crate) log_level: LevelFilter,
    /// Variables of the environment that are called as if they were settings, and are none.
    pub(crate) unknown: Vec<String>,
    account: Account,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    Text,
    Json,
}

impl Settings {
    /// # Errors
    /// With what is wrong, and where that is said. So are settings that nobody knows in a file; in the environment, which may be for another
    /// version as well, they are only [listed](Self::unknown).
    pub(crate) fn read(layers: &Layers) -> Result<Self, Failure> {
        let mut from = Reader {
            layers,
            keys: Vec::new(),
            account: Account::default(),
        };
        let data = from.one("data", "syncline-data", path)?;
        let identity = from.maybe("identity", path)?;
        let listen = from.one("listen", "127.0.0.1:7400", host_and_port)?;
        let advertise = from.maybe("advertise", not_empty)?;
        let zone = from.maybe("zone", not_empty)?;
        let beside = beside(&listen);
        let admin = from.one("admin", &beside, or_off(|text| socket(text, 7401)))?;
        let admin_exposed = from.one("admin-exposed", "false", yes_or_no)?;
        let redis = from.one(
            "redis",
            usual_redis(&listen),
            or_off(|text| socket(text, 6379)),
        )?;
        let redis_exposed = from.one("redis-exposed", "false", yes_or_no)?;
        let redis_password_file = from.maybe("redis-password-file", path)?;
        let redis_tls_certificate = from.maybe("redis-tls-certificate", path)?;
        let redis_tls_key = from.maybe("redis-tls-key", path)?;
        let redis_tls_client_authorities = from.maybe("redis-tls-client-authorities", path)?;
        let redis_tls = match (redis_tls_certificate, redis_tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate,
                key,
                client_authorities: redis_tls_client_authorities,
            }),
            (None, None) if redis_tls_client_authorities.is_none() => None,
            _ => {
                return Err(wrong(
                    "TLS for Redis clients needs both --redis-tls-certificate and --redis-tls-key"
                        .to_owned(),
                ));
            }
        };
        let join = from.list("join", host_and_port)?;
        let namespaces = from.list("namespace", |name| {
            syncline::Namespace::check_name(name).map_err(|error| error.to_string())?;
            Ok(name.to_owned())
        })?;
        let sync_every = from.one("sync-every", "10s", units::duration)?;
        let budget = from.one("budget", "off", or_off(units::rate))?;
        let peer_budget = from.one("peer-budget", "off", or_off(units::rate))?;
        let durability = from.one("durability", "buffered", |text| match text {
            "memory" => Ok(Durability::Memory),
            "buffered" => Ok(Durability::Buffered),
            "durable" => Ok(Durability::Durable),
            _ => Err("must be memory, buffered or durable".to_owned()),
        })?;
        let scrub_every = from.one("scrub-every", "7d", or_off(units::duration))?;
        let scrub_rate = from.one("scrub-rate", "4MiB", |text| match units::bytes(text)? {
            0 => Err("would never come to an end; use --scrub-every off".to_owned()),
            bytes => Ok(ScrubRate {
                bytes,
                ..ScrubRate::default()
            }),
        })?;
        let space = SpaceLimits {
            warn_below: from.one("space-warning", "1GiB", units::bytes)?,
            read_only_below: from.one("space-minimum", "256MiB", units::bytes)?,
        };
        let log = from.one("log", "text", |text| match text {
            "text" => Ok(LogForm::Text),
            "json" => Ok(LogForm::Json),
            _ => Err("must be text or json".to_owned()),
        })?;
        let log_level = from.one("log-level", "info", |text| {
            let level = text.parse::<LevelFilter>();
            level.map_err(|_| "must be error, warn, info, debug, trace or off".to_owned())
        })?;
        if let Some(unknown) = layers.unknown_in_file(&from.keys) {
            let known = from.keys.join(", ");
            return Err(wrong(format!("{unknown} is no setting; there are {known}")));
        }
        let unknown = layers.unknown_variables(&from.keys);
        Ok(Self {
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
            redis_tls,
            join,
            namespaces,
            sync_every,
            budget,
            peer_budget,
            durability,
            scrub: scrub_every.map(|every| (every, scrub_rate)),
            space,
            log,
            log_level,
            unknown,
            account: from.account,
        })
    }

    /// All settings as they are written, with their sources, for programs.
    pub(crate) fn to_json(&self) -> Value {
        let settings = self.account.0.iter().map(|(key, said)| {
            let values = json!(said.values);
            let said = json!({"value": values, "source": said.source.to_string()});
            ((*key).to_owned(), said)
        });
        Value::Object(settings.collect::<Map<_, _>>())
    }
}

/// The settings in force, and where each comes from.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("setting", Align::Left),
            ("value", Align::Left),
            ("from", Align::Left),
        ]);
        for (key, said) in &self.account.0 {
            let value = match said.values.is_empty() {
                true => "-".to_owned(),
                false => said.values.join(", "),
            };
            table.row([(*key).to_owned(), value, said.source.to_string()]);
        }
        table.fmt(f)
    }
}

/// What was found for each setting.
#[derive(Debug, Default)]
struct Account(Vec<(&'static str, Said)>);

/// Takes settings out of the layers, and remembers which there are.
struct Reader<'a> {
    layers: &'a Layers,
    keys: Vec<&'static str>,
    account: Account,
}

impl Reader<'_> {
    /// A setting that always has a value.
    fn one<T>(
        &mut self,
        key: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let said = self.find(key).unwrap_or_else(|| Said {
            values: vec![default.to_owned()],
            source: Source::Default,
        });
        self.single(key, said, parse)
    }

    /// A setting that may be without one.
    fn maybe<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        match self.find(key) {
            Some(said) => self.single(key, said, parse).map(Some),
            None => {
                self.note(key, Vec::new(), Source::Default);
                Ok(None)
            }
        }
    }

    /// A setting that may have several. In the environment they are separated by commas.
    fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        let Some(said) = self.find(key) else {
            self.note(key, Vec::new(), Source::Default);
            return Ok(Vec::new());
        };
        let values: Vec<String> = match said.source {
            Source::Environment => said
                .values
                .iter()
                .flat_map(|all| all.split(','))
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            _ => said.values.clone(),
        };
        let parsed = values
            .iter()
            .map(|value| parse(value).map_err(|error| wrong_value(key, &said, value, &error)))
            .collect();
        self.note(key, values, said.source.clone());
        parsed
    }

    fn find(&mut self, key: &'static str) -> Option<Said> {
        self.keys.push(key);
        self.layers.find(key)
    }

    fn single<T>(
        &mut self,
        key: &'static str,
        said: Said,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let [value] = &said.values[..] else {
            return Err(wrong_value(key, &said, "", "takes one value, not a list"));
        };
        let parsed = parse(value).map_err(|error| wrong_value(key, &said, value, &error))?;
        self.note(key, said.values, said.source);
        Ok(parsed)
    }

    fn note(&mut self, key: &'static str, values: Vec<String>, source: Source) {
        self.account.0.push((key, Said { values, source }));
    }
}

fn wrong_value(key: &str, said: &Said, value: &str, error: &str) -> Failure {
    let quoted = said.quote(key);
    match said.values.len() {
        1 => wrong(format!("{quoted} {error}")),
        _ => wrong(format!("{quoted}: {value:?} {error}")),
    }
}

/// What the library looks at more closely.
fn not_empty(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("is empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("is no path".to_owned()),
        false => Ok(PathBuf::from(text)),
    }
}

/// A name, an IPv4 address or an IPv6 one in brackets, and a port. Names are looked up when they are needed.
fn host_and_port(text: &str) -> Result<String, String> {
    let split = text.rsplit_once(':');
    let sound = split.is_some_and(|(host, port)| {
        let is_bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && !is_bare && port.parse::<u16>().is_ok()
    });
    match sound {
        true => Ok(text.to_owned()),
        false => {
            Err("is no address; write host:port, such as 10.0.0.7:7400 or [::1]:7400".to_owned())
        }
    }
}

/// Where the admin face is if nobody says: on loopback, at the port after the one that is listened on, so that several nodes on a machine do not
/// meet. With port 0, at a free one too.
fn beside(listen: &str) -> String {
    let port = listen
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let port = match port {
        None | Some(0) => 0,
        Some(port) => u16::checked_add(port, 1).unwrap_or(0),
    };
    format!("127.0.0.1:{port}")
}

/// Where Redis clients are served if nobody says: at the port that they expect, if this looks like the only node on the machine.
fn usual_redis(listen: &str) -> &'static str {
    match listen.rsplit_once(':').map(|(_, port)| port.parse()) {
        Some(Ok(7400u16)) => "127.0.0.1:6379",
        Some(Ok(0)) => "127.0.0.1:0",
        _ => "off",
    }
}

/// An address to listen on, or how it might look.
fn socket(text: &str, usual: u16) -> Result<SocketAddr, String> {
    let unfit = |_| format!("is no address; write one such as 127.0.0.1:{usual}, or off");
    text.parse().map_err(unfit)
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

/// A value, or `off`.
fn or_off<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| match text {
        "off" => Ok(None),
        text => parse(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsString;

    use super::*;

    fn read(
        flags: &[(&'static str, &[&str])],
        variables: &[(&str, &str)],
    ) -> Result<Settings, String> {
        let flags = flags
            .iter()
            .map(|(key, values)| (*key, values.iter().map(|&value| value.to_owned()).collect()));
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let layers = Layers::read(flags.collect(), variables, None).unwrap();
        Settings::read(&layers).map_err(|failure| failure.to_string())
    }

    #[test]
    fn lists_of_the_environment_have_commas_and_no_flag_needs_to_be_given() {
        let settings = read(&[], &[("SYNCLINE_JOIN", "a:1, b:2,")]).unwrap();
        assert_eq!(settings.join, ["a:1", "b:2"]);
        assert_eq!(settings.listen, "127.0.0.1:7400");
        assert_eq!(settings.to_json()["join"]["source"], "environment");
        assert_eq!(settings.to_json()["listen"]["source"], "default");
        let flags = read(&[("join", &["c:3"])], &[("SYNCLINE_JOIN", "a:1")]).unwrap();
        assert_eq!(flags.join, ["c:3"], "layers are not added up");
        assert!(
            read(&[("scrub-every", &["off"])], &[])
                .unwrap()
                .scrub
                .is_none()
        );
        assert_eq!((settings.budget, settings.peer_budget), (None, None));
        let budget = read(
            &[("budget", &["1MB/s"])],
            &[("SYNCLINE_PEER_BUDGET", "64KiB")],
        )
        .unwrap();
        assert_eq!(budget.budget, Some(1_000_000));
        assert_eq!(budget.peer_budget, Some(65_536));
    }

    #[test]
    fn the_admin_face_is_beside_the_node_unless_it_is_told() {
        let admin = |flags: &[(&'static str, &[&str])]| read(flags, &[]).unwrap().admin;
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(admin(&[]), at(7401));
        assert_eq!(admin(&[("listen", &["[::]:7410"])]), at(7411));
        assert_eq!(admin(&[("listen", &["0.0.0.0:0"])]), at(0));
        assert_eq!(admin(&[("listen", &["a:65535"])]), at(0));
        assert_eq!(admin(&[("admin", &["127.0.0.1:1"])]), at(1));
        assert_eq!(admin(&[("admin", &["off"])]), None);
    }

    #[test]
    fn redis_clients_are_served_where_they_expect_it_by_one_node_of_a_machine() {
        let redis = |flags: &[(&'static str, &[&str])]| read(flags, &[]).unwrap().redis;
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(redis(&[]), at(6379));
        assert_eq!(redis(&[("listen", &["0.0.0.0:7400"])]), at(6379));
        assert_eq!(redis(&[("listen", &["127.0.0.1:0"])]), at(0));
        assert_eq!(redis(&[("listen", &["127.0.0.1:7410"])]), None);
        assert_eq!(redis(&[("redis", &["off"])]), None);
    }

    #[test]
    fn what_is_wrong_is_quoted_as_it_was_written() {
        for (key, value, words) in [
            ("sync-every", "soon", "--sync-every soon is no time"),
            ("listen", "7400", "--listen 7400 is no address"),
            ("listen", "::1:7400", "[::1]:7400"),
            ("durability", "yes", "must be memory, buffered or durable"),
            ("namespace", "a/b", "--namespace a/b"),
            ("log-level", "loud", "must be error"),
            ("scrub-rate", "0", "never come to an end"),
            ("data", "", "is no path"),
            ("budget", "fast", "--budget fast is no rate"),
            ("peer-budget", "63KiB/s", "less than 64KiB a second"),
            ("admin", "7401", "is no address"),
            ("redis", "6379", "127.0.0.1:6379, or off"),
            ("admin-exposed", "perhaps", "must be true or false"),
            ("space-minimum", "much", "is no size"),
        ] {
            let error = read(&[(key, &[value])], &[]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = read(&[("join", &["a:1", "b"])], &[]).unwrap_err();
        assert!(error.contains("\"b\" is no address"), "{error}");
        let error = read(&[], &[("SYNCLINE_SYNC_EVERY", "x")]).unwrap_err();
        assert!(
            error.starts_with("SYNCLINE_SYNC_EVERY=x is no time"),
            "{error}"
        );
    }
}
