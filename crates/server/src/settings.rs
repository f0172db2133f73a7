//! What can be set while clients are served, by `CONFIG SET`: the table of settings, and what they are now.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::client::lock;
use crate::mail::Limit;
use crate::refusal::Refusal;
use crate::request::integer;
use crate::server::{DATABASES, Options};

/// What a setting may be.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Text,
    YesOrNo,
    /// An integer from the first to the second.
    Number(i64, i64),
    /// Bytes, with a unit or without, from the first to the second.
    Bytes(i64, i64),
    /// Class, hard limit, soft limit, seconds; for one class or several.
    Limits,
    /// Letters, each a class of events.
    Events,
    /// Nothing: it is said at the start.
    Fixed,
}

struct Setting {
    name: &'static str,
    takes: Takes,
    /// What it is at first.
    default: &'static str,
    /// Whether it does anything here; what does not is there for clients that look for it in Redis.
    has_effect: bool,
}

const fn real(name: &'static str, takes: Takes, default: &'static str) -> Setting {
    Setting {
        name,
        takes,
        default,
        has_effect: true,
    }
}

const fn idle(name: &'static str, takes: Takes, default: &'static str) -> Setting {
    Setting {
        name,
        takes,
        default,
        has_effect: false,
    }
}

const ANY: i64 = i64::MAX;

const TABLE: &[Setting] = &[
    real("bind", Takes::Fixed, ""),
    real(
        "client-output-buffer-limit",
        Takes::Limits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    real(
        "client-query-buffer-limit",
        Takes::Bytes(1 << 20, ANY),
        "1073741824",
    ),
    real("databases", Takes::Fixed, ""),
    real("dir", Takes::Fixed, ""),
    real("latency-monitor-threshold", Takes::Number(0, ANY), "0"),
    real("maxclients", Takes::Number(1, u32::MAX as i64), "10000"),
    real("notify-keyspace-events", Takes::Events, ""),
    real("port", Takes::Fixed, ""),
    real(
        "proto-max-bulk-len",
        Takes::Bytes(1 << 20, 512 << 20),
        "536870912",
    ),
    real("requirepass", Takes::Text, ""),
    real("slowlog-log-slower-than", Takes::Number(-1, ANY), "10000"),
    real("slowlog-max-len", Takes::Number(0, 100_000), "128"),
    real("timeout", Takes::Number(0, i32::MAX as i64), "0"),
    idle("activerehashing", Takes::YesOrNo, "yes"),
    idle("appendfsync", Takes::Text, "everysec"),
    idle("appendonly", Takes::YesOrNo, "yes"),
    idle("hash-max-listpack-entries", Takes::Number(0, ANY), "512"),
    idle("hash-max-listpack-value", Takes::Number(0, ANY), "64"),
    idle("hash-max-ziplist-entries", Takes::Number(0, ANY), "512"),
    idle("hash-max-ziplist-value", Takes::Number(0, ANY), "64"),
    idle("list-max-listpack-size", Takes::Number(i64::MIN, ANY), "-2"),
    idle("maxmemory", Takes::Bytes(0, ANY), "0"),
    idle("maxmemory-policy", Takes::Text, "noeviction"),
    idle("maxmemory-samples", Takes::Number(1, 64), "5"),
    idle("save", Takes::Text, ""),
    idle("set-max-intset-entries", Takes::Number(0, ANY), "512"),
    idle("set-max-listpack-entries", Takes::Number(0, ANY), "128"),
    idle("tcp-keepalive", Takes::Number(0, ANY), "300"),
    idle("zset-max-listpack-entries", Takes::Number(0, ANY), "128"),
    idle("zset-max-listpack-value", Takes::Number(0, ANY), "64"),
    idle("zset-max-ziplist-entries", Takes::Number(0, ANY), "128"),
    idle("zset-max-ziplist-value", Takes::Number(0, ANY), "64"),
];

fn setting(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.name == name)
}

/// Why a value cannot be; as Redis says it.
type Wrong = String;

