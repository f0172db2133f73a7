//! What nodes send goes out as far as their budgets go, the more important first, as it does from real ones.

use std::time::Duration;

use syncline_gossip::budget::{Budget, Class, Input, Limits, Output};
use syncline_gossip::{Message, convergence};
use syncline_sync::BATCH_BYTES;

use super::Cluster;
use super::events::Event;
use crate::scenario::Scenario;
use crate::stores::Frame;

/// After how long a frame that found no place in the queue tries again.
const AGAIN: Duration = Duration::from_millis(50);

/// What a node has to send.
pub(super) enum Item {
    Letter(Posted),
    Frame(Frame),
}

/// What travels by itself.
#[derive(Clone)]
pub(super) enum Letter {
    Rumours(Message),
    /// Of the membership.
    Members(Vec<u8>),
    /// Where others stand.
    Standings(convergence::Message<u32>),
}

/// A letter to be sent.
pub(super) struct Posted {
    pub(super) class: Class,
    pub(super) kind: &'static str,
    pub(super) bytes: u64,
    /// To which door of its receiver.
    pub(super) door: u16,
    pub(super) letter: Letter,
}

fn limits(scenario: &Scenario) -> Limits {
    Limits {
        node: scenario.budget,
        ..Limits::new()
    }
}

/// What a node of the scenario begins with.
pub(super) fn budget(scenario: &Scenario) -> Option<Box<Budget<u32, Item>>> {
    let limits = limits(scenario);
    limits.node.map(|_| Box::new(Budget::new(limits)))
}

/// How many bytes of rows a node of the scenario puts into a frame.
pub(super) fn frame_bytes(scenario: &Scenario) -> usize {
    limits(scenario).item_bytes(BATCH_BYTES)
}

impl Cluster<'_> {
    /// Sends a letter to where its sender takes the receiver to be, when its time comes.
    pub(super) fn post(&mut self, from: u32, to: u32, posted: Posted) {
        let Posted { class, bytes, .. } = posted;
        self.note(&[u64::from(from) << 32 | u64::from(to), bytes]);
        self.offer([from, to], class, bytes, Item::Letter(posted));
    }

    /// Sends a frame when its time comes.
    pub(super) fn offer_frame(&mut self, frame: Frame) {
        if let Some((from, to)) = self.talks.hold(&frame) {
            let class = match frame.bytes.len() >= frame_bytes(self.scenario) / 2 {
                true => Class::Bootstrap,
                false => Class::Walk,
            };
            let bytes = frame.bytes.len() as u64;
            self.offer([from, to], class, bytes, Item::Frame(frame));
        }
    }

    fn offer(&mut self, [from, to]: [u32; 2], class: Class, bytes: u64, item: Item) {
        let Some(budget) = &mut self.nodes[from as usize].budget else {
            return self.ship(from, to, item);
        };
        let offer = Input::Offer {
            to,
            class,
            bytes,
            item,
        };
        let outputs = budget.handle(offer, self.now);
        self.budgeted(from, outputs);
    }

    /// What waits for a peer that has gone is dropped.
    pub(super) fn drop_waiting(&mut self, from: u32, to: u32) {
        if let Some(budget) = &mut self.nodes[from as usize].budget {
            let outputs = budget.handle(Input::Gone(to), self.now);
            self.budgeted(from, outputs);
        }
    }

    /// A node may send more.
    pub(super) fn paid(&mut self, node: u32) {
        if let Some(budget) = &mut self.nodes[node as usize].budget {
            let outputs = budget.handle(Input::Timer, self.now);
            self.budgeted(node, outputs);
        }
    }

    fn budgeted(&mut self, from: u32, outputs: Vec<Output<u32, Item>>) {
        for output in outputs {
            match output {
                Output::Send { to, item, .. } => {
                    if let Item::Frame(frame) = &item {
                        let (talk, side) = (frame.talk, 1 - frame.side);
                        self.cause(self.now, Event::Speak { talk, side });
                    }
                    self.ship(from, to, item);
                }
                // Sessions heal what a letter would have said.
                Output::Dropped {
                    item: Item::Letter(_),
                    ..
                } => {}
                Output::Dropped {
                    item: Item::Frame(frame),
                    ..
                } => self.cause(self.now + AGAIN, Event::Offer(frame)),
                Output::Wake { after } => {
                    let life = self.nodes[from as usize].life;
                    self.cause(self.now + after, Event::Paid { node: from, life });
                }
            }
        }
    }

    fn ship(&mut self, from: u32, to: u32, item: Item) {
        match item {
            Item::Letter(posted) => self.send_letter(from, to, &posted),
            Item::Frame(frame) => self.send_frame(frame),
        }
    }

    fn send_letter(&mut self, from: u32, to: u32, posted: &Posted) {
        let Posted {
            kind, bytes, door, ..
        } = *posted;
        let scenario = self.scenario;
        self.count(kind, from, to, bytes);
        let network = &scenario.network;
        let busy_until = &mut self.nodes[from as usize].busy_until;
        let Some(departs) = network.depart(self.now, busy_until, bytes) else {
            return;
        };
        if self.is_cut(from, to) {
            return;
        }
        let copies = 1 + u32::from(network.is_doubled(&mut self.random));
        for _ in 0..copies {
            let travel = network.travel(scenario.seed, from, to, &mut self.random);
            if let Some(travel) = travel {
                let (sent, letter) = (self.now, posted.letter.clone());
                let event = Event::Arrive {
                    from,
                    to,
                    door,
                    sent,
                    letter,
                };
                self.cause(departs + travel, event);
            }
        }
    }
}
