//! The machine: what it is told, what it answers.

mod allowance;
mod asking;
mod links;
mod outbox;
mod pulling;
mod pushing;
mod tree;

use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use rand::Rng;
use syncline_crdt::{Context, Dot};

use crate::config::{Config, Strategy};
use crate::members::Members;
use crate::message::{MAX_IDS, Message, Notice, Pushed};
use crate::recent::Recent;
use crate::rumour::{Rumour, RumourId};
use crate::stats::Stats;
use allowance::Allowances;
use asking::Asking;
use outbox::Outbox;

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input<N> {
    /// It has committed a transaction, and this is to be spread.
    Publish(Rumour),
    /// It has seen these dots by other ways, in sessions: rumours of them are no news any more.
    Learned(Context),
    /// What was heard of these dots is of no interest any more. Rumours of them would be news again.
    Forget(Context),
    /// A message has come.
    Received {
        /// Who sent it, as the transport knows it.
        from: N,
        /// What it says.
        message: Message,
    },
    /// A timer has run out. It must come no earlier than asked for, and once.
    Timer(Timer),
    /// A member is there to be talked to.
    Up(N),
    /// A member has left, or failed.
    Down(N),
    /// How long it takes to a member and back, as measured just now. Whoever talks to members knows of many; any will do.
    Rtt {
        /// Which member.
        peer: N,
        /// There and back.
        rtt: Duration,
    },
    /// These members, and no others, are there. The node itself may be among them.
    View(Members<N>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<N> {
    /// Send a message. It may get lost.
    Send {
        /// To whom.
        to: N,
        /// What.
        message: Message,
    },
    /// Apply the rumour: it was not known.
    Deliver(Rumour),
    /// Give back [`Input::Timer`] after this time.
    Wake {
        /// Which.
        timer: Timer,
        /// In how long.
        after: Duration,
    },
    /// The peer has what no rumour brings any more: a session with it is due.
    Lagging(N),
}

/// A timer that a machine has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A period is over. Runs from the first input on, for good.
    Period,
    /// Announcements have been gathered for long enough.
    Announce,
    /// What was announced has had its time to come.
    Ask,
    /// Rumours have been gathered for long enough.
    Gather,
}

/// One node's part in spreading the rumours of one namespace. See the [crate](crate) for how it goes.
///
/// `N` names the members; the transport knows who is who. Memory is bounded by the number of members, by
/// [`recent_bytes`](Config::recent_bytes), [`max_known`](Config::max_known) and [`max_missing`](Config::max_missing), whatever peers
/// send; what is refused for that is [counted](Self::stats).
#[derive(Debug)]
pub struct Dissemination<N> {
    core: Core<N>,
    way: Way<N>,
    pulls: pulling::Pulls<N>,
    asking: Asking<N>,
    /// Whether the period's timer runs.
    is_awake: bool,
}

/// How rumours are passed on.
#[derive(Debug)]
enum Way<N> {
    Push(pushing::Push),
    Tree(tree::Tree<N>),
    /// They are waited for.
    None,
}

/// What all strategies work on.
#[derive(Debug)]
struct Core<N> {
    me: N,
    config: Config,
    members: Members<N>,
    /// Rumours heard of, and whatever was seen otherwise.
    known: Context,
    recent: Recent<N>,
    outbox: Outbox<N>,
    allowances: Allowances<N>,
    stats: Stats,
    outputs: Vec<Output<N>>,
}

/// More dots than a transaction makes. A rumour that claims more would make us deaf for what its replica says later.
const MAX_DOTS: u64 = 1 << 20;

impl<N: Copy + Ord + Debug> Dissemination<N> {
    /// The part of the member `me`, who knows nobody and nothing yet.
    #[must_use]
    pub fn new(me: N, config: Config) -> Self {
        let way = match config.strategy {
            Strategy::Push { fanout } | Strategy::PushPull { fanout } => {
                Way::Push(pushing::Push::once(fanout))
            }
            Strategy::PushWithFeedback { fanout, tired } => {
                Way::Push(pushing::Push::until_tired(fanout, tired))
            }
            Strategy::Adaptive => Way::Push(pushing::Push::adaptive()),
            Strategy::Pull => Way::None,
            Strategy::Plumtree => Way::Tree(tree::Tree::new()),
        };
        Self {
            core: Core {
                me,
                members: Members::new(),
                known: Context::new(),
                recent: Recent::new(config.recent_bytes),
                outbox: Outbox::new(),
                allowances: Allowances::new(),
                stats: Stats::default(),
                outputs: Vec::new(),
                config,
            },
            way,
            pulls: pulling::Pulls::new(),
            asking: Asking::new(),
            is_awake: false,
        }
    }

    /// Everything heard of by now.
    #[must_use]
    pub const fn known(&self) -> &Context {
        &self.core.known
    }

    /// What has been seen and refused since the beginning.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.core.stats
    }

    /// The peers to which rumours are pushed as they come: the branches of the tree here. None where there is no tree.
    pub fn branches(&self) -> impl Iterator<Item = N> + '_ {
        let tree = match &self.way {
            Way::Tree(tree) => Some(tree),
            Way::Push(_) | Way::None => None,
        };
        tree.into_iter().flat_map(tree::Tree::branches)
    }

    /// The peers that may become branches, and those that are. None where there is no tree.
    pub fn neighbours(&self) -> impl Iterator<Item = N> + '_ {
        let tree = match &self.way {
            Way::Tree(tree) => Some(tree),
            Way::Push(_) | Way::None => None,
        };
        tree.into_iter().flat_map(tree::Tree::neighbours)
    }

    /// Takes an input in and says what is to be done, in order.
    ///
    /// `random` should differ from node to node. O(log n) for n members, and for each message sent.
    pub fn handle(&mut self, input: Input<N>, random: &mut impl Rng) -> Vec<Output<N>> {
        if !self.is_awake {
            self.is_awake = true;
            // Nodes that start together should not all speak together for ever.
            let period = self.core.config.period;
            let after = period.mul_f64(random.random_range(0.0..1.0));
            self.core.wake(Timer::Period, after);
        }
        match input {
            Input::Publish(rumour) => {
                self.core.stats.published += 1;
                self.hear(rumour, 0, None, random);
            }
            Input::Learned(context) => self.core.known.merge(&context),
            Input::Forget(context) => self.core.known = self.core.known.difference(&context),
            Input::Received { from, message } => self.receive(from, message, random),
            Input::Timer(Timer::Period) => self.period(random),
            Input::Timer(Timer::Announce) => {
                if let Way::Tree(tree) = &mut self.way {
                    tree.announce(&mut self.core);
                }
            }
            Input::Timer(Timer::Ask) => self.ask(),
            Input::Timer(Timer::Gather) => self.core.flush(),
            Input::Up(node) => {
                if node != self.core.me && self.core.members.insert(node) {
                    self.moved(random);
                }
            }
            Input::Down(node) => {
                self.core.members.remove(node);
                self.moved(random);
            }
            Input::Rtt { peer, rtt } => {
                if let Way::Tree(tree) = &mut self.way {
                    tree.measured(peer, rtt, &self.core);
                }
            }
            Input::View(members) => {
                self.core.members = members;
                self.moved(random);
            }
        }
        if let Some(batches) = self.core.outbox.handled() {
            self.core.wake(Timer::Gather, self.core.config.gather);
            for (to, batch) in batches {
                self.core.send_batch(to, batch);
            }
        }
        core::mem::take(&mut self.core.outputs)
    }

    /// The members are others than they were.
    fn moved(&mut self, random: &mut impl Rng) {
        self.pulls.moved(&self.core);
        if let Way::Tree(tree) = &mut self.way {
            tree.moved(&mut self.core, random);
        }
    }

    fn period(&mut self, random: &mut impl Rng) {
        self.core.wake(Timer::Period, self.core.config.period);
        self.core.allowances.period();
        match &mut self.way {
            Way::Push(push) => push.period(&mut self.core, random),
            Way::Tree(tree) => tree.period(&mut self.core, random),
            Way::None => {}
        }
        if self.core.config.pulls {
            self.pulls.period(&mut self.core, random);
        }
    }

    fn receive(&mut self, from: N, message: Message, random: &mut impl Rng) {
        match message {
            Message::Push { pushed, asked } => self.pushed(from, pushed, asked, random),
            Message::Batch(batch) => {
                for pushed in batch {
                    self.pushed(from, pushed, false, random);
                }
            }
            Message::Announce(notices) => {
                for Notice { id, hops } in notices {
                    if !id.is_known(&self.core.known) {
                        self.asking.announced(from, id, false, &mut self.core);
                    } else if let Way::Tree(tree) = &mut self.way {
                        tree.turn(from, id, hops, &mut self.core);
                    }
                }
            }
            Message::Offer(notices) => self.offered(from, &notices),
            Message::Want(ids) => {
                for id in ids {
                    self.core.answer(from, id);
                }
            }
            Message::Known(id) => {
                if let Way::Push(push) = &mut self.way {
                    push.is_known(id);
                }
            }
            Message::Graft(_) | Message::Prune | Message::Link { .. } | Message::Unlink => {
                if let Way::Tree(tree) = &mut self.way {
                    tree.receive(from, message, &mut self.core);
                }
            }
            Message::Compare(_) | Message::Same | Message::Pull { .. }
                if !self.core.config.pulls => {}
            Message::Compare(_) | Message::Same | Message::Pull { .. } => {
                let way = &self.way;
                let is_under_way = |id| match way {
                    Way::Tree(tree) => tree.is_under_way(id),
                    Way::Push(_) | Way::None => false,
                };
                self.pulls
                    .receive(from, message, &mut self.core, is_under_way);
            }
        }
    }

    fn pushed(&mut self, from: N, pushed: Pushed, asked: bool, random: &mut impl Rng) {
        self.pulls.heard_from(from);
        let Pushed { rumour, hops } = pushed;
        let id = rumour.id();
        if !id.is_known(&self.core.known) {
            if self.core.is_acceptable(id) {
                self.core.stats.delivered += 1;
                self.core.stats.delivered_late += u64::from(asked);
                self.hear(rumour, hops, Some((from, asked)), random);
            } else {
                self.core.stats.rumours_refused += 1;
            }
            return;
        }
        self.core.stats.repeated += 1;
        match &mut self.way {
            Way::Push(push) => {
                push.heard_twice();
                if push.has_feedback() {
                    self.core.send(from, Message::Known(id));
                }
            }
            Way::Tree(tree) if !asked => tree.heard_twice(from, id, hops, &mut self.core),
            _ => {}
        }
    }

    /// A rumour that was not known, from a peer, who was asked for it or not, or of our own.
    fn hear(&mut self, rumour: Rumour, hops: u16, from: Option<(N, bool)>, random: &mut impl Rng) {
        let id = rumour.id();
        id.add_to(&mut self.core.known);
        self.core.recent.insert(&rumour, hops);
        self.asking.came(id);
        if from.is_some() {
            self.core.outputs.push(Output::Deliver(rumour.clone()));
        }
        match &mut self.way {
            Way::Push(push) => {
                // What is offered comes only when asked for, however soon.
                let is_offered = rumour.payload().len() > self.core.config.offer_above;
                let was_late = from.is_some_and(|(_, asked)| asked && !is_offered);
                push.spread(&rumour, hops, was_late, &mut self.core, random);
            }
            Way::Tree(tree) => {
                let from = from.map(|(from, _)| from);
                tree.spread(&rumour, hops, from, &mut self.core);
            }
            Way::None => {}
        }
    }

    /// Rumours that will not come by themselves: whoever offers one first is asked for it.
    fn offered(&mut self, from: N, notices: &[Notice]) {
        let mut wanted = Vec::new();
        for Notice { id, hops } in notices.iter().copied() {
            if !id.is_known(&self.core.known) {
                if self.asking.announced(from, id, true, &mut self.core) {
                    wanted.push(id);
                }
            } else if let Way::Tree(tree) = &mut self.way {
                tree.heard_twice(from, id, hops, &mut self.core);
            }
        }
        if !wanted.is_empty() {
            self.core.send(from, Message::Want(wanted));
        }
    }

    fn ask(&mut self) {
        for (holder, ids) in self.asking.due(&mut self.core) {
            if let Way::Tree(tree) = &mut self.way {
                tree.asks(holder);
            }
            for ids in ids.chunks(MAX_IDS) {
                let message = match self.way {
                    Way::Tree(_) => Message::Graft(ids.to_vec()),
                    Way::Push(_) | Way::None => Message::Want(ids.to_vec()),
                };
                self.core.send(holder, message);
            }
        }
    }
}

