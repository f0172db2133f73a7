//! Digests of key ranges, kept up to date in logarithmic time, and the reconciliation of two sets
//! by comparing them.
//!
//! *What it is.* Two machines hold ordered sets of items, keys with values, and want to know where
//! they differ at a cost that follows the differences, not the sets. This crate has the two halves
//! of that: a [`tree`] of digests that a store keeps beside its items, and a [`reconcile`] that
//! walks two such trees and ends in the very keys. Beside them is a [`sketch`], for sets of small
//! elements without an order: it tells fewer differences, in one flight and a third of the bytes.
//!
//! *What it is not.* It does not know what items mean, who is right where two sides differ, or how
//! bytes travel; it holds no items, opens no files, and has no clock. It is `no_std` with `alloc`,
//! and deterministic: the same calls make the same bytes.
//!
//! # How a write comes to be found
//!
//! 1. An item becomes an [`ItemDigest`]: BLAKE3 under a [`DigestKey`] that the members of a cluster
//!    share, over key and value. The store files it with the item, where it is a checksum too.
//! 2. Some keys are *fences*: [`DigestKey::level`] says so from a hash of the key alone, one in 32
//!    at level 1, one in 16 of these at level 2, and so on. They cut the key space at the same
//!    places on every machine.
//! 3. [`tree::apply`] turns the [`Change`]s of a transaction into [`NodeEdit`]s: the
//!    [`RangeDigest`]s, count and sum, of the ranges between fences that the items lie in. The
//!    store commits them together.
//! 4. Any range is digested from there without reading its items: [`tree::digest`]. Equal digests,
//!    equal items.
//! 5. Where they are not equal, each side makes a [`Walk`](reconcile::Walk) and hands it what the
//!    other's says, with a [`Source`] to read from, until both are done. On the way come
//!    [`Finding`](reconcile::Finding)s: these keys are missing there, those differ.
//!
//! [`MemoryTree`] does steps 1 to 4 in memory, so that the whole can be tried in a few lines:
//!
//! ```
//! use syncline_merkle::reconcile::{Finding, Limits, Walk};
//! use syncline_merkle::{DigestKey, KeyRange, MemoryTree};
//!
//! let mut trees = [(), ()].map(|()| MemoryTree::new(DigestKey::derive(&[7; 32])));
//! for tree in &mut trees {
//!     for n in 0..5000 {
//!         tree.insert(format!("user:{n}").as_bytes(), b"offline");
//!     }
//! }
//! trees[0].insert(b"user:ada", b"online");
//! assert_ne!(trees[0].root(), trees[1].root());
//!
//! let walk = || Walk::new(*b"fresh and random", KeyRange::ALL, Limits::default());
//! let mut walks = [walk(), walk()];
//! let mut message = Some(walks[0].start(&trees[0])?);
//! let (mut side, mut found) = (1, Vec::new());
//! while let Some(bytes) = message {
//!     let step = walks[side].handle(&trees[side], &bytes)?;
//!     found.extend(step.findings.into_iter().map(|finding| (side, finding)));
//!     message = step.reply;
//!     side = 1 - side;
//! }
//! assert_eq!(found, [(0, Finding::OnlyHere { keys: vec![b"user:ada".to_vec()] })]);
//! # Ok::<(), syncline_merkle::reconcile::WalkError<core::convert::Infallible>>(())
//! ```
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
pub mod sketch;
mod source;
pub mod tree;
mod varint;

pub use digest::{ItemDigest, RangeDigest};
pub use key::{DigestKey, MAX_LEVEL};
pub use memory::MemoryTree;
pub use range::{Bounds, KeyRange, after};
pub use source::Source;
pub use tree::{Change, Cut, Item, Node, NodeEdit, Nodes};
