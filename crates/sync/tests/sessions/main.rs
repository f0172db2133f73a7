//! Whole sessions between stores in memory, frame by frame, without a network.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]
#![cfg(feature = "store")]

mod carriers;
mod companions;
mod convergence;
mod damage;
mod figures;
mod fragments;
mod handing_on;
mod hostile;
mod live;
mod pump;
mod ranges;
mod refusals;
mod removals;
mod resumption;
