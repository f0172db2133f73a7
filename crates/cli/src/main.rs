//! The `syncline` command.
//!
//! It is a thin room above the library: `args` parses and validates, each command has a file that carries it out, and
//! `failure` is how all of them end badly. Nothing here decides anything about replication.

mod args;
mod demo;
mod failure;
mod progress;
mod records;
mod seeded;
mod table;

fn main() {}
