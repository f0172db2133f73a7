//! From the changes of a transaction to the nodes that change with them.
//!
//! Level by level, upwards. On each level first every node that holds a changed item takes the
//! difference (old digest out, new one in). Then fences that went away give their node to the one
//! before, and new fences split the node that they lie in, last one first, so that each piece is
//! summed up from the level below exactly once. What the level comes to is the level above's
//! material. Nothing is written meanwhile: reads go to the state before, touched nodes are held
//! here.
//!
//! Cost: about one look-up for each distinct node touched on a level (fewer where touched nodes are
//! close: what lies between them is read in runs), and for each fence that comes or goes about one leaf of items and
//! one fanout of nodes per level of it. One item in 32 is a fence, so that is one item read per
//! item inserted, on average.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use super::reader::Reader;
use super::{CHUNK, Node, Nodes, each_item, each_node};
use crate::range::after;
use crate::{DigestKey, ItemDigest, KeyRange, MAX_LEVEL, RangeDigest};

/// What a transaction did to one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The item's key.
    pub key: &'a [u8],
    /// Its digest before, if it was there.
    pub old: Option<ItemDigest>,
    /// Its digest now, if it is there.
    pub new: Option<ItemDigest>,
}

/// A node to be stored or removed, in the same commit as the changes that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEdit {
    /// 0 for the root, up to [`MAX_LEVEL`].
    pub level: u8,
    /// Where the node begins.
    pub fence: Vec<u8>,
    /// What to file there; `None` removes the node.
    pub digest: Option<RangeDigest>,
}

/// The node edits that bring the tree up to date with `changes`, ordered by (level, fence), each
/// node at most once.
///
/// `nodes` is the tree before the changes. Its items may be those before *or* after them: whatever
/// it says of a changed key is passed over. Changes are best given in key order; out of order they
/// are sorted, and several changes of one key are taken to have happened in the order given.
///
/// An `old` digest that was never there is not noticed: it is subtracted all the same, and
/// [`recount`](super::recount) will tell.
///
/// ```
/// use syncline_merkle::{Change, DigestKey, MemoryTree, tree};
///
/// let key = DigestKey::derive(&[7; 32]);
/// let empty = MemoryTree::new(key.clone());
/// let ada = key.item(b"ada", b"1");
///
/// let edits = tree::apply(&key, &empty, &[Change { key: b"ada", old: None, new: Some(ada) }])?;
/// assert_eq!(edits.len(), 1, "one item makes a root");
/// assert_eq!(edits[0].digest.map(|root| root.count()), Some(1));
/// # Ok::<(), core::convert::Infallible>(())
/// ```
pub fn apply<N: Nodes>(
    key: &DigestKey,
    nodes: &N,
    changes: &[Change<'_>],
) -> Result<Vec<NodeEdit>, N::Error> {
    let changes = in_order(changes);
    let effects: Vec<Effect<'_>> = changes
        .iter()
        .filter(|change| change.old != change.new)
        .map(|change| Effect::of(key, change))
        .collect();
    if effects.is_empty() {
        return Ok(Vec::new());
    }

    let before = nodes
        .floor(0, b"")?
        .map_or(RangeDigest::ZERO, |root| root.digest);
    let root = before + effects.iter().map(|effect| effect.delta).sum();
    let mut edits = Vec::new();
    edits.push(NodeEdit {
        level: 0,
        fence: Vec::new(),
        digest: (!root.is_zero()).then_some(root),
    });

    let mut below = Level::default();
    // Where this level's nodes take their differences from: the items themselves, then the nodes
    // touched one level down.
    let mut deltas: Vec<Delta<'_>> = effects
        .iter()
        .map(|effect| (Cow::Borrowed(effect.key), effect.delta))
        .collect();
    for level in 1..=MAX_LEVEL {
        let mut this = Level::new(level);
        deltas = if let Some(first) = nodes.floor(level, &deltas[0].0)? {
            this.add_deltas(nodes, first, &deltas)?
        } else if effects.iter().any(|effect| effect.raises(level)) {
            // The level comes into being: one node over everything, about to be split.
            this.touched.insert(Vec::new(), root);
            Vec::from([(Cow::Owned(Vec::new()), root - before)])
        } else {
            break;
        };
        for effect in effects.iter().rev().filter(|effect| effect.razes(level)) {
            this.merge_into_previous(nodes, effect.key)?;
        }
        for effect in effects.iter().rev().filter(|effect| effect.raises(level)) {
            this.split_at(nodes, effect.key, &below, &effects)?;
        }
        this.vanish_without_fences(nodes)?;
        core::mem::replace(&mut below, this).drain_into(&mut edits);
    }
    below.drain_into(&mut edits);
    Ok(edits)
}

/// The changes in strictly ascending key order.
fn in_order<'c, 'a>(changes: &'c [Change<'a>]) -> Cow<'c, [Change<'a>]> {
    if changes.is_sorted_by(|a, b| a.key < b.key) {
        return Cow::Borrowed(changes);
    }
    let mut sorted = changes.to_vec();
    sorted.sort_by_key(|change| change.key);
    sorted.dedup_by(|later, earlier| {
        let same = later.key == earlier.key;
        if same {
            earlier.new = later.new;
        }
        same
    });
    Cow::Owned(sorted)
}

