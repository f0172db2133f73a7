//! What one peer may make us do in a period.

use alloc::collections::BTreeMap;

/// Bytes of rumours that a peer gets for the asking. The next period brings the rest.
const MAX_BYTES: usize = 4 << 20;

/// Comparisons and contexts that a peer gets an answer to: each costs a hash over a context.
const MAX_PULLS: u32 = 16;

/// What each peer has got in this period. Bounded by the number of peers.
#[derive(Debug)]
pub(super) struct Allowances<N> {
    used: BTreeMap<N, Used>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    pulls: u32,
    is_lagging: bool,
}

impl<N: Copy + Ord> Allowances<N> {
    pub(super) const fn new() -> Self {
        Self {
            used: BTreeMap::new(),
        }
    }

    pub(super) fn period(&mut self) {
        self.used.clear();
    }

    /// Whether a peer is to be answered with so many bytes of a rumour. What it gets may go beyond its allowance by one.
    pub(super) fn take_bytes(&mut self, peer: N, bytes: usize) -> bool {
        let used = self.used.entry(peer).or_default();
        let is_allowed = used.bytes < MAX_BYTES;
        if is_allowed {
            used.bytes = used.bytes.saturating_add(bytes);
        }
        is_allowed
    }

    pub(super) fn take_pull(&mut self, peer: N) -> bool {
        let used = self.used.entry(peer).or_default();
        used.pulls = used.pulls.saturating_add(1);
        used.pulls <= MAX_PULLS
    }

    /// Whether this is the first session with a peer to be asked for.
    pub(super) fn take_session(&mut self, peer: N) -> bool {
        let used = self.used.entry(peer).or_default();
        !core::mem::replace(&mut used.is_lagging, true)
    }
}
