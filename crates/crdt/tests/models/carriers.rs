//! A cluster whose members say what they have durably seen, leave, are forgotten, and come back.

use std::collections::BTreeSet;

use super::random::Random;
use super::replica::{Delta, Key, Replica};
use super::session::{Rules, Session};
use syncline_crdt::{Advert, Context, Stability};

/// How carriers go about it; what is not as in [`Manners::RIGHT`] is wrong.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Whether only what was made durable is advertised.
    pub(crate) advertise_durable: bool,
    /// Whether no more is advertised than the oldest context that a session is still running under.
    pub(crate) advertise_session_starts: bool,
    /// Whether adverts count only from who has forgotten the same carriers.
    pub(crate) await_forgetting: bool,
    pub(crate) comeback: Comeback,
}

impl Manners {
    pub(crate) const RIGHT: Self = Self {
        advertise_durable: true,
        advertise_session_starts: true,
        await_forgetting: true,
        comeback: Comeback::Empty,
    };
}

/// As what a forgotten carrier comes back.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Comeback {
    /// With an empty store, under a new name. Right.
    Empty,
    /// Wrong: under a new name, with its data.
    WithItsData,
    /// Wrong: as if nothing had happened.
    AsItWas,
}

/// Who is what to one replica.
pub(crate) struct View {
    pub(crate) stability: Stability<u8>,
    /// Cut off from the others, for now or for good.
    pub(crate) is_away: bool,
}

/// What travels outside sessions, with the node that says it.
#[derive(Clone)]
pub(crate) struct Message<P> {
    from: u8,
    content: Content<P>,
}

#[derive(Clone)]
enum Content<P> {
    Delta(Delta<P>),
    Advert {
        advert: Advert<u8>,
        forgotten: BTreeSet<u8>,
    },
}

pub(crate) struct Carriers<P> {
    pub(crate) keys: Vec<Key>,
    pub(crate) rules: Rules,
    pub(crate) manners: Manners,
    /// What happens in this run at all.
    pub(crate) crashes: bool,
    pub(crate) replicas: Vec<Replica<P>>,
    pub(crate) views: Vec<View>,
    sessions: Vec<Session<P>>,
    outbox: Vec<(usize, Delta<P>)>,
    wire: Vec<Message<P>>,
    next_node: u8,
}

impl<P: Clone + Ord> Carriers<P> {
    pub(crate) fn new(nodes: usize, keys: Vec<Key>, rules: Rules, manners: Manners) -> Self {
        let view = |_| View {
            stability: Stability::new(0..nodes as u8),
            is_away: false,
        };
        Self {
            keys,
            rules,
            manners,
            crashes: true,
            replicas: Replica::cluster(nodes),
            views: (0..nodes).map(view).collect(),
            sessions: Vec::new(),
            outbox: Vec::new(),
            wire: Vec::new(),
            next_node: nodes as u8,
        }
    }

    /// What was committed here, to be told to the others some time.
    pub(crate) fn commit(&mut self, at: usize, delta: Delta<P>) {
        self.outbox.push((at, delta));
    }

    /// Anything but an operation.
    pub(crate) fn step(&mut self, random: &mut Random) {
        let at = random.below(self.replicas.len());
        match random.below(100) {
            0..14 => self.tell(random),
            14..34 if !self.wire.is_empty() => {
                let last = self.wire.len() - 1;
                let back = if random.percent(70) { 3 } else { last };
                let message = last - random.below(back.min(last) + 1);
                self.deliver(at, self.wire[message].clone(), random);
            }
            34..54 => self.advertise_all(random),
            54..62 if self.sessions.len() < 2 => {
                let (one, other) = random.pair(self.replicas.len());
                self.begin_session(one, other, random);
            }
            62..72 => {
                for _ in 0..random.between(1, 20) {
                    self.advance_session(random);
                }
            }
            72..94 => {
                let (one, other) = random.pair(self.replicas.len());
                self.meet(one, other, random);
            }
            94..97 => self.replicas[at].persist(),
            97.. if self.crashes => self.crash(at),
            _ => {}
        }
    }

