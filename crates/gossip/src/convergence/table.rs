//! What is known of one namespace: our standing, and those of the others that carry it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use syncline_crdt::{Canonical, CarrierId, Context};

use super::MAX_MESSAGE;
use super::message::{Change, Message, Said, Told};
use super::ours::Ours;
use super::report::{Gap, Lag, PeerReport, WhoHas};
use super::standing::{ContextHash, Root, Version};
use crate::members::Members;

/// The bytes of a change of contexts behind the first of a message, at most.
const MAX_CHANGE: usize = 4 << 10;

/// What the rest of a message takes, at most.
const HEAD: usize = 256;

#[derive(Debug)]
pub(super) struct Table<N> {
    pub(super) ours: Ours,
    pub(super) peers: BTreeMap<N, Peer>,
    /// Those of them that are up.
    pub(super) up: Members<N>,
    /// The branches of the tree, if there is one.
    pub(super) branches: Vec<N>,
    /// Whose standings are to be passed on, and who they came from.
    pub(super) news: BTreeMap<N, Option<N>>,
    /// Of all versions of who is up, ours included: what two carriers compare.
    pub(super) hash: u64,
}

/// Another carrier.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) heard: Option<Heard>,
    /// When both last had the same root.
    agreed: Option<Duration>,
    pub(super) agrees: bool,
}

/// A standing, as its owner has said it.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) version: Version,
    pub(super) carrier: CarrierId,
    pub(super) root: Root,
    pub(super) context: Held,
}

/// When it was heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) word: Word,
    pub(super) at: Duration,
    lag: Lag,
}

/// A context, or what it is known by.
#[derive(Debug, Clone)]
pub(super) enum Held {
    Known(Arc<Context>),
    Hash(ContextHash),
}

impl Held {
    pub(super) const fn known(&self) -> Option<&Arc<Context>> {
        match self {
            Self::Known(context) => Some(context),
            Self::Hash(_) => None,
        }
    }

    /// Whether it is known to be this one.
    fn is(&self, other: &Arc<Context>) -> bool {
        self.known()
            .is_some_and(|it| Arc::ptr_eq(it, other) || it == other)
    }
}

impl<N: Copy + Ord + Canonical> Table<N> {
    pub(super) fn new(ours: Ours) -> Self {
        Self {
            ours,
            peers: BTreeMap::new(),
            up: Members::new(),
            branches: Vec::new(),
            news: BTreeMap::new(),
            hash: 0,
        }
    }

    /// A carrier is there, or not any more.
    pub(super) fn set_up(&mut self, node: N, is_up: bool) {
        let changed = match is_up {
            true => {
                self.peers.entry(node).or_default();
                self.up.insert(node)
            }
            false => self.up.remove(node),
        };
        let heard = self.peers.get(&node).and_then(|peer| peer.heard.as_ref());
        if let (true, Some(heard)) = (changed, heard) {
            let hash = version_hash(&node, heard.word.version);
            self.hash = match is_up {
                true => self.hash.wrapping_add(hash),
                false => self.hash.wrapping_sub(hash),
            };
        }
    }

    pub(super) fn remove(&mut self, node: N) {
        self.set_up(node, false);
        self.peers.remove(&node);
        self.news.remove(&node);
    }

    /// Says where we stand.
    pub(super) fn say(&mut self, me: N, generation: u64, now: Duration) {
        let before = self.ours.last_said().map(|said| said.version);
        let version = self.ours.say(generation, now);
        if let Some(before) = before {
            self.hash = self.hash.wrapping_sub(version_hash(&me, before));
        }
        self.hash = self.hash.wrapping_add(version_hash(&me, version));
        self.news.insert(me, None);
    }

    /// The version that was heard of a carrier, or said by us.
    pub(super) fn version_of(&self, me: N, owner: N) -> Option<Version> {
        if owner == me {
            return self.ours.last_said().map(|said| said.version);
        }
        let heard = self.peers.get(&owner)?.heard.as_ref()?;
        Some(heard.word.version)
    }

    /// Whether what a carrier has said under this version would be news here.
    pub(super) fn is_news(&self, owner: N, version: Version) -> bool {
        let heard = |peer: &Peer| peer.heard.as_ref().map(|heard| heard.word.version);
        self.up.contains(owner)
            && self
                .peers
                .get(&owner)
                .is_some_and(|peer| heard(peer) < Some(version))
    }

