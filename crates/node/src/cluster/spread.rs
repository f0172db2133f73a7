//! The rumours of one namespace: its own part in their dissemination, and its store's.

use std::sync::Arc;

use rand::Rng;
use syncline_crdt::Context;
use syncline_gossip::{Config, Dissemination, Input, Output, Rumour, Strategy};
use syncline_sync::quic::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::apply::applier;
use crate::outbox::Publication;
use crate::replica::Replica;

/// One namespace among the members that carry it.
pub(super) struct Spread {
    namespace: Arc<str>,
    replica: Replica,
    gossip: Dissemination<NodeId>,
    apply: mpsc::Sender<Rumour>,
    /// Ends with the namespace.
    _applying: JoinSet<()>,
    /// The last commit whose context the dissemination knows.
    learned: Option<u64>,
}

impl Spread {
    pub(super) fn new(me: NodeId, replica: Replica, skew_ms: u64) -> Self {
        let (apply, applying) = applier(replica.clone(), skew_ms);
        let mut tasks = JoinSet::new();
        tasks.spawn(applying);
        Self {
            namespace: replica.namespace().into(),
            replica,
            gossip: Dissemination::new(me, Config::new(Strategy::Plumtree)),
            apply,
            _applying: tasks,
            learned: None,
        }
    }

    pub(super) fn namespace(&self) -> Arc<str> {
        self.namespace.clone()
    }

    /// The peers that rumours are pushed to.
    pub(super) fn branches(&self) -> Vec<NodeId> {
        self.gossip.branches().collect()
    }

    pub(super) fn handle(
        &mut self,
        input: Input<NodeId>,
        random: &mut impl Rng,
    ) -> Vec<Output<NodeId>> {
        self.gossip.handle(input, random)
    }

    /// What was written here is to be spread. What is too large for a rumour others learn of when they compare.
    pub(super) fn publish(
        &mut self,
        publication: &Publication,
        random: &mut impl Rng,
    ) -> Vec<Output<NodeId>> {
        let input = match publication.rumour() {
            Some(rumour) => Input::Publish(rumour),
            None => {
                let mut made = Context::new();
                made.insert_range(
                    publication.first.replica,
                    publication.first.counter,
                    publication.last,
                );
                Input::Learned(made)
            }
        };
        self.gossip.handle(input, random)
    }

    /// Hands a rumour to the store; whether there was room for it.
    pub(super) fn deliver(&self, rumour: Rumour) -> bool {
        self.apply.try_send(rumour).is_ok()
    }

    /// Has the dissemination know what the store has seen by other ways. Opens the store if nobody has.
    pub(super) fn refresh(&mut self, random: &mut impl Rng) -> Vec<Output<NodeId>> {
        let Some(open) = self.replica.if_open() else {
            let replica = self.replica.clone();
            // A failure is met again by whoever uses the namespace, and by the next round.
            drop(tokio::spawn(async move { replica.open().await.map(drop) }));
            return Vec::new();
        };
        let Ok(view) = open.store.view() else {
            return Vec::new();
        };
        if self.learned.replace(view.commit()) == Some(view.commit()) {
            return Vec::new();
        }
        let context = view.context().clone();
        self.gossip.handle(Input::Learned(context), random)
    }
}
