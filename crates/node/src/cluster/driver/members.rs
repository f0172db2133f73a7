//! The driver's part in membership.

use std::net::SocketAddr;

use syncline_gossip::Input;
use syncline_gossip::budget::Class;
use syncline_gossip::carriers::Told;
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
            Event::Up(member) => {
                tracing::info!(member = %member.id, address = %member.address, "up");
            }
            Event::Changed(_) => {}
            Event::Suspect(node) => tracing::info!(member = %node, "suspected"),
            Event::Down(node) => tracing::info!(member = %node, "down"),
            Event::Left(node) => tracing::info!(member = %node, "left"),
        }
        let told = self.carriers.moved(&event);
        self.tell_machines(told);
        match &event {
            Event::Up(member) | Event::Changed(member) => {
                self.may_hear(member.id, member.card.as_deref());
            }
            Event::Suspect(_) => {}
            Event::Down(node) | Event::Left(node) => {
                self.postage.gone(*node);
                self.may_not_hear(*node);
            }
        }
        // Nobody may be following.
        let _unheard = self.events.send(event.into());
    }

    /// Tells the machines that talk to members who there is.
    pub(super) fn tell_machines(&mut self, told: Vec<Told<NodeId>>) {
        for told in told {
            match told {
                Told::Renewed(node) => self.links.renew(node),
                Told::Schedule(input) => self.schedule(input),
                Told::Convergence(input) => self.agree(input),
                Told::Up { namespace, node } => self.spread(&namespace, Input::Up(node)),
                Told::Down { namespace, node } => self.spread(&namespace, Input::Down(node)),
            }
        }
    }

    pub(super) fn join(&mut self, node: NodeId, address: SocketAddr) {
        self.member(membership::Input::Join(node, address));
    }
}
