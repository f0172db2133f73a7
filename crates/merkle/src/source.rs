//! What a reconciliation reads of one side's items.

use alloc::vec::Vec;

use crate::{Cut, Item, KeyRange, RangeDigest};

/// One side of a reconciliation: ordered items with their digests, for whatever the items are.
///
/// The methods of one call to the walk must all see one state; between the calls the items may
/// change freely. A store implements it on a snapshot, with the functions of [`tree`](crate::tree)
/// for the first three methods.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// The digest of all items in `range`.
    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, Self::Error>;

    /// Cuts `range` at the fences of `level` (1 and up) that lie strictly inside it, into at most
    /// `limit` sub-ranges; where there are more, the cut ends before the range does.
    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, Self::Error>;

    /// The first items of `range` in key order, at most `limit`.
    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Self::Error>;

    /// What the other side's application is told of an item that it may lack, such as its version.
    /// Opaque here. Empty when there is no such item.
    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

impl<S: Source> Source for &S {
    type Error = S::Error;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, Self::Error> {
        (*self).digest(range)
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, Self::Error> {
        (*self).cut(range, level, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Self::Error> {
        (*self).items(range, limit)
    }

    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, Self::Error> {
        (*self).describe(key)
    }
}
