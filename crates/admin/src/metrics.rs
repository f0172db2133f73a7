//! What a node has counted and measured, as Prometheus reads it.
//!
//! The crates of the node count with plain numbers and know no library for it; all is gathered and named here when it is asked for.

mod gather;
mod names;
mod peers;

use std::collections::HashMap;
use std::fmt;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use syncline::Latencies;

use crate::face::Shared;

/// As OpenMetrics asks for it, which Prometheus reads.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Something besides the node that measures: what listens to clients, say. See [`Admin::also_measure`](crate::Admin::also_measure).
pub trait Measures: Send + Sync {
    /// All of its metrics, as they are now. It must not wait for anything. Names begin with `syncline_`, and the number of labels' values must
    /// be bounded whatever clients do.
    fn metrics(&self) -> Vec<Metric>;
}

/// A metric with all of its values.
#[derive(Clone, Debug)]
pub struct Metric {
    /// As Prometheus is to know it. Ends in `_total` exactly if it is a [counter](Kind::Counter).
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, in a sentence without its full stop.
    pub help: &'static str,
    /// Its values; each has labels of the same names.
    pub samples: Vec<Sample>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the node is started anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long, in seconds.
    Histogram,
}

/// A value of a metric, under its labels.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// Of the kind of its metric.
    pub value: Value,
}

/// What was counted or measured.
#[derive(Clone, Debug)]
pub enum Value {
    /// Of a counter or a gauge.
    Whole(u64),
    /// The same, with a fraction.
    Real(f64),
    /// Of a histogram.
    Times(Latencies),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Latencies> for Value {
    fn from(value: Latencies) -> Self {
        Self::Times(value)
    }
}

/// All metrics of a node, being filled in.
struct Sheet {
    metrics: Vec<Metric>,
    places: HashMap<&'static str, usize>,
}

impl Sheet {
    /// Every metric that there is, without a value.
    fn new() -> Self {
        let metrics = names::ALL.iter().map(|(name, kind, help)| Metric {
            name,
            kind: *kind,
            help,
            samples: Vec::new(),
        });
        let metrics: Vec<_> = metrics.collect();
        let places = metrics.iter().enumerate();
        let places = places.map(|(place, metric)| (metric.name, place)).collect();
        Self { metrics, places }
    }

    fn add<const N: usize>(
        &mut self,
        name: &str,
        labels: [(&'static str, &str); N],
        value: impl Into<Value>,
    ) {
        let place = self.places.get(name);
        debug_assert!(place.is_some(), "{name} is not declared");
        let Some(metric) = place.and_then(|place| self.metrics.get_mut(*place)) else {
            return;
        };
        metric.samples.push(Sample {
            labels: labels.map(|(name, value)| (name, value.to_owned())).into(),
            value: value.into(),
        });
    }
}

pub(crate) async fn scrape(State(shown): Shared) -> Response {
    let mut metrics = match gather::all(&shown).await {
        Ok(sheet) => sheet.metrics,
        Err(error) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
        }
    };
    metrics.extend(shown.measuring().iter().flat_map(|it| it.metrics()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(metrics)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[derive(Debug)]
struct Gathered(Vec<Metric>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &self.0 {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The format puts it on again.
            let name = metric.name.trim_end_matches("_total");
            let mut encoder = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for Sample { labels, value } in &metric.samples {
                match labels.is_empty() {
                    true => encode_value(&mut encoder, metric.kind, value)?,
                    false => encode_value(&mut encoder.encode_family(labels)?, metric.kind, value)?,
                }
            }
        }
        Ok(())
    }
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Counter, Value::Real(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Gauge, Value::Whole(value)) => encoder.encode_gauge(value),
        (Kind::Gauge, Value::Real(value)) => encoder.encode_gauge(value),
        (Kind::Histogram, Value::Times(times)) => {
            let within = times.buckets.iter();
            let mut buckets: Vec<_> = within
                .map(|(bound, count)| (bound.as_secs_f64(), *count))
                .collect();
            buckets.push((f64::INFINITY, times.longer));
            let sum = times.sum.as_secs_f64();
            encoder.encode_histogram::<NoLabelSet>(sum, times.count(), &buckets, None)
        }
        // A value of another kind than its metric has no place in the format.
        (_, Value::Times(_)) | (Kind::Histogram, _) => Err(fmt::Error),
    }
}
