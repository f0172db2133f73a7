//! Sessions: the driver's part in when they begin, and with whom.

use std::time::Duration;

use syncline_gossip::schedule::{Input, Outcome, Output, Pace, Schedule};
use syncline_sync::quic::NodeId;
use tokio::time::Instant;

use super::super::sessions::Synced;
use super::{Alarm, Driver};
use crate::net::SyncReport;

/// When to sync. With whom, the driver's carriers tell.
pub(super) struct Syncing {
    schedule: Schedule<NodeId>,
}

impl Syncing {
    /// `interval` is what a node's builder was told.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            schedule: Schedule::new(Pace::every(interval)),
        }
    }
}

impl Driver {
    /// Has the ways to the peers weighed by how long they take.
    pub(super) fn measure_ways(&mut self) {
        let namespaces: Vec<_> = self.spreads.keys().cloned().collect();
        for (peer, rtt) in self.links.round_trips() {
            self.carriers.measured(peer, rtt);
            for namespace in &namespaces {
                self.spread(namespace, syncline_gossip::Input::Rtt { peer, rtt });
                self.publishes(namespace, syncline_gossip::Input::Rtt { peer, rtt });
            }
        }
    }

    pub(super) fn schedule(&mut self, input: Input<NodeId>) {
        let now = self.began.elapsed();
        let selection = self.carriers.selection();
        let schedule = &mut self.syncing.schedule;
        let outputs = schedule.handle(input, now, selection, &mut self.random);
        for output in outputs {
            match output {
                Output::Begin(peer) => {
                    let address = self.membership.member(peer).map(|it| it.address);
                    match address {
                        Some(address) => self.sessions.begin(peer, address),
                        // It has just been forgotten.
                        None => self.ended(peer, Outcome::Failed),
                    }
                }
                Output::Wake { after } => {
                    self.timers.retain(|it| !matches!(it, Alarm::Schedule));
                    self.timers.set(Instant::now() + after, Alarm::Schedule);
                }
            }
        }
    }

    fn ended(&mut self, with: NodeId, outcome: Outcome) {
        self.schedule(Input::Ended { with, outcome });
    }

    pub(super) fn synced(&mut self, Synced { peer, outcome }: Synced) {
        let outcome = match outcome {
            Ok(report) if is_without_news(&report) => Outcome::Equal,
            Ok(_) => Outcome::Moved,
            Err(error) => {
                tracing::info!(%peer, %error, "the sync failed");
                Outcome::Failed
            }
        };
        tracing::debug!(%peer, ?outcome, "synced");
        self.ended(peer, outcome);
        self.refresh();
    }
}

fn is_without_news(report: &SyncReport) -> bool {
    let mut reports = report.namespaces.values();
    reports.all(|it| it.agreed && it.rows_sent == 0 && it.rows_received == 0)
}
