//! The digest of any range, and its cuts, from stored nodes.

use alloc::vec::Vec;

use super::{Node, Nodes, each_item, each_node};
use crate::range::after;
use crate::{KeyRange, MAX_LEVEL, RangeDigest};

/// The digest of everything.
pub fn root<N: Nodes>(nodes: &N) -> Result<RangeDigest, N::Error> {
    Ok(nodes
        .floor(0, b"")?
        .map_or(RangeDigest::ZERO, |root| root.digest))
}

/// The digest of the items in `range`.
///
/// It climbs from the items at the lower bound to the highest nodes that fit, and down again to
/// those at the upper bound: one leaf and one fanout per level at each end, and nothing at an end
/// that is a fence of the level reached.
pub fn digest<N: Nodes>(nodes: &N, range: &KeyRange) -> Result<RangeDigest, N::Error> {
    if *range == KeyRange::ALL {
        return root(nodes);
    }
    if range.is_empty() {
        return Ok(RangeDigest::ZERO);
    }
    let mut sum = RangeDigest::ZERO;
    let mut rest = range.clone();
    let mut level = 0;
    // Up: while a fence of the next level lies ahead, sum this level up to it.
    while level < MAX_LEVEL {
        let Some(next) = nodes.nodes(level + 1, &rest, 1)?.into_iter().next() else {
            break;
        };
        let step = KeyRange {
            lower: rest.lower,
            upper: Some(next.fence),
        };
        sum += sum_level(nodes, level, &step)?;
        rest = KeyRange {
            lower: step.upper.unwrap_or_default(),
            upper: rest.upper,
        };
        level += 1;
    }
    // Down: sum this level's nodes that end inside, then go on below in the one that does not.
    while level > 0 {
        let mut last: Option<Node> = None;
        each_node(nodes, level, &rest, |node| {
            sum += last
                .replace(node)
                .map_or(RangeDigest::ZERO, |ended| ended.digest);
        })?;
        let Some(last) = last else {
            break;
        };
        if ends_at(nodes, level, &rest)? {
            return Ok(sum + last.digest);
        }
        rest.lower = last.fence;
        level -= 1;
    }
    Ok(sum + sum_level(nodes, 0, &rest)?)
}

/// Whether the upper bound is one of the level's own, so that the node before it ends there.
fn ends_at<N: Nodes>(nodes: &N, level: u8, range: &KeyRange) -> Result<bool, N::Error> {
    let Some(upper) = &range.upper else {
        return Ok(true);
    };
    let bound = KeyRange {
        lower: upper.clone(),
        upper: Some(after(upper)),
    };
    Ok(!nodes.nodes(level, &bound, 1)?.is_empty())
}

fn sum_level<N: Nodes>(nodes: &N, level: u8, range: &KeyRange) -> Result<RangeDigest, N::Error> {
    let mut sum = RangeDigest::ZERO;
    if level == 0 {
        each_item(nodes, range, |item| sum += RangeDigest::of(&item.digest))?;
    } else {
        each_node(nodes, level, range, |node| sum += node.digest)?;
    }
    Ok(sum)
}

/// The key of the item of `range` that has `n` others of it before it; `None` if there are not so many.
///
/// As [`digest`], it climbs from the lower bound to the highest nodes that it can pass by whole, and
/// down again to the item.
pub fn nth<N: Nodes>(nodes: &N, range: &KeyRange, n: u64) -> Result<Option<Vec<u8>>, N::Error> {
    if range.is_empty() {
        return Ok(None);
    }
    let mut rest = range.clone();
    let mut left = n;
    let mut level = 0;
    // Up: pass this level's nodes up to the next fence of the level above.
    loop {
        let next = match level < MAX_LEVEL {
            true => nodes.nodes(level + 1, &rest, 1)?.into_iter().next(),
            false => None,
        };
        let upper = next.as_ref().map(|next| next.fence.clone());
        let step = KeyRange {
            lower: rest.lower.clone(),
            upper: upper.or_else(|| rest.upper.clone()),
        };
        if let Some(found) = pass(nodes, level, step, &mut left)? {
            rest.lower = found;
            break;
        }
        let Some(next) = next else {
            return Ok(None);
        };
        rest.lower = next.fence;
        level += 1;
    }
    // Down: the node found holds it, unless the range ends within the node.
    while level > 0 {
        level -= 1;
        match pass(nodes, level, rest.clone(), &mut left)? {
            Some(found) => rest.lower = found,
            None => return Ok(None),
        }
    }
    Ok(Some(rest.lower))
}

/// Passes by the nodes (or items) of a level in `range` that hold no more than is `left`, which they
/// take from it. Returns where the one begins that holds more.
fn pass<N: Nodes>(
    nodes: &N,
    level: u8,
    mut range: KeyRange,
    left: &mut u64,
) -> Result<Option<Vec<u8>>, N::Error> {
    /// Nodes read at a time: what a parent holds, mostly.
    const STEP: usize = 32;
    loop {
        let chunk: Vec<(Vec<u8>, u64)> = if level == 0 {
            let items = nodes.items(&range, STEP)?;
            items.into_iter().map(|item| (item.key, 1)).collect()
        } else {
            let nodes = nodes.nodes(level, &range, STEP)?;
            let count = |node: Node| (node.fence, node.digest.count());
            nodes.into_iter().map(count).collect()
        };
        if let Some((last, _)) = chunk.last() {
            range.lower = after(last);
        }
        let is_last = chunk.len() < STEP;
        for (key, count) in chunk {
            if *left < count {
                return Ok(Some(key));
            }
            *left -= count;
        }
        if is_last {
            return Ok(None);
        }
    }
}

/// A range cut at fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The sub-ranges in order, by lower bound and digest; never none. The first begins where the
    /// range does, and each ends where the next begins.
    pub nodes: Vec<Node>,
    /// Where the last one ends: the upper bound of the range, or before it if the limit was
    /// reached.
    pub upper: Option<Vec<u8>>,
}

/// Cuts `range` at the fences of `level` (1 and up) strictly inside it, into at most `limit`
/// sub-ranges (at least one is made, which without a fence inside is the whole range).
///
/// The inner ones are stored nodes; the first and the last cost a [`digest`] each where the range
/// does not begin or end at a fence of the level.
pub fn cut<N: Nodes>(
    nodes: &N,
    range: &KeyRange,
    level: u8,
    limit: usize,
) -> Result<Cut, N::Error> {
    let inside = KeyRange {
        lower: after(&range.lower),
        upper: range.upper.clone(),
    };
    let mut cuts = nodes.nodes(level, &inside, limit.max(1))?;
    // With as many fences as sub-ranges asked for, the last fence ends the last one.
    let end = if cuts.len() == limit.max(1) {
        cuts.pop()
    } else {
        None
    };
    let upper = match end {
        Some(end) => Some(end.fence),
        None => {
            if let Some(last) = cuts.last_mut()
                && !ends_at(nodes, level, range)?
            {
                let rest = KeyRange {
                    lower: last.fence.clone(),
                    upper: range.upper.clone(),
                };
                last.digest = digest(nodes, &rest)?;
            }
            range.upper.clone()
        }
    };
    let first = KeyRange {
        lower: range.lower.clone(),
        upper: cuts
            .first()
            .map(|node| node.fence.clone())
            .or_else(|| upper.clone()),
    };
    let first_digest = digest(nodes, &first)?;
    cuts.insert(
        0,
        Node {
            fence: first.lower,
            digest: first_digest,
        },
    );
    Ok(Cut { nodes: cuts, upper })
}
