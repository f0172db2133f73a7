//! Backups of real nodes, in directories and in memory.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod damage;
mod harness;
mod incremental;
mod joining;
mod place;
mod pruning;
mod round_trip;