/// A change, as the tree takes it.
struct Effect<'a> {
    key: &'a [u8],
    new: Option<ItemDigest>,
    delta: RangeDigest,
    /// The levels, from 1, at which a fence comes or goes with the item. 0 for an item that stays,
    /// and for one that is no fence.
    fence: u8,
}

impl<'a> Effect<'a> {
    fn of(key: &DigestKey, change: &Change<'a>) -> Self {
        let digest =
            |item: &Option<ItemDigest>| item.as_ref().map_or(RangeDigest::ZERO, RangeDigest::of);
        let stays = change.old.is_some() && change.new.is_some();
        Self {
            key: change.key,
            new: change.new,
            delta: digest(&change.new) - digest(&change.old),
            fence: if stays { 0 } else { key.level(change.key) },
        }
    }

    /// Whether the item comes and is a fence of this level.
    fn raises(&self, level: u8) -> bool {
        self.fence >= level && self.new.is_some()
    }

    /// Whether the item goes and was a fence of this level.
    fn razes(&self, level: u8) -> bool {
        self.fence >= level && self.new.is_none()
    }
}

/// A difference in what is held, and where it falls: an item's key, or the fence of a node.
type Delta<'a> = (Cow<'a, [u8]>, RangeDigest);

/// What a batch has done to one level so far.
#[derive(Default)]
struct Level {
    level: u8,
    /// Nodes with their digests after the batch.
    touched: BTreeMap<Vec<u8>, RangeDigest>,
    /// Stored nodes that are no more.
    removed: BTreeSet<Vec<u8>>,
}

impl Level {
    fn new(level: u8) -> Self {
        Self {
            level,
            ..Self::default()
        }
    }

