//! Range digests over ordered keys, and reconciliation of key ranges by walking them.
#![cfg_attr(not(test), no_std)]

extern crate alloc;
// The tests of the walk are written against the crate from outside, and some of them run inside.
#[cfg(test)]
extern crate self as syncline_merkle;

mod digest;
mod key;
mod memory;
mod range;
pub mod reconcile;
mod source;
pub mod tree;

pub use digest::{ItemDigest, RangeDigest};
pub use key::{DigestKey, MAX_LEVEL};
pub use memory::MemoryTree;
pub use range::{Bounds, KeyRange};
pub use source::Source;
pub use tree::{Change, Cut, Item, Node, NodeEdit, Nodes};
