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
    /// How many nodes with keys were found in what was last read ahead.
    hits: usize,
    /// How many keys are to be looked up before reading ahead is tried again.
    pause: usize,
    started: bool,
}

impl<'n, N: Nodes> Reader<'n, N> {
    /// As cheap as reading one: the look-up costs more.
    const MIN_READAHEAD: usize = 4;
    const MAX_READAHEAD: usize = 64;
    /// From here on keys lie so close that the next one is expected in what follows directly.
    const CLOSE: usize = 16;
    /// A look-up costs as much as reading so many nodes on.
    const LOOK_UP: usize = 16;
    /// Keys that are looked up one by one after reading ahead was of no use.
    const PAUSE: usize = 8;

    /// A reader that begins at `first`, the node of the first key.
    pub(super) fn new(nodes: &'n N, level: u8, first: Node) -> Self {
        Self {
            nodes,
            level,
            current: first,
            ahead: VecDeque::new(),
            at_end: false,
            readahead: Self::MIN_READAHEAD,
            hits: 0,
            pause: 0,
            started: false,
        }
    }

    /// Makes `current` the node that `key` lies in; false if it was already. `more` says whether
    /// further keys are to come.
    pub(super) fn seek(&mut self, key: &[u8], more: bool) -> Result<bool, N::Error> {
        let first = !core::mem::replace(&mut self.started, true);
        if first {
            if more {
                self.read_after(key)?;
            }
            return Ok(true);
        }
        let mut moved = false;
        loop {
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
            self.adapt();
            if self.readahead < Self::CLOSE {
                break;
            }
            let fence = self.current.fence.clone();
            self.read_after(&fence)?;
        }
        if let Some(node) = self.nodes.floor(self.level, key)? {
            moved |= node.fence != self.current.fence;
            self.current = node;
        }
        if more && self.pause == 0 {
            self.read_after(key)?;
        }
        Ok(moved)
    }

    /// Past all that was read: reads further ahead the next time if it was of use, else less far.
    fn adapt(&mut self) {
        if self.pause > 0 {
            self.pause -= 1;
        } else if self.hits * Self::LOOK_UP >= self.readahead {
            self.readahead = (self.readahead * 2).min(Self::MAX_READAHEAD);
        } else if self.readahead > Self::MIN_READAHEAD {
            self.readahead /= 2;
        } else {
            self.pause = Self::PAUSE;
        }
        self.hits = 0;
    }

    /// Reads nodes that follow the one of `key`.
    fn read_after(&mut self, key: &[u8]) -> Result<(), N::Error> {
        let range = KeyRange {
            lower: after(key),
            upper: None,
        };
        let ahead = self.nodes.nodes(self.level, &range, self.readahead)?;
        self.at_end = ahead.len() < self.readahead;
        self.ahead = ahead.into();
        Ok(())
    }
}
