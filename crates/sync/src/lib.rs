//! Anti-entropy: two replicas of a namespace find out what differs, exchange that and nothing else, and know whether
//! they agree.
//!
//! # What it is
//!
//! A [`Session`] is a state machine: it takes the peer's frames and gives frames for the peer. It works on anything
//! that implements [`Replica`]: rows with a causal context and range digests, which can join rows of a peer in an
//! atomic commit. A `syncline_store::Store` does, behind the feature `store`. The feature `quic` adds the driver that
//! moves frames over QUIC under mutual TLS.
//!
//! # What it is not
//!
//! It does no IO and has no clock, no randomness and no threads: built without features it is `no_std`. Time and salt
//! come with [`Config`] and [`Request`]. It chooses no peers and no times to sync. What it says to a peer is no secret
//! from that peer: the transport has to see to it that the peer is a member of the cluster.
//!
//! # How a session goes
//!
//! ```text
//! initiator                                              responder
//!    Hello: root, context ───────────────────────────────▶           equal roots: the contexts merge, done
//!              ◀────────────────── Hello, rows that the initiator has not seen, End
//!    rows that the responder has not seen, End, Root ────▶           equal roots now: done
//!              ◀────────────────────────────────────────── Root, or the walk: digests of ranges
//!    finer digests, rows where ranges differ ────────────▶
//!              ◀──────────────────────────────────────────  …
//!    Root ───────────────────────────────────────────────▶
//!              ◀────────────────────────────────────────── Root
//! ```
//!
//! What was added or overwritten costs no search: what is live here and not in the peer's context is exactly what the
//! peer lacks. What is left, removals above all, is found by walking the ranges whose digests differ. Rows travel as
//! soon as they are known to be needed, both ways at once, and are joined as they come, so a session that breaks off
//! keeps what it got, and the next goes on from there. Only equal roots, all of their bytes, are called agreement. What
//! opens `src/session.rs` says why each step is safe, and why a session ends.
//!
//! # How a value flows through it
//!
//! A row is read from the replica's latest state when a frame is polled, is written into the frame against the row
//! before it, and is joined by the peer's replica, under the sender's context as of the session's start, in one commit
//! with the part of that context which may be called seen by then.
//!
//! # Example
//!
//! Two stores in memory, and all the driver that they need:
//!
//! ```
//! # #[cfg(feature = "store")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use syncline_crdt::RowKey;
//! use syncline_store::{Config as StoreConfig, Durability, MemoryEngine, Store};
//! use syncline_sync::{Config, Opening, Request, Session};
//!
//! let ours = Store::open(MemoryEngine::new(), StoreConfig::new("app", [7; 32]))?;
//! let theirs = Store::open(MemoryEngine::new(), StoreConfig::new("app", [7; 32]))?;
//! ours.transact(Durability::Durable, |txn| txn.put(&RowKey::cell(b"name"), b"Ada".to_vec()))?;
//! theirs.transact(Durability::Durable, |txn| txn.put(&RowKey::member(b"online", b"bob"), Vec::new()))?;
//!
//! let now = 1_700_000_000_000; // milliseconds since 1970
//! let config = |node| Config::new(*b"the cluster's id", [node; 32], "app", now);
//! let mut initiator = Session::initiate(&ours, config(1), Request::new(*b"16 random bytes!"))?;
//! let greeting = initiator.poll_frame()?.expect("an initiator greets");
//! let mut responder = Session::respond(&theirs, config(2), Opening::read(&greeting)?)?;
//! while !(initiator.is_finished() && responder.is_finished()) {
//!     while let Some(frame) = responder.poll_frame()? {
//!         initiator.handle_frame(&frame)?;
//!     }
//!     while let Some(frame) = initiator.poll_frame()? {
//!         responder.handle_frame(&frame)?;
//!     }
//! }
//!
//! let report = initiator.report();
//! assert!(report.agreed);
//! assert_eq!((report.rows_sent, report.rows_received), (1, 1));
//! assert_eq!(report.round_trips(), 2.0);
//! assert_eq!(ours.view()?.root()?, theirs.view()?.root()?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "store"))]
//! # fn main() {}
//! ```
#![cfg_attr(not(any(feature = "quic", feature = "store", test)), no_std)]

extern crate alloc;

mod carriers;
pub mod companion;
mod config;
mod error;
mod forms;
pub mod frame;
mod hello;
#[cfg(feature = "quic")]
pub mod quic;
mod replica;
mod report;
mod rows;
mod session;
#[cfg(feature = "store")]
mod store;

pub use carriers::{Attendance, Statement};
pub use config::{BATCH_BYTES, Config, Request, Strategy};
pub use error::{Refusal, RefusalCode, ReplicaError, SessionError};
pub use replica::{
    Additions, Incoming, RangeRemoval, Removal, Removals, Replica, Rows, Sketch, View,
};
pub use report::{Report, Traffic};
pub use session::{Opening, Session};
#[cfg(feature = "store")]
pub use store::Reading;
