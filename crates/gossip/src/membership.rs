//! Membership: who is in the cluster, where they are reached, how they are doing, and what they say of themselves.
//!
//! # What it is
//!
//! A state machine around the failure detector of the `foca` crate (SWIM with suspicion and incarnations; Das, Gupta and Motivala,
//! DSN 2002). Each node [is](Identity) a member under a name that the transport proves, for one *generation* of its life, at one address.
//! Beside that it has a [`Card`], which spreads on its own.
//!
//! As everywhere in this crate an [`Input`] goes in and [`Output`]s come out; they are to be carried out in their order. The time is told
//! as the duration since some fixed moment.
//!
//! # How it stays right
//!
//! - **Generations.** Of two lives of a member the higher generation holds. A node that starts takes a generation higher than any before, from
//!   its disk. One that learns that it was declared dead, or that somebody knows a higher generation of it (its disk was restored from a
//!   backup), takes a new one, which has to be [written down](Output::Persist) before anything that follows is carried out.
//! - **Nobody speaks for another.** A packet whose sender, as the transport knows it, is not the one that it claims is
//!   [refused](Refusal::Forged).
//! - **Everybody is learnt.** News travel with probes and gossip. Beside that each node compares its table with that of a random other
//!   in every second: hashes first, then the parts that differ. So a thousand nodes know each other within seconds, and news that
//!   were lost come all the same, to a suspect also that it is one. Cards that turn out to be missing are pulled.
//! - **Splits heal.** Those who are down and seeds that are not there are sought for ever. Whoever finds that the other half holds it dead renews its
//!   generation, and is back.
//! - **A node that was stopped blames itself.** If a timer comes much too late, all timers are put off by as much, so that
//!   answers that lie in the sockets are read before anybody is suspected.
//!
//! What peers can make it keep or do is bounded by [`Config`], whatever they send.
//!
//! ```
//! use core::time::Duration;
//!
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//! use syncline_gossip::membership::{Card, Config, Event, Identity, Input, Membership, Output};
//!
//! let mut random = ChaCha8Rng::seed_from_u64(1);
//! let now = Duration::ZERO;
//! let card = Card { zone: "west".into(), ..Card::default() };
//! let [mut ada, mut bob] = [1_u32, 2].map(|id| {
//!     let address = ([10, 0, 0, id as u8], 7400).into();
//!     Membership::new(Identity::new(id, 1, address), card.clone(), Config::new(), &mut random).unwrap()
//! });
//!
//! // Ada has been told an address; connecting to it has shown that member 2 is there.
//! let mut under_way = ada.handle(Input::Join(2, bob.identity().address()), now, &mut random);
//! let mut is_up = false;
//! while let Some(output) = under_way.pop() {
//!     match output {
//!         Output::Send { to: 2, bytes, .. } => {
//!             under_way.extend(bob.handle(Input::Received { from: 1, bytes }, now, &mut random));
//!         }
//!         Output::Send { bytes, .. } => {
//!             under_way.extend(ada.handle(Input::Received { from: 2, bytes }, now, &mut random));
//!         }
//!         Output::Event(Event::Up(member)) => is_up |= member.id == 1,
//!         _ => {}
//!     }
//! }
//! assert!(is_up);
//! assert_eq!(bob.members().next().map(|member| member.id), Some(1));
//! ```

mod alarms;
mod card;
mod config;
mod doubt;
mod exchange;
mod identity;
mod news;
mod packet;
mod refusal;
mod swim;
mod table;
#[cfg(test)]
mod tests;
mod vocabulary;
mod wire;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use rand::Rng;

use alarms::{Alarm, Alarms};
use card::Issue;
use doubt::Doubted;
use news::News;
use packet::Packet;
use refusal::{Admission, Window};
use swim::Swim;
use table::{Entry, Table};

pub use card::{Card, CardError};
pub use config::Config;
pub use identity::{Identity, MemberId};
pub use packet::{MAX_DATAGRAM, MAX_PACKET};
pub use refusal::{Refusal, Refusals};
pub use table::State;
pub use vocabulary::{Event, Input, MAX_SEEDS, Member, Output};

/// One node's view of the members, and its part in finding out. See the [module](self) for how it goes.
///
/// An input takes O(n) for n members, as the failure detector's own list does.
pub struct Membership<N: MemberId> {
    config: Config,
    me: Identity<N>,
    swim: Swim<N>,
    table: Table<N>,
    news: News<N>,
    seeds: BTreeMap<N, SocketAddr>,
    doubted: Doubted<N>,
    alarms: Alarms<N>,
    window: Window<N>,
    refusals: Refusals,
    outputs: Vec<Output<N>>,
    now: Duration,
    /// The highest generation of this node that anybody has been heard to know, if that is not a life of ours.
    heard: u64,
    renewed_at: Option<Duration>,
    is_started: bool,
    has_left: bool,
}

