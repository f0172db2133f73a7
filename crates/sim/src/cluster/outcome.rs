//! What a run has come to.

use super::Cluster;
use crate::report::{Quantiles, Report, Spread, mean};

impl Cluster<'_> {
    /// Into how many parts the links between neighbours who live fall.
    pub(super) fn overlay_parts(&self) -> u32 {
        let mut part: Vec<usize> = (0..self.nodes.len()).collect();
        let root = |part: &mut Vec<usize>, mut node: usize| {
            while part[node] != node {
                part[node] = part[part[node]];
                node = part[node];
            }
            node
        };
        let living = || self.nodes.iter().enumerate().filter(|(_, it)| it.is_alive);
        if living().all(|(_, node)| node.gossip.neighbours().next().is_none()) {
            return 0;
        }
        for (number, node) in living() {
            for peer in node.gossip.neighbours() {
                if self.nodes[peer as usize].is_alive {
                    let (one, other) = (root(&mut part, number), root(&mut part, peer as usize));
                    part[one] = other;
                }
            }
        }
        living()
            .filter(|(number, _)| part[*number] == *number)
            .count() as u32
    }

    pub(super) fn report(&self) -> Report {
        let survivors = self.scenario.survivors();
        let others = f64::from(survivors - 1);
        let reached = |spread: &Spread| (spread.arrivals.len() - 1) as f64 / others;
        let started = self.measured_from.unwrap_or(self.now);
        let seconds = (self.now - started).as_secs_f64();
        let node_seconds = f64::from(survivors) * seconds;
        let bytes: u64 = self.bytes.values().sum();
        let took_off = || self.spreads.iter().filter(|it| reached(it) > 0.1);
        let is_complete = |spread: &&Spread| spread.arrivals.len() == survivors as usize;
        Report {
            delivered: mean(self.spreads.iter().map(reached)),
            complete: self.spreads.iter().filter(is_complete).count() as u32,
            reached: mean(took_off().map(reached)),
            took_off: took_off().count() as u32,
            copies: mean(self.spreads.iter().map(|it| it.copies as f64 / others)),
            last_hops: mean(self.spreads.iter().map(|it| f64::from(it.last_hops))),
            max_hops: self
                .spreads
                .iter()
                .map(|it| it.last_hops)
                .max()
                .unwrap_or(0),
            times: Quantiles::of(&self.spreads, survivors, self.scenario.gossip.period),
            bytes_per_node_second: bytes as f64 / node_seconds,
            bytes_by_kind: self
                .bytes
                .iter()
                .map(|(kind, bytes)| (*kind, *bytes as f64 / node_seconds))
                .collect(),
            between_regions: self.bytes_between as f64 / bytes.max(1) as f64,
            between_regions_per_node_second: self.bytes_between as f64 / node_seconds,
            overlay_parts: self.overlay_parts(),
            messages_per_node_second: self.messages as f64 / node_seconds,
            peak_bytes_per_second: self.nodes.iter().map(|node| node.sent.0).max().unwrap_or(0),
            lagging: self.lagging,
            refused: self.refused,
            sessions: self.sessions,
            sessions_broken: self.broken,
            agreed_ms: self
                .agreed
                .map(|at| (at - self.scenario.quiet_from()).as_secs_f64() * 1e3),
            seconds,
            trace: self.trace,
        }
    }
}
