//! What must be left in the end, by what was done and what each operation had observed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Payload, User};
use crate::replica::{Key, State};
use syncline_crdt::expiry::{Deadline, in_force, is_hidden};
use syncline_crdt::{Context, Dot, Sibling, Siblings, Stamp};

/// Everything that was ever written, and by what it was superseded.
#[derive(Default)]
pub(super) struct Oracle {
    written: BTreeMap<Dot, Write>,
    /// From a superseded dot to those that superseded it where they were made, and whether they began the key anew.
    superseded: BTreeMap<Dot, BTreeMap<Dot, bool>>,
    /// What was collected somewhere.
    pub(super) collected: BTreeSet<Dot>,
}

struct Write {
    user: User,
    key: Key,
    stamp: Stamp,
    payload: Payload,
    /// The deadlines that were known to be gone when it was written, and so cannot have ended it.
    freed_of: BTreeSet<Dot>,
}

impl Oracle {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn put(
        &mut self,
        dot: Dot,
        user: User,
        key: Key,
        stamp: Stamp,
        payload: Payload,
        observed: &BTreeSet<Dot>,
        begins_anew: bool,
    ) {
        self.supersede(dot, observed, begins_anew);
        let write = Write {
            user,
            key,
            stamp,
            payload,
            freed_of: BTreeSet::new(),
        };
        self.written.insert(dot, write);
    }

    pub(super) fn supersede(&mut self, by: Dot, observed: &BTreeSet<Dot>, begins_anew: bool) {
        for old in observed {
            let by_whom = self.superseded.entry(*old).or_default();
            by_whom.insert(by, begins_anew);
        }
    }

    /// The transaction of these writes is through.
    pub(super) fn done(&mut self, dots: &[Dot], user: User, state: &State<Payload>) {
        let is_gone = |(dot, write): &(&Dot, &Write)| {
            let is_live = state.row(write.key).get(dot).is_some();
            write.user == user && state.context.contains(dot) && !is_live
        };
        let gone: BTreeSet<Dot> = self
            .written
            .iter()
            .filter(is_gone)
            .map(|(dot, _)| *dot)
            .collect();
        for dot in dots {
            self.written
                .entry(*dot)
                .and_modify(|write| write.freed_of.clone_from(&gone));
        }
    }

    /// A key is begun anew where something of it had been collected: as if that had been there to be observed.
    pub(super) fn supersede_collected(&mut self, by: Dot, user: User, state: &State<Payload>) {
        let is_gone = |dot: &&Dot| {
            let write = &self.written[*dot];
            let is_live = state.row(write.key).get(dot).is_some();
            write.user == user && state.context.contains(dot) && !is_live
        };
        let gone = self.collected.iter().filter(is_gone).copied().collect();
        self.supersede(by, &gone, true);
    }

