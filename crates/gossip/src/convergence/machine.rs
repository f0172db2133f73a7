//! The machine: what it is told, what it answers.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use rand::Rng;
use syncline_crdt::{Canonical, CarrierId, Context};

use super::Config;
use super::asking::Asking;
use super::comparing::Comparing;
use super::known::Core;
use super::message::{Message, Said};
use super::report::{PeerReport, WhoHas};
use super::standing::{Standing, Write};

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input<N> {
    /// Where we stand in a namespace that we carry, from now on. To be given whenever it has changed, at most once a second or so, and only
    /// when it is durable.
    Standing(Standing),
    /// We carry the namespace no longer.
    Dropped(Arc<str>),
    /// A member is there, and carries these namespaces and no others.
    Up {
        /// Who.
        node: N,
        /// What it carries, of whatever namespaces there are.
        namespaces: Vec<Arc<str>>,
    },
    /// A member has failed. What it said last stays.
    Down(N),
    /// A member has left for good.
    Forget(N),
    /// The branches of the broadcast tree here.
    Branches {
        /// Whose tree.
        namespace: Arc<str>,
        /// The peers at the other ends.
        peers: Vec<N>,
    },
    /// A message has come.
    Received {
        /// Who sent it, as the transport knows it.
        from: N,
        /// What it says.
        message: Message<N>,
    },
    /// A timer has run out. It must come no earlier than asked for, and once.
    Timer(Timer),
    /// Ask the other carriers whether they have a write durably, until [`Withdraw`](Self::Withdraw).
    Ask {
        /// What the caller calls this, one at a time.
        wait: u64,
        /// Where it was written.
        namespace: Arc<str>,
        /// What was written.
        write: Write,
        /// How many are needed: so many are asked first, and one more; later all.
        wanted: usize,
    },
    /// Nobody waits for it any more.
    Withdraw(u64),
    /// The answer to [`Output::Look`].
    Looked {
        /// Who asked.
        from: N,
        /// By this number.
        ask: u64,
        /// The name of our store.
        carrier: CarrierId,
        /// What was found.
        found: Found,
    },
}

/// What came of looking for a write in our store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, durably.
    Here,
    /// It is not there. It is looked for further.
    NotYet,
    /// It is not there, and not looked for any more.
    GivenUp,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<N> {
    /// Send a message. It may get lost.
    Send {
        /// To whom.
        to: N,
        /// What.
        message: Message<N>,
    },
    /// Give back [`Input::Timer`] after this time.
    Wake {
        /// Which.
        timer: Timer,
        /// In how long.
        after: Duration,
    },
    /// The peer has come to hold the same as we do, as far as it has said.
    Agrees {
        /// Where.
        namespace: Arc<str>,
        /// Who.
        peer: N,
    },
    /// The peer has come to hold something else. Under writes this is so most of the time, since standings are of different moments.
    Disagrees {
        /// Where.
        namespace: Arc<str>,
        /// Who.
        peer: N,
    },
    /// The peer has held something else for longer than rumours are on their way: a session is called for. It is told again as long as that lasts;
    /// of many peers, each time of some whom chance has chosen.
    Overdue {
        /// Where.
        namespace: Arc<str>,
        /// Who.
        peer: N,
    },
    /// [`Convergence::holders`] of a write are others now.
    Held(u64),
    /// See whether our store has this durably, and answer with [`Input::Looked`], as soon as it has, or given up.
    Look {
        /// Who asks.
        from: N,
        /// By this number.
        ask: u64,
        /// Where it was written.
        namespace: Arc<str>,
        /// What was written.
        write: Write,
    },
}

/// A timer that a machine has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Our next standings are due.
    Say,
    /// What was heard is passed on.
    PassOn,
    /// A carrier is asked whether it has heard the same. Runs from the first input on, for good.
    Compare,
    /// Carriers that did not answer are asked again.
    Ask,
    /// Disagreements that last are looked for. Runs from the first input on, for good.
    Doubt,
}

/// One node's part in telling who has what. See the [module](super) for how it goes.
///
/// `N` names the members; the transport knows who is who. Memory is bounded by the number of members and namespaces that it is told of, by
/// [`max_intervals`](Config::max_intervals), and by what it is asked to wait for, whatever peers send.
#[derive(Debug)]
pub struct Convergence<N> {
    pub(super) core: Core<N>,
    pub(super) asking: Asking<N>,
    pub(super) comparing: Comparing,
}

impl<N: Copy + Ord + Debug + Canonical> Convergence<N> {
    /// The part of the member `me`, who carries nothing and knows nobody yet.
    ///
    /// `generation` has to be greater than those of its earlier processes: the time of its start, say. Where it is not, others do
    /// not listen until one of them has told.
    #[must_use]
    pub fn new(me: N, generation: u64, config: Config) -> Self {
        Self {
            asking: Asking::new(),
            comparing: Comparing::new(),
            core: Core::new(me, generation, config),
        }
    }

