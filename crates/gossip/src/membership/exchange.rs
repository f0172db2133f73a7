//! Comparing tables with others, and what is learnt from it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use foca::Member as Update;
use rand::Rng;
use syncline_crdt::Canonical;

use super::card::Issue;
use super::identity::MemberId;
use super::packet::{Buckets, Listed, MAX_PACKET, Packet};
use super::table::{BUCKETS, State};
use super::{Event, Membership, news};

/// Room for what a packet has beside its items.
const ITEMS: usize = MAX_PACKET - 64;
/// Cards that are asked for at once at most.
const MAX_WANTED: usize = 256;
/// Members that are told at once at most that they are held dead.
const MAX_TOLD: usize = 4;

impl<N: MemberId> Membership<N> {
    /// Asks a random member whether it knows the same.
    pub(super) fn compare(&mut self, random: &mut impl Rng) {
        let me = self.me.id();
        let others = self.table.active().saturating_sub(1);
        if others == 0 {
            return;
        }
        let active = self.table.iter().filter(|it| it.state.is_active());
        let mut active = active.filter(|it| it.identity.id() != me);
        let chosen = active.nth(random.random_range(0..others));
        let chosen = chosen.map(|it| it.identity);
        drop(active);
        let Some(to) = chosen else { return };
        let salt = random.random();
        let hash = self.table.hash(salt);
        self.send(to, &Packet::Compare { salt, hash });
    }

    pub(super) fn exchange(&mut self, from: N, packet: Packet<N>, random: &mut impl Rng) {
        let Some(peer) = self.table.get(from).map(|it| it.identity) else {
            return;
        };
        match packet {
            Packet::Compare { salt, hash } => {
                if self.table.hash(salt) != hash {
                    let hashes = self.table.hashes(salt);
                    self.send(peer, &Packet::Buckets { salt, hashes });
                }
            }
            Packet::Buckets { salt, hashes } => {
                let ours = self.table.hashes(salt);
                let is_different = |bucket: u8| {
                    let bucket = usize::from(bucket);
                    hashes.get(bucket) != ours.get(bucket)
                };
                let entries = self.entries(is_different, random);
                self.send(peer, &entries);
            }
            Packet::Entries { buckets, entries } => {
                if !buckets.is_empty() {
                    let entries = self.lacking(buckets, &entries);
                    if !entries.is_empty() {
                        let buckets = Buckets::default();
                        self.send(peer, &Packet::Entries { buckets, entries });
                    }
                }
                let wanted = self.take_entries(entries);
                if !wanted.is_empty() {
                    self.send(peer, &Packet::Want(wanted));
                }
            }
            Packet::Want(wanted) => {
                let cards = self.cards(&wanted);
                if !cards.is_empty() {
                    self.send(peer, &Packet::Cards(cards));
                }
            }
            Packet::Cards(cards) => self.take_cards(cards),
            Packet::Swim { .. } => {}
        }
    }

    /// Our entries in as many of the buckets as fit, from a random one on, so that each has its turn.
    fn entries(&self, is_wanted: impl Fn(u8) -> bool, random: &mut impl Rng) -> Packet<N> {
        let mut by_bucket: BTreeMap<u8, Vec<Listed<N>>> = BTreeMap::new();
        for entry in self.table.iter().filter(|it| it.state.is_active()) {
            if is_wanted(entry.bucket()) {
                by_bucket
                    .entry(entry.bucket())
                    .or_default()
                    .push(entry.listed());
            }
        }
        let first: u8 = random.random();
        let mut buckets = Buckets::default();
        let mut entries = Vec::new();
        let mut room = ITEMS;
        for step in 0..BUCKETS {
            let bucket = first.wrapping_add(step as u8);
            if !is_wanted(bucket) {
                continue;
            }
            let listed = by_bucket.remove(&bucket).unwrap_or_default();
            let size: usize = listed.iter().map(|it| it.to_bytes().len()).sum();
            let Some(left) = room.checked_sub(size) else {
                break;
            };
            room = left;
            buckets.insert(bucket);
            entries.extend(listed);
        }
        Packet::Entries { buckets, entries }
    }

    /// What we know better, of the members in these buckets, than who listed theirs.
    fn lacking(&self, buckets: Buckets, theirs: &[Listed<N>]) -> Vec<Listed<N>> {
        let theirs: BTreeMap<N, &Listed<N>> =
            theirs.iter().map(|it| (it.identity.id(), it)).collect();
        let mut room = ITEMS;
        let known = self.table.iter().filter(|it| buckets.contains(it.bucket()));
        let better = known.filter(|entry| match theirs.get(&entry.identity.id()) {
            Some(listed) if !entry.state.is_active() => {
                listed.state.is_active() && !listed.identity.outlives(&entry.identity)
            }
            Some(listed) => {
                entry.identity.outlives(&listed.identity)
                    || entry.edition() > listed.edition
                    || entry.identity == listed.identity
                        && (entry.incarnation, entry.state) > (listed.incarnation, listed.state)
            }
            None => entry.state.is_active(),
        });
        better
            .map(|entry| entry.listed())
            .take_while(|listed| {
                let left = room.checked_sub(listed.to_bytes().len());
                room = left.unwrap_or(0);
                left.is_some()
            })
            .collect()
    }

