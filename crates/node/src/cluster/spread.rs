//! The rumours of one namespace: its own part in their dissemination, and its store's.

use std::sync::Arc;

use rand::Rng;
use syncline_crdt::Context;
use syncline_gossip::{Config, Dissemination, Input, Output, Rumour, Strategy};
use syncline_sync::quic::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::apply::applier;
use super::deed::carrier_of;
use super::status::Rumours;
use crate::outbox::Publication;
use crate::replica::Replica;

/// What has become of a rumour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is on its way into the store, or nowhere.
    Done,
    /// The store has no time for it.
    Missed,
    /// It is of a carrier that the store has yet to hear of, in a session.
    Unmet,
}

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
    late: u64,
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
            late: 0,
        }
    }

    pub(super) fn namespace(&self) -> Arc<str> {
        self.namespace.clone()
    }

    /// The peers that rumours are pushed to.
    pub(super) fn branches(&self) -> Vec<NodeId> {
        self.gossip.branches().collect()
    }

    /// What has become of the rumours.
    pub(super) fn stats(&self) -> Rumours {
        Rumours {
            namespace: self.namespace.to_string(),
            stats: self.gossip.stats(),
            late: self.late,
        }
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

    /// Hands a rumour to the store, which takes it from carriers alone that it knows: a store that held the rows of others could be
    /// counted by nobody (decision 0011), and what it has yet to say be collected without it.
    pub(super) fn deliver(&mut self, rumour: Rumour) -> Delivery {
        let delivery = self.hand_over(rumour);
        self.late += u64::from(delivery != Delivery::Done);
        delivery
    }

    fn hand_over(&self, rumour: Rumour) -> Delivery {
        let Some(open) = self.replica.if_open() else {
            return Delivery::Unmet;
        };
        match carrier_of(&rumour) {
            Ok(carrier) if open.store.counts(&carrier) => match self.apply.try_send(rumour) {
                Ok(()) => Delivery::Done,
                Err(_) => Delivery::Missed,
            },
            Ok(carrier) if open.store.has_forgotten(&carrier) => {
                let namespace = &*self.namespace;
                tracing::warn!(namespace, %carrier, "a rumour of a forgotten carrier was refused");
                Delivery::Done
            }
            Ok(_) => Delivery::Unmet,
            Err(error) => {
                tracing::warn!(namespace = &*self.namespace, %error, "a rumour cannot be read");
                Delivery::Done
            }
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::node::Node;

    #[tokio::test]
    async fn rumours_are_taken_from_counted_carriers_alone() {
        let [ada, bob] = [
            Node::in_memory().await.unwrap(),
            Node::in_memory().await.unwrap(),
        ];
        let (publish, mut written) = mpsc::channel(4);
        ada.core.taker.set(publish).unwrap();
        let here = ada.namespace("app").unwrap();
        here.put("motto", "merge").await.unwrap();
        let rumour = written.recv().await.unwrap().rumour().unwrap();

        let there = bob.namespace("app").unwrap();
        let replica = bob.core.carry("app");
        let mut spread = Spread::new(bob.id(), replica.clone(), u64::MAX);
        assert_eq!(
            spread.deliver(rumour.clone()),
            Delivery::Unmet,
            "nobody has opened it"
        );
        let open = replica.open().await.unwrap();
        assert_eq!(
            spread.deliver(rumour.clone()),
            Delivery::Unmet,
            "they have not met"
        );
        let carrier = here.carrier().await.unwrap();
        open.store.enrol(&here.carriers().await.unwrap()).unwrap();
        assert_eq!(spread.deliver(rumour.clone()), Delivery::Done);
        while there.get("motto").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }

        open.store.forget_carrier(carrier).unwrap();
        let room = spread.apply.capacity();
        assert_eq!(spread.deliver(rumour), Delivery::Done);
        assert_eq!(spread.apply.capacity(), room, "it was not handed on");
    }
}