impl Takes {
    /// The value as it is kept and shown.
    fn read(self, value: &str, before: &str) -> Result<String, Wrong> {
        match self {
            Self::Text => Ok(value.to_owned()),
            Self::YesOrNo => match value.to_ascii_lowercase().as_str() {
                word @ ("yes" | "no") => Ok(word.to_owned()),
                _ => Err("argument must be 'yes' or 'no'".to_owned()),
            },
            Self::Number(least, most) => {
                let number = integer(value.as_bytes())
                    .ok_or_else(|| "argument couldn't be parsed into an integer".to_owned())?;
                within(number, least, most)
            }
            Self::Bytes(least, most) => {
                let number =
                    bytes(value).ok_or_else(|| "argument must be a memory value".to_owned())?;
                within(number, least, most)
            }
            Self::Limits => limits(value, before),
            Self::Events => events(value),
            Self::Fixed => Err("can't set immutable config".to_owned()),
        }
    }
}

fn within(number: i64, least: i64, most: i64) -> Result<String, Wrong> {
    match (least..=most).contains(&number) {
        true => Ok(number.to_string()),
        false => Err(format!(
            "argument must be between {least} and {most} inclusive"
        )),
    }
}

/// A number of bytes, with a unit or without.
fn bytes(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = integer(digits.as_bytes()).filter(|number| *number >= 0)?;
    number.checked_mul(unit)
}

/// `class hard soft seconds`, as often as there are classes; those not named stay as they were.
fn limits(value: &str, before: &str) -> Result<String, Wrong> {
    let wrong = || "Wrong number of arguments in buffer limit configuration.".to_owned();
    let words: Vec<_> = value.split_whitespace().collect();
    if words.len() % 4 != 0 {
        return Err(wrong());
    }
    let before: Vec<_> = before.split_whitespace().map(str::to_owned).collect();
    let mut classes: Vec<Vec<String>> = before.chunks(4).map(<[String]>::to_vec).collect();
    for limit in words.chunks(4) {
        let name = match limit[0] {
            "replica" => "slave",
            name => name,
        };
        let class = classes.iter_mut().find(|class| class[0] == name);
        let class = class.ok_or_else(|| {
            "Invalid client class specified in buffer limit configuration.".to_owned()
        })?;
        let invalid = || {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
        };
        for (at, text) in limit.iter().enumerate().skip(1) {
            class[at] = bytes(text).ok_or_else(invalid)?.to_string();
        }
    }
    Ok(classes.concat().join(" "))
}

