//! The failure detector: what goes into it, and what comes out.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use foca::{Foca, Incarnation, Member as Update, Message, NoCustomBroadcast, Notification, Timer};
use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::alarms::Alarm;
use super::card::Issue;
use super::config::Config;
use super::identity::{Identity, MemberId};
use super::packet::{MAX_DATAGRAM, Packet};
use super::refusal::Refusal;
use super::table::{Entry, State};
use super::wire::{SwimPacket, Wire};
use super::{Event, Membership, news, wire};

pub(super) type Swim<N> = Foca<Identity<N>, Wire, Pcg64Mcg, NoCustomBroadcast>;

/// It keeps a generator of its own, which is seeded from the one that is passed in.
pub(super) fn new<N: MemberId>(me: Identity<N>, config: &Config, random: &mut impl Rng) -> Swim<N> {
    Foca::new(me, config.swim(1), Pcg64Mcg::new(random.random()), Wire)
}

/// What the failure detector wants done.
#[derive(Debug)]
pub(super) struct Effects<N> {
    sends: Vec<(Identity<N>, Vec<u8>)>,
    timers: Vec<(Timer<Identity<N>>, Duration)>,
    /// Members of whom it may think otherwise than before.
    touched: BTreeSet<N>,
    /// Whether it has learnt that we are held dead.
    is_down: bool,
}

impl<N: MemberId> Effects<N> {
    const fn new(touched: BTreeSet<N>) -> Self {
        Self {
            sends: Vec::new(),
            timers: Vec::new(),
            touched,
            is_down: false,
        }
    }
}

impl<N: MemberId> foca::Runtime<Identity<N>> for Effects<N> {
    fn notify(&mut self, notification: Notification<'_, Identity<N>>) {
        match notification {
            Notification::MemberUp(it)
            | Notification::MemberDown(it)
            | Notification::Rename(_, it) => {
                self.touched.insert(it.id());
            }
            Notification::Defunct => self.is_down = true,
            Notification::Active | Notification::Idle | Notification::Rejoin(_) => {}
        }
    }

    fn send_to(&mut self, to: Identity<N>, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Identity<N>>, after: Duration) {
        if let Timer::ChangeSuspectToDown { member_id, .. } = &event {
            self.touched.insert(member_id.id());
        }
        self.timers.push((event, after));
    }
}

impl<N: MemberId> Membership<N> {
    /// Lets the failure detector do something, of which these members are the subject, and carries out what it wants done.
    fn with_swim(
        &mut self,
        touched: BTreeSet<N>,
        act: impl FnOnce(&mut Swim<N>, &mut Effects<N>) -> Result<(), foca::Error>,
    ) -> Result<(), foca::Error> {
        let mut effects = Effects::new(touched);
        let result = act(&mut self.swim, &mut effects);
        for (timer, after) in effects.timers {
            self.alarms.set(self.now + after, Alarm::Swim(timer));
        }
        self.mirror(&effects.touched);
        for (to, swim) in effects.sends {
            self.send_swim(to, swim);
        }
        if effects.is_down && !self.has_left {
            self.is_contested(0);
        }
        result
    }

    /// As [`with_swim`](Self::with_swim), where nothing but a defect can go wrong.
    fn drive_swim(
        &mut self,
        touched: BTreeSet<N>,
        act: impl FnOnce(&mut Swim<N>, &mut Effects<N>) -> Result<(), foca::Error>,
    ) {
        if self.with_swim(touched, act).is_err() {
            self.refusals.faults = self.refusals.faults.saturating_add(1);
        }
    }

    pub(super) fn swim_timer(&mut self, timer: Timer<Identity<N>>) {
        // The failure detector would tell a suspect that it is dead even if it has objected in time, and have it begin another life.
        if let Timer::ChangeSuspectToDown {
            member_id,
            incarnation,
            ..
        } = &timer
            && self.has_objected(member_id, *incarnation)
        {
            return;
        }
        self.drive_swim(BTreeSet::new(), |swim, effects| {
            swim.handle_timer(timer, effects)
        });
    }

    /// Whether a member that was suspected has shown that it lives.
    fn has_objected(&self, suspect: &Identity<N>, incarnation: Incarnation) -> bool {
        let suspected = (*suspect, incarnation);
        self.table.get(suspect.id()).is_some_and(|entry| {
            entry.state.is_active() && (entry.identity, entry.incarnation) != suspected
        })
    }

    /// Asks for whom it knows, and shows itself.
    pub(super) fn announce(&mut self, to: Identity<N>) {
        self.drive_swim(BTreeSet::new(), |swim, effects| swim.announce(to, effects));
    }

