//! Nodes that have their own view of who is a member, and tell their other machines of it, as in a node that runs.

use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use syncline_gossip::budget::Class;
use syncline_gossip::carriers::{Carriers, Told};
use syncline_gossip::convergence::Convergence;
use syncline_gossip::membership::{self, Card, Config, Identity, Membership, Output};
use syncline_gossip::schedule::{self, Pace, Schedule};
use syncline_gossip::{Input, convergence};

use super::Cluster;
use super::events::Event;
use super::postage::{Letter, Posted};
use crate::scenario::{self, SEEDS};
use crate::stores::NAMESPACE;

/// The port of a node until it moves.
pub(super) const DOOR: u16 = 7400;

/// The machines of a node with a view of its own.
pub(super) struct Own {
    pub(super) membership: Membership<u32>,
    pub(super) carriers: Carriers<u32>,
    pub(super) schedule: Schedule<u32>,
    pub(super) agreement: Convergence<u32>,
    /// The commit by which its store was measured last.
    pub(super) measured: Option<u64>,
    /// How often the membership and the schedule have asked to be woken: only the last counts.
    member_wakes: u64,
    pub(super) schedule_wakes: u64,
}

/// What is due in a node.
pub(super) enum Due {
    Membership(u64),
    Schedule(u64),
    Agreement(convergence::Timer),
    /// Its store is to be looked at.
    Round,
    /// It has come out how a session went.
    Ended {
        with: u32,
        outcome: schedule::Outcome,
    },
}

fn address(node: u32, door: u16) -> SocketAddr {
    let [_, b, c, d] = node.to_be_bytes();
    ([10, b, c, d], door).into()
}

