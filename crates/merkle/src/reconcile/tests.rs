//! Tests that need to reach inside: coinciding fingerprints, and messages made of any parts.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic)]

mod coincidences;
#[path = "../../tests/walk/harness.rs"]
mod harness;
mod liars;
#[path = "../../tests/walk/scenario.rs"]
mod scenario;
