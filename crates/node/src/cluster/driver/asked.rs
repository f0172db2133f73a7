//! What the node asks of its driver, and the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_crdt::{CarrierId, Context};
use syncline_gossip::convergence::WhoHas;
use syncline_gossip::membership;
use syncline_sync::quic::NodeId;
use tokio::sync::oneshot;

use super::super::spread::Spread;
use super::super::status::{Branch, ClusterView, Member, NamespaceConvergence, Topology};
use super::{Driver, Meeting, Question};

/// How long a goodbye may take to leave this node.
const GOODBYE: Duration = Duration::from_secs(1);

/// A question to the driver, and where the answer goes.
pub(in super::super) enum Command {
    Topology(oneshot::Sender<Topology>),
    Convergence(oneshot::Sender<Vec<NamespaceConvergence>>),
    View(oneshot::Sender<ClusterView>),
    Carriers(String, oneshot::Sender<Vec<(NodeId, Option<CarrierId>)>>),
    WhoHas(String, Context, oneshot::Sender<WhoHas<NodeId>>),
    Ask(Question),
    Meet(Meeting),
    Leave(oneshot::Sender<()>),
}

impl Driver {
    pub(super) fn asked(&mut self, command: Command) {
        // Whoever has asked may have gone.
        match command {
            Command::Topology(reply) => drop(reply.send(self.topology())),
            Command::Convergence(reply) => drop(reply.send(self.convergence())),
            Command::View(reply) => drop(reply.send(self.view())),
            Command::Carriers(namespace, reply) => {
                drop(reply.send(self.agreement.carriers(&namespace)));
            }
            Command::WhoHas(namespace, dots, reply) => {
                drop(reply.send(self.agreement.who_has(&namespace, &dots)));
            }
            Command::Ask(question) => self.question(question),
            Command::Meet(meeting) => self.meet(meeting),
            Command::Leave(reply) => self.leave(reply),
        }
    }

    /// Says goodbye, and answers once that is on its way.
    fn leave(&mut self, reply: oneshot::Sender<()>) {
        self.is_leaving = true;
        self.member(membership::Input::Leave);
        let links = self.links.clone();
        drop(tokio::spawn(async move {
            links.settle(GOODBYE).await;
            let _gone = reply.send(());
        }));
    }

    fn topology(&self) -> Topology {
        let round_trips: BTreeMap<_, _> = self.links.round_trips().into_iter().collect();
        let round_trip = |node| round_trips.get(&node).copied();
        let members = self.membership.members();
        let mut branches = Vec::new();
        for spread in self.spreads.values() {
            let namespace = spread.namespace();
            let to_branch = |to| Branch {
                namespace: namespace.to_string(),
                to,
            };
            branches.extend(spread.branches().into_iter().map(to_branch));
        }
        Topology {
            members: members
                .map(|it| Member::new(it.clone(), round_trip(it.id)))
                .collect(),
            branches,
            traffic: self.links.stats(),
            rumours: self.spreads.values().map(Spread::stats).collect(),
            publications: self.publishing.stats(),
        }
    }
}
