//! What all parts of the machine work on: the members, what is known of each namespace, and what is passed on.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use rand::Rng;
use rand::seq::SliceRandom;
use syncline_crdt::{Canonical, Context};

use super::Config;
use super::machine::{Output, Timer};
use super::message::{Change, Message, Told};
use super::ours::Ours;
use super::standing::{ContextHash, Standing, Version};
use super::table::{Held, Table, Word};

/// Of so many carriers in a namespace is it told at a time that they are [overdue](Output::Overdue): a session with one may well bring what others
/// have, too.
const MAX_DOUBTED: usize = 8;

/// What all parts work on.
#[derive(Debug)]
pub(super) struct Core<N> {
    pub(super) me: N,
    generation: u64,
    pub(super) config: Config,
    pub(super) members: BTreeMap<N, Member>,
    pub(super) tables: BTreeMap<Arc<str>, Table<N>>,
    pub(super) outputs: Vec<Output<N>>,
    /// The timers that run.
    pub(super) running: BTreeSet<Timer>,
    /// What a standing takes when it is passed on, in bytes, on average.
    usual_bytes: u64,
    /// How many more intervals of contexts are kept before they are counted anew.
    room: usize,
}

#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) is_up: bool,
    pub(super) namespaces: BTreeSet<Arc<str>>,
}

impl<N: Copy + Ord + Debug + Canonical> Core<N> {
    pub(super) fn new(me: N, generation: u64, config: Config) -> Self {
        Self {
            me,
            generation,
            room: config.max_intervals,
            config,
            members: BTreeMap::new(),
            tables: BTreeMap::new(),
            outputs: Vec::new(),
            running: BTreeSet::new(),
            usual_bytes: 64,
        }
    }

    pub(super) fn send(&mut self, to: N, message: Message<N>) {
        self.outputs.push(Output::Send { to, message });
    }

    pub(super) fn runs(&self, timer: Timer) -> bool {
        self.running.contains(&timer)
    }

    /// Starts a timer unless it runs.
    pub(super) fn wake(&mut self, timer: Timer, after: Duration) {
        if self.running.insert(timer) {
            self.outputs.push(Output::Wake { timer, after });
        }
    }

    pub(super) fn pace(&self) -> Duration {
        let carriers: usize = self.tables.values().map(|table| table.up.len()).sum();
        let bytes = self.usual_bytes.saturating_mul(carriers as u64);
        let millis = bytes.saturating_mul(1_000) / self.config.bytes_per_second.max(1);
        Duration::from_millis(millis).max(self.config.interval)
    }

    pub(super) fn stand(&mut self, standing: &Standing, now: Duration) {
        let namespace = &standing.namespace;
        match self.tables.get_mut(namespace) {
            Some(table) => {
                let ours = &table.ours;
                let is_same = (ours.carrier, ours.root) == (standing.carrier, standing.root);
                if is_same && ours.context == standing.durable {
                    return;
                }
                table.ours.moved(standing, now);
                for (peer, agrees) in table.turned(now) {
                    self.outputs.push(turned(namespace, peer, agrees));
                }
            }
            None => {
                let mut table = Table::new(Ours::new(standing, now));
                for (node, member) in &self.members {
                    if member.is_up && member.namespaces.contains(namespace) {
                        table.set_up(*node, true);
                    }
                }
                self.tables.insert(Arc::clone(namespace), table);
            }
        }
        self.say_due(now);
    }

    /// Says where we stand, where that is due.
    pub(super) fn say_due(&mut self, now: Duration) {
        let pace = self.pace();
        let (mut next, mut has_said) = (None, false);
        for table in self.tables.values_mut() {
            if table.ours.is_said() {
                continue;
            }
            let due = table.ours.said_at.map_or(now, |at| at.saturating_add(pace));
            if due <= now {
                table.say(self.me, self.generation, now);
                has_said = true;
            } else {
                next = Some(next.map_or(due, |next: Duration| next.min(due)));
            }
        }
        if has_said {
            self.pass_on_soon();
        }
        if let Some(next) = next {
            self.wake(Timer::Say, next.saturating_sub(now));
        }
    }

    /// What is new goes out in a moment, together with what else comes.
    pub(super) fn pass_on_soon(&mut self) {
        const SOONEST: Duration = Duration::from_millis(50);
        const LATEST: Duration = Duration::from_secs(1);
        self.wake(Timer::PassOn, (self.pace() / 16).clamp(SOONEST, LATEST));
    }

    pub(super) fn pass_on(&mut self, random: &mut impl Rng) {
        let (mut sends, mut standings, mut bytes) = (Vec::new(), 0, 0);
        for (namespace, table) in &mut self.tables {
            let news = core::mem::take(&mut table.news);
            if news.is_empty() {
                continue;
            }
            let branches = table.branches.iter().copied();
            let mut peers: Vec<N> = branches.filter(|peer| table.up.contains(*peer)).collect();
            if peers.is_empty() {
                peers = table.up.choose(self.config.fanout, random, |_| true);
            }
            for to in peers {
                let others = news.iter().filter(|(_, from)| **from != Some(to));
                let owners: Vec<N> = others.map(|(owner, _)| *owner).collect();
                standings += owners.len() as u64;
                for message in table.tell(namespace, self.me, to, owners) {
                    bytes += message.to_bytes().len() as u64;
                    sends.push((to, message));
                }
            }
        }
        for (to, message) in sends {
            self.send(to, message);
        }
        if let Some(usual) = bytes.checked_div(standings) {
            self.usual_bytes = (self.usual_bytes * 7 + usual).div_ceil(8);
        }
    }