    pub(super) fn swim_identity(&mut self, me: Identity<N>) {
        self.drive_swim(BTreeSet::new(), |swim, effects| {
            swim.change_identity(me, &mut *effects)?;
            // So that it goes on at once if somebody is there.
            swim.apply_many(core::iter::empty(), false, effects)
        });
    }

    pub(super) fn swim_leave(&mut self) {
        self.drive_swim(BTreeSet::new(), |swim, effects| {
            swim.leave_cluster(&mut *effects)?;
            // To more than the three that it tells.
            swim.gossip(&mut *effects)?;
            swim.gossip(effects)
        });
    }

    /// Takes over what others know. Most is not passed on as news: who compares tables gets it anyway.
    pub(super) fn learn(&mut self, mut updates: Vec<Update<Identity<N>>>, is_news: bool) {
        let mut unknown = 0;
        updates.retain(|update| self.admit(update, &mut unknown));
        let touched = updates.iter().map(|it| it.id().id()).collect();
        self.drive_swim(touched, |swim, effects| {
            swim.apply_many(updates.into_iter(), is_news, effects)
        });
    }

    pub(super) fn forget(&mut self, identity: Identity<N>) {
        self.swim_timer(Timer::RemoveDown(identity));
        self.table.remove(identity.id());
    }

    pub(super) fn swim_packet(
        &mut self,
        from: N,
        swim: &[u8],
        cards: Vec<(N, Issue)>,
    ) -> Result<(), Refusal<N>> {
        let mut packet = SwimPacket::from_bytes(swim)?;
        let (sender, receiver) = (packet.header.src, packet.header.dst);
        if sender.id() != from {
            let claimed = sender.id();
            return Err(Refusal::Forged { claimed });
        }
        self.hear_from(from);
        let me = self.me;
        if receiver.id() == me.id() && receiver.outlives(&me) {
            self.is_contested(receiver.generation());
        }
        let as_update = Update::new(sender, packet.header.src_incarnation, foca::State::Alive);
        let mut unknown = 0;
        if !self.admit(&as_update, &mut unknown) {
            return Err(Refusal::Full);
        }
        let before = packet.updates.len();
        packet
            .updates
            .retain(|update| self.admit(update, &mut unknown));
        let mut is_changed = packet.updates.len() < before;
        if let Message::PingReq { target, .. } | Message::IndirectAck { target, .. } =
            &packet.header.message
        {
            // Nobody makes us send anything to where we know nobody.
            let known = self.table.get(target.id());
            if known.is_none_or(|it| it.identity != *target) {
                packet.header.message = Message::Gossip;
                is_changed = true;
            }
        }
        let stripped = is_changed.then(|| packet.to_bytes());

        let touched = packet.updates.iter().chain([&as_update]);
        let touched = touched.filter(|update| self.is_different(update));
        let touched = touched.map(|update| update.id().id()).collect();
        // A farewell says why its owner is down, so cards of those who are known come first.
        let (known, unknown): (Vec<_>, Vec<_>) = cards
            .into_iter()
            .partition(|(owner, _)| self.table.get(*owner).is_some());
        self.take_cards(known);
        let data = stripped.as_deref().unwrap_or(swim);
        let result = self.with_swim(touched, |it, effects| it.handle_data(data, effects));
        self.take_cards(unknown);
        result.map_err(|_| Refusal::Senseless)
    }

    /// Whether the failure detector may be told this. Of ourselves, only what is said about the present life; of those whom we do
    /// not know, if there is room for them and for so many others unknown that are to be told with it.
    fn admit(&mut self, update: &Update<Identity<N>>, unknown: &mut usize) -> bool {
        let identity = update.id();
        if identity.id() == self.me.id() {
            if identity.outlives(&self.me) {
                self.is_contested(identity.generation());
            }
            return *identity == self.me;
        }
        if self.table.get(identity.id()).is_some() {
            return true;
        }
        *unknown += 1;
        if self.make_room(*unknown) {
            return true;
        }
        *unknown -= 1;
        self.refusals.full = self.refusals.full.saturating_add(1);
        false
    }

    /// Whether there is room for so many more. Whoever has been gone for longest makes room for one.
    fn make_room(&mut self, more: usize) -> bool {
        if self.table.len() + more <= self.config.max_members {
            return true;
        }
        let gone = self.table.iter().filter(|it| !it.state.is_active());
        let oldest = gone.min_by_key(|it| it.gone_at).map(|it| it.identity);
        if let Some(oldest) = oldest {
            self.forget(oldest);
        }
        oldest.is_some()
    }