    /// Takes in a standing that [is news](Self::is_news); whether it has turned to agreement, or from it.
    pub(super) fn hear(&mut self, owner: N, word: Word, now: Duration) -> Option<bool> {
        let peer = self.peers.get_mut(&owner)?;
        let mut lag = Lag::default();
        if let Some(before) = peer.heard.take() {
            let hash = version_hash(&owner, before.word.version);
            self.hash = self.hash.wrapping_sub(hash);
            lag = before.lag;
        }
        self.hash = self.hash.wrapping_add(version_hash(&owner, word.version));
        if let Held::Known(context) = &word.context {
            lag.update(&context.difference(&self.ours.context), now);
        }
        let (root, at) = (word.root, now);
        peer.heard = Some(Heard { word, at, lag });
        peer.agreed = self.ours.had(&root, now).max(peer.agreed);
        peer.turn(root == self.ours.root)
    }

    /// After we have moved: those who have turned to agreement, or from it.
    pub(super) fn turned(&mut self, now: Duration) -> Vec<(N, bool)> {
        let mut turned = Vec::new();
        for (node, peer) in &mut self.peers {
            let Some(heard) = &peer.heard else { continue };
            let agrees = heard.word.root == self.ours.root;
            if peer.agrees || agrees {
                // Until now, if it did.
                peer.agreed = Some(now);
            }
            if let Some(agrees) = peer.turn(agrees) {
                turned.push((*node, agrees));
            }
        }
        turned
    }

    /// Carriers that hold something else than we do, for longer than rumours take to arrive: they have said to have dots that we lack for
    /// `patience`; or the dots are the same, and neither of us has moved for as long; or neither has for `silence`, so that it is no rumour that is waited for.
    pub(super) fn overdue(
        &mut self,
        patience: Duration,
        silence: Duration,
        now: Duration,
    ) -> Vec<N> {
        let (ours, up) = (&self.ours, &self.up);
        let is_past = |since: Duration, time| since.saturating_add(time) <= now;
        let mut overdue = Vec::new();
        for (node, peer) in &mut self.peers {
            let Some(heard) = peer.heard.as_mut().filter(|_| up.contains(*node)) else {
                continue;
            };
            if heard.word.root == ours.root {
                continue;
            }
            heard.lag.came(&ours.context);
            let lacks_since = heard.lag.oldest();
            let still_since = ours.since().max(heard.at);
            if lacks_since.is_some_and(|since| is_past(since, patience))
                || is_past(still_since, silence)
                || is_past(still_since, patience) && heard.word.context.is(&ours.context)
            {
                overdue.push(*node);
            }
        }
        overdue
    }

    /// Whether something was heard of everybody who is up.
    pub(super) fn knows_all(&self) -> bool {
        let mut peers = self.peers.iter();
        peers.all(|(node, peer)| peer.heard.is_some() || !self.up.contains(*node))
    }

    /// Messages with the standings of these owners, for one carrier.
    pub(super) fn tell(
        &self,
        namespace: &str,
        me: N,
        to: N,
        owners: impl IntoIterator<Item = N>,
    ) -> Vec<Message<N>> {
        let standing = |owner: N| {
            if owner == me {
                let said = self.ours.last_said()?;
                let word = Word {
                    version: said.version,
                    carrier: said.carrier,
                    root: said.root,
                    context: Held::Known(Arc::clone(&said.context)),
                };
                return Some((owner, word));
            }
            let heard = self.peers.get(&owner)?.heard.as_ref()?;
            Some((owner, heard.word.clone()))
        };
        let mut standings: Vec<_> = owners
            .into_iter()
            .filter(|owner| *owner != to)
            .filter_map(standing)
            .collect();
        // Those who agree follow each other, so that root and context are told once.
        standings.sort_by_key(|(owner, word)| (word.root, *owner));
        let heard = self.peers.get(&to).and_then(|peer| peer.heard.as_ref());
        let base = heard.map(|heard| &heard.word);
        let base = base.and_then(|word| Some((word.version, word.context.known()?)));
        let mut messages = Messages::new(namespace, base);
        for (owner, word) in standings {
            messages.add(owner, &word);
        }
        messages.finish()
    }

    pub(super) fn report(&self, now: Duration) -> Vec<PeerReport<N>> {
        let report = |(node, peer): (&N, &Peer)| {
            let heard = peer.heard.as_ref();
            let context = heard.and_then(|heard| heard.word.context.known());
            let agreed = match peer.agrees {
                true => Some(now),
                false => peer.agreed,
            };
            PeerReport {
                peer: *node,
                is_up: self.up.contains(*node),
                heard: heard.map(|heard| now.saturating_sub(heard.at)),
                carrier: heard.map(|heard| heard.word.carrier),
                rows: heard.map(|heard| rows(&heard.word.root)),
                agrees: peer.agrees,
                agreed: agreed.map(|at| now.saturating_sub(at)),
                behind: context
                    .map(|theirs| self.ours.lacked_by(theirs, now))
                    .unwrap_or_default(),
                ahead: heard
                    .map(|heard| self.ahead(heard, now))
                    .unwrap_or_default(),
            }
        };
        self.peers.iter().map(report).collect()
    }

