//! Asking for what did not come.
//!
//! In each period a peer is asked whether it knows the same, by a hash. If it does not, both tell each other what they know, as
//! contexts, and push what the other lacks. So nothing that anybody alive has in its buffer stays unknown to anybody for long,
//! however many links and members fail at once.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use rand::Rng;
use syncline_crdt::{Canonical, Context};

use super::{Core, Output};
use crate::message::Message;
use crate::recent::Heard;
use crate::rumour::{Rumour, RumourId};

/// Peers that are asked in one period at most, when those asked before did not answer.
const MAX_ASKED: usize = 8;

/// Bytes that one answer may take. The next pull fetches the rest.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Pulls<N> {
    /// Who has not answered yet.
    asked: BTreeSet<N>,
    /// How many to ask next time.
    width: usize,
}

impl<N: Copy + Ord> Pulls<N> {
    pub(super) const fn new() -> Self {
        Self {
            asked: BTreeSet::new(),
            width: 1,
        }
    }

    pub(super) fn period(&mut self, core: &mut Core<N>, random: &mut impl Rng) {
        // If nobody has answered, most may have failed without anybody knowing it yet.
        self.width = match self.asked.len() {
            silent if silent >= self.width => (2 * self.width).min(MAX_ASKED),
            _ => 1,
        };
        let asked = core.choose(self.width, random, |_| true);
        let hash = hash(&core.known);
        for to in &asked {
            core.send(*to, Message::Compare(hash));
        }
        self.asked = asked.into_iter().collect();
    }

    pub(super) fn heard_from(&mut self, from: N) {
        self.asked.remove(&from);
    }

    /// Nothing is expected of who is gone.
    pub(super) fn moved(&mut self, core: &Core<N>) {
        self.asked.retain(|node| core.members.contains(*node));
    }

    /// What `is_under_way` is not pushed: it will come by itself.
    pub(super) fn receive(
        &mut self,
        from: N,
        message: Message,
        core: &mut Core<N>,
        is_under_way: impl Fn(RumourId) -> bool,
    ) {
        self.heard_from(from);
        if !matches!(message, Message::Same) && !core.allowances.take_pull(from) {
            core.stats.answers_refused += 1;
            return;
        }
        match message {
            Message::Compare(theirs) if theirs == hash(&core.known) => {
                core.send(from, Message::Same);
            }
            Message::Compare(_) => pull(from, core, true),
            Message::Pull { known, mutual } => {
                answer(from, &known, core, is_under_way);
                if mutual && !core.known.covers(&known) {
                    pull(from, core, false);
                }
            }
            _ => {}
        }
    }
}

fn pull<N: Copy + Ord>(from: N, core: &mut Core<N>, mutual: bool) {
    let known = core.known.clone();
    core.send(from, Message::Pull { known, mutual });
}

/// Pushes what a peer lacks, as far as it is still there.
fn answer<N: Copy + Ord>(
    to: N,
    known: &Context,
    core: &mut Core<N>,
    is_under_way: impl Fn(RumourId) -> bool,
) {
    let lacking = core.known.difference(known);
    let mut found: Vec<(Rumour, u16)> = Vec::new();
    let mut told = Context::new();
    let mut bytes = 0;
    for Heard { rumour, hops, .. } in core.recent.outside(&lacking) {
        rumour.id().add_to(&mut told);
        if is_under_way(rumour.id()) {
            continue;
        }
        bytes += rumour.payload().len();
        if bytes > MAX_ANSWER && !found.is_empty() {
            break;
        }
        found.push((rumour.clone(), *hops));
    }
    for (rumour, hops) in found {
        core.give(to, rumour, hops);
    }
    if bytes <= MAX_ANSWER && !told.covers(&lacking) && core.allowances.take_session(to) {
        core.outputs.push(Output::Lagging(to));
    }
}

/// Members trust each other; this need only be even.
fn hash(known: &Context) -> u64 {
    let hash = blake3::hash(&known.to_bytes());
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
