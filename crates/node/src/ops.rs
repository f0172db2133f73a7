//! The typed operations, each written once, on the rows of a view or of a transaction.
//!
//! They are synchronous and see exactly the rows they are given: `view.set("online")` reads one consistent state,
//! `transaction.set("online")` reads and writes inside a transaction. The asynchronous handles at the root of the crate
//! run these very operations on threads of their own.
//!
//! Code that serves views and transactions alike takes any [`ReadRows`], also as `&dyn ReadRows`:
//!
//! ```
//! use syncline::ops::{ReadRows, Set};
//!
//! fn how_many(rows: &dyn ReadRows, key: &[u8]) -> Result<u64, syncline::Error> {
//!     Set::of(rows, key).len()
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = syncline::Node::in_memory().await?;
//! let app = node.namespace("app")?;
//! let inside = app.transaction(|t| {
//!     t.set("online").insert("ada")?;
//!     how_many(t, b"online")
//! });
//! assert_eq!(inside.await?, 1);
//! assert_eq!(app.read(|view| how_many(view, b"online")).await?, 1);
//! # Ok(())
//! # }
//! ```

mod any;
pub(crate) mod cell;
mod counter;
mod draw;
pub(crate) mod expiry;
mod fingerprint;
pub(crate) mod key;
mod map;
mod register;
pub(crate) mod scan;
mod set;
mod sorted_set;
mod span;

pub use self::any::{Key, keys};
pub use self::counter::Counter;
pub use self::draw::random_key;
pub use self::expiry::ExpireIf;
pub use self::fingerprint::Fingerprint;
pub use self::map::Map;
pub use self::register::Register;
pub use self::set::Set;
pub use self::sorted_set::SortedSet;
pub use self::span::Span;
pub use crate::kind::Kind;
pub use crate::rows::{Items, ReadRows, WriteRows};

pub use syncline_store::Direction;

/// A member of a sorted set, and its score.
pub type Scored = (Vec<u8>, f64);

/// A field of a map or a key, and its value.
pub type Entry = (Vec<u8>, Vec<u8>);
