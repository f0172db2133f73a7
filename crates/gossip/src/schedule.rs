//! When to begin a session, and with whom: anti-entropy, the heartbeat of convergence.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use rand::Rng;

use crate::selection::Selection;

/// How often sessions begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two sessions while they find differences, on average. Every one that finds none doubles it.
    pub shortest: Duration,
    /// Between two sessions when nothing has been found for long, on average.
    pub longest: Duration,
    /// The first session of a node comes at a random moment within this time, and so does the next after a peer has come back.
    pub settling: Duration,
    /// A session with a peer that has what no rumour brings any more comes at a random moment within this time.
    pub urgent: Duration,
    /// A session with one of the peers that hold something else comes at a random moment within this time, but not in the first half of it; so does each
    /// further one, as what the one brings the others need not bring. As long is no disagreement believed of the peer of a session, as it may be of what was said before,
    /// and twice as long after each such session that has found nothing.
    pub disagreement: Duration,
    /// A peer is let alone for so long after a session with it, and twice as long after each session with it that failed.
    pub rest: Duration,
    /// The longest that a failing peer is let alone, and that one is not believed.
    pub longest_rest: Duration,
    /// Sessions that this node has begun and that still run, at most.
    pub at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Pace {
    /// The usual times.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            shortest: Duration::from_secs(2),
            longest: Duration::from_secs(60),
            settling: Duration::from_secs(5),
            urgent: Duration::from_millis(200),
            disagreement: Duration::from_secs(2),
            rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(120),
            at_once: 2,
        }
    }

    /// The usual times, with about so much between two sessions where differences are found now and then: from a fifth of it to six times as much.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self {
            shortest: interval / 5,
            longest: interval.saturating_mul(6),
            settling: interval / 2,
            ..Self::new()
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<N> {
    /// A carrier is there, for the first time or again.
    Up(N),
    /// A carrier has gone. A session with it that runs ends by itself.
    Down(N),
    /// A peer has what no rumour brings any more ([`Output::Lagging`](crate::Output::Lagging)).
    Lagging(N),
    /// A peer holds something else, for longer than rumours take ([`Output::Overdue`](crate::convergence::Output::Overdue)). To be told again as long as it
    /// lasts.
    Disagrees(N),
    /// A session that this node began has ended.
    Ended {
        /// With whom.
        with: N,
        /// How.
        outcome: Outcome,
    },
    /// The time that was [asked for](Output::Wake) has come. Nothing happens if it comes too early or twice.
    Timer,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both are equal, and nothing had to be moved.
    Equal,
    /// Something was moved.
    Moved,
    /// It broke, or did not come about.
    Failed,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<N> {
    /// Begin a session, and say how it [ended](Input::Ended).
    Begin(N),
    /// Give back [`Input::Timer`] after this time. Replaces what was asked for before.
    Wake {
        /// In how long.
        after: Duration,
    },
}

/// When the replicas of one namespace here and elsewhere are compared.
///
/// Beside what it has reasons for, it begins a session now and then with a peer of its choice: often while that finds differences, seldom when it
/// does not. Everything comes at random moments, so that nodes which start together, or hear the same news, do not act together.
/// At most [`at_once`](Pace::at_once) sessions run, and at most one begins with each peer within [`rest`](Pace::rest). Memory is bounded by the number of peers.
///
/// ```
/// use core::time::Duration;
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use syncline_gossip::schedule::{Input, Output, Pace, Schedule};
/// use syncline_gossip::{Cost, Selection};
///
/// let mut random = ChaCha8Rng::seed_from_u64(1);
/// let (mut selection, mut schedule) = (Selection::new(), Schedule::new(Pace::new()));
/// selection.set("bob", Cost::default());
/// let outputs = schedule.handle(Input::Up("bob"), Duration::ZERO, &selection, &mut random);
/// let [Output::Wake { after }] = outputs[..] else { panic!("{outputs:?}") };
/// assert!(after <= Pace::new().settling);
/// let outputs = schedule.handle(Input::Timer, after, &selection, &mut random);
/// assert_eq!(outputs[0], Output::Begin("bob"));
/// ```
#[derive(Clone, Debug)]
pub struct Schedule<N> {
    pace: Pace,
    peers: BTreeMap<N, Peer>,
    /// When a session with a peer is due for a reason.
    due: BTreeMap<N, Duration>,
    /// Some of those that hold something else.
    doubted: BTreeSet<N>,
    /// When a session with one of them is due.
    doubt: Option<Duration>,
    /// With whom sessions run, and whether it is because they were doubted.
    running: BTreeMap<N, bool>,
    interval: Duration,
    /// When the next session of our own choice is due.
    regular: Option<Duration>,
    asked: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Sessions that failed since the last that did not.
    failed: u32,
    rests_until: Duration,
    /// Sessions because it was doubted that found nothing, since the last that found something.
    unfounded: u32,
    /// Until when it is not doubted.
    believed_until: Duration,
}

/// Peers that are remembered as doubted. Of others it will be told again.
const MAX_DOUBTED: usize = 16;

impl<N: Copy + Ord> Schedule<N> {
    /// Of a node that knows nobody yet.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self {
            interval: pace.shortest,
            pace,
            peers: BTreeMap::new(),
            due: BTreeMap::new(),
            doubted: BTreeSet::new(),
            doubt: None,
            running: BTreeMap::new(),
            regular: None,
            asked: None,
        }
    }

    /// Sessions that this node has begun and that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Takes in what happens and says what is to be done. `selection` has the same peers, with what they cost; `now` is the time since some fixed moment. O(log n) for n peers,
    /// and for each session that is due.
    pub fn handle(
        &mut self,
        input: Input<N>,
        now: Duration,
        selection: &Selection<N>,
        random: &mut impl Rng,
    ) -> Vec<Output<N>> {
        match input {
            Input::Up(peer) => {
                self.peers.insert(peer, Peer::default());
                // One session, whoever and however many have come: what one has brought, the next need not bring again. If one is
                // to come soon anyway, it is that: the earliest of many random moments would be at once.
                self.interval = self.pace.shortest;
                if self.regular.is_none_or(|at| at > now + self.pace.settling) {
                    self.regular = Some(now + within(self.pace.settling, random));
                }
            }
            Input::Down(peer) => {
                self.peers.remove(&peer);
                self.due.remove(&peer);
                self.doubted.remove(&peer);
            }
            Input::Lagging(peer) => {
                self.urge(peer, now + within(self.pace.urgent, random));
            }
            Input::Disagrees(peer) => {
                if self.peers.contains_key(&peer) && self.doubted.len() < MAX_DOUBTED {
                    let is_due = self
                        .doubt
                        .is_some_and(|at| at > now || !self.doubted.is_empty());
                    if !is_due {
                        self.doubt = Some(now + later(self.pace.disagreement, random));
                    }
                    self.doubted.insert(peer);
                }
            }
            Input::Ended { with, outcome } => self.ended(with, outcome, now, random),
            Input::Timer => self.asked = None,
        }
        let mut outputs = Vec::new();
        self.begin(now, selection, random, &mut outputs);
        self.wake(now, &mut outputs);
        outputs
    }

    fn urge(&mut self, peer: N, at: Duration) {
        if self.peers.contains_key(&peer) {
            self.due.entry(peer).or_insert(at);
        }
    }

    /// From when on sessions that are due may begin, and with whom.
    fn urged(&self) -> impl Iterator<Item = (Duration, N)> + '_ {
        let free = self.due.iter().filter(|(id, _)| !self.is_running(**id));
        free.filter_map(|(id, at)| {
            let peer = self.peers.get(id)?;
            Some(((*at).max(peer.rests_until), *id))
        })
    }

    fn is_running(&self, id: N) -> bool {
        self.running.contains_key(&id)
    }

    /// From when on a peer may be met because it is doubted; not, as long as a session with it runs.
    fn doubted_from(&self, id: N) -> Option<Duration> {
        let peer = self.peers.get(&id).filter(|_| !self.is_running(id))?;
        Some(peer.rests_until.max(peer.believed_until))
    }

    fn ended(&mut self, with: N, outcome: Outcome, now: Duration, random: &mut impl Rng) {
        let Some(was_doubted) = self.running.remove(&with) else {
            return;
        };
        match outcome {
            Outcome::Equal => self.interval = (self.interval * 2).min(self.pace.longest),
            Outcome::Moved => {
                self.interval = self.pace.shortest;
                let soon = now + about(self.interval, random);
                self.regular = Some(self.regular.map_or(soon, |at| at.min(soon)));
                // They may have the same. Where not, it will be told again.
                self.doubted.clear();
            }
            Outcome::Failed => {}
        }
        let Some(peer) = self.peers.get_mut(&with) else {
            return;
        };
        peer.failed = match outcome {
            Outcome::Failed => peer.failed.saturating_add(1),
            Outcome::Equal | Outcome::Moved => 0,
        };
        let rest = self.pace.rest * 2_u32.saturating_pow(peer.failed.min(20));
        let rest = rest.min(self.pace.longest_rest);
        peer.rests_until = now + about(rest, random);
        peer.unfounded = match outcome {
            Outcome::Equal => peer.unfounded.saturating_add(was_doubted.into()),
            Outcome::Moved => 0,
            Outcome::Failed => return,
        };
        let time = self.pace.disagreement * 2_u32.saturating_pow(peer.unfounded.min(20));
        peer.believed_until = now + about(time.min(self.pace.longest_rest), random);
    }

    /// Begins what is due.
    fn begin(
        &mut self,
        now: Duration,
        selection: &Selection<N>,
        random: &mut impl Rng,
        outputs: &mut Vec<Output<N>>,
    ) {
        while self.running.len() < self.pace.at_once {
            let Some((peer, is_doubted)) = self.next(now, selection, random) else {
                return;
            };
            self.due.remove(&peer);
            self.doubted.remove(&peer);
            self.running.insert(peer, is_doubted);
            outputs.push(Output::Begin(peer));
        }
    }

    /// With whom the next session is due, and whether because it is doubted.
    fn next(
        &mut self,
        now: Duration,
        selection: &Selection<N>,
        random: &mut impl Rng,
    ) -> Option<(N, bool)> {
        let due = self.urged().filter(|(at, _)| *at <= now);
        if let Some((_, peer)) = due.min() {
            return Some((peer, false));
        }
        if self.doubt.is_some_and(|at| at <= now) {
            let doubted = selection.near(random, |id| {
                self.doubted.contains(&id) && self.doubted_from(id).is_some_and(|from| from <= now)
            });
            if let Some(peer) = doubted {
                self.doubt = Some(now + later(self.pace.disagreement, random));
                return Some((peer, true));
            }
        }
        if self.regular.is_none_or(|at| at > now) || self.peers.is_empty() {
            return None;
        }
        self.regular = Some(now + about(self.interval, random));
        let peer = selection.near(random, |id| {
            let peer = self.peers.get(&id);
            peer.is_some_and(|it| it.rests_until <= now) && !self.is_running(id)
        });
        peer.map(|peer| (peer, false))
    }

    fn wake(&mut self, now: Duration, outputs: &mut Vec<Output<N>>) {
        if self.running.len() >= self.pace.at_once {
            // The end of a session wakes us.
            return;
        }
        let regular = self.regular.filter(|_| !self.peers.is_empty());
        let urged = self.urged().map(|(at, _)| at);
        let doubted = self.doubted.iter().filter_map(|id| self.doubted_from(*id));
        let doubted = doubted.min().and_then(|from| Some(from.max(self.doubt?)));
        let Some(first) = urged.chain(doubted).chain(regular).min() else {
            return;
        };
        if self.asked != Some(first) {
            self.asked = Some(first);
            outputs.push(Output::Wake {
                after: first.saturating_sub(now),
            });
        }
    }
}

/// A moment within this time.
fn within(time: Duration, random: &mut impl Rng) -> Duration {
    time.mul_f64(random.random_range(0.0..1.0))
}

/// A moment within the second half of this time.
fn later(time: Duration, random: &mut impl Rng) -> Duration {
    time / 2 + within(time / 2, random)
}

/// About so long, on average.
fn about(time: Duration, random: &mut impl Rng) -> Duration {
    time.mul_f64(random.random_range(0.5..1.5))
}