    /// What we lack of theirs.
    fn ahead(&self, heard: &Heard, now: Duration) -> Gap {
        let Held::Known(theirs) = &heard.word.context else {
            return Gap::default();
        };
        let lacking = theirs.difference(&self.ours.context);
        let since = heard.lag.clone().update(&lacking, heard.at);
        Gap {
            dots: Some(Gap::count(&lacking)),
            lasts: since.map(|since| now.saturating_sub(since)),
        }
    }

    pub(super) fn who_has(&self, dots: &Context) -> WhoHas<N> {
        let mut who = WhoHas {
            has: Vec::new(),
            lacks: Vec::new(),
            unknown: Vec::new(),
        };
        for (node, peer) in &self.peers {
            let heard = peer.heard.as_ref();
            let list = match heard.and_then(|heard| heard.word.context.known()) {
                Some(context) if context.covers(dots) => &mut who.has,
                Some(_) => &mut who.lacks,
                None => &mut who.unknown,
            };
            list.push(*node);
        }
        who
    }
}

impl Peer {
    /// Whether both agree, if that is news.
    fn turn(&mut self, agrees: bool) -> Option<bool> {
        let turned = self.agrees != agrees;
        self.agrees = agrees;
        turned.then_some(agrees)
    }
}

/// Standings on their way into messages.
struct Messages<'a, N> {
    namespace: &'a str,
    base: Option<(Version, &'a Arc<Context>)>,
    done: Vec<Message<N>>,
    told: Vec<Told<N>>,
    bytes: usize,
    /// What the next context is told from.
    before: Arc<Context>,
}

impl<'a, N: Canonical> Messages<'a, N> {
    fn new(namespace: &'a str, base: Option<(Version, &'a Arc<Context>)>) -> Self {
        let mut messages = Self {
            namespace,
            base,
            done: Vec::new(),
            told: Vec::new(),
            bytes: HEAD,
            before: Arc::default(),
        };
        messages.begin();
        messages
    }

    fn begin(&mut self) {
        self.bytes = HEAD;
        self.before = self
            .base
            .map(|(_, base)| Arc::clone(base))
            .unwrap_or_default();
    }

    fn end(&mut self) {
        let told = core::mem::take(&mut self.told);
        if !told.is_empty() {
            self.done.push(Message(Said::Standings {
                namespace: self.namespace.into(),
                base: self.base.map(|(version, _)| version),
                told,
            }));
        }
        self.begin();
    }

    fn add(&mut self, owner: N, word: &Word)
    where
        N: Copy,
    {
        // A second time where it does not fit beside those before.
        for _ in 0..2 {
            let told = Told {
                owner,
                version: word.version,
                carrier: word.carrier,
                root: word.root,
                context: self.change(&word.context),
            };
            let bytes = told.len();
            if self.bytes + bytes <= MAX_MESSAGE {
                if let (Change::By { .. }, Held::Known(context)) = (&told.context, &word.context) {
                    self.before = Arc::clone(context);
                }
                self.told.push(told);
                self.bytes += bytes;
                return;
            }
            self.end();
        }
    }

    /// A context in terms of the one before.
    fn change(&self, context: &Held) -> Change {
        let context = match context {
            Held::Known(context) => context,
            Held::Hash(hash) => return Change::Hash(*hash),
        };
        if Arc::ptr_eq(context, &self.before) {
            return Change::NONE;
        }
        let more = context.difference(&self.before);
        let less = self.before.difference(context);
        let bytes = more.to_bytes().len() + less.to_bytes().len();
        // The first may take what it takes: those after it are told from it.
        let room = match self.told.is_empty() {
            true => MAX_MESSAGE - 2 * HEAD,
            false => MAX_CHANGE,
        };
        match bytes <= room {
            true => Change::By { more, less },
            false => Change::Hash(ContextHash::of(context)),
        }
    }

    fn finish(mut self) -> Vec<Message<N>> {
        self.end();
        self.done
    }
}

/// The count of rows that a digest begins with.
fn rows(root: &Root) -> u64 {
    let mut count = [0; 8];
    count.copy_from_slice(&root[..8]);
    u64::from_le_bytes(count)
}

/// What a version of an owner's standing adds to the hash of a table.
pub(super) fn version_hash(owner: &impl Canonical, version: Version) -> u64 {
    let mut bytes = owner.to_bytes();
    version.encode(&mut bytes);
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..8]);
    u64::from_be_bytes(short)
}
