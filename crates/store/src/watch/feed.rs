//! Commits as they happen: which keys they change, for whoever listens, and what they bring, for
//! whoever waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use syncline_crdt::{Context, RowKey};
use syncline_merkle::KeyRange;

use super::{Bookmark, Changes, weight};
use crate::engine::Engine;
use crate::{StoreError, View};

/// Bytes of keys held for one listener; one who needs more has fallen behind.
const MAX_BYTES: usize = 256 << 10;
/// What a key weighs beside its bytes.
const KEY: usize = 48;
/// Commits after which a listener is due though nothing has changed in its range, so that its
/// bookmark does not grow old.
const IDLE_COMMITS: u64 = 1024;

/// What a commit tells, and to whom. It knows nothing of the engine, so that who listens does not
/// keep the store open.
pub(crate) struct Feed {
    state: Mutex<State>,
    /// How many listen: while nobody does, no keys are gathered.
    listening: AtomicUsize,
}

struct State {
    /// The last commit whose keys were left with the listeners.
    announced: u64,
    /// The last commit that views show.
    shown: u64,
    context: Arc<Context>,
    closed: bool,
    next_id: u64,
    listeners: BTreeMap<u64, Heard>,
    arrivals: BTreeMap<u64, Awaited>,
}

/// Which rows a commit changes, and why.
#[derive(Clone, Copy)]
pub(crate) struct Changed<'k> {
    /// Ascending; `None` where they were not gathered.
    pub(crate) keys: Option<&'k [RowKey]>,
    /// Whether anything in it came from other replicas.
    pub(crate) is_joined: bool,
}

impl Changed<'_> {
    pub(crate) const NOTHING: Self = Self {
        keys: Some(&[]),
        is_joined: false,
    };
}

/// What somebody waits for.
struct Awaited {
    wanted: Arc<Context>,
    after: u64,
    waker: Waker,
}

/// What a listener has yet to take.
struct Heard {
    range: KeyRange,
    /// Whether what was written here is of no interest.
    joined_only: bool,
    /// Changed keys by their commits, ascending.
    commits: VecDeque<(u64, Vec<RowKey>)>,
    bytes: usize,
    /// The last commit whose keys were dropped, or never known.
    lost: u64,
    /// Up to which commit all was taken.
    taken: u64,
    waker: Option<Waker>,
}

