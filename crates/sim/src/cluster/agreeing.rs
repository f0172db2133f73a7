//! When nodes with a view of their own sync, and what they tell each other of where they stand.

use std::sync::Arc;
use std::time::Duration;

use syncline_gossip::budget::Class;
use syncline_gossip::convergence::{Input, Output, Standing};
use syncline_gossip::schedule::{self, Outcome};
use syncline_store::StoreError;

use super::Cluster;
use super::members::Due;
use super::postage::{Letter, Posted};
use crate::stores::{NAMESPACE, Replica};

/// How often a node looks where its store stands.
const ROUND: Duration = Duration::from_secs(1);
/// After how long a node knows that it cannot connect to a peer.
const CONNECT: Duration = Duration::from_secs(10);
/// After how long it knows that the peer of a session has gone.
const SILENCE: Duration = Duration::from_secs(20);

impl Cluster<'_> {
    /// Tells a node's schedule of sessions something, and does what it says.
    pub(super) fn arrange(&mut self, number: u32, input: schedule::Input<u32>) {
        let now = self.time_of(number);
        let node = &mut self.nodes[number as usize];
        let Some(own) = node.own.as_mut().filter(|_| node.replica.is_some()) else {
            return;
        };
        let selection = own.carriers.selection();
        let outputs = own.schedule.handle(input, now, selection, &mut node.random);
        for output in outputs {
            match output {
                schedule::Output::Begin(peer) => {
                    let is_there = self.door(number, peer) == Some(self.nodes[peer as usize].door);
                    if !is_there || !self.talk(number, peer) {
                        self.fail_after(CONNECT, number, peer);
                    }
                }
                schedule::Output::Wake { after } => {
                    let Some(own) = &mut self.nodes[number as usize].own else {
                        return;
                    };
                    own.schedule_wakes += 1;
                    let due = Due::Schedule(own.schedule_wakes);
                    self.later(number, after, due);
                }
            }
        }
    }

    /// A session that a node has begun is over.
    pub(super) fn ended(&mut self, node: u32, with: u32, outcome: Outcome) {
        self.later(node, Duration::ZERO, Due::Ended { with, outcome });
    }

    /// One of the two in a session, which the first had begun, has gone without a word.
    pub(super) fn fall_silent(&mut self, node: u32, with: u32) {
        self.fail_after(SILENCE, node, with);
    }

    fn fail_after(&mut self, after: Duration, node: u32, with: u32) {
        let outcome = Outcome::Failed;
        self.later(node, after, Due::Ended { with, outcome });
    }

    /// Tells a node's convergence machine something, and does what it says.
    pub(super) fn agree(&mut self, number: u32, input: Input<u32>) {
        let now = self.time_of(number);
        let node = &mut self.nodes[number as usize];
        let Some(own) = node.own.as_mut().filter(|_| node.replica.is_some()) else {
            return;
        };
        for output in own.agreement.handle(input, now, &mut node.random) {
            match output {
                Output::Send { to, message } => {
                    if let Some(door) = self.door(number, to) {
                        let posted = Posted {
                            class: Class::Pull,
                            kind: "standings",
                            bytes: message.to_bytes().len() as u64,
                            door,
                            letter: Letter::Standings(message),
                        };
                        self.post(number, to, posted);
                    }
                }
                Output::Wake { timer, after } => self.later(number, after, Due::Agreement(timer)),
                Output::Overdue { peer, .. } => {
                    self.arrange(number, schedule::Input::Disagrees(peer));
                }
                // Nobody asks who has a write.
                Output::Agrees { .. }
                | Output::Disagrees { .. }
                | Output::Held(_)
                | Output::Look { .. } => {}
            }
        }
    }

    /// Looks where a node's store stands, and says so if that is news.
    pub(super) fn round(&mut self, number: u32) {
        self.later(number, ROUND, Due::Round);
        let node = &self.nodes[number as usize];
        let (Some(replica), Some(own)) = (&node.replica, &node.own) else {
            return;
        };
        let standing = standing(replica, own.measured);
        let branches = node.gossip.branches().collect();
        if let Some(Some((commit, standing))) = self.sound(standing) {
            if let Some(own) = &mut self.nodes[number as usize].own {
                own.measured = Some(commit);
            }
            self.agree(number, Input::Standing(standing));
        }
        let branches = Input::Branches {
            namespace: NAMESPACE.into(),
            peers: branches,
        };
        self.agree(number, branches);
    }
}

/// Where a store stands; nothing if that is by the same commit as before.
fn standing(replica: &Replica, last: Option<u64>) -> Result<Option<(u64, Standing)>, StoreError> {
    let view = replica.store.view()?;
    if last == Some(view.commit()) {
        return Ok(None);
    }
    let standing = Standing {
        namespace: Arc::from(NAMESPACE),
        carrier: replica.store.carrier(),
        root: view.root()?.to_bytes(),
        durable: view.shared_context(),
    };
    Ok(Some((view.commit(), standing)))
}