    /// How the other carriers of a namespace stand to us, in their order; nobody if we do not carry it. O(n) in what they lack and we lack.
    #[must_use]
    pub fn peers(&self, namespace: &str, now: Duration) -> Vec<PeerReport<N>> {
        let table = self.core.tables.get(namespace);
        table.map(|table| table.report(now)).unwrap_or_default()
    }

    /// The other members that carry a namespace, those included that have failed, and what the store of each is called if it has said so.
    pub fn carriers(&self, namespace: &str) -> impl Iterator<Item = (N, Option<CarrierId>)> + '_ {
        let peers = self.core.tables.get(namespace).into_iter();
        let peers = peers.flat_map(|table| &table.peers);
        peers.map(|(node, peer)| (*node, peer.heard.as_ref().map(|heard| heard.word.carrier)))
    }

    /// Who of the other carriers has seen these dots, as far as they have said.
    #[must_use]
    pub fn who_has(&self, namespace: &str, dots: &Context) -> WhoHas<N> {
        let table = self.core.tables.get(namespace);
        table.map(|table| table.who_has(dots)).unwrap_or_default()
    }

    /// Who has answered to have the write that is [asked](Input::Ask) for, and is there: members, and what their stores are called.
    pub fn holders(&self, wait: u64) -> impl Iterator<Item = (N, CarrierId)> + '_ {
        self.asking.answers(wait, true)
    }

    /// Who has answered not to have it yet.
    pub fn lacking(&self, wait: u64) -> impl Iterator<Item = (N, CarrierId)> + '_ {
        self.asking.answers(wait, false)
    }

    /// How long after one standing of ours the next is said, at least: the more carriers, the longer.
    #[must_use]
    pub fn pace(&self) -> Duration {
        self.core.pace()
    }

    /// Takes an input in and says what is to be done, in order.
    ///
    /// `now` never goes back. `random` should differ from node to node. O(log n) for n members and each standing in a message, and linear in
    /// what is different in contexts; O(n) when we have moved.
    pub fn handle(
        &mut self,
        input: Input<N>,
        now: Duration,
        random: &mut impl Rng,
    ) -> Vec<Output<N>> {
        let core = &mut self.core;
        match input {
            Input::Standing(standing) => core.stand(&standing, now),
            Input::Dropped(namespace) => {
                core.tables.remove(&namespace);
            }
            Input::Up { node, namespaces } => {
                core.up(node, namespaces);
                self.asking.up(node, core);
            }
            Input::Down(node) => {
                core.down(node);
                self.asking.down(node, core);
            }
            Input::Forget(node) => {
                core.down(node);
                self.asking.down(node, core);
                core.members.remove(&node);
                core.tables
                    .values_mut()
                    .for_each(|table| table.remove(node));
            }
            Input::Branches { namespace, peers } => {
                if let Some(table) = core.tables.get_mut(&namespace) {
                    table.branches = peers;
                }
            }
            Input::Received { from, message } => self.receive(from, message, now, random),
            Input::Timer(timer) => {
                core.running.remove(&timer);
                match timer {
                    Timer::Say => core.say_due(now),
                    Timer::PassOn => core.pass_on(random),
                    Timer::Compare => self.comparing.compare(core, random),
                    Timer::Ask => self.asking.again(core, random),
                    Timer::Doubt => core.doubt(now, random),
                }
            }
            Input::Ask {
                wait,
                namespace,
                write,
                wanted,
            } => self
                .asking
                .ask(wait, namespace, write, wanted, core, random),
            Input::Withdraw(wait) => self.asking.withdraw(wait),
            Input::Looked {
                from,
                ask,
                carrier,
                found,
            } => self.asking.looked(from, ask, carrier, found, core),
        }
        self.comparing.begin(&mut self.core, random);
        self.core.doubt_later();
        core::mem::take(&mut self.core.outputs)
    }

    fn receive(&mut self, from: N, message: Message<N>, now: Duration, random: &mut impl Rng) {
        let core = &mut self.core;
        // Whoever is not known to be there will be, or is none of us.
        if !core.members.get(&from).is_some_and(|member| member.is_up) {
            return;
        }
        match message.0 {
            Said::Standings {
                namespace,
                base,
                told,
            } => {
                let is_read = core.hear(from, &namespace, base, told, now);
                if !is_read {
                    self.comparing.explain(core, &namespace, from, now);
                }
            }
            Said::Compare(namespaces) => {
                self.comparing.compared(core, from, namespaces, now, random);
            }
            Said::Versions(versions) => self.comparing.answer(core, from, versions, now),
            Said::Want { namespace, owners } => {
                self.comparing.give(core, from, &namespace, owners, now);
            }
            Said::Ask {
                ask,
                namespace,
                write,
            } => self.asking.asked(from, ask, &namespace, write, core),
            Said::Answer { ask, carrier, has } => {
                self.asking.answered(from, ask, carrier, has, core);
            }
        }
    }
}
