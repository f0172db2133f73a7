//! What happens in a run, in the order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use syncline_gossip::Timer;

use super::members::Due;
use super::postage::Letter;
use crate::stores::Frame;

/// All that is still to happen.
pub(super) struct Events {
    queue: BinaryHeap<Reverse<Scheduled>>,
    caused: u64,
}

impl Events {
    pub(super) const fn new() -> Self {
        Self {
            queue: BinaryHeap::new(),
            caused: 0,
        }
    }

    pub(super) fn cause(&mut self, at: Duration, event: Event) {
        let number = self.caused;
        self.queue.push(Reverse(Scheduled { at, number, event }));
        self.caused += 1;
    }

    pub(super) fn next(&mut self) -> Option<Scheduled> {
        self.queue.pop().map(|Reverse(next)| next)
    }
}

/// An event, and its place in the order of all: by time, then as they were caused.
pub(super) struct Scheduled {
    pub(super) at: Duration,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

pub(super) enum Event {
    Arrive {
        from: u32,
        to: u32,
        /// At which of its doors.
        door: u16,
        sent: Duration,
        letter: Letter,
    },
    /// A node starts for the first time, with a view of its own.
    Start {
        node: u32,
    },
    /// Something is due in a node with a view of its own.
    Due {
        node: u32,
        life: u32,
        due: Due,
    },
    Timer {
        node: u32,
        /// In which life of the node it was set.
        life: u32,
        timer: Timer,
    },
    Publish {
        number: u32,
    },
    /// By its number in the scenario.
    Crash {
        number: usize,
    },
    /// Nodes are back, or there for the first time.
    Return {
        nodes: Vec<u32>,
    },
    /// Those who live learn who does not.
    Notice,
    /// A frame of a session.
    Frame(Frame),
    /// One that found no place among those that wait to be sent tries again.
    Offer(Frame),
    /// One side of a session may have more to say.
    Speak {
        talk: u64,
        side: usize,
    },
    /// A node may send more.
    Paid {
        node: u32,
        life: u32,
    },
    /// A session with anybody is due.
    Sync {
        node: u32,
        life: u32,
    },
    /// Do all stores agree?
    Check,
}
