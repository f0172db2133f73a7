//! What a few replicas did, and the states that they came to.

use std::fmt;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Replicated;
use crate::clock::{Hlc, Stamp};
use crate::dot::ReplicaId;

/// What happens, one thing after another. Indices are taken modulo what there is, so that every value is a history,
/// also one that was shrunk or made from a fuzzer's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O> {
    /// How many replicas there are, less two.
    pub more_replicas: u8,
    /// What they do.
    pub steps: Vec<Step<O>>,
    /// In which order the deltas arrive at one who gets them all: each is a choice among those not yet delivered, or of
    /// one to be doubled.
    pub order: Vec<u8>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<O> {
    /// A replica does something.
    Write {
        /// Which replica.
        at: u8,
        /// Its wall clock, which may be before or after the others'.
        wall_ms: u8,
        /// What it does.
        operation: O,
    },
    /// A delta arrives, not necessarily for the first time. One that never does was lost.
    Deliver {
        /// Which delta, of those written so far.
        delta: u8,
        /// Where it arrives.
        to: u8,
    },
    /// A replica joins another one's whole state.
    Merge {
        /// Whose state.
        from: u8,
        /// Who joins it.
        to: u8,
    },
}

impl<O: Clone + fmt::Debug> History<O> {
    /// Random histories of two to four replicas.
    pub fn strategy(operations: impl Strategy<Value = O>) -> impl Strategy<Value = Self> {
        let step = prop_oneof![
            4 => (any::<u8>(), any::<u8>(), operations)
                .prop_map(|(at, wall_ms, operation)| Step::Write { at, wall_ms, operation }),
            3 => (any::<u8>(), any::<u8>()).prop_map(|(delta, to)| Step::Deliver { delta, to }),
            1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Step::Merge { from, to }),
        ];
        (0..3u8, vec(step, 0..24), vec(any::<u8>(), 0..32)).prop_map(
            |(more_replicas, steps, order)| Self {
                more_replicas,
                steps,
                order,
            },
        )
    }

    /// Plays the history.
    pub fn replay<T: Replicated<Operation = O>>(&self) -> Run<T> {
        let count = usize::from(self.more_replicas % 3) + 2;
        let mut replicas: Vec<_> = (0..count)
            .map(|at| Replica {
                id: ReplicaId::from_bytes([at as u8 + 1; 16]),
                clock: Hlc::default(),
                state: T::initial(),
            })
            .collect();
        let mut run = Run {
            states: Vec::new(),
            past: std::vec![T::initial()],
            deltas: Vec::new(),
            writes: Vec::new(),
            order: self.order.clone(),
        };
        let mut stamps = Vec::new();
        for step in &self.steps {
            let at = match step {
                Step::Write { at, .. } => at,
                Step::Deliver { to, .. } | Step::Merge { to, .. } => to,
            };
            let at = usize::from(*at) % count;
            match step {
                Step::Write {
                    wall_ms, operation, ..
                } => {
                    let Replica { id, clock, state } = &mut replicas[at];
                    let stamp = clock.tick(u64::from(*wall_ms));
                    let before = state.clone();
                    let delta = state.apply(operation, *id, stamp);
                    run.writes.push((before, delta.clone(), state.clone()));
                    run.deltas.push(delta);
                    stamps.push(stamp);
                }
                Step::Deliver { delta, .. } => {
                    let Some(chosen) = usize::from(*delta).checked_rem(run.deltas.len()) else {
                        continue;
                    };
                    replicas[at].join(&run.deltas[chosen], stamps[chosen]);
                }
                Step::Merge { from, .. } => {
                    let from = &replicas[usize::from(*from) % count];
                    let (state, stamp) = (from.state.clone(), from.clock.last());
                    replicas[at].join(&state, stamp);
                }
            }
            run.past.push(replicas[at].state.clone());
        }
        run.states = replicas.into_iter().map(|replica| replica.state).collect();
        run
    }
}

/// One step a line.
impl<O: fmt::Debug> fmt::Display for History<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} replicas", self.more_replicas % 3 + 2)?;
        for step in &self.steps {
            writeln!(f, "  {step:?}")?;
        }
        write!(f, "  then the deltas in this order: {:?}", self.order)
    }
}

struct Replica<T> {
    id: ReplicaId,
    clock: Hlc,
    state: T,
}

impl<T: Replicated> Replica<T> {
    fn join(&mut self, other: &T, stamp: Stamp) {
        self.clock.observe(stamp);
        self.state.join(other);
    }
}

/// The states that a history came to.
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// Each replica's last state.
    pub states: Vec<T>,
    /// The initial state, then after each step the state of the replica that took it.
    pub past: Vec<T>,
    /// The delta of each write.
    pub deltas: Vec<T>,
    /// Each write: the state before it, its delta, and the state after it.
    pub(super) writes: Vec<(T, T, T)>,
    pub(super) order: Vec<u8>,
}
