//! The walk between two sides, as an application sees it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod findings;
mod harness;
mod scenario;
