//! The typed operations, each written once, on the rows of a view or of a transaction.
//!
//! They are synchronous and see exactly the rows they are given: `view.set("online")` reads one consistent state,
//! `transaction.set("online")` reads and writes inside a transaction. The asynchronous handles at the root of the crate
//! run these very operations on threads of their own.

pub(crate) mod cell;
mod counter;
pub(crate) mod expiry;
pub(crate) mod key;
mod map;
mod register;
pub(crate) mod scan;
mod set;

pub use self::counter::Counter;
pub use self::expiry::ExpireIf;
pub use self::map::Map;
pub use self::register::Register;
pub use self::set::Set;
pub use crate::kind::Kind;
pub use crate::rows::{Items, ReadRows, WriteRows};

/// A field of a map or a key, and its value.
pub type Entry = (Vec<u8>, Vec<u8>);
