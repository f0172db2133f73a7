//! Bad input at every door that one process has: a typed error with a remedy in its text, and nothing lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod damage;
mod doors;
mod files;
mod peers;
