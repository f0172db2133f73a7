//! Anti-entropy between two replicas.
#![cfg_attr(not(any(feature = "quic", feature = "store", test)), no_std)]

extern crate alloc;

mod config;
mod error;
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

pub use config::{Config, Request, Strategy};
pub use error::{Refusal, RefusalCode, ReplicaError, SessionError};
pub use replica::{Additions, Incoming, Replica, Rows, View};
pub use report::{Report, Traffic};
pub use session::{Opening, Session};
