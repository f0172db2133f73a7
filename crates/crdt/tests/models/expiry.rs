//! Random model check of expiry: deadlines that hide, and the collection of what they hide.
//!
//! Replicas write two keys, a string and a map of two fields, set, put off and take back their deadlines, tell each other
//! by deltas and two-way sessions, crash, leave and are forgotten, as in the model of stability. Their clocks differ, and
//! are set now and then. Hidden rows are collected when they are garbage. In the end all replicas must hold the same,
//! nothing that an operation superseded which observed it, and every write that no deadline may have ended.

#[path = "expiry/oracle.rs"]
mod oracle;
#[path = "expiry/scenes.rs"]
mod scenes;

use std::collections::BTreeSet;

use super::carriers::{Carriers, Comeback, Manners};
use super::random::{Random, violations};
use super::replica::{Delta, Key, State};
use super::session::Rules;
use oracle::Oracle;
use syncline_crdt::expiry::{Deadline, in_force, is_garbage, is_hidden};
use syncline_crdt::{Dot, Hlc, Siblings, Stamp};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Variant {
    Right,
    /// Wrong: hidden rows are collected at their deadline, by the local clock.
    CollectedByLocalClock,
    /// Wrong: all rows of a hidden key are collected, also what was written since.
    CollectedUnsettled,
    /// Wrong: what is advertised may be lost in a crash.
    AdvertisedFromMemory,
    /// Wrong: a forgotten carrier comes back as it was.
    ForgottenComesBack,
    /// Wrong: a deadline applies to SETs that were made after it.
    AppliesToNewerSet,
    /// Wrong: a clock that is set back shows again what it was advertised to have hidden.
    ClockGoesBack,
    /// Wrong: a write to a hidden key leaves the deadline that hides it.
    HiddenNotBegunAnew,
    /// Wrong: an APPEND does not write its key's deadline again.
    DeadlineNotKept,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Payload {
    Value,
    Deadline(Deadline),
}

/// The rows of a key.
#[derive(Clone, Copy, PartialEq)]
enum User {
    String,
    Map,
}

impl User {
    /// The string, or the two fields.
    fn values(self) -> &'static [Key] {
        match self {
            Self::String => &[0],
            Self::Map => &[1, 2],
        }
    }

    fn deadline(self) -> Key {
        match self {
            Self::String => 3,
            Self::Map => 4,
        }
    }

    fn rows(self) -> impl Iterator<Item = Key> {
        self.values().iter().copied().chain([self.deadline()])
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Action {
    /// SET, or HSET of this field.
    Write(Key),
    Append,
    /// At so many milliseconds from now.
    Expire(u64),
    Persist,
    Delete,
}

/// What a reader at some clock makes of a key.
struct Reading {
    deadlines: Siblings<Deadline>,
    /// Of the winning SET.
    set: Option<(Stamp, Dot)>,
    has_values: bool,
}

impl Reading {
    fn of(state: &State<Payload>, user: User) -> Self {
        let deadlines = state.row(user.deadline()).map(|payload| match payload {
            Payload::Deadline(deadline) => *deadline,
            Payload::Value => unreachable!("not in this row"),
        });
        let string = (user == User::String).then(|| state.row(user.values()[0]));
        let set = string.as_ref().and_then(Siblings::winner);
        Self {
            deadlines,
            set: set.map(|set| (set.stamp, set.dot)),
            has_values: user.values().iter().any(|key| !state.row(*key).is_empty()),
        }
    }
}

struct Model {
    random: Random,
    variant: Variant,
    now_ms: u64,
    skews: Vec<u64>,
    clocks: Vec<Hlc>,
    cluster: Carriers<Payload>,
    oracle: Oracle,
    collected: usize,
    fault: Option<&'static str>,
}

impl Model {
    fn new(seed: u64, variant: Variant) -> Self {
        let mut model = Self::still(seed, variant);
        model.cluster.crashes = model.random.percent(60);
        model
    }

    /// Before anything has happened, and without chance.
    fn still(seed: u64, variant: Variant) -> Self {
        let mut manners = Manners::RIGHT;
        match variant {
            Variant::AdvertisedFromMemory => manners.advertise_durable = false,
            Variant::ForgottenComesBack => manners.comeback = Comeback::AsItWas,
            _ => {}
        }
        Self {
            random: Random::new(seed),
            variant,
            now_ms: 10,
            skews: vec![0; 3],
            clocks: vec![Hlc::default(); 3],
            cluster: Carriers::new(3, (0..5).collect(), Rules::RIGHT, manners),
            oracle: Oracle::default(),
            collected: 0,
            fault: None,
        }
    }

    /// In some runs one replica leaves for a while, which may be too long.
    fn run(&mut self) {
        let mut absence = [0; 3].map(|_| self.random.between(1, 200));
        absence.sort_unstable();
        let [leaves, is_forgotten, is_back] = absence;
        let gone = self.random.below(3);
        let is_absent = self.random.percent(40);
        for at in 0..self.random.between(20, 250) {
            if is_absent && at == leaves {
                self.cluster.leave(gone);
            } else if is_absent && at == is_forgotten {
                let by = (gone + 1 + self.random.below(2)) % 3;
                self.cluster.forget(by, gone);
            } else if is_absent && at == is_back {
                self.cluster.come_back(gone, &mut self.random);
            }
            self.step(at);
        }
    }

    fn step(&mut self, turn: usize) {
        let passes = self.random.below(3) as u64;
        self.pass(passes);
        let at = self.random.below(3);
        // Busy for a while, then nearly quiet, so that something is collected and something is left to be late for it.
        let operates = if turn % 60 < 25 { 40 } else { 3 };
        match self.random.below(100) {
            percent if percent < operates => self.operate(at),
            40..55 => self.collect(at),
            55..58 => self.skews[at] = self.random.below(9) as u64,
            _ => self.cluster.step(&mut self.random),
        }
    }

    /// Time goes by, on every clock.
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        for (replica, skew) in self.cluster.replicas.iter_mut().zip(&self.skews) {
            let shown = self.now_ms + skew;
            replica.now_ms = if self.variant == Variant::ClockGoesBack {
                shown
            } else {
                replica.now_ms.max(shown)
            };
        }
    }

    fn operate(&mut self, at: usize) {
        let is_string = self.random.percent(50);
        let far = self.random.between(1, 60) as u64;
        let action = match self.random.below(12) {
            0..4 if is_string => Action::Write(0),
            0..4 => Action::Write(self.random.between(1, 2) as Key),
            4..6 if is_string => Action::Append,
            4..9 => Action::Expire(far),
            9 => Action::Persist,
            _ => Action::Delete,
        };
        let user = if is_string { User::String } else { User::Map };
        self.act(at, user, action);
    }

    fn deadline_in_force<'a>(
        &self,
        reading: &'a Reading,
    ) -> Option<&'a syncline_crdt::Sibling<Deadline>> {
        let set = reading
            .set
            .filter(|_| self.variant != Variant::AppliesToNewerSet);
        in_force(&reading.deadlines, set)
    }

    fn act(&mut self, at: usize, user: User, action: Action) {
        let replica = &self.cluster.replicas[at];
        let now_ms = replica.now_ms;
        let reading = Reading::of(&replica.state, user);
        let deadline = self
            .deadline_in_force(&reading)
            .and_then(|sibling| sibling.payload);
        let hidden = is_hidden(self.deadline_in_force(&reading), now_ms);
        let is_present = reading.has_values && !hidden;
        let is_left_alone = hidden && self.variant == Variant::HiddenNotBegunAnew;
        let begins_anew = !is_present && !is_left_alone;

        // What is put, in order, and what else is superseded.
        let mut puts: Vec<(Key, Payload)> = Vec::new();
        let mut cleared: BTreeSet<Key> = BTreeSet::new();
        match action {
            Action::Write(key) => puts.push((key, Payload::Value)),
            Action::Append => {
                puts.push((0, Payload::Value));
                let is_kept = is_present && self.variant != Variant::DeadlineNotKept;
                if let Some(deadline) = deadline.filter(|_| is_kept) {
                    puts.push((user.deadline(), Payload::Deadline(Some(deadline))));
                }
            }
            Action::Expire(far) if is_present => {
                puts.push((user.deadline(), Payload::Deadline(Some(now_ms + far))));
            }
            Action::Persist if is_present && deadline.is_some() => {
                puts.push((user.deadline(), Payload::Deadline(None)));
            }
            Action::Delete => cleared.extend(user.rows()),
            Action::Expire(_) | Action::Persist => return,
        }
        let is_write = matches!(action, Action::Write(_) | Action::Append);
        if is_write && begins_anew {
            cleared.extend(user.rows());
        } else if action == Action::Write(0) && is_present {
            cleared.insert(user.deadline());
        }

        let replica = &mut self.cluster.replicas[at];
        let latest = replica
            .state
            .rows
            .values()
            .flatten()
            .map(|sibling| sibling.stamp)
            .max();
        self.clocks[at].observe(latest.unwrap_or_default());
        let mut delta = Delta::new();
        let mut put_dots = Vec::new();
        for (key, payload) in puts {
            cleared.remove(&key);
            let dot = replica.fresh_dot();
            let stamp = self.clocks[at].tick(now_ms);
            let observed = replica.state.dots(key);
            self.oracle.put(
                dot,
                user,
                key,
                stamp,
                payload.clone(),
                &observed,
                begins_anew,
            );
            if begins_anew {
                self.oracle.supersede_collected(dot, user, &replica.state);
            }
            put_dots.push(dot);
            let put = Some((dot, stamp, payload));
            replica.state.change(key, &observed, put, &mut delta);
        }
        if !cleared.is_empty() {
            let removal = replica.fresh_dot();
            delta.context.insert(removal);
            for key in cleared {
                let observed = replica.state.dots(key);
                self.oracle.supersede(removal, &observed, begins_anew);
                replica.state.change(key, &observed, None, &mut delta);
            }
        }
        self.oracle.done(&put_dots, user, &replica.state);
        self.cluster.commit(at, delta);
        if is_write {
            let kept = deadline.filter(|_| action == Action::Append && is_present);
            self.check_write(at, user, kept);
        }
    }

    /// Whoever has just written a key is shown it, and finds the deadline as it should be.
    fn check_write(&mut self, at: usize, user: User, kept: Deadline) {
        let replica = &self.cluster.replicas[at];
        let reading = Reading::of(&replica.state, user);
        let deadline = self.deadline_in_force(&reading);
        if is_hidden(deadline, replica.now_ms) {
            self.fault = Some("a write is hidden from its writer");
        }
        if kept.is_some() && kept != deadline.and_then(|sibling| sibling.payload) {
            self.fault = Some("a deadline was not kept");
        }
    }

    fn collect(&mut self, at: usize) {
        let stability = &self.cluster.views[at].stability;
        for user in [User::String, User::Map] {
            let state = &self.cluster.replicas[at].state;
            let reading = Reading::of(state, user);
            let deadline = self.deadline_in_force(&reading);
            let is_due = match self.variant {
                Variant::CollectedByLocalClock => {
                    is_hidden(deadline, self.cluster.replicas[at].now_ms)
                }
                _ => is_garbage(deadline, !reading.has_values, stability),
            };
            if !is_due {
                continue;
            }
            for key in user.rows() {
                let state = &mut self.cluster.replicas[at].state;
                let mut row = state.row(key);
                let is_dropped = |dot: &Dot| match self.variant {
                    Variant::CollectedByLocalClock | Variant::CollectedUnsettled => true,
                    _ => stability.settled().contains(dot),
                };
                let dropped: Vec<Dot> = row.dots().filter(is_dropped).collect();
                self.collected += dropped.len();
                self.oracle.collected.extend(&dropped);
                for dot in dropped {
                    row.remove(&dot);
                }
                state.set_row(key, row);
            }
        }
    }

    fn is_right(&self) -> Option<&'static str> {
        let first = &self.cluster.replicas[0].state;
        if self
            .cluster
            .replicas
            .iter()
            .any(|replica| replica.state.live() != first.live())
        {
            return Some("replicas differ");
        }
        let now_ms = self
            .cluster
            .replicas
            .iter()
            .map(|replica| replica.now_ms)
            .max();
        let now_ms = now_ms.unwrap_or_default();
        let is_shown = |user: User, dot: Dot| {
            let reading = Reading::of(first, user);
            let is_live = user
                .values()
                .iter()
                .any(|key| first.dots(*key).contains(&dot));
            is_live && !is_hidden(self.deadline_in_force(&reading), now_ms)
        };
        let is_here = |node| {
            self.cluster
                .replicas
                .iter()
                .any(|replica| replica.node == node)
        };
        self.oracle.judge(first, now_ms, is_here, is_shown)
    }
}

