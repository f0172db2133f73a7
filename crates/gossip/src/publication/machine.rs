//! A node's part in the publications of one namespace.

use alloc::vec::Vec;
use core::fmt::Debug;

use rand::Rng;
use syncline_crdt::{Context, ReplicaId};

use super::order::{FORGOTTEN, Order};
use crate::config::{Config, Strategy};
use crate::dissemination::{Dissemination, Input, Output, Timer};
use crate::rumour::Rumour;
use crate::stats::Stats;

/// Publishers, and gaps in what they have said, that are remembered.
const KNOWN: usize = 4096;
/// After so many periods of silence we go by another name: before anybody has forgotten the one that we had, and takes us for somebody who
/// has spoken for long.
const RENAMED: u64 = FORGOTTEN / 2;

/// One node's part in the publications of one namespace: a [`Dissemination`] of its own, behind which they are put into the order of each publisher.
///
/// It takes [`Input`]s and says [`Output`]s as that does; [`Output::Deliver`] hands over each publication of others at most once, and those of one
/// publisher in their order. One that overtook another waits for it for 2 to 3 [periods](Config::period). Nothing is
/// pulled and no session is asked for: who missed one has missed it.
///
/// Memory is bounded whatever peers send: 4 MiB of recent publications for those who lack one, 2 MiB of those that wait for their turn, 4,096 publishers and gaps.
/// Publishers who have been silent for ten minutes are forgotten.
#[derive(Debug)]
pub struct Publications<N> {
    gossip: Dissemination<N>,
    order: Order,
    /// By which we go, and what we have said by it, and when last.
    name: Option<ReplicaId>,
    last: u64,
    spoke: u64,
}

impl<N: Copy + Ord + Debug> Publications<N> {
    /// The part of the member `me`, who knows nobody yet.
    #[must_use]
    pub fn new(me: N) -> Self {
        let mut config = Config::new(Strategy::Plumtree);
        config.pulls = false;
        config.max_known = KNOWN;
        Self {
            gossip: Dissemination::new(me, config),
            order: Order::default(),
            name: None,
            last: 0,
            spoke: 0,
        }
    }

    /// What has been seen and refused since the beginning.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.gossip.stats()
    }

    /// How many publications others had that were waited for, and that did not come in time.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.order.lost()
    }

    /// Publishes a payload; what is to be done for it. `random` should differ from node to node: by it the publisher is named.
    pub fn publish(&mut self, payload: Vec<u8>, random: &mut impl Rng) -> Vec<Output<N>> {
        let is_stale = self.order.now() - self.spoke >= RENAMED;
        let name = match self.name {
            Some(name) if !is_stale => name,
            _ => {
                self.last = 0;
                ReplicaId::from_bytes(random.random())
            }
        };
        (self.name, self.spoke) = (Some(name), self.order.now());
        self.last += 1;
        match Rumour::new(name, self.last, self.last, payload) {
            Some(rumour) => {
                self.order.said(&rumour);
                self.gossip.handle(Input::Publish(rumour), random)
            }
            None => Vec::new(),
        }
    }

    /// Takes an input in and says what is to be done, in order.
    pub fn handle(&mut self, input: Input<N>, random: &mut impl Rng) -> Vec<Output<N>> {
        let is_period = matches!(input, Input::Timer(Timer::Period));
        let mut outputs = Vec::new();
        let mut told = Vec::new();
        for output in self.gossip.handle(input, random) {
            match output {
                Output::Deliver(rumour) => self.order.came(rumour, &mut told),
                Output::Lagging(_) => {}
                output => outputs.push(output),
            }
        }
        if is_period && let Some(silent) = self.order.period(&mut told) {
            outputs.extend(self.gossip.handle(Input::Forget(silent), random));
        }
        // Each gap would be remembered for as long as its publisher speaks.
        if let Some(given_up) = self.order.take_given_up() {
            outputs.extend(self.gossip.handle(Input::Learned(given_up), random));
        }
        outputs.extend(told.into_iter().map(Output::Deliver));
        outputs
    }

    /// Everything heard of by now, and not forgotten.
    #[must_use]
    pub const fn known(&self) -> &Context {
        self.gossip.known()
    }
}
