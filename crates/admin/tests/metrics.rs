//! What Prometheus reads of a node.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use syncline::Node;
use syncline::trust::Cluster;
use syncline_admin::metrics::{Kind, Measures, Metric, Sample};
use syncline_admin::{Admin, Options};

const DOCUMENTED: &str = include_str!("../../../docs/operations.md");

async fn shown(node: &Node) -> Admin {
    let options = Options {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        exposed: false,
        data: "nowhere".into(),
        version: "1.2.3",
    };
    Admin::start(node.clone(), options).await.unwrap()
}

async fn scraped(admin: &Admin) -> String {
    let url = format!("http://{}/metrics", admin.local_addr());
    let scrape = tokio::task::spawn_blocking(move || {
        let mut answer = ureq::get(&url).call().unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        answer.body_mut().read_to_string().unwrap()
    });
    scrape.await.unwrap()
}

/// Each series with its value.
fn values(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect()
}

/// The metrics by their names and kinds.
fn declared(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let node = Node::in_memory().await.unwrap();
    let text = scraped(&shown(&node).await).await;
    let section = DOCUMENTED
        .split("\n## ")
        .find(|it| it.starts_with("Metrics"));
    let rows = section.unwrap().lines();
    let documented: BTreeSet<(String, String)> = rows
        .filter_map(|row| row.strip_prefix("| `syncline_"))
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            let kind = rest.split([';', ' ']).next().unwrap();
            (format!("syncline_{name}"), kind.to_owned())
        })
        // Those belong to what listens to clients, which looks after them itself.
        .filter(|(name, _)| !name.starts_with("syncline_redis_"))
        .collect();
    assert_eq!(declared(&text), documented);
    assert!(text.ends_with("# EOF\n"));
    let helps = text.lines().filter(|line| line.starts_with("# HELP "));
    assert_eq!(helps.count(), documented.len());
}

#[tokio::test]
async fn what_is_done_is_counted() {
    let cluster = Cluster::throwaway().unwrap();
    let member = || {
        let node = Node::builder().in_memory().cluster(&cluster).carry("app");
        node.listen("127.0.0.1:0")
    };
    let ada = member().start().await.unwrap();
    let bob = member().join(&ada).start().await.unwrap();
    let admin = shown(&ada).await;
    let (here, there) = (ada.namespace("app").unwrap(), bob.namespace("app").unwrap());
    here.put("motto", "merge").await.unwrap();
    here.get("motto").await.unwrap();
    there.put("name", "bob").await.unwrap();
    let refused: Result<(), _> = here
        .transaction(|_| Err(syncline::Error::Aborted("no".into())))
        .await;
    refused.unwrap_err();
    let peer = &bob.id().to_string()[..12];
    let agrees = format!("syncline_agreement{{namespace=\"app\",peer=\"{peer}\"}}");
    let mut text = String::new();
    for _ in 0..2_000 {
        text = scraped(&admin).await;
        let rows = values(&text)["syncline_rows{namespace=\"app\"}"];
        if rows == 2.0 && values(&text).get(agrees.as_str()) == Some(&1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let values = values(&text);
    let value = |series: &str| {
        *values
            .get(series)
            .unwrap_or_else(|| panic!("{series} in {text}"))
    };
    let of_app = |metric: &str| value(&format!("{metric}{{namespace=\"app\"}}"));
    let outcome = |outcome: &str| {
        value(&format!(
            "syncline_transactions_total{{namespace=\"app\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!((outcome("committed"), outcome("failed")), (1.0, 1.0));
    assert!(of_app("syncline_reads_total") >= 1.0);
    assert_eq!(of_app("syncline_transaction_seconds_count"), 2.0);
    let all = "syncline_transaction_seconds_bucket{le=\"+Inf\",namespace=\"app\"}";
    assert_eq!(value(all), 2.0);
    assert!(of_app("syncline_commit_seconds_sum") > 0.0);
    assert_eq!(value("syncline_members{state=\"alive\"}"), 1.0);
    assert_eq!(value(&format!("syncline_peer_up{{peer=\"{peer}\"}}")), 1.0);
    let gossip = format!("syncline_gossip_bytes_total{{peer=\"{peer}\",direction=\"received\"}}");
    assert!(value(&gossip) > 0.0);
    assert_eq!(value(&agrees), 1.0);
    let sessions = values.iter().filter(|(series, _)| {
        series.starts_with("syncline_sessions_total") && series.contains("agreed")
    });
    assert!(
        sessions.map(|(_, count)| count).sum::<f64>() >= 1.0,
        "{text}"
    );
    // By a rumour or by a session.
    let joined = of_app("syncline_rows_joined_total") + of_app("syncline_rumours_joined_total");
    assert!(joined >= 1.0);
    let yes = "syncline_peers_agreeing{namespace=\"app\",agreement=\"yes\"}";
    assert_eq!(value(yes), 1.0);
    let expiry = ada.trust().expires_at.duration_since(std::time::UNIX_EPOCH);
    let told = value("syncline_certificate_expiry_timestamp_seconds");
    assert!((told - expiry.unwrap().as_secs_f64()).abs() < 1.0);
}

#[tokio::test]
async fn what_is_carried_does_not_grow_the_answer_without_end() {
    let node = Node::in_memory().await.unwrap();
    for number in 0..80 {
        node.namespace(&format!("n{number:03}")).unwrap();
    }
    let text = scraped(&shown(&node).await).await;
    let rows = text
        .lines()
        .filter(|line| line.starts_with("syncline_rows{"));
    assert_eq!(rows.count(), 64);
    assert!(!text.contains("n064"));
}

#[tokio::test]
async fn others_show_their_metrics_beside_those_of_the_node() {
    struct Clients;
    impl Measures for Clients {
        fn metrics(&self) -> Vec<Metric> {
            let samples = ["get", "a\"b\n"].map(|command| Sample {
                labels: vec![("command", command.to_owned())],
                value: 7_u64.into(),
            });
            vec![Metric {
                name: "syncline_redis_commands_total",
                kind: Kind::Counter,
                help: "Commands",
                samples: samples.into(),
            }]
        }
    }
    let node = Node::in_memory().await.unwrap();
    let admin = shown(&node).await;
    admin.also_measure(Arc::new(Clients));
    let text = scraped(&admin).await;
    assert!(
        text.contains("syncline_redis_commands_total{command=\"get\"} 7\n"),
        "{text}"
    );
    assert!(text.contains("command=\"a\\\"b\\n\"} 7\n"), "{text}");
}

#[tokio::test]
async fn the_dashboard_for_grafana_is_over_metrics_that_there_are() {
    let dashboard = include_str!("../../../docs/grafana/syncline.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let node = Node::in_memory().await.unwrap();
    let declared = declared(&scraped(&shown(&node).await).await);
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            asked.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        asked.extend(variable["definition"].as_str().map(str::to_owned));
    }
    assert!(asked.len() > 30, "{asked:?}");
    for query in asked {
        let words = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        // What listens to clients looks after its own.
        let names =
            words.filter(|it| it.starts_with("syncline_") && !it.starts_with("syncline_redis_"));
        for name in names {
            let mut ends = ["_bucket", "_sum", "_count"].into_iter();
            let of_histogram = ends.find_map(|end| name.strip_suffix(end));
            let is_there = |name: &str, kind: &str| {
                let mut all = declared.iter();
                all.any(|it| it.0 == name && (kind.is_empty() || it.1 == kind))
            };
            let is_there =
                is_there(name, "") || of_histogram.is_some_and(|name| is_there(name, "histogram"));
            assert!(is_there, "{name} in {query}");
        }
    }
}