impl<N: MemberId> fmt::Debug for Membership<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("me", &self.me)
            .field("active", &self.table.active())
            .field("known", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl<N: MemberId> Membership<N> {
    /// The view of a node that knows nobody yet. The generation of `me` must be higher than that of any life before, and be on the disk.
    ///
    /// # Errors
    /// [`CardError`] when the card exceeds its bounds.
    pub fn new(
        me: Identity<N>,
        card: Card,
        config: Config,
        random: &mut impl Rng,
    ) -> Result<Self, CardError> {
        let issue = Issue::new((me.generation(), 1), card)?;
        let mut table = Table::new();
        let mut entry = Entry::new(me, 0, State::Alive);
        entry.issue = Some(issue);
        table.insert(entry);
        Ok(Self {
            swim: swim::new(me, &config, random),
            me,
            table,
            news: News::new(),
            seeds: BTreeMap::new(),
            doubted: Doubted::new(),
            alarms: Alarms::new(),
            window: Window::new(),
            refusals: Refusals::default(),
            outputs: Vec::new(),
            now: Duration::ZERO,
            heard: 0,
            renewed_at: None,
            is_started: false,
            has_left: false,
            config,
        })
    }

    /// Who this node is at present.
    #[must_use]
    pub const fn identity(&self) -> &Identity<N> {
        &self.me
    }

    /// The other members that are known of, those who are gone included, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = Member<N>> + '_ {
        let me = self.me.id();
        let others = self.table.iter().filter(move |it| it.identity.id() != me);
        others.map(Entry::member)
    }

    /// One of the other members.
    #[must_use]
    pub fn member(&self, id: N) -> Option<Member<N>> {
        let entry = self.table.get(id).filter(|_| id != self.me.id());
        entry.map(Entry::member)
    }

    /// How many are there, this node included.
    #[must_use]
    pub const fn active(&self) -> usize {
        self.table.active()
    }

    /// What has been refused so far.
    #[must_use]
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Takes an input in and says what is to be done, in order.
    ///
    /// `now` is the time since some fixed moment and never goes back. `random` should differ from node to node.
    pub fn handle(
        &mut self,
        input: Input<N>,
        now: Duration,
        random: &mut impl Rng,
    ) -> Vec<Output<N>> {
        if self.has_left {
            return Vec::new();
        }
        self.now = self.now.max(now);
        let was_alone = self.is_alone();
        if !self.is_started {
            self.is_started = true;
            self.alarms.set(self.now, Alarm::Seek);
            let first = spread(self.config.exchange_period, random);
            self.alarms.set(self.now + first, Alarm::Exchange);
        }
        // Before the input, so that what was due before it came is not taken to be answered by it.
        let (period, timeout) = (self.config.probe_period, self.config.probe_timeout);
        self.alarms.forgive(self.now, period, timeout);
        while let Some(alarm) = self.alarms.due(self.now) {
            self.ring(alarm, random);
        }
        match input {
            Input::Join(id, address) => self.join(id, address),
            Input::Received { from, bytes } => {
                if let Err(why) = self.receive(from, &bytes, random) {
                    self.refuse(from, why);
                }
            }
            // The driver's timer has run out, whether or not anything was due.
            Input::Timer => self.alarms.forget_asked(),
            Input::Card(card) => self.reissue(card),
            Input::Moved(address) => self.moved(address),
            Input::Leave => self.leave(),
        }
        if was_alone && !self.is_alone() {
            self.compare(random);
        }
        if let Some(after) = self.alarms.wake(self.now) {
            self.outputs.push(Output::Wake { after });
        }
        core::mem::take(&mut self.outputs)
    }

    fn is_alone(&self) -> bool {
        self.table.active() <= 1
    }

    fn ring(&mut self, alarm: Alarm<N>, random: &mut impl Rng) {
        match alarm {
            Alarm::Swim(timer) => self.swim_timer(timer),
            Alarm::Exchange => {
                let next = spread(self.config.exchange_period, random);
                self.alarms.set(self.now + next, Alarm::Exchange);
                self.compare(random);
            }
            Alarm::Seek => {
                let every = match self.is_alone() {
                    true => self.config.seek_period.min(Duration::from_secs(1)),
                    false => self.config.seek_period,
                };
                self.alarms
                    .set(self.now + spread(every, random), Alarm::Seek);
                self.seek(random);
            }
            Alarm::Renew => self.renew(self.me.address()),
            Alarm::Doubt(id) => self.ask_doubted(id),
        }
    }

    fn join(&mut self, id: N, address: SocketAddr) {
        if id == self.me.id() {
            return;
        }
        if self.seeds.len() == MAX_SEEDS && !self.seeds.contains_key(&id) {
            let there = self.seeds.keys().find(|seed| self.table.is_active(**seed));
            if let Some(there) = there.copied() {
                self.seeds.remove(&there);
            }
        }
        if self.seeds.len() < MAX_SEEDS || self.seeds.contains_key(&id) {
            self.seeds.insert(id, address);
        }
        if !self.table.is_active(id) {
            self.announce(Identity::new(id, 0, address));
        }
    }

    /// Looks for whoever is not there and might be, and forgets who has been gone for long.
    fn seek(&mut self, random: &mut impl Rng) {
        let mut down = Vec::new();
        let mut forgotten = Vec::new();
        for entry in self.table.iter().filter(|it| !it.state.is_active()) {
            if self.now.saturating_sub(entry.gone_at) >= self.config.forget_after {
                forgotten.push(entry.identity);
            } else if entry.state == State::Down {
                down.push(entry.identity);
            }
        }
        for identity in forgotten {
            self.forget(identity);
        }
        for _ in 0..3.min(down.len()) {
            let chosen = down.swap_remove(random.random_range(0..down.len()));
            self.announce(chosen);
        }
        let seeds = self.seeds.iter().map(|(id, at)| Identity::new(*id, 0, *at));
        let absent: Vec<_> = seeds.filter(|it| !self.table.is_active(it.id())).collect();
        for seed in absent {
            self.announce(seed);
        }
    }

    fn reissue(&mut self, card: Card) {
        let me = self.me.id();
        let Some(before) = self.table.get(me).and_then(|it| it.issue.clone()) else {
            return;
        };
        match Issue::new(before.next(self.me.generation()), card) {
            Ok(issue) => self.issue(issue),
            Err(why) => self.refuse(me, Refusal::Card(why)),
        }
    }

    /// Puts a card of our own on its way.
    fn issue(&mut self, issue: Issue) {
        let me = self.me.id();
        self.table.change(me, |entry| entry.issue = Some(issue));
        self.news.add(me, self.table.active());
    }

    fn moved(&mut self, address: SocketAddr) {
        if Identity::new(self.me.id(), 0, address).address() != self.me.address() {
            self.renew(address);
        }
    }

    /// Somebody knows a life of ours that is none, or holds us dead.
    fn is_contested(&mut self, generation: u64) {
        self.heard = self.heard.max(generation);
        let soonest = self.renewed_at.map(|at| at + self.config.renew_after);
        let at = soonest.map_or(self.now, |at| at.max(self.now));
        self.alarms.set_once(at, Alarm::Renew);
    }

    /// Begins another life.
    fn renew(&mut self, address: SocketAddr) {
        let generation = self.me.generation().max(self.heard).saturating_add(1);
        let me = Identity::new(self.me.id(), generation, address);
        if !me.outlives(&self.me) {
            return;
        }
        self.renewed_at = Some(self.now);
        self.outputs.push(Output::Persist(me.generation()));
        self.me = me;
        self.table.change(me.id(), |entry| {
            entry.identity = me;
            if let Some(issue) = &mut entry.issue {
                issue.edition = issue.next(me.generation());
            }
        });
        self.news.add(me.id(), self.table.active());
        self.swim_identity(me);
    }

    fn leave(&mut self) {
        let me = self.me.id();
        if let Some(mut issue) = self.table.get(me).and_then(|it| it.issue.clone()) {
            issue.edition = issue.next(self.me.generation());
            issue.is_farewell = true;
            self.issue(issue);
        }
        self.has_left = true;
        self.swim_leave();
    }

    fn receive(&mut self, from: N, bytes: &[u8], random: &mut impl Rng) -> Result<(), Refusal<N>> {
        if from == self.me.id() {
            return Err(Refusal::Ourselves);
        }
        match self.window.admit(from, bytes.len(), self.now, &self.config) {
            Admission::Taken => {}
            Admission::Exceeds => {
                return Err(Refusal::Flood {
                    packets: self.config.max_packets,
                    bytes: self.config.max_bytes,
                });
            }
            Admission::Flood => {
                self.refusals.flood = self.refusals.flood.saturating_add(1);
                return Ok(());
            }
        }
        if bytes.len() > MAX_PACKET {
            return Err(Refusal::TooLarge(bytes.len()));
        }
        let packet = Packet::from_bytes(bytes)?;
        if let Packet::Swim { swim, cards } = packet {
            return self.swim_packet(from, &swim, cards);
        }
        // Tables are exchanged with members; whoever is none, or held dead, is told so by the failure detector.
        if !self.table.is_active(from) {
            return Err(Refusal::Stranger);
        }
        self.exchange(from, packet, random);
        Ok(())
    }

    fn send(&mut self, to: Identity<N>, packet: &Packet<N>) {
        self.outputs.push(Output::Send {
            to: to.id(),
            address: to.address(),
            bytes: packet.to_bytes(),
        });
    }

    fn refuse(&mut self, from: N, why: Refusal<N>) {
        self.refusals.count(&why);
        // One whose first packet was overtaken by another is a stranger for a moment.
        if why != Refusal::Stranger {
            self.outputs.push(Output::Refused { from, why });
        }
    }

    fn event(&mut self, event: Event<N>) {
        self.outputs.push(Output::Event(event));
    }
}

/// About so long: nodes that start together should not all speak together for ever.
fn spread(period: Duration, random: &mut impl Rng) -> Duration {
    period.mul_f64(random.random_range(0.75..1.25))
}
