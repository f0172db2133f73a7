//! Who has a write durably: the carriers themselves are asked.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;

use rand::Rng;
use syncline_crdt::{Canonical, CarrierId};

use super::known::Core;
use super::machine::{Found, Output, Timer};
use super::message::{Message, Said};
use super::standing::Write;

/// How many asks of one peer are looked after at a time, and of all.
const MAX_OF_ONE: usize = 64;
const MAX_OF_ALL: usize = 1_024;

#[derive(Debug)]
pub(super) struct Asking<N> {
    waits: BTreeMap<u64, Wait<N>>,
    /// What others wait for, and our store is looked into for.
    looking: BTreeSet<(N, u64)>,
}

/// Somebody here waits for others to have a write.
#[derive(Debug)]
struct Wait<N> {
    namespace: Arc<str>,
    write: Write,
    /// How many are asked.
    wanted: usize,
    asked: BTreeSet<N>,
    /// By the name of its store, whether it has it.
    answers: BTreeMap<N, (CarrierId, bool)>,
}

impl<N: Copy + Ord + Debug + Canonical> Asking<N> {
    pub(super) const fn new() -> Self {
        Self {
            waits: BTreeMap::new(),
            looking: BTreeSet::new(),
        }
    }

    pub(super) fn answers(
        &self,
        wait: u64,
        has: bool,
    ) -> impl Iterator<Item = (N, CarrierId)> + '_ {
        let answers = self
            .waits
            .get(&wait)
            .into_iter()
            .flat_map(|wait| &wait.answers);
        answers
            .filter(move |(_, (_, answer))| *answer == has)
            .map(|(node, (carrier, _))| (*node, *carrier))
    }

    pub(super) fn ask(
        &mut self,
        wait: u64,
        namespace: Arc<str>,
        write: Write,
        wanted: usize,
        core: &mut Core<N>,
        random: &mut impl Rng,
    ) {
        let mut waiting = Wait {
            namespace,
            write,
            wanted: wanted.saturating_add(1),
            asked: BTreeSet::new(),
            answers: BTreeMap::new(),
        };
        waiting.ask(wait, core, random);
        self.waits.insert(wait, waiting);
        core.wake(Timer::Ask, core.config.ask_again);
    }

    pub(super) fn withdraw(&mut self, wait: u64) {
        self.waits.remove(&wait);
    }

    /// Asks again whoever does not have it, as far as is known, and more of them.
    pub(super) fn again(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        for (number, wait) in &mut self.waits {
            wait.wanted = wait.wanted.saturating_mul(2);
            wait.ask(*number, core, random);
        }
        if !self.waits.is_empty() {
            core.wake(Timer::Ask, core.config.ask_again);
        }
    }

    /// One is there, maybe again: it is asked at once.
    pub(super) fn up(&mut self, node: N, core: &mut Core<N>) {
        for (number, wait) in &self.waits {
            let is_asked = wait.asked.contains(&node) && !wait.has(node);
            let table = core.tables.get(&wait.namespace);
            if is_asked && table.is_some_and(|table| table.up.contains(node)) {
                core.send(node, wait.message(*number));
            }
        }
    }

    /// One has failed. What it had may be lost with it: it has to say so again.
    pub(super) fn down(&mut self, node: N, core: &mut Core<N>) {
        self.looking.retain(|(from, _)| *from != node);
        for (number, wait) in &mut self.waits {
            if let Some((_, true)) = wait.answers.remove(&node) {
                core.outputs.push(Output::Held(*number));
            }
        }
    }

    pub(super) fn answered(
        &mut self,
        from: N,
        ask: u64,
        carrier: CarrierId,
        has: bool,
        core: &mut Core<N>,
    ) {
        let Some(wait) = self.waits.get_mut(&ask) else {
            return;
        };
        if !wait.asked.contains(&from) {
            return;
        }
        // Messages may overtake each other, so that it had it counts. Another store is another thing.
        let before = wait.answers.get(&from);
        if before.is_some_and(|&(before, had)| before == carrier && had) {
            return;
        }
        wait.answers.insert(from, (carrier, has));
        core.outputs.push(Output::Held(ask));
    }

    /// A peer asks.
    pub(super) fn asked(
        &mut self,
        from: N,
        ask: u64,
        namespace: &str,
        write: Write,
        core: &mut Core<N>,
    ) {
        let Some((namespace, table)) = core.tables.get_key_value(namespace) else {
            return;
        };
        let of_one = self.looking.range((from, 0)..=(from, u64::MAX)).count();
        if !table.up.contains(from) || of_one >= MAX_OF_ONE || self.looking.len() >= MAX_OF_ALL {
            // It will ask again.
            return;
        }
        if self.looking.insert((from, ask)) {
            let namespace = Arc::clone(namespace);
            core.outputs.push(Output::Look {
                from,
                ask,
                namespace,
                write,
            });
        }
    }

    pub(super) fn looked(
        &mut self,
        from: N,
        ask: u64,
        carrier: CarrierId,
        found: Found,
        core: &mut Core<N>,
    ) {
        let is_over = found != Found::NotYet;
        let is_asked = match is_over {
            true => self.looking.remove(&(from, ask)),
            false => self.looking.contains(&(from, ask)),
        };
        if is_asked && found != Found::GivenUp {
            let has = found == Found::Here;
            core.send(from, Message(Said::Answer { ask, carrier, has }));
        }
    }
}

impl<N: Copy + Ord + Debug + Canonical> Wait<N> {
    fn has(&self, node: N) -> bool {
        self.answers.get(&node).is_some_and(|(_, has)| *has)
    }

    fn message(&self, ask: u64) -> Message<N> {
        Message(Said::Ask {
            ask,
            namespace: (&*self.namespace).into(),
            write: self.write.clone(),
        })
    }

    /// Asks those that were asked and have not said to have it, and others, up to the number wanted.
    fn ask(&mut self, number: u64, core: &mut Core<N>, random: &mut impl Rng) {
        let Some(table) = core.tables.get(&self.namespace) else {
            return;
        };
        let asked = self
            .asked
            .iter()
            .filter(|node| table.up.contains(**node))
            .count();
        let more = self.wanted.saturating_sub(asked).min(table.up.len());
        let others = |node| !self.asked.contains(&node);
        let chosen = table.up.choose(more, random, others);
        self.asked.extend(chosen);
        let is_due = |node: &&N| table.up.contains(**node) && !self.has(**node);
        let due: Vec<N> = self.asked.iter().filter(is_due).copied().collect();
        for node in due {
            core.send(node, self.message(number));
        }
    }
}
