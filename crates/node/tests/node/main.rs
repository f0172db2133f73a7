//! The library as an application uses it, through its public surface alone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod copies;
mod drawing;
mod durability;
mod enrolment;
mod expiry;
mod handles;
mod large;
mod many;
mod measured;
mod members;
mod newer;
mod pair;
mod patience;
mod peers;
mod publications;
mod quorum;
mod registers;
mod removing;
mod scrub;
mod semantics;
mod sorted_sets;
mod space;
mod testing;
mod tokens;
mod transactions;
mod trust;
mod typed;
mod watching;
mod wires;
