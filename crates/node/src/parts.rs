//! A coarse look at the digest tree: the key range in parts of about as many rows each.

use syncline_crdt::RowKey;
use syncline_merkle::{Cut, KeyRange, MAX_LEVEL, Node, RangeDigest, Source, tree};
use syncline_store::StoreError;

use crate::engine::AnyEngine;
use crate::error::Error;
use crate::view::View;

/// Nodes of the tree for each part that is asked for, about, so that parts can be of about the same size.
const NODES: usize = 8;
/// Nodes that are read at most.
const MOST: usize = 8_192;

/// A part of a namespace's key range, up to where the next begins; see [`View::parts`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The first row key that may lie in it.
    pub lower: Vec<u8>,
    /// The user key of that; empty for the first part.
    pub key: Vec<u8>,
    /// Count and sum of its rows.
    pub digest: RangeDigest,
}

impl View {
    /// Cuts the key range into at most `count` parts of about as many rows each, at fences of the digest tree. Reads some thousand of its nodes at most,
    /// whatever the size of the namespace.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// let app = node.namespace("app")?;
    /// for key in ["ada", "bob", "cyd", "dan"] {
    ///     app.put(key, "here").await?;
    /// }
    /// let parts = app.read(|view| view.parts(2)).await?;
    /// assert_eq!(parts.len(), 2);
    /// assert_eq!(parts[1].key, b"cyd");
    /// assert_eq!(parts.iter().map(|part| part.digest.count()).sum::<u64>(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn parts(&self, count: usize) -> Result<Vec<Part>, Error> {
        Ok(of(self.store(), count)?)
    }
}

/// See [`View::parts`].
pub(crate) fn of(
    view: &syncline_store::View<AnyEngine>,
    count: usize,
) -> Result<Vec<Part>, StoreError> {
    let count = count.clamp(1, MOST / NODES) as u64;
    let mut parts: Vec<Part> = Vec::new();
    let mut gathered = 0;
    let rows = view.row_count();
    for Node { fence, digest } in nodes(view, count as usize)? {
        let begun = parts.len() as u64;
        // The part that is being filled ends at its share of all rows; so they even out.
        let is_full = gathered * count >= rows * begun;
        match parts.last_mut().filter(|_| !is_full) {
            Some(part) => part.digest += digest,
            None => parts.push(Part {
                key: user_key(&fence),
                lower: if begun == 0 { Vec::new() } else { fence },
                digest,
            }),
        }
        gathered += digest.count();
    }
    if let Some(first) = parts.first_mut() {
        first.key.clear();
    }
    Ok(parts)
}

/// Neighbouring ranges that make up everything, several for each of `count` parts if there are so many rows.
fn nodes(view: &syncline_store::View<AnyEngine>, count: usize) -> Result<Vec<Node>, StoreError> {
    if view.row_count() <= MOST as u64 {
        let items = Source::items(view, &KeyRange::ALL, MOST)?;
        let node = |item: syncline_merkle::Item| Node {
            fence: item.key,
            digest: RangeDigest::of(&item.digest),
        };
        return Ok(items.into_iter().map(node).collect());
    }
    let mut level = MAX_LEVEL;
    loop {
        let Cut { mut nodes, upper } = tree::cut(view, &KeyRange::ALL, level, MOST)?;
        if level > 1 && nodes.len() < count * NODES {
            level -= 1;
            continue;
        }
        if let Some(rest) = upper {
            let seen = nodes
                .iter()
                .fold(RangeDigest::ZERO, |sum, it| sum + it.digest);
            nodes.push(Node {
                fence: rest,
                digest: view.root()? - seen,
            });
        }
        return Ok(nodes);
    }
}

/// Of a fence, which is a row key but for the first, which is empty.
fn user_key(fence: &[u8]) -> Vec<u8> {
    RowKey::from_bytes(fence.to_vec()).map_or_else(|_| Vec::new(), |key| key.user_key())
}
