//! How a node has done lately: what somebody wants to see who looks at it only after something has happened.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use syncline::{Error, Node};
use tokio::time::sleep;

use crate::collect::{carried, unix_ms};
use crate::face::{Shared, Shown};
use crate::report::{History, Moment};

const EVERY: Duration = Duration::from_secs(2);
/// Half an hour.
const KEPT: usize = 900;

/// The last samples, the oldest first.
#[derive(Default)]
pub(crate) struct Past(Mutex<VecDeque<Moment>>);

impl Past {
    fn push(&self, moment: Moment) {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(moment);
    }

    fn since(&self, at_ms: u64) -> Vec<Moment> {
        let past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = past.partition_point(|moment| moment.at_ms <= at_ms);
        past.range(first..).cloned().collect()
    }
}

/// Looks at the node again and again until it has ended, or is not shown any more.
pub(crate) async fn keep(shown: Weak<Shown>) {
    loop {
        let Some(shown) = shown.upgrade() else {
            return;
        };
        match moment(&shown.node).await {
            Ok(moment) => shown.past.push(moment),
            Err(_closed) => return,
        }
        drop(shown);
        sleep(EVERY).await;
    }
}

async fn moment(node: &Node) -> Result<Moment, Error> {
    let accord = node.accord().await?;
    let mut moment = Moment {
        at_ms: unix_ms(SystemTime::now()),
        behind: accord.behind,
        ahead: accord.ahead,
        ..Moment::default()
    };
    for namespace in carried(node) {
        let work = namespace.work();
        moment.transactions += work.transactions;
        moment.reads += work.reads;
        moment.arrivals += work.rows_received + work.rumours_joined;
        let times = work.transaction_time;
        let bounded = times.buckets.iter();
        let bounded = bounded.map(|(bound, count)| (Some(bound.as_secs_f64() * 1e3), *count));
        let counted: Vec<_> = bounded.chain([(None, times.longer)]).collect();
        match moment.transaction_ms.is_empty() {
            true => moment.transaction_ms = counted,
            // All histograms have the same bounds.
            false => {
                for ((_, sum), (_, count)) in moment.transaction_ms.iter_mut().zip(counted) {
                    *sum += count;
                }
            }
        }
    }
    for traffic in node.traffic().values() {
        moment.bytes_sent += traffic.sent.total() + traffic.gossip_sent;
        moment.bytes_received += traffic.received.total() + traffic.gossip_received;
    }
    Ok(moment)
}

#[derive(Deserialize)]
pub(crate) struct Since {
    /// Unix milliseconds; what is later is told.
    #[serde(default)]
    since: u64,
}

pub(crate) async fn history(
    State(shown): Shared,
    Query(Since { since }): Query<Since>,
) -> Response {
    let samples = shown.past.since(since);
    Json(History { samples }).into_response()
}

/// Begins to look.
pub(crate) fn begin(shown: &Arc<Shown>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(keep(Arc::downgrade(shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_half_an_hour_and_tells_what_is_new() {
        let past = Past::default();
        for at_ms in 1..=1_000 {
            past.push(Moment {
                at_ms,
                ..Moment::default()
            });
        }
        assert_eq!(past.since(0).len(), KEPT);
        assert_eq!(past.since(0)[0].at_ms, 101);
        assert_eq!(past.since(998).len(), 2);
        assert!(past.since(1_000).is_empty());
    }
}