    fn tell(&mut self, random: &mut Random) {
        if !self.outbox.is_empty() {
            let chosen = random.below(self.outbox.len());
            self.say(chosen);
        }
    }

    /// Puts a commit on the wire.
    fn say(&mut self, chosen: usize) {
        let (at, delta) = self.outbox.swap_remove(chosen);
        if self.rules.durable_first {
            self.replicas[at].persist();
        }
        let from = self.replicas[at].node;
        let content = Content::Delta(delta);
        self.wire.push(Message { from, content });
    }

    /// Puts the last commit on the wire; says where it is there.
    pub(crate) fn say_last(&mut self) -> usize {
        self.say(self.outbox.len() - 1);
        self.wire.len() - 1
    }

    pub(crate) fn hear(&mut self, at: usize, place: usize, random: &mut Random) {
        self.deliver(at, self.wire[place].clone(), random);
    }

    fn takes_from(&self, at: usize, from: u8) -> bool {
        !self.views[at].is_away && !self.views[at].stability.forgotten().contains(&from)
    }

    fn deliver(&mut self, at: usize, message: Message<P>, random: &mut Random) {
        if !self.takes_from(at, message.from) {
            return;
        }
        match message.content {
            Content::Delta(delta) => {
                self.replicas[at].state.join(&delta);
                if random.percent(30) {
                    self.outbox.push((at, delta)); // passes it on
                }
            }
            Content::Advert { advert, forgotten } => {
                let stability = &mut self.views[at].stability;
                let mut is_known = true;
                for carrier in &advert.carriers {
                    is_known &= !stability.add(*carrier);
                }
                for carrier in forgotten {
                    if self.views[at].stability.forget(carrier) {
                        self.cut_off(at, carrier);
                    }
                }
                let mut advert = advert;
                let stability = &mut self.views[at].stability;
                if !self.manners.await_forgetting {
                    advert.carriers = stability.carriers().clone();
                }
                // A carrier that we did not know of is heard from its next advert on.
                if is_known {
                    stability.hear(message.from, &advert);
                }
            }
        }
    }

    /// A round of adverts, most of which arrive at once, and any of which may arrive later.
    fn advertise_all(&mut self, random: &mut Random) {
        let before = self.wire.len();
        for at in 0..self.replicas.len() {
            if self.views[at].is_away {
                continue;
            }
            if random.percent(80) {
                self.replicas[at].persist();
            }
            self.advertise(at);
        }
        for place in before..self.wire.len() {
            for at in 0..self.replicas.len() {
                if random.percent(90) {
                    self.hear(at, place, random);
                }
            }
        }
    }

    /// One side of the last session says a frame, which the other hears.
    pub(crate) fn pass_frame(&mut self, from: usize, random: &mut Random) {
        let session = self.sessions.last_mut().expect("a session was begun");
        let speaker = session.sides.iter().position(|side| side.at == from);
        let speaker = speaker.expect("the session is with that replica");
        for (which, hears) in [(speaker, false), (1 - speaker, true)] {
            session.turn(
                which,
                hears,
                &mut self.replicas,
                &self.keys,
                random,
                &self.rules,
            );
        }
    }

    pub(crate) fn persist_all(&mut self) {
        self.replicas.iter_mut().for_each(Replica::persist);
    }

    /// Rounds of adverts that all of these hear.
    pub(crate) fn agree(&mut self, ats: &[usize], random: &mut Random) {
        for _ in 0..3 {
            for &at in ats {
                let place = self.advertise(at);
                for &to in ats {
                    self.hear(to, place, random);
                }
            }
        }
    }

