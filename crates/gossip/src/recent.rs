//! The latest rumours, for those who missed them.

use alloc::collections::{BTreeMap, VecDeque};

use syncline_crdt::{Context, Dot};

use crate::rumour::{Rumour, RumourId};

/// Rumours in the order in which they came, the oldest of which make room.
#[derive(Clone, Debug)]
pub(crate) struct Recent<N> {
    order: VecDeque<Dot>,
    /// By their last dots.
    rumours: BTreeMap<Dot, Heard<N>>,
    bytes: usize,
    max_bytes: usize,
}

/// A rumour, and how it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard<N> {
    pub(crate) rumour: Rumour,
    /// 0 if it is our own.
    pub(crate) hops: u16,
    /// By which branch of the tree, if by one.
    pub(crate) parent: Option<N>,
}

/// What a rumour takes beside its payload, about.
const OVERHEAD: usize = 160;

impl<N> Recent<N> {
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self {
            order: VecDeque::new(),
            rumours: BTreeMap::new(),
            bytes: 0,
            max_bytes,
        }
    }

    pub(crate) fn insert(&mut self, rumour: &Rumour, hops: u16) {
        let dot = rumour.id().last_dot();
        let heard = Heard {
            rumour: rumour.clone(),
            hops,
            parent: None,
        };
        match self.rumours.insert(dot, heard) {
            None => self.order.push_back(dot),
            Some(before) => self.bytes -= before.rumour.payload().len() + OVERHEAD,
        }
        self.bytes += rumour.payload().len() + OVERHEAD;
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(heard) = self.rumours.remove(&oldest) {
                self.bytes -= heard.rumour.payload().len() + OVERHEAD;
            }
        }
    }

    pub(crate) fn get(&self, id: RumourId) -> Option<&Heard<N>> {
        let heard = self.rumours.get(&id.last_dot());
        heard.filter(|heard| heard.rumour.id() == id)
    }

    pub(crate) fn get_mut(&mut self, id: RumourId) -> Option<&mut Heard<N>> {
        let heard = self.rumours.get_mut(&id.last_dot());
        heard.filter(|heard| heard.rumour.id() == id)
    }

    /// Those of which a context lacks a dot, in dot order. O(log n) for each replica of which it lacks something, and for each found.
    pub(crate) fn outside<'a>(
        &'a self,
        lacking: &'a Context,
    ) -> impl Iterator<Item = &'a Heard<N>> {
        lacking.intervals().flat_map(move |(replica, first, last)| {
            let from = Dot::new(replica, first);
            // The last one may begin in the interval and end behind it.
            let to = Dot::new(replica, u64::MAX);
            self.rumours
                .range(from..=to)
                .map(|(_, heard)| heard)
                .take_while(move |heard| heard.rumour.id().first() <= last)
        })
    }
}
