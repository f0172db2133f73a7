//! Members whom a peer holds dead and this node does not: it finds out for itself.
//!
//! News of a death may have been lost on their way here, and with many members it takes minutes until this node happens to probe the dead one. But a peer's
//! word is not enough: in a cluster that was split, each half holds the other dead, and is wrong.

use alloc::collections::BTreeMap;

use foca::Member as Update;

use super::Membership;
use super::alarms::Alarm;
use super::identity::{Identity, MemberId};

/// Members in doubt at a time, at most.
const MAX_DOUBTED: usize = 16;
/// How often one is asked before it is taken for dead.
const TRIES: u32 = 3;

/// Lives that are in doubt, and how often each has been asked.
pub(super) type Doubted<N> = BTreeMap<N, (Identity<N>, u32)>;

impl<N: MemberId> Membership<N> {
    /// A peer holds this life dead.
    pub(super) fn doubt(&mut self, identity: Identity<N>) {
        let id = identity.id();
        let ours = self.table.get(id);
        let is_alive_here = ours.is_some_and(|it| it.state.is_active() && it.identity == identity);
        let is_new = !self.doubted.contains_key(&id) && self.doubted.len() < MAX_DOUBTED;
        if is_alive_here && is_new && id != self.me.id() {
            self.doubted.insert(id, (identity, 0));
            self.ask_doubted(id);
        }
    }

    /// It has answered, or said anything else.
    pub(super) fn hear_from(&mut self, id: N) {
        self.doubted.remove(&id);
    }

    /// Asks one that is in doubt, or takes it for dead if it has been asked often enough.
    pub(super) fn ask_doubted(&mut self, id: N) {
        let Some((identity, tries)) = self.doubted.get_mut(&id) else {
            return;
        };
        let identity = *identity;
        if *tries < TRIES {
            *tries += 1;
            let after = self.config.suspicion / TRIES;
            self.alarms.set(self.now + after, Alarm::Doubt(id));
            return self.announce(identity);
        }
        self.doubted.remove(&id);
        let ours = self.table.get(id);
        let ours = ours.filter(|it| it.state.is_active() && it.identity == identity);
        if let Some(incarnation) = ours.map(|it| it.incarnation) {
            let dead = Update::new(identity, incarnation, foca::State::Down);
            self.learn(alloc::vec![dead], true);
        }
    }
}