    /// What is wrong with these rows, if anything is, by a clock that all others are behind.
    ///
    /// What a deadline has ended may be there or not: it can come to light once more when the key is begun anew by
    /// somebody who had not observed it, and be collected meanwhile by somebody who had.
    pub(super) fn judge(
        &self,
        state: &State<Payload>,
        now_ms: u64,
        is_here: impl Fn(u8) -> bool,
        is_shown: impl Fn(User, Dot) -> bool,
    ) -> Option<&'static str> {
        let (seen, live) = (&state.context, state.live());
        let is_superseded = |dot: &Dot| self.is_superseded(dot, seen, |_, _| true);
        let mut ideal: BTreeSet<Dot> = self.left(seen).filter(|dot| !is_superseded(dot)).collect();
        for (key, dot) in live
            .iter()
            .flat_map(|(key, dots)| dots.iter().map(move |dot| (key, dot)))
        {
            // Of a carrier that was forgotten, an operation may be known without all that it had observed.
            let is_dead = self.is_superseded(dot, seen, |by, _| is_here(by.replica.as_bytes()[0]));
            if is_dead || self.written[dot].key != *key {
                return Some("something dead is back");
            }
            ideal.insert(*dot);
        }
        for user in [User::String, User::Map] {
            let is_its = |dot: &&Dot| self.written[*dot].user == user;
            let (mut deadlines, mut values) = (Siblings::<Deadline>::new(), Vec::new());
            for dot in ideal.iter().filter(is_its) {
                let Write { stamp, payload, .. } = &self.written[dot];
                let (dot, stamp) = (*dot, *stamp);
                match payload {
                    // Of a transaction of a forgotten carrier, the put may have got through without the rest.
                    Payload::Deadline(_)
                        if self.collected.contains(&dot) && self.is_torn(&dot, &is_here) => {}
                    Payload::Deadline(payload) => {
                        let payload = *payload;
                        deadlines.insert(Sibling {
                            dot,
                            stamp,
                            payload,
                        });
                    }
                    Payload::Value => values.push((stamp, dot)),
                }
            }
            if user == User::String {
                // Only the winner is read.
                values.sort_unstable();
                values.drain(..values.len().saturating_sub(1));
            }
            let set = values.first().copied().filter(|_| user == User::String);
            if is_hidden(in_force(&deadlines, set), now_ms) {
                if values.iter().any(|(_, dot)| is_shown(user, *dot)) {
                    return Some("something is shown past its deadline");
                }
                continue;
            }
            let is_missing = |value: &&(Stamp, Dot)| {
                !is_shown(user, value.1) && !self.is_ended(value, user, &deadlines, seen, now_ms)
            };
            if values.iter().any(|value| is_missing(&value)) {
                return Some("something that no deadline has ended is not shown");
            }
        }
        None
    }

    /// The writes that somebody has heard of.
    fn left<'a>(&'a self, seen: &'a Context) -> impl Iterator<Item = Dot> + 'a {
        self.written
            .keys()
            .copied()
            .filter(|dot| seen.contains(dot))
    }

    /// Whether by an operation that somebody has heard of, and that counts.
    fn is_superseded(
        &self,
        dot: &Dot,
        seen: &Context,
        counts: impl Fn(&Dot, bool) -> bool,
    ) -> bool {
        let by = self.superseded.get(dot).into_iter().flatten();
        by.into_iter()
            .any(|(by, anew)| seen.contains(by) && counts(by, *anew))
    }

    /// Whether by an operation of a carrier that is gone, heard of or not.
    fn is_torn(&self, dot: &Dot, is_here: impl Fn(u8) -> bool) -> bool {
        let by = self.superseded.get(dot).into_iter().flatten();
        by.into_iter()
            .any(|(by, _)| !is_here(by.replica.as_bytes()[0]))
    }

    /// Whether a deadline of the key has passed that was not put off before, though it may be superseded since.
    fn is_ended(
        &self,
        value: &(Stamp, Dot),
        user: User,
        live: &Siblings<Deadline>,
        seen: &Context,
        now_ms: u64,
    ) -> bool {
        let deadlines: Vec<(Dot, Stamp, Deadline)> = self
            .left(seen)
            .filter(|dot| {
                self.written[dot].user == user && !self.is_superseded(dot, seen, |_, anew| !anew)
            })
            .filter_map(|dot| match self.written[&dot].payload {
                Payload::Deadline(deadline) => Some((dot, self.written[&dot].stamp, deadline)),
                Payload::Value => None,
            })
            .collect();
        let is_later = |other: Deadline, than: u64| other.is_none_or(|other| other > than);
        deadlines.iter().any(|(dot, stamp, deadline)| {
            let Some(deadline) = deadline.filter(|deadline| *deadline <= now_ms) else {
                return false;
            };
            let was_put_off = deadlines
                .iter()
                .any(|(_, stamp, other)| stamp.millis() < deadline && is_later(*other, deadline));
            let is_beaten = live.get(dot).is_some()
                && live.iter().any(|other| is_later(other.payload, deadline));
            let applies = user == User::Map || (*stamp, *dot) > *value;
            let is_freed = self.written[&value.1].freed_of.contains(dot);
            applies && !is_freed && !was_put_off && !is_beaten
        })
    }
}
