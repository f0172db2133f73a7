//! Finding the nodes of many keys in one go.

use alloc::collections::VecDeque;

use super::{Node, Nodes};
use crate::KeyRange;
use crate::range::after;

/// Finds the nodes of ascending keys, reading ahead as far as that has been of use.
pub(super) struct Reader<'n, N> {
    nodes: &'n N,
    level: u8,
    pub(super) current: Node,
    /// Nodes that follow the current one directly.
    ahead: VecDeque<Node>,
    /// Whether no node follows the last one in `ahead`.
    at_end: bool,
    readahead: usize,
    /// How many keys were found in what was last read ahead.
    hits: usize,
    started: bool,
}

impl<'n, N: Nodes> Reader<'n, N> {
    const MAX_READAHEAD: usize = 64;

    /// A reader that begins at `first`, the node of the first key.
    pub(super) fn new(nodes: &'n N, level: u8, first: Node) -> Self {
        Self {
            nodes,
            level,
            current: first,
            ahead: VecDeque::new(),
            at_end: false,
            readahead: 1,
            hits: 0,
            started: false,
        }
    }

    /// Makes `current` the node that `key` lies in; false if it was already. `more` says whether
    /// further keys are to come.
    pub(super) fn seek(&mut self, key: &[u8], more: bool) -> Result<bool, N::Error> {
        let first = !core::mem::replace(&mut self.started, true);
        if first {
            self.read_ahead(key, more)?;
            return Ok(true);
        }
        let mut moved = false;
        while self
            .ahead
            .front()
            .is_some_and(|next| next.fence.as_slice() <= key)
            && let Some(next) = self.ahead.pop_front()
        {
            self.current = next;
            moved = true;
        }
        if self.at_end || !self.ahead.is_empty() {
            self.hits += usize::from(moved);
            return Ok(moved);
        }
        // Past all that was read. Reading ahead costs a fraction of a look-up per node.
        self.readahead = if self.hits * 8 >= self.readahead {
            (self.readahead * 2).min(Self::MAX_READAHEAD)
        } else {
            (self.readahead / 2).max(1)
        };
        self.hits = 0;
        if let Some(node) = self.nodes.floor(self.level, key)? {
            moved |= node.fence != self.current.fence;
            self.current = node;
        }
        self.read_ahead(key, more)?;
        Ok(moved)
    }

    /// Reads nodes after the one of `key`, if there are keys to be found in them.
    fn read_ahead(&mut self, key: &[u8], more: bool) -> Result<(), N::Error> {
        if more {
            let range = KeyRange {
                lower: after(key),
                upper: None,
            };
            let ahead = self.nodes.nodes(self.level, &range, self.readahead)?;
            self.at_end = ahead.len() < self.readahead;
            self.ahead = ahead.into();
        }
        Ok(())
    }
}
