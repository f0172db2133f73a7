//! Who is there, as far as one node knows, with the digests by which two tables are compared.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use foca::Incarnation;
use syncline_crdt::Canonical;

use super::card::{Edition, Issue};
use super::identity::{Identity, MemberId};
use super::packet::Listed;

/// Parts in which tables are compared: their hashes fit into one datagram, and a part of a table of ten thousand members into one packet.
pub(super) const BUCKETS: usize = 256;

/// How a member is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It answers, or nobody has found otherwise.
    Alive,
    /// It does not answer, and has some time to object.
    Suspect,
    /// It has not answered for too long.
    Down,
    /// It has said goodbye.
    Left,
}

impl State {
    /// Whether it is to be talked to: alive or suspect.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry<N> {
    pub(super) identity: Identity<N>,
    pub(super) incarnation: Incarnation,
    pub(super) state: State,
    pub(super) issue: Option<Issue>,
    /// When it was found to be gone, if it is.
    pub(super) gone_at: Duration,
    bucket: u8,
    digest: u64,
}

impl<N: MemberId> Entry<N> {
    pub(super) fn new(identity: Identity<N>, incarnation: Incarnation, state: State) -> Self {
        Self {
            identity,
            incarnation,
            state,
            issue: None,
            gone_at: Duration::ZERO,
            bucket: bucket_of(identity.id()),
            digest: 0,
        }
    }

    pub(super) fn edition(&self) -> Edition {
        self.issue.as_ref().map_or((0, 0), |issue| issue.edition)
    }

    pub(super) const fn bucket(&self) -> u8 {
        self.bucket
    }

    pub(super) fn listed(&self) -> Listed<N> {
        Listed {
            identity: self.identity,
            incarnation: self.incarnation,
            state: self.state,
            edition: self.edition(),
        }
    }

    /// Of what two tables should agree on: who is active, in which life, last refuting which suspicion, under which suspicion now, with which card.
    /// A suspicion does not pass by itself: news of it may run out before the suspect hears them, and the failure detector drops the timer that would
    /// end it when its own node begins another life. Each node forgets the dead in its own time.
    fn digest_now(&self) -> u64 {
        if !self.state.is_active() {
            return 0;
        }
        let mut bytes = Vec::new();
        self.identity.encode(&mut bytes);
        self.incarnation.encode(&mut bytes);
        bytes.push(u8::from(self.state == State::Suspect));
        self.edition().encode(&mut bytes);
        first_word(&bytes)
    }
}

pub(super) fn bucket_of<N: MemberId>(id: N) -> u8 {
    first_word(&id.to_bytes()) as u8
}

fn first_word(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    let mut word = [0; 8];
    word.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(word)
}

/// All that is known of, this node included, with the sum of the digests of each bucket.
#[derive(Clone, Debug)]
pub(super) struct Table<N> {
    entries: BTreeMap<N, Entry<N>>,
    sums: Vec<u64>,
    active: usize,
}

impl<N: MemberId> Table<N> {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            sums: alloc::vec![0; BUCKETS],
            active: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many are active, this node included.
    pub(super) const fn active(&self) -> usize {
        self.active
    }

    pub(super) fn get(&self, id: N) -> Option<&Entry<N>> {
        self.entries.get(&id)
    }

    pub(super) fn is_active(&self, id: N) -> bool {
        self.get(id).is_some_and(|entry| entry.state.is_active())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<N>> {
        self.entries.values()
    }

    pub(super) fn insert(&mut self, entry: Entry<N>) {
        let id = entry.identity.id();
        self.remove(id);
        self.count(&entry, 1);
        self.entries.insert(id, entry);
        self.change(id, |_| ());
    }

    pub(super) fn remove(&mut self, id: N) {
        if let Some(entry) = self.entries.remove(&id) {
            self.count(&entry, -1);
            let sum = &mut self.sums[usize::from(entry.bucket)];
            *sum = sum.wrapping_sub(entry.digest);
        }
    }

    /// Changes an entry, if it is there, and keeps the sums.
    pub(super) fn change(&mut self, id: N, change: impl FnOnce(&mut Entry<N>)) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let was_active = entry.state.is_active();
        change(entry);
        let is_active = entry.state.is_active();
        let digest = entry.digest_now();
        let sum = &mut self.sums[usize::from(entry.bucket)];
        *sum = sum.wrapping_sub(entry.digest).wrapping_add(digest);
        entry.digest = digest;
        self.active = self.active + usize::from(is_active) - usize::from(was_active);
    }

    fn count(&mut self, entry: &Entry<N>, by: isize) {
        if entry.state.is_active() {
            self.active = self.active.saturating_add_signed(by);
        }
    }

    /// The hash of the whole table. With another salt it is another, so that tables which agree by accident will not do so twice.
    pub(super) fn hash(&self, salt: u64) -> u64 {
        let fold = |hash: u64, sum: &u64| mix(hash ^ *sum);
        self.sums.iter().fold(mix(salt), fold)
    }

    /// The hash of each bucket.
    pub(super) fn hashes(&self, salt: u64) -> Vec<u32> {
        let hash = |sum: &u64| (mix(mix(salt) ^ *sum) >> 32) as u32;
        self.sums.iter().map(hash).collect()
    }
}

/// Spreads bits evenly (the finaliser of SplitMix64).
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
