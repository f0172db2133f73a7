//! What nodes publish, and how they pass it on.

use rand::seq::SliceRandom;
use syncline_crdt::{Dot, ReplicaId};
use syncline_gossip::budget::Class;
use syncline_gossip::{Input, Message, Output, Pushed, Rumour, schedule};

use super::Cluster;
use super::events::Event;
use super::postage::{Letter, Posted};
use crate::Membership;
use crate::report::Spread;

impl Cluster<'_> {
    pub(super) fn input(&mut self, at: u32, input: Input<u32>) {
        let node = &mut self.nodes[at as usize];
        if !node.is_alive {
            return;
        }
        for output in node.gossip.handle(input, &mut node.random) {
            match output {
                Output::Send { to, message } => self.send(at, to, message),
                Output::Wake { timer, after } => {
                    let node = &self.nodes[at as usize];
                    let (life, after) = (node.life, after.mul_f64(node.pace));
                    let node = at;
                    self.cause(self.now + after, Event::Timer { node, life, timer });
                }
                Output::Deliver(rumour) => {
                    self.set_clock(at);
                    let replica = self.nodes[at as usize].replica.as_ref();
                    let joined = replica.map_or(Ok(()), |it| it.join(&rumour));
                    self.sound(joined);
                }
                Output::Lagging(peer) => {
                    self.lagging += 1;
                    match self.scenario.membership {
                        Membership::Shared => {
                            let _reached = self.talk(at, peer);
                        }
                        Membership::Own => self.arrange(at, schedule::Input::Lagging(peer)),
                    }
                }
            }
        }
    }

    pub(super) fn send(&mut self, from: u32, to: u32, message: Message) {
        let Some(door) = self.door(from, to) else {
            return;
        };
        let posted = Posted {
            class: class(&message),
            kind: kind(&message),
            bytes: message.to_bytes().len() as u64,
            door,
            letter: Letter::Rumours(message),
        };
        self.post(from, to, posted);
    }

    pub(super) fn publish(&mut self, number: u32) {
        let writer = self.writer(number);
        if number == self.scenario.warm_up {
            self.measured_from = Some(self.now);
        }
        self.set_clock(writer);
        let payload = self.scenario.payload;
        let node = &mut self.nodes[writer as usize];
        node.written += 1;
        let rumour = match &node.replica {
            Some(replica) => replica.write(number.into(), payload),
            None => Ok(numbered(writer, node.written, payload)),
        };
        let Some(Some(rumour)) = self.sound(rumour) else {
            return;
        };
        if number >= self.scenario.warm_up {
            self.numbers.insert(rumour.id(), self.spreads.len());
            self.spreads.push(Spread {
                published: self.now,
                arrivals: vec![self.now],
                ..Spread::default()
            });
        }
        self.input(writer, Input::Publish(rumour));
    }

    /// Who writes this one.
    pub(super) fn writer(&mut self, number: u32) -> u32 {
        let scenario = self.scenario;
        let turn = number % scenario.writers;
        if self.writers.is_empty() || (turn == 0 && scenario.writers > 1) {
            let survivors = (0..scenario.nodes).filter(|node| self.nodes[*node as usize].survives);
            let mut survivors: Vec<u32> = survivors.collect();
            let count = scenario.writers as usize;
            let (chosen, _) = survivors.partial_shuffle(&mut self.random, count);
            self.writers = chosen.to_vec();
        }
        let writer = self.writers[turn as usize % self.writers.len()];
        let mut others = (writer..scenario.nodes).chain(0..writer);
        let can_write = |node: &u32| {
            let node = &self.nodes[*node as usize];
            node.is_alive && node.survives
        };
        // If the writer is down just now, the next one takes its turn.
        others.find(can_write).unwrap_or(writer)
    }

    pub(super) fn pushed(&mut self, to: u32, Pushed { rumour, hops }: &Pushed) {
        let node = &self.nodes[to as usize];
        let Some(number) = self.numbers.get(&rumour.id()).copied() else {
            return;
        };
        let spread = &mut self.spreads[number];
        if !node.survives {
            return;
        }
        spread.copies += 1;
        let id = rumour.id();
        if !node
            .gossip
            .known()
            .contains(&Dot::new(id.replica(), id.last()))
        {
            spread.last_hops = *hops;
            spread.max_hops = spread.max_hops.max(*hops);
            self.arrived(number);
        }
    }

    /// One more node has a rumour.
    pub(super) fn arrived(&mut self, number: usize) {
        let arrivals = &mut self.spreads[number].arrivals;
        arrivals.push(self.now);
        self.complete += usize::from(arrivals.len() == self.scenario.survivors() as usize);
    }
}

/// The rumour of a node without a store.
fn numbered(writer: u32, counter: u64, payload: usize) -> Option<Rumour> {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&writer.to_be_bytes());
    Rumour::new(
        ReplicaId::from_bytes(id),
        counter,
        counter,
        vec![0; payload],
    )
}

const fn class(message: &Message) -> Class {
    match message {
        Message::Push { .. } | Message::Batch(_) => Class::Rumour,
        _ => Class::Pull,
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Push { .. } | Message::Batch(_) => "push",
        Message::Known(_) => "feedback",
        Message::Announce(_) | Message::Offer(_) | Message::Want(_) => "announce",
        Message::Graft(_) | Message::Prune | Message::Link { .. } | Message::Unlink => "tree",
        Message::Compare(_) | Message::Same | Message::Pull { .. } => "pull",
    }
}
