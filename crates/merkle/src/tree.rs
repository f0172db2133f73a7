//! The digest tree: range digests kept at content-defined fences, so that any range is digested in
//! O(log n).
//!
//! ```text
//! level 2  ""                           h                              nodes: fence -> digest
//! level 1  ""          d        f       h           m        s
//! items    a  b  c     d  e     f  g    h  k  l     m  p     s  t  u   the rows themselves
//! ```
//!
//! A key is a *fence* of level *l* by its own keyed hash
//! ([`DigestKey::level`](crate::DigestKey::level)). The node of level *l* at a fence holds the
//! digest of all items from that fence to the next fence of level *l*; the first node of a level
//! begins at the start of the key space and is filed under the empty key. The fences of a level are
//! among those of the level below, so nodes nest, 16 to one on average, with 32 items in a node of
//! level 1. Level 0 has one node, the root.
//!
//! A level exists as soon as there is a fence for it: a tree of a thousand items has a root and two
//! levels or so. So the nodes are a function of the set of items, whatever the order in which they
//! came and went.
//!
//! The tree does not own its nodes: they are rows of a table beside the items, read through
//! [`Nodes`]. [`apply`] turns the changes of a transaction into the [`NodeEdit`]s to be committed
//! with them. So the tree is as durable as the items, is never rebuilt, and costs no memory of its
//! own.
//!
//! Digests count, so the tree also tells how many items a range holds and which is the [`nth`] of
//! them. Where nothing else is wanted, items may all have the same digest, zero, of which a sum is
//! nothing but its [count](RangeDigest::counting).

mod apply;
mod read;
mod reader;
mod recount;

pub use apply::{Change, NodeEdit, apply};
pub use read::{Cut, cut, digest, nth, root};
pub use recount::{Rebuild, Recount, recount};

use alloc::vec::Vec;

use crate::range::after;
use crate::{ItemDigest, KeyRange, RangeDigest};

/// A node of the tree, or a sub-range that [`cut`] made: where it begins, and the digest of what it
/// holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The first key of the range.
    pub fence: Vec<u8>,
    /// The digest of the items from there to the next.
    pub digest: RangeDigest,
}

/// An item as the tree sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Vec<u8>,
    /// Its digest, as stored with it.
    pub digest: ItemDigest,
}

/// Read access to one state of the stored nodes and items, such as a snapshot or a read
/// transaction.
///
/// Nodes are filed by (level, fence), levels 0 to [`MAX_LEVEL`](crate::MAX_LEVEL), in bytewise
/// order of the fences. An implementation stores what [`apply`] tells it to and nothing else; a
/// table of level byte followed by fence does.
pub trait Nodes {
    /// Why a read failed.
    type Error;

    /// The last node of `level` whose fence lies strictly before `bound`.
    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, Self::Error>;

    /// The first nodes of `level` whose fences lie in `range`, in order, at most `limit`.
    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, Self::Error>;

    /// The first items of `range` in key order, at most `limit`.
    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Self::Error>;

    /// The node of `level` that `key` lies in: the last whose fence is at or before it. `None`
    /// where the level does not exist.
    fn floor(&self, level: u8, key: &[u8]) -> Result<Option<Node>, Self::Error> {
        self.last_before(level, &after(key))
    }
}

impl<N: Nodes> Nodes for &N {
    type Error = N::Error;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, Self::Error> {
        (*self).last_before(level, bound)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, Self::Error> {
        (*self).nodes(level, range, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Self::Error> {
        (*self).items(range, limit)
    }

    fn floor(&self, level: u8, key: &[u8]) -> Result<Option<Node>, Self::Error> {
        (*self).floor(level, key)
    }
}

/// How many nodes or items are read at a time where a whole run of them is wanted.
const CHUNK: usize = 256;

/// Visits every node of `level` with its fence in `range`.
fn each_node<N: Nodes>(
    nodes: &N,
    level: u8,
    range: &KeyRange,
    mut visit: impl FnMut(Node),
) -> Result<(), N::Error> {
    let mut rest = range.clone();
    loop {
        let chunk = nodes.nodes(level, &rest, CHUNK)?;
        let full = chunk.len() == CHUNK;
        if let Some(last) = chunk.last() {
            rest.lower = after(&last.fence);
        }
        chunk.into_iter().for_each(&mut visit);
        if !full {
            return Ok(());
        }
    }
}

/// Visits every item of `range`.
fn each_item<N: Nodes>(
    nodes: &N,
    range: &KeyRange,
    mut visit: impl FnMut(Item),
) -> Result<(), N::Error> {
    let mut rest = range.clone();
    loop {
        let chunk = nodes.items(&rest, CHUNK)?;
        let full = chunk.len() == CHUNK;
        if let Some(last) = chunk.last() {
            rest.lower = after(&last.key);
        }
        chunk.into_iter().for_each(&mut visit);
        if !full {
            return Ok(());
        }
    }
}