/// Letters of `notify-keyspace-events`, as Redis writes them.
fn events(value: &str) -> Result<String, Wrong> {
    const ALL: &str = "g$lshzxetd";
    const LETTERS: &str = "Ag$lshzxeKEtmdn";
    if value.contains(|letter| !LETTERS.contains(letter)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let has = |letter| value.contains(letter);
    let is_all = has('A') || ALL.chars().all(has);
    let classes = match is_all {
        true => "A".to_owned(),
        false => ALL.chars().filter(|letter| has(*letter)).collect(),
    };
    let more: String = "KEmn".chars().filter(|letter| has(*letter)).collect();
    Ok(classes + &more)
}

/// What the settings are.
pub(crate) struct Settings {
    values: Mutex<BTreeMap<&'static str, String>>,
    // Those that are looked at often.
    max_clients: AtomicI64,
    max_request: AtomicI64,
    max_argument: AtomicI64,
    pubsub_limit: Mutex<Limit>,
}

impl Settings {
    pub(crate) fn new(options: &Options, port: u16, directory: Option<&Path>) -> Self {
        let directory = directory.map(|path| path.display().to_string());
        let defaults = TABLE
            .iter()
            .map(|setting| (setting.name, setting.default.to_owned()));
        let mut values: BTreeMap<_, _> = defaults.collect();
        values.extend([
            ("bind", options.address.ip().to_string()),
            ("port", port.to_string()),
            ("databases", DATABASES.to_string()),
            ("dir", directory.unwrap_or_default()),
            ("requirepass", options.password.clone().unwrap_or_default()),
            ("maxclients", options.max_clients.to_string()),
            ("client-query-buffer-limit", options.max_request.to_string()),
        ]);
        let settings = Self {
            values: Mutex::new(values),
            max_clients: AtomicI64::new(0),
            max_request: AtomicI64::new(0),
            max_argument: AtomicI64::new(0),
            pubsub_limit: Mutex::new(Limit {
                hard: 0,
                soft: 0,
                patience: Duration::ZERO,
            }),
        };
        settings.note();
        settings
    }

    /// What a setting is, if there is one of this name.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        lock(&self.values).get(name).cloned()
    }

    /// As a number; 0 where it is none.
    pub(crate) fn number(&self, name: &str) -> i64 {
        let value = self.get(name).unwrap_or_default();
        integer(value.as_bytes()).unwrap_or(0)
    }

    /// All settings, by name, and whether they have an effect.
    pub(crate) fn all(&self) -> Vec<(&'static str, String)> {
        let values = lock(&self.values);
        values
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect()
    }

    /// Sets all of them, or none.
    pub(crate) fn set(&self, pairs: &[(String, String)]) -> Result<(), Refusal> {
        let mut values = lock(&self.values);
        let mut changed = values.clone();
        for (at, (name, value)) in pairs.iter().enumerate() {
            let Some(setting) = setting(name) else {
                return Err(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
                .into());
            };
            let before = values.get(setting.name).map_or("", String::as_str);
            let is_twice = pairs[..at].iter().any(|(other, _)| other == name);
            let read = match is_twice {
                true => Err("duplicate parameter".to_owned()),
                false => setting.takes.read(value, before),
            };
            let value = read.map_err(|wrong| {
                Refusal::from(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - {wrong}"
                ))
            })?;
            if !setting.has_effect {
                tracing::debug!(setting = name, "accepted, and without effect");
            }
            changed.insert(setting.name, value);
        }
        *values = changed;
        drop(values);
        self.note();
        Ok(())
    }

    /// Keeps at hand what is looked at often.
    fn note(&self) {
        let keep = |at: &AtomicI64, name| at.store(self.number(name), Ordering::Relaxed);
        keep(&self.max_clients, "maxclients");
        keep(&self.max_request, "client-query-buffer-limit");
        keep(&self.max_argument, "proto-max-bulk-len");
        let limits = self.get("client-output-buffer-limit").unwrap_or_default();
        let words: Vec<_> = limits.split_whitespace().collect();
        if let Some(class) = words.chunks(4).find(|class| class[0] == "pubsub") {
            let number = |at: usize| {
                let number = class.get(at).and_then(|text| bytes(text));
                number.and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
            };
            *lock(&self.pubsub_limit) = Limit {
                hard: number(1),
                soft: number(2),
                patience: Duration::from_secs(number(3) as u64),
            };
        }
    }

    pub(crate) fn password(&self) -> Option<String> {
        self.get("requirepass")
            .filter(|password| !password.is_empty())
    }

    pub(crate) fn max_clients(&self) -> usize {
        usize::try_from(self.max_clients.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn max_request(&self) -> usize {
        usize::try_from(self.max_request.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn max_argument(&self) -> usize {
        let most = usize::try_from(self.max_argument.load(Ordering::Relaxed)).unwrap_or(0);
        most.min(self.max_request())
    }

    pub(crate) fn pubsub_limit(&self) -> Limit {
        *lock(&self.pubsub_limit)
    }

    /// After how long one who asks for nothing is disconnected; never if it is zero.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.number("timeout").unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_redis_reads_them() {
        assert_eq!(bytes("1gb"), Some(1 << 30));
        assert_eq!(bytes("1k"), Some(1000));
        assert_eq!(bytes("-1"), None);
        assert_eq!(bytes("1xb"), None);
        assert_eq!(events("KEA").unwrap(), "AKE");
        assert_eq!(events("Eg$lshzxetd").unwrap(), "AE");
        assert_eq!(events("Kx").unwrap(), "xK");
        assert!(events("Q").is_err());
        let before = "normal 0 0 0 slave 1 1 1 pubsub 2 2 2";
        let after = limits("pubsub 1mb 0 60", before).unwrap();
        assert_eq!(after, "normal 0 0 0 slave 1 1 1 pubsub 1048576 0 60");
        assert!(limits("nosuch 1 1 1", before).is_err());
        assert!(limits("pubsub 1 1", before).is_err());
    }
}
