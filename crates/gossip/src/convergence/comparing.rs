//! Finding what got lost: versions heard are compared with one carrier at a time.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Bound;
use core::time::Duration;

use rand::Rng;
use syncline_crdt::Canonical;

use super::MAX_MESSAGE;
use super::known::Core;
use super::machine::Timer;
use super::message::{MAX_COMPARED, MAX_OWNERS, Message, Said, Versions};
use super::standing::Version;

/// Comparisons, and what they may cost.
#[derive(Debug)]
pub(super) struct Comparing {
    /// Whether there was a difference since the last one of ours.
    differed: bool,
    /// Bytes that may be sent in answers, which refill with time; less than none after a large one.
    credit: i64,
    refilled: Duration,
}

/// The most that gathers while nothing is asked.
const CREDIT: i64 = 2 * MAX_MESSAGE as i64;

impl Comparing {
    pub(super) const fn new() -> Self {
        Self {
            differed: false,
            credit: CREDIT,
            refilled: Duration::ZERO,
        }
    }

    /// Has the timer run from the first input on.
    pub(super) fn begin<N: Copy + Ord + Debug + Canonical>(
        &self,
        core: &mut Core<N>,
        random: &mut impl Rng,
    ) {
        if core.runs(Timer::Compare) {
            return;
        }
        let is_settled = !self.differed && core.tables.values().all(|table| table.knows_all());
        let every = match is_settled {
            true => core.config.compare_every,
            false => core.config.compare_every / 10,
        };
        // Nodes that start together should not all speak together for ever.
        core.wake(
            Timer::Compare,
            every.mul_f64(random.random_range(0.75..1.25)),
        );
    }

    /// Asks some carrier whether it has heard the same.
    pub(super) fn compare<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        random: &mut impl Rng,
    ) {
        self.differed = false;
        // A namespace, and who carries it: in small ones each is asked as often as in large ones.
        let tables: Vec<_> = core
            .tables
            .values()
            .filter(|table| !table.up.is_empty())
            .collect();
        if tables.is_empty() {
            return;
        }
        let table = tables[random.random_range(0..tables.len())];
        let Some(&to) = table.up.choose(1, random, |_| true).first() else {
            return;
        };
        let shared = core
            .tables
            .iter()
            .filter(|(_, table)| table.up.contains(to));
        let mut shared: Vec<(String, u64)> = shared
            .map(|(namespace, table)| (String::from(&**namespace), table.hash))
            .collect();
        if shared.len() > MAX_COMPARED {
            let first = random.random_range(0..shared.len());
            shared.rotate_left(first);
            shared.truncate(MAX_COMPARED);
        }
        core.send(to, Message(Said::Compare(shared)));
    }

    /// A peer asks whether we have heard the same: where not, it hears what we have.
    pub(super) fn compared<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        from: N,
        namespaces: Vec<(String, u64)>,
        now: Duration,
        random: &mut impl Rng,
    ) {
        for (namespace, hash) in namespaces {
            let Some(table) = core.tables.get(&*namespace) else {
                continue;
            };
            if table.hash == hash || !table.up.contains(from) {
                continue;
            }
            self.differed = true;
            let version = |owner| Some((owner, table.version_of(core.me, owner)?));
            let mut heard: Vec<(N, Version)> = table
                .peers
                .keys()
                .copied()
                .filter(|owner| table.up.contains(*owner))
                .chain([core.me])
                .filter_map(version)
                .collect();
            heard.sort_unstable();
            // Of very many, those from somewhere on.
            let first = match heard.len() {
                0..=MAX_OWNERS => 0,
                owners => random.random_range(0..owners),
            };
            let after = first.checked_sub(1).map(|before| heard[before].0);
            let to_end = heard.len() - first <= MAX_OWNERS;
            let heard = heard.into_iter().skip(first).take(MAX_OWNERS).collect();
            let versions = Versions {
                namespace,
                after,
                to_end,
                heard,
            };
            self.reply(core, from, [Message(Said::Versions(versions))], now);
        }
    }

    /// These are the versions that a peer has heard: it hears what we know better, and is asked for what it does.
    pub(super) fn answer<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        from: N,
        versions: Versions<N>,
        now: Duration,
    ) {
        let Versions {
            namespace,
            after,
            to_end,
            heard,
        } = versions;
        self.differed = true;
        if let Ok(at) = heard.binary_search_by_key(&core.me, |(owner, _)| *owner) {
            core.said_before(&namespace, heard[at].1, now);
        }
        let Some(table) = core.tables.get(&*namespace) else {
            return;
        };
        let news = heard
            .iter()
            .filter(|(owner, version)| table.is_news(*owner, *version));
        let owners: Vec<N> = news.map(|(owner, _)| *owner).collect();
        let last = heard.last().map(|(owner, _)| *owner);
        let is_told = |owner: &N| {
            let ours = table.version_of(core.me, *owner);
            let theirs = heard.binary_search_by_key(owner, |(owner, _)| *owner);
            ours > theirs.ok().map(|at| heard[at].1)
        };
        let from_here = after.map_or(Bound::Unbounded, Bound::Excluded);
        let to_there = match (to_end, last) {
            (true, _) => Bound::Unbounded,
            (false, Some(last)) => Bound::Included(last),
            (false, None) => return,
        };
        let mut better: Vec<N> = Vec::new();
        if from_here == Bound::Unbounded || to_there == Bound::Unbounded || after < last {
            let others = table
                .peers
                .range((from_here, to_there))
                .map(|(owner, _)| *owner);
            better.extend(
                others
                    .filter(|owner| table.up.contains(*owner))
                    .filter(is_told),
            );
        }
        let is_within = after.is_none_or(|after| after < core.me)
            && (to_end || last.is_some_and(|last| core.me <= last));
        if is_within && is_told(&core.me) {
            better.push(core.me);
        }
        if !owners.is_empty() {
            let want = Said::Want {
                namespace: namespace.clone(),
                owners,
            };
            self.reply(core, from, [Message(want)], now);
        }
        self.give(core, from, &namespace, better, now);
    }

    /// A peer wants the standings of these.
    pub(super) fn give<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        to: N,
        namespace: &str,
        owners: Vec<N>,
        now: Duration,
    ) {
        if let Some(table) = core.tables.get(namespace)
            && table.up.contains(to)
        {
            let messages = table.tell(namespace, core.me, to, owners);
            self.reply(core, to, messages, now);
        }
    }

    /// A peer tells in terms of what we have not said, or not lately.
    pub(super) fn explain<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        namespace: &str,
        to: N,
        now: Duration,
    ) {
        self.differed = true;
        let me = core.me;
        self.give(core, to, namespace, alloc::vec![me], now);
    }

    /// Sends as long as there is credit.
    fn reply<N: Copy + Ord + Debug + Canonical>(
        &mut self,
        core: &mut Core<N>,
        to: N,
        messages: impl IntoIterator<Item = Message<N>>,
        now: Duration,
    ) {
        let since = now.saturating_sub(self.refilled).as_millis();
        let rate = u128::from(core.config.bytes_per_second);
        let refill = i64::try_from(since.saturating_mul(rate) / 1_000).unwrap_or(CREDIT);
        self.credit = self.credit.saturating_add(refill).min(CREDIT);
        if refill > 0 {
            self.refilled = now;
        }
        for message in messages {
            if self.credit < 0 {
                return;
            }
            self.credit -= message.to_bytes().len() as i64;
            core.send(to, message);
        }
    }
}
