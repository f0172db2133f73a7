//! The parts that scenarios across crates are made of.
//!
//! What it is: seeded choices ([`rng`]), a reference that says what a set of operations comes to ([`mod@reference`]), and the bodies of
//! the fuzz targets ([`laws`]), so that a fuzzer and `cargo test` run the same code. The scenarios themselves are the
//! files in `tests/`.
//!
//! What it is not: part of the product. Everything here panics when something is wrong, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod cluster;
pub mod commands;
pub mod decoders;
pub mod faulty;
pub mod formats;
pub mod laws;
pub mod link;
pub mod live;
pub mod media;
pub mod payload;
pub mod reference;
pub mod requests;
pub mod rng;
pub mod session;
pub mod storing;
