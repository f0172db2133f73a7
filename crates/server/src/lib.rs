//! The Redis face of a [`Node`](syncline::Node): any Redis client can talk to it.
//!
//! # What it is
//!
//! A [`Server`] listens for clients that speak RESP, version 2 or 3, and answers as Redis 7 does. Databases 0 to 15 are the
//! namespaces `db0` to `db15` of the node, so what clients write merges with what is written elsewhere as
//! `docs/semantics.md` says, and can be read through the library as well.
//!
//! # What it is not
//!
//! It stores nothing itself, and knows nothing of other nodes. There is one table of [commands](table), from which dispatch, `COMMAND`,
//! `COMMAND DOCS` and the page of commands in the documentation come; what is not in it is unknown.
//!
//! # How a request flows through it
//!
//! 1. A connection (`connection.rs`) reads what a client sends; a [`Parser`] cuts it into [`Request`]s, which borrow from what was read.
//! 2. All requests that have come are executed (`execute.rs`): neighbours that only read share one view, on the spot; neighbours that write are handed to the
//!    namespace's writer together, each a transaction of its own; between `MULTI` and `EXEC` they are one.
//! 3. A family of commands (`commands/`) does the work, on rows that may be those of a view or of a transaction.
//!    One that has to wait for what others write leaves what it wants (`waiting.rs`) and stands in line (`lines.rs`), while its connection goes on listening
//!    to the client.
//! 4. The [`Reply`] is written in the client's version of the protocol, and all replies go out at once.

mod client;
mod commands;
mod connection;
mod contents;
mod cursors;
mod databases;
mod execute;
mod glob;
mod keyspace;
mod lines;
mod mail;
mod meter;
mod notes;
mod number;
mod pubsub;
mod refusal;
mod reply;
mod request;
mod server;
mod session;
mod settings;
mod stats;
pub mod table;
mod tls;
mod waiting;

pub use meter::{FamilyReadings, Meter, Readings};
pub use reply::{Protocol, Reply};
pub use request::{Parser, ProtocolError, Request};
pub use server::{Options, Server, ServerError};
pub use tls::{TlsError, TlsFiles};
