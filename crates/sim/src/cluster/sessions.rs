//! Sessions between the stores of nodes, and whether these agree.

use std::time::Duration;

use rand::Rng;
use syncline_crdt::{Context, Dot};
use syncline_gossip::schedule::Outcome;
use syncline_gossip::{Input, RumourId};

use super::Cluster;
use super::events::Event;
use crate::stores::{Frame, Replica};

/// How often stores are compared in the end.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// After how long a stream sends again what was lost.
const RETRANSMISSION: Duration = Duration::from_millis(200);

impl Cluster<'_> {
    /// A session with a member chosen uniformly, and the next one after a while.
    pub(super) fn sync(&mut self, number: u32, life: u32) {
        let node = &mut self.nodes[number as usize];
        let Some(stores) = self.scenario.stores.filter(|_| node.life == life) else {
            return;
        };
        let peer = node.random.random_range(0..self.scenario.nodes);
        let after = stores
            .sync_every
            .mul_f64(node.random.random_range(0.5..1.5));
        let event = Event::Sync { node: number, life };
        self.cause(self.now + after, event);
        if peer != number {
            let _reached = self.talk(number, peer);
        }
    }

    /// Begins a session, if the peer can be reached. Whether it did.
    pub(super) fn talk(&mut self, node: u32, peer: u32) -> bool {
        self.set_clock(node);
        let is_alive = |node: u32| self.nodes[node as usize].is_alive;
        if !is_alive(node) || !is_alive(peer) || self.is_cut(node, peer) {
            return false;
        }
        let begun = {
            let initiator = &mut self.nodes[node as usize];
            let salt = initiator.random.random();
            let Some(replica) = &initiator.replica else {
                return false;
            };
            self.talks.begin([node, peer], replica, salt)
        };
        let Some(Some(talk)) = self.sound(begun) else {
            return false;
        };
        self.sessions += 1;
        self.speak(talk, 0);
        true
    }

    /// Sends what one side of a session has to say, frame by frame, as far as the node's budget goes.
    pub(super) fn speak(&mut self, talk: u64, side: usize) {
        while !self.talks.is_held(talk, side) {
            match self.talks.poll(talk, side) {
                Ok(Some(frame)) => self.offer_frame(frame),
                Ok(None) => break,
                Err(_) => return self.break_off(talk),
            }
        }
        if self.talks.is_finished(talk) {
            let outcome = match self.talks.is_without_news(talk) {
                true => Outcome::Equal,
                false => Outcome::Moved,
            };
            if let Some((peer, node)) = self.talks.way_to(talk, 0) {
                self.ended(node, peer, outcome);
            }
            for node in self.talks.end(talk).into_iter().flatten() {
                let replica = self.nodes[node as usize].replica.as_ref();
                let context = replica.map(Replica::context).unwrap_or(Ok(Context::new()));
                if let Some(context) = self.sound(context) {
                    self.learn(node, context);
                }
            }
        }
    }

    /// A frame goes by a stream: what is lost is sent again, and all keeps its order.
    pub(super) fn send_frame(&mut self, frame: Frame) {
        let Some((from, to)) = self.talks.sends(&frame) else {
            return;
        };
        let bytes = frame.bytes.len() as u64;
        self.count("session", from, to, bytes);
        let network = &self.scenario.network;
        let mut at = self.now;
        let busy_until = &mut self.nodes[from as usize].busy_until;
        match network.depart(at, busy_until, bytes) {
            Some(departs) if !self.is_cut(from, to) => at = departs,
            _ => return self.break_off(frame.talk),
        }
        let travel = loop {
            match network.travel(self.scenario.seed, from, to, &mut self.random) {
                Some(travel) => break travel,
                None => at += RETRANSMISSION,
            }
        };
        let at = self.talks.arrival(frame.talk, frame.side, at + travel);
        self.cause(at, Event::Frame(frame));
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        let Some((from, to)) = self.talks.way_to(frame.talk, frame.side) else {
            return;
        };
        if self.is_cut(from, to) {
            return self.break_off(frame.talk);
        }
        self.set_clock(to);
        let Some(replica) = &self.nodes[to as usize].replica else {
            return;
        };
        match self.talks.receive(frame, replica) {
            Ok(()) => self.speak(frame.talk, frame.side),
            Err(_) => self.break_off(frame.talk),
        }
    }

    /// What was joined stays; the next session goes on from there.
    pub(super) fn break_off(&mut self, talk: u64) {
        if let Some([node, peer]) = self.talks.end(talk) {
            self.broken += 1;
            self.ended(node, peer, Outcome::Failed);
        }
    }

    /// A node has seen these dots in a session.
    pub(super) fn learn(&mut self, node: u32, context: Context) {
        let known = self.nodes[node as usize].gossip.known();
        if known.covers(&context) {
            return;
        }
        if self.nodes[node as usize].survives {
            let is_news = |id: &RumourId| {
                let dot = Dot::new(id.replica(), id.last());
                context.contains(&dot) && !known.contains(&dot)
            };
            let news = self.numbers.iter().filter(|(id, _)| is_news(id));
            for number in news.map(|(_, number)| *number).collect::<Vec<_>>() {
                self.arrived(number);
            }
        }
        self.input(node, Input::Learned(context));
    }

    /// Whether all who are there to the end hold the same, by their roots.
    pub(super) fn check(&mut self) {
        let survivors = self.nodes.iter().filter(|node| node.survives);
        let roots = survivors
            .filter_map(|it| it.replica.as_ref())
            .map(Replica::root);
        let roots = roots.collect::<Result<Vec<_>, _>>();
        let Some(roots) = self.sound(roots) else {
            return;
        };
        if roots.windows(2).all(|pair| pair[0] == pair[1]) {
            self.agreed = Some(self.now);
        } else {
            self.cause(self.now + CHECK_EVERY, Event::Check);
        }
    }
}