/// What is wrong in the end, if anything is.
fn fault(model: &mut Model) -> Option<&'static str> {
    if model.fault.is_some() {
        return model.fault;
    }
    model.cluster.quiesce(&mut model.random);
    if let Some(fault) = model.is_right() {
        return Some(fault);
    }
    model.cluster.deliver_all(&mut model.random);
    if model.is_right().is_some() {
        return Some("something late made a difference");
    }
    // All deadlines pass, and what they hide goes.
    model.pass(1000);
    let all: Vec<usize> = (0..model.cluster.replicas.len()).collect();
    model.cluster.persist_all();
    model.cluster.agree(&all, &mut model.random);
    for at in all {
        model.collect(at);
    }
    if model.is_right().is_some() {
        return Some("the last collection made a difference");
    }
    let rows = &model.cluster.replicas[0].state.rows;
    let is_left = [User::String, User::Map].iter().any(|user| {
        let deadlines = Reading::of(&model.cluster.replicas[0].state, *user);
        let is_hidden = is_hidden(model.deadline_in_force(&deadlines), model.now_ms);
        is_hidden && user.rows().any(|key| rows.contains_key(&key))
    });
    is_left.then_some("hidden rows stay for ever")
}

#[test]
fn only_what_a_deadline_has_ended_is_ever_collected() {
    let collected = std::cell::Cell::new(0);
    let is_violated = |seed| {
        let mut model = Model::new(seed, Variant::Right);
        model.run();
        collected.set(collected.get() + model.collected);
        fault(&mut model).is_some()
    };
    violations(600, is_violated).are_none(Variant::Right);
    assert!(
        collected.get() > 100,
        "the model has come to collect too little"
    );
}

#[test]
fn wrong_variants_are_caught() {
    for variant in [
        Variant::CollectedByLocalClock,
        Variant::AppliesToNewerSet,
        Variant::HiddenNotBegunAnew,
        Variant::DeadlineNotKept,
    ] {
        let is_violated = |seed| {
            let mut model = Model::new(seed, variant);
            model.run();
            fault(&mut model).is_some()
        };
        violations(600, is_violated).are_many(variant);
    }
}