    /// Tells of carriers whose disagreement no rumour explains any more.
    pub(super) fn doubt(&mut self, now: Duration, random: &mut impl Rng) {
        let patience = self.config.patience;
        // Who moves says so within the pace, and others pass that on.
        let silence = patience.saturating_add(self.pace() * 2);
        for (namespace, table) in &mut self.tables {
            let mut overdue = table.overdue(patience, silence, now);
            let (chosen, _) = overdue.partial_shuffle(random, MAX_DOUBTED);
            for peer in chosen {
                let (namespace, peer) = (Arc::clone(namespace), *peer);
                self.outputs.push(Output::Overdue { namespace, peer });
            }
        }
    }

    /// Has the disagreements that last looked for, from the first input on.
    pub(super) fn doubt_later(&mut self) {
        const SOONEST: Duration = Duration::from_millis(100);
        self.wake(Timer::Doubt, (self.config.patience / 2).max(SOONEST));
    }

    pub(super) fn up(&mut self, node: N, namespaces: Vec<Arc<str>>) {
        if node == self.me {
            return;
        }
        let namespaces: BTreeSet<_> = namespaces.into_iter().collect();
        for (namespace, table) in &mut self.tables {
            match namespaces.contains(namespace) {
                true => table.set_up(node, true),
                false => table.remove(node),
            }
        }
        let is_up = true;
        self.members.insert(node, Member { is_up, namespaces });
    }

    pub(super) fn down(&mut self, node: N) {
        if let Some(member) = self.members.get_mut(&node) {
            member.is_up = false;
        }
        for table in self.tables.values_mut() {
            table.set_up(node, false);
        }
    }

    /// Our own standing is known under this version, to which some process of ours must have come.
    pub(super) fn said_before(&mut self, namespace: &str, version: Version, now: Duration) {
        let Some(table) = self.tables.get_mut(namespace) else {
            return;
        };
        if table
            .ours
            .last_said()
            .is_some_and(|said| said.version < version)
        {
            let generation = version.generation.saturating_add(1);
            self.generation = self.generation.max(generation);
            table.say(self.me, self.generation, now);
            self.pass_on_soon();
        }
    }

    /// Takes in standings; whether they could be made out.
    pub(super) fn hear(
        &mut self,
        from: N,
        namespace: &str,
        base: Option<Version>,
        told: Vec<Told<N>>,
        now: Duration,
    ) -> bool {
        let Some((namespace, table)) = self.tables.get_key_value(namespace) else {
            return true;
        };
        let namespace = Arc::clone(namespace);
        let told_from = match base {
            None => Some(Arc::default()),
            Some(version) => table.ours.said_under(version).cloned(),
        };
        let Some(mut before) = told_from else {
            if let Some(version) = base {
                self.said_before(&namespace, version, now);
            }
            return false;
        };
        let ours = Arc::clone(&table.ours.context);
        let mut our_hash = None;
        let mut has_counted = false;
        for Told {
            owner,
            version,
            carrier,
            root,
            context,
        } in told
        {
            let (held, is_new) = match context {
                Change::By { more, less } if more.is_empty() && less.is_empty() => {
                    (Held::Known(Arc::clone(&before)), false)
                }
                Change::By { more, less } => {
                    let mut context = before.difference(&less);
                    context.merge(&more);
                    let is_ours = context == *ours;
                    before = match is_ours {
                        true => Arc::clone(&ours),
                        false => Arc::new(context),
                    };
                    (Held::Known(Arc::clone(&before)), !is_ours)
                }
                Change::Hash(hash) => {
                    let our_hash = *our_hash.get_or_insert_with(|| ContextHash::of(&ours));
                    match our_hash == hash {
                        true => (Held::Known(Arc::clone(&ours)), false),
                        false => (Held::Hash(hash), false),
                    }
                }
            };
            if owner == self.me {
                self.said_before(&namespace, version, now);
                continue;
            }
            let Some(table) = self.tables.get_mut(&namespace) else {
                break;
            };
            if !table.is_news(owner, version) {
                continue;
            }
            let held = match held {
                Held::Known(context) if is_new => self.keep(context, &mut has_counted),
                held => held,
            };
            let Some(table) = self.tables.get_mut(&namespace) else {
                break;
            };
            let word = Word {
                version,
                carrier,
                root,
                context: held,
            };
            let turn = table.hear(owner, word, now);
            table.news.insert(owner, Some(from));
            if let Some(agrees) = turn {
                self.outputs.push(turned(&namespace, owner, agrees));
            }
            self.pass_on_soon();
        }
        true
    }

    /// A context that nobody else has said, if there is room for it.
    fn keep(&mut self, context: Arc<Context>, has_counted: &mut bool) -> Held {
        let intervals = context.interval_count();
        if intervals > self.room && !core::mem::replace(has_counted, true) {
            let peers = self.tables.values().flat_map(|table| table.peers.values());
            let heard = peers.filter_map(|peer| peer.heard.as_ref()?.word.context.known());
            // Those that are shared are counted once.
            let held: BTreeMap<_, _> = heard
                .map(|context| (Arc::as_ptr(context), context.interval_count()))
                .collect();
            let held = held.values().sum();
            self.room = self.config.max_intervals.saturating_sub(held);
        }
        match self.room.checked_sub(intervals) {
            Some(room) => {
                self.room = room;
                Held::Known(context)
            }
            None => Held::Hash(ContextHash::of(&context)),
        }
    }
}

fn turned<N>(namespace: &Arc<str>, peer: N, agrees: bool) -> Output<N> {
    let namespace = Arc::clone(namespace);
    match agrees {
        true => Output::Agrees { namespace, peer },
        false => Output::Disagrees { namespace, peer },
    }
}
