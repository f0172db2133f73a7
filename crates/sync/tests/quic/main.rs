//! Sessions over real QUIC, on loopback: with peers that behave, peers that do not, and wires that
//! break.
#![cfg(all(feature = "quic", feature = "store"))]
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod concurrency;
mod hostile;
mod identity;
mod impostors;
mod link;
mod log;
mod members;
mod petitions;
mod raw;
mod strategies;
mod trust;
mod world;