impl<N: Copy + Ord> Core<N> {
    fn send(&mut self, to: N, message: Message) {
        self.outputs.push(Output::Send { to, message });
    }

    /// Passes a rumour on: now, with others, or as an offer.
    fn push(&mut self, to: N, rumour: &Rumour, hops: u16) {
        let hops = hops.saturating_add(1);
        if rumour.payload().len() > self.config.offer_above {
            let id = rumour.id();
            return self.send(to, Message::Offer([Notice { id, hops }].into()));
        }
        let rumour = rumour.clone();
        let pushed = Pushed { rumour, hops };
        if self.config.gather.is_zero() {
            return self.send_batch(to, [pushed].into());
        }
        if let Some(batch) = self.outbox.post(to, pushed) {
            self.send_batch(to, batch);
        }
    }

    fn send_batch(&mut self, to: N, mut batch: Vec<Pushed>) {
        self.stats.pushed += batch.len() as u64;
        let message = match batch.pop() {
            Some(pushed) if batch.is_empty() => Message::Push {
                pushed,
                asked: false,
            },
            last => {
                batch.extend(last);
                Message::Batch(batch)
            }
        };
        self.send(to, message);
    }

    fn flush(&mut self) {
        for (to, batch) in self.outbox.flush() {
            if self.members.contains(to) {
                self.send_batch(to, batch);
            }
        }
        if self.outbox.is_open() {
            self.wake(Timer::Gather, self.config.gather);
        }
    }