    /// Adds each difference to the node it falls in, the first one to `first`, and returns the
    /// differences by node, for the level above.
    fn add_deltas<'a, N: Nodes>(
        &mut self,
        nodes: &N,
        first: Node,
        deltas: &[Delta<'_>],
    ) -> Result<Vec<Delta<'a>>, N::Error> {
        let mut by_node: Vec<Delta<'a>> = Vec::new();
        let mut touched: Vec<(Vec<u8>, RangeDigest)> = Vec::new();
        let mut reader = Reader::new(nodes, self.level, first);
        for (at, (key, delta)) in deltas.iter().enumerate() {
            let moved = reader.seek(key, at + 1 < deltas.len())?;
            match (by_node.last_mut(), touched.last_mut()) {
                (Some((_, sum)), Some((_, digest))) if !moved => {
                    *sum += *delta;
                    *digest += *delta;
                }
                _ => {
                    let Node { fence, digest } = &reader.current;
                    by_node.push((Cow::Owned(fence.clone()), *delta));
                    touched.push((fence.clone(), *digest + *delta));
                }
            }
        }
        self.touched = touched.into_iter().collect();
        Ok(by_node)
    }

    /// Gives the node at a fence that is no more to the node before it.
    ///
    /// Called for the last such fence first, so whatever lies before it still stands as it was
    /// stored.
    fn merge_into_previous<N: Nodes>(&mut self, nodes: &N, fence: &[u8]) -> Result<(), N::Error> {
        let Some(orphan) = self.touched.remove(fence) else {
            return Ok(());
        };
        self.removed.insert(fence.to_vec());
        if let Some(previous) = nodes.last_before(self.level, fence)? {
            *self
                .touched
                .entry(previous.fence)
                .or_insert(previous.digest) += orphan;
        }
        Ok(())
    }

    /// Splits the node that `fence` lies in. Called for the last new fence first, so the piece ends
    /// at the next fence of all.
    fn split_at<N: Nodes>(
        &mut self,
        nodes: &N,
        fence: &[u8],
        below: &Self,
        effects: &[Effect<'_>],
    ) -> Result<(), N::Error> {
        let range = KeyRange {
            lower: fence.to_vec(),
            upper: self.next_fence(nodes, fence)?,
        };
        let piece = if self.level == 1 {
            sum_items(nodes, &range, effects)?
        } else {
            below.sum_nodes(nodes, &range)?
        };
        // The node around it holds the new item, so it was touched, and it is the last touched one
        // before.
        let before = (Bound::Unbounded, Bound::Excluded(fence));
        if let Some((_, whole)) = self.touched.range_mut::<[u8], _>(before).next_back() {
            *whole -= piece;
        }
        self.touched.insert(range.lower, piece);
        Ok(())
    }

    /// The first fence after this one, as things stand.
    fn next_fence<N: Nodes>(&self, nodes: &N, fence: &[u8]) -> Result<Option<Vec<u8>>, N::Error> {
        // A touched fence may be new; a stored one may be gone. The nearer one that stands is the
        // next.
        let touched = self.touched_after(fence).cloned();
        let mut rest = KeyRange {
            lower: after(fence),
            upper: touched.clone(),
        };
        let mut limit = 1;
        loop {
            let stored = nodes.nodes(self.level, &rest, limit)?;
            let full = stored.len() == limit;
            if let Some(last) = stored.last() {
                rest.lower = after(&last.fence);
            }
            if let Some(node) = stored
                .into_iter()
                .find(|node| !self.removed.contains(&node.fence))
            {
                return Ok(Some(node.fence));
            }
            if !full {
                return Ok(touched);
            }
            limit = (limit * 2).min(CHUNK);
        }
    }

    fn touched_after(&self, fence: &[u8]) -> Option<&Vec<u8>> {
        let after = (Bound::Excluded(fence), Bound::Unbounded);
        self.touched
            .range::<[u8], _>(after)
            .next()
            .map(|(fence, _)| fence)
    }

    /// The sum of this level's nodes with fences in `range`, after the batch.
    fn sum_nodes<N: Nodes>(&self, nodes: &N, range: &KeyRange) -> Result<RangeDigest, N::Error> {
        let touched = range
            .bounds()
            .into_iter()
            .flat_map(|bounds| self.touched.range::<[u8], _>(bounds));
        let mut sum: RangeDigest = touched.map(|(_, digest)| *digest).sum();
        each_node(nodes, self.level, range, |node| {
            if !self.touched.contains_key(&node.fence) && !self.removed.contains(&node.fence) {
                sum += node.digest;
            }
        })?;
        Ok(sum)
    }

    /// A level without fences does not exist: its first node goes too.
    fn vanish_without_fences<N: Nodes>(&mut self, nodes: &N) -> Result<(), N::Error> {
        if self.removed.is_empty() || self.next_fence(nodes, b"")?.is_some() {
            return Ok(());
        }
        self.touched.clear();
        self.removed.insert(Vec::new());
        Ok(())
    }

    /// Appends the level's edits, in the order of their fences.
    fn drain_into(self, edits: &mut Vec<NodeEdit>) {
        let from = edits.len();
        let level = self.level;
        let edit = |fence, digest| NodeEdit {
            level,
            fence,
            digest,
        };
        let touched = self.touched.into_iter();
        edits.extend(touched.map(|(fence, digest)| edit(fence, Some(digest))));
        if !self.removed.is_empty() {
            edits.extend(self.removed.into_iter().map(|fence| edit(fence, None)));
            edits[from..].sort_unstable_by(|a, b| a.fence.cmp(&b.fence));
        }
    }
}

/// The sum of the items in `range` after the batch, whichever state of the changed ones `nodes`
/// shows.
fn sum_items<N: Nodes>(
    nodes: &N,
    range: &KeyRange,
    effects: &[Effect<'_>],
) -> Result<RangeDigest, N::Error> {
    let from = effects.partition_point(|effect| effect.key < range.lower.as_slice());
    let len = effects[from..].partition_point(|effect| range.ends_after(effect.key));
    let mut changed = &effects[from..from + len];
    let mut sum = changed
        .iter()
        .filter_map(|effect| effect.new.as_ref())
        .map(RangeDigest::of)
        .sum::<RangeDigest>();
    each_item(nodes, range, |item| {
        while let Some((first, rest)) = changed.split_first()
            && first.key < item.key.as_slice()
        {
            changed = rest;
        }
        if changed.first().is_none_or(|effect| effect.key != item.key) {
            sum += RangeDigest::of(&item.digest);
        }
    })?;
    Ok(sum)
}
