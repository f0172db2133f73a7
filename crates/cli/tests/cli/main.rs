//! The command as its users meet it: real processes, their output and their exit codes.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod backup;
mod bench;
mod cluster;
mod command;
mod conflicts;
#[cfg(target_os = "linux")]
mod cut;
mod demo;
mod help;
mod import_export;
mod mcp;
mod member;
#[cfg(target_os = "linux")]
mod network;
mod node;
mod redis;
mod s3;
mod scrub;
mod sim;
mod sync;
mod three_nodes;
