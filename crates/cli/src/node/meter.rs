//! What Redis clients do, among the metrics of the node. What to do about each is in `docs/operations.md`, which a test holds against this.

use syncline_admin::metrics::{Kind, Measures, Metric, Sample, Value};
use syncline_server::{FamilyReadings, Meter, Readings};

/// The server's readings as metrics.
pub(super) struct RedisMetrics(pub(super) Meter);

impl Measures for RedisMetrics {
    fn metrics(&self) -> Vec<Metric> {
        match self.0.read() {
            Some(readings) => metrics(&readings),
            None => Vec::new(),
        }
    }
}

fn metrics(readings: &Readings) -> Vec<Metric> {
    let one = |name, kind, help, value: u64| Metric {
        name,
        kind,
        help,
        samples: vec![sample(&[], value)],
    };
    let gauge = |name, help, value| one(name, Kind::Gauge, help, value);
    let counter = |name, help, value| one(name, Kind::Counter, help, value);
    vec![
        gauge(
            "syncline_redis_clients",
            "Redis clients that are connected",
            readings.clients,
        ),
        gauge(
            "syncline_redis_clients_max",
            "As many Redis clients there may be",
            readings.max_clients,
        ),
        gauge(
            "syncline_redis_clients_subscribed",
            "Redis clients that have subscribed to something",
            readings.subscribers,
        ),
        gauge(
            "syncline_redis_clients_blocked",
            "Redis clients that wait in a blocking command",
            readings.blocked,
        ),
        gauge(
            "syncline_redis_channels",
            "Channels, patterns and shard channels that Redis clients have subscribed to",
            readings.channels,
        ),
        Metric {
            name: "syncline_redis_connections_total",
            kind: Kind::Counter,
            help: "Connections of Redis clients, by what became of them",
            samples: [
                ("admitted", readings.connections),
                ("refused", readings.refused),
                ("dropped", readings.dropped),
            ]
            .map(|(outcome, count)| sample(&[("outcome", outcome)], count))
            .into(),
        },
        Metric {
            name: "syncline_redis_bytes_total",
            kind: Kind::Counter,
            help: "Bytes from and to Redis clients, by direction",
            samples: [
                ("received", readings.bytes_in),
                ("sent", readings.bytes_out),
            ]
            .map(|(direction, bytes)| sample(&[("direction", direction)], bytes))
            .into(),
        },
        Metric {
            name: "syncline_redis_commands_total",
            kind: Kind::Counter,
            help: "Commands of Redis clients, by family and outcome",
            samples: readings.families.iter().flat_map(commands).collect(),
        },
        Metric {
            name: "syncline_redis_command_seconds",
            kind: Kind::Histogram,
            help: "How long commands of Redis clients took, by family, with what they waited for",
            samples: readings
                .families
                .iter()
                .map(|family| sample(&[("family", family.name)], family.took.clone()))
                .collect(),
        },
        counter(
            "syncline_redis_publications_missed_total",
            "Publications of other nodes that Redis clients were not told of, for want of time",
            readings.publications_missed,
        ),
        counter(
            "syncline_redis_keyspace_missed_total",
            "How often keyspace notifications of changes by other nodes were passed over",
            readings.notifications_missed,
        ),
    ]
}

fn commands(family: &FamilyReadings) -> [Sample; 2] {
    [("ok", family.done), ("error", family.failed)]
        .map(|(outcome, count)| sample(&[("family", family.name), ("outcome", outcome)], count))
}

fn sample(labels: &[(&'static str, &str)], value: impl Into<Value>) -> Sample {
    let labels = labels.iter();
    Sample {
        labels: labels
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        value: value.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../docs/operations.md");
    const DASHBOARD: &str = include_str!("../../../../docs/grafana/syncline.json");

    #[test]
    fn the_dashboard_for_grafana_is_over_metrics_that_there_are() {
        let metrics = metrics(&Readings::default());
        let there: BTreeSet<_> = metrics.iter().map(|it| it.name).collect();
        let words = DASHBOARD.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let asked: Vec<_> = words
            .filter(|word| word.starts_with("syncline_redis_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        assert!(asked.len() > 5, "{asked:?}");
        assert!(asked.iter().all(|it| there.contains(it)), "{asked:?}");
    }

    #[test]
    fn every_metric_of_redis_clients_is_documented_and_there() {
        let kind = |kind| match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let metrics = metrics(&Readings::default());
        let there = metrics.iter().map(|it| (it.name, kind(it.kind)));
        let rows = DOCUMENTED.lines();
        let documented = rows
            .filter_map(|row| row.strip_prefix("| `"))
            .filter(|row| row.starts_with("syncline_redis_"))
            .map(|row| {
                let (name, rest) = row.split_once("` | ").unwrap();
                (name, rest.split([';', ' ']).next().unwrap())
            });
        assert_eq!(
            there.collect::<BTreeSet<_>>(),
            documented.collect::<BTreeSet<_>>()
        );
        for metric in &metrics {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
        }
    }
}
