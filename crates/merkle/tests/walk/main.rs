//! The walk between two sides, as an application sees it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod cost;
mod findings;
mod harness;
mod hostile;
mod live;
mod scenario;
