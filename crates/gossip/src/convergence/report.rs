//! What a node can tell of its peers.

use alloc::vec::Vec;
use core::time::Duration;

use syncline_crdt::{CarrierId, Context};

/// How a peer stands to us in one namespace, by what it has said last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerReport<N> {
    /// Who.
    pub peer: N,
    /// What its store is called; `None` if nothing was heard of it.
    pub carrier: Option<CarrierId>,
    /// Whether it is there.
    pub is_up: bool,
    /// How long ago its last standing came here; `None` if none has.
    pub heard: Option<Duration>,
    /// How many rows it has.
    pub rows: Option<u64>,
    /// Whether it has said the root that is ours now.
    pub agrees: bool,
    /// How long ago both were last known to have the same root; `None` if never.
    pub agreed: Option<Duration>,
    /// What it lacks of ours.
    pub behind: Gap,
    /// What we lack of its.
    pub ahead: Gap,
}

/// What one side lacks of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// How many dots; `None` if that is not known. None lacking is no agreement: there may be removals that did not reach their rows yet.
    pub dots: Option<u64>,
    /// For how long, about; of what is older than we remember, at least. `None` if nothing lacks, or it is not known.
    pub lasts: Option<Duration>,
}

impl Gap {
    pub(super) fn count(lacked: &Context) -> u64 {
        u64::try_from(lacked.len()).unwrap_or(u64::MAX)
    }
}

/// Who has seen some dots durably, by what they have said last. It is hearsay: a write that must be safe is
/// [asked for](super::Input::Ask).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WhoHas<N> {
    /// These have, as far as they have said.
    pub has: Vec<N>,
    /// These had not.
    pub lacks: Vec<N>,
    /// Nothing is known of these.
    pub unknown: Vec<N>,
}

impl<N> Default for WhoHas<N> {
    fn default() -> Self {
        Self {
            has: Vec::new(),
            lacks: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

/// Since when something lacks that a peer has said to have.
#[derive(Clone, Debug, Default)]
pub(super) struct Lag {
    /// What has lacked longest, and what was said since.
    parts: [Option<(Duration, Context)>; 2],
}

impl Lag {
    /// This lacks now; since when does the oldest part of it?
    pub(super) fn update(&mut self, lacking: &Context, now: Duration) -> Option<Duration> {
        let mut fresh = lacking.clone();
        for part in &mut self.parts {
            if let Some((_, dots)) = part {
                *dots = dots.intersection(lacking);
                fresh = fresh.difference(dots);
            }
            if part.as_ref().is_some_and(|(_, dots)| dots.is_empty()) {
                *part = None;
            }
        }
        if self.parts[0].is_none() {
            self.parts.swap(0, 1);
        }
        if !fresh.is_empty() {
            match &mut self.parts {
                [None, _] => self.parts[0] = Some((now, fresh)),
                [_, None] => self.parts[1] = Some((now, fresh)),
                [_, Some((_, dots))] => dots.merge(&fresh),
            }
        }
        self.oldest()
    }

    /// We have so much by now.
    pub(super) fn came(&mut self, ours: &Context) {
        for part in &mut self.parts {
            if let Some((_, dots)) = part {
                *dots = dots.difference(ours);
            }
            if part.as_ref().is_some_and(|(_, dots)| dots.is_empty()) {
                *part = None;
            }
        }
        if self.parts[0].is_none() {
            self.parts.swap(0, 1);
        }
    }

    pub(super) fn oldest(&self) -> Option<Duration> {
        self.parts[0].as_ref().map(|(since, _)| *since)
    }
}