    /// Puts an advert on the wire; says where it is there.
    pub(crate) fn advertise(&mut self, at: usize) -> usize {
        let replica = &self.replicas[at];
        let view = &mut self.views[at];
        let mut said = if self.manners.advertise_durable {
            (replica.durable.context.clone(), replica.durable_ms)
        } else {
            (replica.state.context.clone(), replica.now_ms)
        };
        if self.manners.advertise_session_starts {
            let sides = self.sessions.iter().flat_map(|session| &session.sides);
            let starts = sides
                .filter(|side| side.at == at)
                .filter_map(|side| side.start.as_ref());
            for (start, ms) in starts {
                if !start.covers(&said.0) {
                    said = (start.clone(), *ms);
                }
            }
        }
        let advert = Advert {
            carriers: view.stability.carriers().clone(),
            context: said.0,
            as_of_ms: said.1,
        };
        view.stability.hear(replica.node, &advert);
        let forgotten = view.stability.forgotten().clone();
        let content = Content::Advert { advert, forgotten };
        let from = replica.node;
        self.wire.push(Message { from, content });
        self.wire.len() - 1
    }

    pub(crate) fn begin_session(&mut self, one: usize, other: usize, random: &mut Random) {
        let nodes = [one, other].map(|at| self.replicas[at].node);
        if self.takes_from(one, nodes[1]) && self.takes_from(other, nodes[0]) {
            let session = Session::new(&self.replicas, (one, other), random.percent(50));
            self.sessions.push(session);
        }
    }

    /// A whole session, with nothing in between.
    pub(crate) fn meet(&mut self, one: usize, other: usize, random: &mut Random) {
        let before = self.sessions.len();
        self.begin_session(one, other, random);
        for session in self.sessions.drain(before..) {
            session.run(&mut self.replicas, &self.keys, random, &self.rules);
        }
    }

    pub(crate) fn advance_session(&mut self, random: &mut Random) {
        if self.sessions.is_empty() {
            return;
        }
        let chosen = random.below(self.sessions.len());
        if random.percent(1) {
            let session = self.sessions.swap_remove(chosen);
            session.abort(&mut self.replicas, &self.rules);
            return;
        }
        let session = &mut self.sessions[chosen];
        session.step(&mut self.replicas, &self.keys, random, &self.rules);
        if session.is_over() {
            self.sessions.swap_remove(chosen);
        }
    }

    fn abort_sessions(&mut self, is_hit: impl Fn(&Session<P>) -> bool) {
        let (hit, kept) = std::mem::take(&mut self.sessions)
            .into_iter()
            .partition(is_hit);
        self.sessions = kept;
        for session in hit {
            let session: Session<P> = session;
            session.abort(&mut self.replicas, &self.rules);
        }
    }

    pub(crate) fn crash(&mut self, at: usize) {
        self.abort_sessions(|session| session.is_with(at));
        self.outbox.retain(|(owner, _)| *owner != at);
        self.replicas[at].crash();
        // Who counts is durable; what they said is not.
        let before = &self.views[at].stability;
        let mut stability = Stability::new(before.carriers().iter().copied());
        for carrier in before.forgotten() {
            stability.forget(*carrier);
        }
        self.views[at].stability = stability;
    }

    /// A replica is cut off from the others.
    pub(crate) fn leave(&mut self, at: usize) {
        self.views[at].is_away = true;
        self.abort_sessions(|session| session.is_with(at));
    }

    /// A replica forgets one that is away, and will tell the rest.
    pub(crate) fn forget(&mut self, by: usize, gone: usize) {
        let node = self.replicas[gone].node;
        self.views[by].stability.forget(node);
        self.cut_off(by, node);
    }

    fn cut_off(&mut self, at: usize, node: u8) {
        let gone = self
            .replicas
            .iter()
            .position(|replica| replica.node == node);
        self.abort_sessions(|session| {
            session.is_with(at) && gone.is_some_and(|gone| session.is_with(gone))
        });
    }

