//! Spreads what the authority tells all members: who is one no more, and which authorities to trust.
//!
//! The set of notices is small and hardly ever changes. Whoever comes up is sent ours, and whenever ours has grown all are: a flood, which ends
//! because a set that is not news is not passed on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_sync::quic::NodeId;
use tokio::task::spawn_blocking;

use crate::core::Core;

/// After how many rounds, of a second each, everybody is told again: a message may have got lost.
const AGAIN: u32 = 60;

/// The set as it was last told.
#[derive(Default)]
pub(super) struct Told {
    notices: Vec<u8>,
    to: BTreeSet<NodeId>,
    rounds: u32,
    /// Whether something that was heard is being looked at. What comes meanwhile is passed over: peers tell again what is news to them.
    learning: Arc<AtomicBool>,
}

impl Told {
    /// Whom to tell of these members, and what.
    pub(super) fn due(
        &mut self,
        core: &Core,
        members: impl Iterator<Item = NodeId>,
    ) -> (Vec<NodeId>, Vec<u8>) {
        let notices = core.trust.notices();
        self.rounds += 1;
        if notices != self.notices || self.rounds >= AGAIN {
            self.rounds = 0;
            self.notices = notices;
            self.to.clear();
        }
        let members: BTreeSet<NodeId> = members.collect();
        // Who went is told when it comes back.
        self.to.retain(|node| members.contains(node));
        if core.trust.knows_no_notices() {
            return (Vec::new(), Vec::new());
        }
        let due: Vec<NodeId> = members.difference(&self.to).copied().collect();
        self.to.extend(&due);
        (due, self.notices.clone())
    }

    /// Takes over what a peer says, on a thread where signatures and the disk may take their time.
    pub(super) fn learn(&self, core: &Arc<Core>, from: NodeId, notices: Vec<u8>) {
        if self.learning.swap(true, Ordering::AcqRel) {
            return;
        }
        let (core, learning) = (core.clone(), self.learning.clone());
        drop(spawn_blocking(move || {
            match core.trust.learn(&notices) {
                Ok(true) => tracing::info!(peer = %from, "the authority has told something new"),
                Ok(false) => {}
                Err(error) => tracing::warn!(peer = %from, %error, "notices were not taken over"),
            }
            learning.store(false, Ordering::Release);
        }));
    }
}
