//! The driver's part in membership.

use std::net::SocketAddr;

use syncline_gossip::Input;
use syncline_gossip::budget::Class;
use syncline_gossip::membership::{self, Event, Output};
use syncline_sync::quic::NodeId;
use tokio::time::Instant;

use super::super::links::{Carriage, Parcel};
use super::{Alarm, Driver, wire};

impl Driver {
    pub(super) fn member(&mut self, input: membership::Input<NodeId>) {
        let now = self.began.elapsed();
        for output in self.membership.handle(input, now, &mut self.random) {
            match output {
                Output::Send { to, address, bytes } => {
                    let bytes = wire::membership(&bytes);
                    if self.is_leaving {
                        // There is no second chance to say it.
                        self.send_membership(to, address, Carriage::Frame, bytes.clone());
                    }
                    self.send_membership(to, address, Carriage::Datagram, bytes);
                }
                Output::Wake { after } => {
                    self.timers.retain(|it| !matches!(it, Alarm::Membership));
                    self.timers.set(Instant::now() + after, Alarm::Membership);
                }
                Output::Event(event) => self.moved(event),
                Output::Persist(generation) => {
                    if let Err(error) = self.core.storage.keep_generation(generation) {
                        // What follows would be said in a life that the next start does not know of.
                        return tracing::error!(%error, "the generation was not written");
                    }
                }
                Output::Refused { from, why } => {
                    tracing::warn!(peer = %from, %why, "membership was refused");
                }
            }
        }
    }

    fn send_membership(&self, to: NodeId, address: SocketAddr, carriage: Carriage, bytes: Vec<u8>) {
        let parcel = Parcel { carriage, bytes };
        self.postage
            .send(to, Some(address), Class::Membership, parcel);
    }

    fn moved(&mut self, event: Event<NodeId>) {
        self.agreement.members_changed();
        match &event {
            Event::Up(member) | Event::Changed(member) => {
                let namespaces = member.card.as_ref().map(|card| card.namespaces.clone());
                let carries = namespaces.unwrap_or_default();
                let carried = self.carriers.insert(member.id, carries.clone());
                let before = self.generations.insert(member.id, member.generation);
                if before.is_some_and(|before| before < member.generation) {
                    self.links.renew(member.id);
                }
                if matches!(event, Event::Up(_)) {
                    tracing::info!(member = %member.id, address = %member.address, "up");
                }
                let carried = carried.unwrap_or_default();
                self.may_sync(member, &carries);
                self.is_there(member, &carries);
                self.may_hear(member.id, member.card.as_deref());
                for namespace in carries.difference(&carried) {
                    self.spread(namespace, Input::Up(member.id));
                }
                for namespace in carried.difference(&carries) {
                    self.spread(namespace, Input::Down(member.id));
                }
            }
            Event::Suspect(node) => tracing::info!(member = %node, "suspected"),
            Event::Down(node) => {
                self.gone(*node, "down");
                self.is_gone(*node, false);
            }
            Event::Left(node) => {
                self.gone(*node, "left");
                self.is_gone(*node, true);
            }
        }
        // Nobody may be following.
        let _unheard = self.events.send(event.into());
    }

    fn gone(&mut self, node: NodeId, how: &str) {
        tracing::info!(member = %node, "{how}");
        self.postage.gone(node);
        self.may_not_sync(node);
        self.may_not_hear(node);
        for namespace in self.carriers.remove(&node).unwrap_or_default() {
            self.spread(&namespace, Input::Down(node));
        }
    }

    pub(super) fn join(&mut self, node: NodeId, address: SocketAddr) {
        self.member(membership::Input::Join(node, address));
    }
}
