//! The tree computed anew from the items: to build one at once, and to check a stored one.

use alloc::vec::Vec;

use super::{CHUNK, Node, NodeEdit, Nodes};
use crate::range::after;
use crate::{DigestKey, Item, KeyRange, MAX_LEVEL, RangeDigest};

const LEVELS: usize = MAX_LEVEL as usize + 1;

/// Makes the nodes of a tree from all its items in key order, in memory that does not grow with
/// them.
///
/// ```
/// use syncline_merkle::{DigestKey, tree::Rebuild};
///
/// let key = DigestKey::derive(&[7; 32]);
/// let mut nodes = Vec::new();
/// let mut rebuild = Rebuild::new(&key);
/// for n in 0..1000u32 {
///     let item = n.to_be_bytes();
///     rebuild.push(&item, &RangeDigest::of(&key.item(&item, b"")), |edit| nodes.push(edit));
/// }
/// rebuild.finish(|edit| nodes.push(edit));
/// assert_eq!(nodes.last().and_then(|root| root.digest).map(|root| root.count()), Some(1000));
/// # use syncline_merkle::RangeDigest;
/// ```
pub struct Rebuild<'k> {
    key: &'k DigestKey,
    open: [Open; LEVELS],
}

/// The node of a level that the items now fall in.
#[derive(Default)]
struct Open {
    fence: Vec<u8>,
    digest: RangeDigest,
}

impl<'k> Rebuild<'k> {
    /// A tree without items.
    pub fn new(key: &'k DigestKey) -> Self {
        Self {
            key,
            open: Default::default(),
        }
    }

    /// Adds the next item; hands the nodes that it ends to `ended`, each level's in the order of
    /// their fences.
    pub fn push(&mut self, key: &[u8], digest: &RangeDigest, mut ended: impl FnMut(NodeEdit)) {
        let level = self.key.level(key);
        for (at, open) in (0..=level).zip(&mut self.open).skip(1) {
            let node = core::mem::replace(
                open,
                Open {
                    fence: key.to_vec(),
                    digest: RangeDigest::ZERO,
                },
            );
            ended(NodeEdit {
                level: at,
                fence: node.fence,
                digest: Some(node.digest),
            });
        }
        for open in &mut self.open {
            open.digest += *digest;
        }
    }

    /// Ends the last node of each level, the root's last.
    pub fn finish(self, mut ended: impl FnMut(NodeEdit)) {
        for (level, node) in (0..=MAX_LEVEL).zip(self.open).rev() {
            // A level that never met a fence does not exist; neither does the root of nothing.
            let exists = if level == 0 {
                !node.digest.is_zero()
            } else {
                !node.fence.is_empty()
            };
            if exists {
                ended(NodeEdit {
                    level,
                    fence: node.fence,
                    digest: Some(node.digest),
                });
            }
        }
    }
}

/// What a [`recount`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recount {
    /// The root as the items make it.
    pub root: RangeDigest,
    /// How many nodes the items make, over all levels.
    pub nodes: u64,
    /// The edits that would repair the stored tree: nodes missing, wrong or left over. Empty for a
    /// sound tree.
    pub repairs: Vec<NodeEdit>,
}

impl Recount {
    /// Whether the stored nodes are exactly those that the items make.
    pub fn is_sound(&self) -> bool {
        self.repairs.is_empty()
    }
}

/// Reads every item and every node, and compares.
pub fn recount<N: Nodes>(key: &DigestKey, nodes: &N) -> Result<Recount, N::Error> {
    let mut stored: Vec<Stored> = (0..=MAX_LEVEL).map(Stored::new).collect();
    let mut rebuild = Rebuild::new(key);
    let mut found = Recount {
        root: RangeDigest::ZERO,
        nodes: 0,
        repairs: Vec::new(),
    };
    let mut ended: Vec<NodeEdit> = Vec::new();
    let mut rest = KeyRange::ALL;
    loop {
        let items = nodes.items(&rest, CHUNK)?;
        for Item { key, digest } in &items {
            rebuild.push(key, &RangeDigest::of(digest), |edit| ended.push(edit));
        }
        for edit in ended.drain(..) {
            stored[usize::from(edit.level)].compare(nodes, edit, &mut found)?;
        }
        match items.last() {
            Some(last) if items.len() == CHUNK => rest.lower = after(&last.key),
            _ => break,
        }
    }
    rebuild.finish(|edit| ended.push(edit));
    for edit in ended {
        if edit.level == 0 {
            found.root = edit.digest.unwrap_or_default();
        }
        stored[usize::from(edit.level)].compare(nodes, edit, &mut found)?;
    }
    for level in &mut stored {
        level.remove_rest(nodes, &mut found)?;
    }
    Ok(found)
}

/// The stored nodes of one level, read in step with those made anew.
struct Stored {
    level: u8,
    rest: KeyRange,
    chunk: alloc::vec::IntoIter<Node>,
    next: Option<Node>,
    at_end: bool,
}

impl Stored {
    fn new(level: u8) -> Self {
        Self {
            level,
            rest: KeyRange::ALL,
            chunk: Vec::new().into_iter(),
            next: None,
            at_end: false,
        }
    }

    /// Takes the next stored node if its fence is at or before `fence`.
    fn take<N: Nodes>(
        &mut self,
        nodes: &N,
        fence: Option<&[u8]>,
    ) -> Result<Option<Node>, N::Error> {
        if self.next.is_none() {
            if self.chunk.as_slice().is_empty() && !self.at_end {
                let chunk = nodes.nodes(self.level, &self.rest, CHUNK)?;
                self.at_end = chunk.len() < CHUNK;
                if let Some(last) = chunk.last() {
                    self.rest.lower = after(&last.fence);
                }
                self.chunk = chunk.into_iter();
            }
            self.next = self.chunk.next();
        }
        Ok(self
            .next
            .take_if(|node| fence.is_none_or(|fence| node.fence.as_slice() <= fence)))
    }

    fn compare<N: Nodes>(
        &mut self,
        nodes: &N,
        made: NodeEdit,
        found: &mut Recount,
    ) -> Result<(), N::Error> {
        found.nodes += 1;
        while let Some(stored) = self.take(nodes, Some(&made.fence))? {
            if stored.fence != made.fence {
                found.repairs.push(NodeEdit {
                    level: self.level,
                    fence: stored.fence,
                    digest: None,
                });
            } else if Some(stored.digest) == made.digest {
                return Ok(());
            } else {
                break;
            }
        }
        found.repairs.push(made);
        Ok(())
    }

    fn remove_rest<N: Nodes>(&mut self, nodes: &N, found: &mut Recount) -> Result<(), N::Error> {
        while let Some(stored) = self.take(nodes, None)? {
            found.repairs.push(NodeEdit {
                level: self.level,
                fence: stored.fence,
                digest: None,
            });
        }
        Ok(())
    }
}
