//! A tree held in memory: for tests, for small sets, and to see the whole in one place.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Bound;

use crate::{
    Change, Cut, DigestKey, Item, ItemDigest, KeyRange, MAX_LEVEL, Node, NodeEdit, Nodes,
    RangeDigest, Source, tree,
};

/// Items with their digests and the digest tree over them, in memory.
///
/// ```
/// use syncline_merkle::{DigestKey, KeyRange, MemoryTree, Source};
///
/// let mut tree = MemoryTree::new(DigestKey::derive(&[7; 32]));
/// for n in 0..1000u32 {
///     tree.insert(format!("user:{n}").as_bytes(), b"value");
/// }
/// let nineties = KeyRange::prefix(b"user:9");
/// assert_eq!(tree.digest(&nineties)?.count(), 111);
/// let before = tree.root();
/// tree.insert(b"user:9", b"another value");
/// assert_ne!(tree.root(), before);
/// # Ok::<(), core::convert::Infallible>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryTree {
    key: DigestKey,
    items: BTreeMap<Vec<u8>, ItemDigest>,
    levels: [BTreeMap<Vec<u8>, RangeDigest>; MAX_LEVEL as usize + 1],
}

impl MemoryTree {
    /// A tree without items, under this key.
    pub fn new(key: DigestKey) -> Self {
        Self {
            key,
            items: BTreeMap::new(),
            levels: Default::default(),
        }
    }

    /// The key that items are digested with.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    /// Puts an item, and says whether that changed anything.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        let digest = self.key.item(key, value);
        self.set(key, Some(digest))
    }

    /// Takes an item out, and says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.set(key, None)
    }

    /// Gives an item the digest `new`, or removes it.
    pub fn set(&mut self, key: &[u8], new: Option<ItemDigest>) -> bool {
        let old = self.items.get(key).copied();
        self.apply(&[Change { key, old, new }]);
        old != new
    }

    /// Applies several changes at once, as a transaction of a store would.
    pub fn apply(&mut self, changes: &[Change<'_>]) {
        let Ok(edits) = tree::apply(&self.key, self, changes);
        for Change { key, new, .. } in changes {
            match new {
                Some(digest) => self.items.insert(key.to_vec(), *digest),
                None => self.items.remove(*key),
            };
        }
        for NodeEdit {
            level,
            fence,
            digest,
        } in edits
        {
            let level = &mut self.levels[usize::from(level)];
            match digest {
                Some(digest) => level.insert(fence, digest),
                None => level.remove(&fence),
            };
        }
    }

    /// The digest of an item.
    pub fn get(&self, key: &[u8]) -> Option<&ItemDigest> {
        self.items.get(key)
    }

    /// The items in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &ItemDigest)> {
        self.items
            .iter()
            .map(|(key, digest)| (key.as_slice(), digest))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The digest of everything.
    pub fn root(&self) -> RangeDigest {
        let Ok(root) = tree::root(self);
        root
    }

    /// The nodes of a level in the order of their fences; level 0 holds the root.
    pub fn level(&self, level: u8) -> impl Iterator<Item = (&[u8], &RangeDigest)> {
        self.levels
            .get(usize::from(level))
            .into_iter()
            .flatten()
            .map(|(fence, digest)| (fence.as_slice(), digest))
    }
}

impl Nodes for MemoryTree {
    type Error = Infallible;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, Infallible> {
        let before = (Bound::Unbounded, Bound::Excluded(bound));
        Ok(self.levels[usize::from(level)]
            .range::<[u8], _>(before)
            .next_back()
            .map(node))
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, Infallible> {
        Ok(between(&self.levels[usize::from(level)], range)
            .take(limit)
            .map(node)
            .collect())
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Infallible> {
        let item = |(key, digest): (&Vec<u8>, &ItemDigest)| Item {
            key: key.clone(),
            digest: *digest,
        };
        Ok(between(&self.items, range).take(limit).map(item).collect())
    }
}

/// What is said of an item is its digest.
impl Source for MemoryTree {
    type Error = Infallible;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, Infallible> {
        tree::digest(self, range)
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, Infallible> {
        tree::cut(self, range, level, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Infallible> {
        Nodes::items(self, range, limit)
    }

    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self
            .get(key)
            .map_or_else(Vec::new, |digest| digest.as_bytes().to_vec()))
    }
}

fn node((fence, digest): (&Vec<u8>, &RangeDigest)) -> Node {
    Node {
        fence: fence.clone(),
        digest: *digest,
    }
}

/// The entries with keys in the range.
fn between<'m, V>(
    map: &'m BTreeMap<Vec<u8>, V>,
    range: &'m KeyRange,
) -> impl Iterator<Item = (&'m Vec<u8>, &'m V)> {
    range
        .bounds()
        .into_iter()
        .flat_map(|bounds| map.range::<[u8], _>(bounds))
}
