//! The digest tree against the rows, node by node; and, where it is damaged, made anew.

use std::ops::{Bound, ControlFlow};

use syncline_merkle::{Item, KeyRange, MAX_LEVEL, Node, Nodes, RangeDigest, tree};

use super::{Limits, Read, Scrub, mend_at_leisure, read_entries};
use crate::engine::{Direction, Engine, Snapshot, Table};
use crate::group::Mend;
use crate::{Mismatch, Store, StoreError, View, format};

impl Scrub {
    pub(super) fn check_digests<E: Engine>(
        &mut self,
        store: &Store<E>,
        limits: Limits,
    ) -> Result<Read, StoreError> {
        let view = store.view()?;
        if self.from.is_empty() {
            let root = view
                .snapshot
                .get(Table::Digests, &format::node_key(0, b""))?;
            let root = root.map_or(Some(RangeDigest::ZERO), |root| read_digest(&root));
            self.suspects_tree |= root.map(|root| root.count()) != Some(view.row_count());
        }
        let (nodes, read) = read_entries(&view.snapshot, Table::Digests, &self.from, limits)?;
        for (key, value) in &nodes {
            if !self.suspects_tree {
                self.suspects_tree = !node_is_sound(&view, key, value)?;
            }
        }
        Ok(read)
    }

    /// Makes the tree anew from the rows, if something is wrong with it.
    pub(super) fn mend_digests<E: Engine>(&mut self, store: &Store<E>) -> Result<(), StoreError> {
        if !self.suspects_tree {
            return Ok(());
        }
        let repairs = mend_at_leisure(store, repairs, Repairs::apply)?;
        for (level, fence, _) in repairs.nodes {
            let mismatch = Mismatch::Digest { level, fence };
            self.report.note(store.namespace(), mismatch);
        }
        self.suspects_tree = false;
        Ok(())
    }
}

/// Whether a node is one that belongs there, and sums up what lies in it.
fn node_is_sound<E: Engine>(view: &View<E>, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
    let (Some((&level, fence)), Some(digest)) = (key.split_first(), read_digest(value)) else {
        return Ok(false);
    };
    let nodes = Lenient(view);
    if level == 0 {
        let top = (1..=MAX_LEVEL).rev();
        let mut sum = RangeDigest::ZERO;
        for level in top {
            if nodes.floor(level, b"")?.is_some() {
                each(
                    &KeyRange::ALL,
                    |rest| nodes.nodes(level, rest, CHUNK),
                    |node| {
                        sum += node.digest;
                        node.fence
                    },
                )?;
                return Ok(fence.is_empty() && sum == digest);
            }
        }
        return Ok(fence.is_empty() && nodes.sum_items(&KeyRange::ALL)? == digest);
    }
    if level > MAX_LEVEL || !is_fence(view, level, fence)? {
        return Ok(false);
    }
    let after = KeyRange::new([fence, &[0]].concat(), None);
    let next = nodes.nodes(level, &after, 1)?.pop();
    let range = KeyRange::new(fence.to_vec(), next.map(|next| next.fence));
    let mut sum = RangeDigest::ZERO;
    match level {
        1 => sum = nodes.sum_items(&range)?,
        _ => each(
            &range,
            |rest| nodes.nodes(level - 1, rest, CHUNK),
            |node| {
                sum += node.digest;
                node.fence
            },
        )?,
    }
    Ok(sum == digest)
}

/// Whether a node of this level begins here: at the start of a level that has another, or at a row
/// whose key is a fence of it.
fn is_fence<E: Engine>(view: &View<E>, level: u8, fence: &[u8]) -> Result<bool, StoreError> {
    if fence.is_empty() {
        let after = KeyRange::new(vec![0], None);
        return Ok(!Lenient(view).nodes(level, &after, 1)?.is_empty());
    }
    Ok(view.shared.digest_key.level(fence) >= level
        && view.snapshot.get(Table::Rows, fence)?.is_some()
        && view
            .snapshot
            .get(Table::Digests, &format::node_key(level, b""))?
            .is_some())
}

