//! Types that each break one law: they show that the suite can fail.

use proptest::prelude::*;
use syncline_crdt::laws::Replicated;
use syncline_crdt::{Canonical, DecodeError, Input, ReplicaId, Stamp};

/// A type of one number whose write and join are given as expressions.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, write: $write:expr, join: $join:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name(u64);

        impl Replicated for $name {
            type Operation = u64;
            type Reading = u64;

            fn initial() -> Self {
                Self(0)
            }

            fn operations() -> BoxedStrategy<u64> {
                (1..100u64).boxed()
            }

            fn apply(&mut self, operation: &u64, _: ReplicaId, _: Stamp) -> Self {
                let (state, delta): (u64, u64) = $write(self.0, *operation);
                self.0 = state;
                Self(delta)
            }

            fn join(&mut self, other: &Self) {
                self.0 = $join(self.0, other.0);
            }

            fn read(&self) -> u64 {
                self.0
            }
        }
    };
}

number!(
    /// Joins by adding up.
    Sum,
    write: |state: u64, by| (state.wrapping_add(by), by),
    join: |mine: u64, other| mine.wrapping_add(other)
);

number!(
    /// Joins by taking what arrived.
    LastToArrive,
    write: |_, value| (value, value),
    join: |_, other| other
);

number!(
    /// Joins by taking the average.
    Average,
    write: |state: u64, value: u64| (state.midpoint(value), value),
    join: |mine: u64, other: u64| mine.midpoint(other)
);

number!(
    /// A maximum whose delta forgets the write.
    EmptyDelta,
    write: |state: u64, value| (state.max(value), 0),
    join: |mine: u64, other| mine.max(other)
);

/// A set that remembers in which order its members arrived, though that is no part of its value.
#[derive(Clone, Debug)]
pub(crate) struct ArrivalOrder(Vec<u8>);

impl PartialEq for ArrivalOrder {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |set: &Self| {
            let mut members = set.0.clone();
            members.sort_unstable();
            members
        };
        sorted(self) == sorted(other)
    }
}

impl Replicated for ArrivalOrder {
    type Operation = u8;
    type Reading = Vec<u8>;

    fn initial() -> Self {
        Self(Vec::new())
    }

    fn operations() -> BoxedStrategy<u8> {
        (0..9u8).boxed()
    }

    fn apply(&mut self, member: &u8, _: ReplicaId, _: Stamp) -> Self {
        let delta = Self(vec![*member]);
        self.join(&delta);
        delta
    }

    fn join(&mut self, other: &Self) {
        for member in &other.0 {
            if !self.0.contains(member) {
                self.0.push(*member);
            }
        }
    }

    fn read(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl Canonical for ArrivalOrder {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Vec::decode(input).map(Self)
    }
}