    /// Whether a rumour may be remembered as heard.
    fn is_acceptable(&self, id: RumourId) -> bool {
        // What continues what is known adds no interval.
        let continues = || {
            let before = Dot::new(id.replica(), id.first() - 1);
            id.first() > 1 && self.known.contains(&before)
        };
        id.last() - id.first() < MAX_DOTS
            && (self.known.interval_count() < self.config.max_known || continues())
    }

    /// At most `count` other members, chosen uniformly among those that are wanted.
    fn choose(&self, count: usize, random: &mut impl Rng, is_wanted: impl Fn(N) -> bool) -> Vec<N> {
        let me = self.me;
        self.members
            .choose(count, random, |node| node != me && is_wanted(node))
    }

    fn wake(&mut self, timer: Timer, after: Duration) {
        self.outputs.push(Output::Wake { timer, after });
    }

    /// Pushes a rumour to who asked for it, if it is still there.
    fn answer(&mut self, to: N, id: RumourId) {
        if let Some(heard) = self.recent.get(id) {
            let (rumour, hops) = (heard.rumour.clone(), heard.hops);
            self.give(to, rumour, hops);
        }
    }

    fn give(&mut self, to: N, rumour: Rumour, hops: u16) {
        if !self.allowances.take_bytes(to, rumour.payload().len()) {
            self.stats.answers_refused += 1;
            return;
        }
        let hops = hops.saturating_add(1);
        let pushed = Pushed { rumour, hops };
        let asked = true;
        self.stats.pushed += 1;
        self.send(to, Message::Push { pushed, asked });
    }
}
