//! What a run came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// What a run came to. Everything is of the rumours after the warm-up, and of the nodes that are there to the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The share of (rumour, node) that came together.
    pub delivered: f64,
    /// Rumours that reached every node.
    pub complete: u32,
    /// The share of nodes reached, on average over the rumours that took off, i.e. reached more than a tenth.
    pub reached: f64,
    /// Rumours that took off.
    pub took_off: u32,
    /// Copies of each rumour that a node received.
    pub copies: f64,
    /// The hops by which rumours came to those who had them last, on average over the rumours.
    pub last_hops: f64,
    /// The most hops of any.
    pub max_hops: u16,
    /// How long after a rumour was published it had reached so many nodes.
    pub times: Quantiles,
    /// Bytes that a node sent in a second, all that was sent in the measured time counted.
    pub bytes_per_node_second: f64,
    /// The same, by kind of message.
    pub bytes_by_kind: BTreeMap<&'static str, f64>,
    /// Messages that a node sent in a second.
    pub messages_per_node_second: f64,
    /// The share of the bytes that went from one region to another.
    pub between_regions: f64,
    /// The bytes that a node sent to other regions in a second.
    pub between_regions_per_node_second: f64,
    /// Into how many parts the overlay fell in the end, links between neighbours among the living; 0 if there is none.
    pub overlay_parts: u32,
    /// The most bytes that any node sent in a second.
    pub peak_bytes_per_second: u64,
    /// How often a node was told to begin a session, because rumours could not help any more.
    pub lagging: u64,
    /// Packets of the membership that were refused: floods, forgeries, damage.
    pub refused: u64,
    /// Sessions begun, where nodes have stores.
    pub sessions: u64,
    /// Of these, those that broke off.
    pub sessions_broken: u64,
    /// Milliseconds until all stores had equal roots, from when all was written, healed and back; nothing if they never had.
    pub agreed_ms: Option<f64>,
    /// Virtual seconds from the first measured rumour to the end.
    pub seconds: f64,
    /// A hash over every event of the run in order: two runs that agree in it were the same.
    pub trace: u64,
}

/// Milliseconds until a share of all nodes had a rumour: the mean over the rumours that came so far, and the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of them, mean.
    pub half_ms: f64,
    /// 99 of 100, mean.
    pub nearly_all_ms: f64,
    /// All, mean.
    pub all_ms: f64,
    /// All, the longest.
    pub all_max_ms: f64,
    /// The same, in periods of the gossip that were begun.
    pub all_max_periods: u32,
}

/// One measured rumour.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    pub(crate) published: Duration,
    /// When it came to each node that had it, in order, the writer first.
    pub(crate) arrivals: Vec<Duration>,
    pub(crate) last_hops: u16,
    pub(crate) max_hops: u16,
    pub(crate) copies: u64,
}

impl Spread {
    /// Milliseconds until this share of `nodes` had it.
    fn time_to(&self, share: f64, nodes: u32) -> Option<f64> {
        let needed = ((f64::from(nodes) * share).ceil() as usize).max(1);
        let arrival = self.arrivals.get(needed - 1)?;
        Some((*arrival - self.published).as_secs_f64() * 1e3)
    }
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

impl Quantiles {
    pub(crate) fn of(spreads: &[Spread], nodes: u32, period: Duration) -> Self {
        let times = |share: f64| {
            spreads
                .iter()
                .filter_map(move |it| it.time_to(share, nodes))
        };
        let all_max_ms = times(1.0).fold(0.0, f64::max);
        Self {
            half_ms: mean(times(0.5)),
            nearly_all_ms: mean(times(0.99)),
            all_ms: mean(times(1.0)),
            all_max_ms,
            all_max_periods: (all_max_ms / (period.as_secs_f64() * 1e3)).ceil() as u32,
        }
    }
}
