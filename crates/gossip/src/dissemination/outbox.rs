//! Rumours on their way out, gathered for a moment while many come.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::message::{MAX_IDS, Pushed};

/// Bytes for one peer that are gathered at most; then they go at once.
const MAX_BATCH: usize = 64 << 10;

/// The first rumours after a silence go at once, those of one input together, and open a window; what follows within it waits for its end, and
/// goes together, which opens the next. So a rumour alone is never delayed, and under load a peer gets one message in a window.
#[derive(Debug)]
pub(super) struct Outbox<N> {
    window: Window,
    waiting: BTreeMap<N, Waiting>,
}

#[derive(Debug, PartialEq, Eq)]
enum Window {
    Closed,
    /// Since the input that is just handled: its own rumours go with its end.
    Opening,
    Open,
}

#[derive(Debug, Default)]
struct Waiting {
    pushed: Vec<Pushed>,
    bytes: usize,
}

impl<N: Copy + Ord> Outbox<N> {
    pub(super) const fn new() -> Self {
        Self {
            window: Window::Closed,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes a rumour for a peer; what goes to it now, as so much waits for it.
    pub(super) fn post(&mut self, to: N, pushed: Pushed) -> Option<Vec<Pushed>> {
        if self.window == Window::Closed {
            self.window = Window::Opening;
        }
        let waiting = self.waiting.entry(to).or_default();
        waiting.bytes += pushed.rumour.payload().len();
        waiting.pushed.push(pushed);
        let is_full = waiting.bytes >= MAX_BATCH || waiting.pushed.len() >= MAX_IDS;
        is_full.then(|| self.waiting.remove(&to).unwrap_or_default().pushed)
    }

    /// An input has been handled. If a window begins with that: what goes now.
    pub(super) fn handled(&mut self) -> Option<Vec<(N, Vec<Pushed>)>> {
        if self.window != Window::Opening {
            return None;
        }
        self.window = Window::Open;
        let waiting = core::mem::take(&mut self.waiting).into_iter();
        Some(waiting.map(|(to, it)| (to, it.pushed)).collect())
    }

    /// Whether a window is open, whose end will have to be told.
    pub(super) fn is_open(&self) -> bool {
        self.window != Window::Closed
    }

    /// The window ends: what waited. The next one is open already, unless nothing did.
    pub(super) fn flush(&mut self) -> impl Iterator<Item = (N, Vec<Pushed>)> + use<N> {
        let waiting = core::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            self.window = Window::Closed;
        }
        waiting.into_iter().map(|(to, it)| (to, it.pushed))
    }
}
