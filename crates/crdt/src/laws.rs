//! The laws of a delta-state CRDT, as a suite for types of your own (feature `laws`).
//!
//! Implement [`Replicated`] for the type: how to start, what can be done to it, how it joins and what it reads as.
//! [`check`] then makes up histories of a few replicas, which write, lose, double and reorder each other's deltas and
//! join each other's states, and holds every state that comes up against the laws:
//!
//! - *join* is idempotent, commutative and associative;
//! - a write changes the state just as joining its delta does;
//! - all deltas, in any order and doubled, come to the join of all states; so does any part of them, once healed by
//!   whole states;
//! - equal states read alike, whatever the order in which they came to be.
//!
//! [`check_codec`] adds, for [`Canonical`] types, that decoding undoes encoding, takes up exactly what was written, and
//! that equal states have equal bytes. A history that breaks a law is shrunk to a small one before it is reported.
//!
//! The suite is deterministic: the same number of cases tries the same histories.
//!
//! The types of this crate implement [`Replicated`] for small keys and values.
//!
//! # A type of one's own
//!
//! The highest score of each player, and a test that holds it against the laws:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use syncline_crdt::laws::proptest::prelude::*;
//! use syncline_crdt::laws::{self, Replicated};
//! use syncline_crdt::{Canonical, DecodeError, Input, ReplicaId, Stamp};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct HighScores(BTreeMap<u8, u32>);
//!
//! impl Replicated for HighScores {
//!     type Operation = (u8, u32);
//!     type Reading = BTreeMap<u8, u32>;
//!
//!     fn initial() -> Self {
//!         Self(BTreeMap::new())
//!     }
//!
//!     fn operations() -> BoxedStrategy<(u8, u32)> {
//!         (0..3u8, any::<u32>()).boxed()
//!     }
//!
//!     fn apply(&mut self, &(player, score): &(u8, u32), _: ReplicaId, _: Stamp) -> Self {
//!         let delta = Self(BTreeMap::from([(player, score)]));
//!         self.join(&delta);
//!         delta
//!     }
//!
//!     fn join(&mut self, other: &Self) {
//!         for (&player, &score) in &other.0 {
//!             let best = self.0.entry(player).or_default();
//!             *best = score.max(*best);
//!         }
//!     }
//!
//!     fn read(&self) -> BTreeMap<u8, u32> {
//!         self.0.clone()
//!     }
//! }
//!
//! impl Canonical for HighScores {
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         self.0.encode(out);
//!     }
//!
//!     fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
//!         BTreeMap::decode(input).map(Self)
//!     }
//! }
//!
//! # fn main() -> Result<(), laws::Broken> {
//! laws::check::<HighScores>(200)?;
//! laws::check_codec::<HighScores>(200)
//! # }
//! ```

mod history;
mod rules;
mod subjects;

use std::fmt;
use std::string::{String, ToString};

pub use proptest;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::canonical::Canonical;
use crate::clock::Stamp;
use crate::dot::ReplicaId;

pub use history::{History, Run, Step};
pub use subjects::{CounterOperation, MapOperation, SetOperation};

/// A type that can be held against the laws.
pub trait Replicated: Clone + PartialEq + fmt::Debug {
    /// Something that a user does to it.
    type Operation: Clone + fmt::Debug;
    /// What a user reads from it; all of it, in the order in which it is presented.
    type Reading: PartialEq + fmt::Debug;

    /// The state that every replica starts from.
    fn initial() -> Self;

    /// Random operations. A small range of keys and values makes conflicts likely.
    fn operations() -> BoxedStrategy<Self::Operation>;

    /// Does an operation on behalf of `writer` and returns its delta. An operation that is refused, or has no effect,
    /// changes nothing and returns a delta that does not either.
    ///
    /// Each replica of a history has a writer id of its own. Stamps come from a hybrid logical clock that has observed
    /// all that was joined, so they are unique for a writer and later than what it knows of.
    fn apply(&mut self, operation: &Self::Operation, writer: ReplicaId, stamp: Stamp) -> Self;

    /// Merges a delta or a whole state.
    fn join(&mut self, other: &Self);

    /// Reads all of it.
    fn read(&self) -> Self::Reading;
}

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law}\nafter this history:\n{history}")]
pub struct Broken {
    law: String,
    history: String,
}

impl Broken {
    /// The law, and the states that break it.
    #[must_use]
    pub fn law(&self) -> &str {
        &self.law
    }

    /// The smallest history found that breaks it.
    #[must_use]
    pub fn history(&self) -> &str {
        &self.history
    }
}

/// Holds the type against all laws of joining and reading, over so many random histories.
///
/// # Errors
/// The law that is broken, with a small history that breaks it.
pub fn check<T: Replicated>(cases: u32) -> Result<(), Broken> {
    over_histories::<T>(cases, |history| history.replay::<T>().check())
}

/// Holds the type's encoding against the laws of [`Canonical`], over so many random histories.
///
/// # Errors
/// The law that is broken, with a small history that breaks it.
pub fn check_codec<T: Replicated + Canonical>(cases: u32) -> Result<(), Broken> {
    over_histories::<T>(cases, |history| history.replay::<T>().check_codec())
}

fn over_histories<T: Replicated>(
    cases: u32,
    law: impl Fn(&History<T::Operation>) -> Result<(), String>,
) -> Result<(), Broken> {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&History::strategy(T::operations()), |history| {
        law(&history).map_err(TestCaseError::fail)
    });
    outcome.map_err(|error| match error {
        TestError::Fail(law, history) => Broken {
            law: law.message().into(),
            history: history.to_string(),
        },
        TestError::Abort(reason) => Broken {
            law: std::format!("no histories could be made up: {reason}"),
            history: String::new(),
        },
    })
}