impl Feed {
    pub(crate) fn new(commit: u64, context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                announced: commit,
                shown: commit,
                context,
                closed: false,
                next_id: 0,
                listeners: BTreeMap::new(),
                arrivals: BTreeMap::new(),
            }),
            listening: AtomicUsize::new(0),
        })
    }

    /// Whether keys are wanted.
    pub(crate) fn has_listeners(&self) -> bool {
        self.listening.load(Ordering::Acquire) > 0
    }

    /// Leaves with the listeners what a commit is about to change. It comes before views show the
    /// commit, so that whoever has a view finds all that led to it.
    pub(crate) fn announce(&self, commit: u64, changed: Changed<'_>) {
        let mut state = self.lock();
        state.announced = commit;
        for heard in state.listeners.values_mut() {
            if changed.is_joined || !heard.joined_only {
                heard.hear(commit, changed.keys);
            }
        }
    }

    /// Wakes whom a commit concerns, which views show from now on.
    pub(crate) fn show(&self, commit: u64, context: Arc<Context>) {
        let mut state = self.lock();
        state.shown = commit;
        state.context = context;
        let arrived = |awaited: &Awaited| state.has_come(&awaited.wanted, awaited.after);
        let arrived: Vec<u64> = state
            .arrivals
            .iter()
            .filter_map(|(id, awaited)| arrived(awaited).then_some(*id))
            .collect();
        let mut wakers: Vec<Waker> = Vec::new();
        for id in arrived {
            wakers.extend(state.arrivals.remove(&id).map(|awaited| awaited.waker));
        }
        for heard in state.listeners.values_mut() {
            if heard.is_due(commit) {
                wakers.extend(heard.waker.take());
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells all that nothing will come any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let arrivals = std::mem::take(&mut state.arrivals);
        let listeners = state.listeners.values_mut();
        let wakers: Vec<Waker> = listeners
            .filter_map(|heard| heard.waker.take())
            .chain(arrivals.into_values().map(|awaited| awaited.waker))
            .collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_come(&self, wanted: &Context, after: u64) -> bool {
        self.shown > after && self.context.covers(wanted)
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Heard {
    fn hear(&mut self, commit: u64, keys: Option<&[RowKey]>) {
        let Some(keys) = keys else {
            return self.lose(commit);
        };
        let lower = &self.range.lower;
        let from = keys.partition_point(|key| key.as_bytes() < lower.as_slice());
        let within = keys[from..]
            .iter()
            .take_while(|key| self.range.contains(key.as_bytes()));
        let mut heard = Vec::new();
        for key in within {
            self.bytes += KEY + key.as_bytes().len();
            if self.bytes > MAX_BYTES {
                return self.lose(commit);
            }
            heard.push(key.clone());
        }
        if !heard.is_empty() {
            self.commits.push_back((commit, heard));
        }
    }

    fn lose(&mut self, commit: u64) {
        self.lost = commit;
        self.bytes = 0;
        self.commits = VecDeque::new();
    }

    fn is_due(&self, shown: u64) -> bool {
        let changed = self
            .commits
            .front()
            .is_some_and(|(first, _)| *first <= shown);
        let lost = self.lost > self.taken && self.lost <= shown;
        changed || lost || shown.saturating_sub(self.taken) >= IDLE_COMMITS
    }

    /// The keys of all commits after `since` up to `commit`, if they are all here.
    fn take(&mut self, since: u64, commit: u64) -> Option<BTreeSet<RowKey>> {
        let mut keys = BTreeSet::new();
        let known = self.lost <= since;
        while let Some((at, changed)) = self.commits.pop_front() {
            if at > commit {
                self.commits.push_front((at, changed));
                break;
            }
            for key in changed {
                self.bytes -= KEY + key.as_bytes().len();
                keys.insert(key);
            }
        }
        self.taken = commit;
        // They are not here any more: who does not get to tell them has to search.
        self.lost = self.lost.max(commit);
        known.then_some(keys)
    }
}

/// What somebody who waited was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// What was waited for has happened.
    Due,
    /// The store was closed.
    Closed,
}

/// Hears of every commit that changes a range: made by [`Store::listen`](crate::Store::listen).
///
/// It does not keep the store open. What it holds is bounded; writers never wait for it.
pub struct Listener {
    feed: Arc<Feed>,
    id: u64,
    range: KeyRange,
}

impl Listener {
    pub(crate) fn new(feed: &Arc<Feed>, range: KeyRange, joined_only: bool) -> Self {
        feed.listening.fetch_add(1, Ordering::AcqRel);
        let mut state = feed.lock();
        let id = state.draw_id();
        let heard = Heard {
            range: range.clone(),
            joined_only,
            commits: VecDeque::new(),
            bytes: 0,
            lost: state.announced,
            taken: state.announced,
            waker: None,
        };
        state.listeners.insert(id, heard);
        drop(state);
        Self {
            feed: Arc::clone(feed),
            id,
            range,
        }
    }

    /// As [`View::changes`] in the listener's range, where what changed lately is known without a
    /// search.
    ///
    /// # Errors
    /// As there.
    pub fn changes<E: Engine>(
        &mut self,
        view: &View<E>,
        from: Option<&Bookmark>,
        max_bytes: usize,
        max_rows: usize,
    ) -> Result<Changes, StoreError> {
        let since = from.map_or(0, |bookmark| bookmark.commit);
        // Of another store, or of this one as it was opened again, nothing was heard.
        let keys = Arc::ptr_eq(&self.feed, &view.shared.feed)
            .then(|| self.with(|heard| heard.take(since, view.commit())))
            .flatten();
        let known = from
            .filter(|bookmark| bookmark.is_complete() && view.continues(bookmark))
            .and(keys);
        if let Some(keys) = known.filter(|keys| keys.len() <= max_rows) {
            let mut rows = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            for key in keys {
                let row = view.get(&key)?.unwrap_or_default();
                bytes += weight(&key, &row);
                rows.push((key, row));
                if bytes > max_bytes {
                    break;
                }
            }
            if bytes <= max_bytes {
                return Ok(Changes {
                    anew: false,
                    rows,
                    bookmark: view.bookmark(),
                    complete: true,
                });
            }
        }
        view.changes(&self.range, from, max_bytes, max_rows)
    }

    /// The keys of the rows of the range that were changed, as far as the listener hears of them, by
    /// commits up to that of a view and after the last that was asked for. `None` if they were too
    /// many to be kept, or the view is of another opening of the store.
    pub fn keys<E: Engine>(&mut self, view: &View<E>) -> Option<BTreeSet<RowKey>> {
        Arc::ptr_eq(&self.feed, &view.shared.feed)
            .then(|| self.with(|heard| heard.take(heard.taken, view.commit())))
            .flatten()
    }

    /// Ready when rows of the range have changed since the last call of [`changes`](Self::changes),
    /// or a thousand commits were made that have changed none; at once if that is so already.
    pub fn poll_due(&mut self, task: &mut std::task::Context<'_>) -> Poll<Signal> {
        let mut state = self.feed.lock();
        let (shown, closed) = (state.shown, state.closed);
        let Some(heard) = state.listeners.get_mut(&self.id).filter(|_| !closed) else {
            return Poll::Ready(Signal::Closed);
        };
        if heard.is_due(shown) {
            return Poll::Ready(Signal::Due);
        }
        heard.waker = Some(task.waker().clone());
        Poll::Pending
    }

    /// [`poll_due`](Self::poll_due) as a future. Nothing is lost when it is dropped.
    pub async fn due(&mut self) -> Signal {
        std::future::poll_fn(|task| self.poll_due(task)).await
    }

    fn with<T>(&self, work: impl FnOnce(&mut Heard) -> Option<T>) -> Option<T> {
        self.feed.lock().listeners.get_mut(&self.id).and_then(work)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.lock().listeners.remove(&self.id);
        self.feed.listening.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// A future of the commit by which a store has seen what is waited for: made by
/// [`Store::arrival`](crate::Store::arrival). It does not keep the store open.
pub struct Arrival {
    feed: Arc<Feed>,
    wanted: Arc<Context>,
    after: u64,
    id: u64,
}

impl Arrival {
    pub(crate) fn new(feed: &Arc<Feed>, wanted: Arc<Context>, after: u64) -> Self {
        Self {
            id: feed.lock().draw_id(),
            feed: Arc::clone(feed),
            wanted,
            after,
        }
    }
}

impl Future for Arrival {
    type Output = Signal;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Signal> {
        let mut state = self.feed.lock();
        if state.closed {
            return Poll::Ready(Signal::Closed);
        }
        if state.has_come(&self.wanted, self.after) {
            return Poll::Ready(Signal::Due);
        }
        let awaited = Awaited {
            wanted: Arc::clone(&self.wanted),
            after: self.after,
            waker: task.waker().clone(),
        };
        state.arrivals.insert(self.id, awaited);
        Poll::Pending
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.feed.lock().arrivals.remove(&self.id);
    }
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival")
            .field("wanted", &self.wanted)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