    /// Learns from another's entries; of whom cards are missing here.
    fn take_entries(&mut self, entries: Vec<Listed<N>>) -> Vec<N> {
        let (mut told, mut doubted) = (Vec::new(), Vec::new());
        let mut updates = Vec::new();
        for listed in &entries {
            let id = listed.identity.id();
            let ours = self.table.get(id);
            let is_dead_here =
                ours.is_some_and(|it| it.state == State::Down && it.identity == listed.identity);
            if is_dead_here && listed.state.is_active() && told.len() < MAX_TOLD {
                told.push(listed.identity);
            }
            let state = match listed.state {
                State::Alive => foca::State::Alive,
                State::Suspect => foca::State::Suspect,
                // That it has left is its own word. That it is dead is only the peer's.
                State::Left => foca::State::Down,
                State::Down => {
                    doubted.push(listed.identity);
                    continue;
                }
            };
            updates.push(Update::new(listed.identity, listed.incarnation, state));
        }
        // A suspicion is news wherever it is found: the suspect has to hear it, and has not much time.
        let (suspicions, others) = updates
            .into_iter()
            .partition(|it| it.state() == foca::State::Suspect);
        self.learn(suspicions, true);
        self.learn(others, false);
        // The peer has heard of somebody who is held dead here: whoever it is is told, and renews its generation.
        for identity in told {
            self.announce(identity);
        }
        for identity in doubted {
            self.doubt(identity);
        }
        let me = self.me.id();
        let wanted = entries.iter().filter(|listed| {
            let ours = self.table.get(listed.identity.id());
            ours.is_some_and(|it| it.identity.id() != me && it.edition() < listed.edition)
        });
        wanted
            .map(|listed| listed.identity.id())
            .take(MAX_WANTED)
            .collect()
    }

    fn cards(&self, wanted: &[N]) -> Vec<(N, Issue)> {
        let mut room = ITEMS;
        let mut cards = Vec::new();
        for owner in wanted.iter().take(MAX_WANTED) {
            let issue = self.table.get(*owner).and_then(|it| it.issue.clone());
            let Some(issue) = issue else { continue };
            let Some(left) = room.checked_sub(news::size(*owner, &issue)) else {
                break;
            };
            room = left;
            cards.push((*owner, issue));
        }
        cards
    }

    pub(super) fn take_cards(&mut self, cards: Vec<(N, Issue)>) {
        for (owner, issue) in cards {
            self.take_card(owner, issue);
        }
    }

    fn take_card(&mut self, owner: N, issue: Issue) {
        let Some(entry) = self.table.get(owner) else {
            return;
        };
        if owner == self.me.id() {
            let is_ours = entry.issue.as_ref() == Some(&issue);
            if issue.edition >= entry.edition() && !is_ours {
                self.outbid(&issue);
            }
            return;
        }
        if issue.edition <= entry.edition() {
            return;
        }
        let is_farewell = issue.is_farewell && issue.edition.0 == entry.identity.generation();
        let gone = Update::new(entry.identity, entry.incarnation, foca::State::Down);
        let was = entry.state;
        self.table.change(owner, |it| it.issue = Some(issue));
        self.news.add(owner, self.table.active());
        match was {
            State::Alive | State::Suspect if is_farewell => self.learn(alloc::vec![gone], true),
            State::Alive | State::Suspect => self.changed(owner),
            State::Down if is_farewell => {
                self.table.change(owner, |it| it.state = State::Left);
                self.event(Event::Left(owner));
            }
            State::Down | State::Left => {}
        }
    }

    /// Somebody has a card of ours that we did not make, or that a life made of which we know nothing.
    fn outbid(&mut self, theirs: &Issue) {
        let generation = self.me.generation();
        if theirs.edition.0 > generation {
            self.is_contested(theirs.edition.0);
            return;
        }
        let me = self.me.id();
        if let Some(mut ours) = self.table.get(me).and_then(|it| it.issue.clone()) {
            ours.edition = theirs.next(generation);
            self.issue(ours);
        }
    }
}

// A bucket is named by a byte.
const _: () = assert!(BUCKETS == 1 << u8::BITS);