/// What makes the tree agree with the rows.
struct Repairs {
    nodes: Vec<(u8, Vec<u8>, Option<RangeDigest>)>,
    /// Entries that are of no level.
    garbage: Vec<Vec<u8>>,
    rows: u64,
}

fn repairs<E: Engine>(view: &View<E>) -> Result<Repairs, StoreError> {
    let recount = tree::recount(&view.shared.digest_key, &Lenient(view))?;
    let mut garbage = Vec::new();
    let end = [MAX_LEVEL + 1];
    for bounds in [
        (Bound::Unbounded, Bound::Excluded(&[0][..])),
        (Bound::Included(&end[..]), Bound::Unbounded),
    ] {
        let direction = Direction::Forward;
        view.snapshot
            .visit(Table::Digests, bounds, direction, &mut |key, _| {
                garbage.push(key.to_vec());
                ControlFlow::Continue(())
            })?;
    }
    let nodes = recount.repairs.into_iter();
    Ok(Repairs {
        nodes: nodes
            .map(|edit| (edit.level, edit.fence, edit.digest))
            .collect(),
        garbage,
        rows: recount.root.count(),
    })
}

impl Repairs {
    fn apply(&self, mend: &mut Mend) {
        for (level, fence, digest) in &self.nodes {
            let key = format::node_key(*level, fence);
            match digest {
                Some(digest) => mend.batch.put(Table::Digests, &key, &digest.to_bytes()),
                None => mend.batch.remove(Table::Digests, &key),
            }
        }
        for key in &self.garbage {
            mend.batch.remove(Table::Digests, key);
        }
        mend.head.state.rows = self.rows;
    }
}

/// The digest tree, in which what cannot be read is a node of nothing, or a row of no digest: wrong,
/// as is soon found out.
struct Lenient<'v, E: Engine>(&'v View<E>);

/// How many nodes or items are read at a time.
const CHUNK: usize = 256;

impl<E: Engine> Lenient<'_, E> {
    fn sum_items(&self, range: &KeyRange) -> Result<RangeDigest, StoreError> {
        let mut sum = RangeDigest::ZERO;
        each(
            range,
            |rest| self.items(rest, CHUNK),
            |item| {
                sum += RangeDigest::of(&item.digest);
                item.key
            },
        )?;
        Ok(sum)
    }
}

impl<E: Engine> Nodes for Lenient<'_, E> {
    type Error = StoreError;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, StoreError> {
        self.0.last_node(Table::Digests, level, bound, node)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, StoreError> {
        self.0.nodes_of(Table::Digests, level, range, limit, node)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.0.items_as(range, limit, |_, value| {
            Ok(format::row_digest_as_it_is(value))
        })
    }
}

fn node(key: &[u8], value: &[u8]) -> Result<Node, StoreError> {
    Ok(Node {
        fence: key.get(1..).unwrap_or_default().to_vec(),
        digest: read_digest(value).unwrap_or(RangeDigest::ZERO),
    })
}

fn read_digest(value: &[u8]) -> Option<RangeDigest> {
    value.try_into().ok().map(RangeDigest::from_bytes)
}

/// Reads all of a range, some at a time; `visit` returns the key of what it was shown.
fn each<T>(
    range: &KeyRange,
    read: impl Fn(&KeyRange) -> Result<Vec<T>, StoreError>,
    mut visit: impl FnMut(T) -> Vec<u8>,
) -> Result<(), StoreError> {
    let mut rest = range.clone();
    loop {
        let chunk = read(&rest)?;
        let is_last = chunk.len() < CHUNK;
        for one in chunk {
            rest.lower = visit(one);
        }
        if is_last {
            return Ok(());
        }
        rest.lower.push(0);
    }
}