    pub(crate) fn is_forgotten(&self, node: u8) -> bool {
        self.views
            .iter()
            .any(|view| view.stability.forgotten().contains(&node))
    }

    /// A replica that is away is back: as it was, unless it was forgotten by somebody.
    pub(crate) fn come_back(&mut self, at: usize, random: &mut Random) {
        if !self.is_forgotten(self.replicas[at].node) {
            self.views[at].is_away = false;
            return;
        }
        let peers = (0..self.views.len()).filter(|peer| !self.views[*peer].is_away);
        let peer = peers
            .clone()
            .nth(random.below(peers.count()))
            .expect("two are never away");
        if self.manners.comeback == Comeback::AsItWas {
            let node = self.replicas[at].node;
            for view in &mut self.views {
                let forgotten = view
                    .stability
                    .forgotten()
                    .iter()
                    .filter(|other| **other != node);
                let forgotten: Vec<u8> = forgotten.copied().collect();
                let mut stability = Stability::new(view.stability.carriers().iter().copied());
                stability.add(node);
                forgotten.into_iter().for_each(|other| {
                    stability.forget(other);
                });
                view.stability = stability;
            }
            self.views[at].is_away = false;
            return;
        }
        let node = self.next_node;
        self.next_node += 1;
        self.abort_sessions(|session| session.is_with(at));
        self.outbox.retain(|(owner, _)| *owner != at);
        let mut replica = Replica::new(node);
        replica.now_ms = self.replicas[at].now_ms;
        if self.manners.comeback == Comeback::WithItsData {
            replica.state = self.replicas[at].durable.clone();
        }
        self.replicas[at] = replica;
        // It is enrolled by one of the others, and brought up to date by it before it does anything else.
        self.views[peer].stability.add(node);
        self.views[at].stability = self.views[peer].stability.clone();
        self.views[at].is_away = false;
        let session = Session::new(&self.replicas, (at, peer), false);
        session.run(&mut self.replicas, &self.keys, random, &self.rules);
        self.replicas[at].persist();
    }

    /// Makes everybody who was not forgotten meet everybody else until nothing changes. Returns who was.
    pub(crate) fn quiesce(&mut self, random: &mut Random) {
        self.abort_sessions(|_| true);
        self.outbox.clear();
        let forgotten: BTreeSet<u8> = self
            .views
            .iter()
            .flat_map(|view| view.stability.forgotten().clone())
            .collect();
        let mut at = 0;
        while at < self.replicas.len() {
            if forgotten.contains(&self.replicas[at].node) {
                self.replicas.remove(at);
                self.views.remove(at);
            } else {
                at += 1;
            }
        }
        for view in &mut self.views {
            view.is_away = false;
            for node in &forgotten {
                view.stability.forget(*node);
            }
            for replica in &self.replicas {
                view.stability.add(replica.node);
            }
        }
        let n = self.replicas.len();
        for _ in 0..n {
            for one in 0..n {
                for other in one + 1..n {
                    let session = Session::new(&self.replicas, (one, other), random.percent(50));
                    session.run(&mut self.replicas, &self.keys, random, &self.rules);
                }
            }
        }
    }

    /// Everything ever said arrives once more, everywhere.
    pub(crate) fn deliver_all(&mut self, random: &mut Random) {
        for message in self.wire.clone() {
            for at in 0..self.replicas.len() {
                self.deliver(at, message.clone(), random);
            }
        }
        self.outbox.clear();
    }

    /// What is called stable is durably with all who count.
    pub(crate) fn is_stability_true(&self) -> bool {
        let durable: Vec<(u8, &Context)> = self
            .replicas
            .iter()
            .map(|replica| (replica.node, &replica.durable.context))
            .collect();
        self.views.iter().all(|view| {
            let stable = view.stability.stable();
            let carriers = view.stability.carriers();
            let mut counted = durable.iter().filter(|(node, _)| carriers.contains(node));
            counted.all(|(_, context)| context.covers(stable))
        })
    }
}
