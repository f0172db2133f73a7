//! What clients see, by the protocol.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod afar;
mod client;
mod clients;
mod clients_of_redis;
mod dump;
mod operators;
mod oracle;
mod pubsub;
mod scan;
mod semantics;
mod tls;
mod transcripts;
mod waits;