    fn is_different(&self, update: &Update<Identity<N>>) -> bool {
        self.table.get(update.id().id()).is_none_or(|entry| {
            entry.identity != *update.id()
                || entry.incarnation != update.incarnation()
                || swim_state(entry.state) != update.state()
        })
    }

    /// Brings the table up to what the failure detector thinks of these.
    fn mirror(&mut self, touched: &BTreeSet<N>) {
        if touched.is_empty() {
            return;
        }
        let before = self.table.active();
        let state = self.swim.iter_membership_state();
        let found: Vec<_> = state
            .filter(|it| touched.contains(&it.id().id()))
            .cloned()
            .collect();
        for update in found {
            self.mirror_one(&update);
        }
        let after = self.table.active();
        if (after + 1).ilog2() != (before + 1).ilog2() {
            let config = self.config.swim(after);
            self.drive_swim(BTreeSet::new(), |swim, _| swim.set_config(config));
        }
    }

    fn mirror_one(&mut self, update: &Update<Identity<N>>) {
        let (identity, now) = (*update.id(), self.now);
        let id = identity.id();
        let before = self.table.get(id);
        let said_goodbye = before
            .and_then(|it| it.issue.as_ref())
            .is_some_and(|issue| issue.is_farewell && issue.edition.0 == identity.generation());
        let before = before.map(|it| (it.identity, it.state));
        let state = match update.state() {
            foca::State::Alive => State::Alive,
            foca::State::Suspect => State::Suspect,
            foca::State::Down if said_goodbye => State::Left,
            foca::State::Down => State::Down,
        };
        if before.is_none() {
            self.table
                .insert(Entry::new(identity, update.incarnation(), state));
        }
        let was_active = before.is_some_and(|(_, state)| state.is_active());
        self.table.change(id, |entry| {
            entry.identity = identity;
            entry.incarnation = update.incarnation();
            entry.state = state;
            if was_active || before.is_none() {
                entry.gone_at = now;
            }
        });
        match (before.filter(|_| was_active), state) {
            (None, State::Alive) => self.up(id),
            (None, State::Suspect) => {
                self.up(id);
                self.event(Event::Suspect(id));
            }
            (Some((_, State::Alive)), State::Suspect) => self.event(Event::Suspect(id)),
            (Some((life, was)), State::Alive | State::Suspect) => {
                if life != identity || was != state {
                    self.changed(id);
                }
            }
            (Some(_), State::Down) => self.event(Event::Down(id)),
            (Some(_), State::Left) => self.event(Event::Left(id)),
            (None, State::Down | State::Left) => {}
        }
    }

    fn up(&mut self, id: N) {
        if let Some(member) = self.member(id) {
            self.event(Event::Up(member));
        }
    }

    pub(super) fn changed(&mut self, id: N) {
        if let Some(member) = self.member(id) {
            self.event(Event::Changed(member));
        }
    }

    fn send_swim(&mut self, to: Identity<N>, swim: Vec<u8>) {
        let me = self.me.id();
        if to.id() == me {
            return;
        }
        // A tag, and the length of what the failure detector says.
        let mut room = MAX_DATAGRAM.saturating_sub(swim.len() + 3);
        let mut cards = Vec::new();
        let is_new_to = !self.table.is_active(to.id());
        let own = self.table.get(me).and_then(|it| it.issue.clone());
        if let Some(issue) = own.filter(|issue| is_new_to && news::size(me, issue) <= room) {
            room -= news::size(me, &issue);
            cards.push((me, issue));
        }
        let header = wire::header::<N>(&swim);
        if let Ok(header) = &header {
            self.keep_incarnation(header.src_incarnation);
        }
        if header.is_ok_and(|it| wire::passes_on(&it.message)) {
            cards.extend(self.news.take(room, &self.table));
        }
        self.send(to, &Packet::Swim { swim, cards });
    }

    /// The failure detector raises our incarnation by itself, and says so in what it sends alone. Tables would differ for ever if ours did not follow.
    fn keep_incarnation(&mut self, incarnation: Incarnation) {
        let me = self.me.id();
        let is_kept = self.table.get(me).map(|it| it.incarnation) == Some(incarnation);
        if !is_kept {
            self.table.change(me, |it| it.incarnation = incarnation);
        }
    }
}

const fn swim_state(state: State) -> foca::State {
    match state {
        State::Alive => foca::State::Alive,
        State::Suspect => foca::State::Suspect,
        State::Down | State::Left => foca::State::Down,
    }
}
