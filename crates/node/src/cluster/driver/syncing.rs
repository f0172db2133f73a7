//! Sessions: the driver's part in when they begin, and with whom.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline_gossip::schedule::{Input, Outcome, Output, Pace, Schedule};
use syncline_gossip::{Cost, Selection, membership};
use syncline_sync::quic::NodeId;
use tokio::time::Instant;

use super::super::sessions::Synced;
use super::{Alarm, Driver};
use crate::net::SyncReport;

/// Members that are synced with as soon as they are met: they have what this node missed, and both get to know all carriers. It is
/// a few, so that a thousand nodes that start at once do not all sync with all.
const GREETED: u32 = 2;

/// Whom to sync with, and when.
pub(super) struct Syncing {
    schedule: Schedule<NodeId>,
    selection: Selection<NodeId>,
    greeted: u32,
}

impl Syncing {
    /// `interval` is what a node's builder was told.
    pub(super) fn new(interval: Duration) -> Self {
        let pace = Pace {
            shortest: interval / 5,
            longest: interval.saturating_mul(6),
            settling: interval / 2,
            ..Pace::new()
        };
        Self {
            schedule: Schedule::new(pace),
            selection: Selection::new(),
            greeted: 0,
        }
    }
}

impl Driver {
    /// A member is there, which carries these namespaces.
    pub(super) fn may_sync(
        &mut self,
        member: &membership::Member<NodeId>,
        carries: &BTreeSet<String>,
    ) {
        let ours = &self.card.namespaces;
        let shared = carries.intersection(ours).count();
        if shared == 0 {
            return self.may_not_sync(member.id);
        }
        let zone = member.card.as_ref().map(|card| card.zone.as_str());
        let cost = Cost {
            is_other_zone: zone.is_some_and(|zone| zone != self.card.zone),
            shared: u32::try_from(shared).unwrap_or(u32::MAX),
            round_trip: None,
        };
        let is_new = self.syncing.selection.cost(member.id).is_none();
        self.syncing.selection.set(member.id, cost);
        if is_new {
            self.schedule(Input::Up(member.id));
            if self.syncing.greeted < GREETED {
                self.syncing.greeted += 1;
                self.schedule(Input::Lagging(member.id));
            }
        }
    }

    pub(super) fn may_not_sync(&mut self, peer: NodeId) {
        if self.syncing.selection.cost(peer).is_some() {
            self.syncing.selection.remove(peer);
            self.schedule(Input::Down(peer));
        }
    }

    /// Other namespaces are carried here: with whom to sync is to be found anew.
    pub(super) fn find_partners(&mut self) {
        let members: Vec<_> = self.membership.members().collect();
        for member in members {
            if let Some(carries) = self.carriers.get(&member.id).cloned() {
                self.may_sync(&member, &carries);
            }
        }
    }

    /// Has the ways to the peers weighed by how long they take.
    pub(super) fn measure_ways(&mut self) {
        let namespaces: Vec<_> = self.spreads.keys().cloned().collect();
        for (peer, rtt) in self.links.round_trips() {
            self.syncing.selection.measured(peer, rtt);
            for namespace in &namespaces {
                self.spread(namespace, syncline_gossip::Input::Rtt { peer, rtt });
                self.publishes(namespace, syncline_gossip::Input::Rtt { peer, rtt });
            }
        }
    }

    pub(super) fn schedule(&mut self, input: Input<NodeId>) {
        let now = self.began.elapsed();
        let Syncing {
            schedule,
            selection,
            ..
        } = &mut self.syncing;
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
