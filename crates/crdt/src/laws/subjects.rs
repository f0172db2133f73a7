//! The types of this crate as subjects of the suite, over small keys and values, so that conflicts are likely.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::Replicated;
use crate::{
    CausalMap, Context, Dot, EnableWinsFlag, LwwMap, LwwRegister, MvRegister, OrSet, PnCounter,
    ReplicaId, Siblings, Stamp, VersionVector,
};

/// What is done to a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOperation {
    /// Writes a value to a key.
    Put(u8, u8),
    /// Writes a value to a key in place of every other one of its siblings; in an `LwwMap`, of all.
    PutBeside(u8, u8),
    /// Removes a key.
    Remove(u8),
    /// Removes all keys.
    Clear,
}

impl Replicated for CausalMap<u8, u8> {
    type Operation = MapOperation;
    type Reading = BTreeMap<u8, Siblings<u8>>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<MapOperation> {
        prop_oneof![
            4 => (0..3u8, any::<u8>()).prop_map(|(key, value)| MapOperation::Put(key, value)),
            2 => (0..3u8, any::<u8>()).prop_map(|(key, value)| MapOperation::PutBeside(key, value)),
            2 => (0..3u8).prop_map(MapOperation::Remove),
            1 => Just(MapOperation::Clear),
        ]
        .boxed()
    }

    fn apply(&mut self, operation: &MapOperation, writer: ReplicaId, stamp: Stamp) -> Self {
        let dot = self.context().next_dot(writer);
        match *operation {
            MapOperation::Put(key, value) => self.put(key, dot, stamp, value),
            MapOperation::PutBeside(key, value) => {
                let some: Vec<Dot> = self
                    .row(&key)
                    .into_iter()
                    .flat_map(Siblings::dots)
                    .step_by(2)
                    .collect();
                self.put_superseding(key, dot, stamp, value, &some)
            }
            MapOperation::Remove(key) => self.remove(&key, dot),
            MapOperation::Clear => self.clear(dot),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> BTreeMap<u8, Siblings<u8>> {
        self.rows().map(|(key, row)| (*key, row.clone())).collect()
    }
}

impl Replicated for Context {
    type Operation = u64;
    type Reading = Vec<(ReplicaId, u64, u64)>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<u64> {
        (1..12u64).boxed()
    }

    fn apply(&mut self, counter: &u64, writer: ReplicaId, _: Stamp) -> Self {
        let delta: Self = [Dot::new(writer, *counter)].into_iter().collect();
        self.merge(&delta);
        delta
    }

    fn join(&mut self, other: &Self) {
        self.merge(other);
    }

    fn read(&self) -> Vec<(ReplicaId, u64, u64)> {
        self.intervals().collect()
    }
}

impl Replicated for VersionVector {
    type Operation = ();
    type Reading = Vec<(ReplicaId, u64)>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn apply(&mut self, (): &(), writer: ReplicaId, _: Stamp) -> Self {
        let mut delta = Self::new();
        delta.observe(self.increment(writer));
        delta
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> Vec<(ReplicaId, u64)> {
        self.iter().collect()
    }
}

/// What is done to a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOperation {
    /// Inserts a member.
    Insert(u8),
    /// Removes a member.
    Remove(u8),
    /// Removes all members.
    Clear,
}

impl Replicated for OrSet<u8> {
    type Operation = SetOperation;
    type Reading = Vec<u8>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<SetOperation> {
        prop_oneof![
            4 => (0..4u8).prop_map(SetOperation::Insert),
            2 => (0..4u8).prop_map(SetOperation::Remove),
            1 => Just(SetOperation::Clear),
        ]
        .boxed()
    }

    fn apply(&mut self, operation: &SetOperation, writer: ReplicaId, _: Stamp) -> Self {
        match *operation {
            SetOperation::Insert(member) => self.insert(writer, member),
            SetOperation::Remove(member) => self.remove(writer, &member),
            SetOperation::Clear => self.clear(writer),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> Vec<u8> {
        self.iter().copied().collect()
    }
}

impl Replicated for LwwMap<String, u8> {
    type Operation = MapOperation;
    type Reading = BTreeMap<String, (u8, Siblings<u8>)>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<MapOperation> {
        CausalMap::operations()
    }

    fn apply(&mut self, operation: &MapOperation, writer: ReplicaId, stamp: Stamp) -> Self {
        match *operation {
            MapOperation::Put(key, value) | MapOperation::PutBeside(key, value) => {
                self.insert(writer, stamp, key.to_string(), value)
            }
            MapOperation::Remove(key) => self.remove(writer, &key.to_string()),
            MapOperation::Clear => self.clear(writer),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> BTreeMap<String, (u8, Siblings<u8>)> {
        let siblings = |key| self.siblings(key).cloned().unwrap_or_default();
        self.iter()
            .map(|(key, value)| (key.clone(), (*value, siblings(key))))
            .collect()
    }
}

/// Some value, or none to clear.
impl Replicated for LwwRegister<u8> {
    type Operation = Option<u8>;
    type Reading = Option<u8>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<Option<u8>> {
        proptest::option::weighted(0.8, any::<u8>()).boxed()
    }

    fn apply(&mut self, operation: &Option<u8>, writer: ReplicaId, stamp: Stamp) -> Self {
        match *operation {
            Some(value) => self.set(writer, stamp, value),
            None => self.clear(writer),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> Option<u8> {
        self.get().copied()
    }
}

/// Some value, or none to clear.
impl Replicated for MvRegister<u8> {
    type Operation = Option<u8>;
    type Reading = Vec<u8>;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<Option<u8>> {
        proptest::option::weighted(0.8, any::<u8>()).boxed()
    }

    fn apply(&mut self, operation: &Option<u8>, writer: ReplicaId, _: Stamp) -> Self {
        match *operation {
            Some(value) => self.set(writer, value),
            None => self.clear(writer),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> Vec<u8> {
        self.values().copied().collect()
    }
}

/// What is done to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CounterOperation {
    /// Adds so much, unless it would overflow.
    Add(i64),
    /// Sets it.
    Set(i64),
    /// Erases it.
    Reset,
}

impl Replicated for PnCounter {
    type Operation = CounterOperation;
    type Reading = (i64, Option<i128>);

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<CounterOperation> {
        prop_oneof![
            6 => (-9..10i64).prop_map(CounterOperation::Add),
            1 => prop_oneof![Just(i64::MAX), Just(i64::MIN)].prop_map(CounterOperation::Add),
            2 => (-900..900i64).prop_map(CounterOperation::Set),
            1 => Just(CounterOperation::Reset),
        ]
        .boxed()
    }

    fn apply(&mut self, operation: &CounterOperation, writer: ReplicaId, stamp: Stamp) -> Self {
        match *operation {
            CounterOperation::Add(by) => self.add(writer, by).unwrap_or_default(),
            CounterOperation::Set(value) => self.set(writer, stamp, value),
            CounterOperation::Reset => self.reset(writer),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> (i64, Option<i128>) {
        (self.value(), self.sum())
    }
}

impl Replicated for EnableWinsFlag {
    type Operation = bool;
    type Reading = bool;

    fn initial() -> Self {
        Self::new()
    }

    fn operations() -> BoxedStrategy<bool> {
        any::<bool>().boxed()
    }

    fn apply(&mut self, operation: &bool, writer: ReplicaId, _: Stamp) -> Self {
        if *operation {
            self.enable(writer)
        } else {
            self.disable(writer)
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> bool {
        self.is_enabled()
    }
}
