//! Random models of the two designs that everything rests on, run on the real kernel: the causal rules by which rows
//! travel, and the numeric cell. Each also runs in variants that leave a rule out, which must be caught.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "models/carriers.rs"]
mod carriers;
#[path = "models/causal.rs"]
mod causal;
#[path = "models/counter.rs"]
mod counter;
#[path = "models/expiry.rs"]
mod expiry;
#[path = "models/random.rs"]
mod random;
#[path = "models/removals.rs"]
mod removals;
#[path = "models/replica.rs"]
mod replica;
#[path = "models/session.rs"]
mod session;
#[path = "models/stability.rs"]
mod stability;
