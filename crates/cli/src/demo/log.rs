//! The demo's own account of what was done: every operation on every replica, with what that replica had observed.
//! Plain data, so that the reference interpreter can read it without knowing anything of the engine.

use serde::{Deserialize, Serialize};

/// One operation of a user, named as Redis would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// SET: writes a register, in place of whatever is under the key.
    Set { key: String, value: String },
    /// INCRBY: adds to a number.
    Increment { key: String, by: i64 },
    /// SADD: puts a member into a set.
    Add { key: String, member: String },
    /// SREM: takes a member out of a set.
    Remove { key: String, member: String },
    /// HSET: gives a field of a map a value.
    SetField {
        key: String,
        field: String,
        value: String,
    },
    /// HINCRBY: adds to the number in a field of a map.
    IncrementField { key: String, field: String, by: i64 },
    /// HDEL: takes a field out of a map.
    RemoveField { key: String, field: String },
    /// DEL: removes the key, whatever it holds.
    Delete { key: String },
}

impl Operation {
    /// The key that it acts on.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Set { key, .. }
            | Self::Increment { key, .. }
            | Self::Add { key, .. }
            | Self::Remove { key, .. }
            | Self::SetField { key, .. }
            | Self::IncrementField { key, .. }
            | Self::RemoveField { key, .. }
            | Self::Delete { key } => key,
        }
    }
}

/// A place that holds one thing: the value of a key, a field of its map, a member of its set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    Value,
    Field(String),
    Member(String),
}

/// Operations applied as one, as a replica is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// The replica's own count of its transactions, from 1, without gaps.
    pub(crate) number: u64,
    pub(crate) operations: Vec<Operation>,
}

impl Transaction {
    /// A transaction of the replica named `name`, with an entry in its journal: written by the same commit, so that after a
    /// crash it tells exactly which transactions took place, acknowledged or not.
    pub(crate) fn journaled(name: &str, number: u64, mut operations: Vec<Operation>) -> Self {
        operations.push(Operation::SetField {
            key: journal_key(name),
            field: journal_field(number),
            value: "done".to_owned(),
        });
        Self { number, operations }
    }
}

/// The map that is a replica's journal.
pub(crate) fn journal_key(name: &str) -> String {
    format!("journal/{name}")
}

/// A transaction's entry in it; in the order of their numbers.
pub(crate) fn journal_field(number: u64) -> String {
    format!("{number:010}")
}

/// When and by whom a transaction was written, as the replica says. Among writes that did not observe each other the
/// greatest wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of logical count.
    pub(crate) clock: u64,
    /// The id under which the replica wrote, in hexadecimal; a new one after each opening of its store.
    pub(crate) writer: String,
}

/// A transaction that took place.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Which replica, from 0.
    pub(crate) replica: usize,
    pub(crate) transaction: Transaction,
    pub(crate) stamp: Stamp,
    /// For each replica, how many of its transactions this one had observed. A sync that ended in agreement hands on all
    /// that the peer knew, and no other kind happens between edits, so that what was observed is always the first so many.
    pub(crate) observed: Vec<u64>,
}

impl Entry {
    /// Whether it is among those that `known` counts, for each replica how many.
    pub(crate) fn is_known(&self, known: &[u64]) -> bool {
        known
            .get(self.replica)
            .is_some_and(|count| self.transaction.number <= *count)
    }

    /// Whether this transaction had observed that one.
    pub(crate) fn had_observed(&self, earlier: &Self) -> bool {
        earlier.is_known(&self.observed)
    }
}

/// All that took place, on all replicas, and what each of them knows by now.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    known: Vec<Vec<u64>>,
}

impl Log {
    pub(crate) fn new(replicas: usize) -> Self {
        Self {
            entries: Vec::new(),
            known: vec![vec![0; replicas]; replicas],
        }
    }

    /// Records a transaction that a replica has acknowledged, or that was found to have landed.
    pub(crate) fn record(&mut self, replica: usize, transaction: Transaction, stamp: Stamp) {
        let known = &mut self.known[replica];
        known[replica] = known[replica].max(transaction.number);
        let mut observed = known.clone();
        observed[replica] = transaction.number.saturating_sub(1);
        self.entries.push(Entry {
            replica,
            transaction,
            stamp,
            observed,
        });
    }

    /// Records that two replicas came to agree: each now knows what the other knew.
    pub(crate) fn agreed(&mut self, one: usize, other: usize) {
        let union: Vec<u64> = self.known[one]
            .iter()
            .zip(&self.known[other])
            .map(|(a, b)| *a.max(b))
            .collect();
        self.known[one].clone_from(&union);
        self.known[other] = union;
    }

    /// For each replica, how many of its transactions `replica` knows.
    pub(crate) fn known_to(&self, replica: usize) -> &[u64] {
        &self.known[replica]
    }

    /// The number that the next transaction of `replica` has.
    pub(crate) fn next_number(&self, replica: usize) -> u64 {
        self.known[replica][replica] + 1
    }
}