impl Cluster<'_> {
    /// Who joins in mid-run is not there before.
    pub(super) fn keep_newcomers_away(&mut self) {
        let scenario = self.scenario;
        for join in &scenario.joins {
            let can_wait = |node: &u32| {
                let it = &self.nodes[*node as usize];
                it.survives && it.is_alive
            };
            let mut nodes: Vec<u32> = (SEEDS..scenario.nodes).filter(can_wait).collect();
            let count = scenario.part(join.share) as usize;
            let nodes = nodes.partial_shuffle(&mut self.random, count).0.to_vec();
            for node in &nodes {
                self.nodes[*node as usize].is_alive = false;
            }
            self.cause(scenario.begins() + join.at, Event::Return { nodes });
        }
    }

    /// All start within a second.
    pub(super) fn start_all(&mut self) {
        for node in 0..self.scenario.nodes {
            let at = Duration::from_secs(1).mul_f64(self.random.random_range(0.0..1.0));
            self.cause(at, Event::Start { node });
        }
    }

    /// A node starts, in a generation higher than any before, which its disk keeps.
    pub(super) fn start(&mut self, number: u32) {
        let scenario = self.scenario;
        let node = &mut self.nodes[number as usize];
        if !node.is_alive {
            return;
        }
        node.generation += 1;
        let card = Card {
            namespaces: [NAMESPACE.to_owned()].into(),
            ..Card::default()
        };
        let carriers = Carriers::new(&card);
        let me = Identity::new(number, node.generation, address(number, node.door));
        let membership = Membership::new(me, card, Config::new(), &mut node.random);
        let every = scenario.stores.map_or(Duration::MAX, |it| it.sync_every);
        let agreement = Convergence::new(number, node.generation, convergence::Config::default());
        let Some(membership) = self.sound(membership) else {
            return;
        };
        self.nodes[number as usize].own = Some(Box::new(Own {
            membership,
            carriers,
            schedule: Schedule::new(Pace::every(every)),
            agreement,
            measured: None,
            member_wakes: 0,
            schedule_wakes: 0,
        }));
        if scenario.stores.is_some() {
            self.later(number, Duration::ZERO, Due::Round);
        }
        for seed in (0..SEEDS.min(scenario.nodes)).filter(|seed| *seed != number) {
            let at = address(seed, self.nodes[seed as usize].door);
            self.member(number, membership::Input::Join(seed, at));
        }
    }

    /// Something will be due in this life of a node, by its own clock.
    pub(super) fn later(&mut self, node: u32, after: Duration, due: Due) {
        let it = &self.nodes[node as usize];
        let (life, after) = (it.life, after.mul_f64(it.pace));
        self.cause(self.now + after, Event::Due { node, life, due });
    }

    pub(super) fn due(&mut self, node: u32, due: Due) {
        let Some(own) = &self.nodes[node as usize].own else {
            return;
        };
        match due {
            Due::Membership(number) if number == own.member_wakes => {
                self.member(node, membership::Input::Timer);
            }
            Due::Schedule(number) if number == own.schedule_wakes => {
                self.arrange(node, schedule::Input::Timer);
            }
            Due::Membership(_) | Due::Schedule(_) => {}
            Due::Agreement(timer) => self.agree(node, convergence::Input::Timer(timer)),
            Due::Round => self.round(node),
            Due::Ended { with, outcome } => {
                self.arrange(node, schedule::Input::Ended { with, outcome });
            }
        }
    }

    /// The time as a node's own clock counts it.
    pub(super) fn time_of(&self, node: u32) -> Duration {
        match self.nodes[node as usize].pace {
            1.0 => self.now,
            pace => self.now.div_f64(pace),
        }
    }

    pub(super) fn member(&mut self, number: u32, input: membership::Input<u32>) {
        let now = self.time_of(number);
        let node = &mut self.nodes[number as usize];
        let Some(own) = &mut node.own else {
            return;
        };
        for output in own.membership.handle(input, now, &mut node.random) {
            match output {
                Output::Send { to, address, bytes } => {
                    let posted = Posted {
                        class: Class::Membership,
                        kind: "membership",
                        bytes: bytes.len() as u64,
                        door: address.port(),
                        letter: Letter::Members(bytes),
                    };
                    self.post(number, to, posted);
                }
                Output::Wake { after } => {
                    let Some(own) = &mut self.nodes[number as usize].own else {
                        return;
                    };
                    own.member_wakes += 1;
                    let due = Due::Membership(own.member_wakes);
                    self.later(number, after, due);
                }
                Output::Event(event) => {
                    self.note(&[u64::from(number)]);
                    let own = self.nodes[number as usize].own.as_mut();
                    let told = own.map(|own| own.carriers.moved(&event));
                    self.tell(number, told.unwrap_or_default());
                    if let membership::Event::Down(gone) | membership::Event::Left(gone) = event {
                        self.drop_waiting(number, gone);
                    }
                }
                Output::Persist(generation) => {
                    self.nodes[number as usize].generation = generation;
                }
                Output::Refused { .. } => self.refused += 1,
            }
        }
    }

    fn tell(&mut self, node: u32, told: Vec<Told<u32>>) {
        for told in told {
            match told {
                // Connections are not simulated.
                Told::Renewed(_) => {}
                Told::Schedule(input) => self.arrange(node, input),
                Told::Convergence(input) => self.agree(node, input),
                Told::Up { node: peer, .. } => self.input(node, Input::Up(peer)),
                Told::Down { node: peer, .. } => self.input(node, Input::Down(peer)),
            }
        }
    }

    /// A node knows how long it takes to a peer and back.
    pub(super) fn measured(&mut self, node: u32, peer: u32, rtt: Duration) {
        if let Some(own) = &mut self.nodes[node as usize].own {
            own.carriers.measured(peer, rtt);
        }
        self.input(node, Input::Rtt { peer, rtt });
    }

    /// Where a node takes another to be reached, if it knows it.
    pub(super) fn door(&self, node: u32, peer: u32) -> Option<u16> {
        match self.scenario.membership {
            scenario::Membership::Shared => Some(self.nodes[peer as usize].door),
            scenario::Membership::Own => {
                let own = self.nodes[node as usize].own.as_ref()?;
                own.membership.member(peer).map(|it| it.address.port())
            }
        }
    }
}
