//! The one writer of a namespace: a thread that takes all transactions waiting into one commit.
//!
//! Much of what a write costs is its commit, and most of what a durable one costs is the sync after it, so writes that wait
//! share both. While a commit is being made the queue fills, and the group after it is larger: the busier, the cheaper each
//! write. A group whose callers are on their way waits for them [a moment](pace).
//!
//! What sessions receive does not pass through here. A session joins a frame of rows at a time, which is a large group by
//! itself, so it goes to the store directly, between two groups: sessions and writer take [turns](Turn).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use syncline_store::{Durability, Group, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::core::lock;
use crate::engine::AnyEngine;
use crate::error::Error;
use crate::measure::Worked;
use crate::outbox::{Deed, Outbox, Publication};
use crate::room::Room;
use crate::rows::StoreRows;
use crate::token::{Record, Token};
use crate::transaction::Transaction;

mod clearing;
mod pace;

use pace::Pace;

/// Transactions that may wait; whoever brings one more waits for a place.
const QUEUE: usize = 1024;
/// Transactions in a group at most.
const GROUP: usize = 512;
/// Rows after which a group is committed whatever waits: they are held in memory until then.
const GROUP_ROWS: usize = 65_536;

/// Whose turn it is to write: first come, first served. The store's own lock would let a busy writer take it again before
/// any session has woken up, and so keep a peer waiting for as long as it is busy.
#[derive(Clone, Default)]
pub(crate) struct Turn(Arc<tokio::sync::Mutex<()>>);

impl Turn {
    /// Waits for its turn, and holds it until the guard is dropped. For threads that may block.
    pub(crate) fn take(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.blocking_lock()
    }
}

/// The way to the writer's thread. The thread ends when this is dropped, after what is waiting.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    counters: Arc<Counters>,
    outbox: Outbox,
    thread: thread::JoinHandle<()>,
}

enum Message {
    Write(Request),
    /// Take nothing new, finish what is waiting, end.
    Stop,
}

struct Request {
    work: Box<dyn Work>,
    durability: Durability,
    /// Whatever must live until the request is answered.
    _keep: Box<dyn Send>,
}

struct Counters {
    worked: Arc<Worked>,
    /// Whether the store refuses to write since a commit has failed.
    failed: AtomicBool,
}

impl Counters {
    /// Finds out whether the store still writes, after something has failed.
    fn look_after(&self, store: &Store<AnyEngine>) {
        if let Err(StoreError::Failed { .. }) = store.group() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// What the writer of a namespace has done since the node was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteStats {
    /// Transactions that were committed. A write through a handle is one.
    pub transactions: u64,
    /// Commits that they took. The fewer there are, the more transactions shared one.
    pub commits: u64,
}

impl Writer {
    pub(crate) fn start(
        store: Store<AnyEngine>,
        turn: Turn,
        outbox: Outbox,
        room: Arc<Room>,
        worked: Arc<Worked>,
    ) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters {
            worked,
            failed: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("syncline-writer".to_owned());
        let thread = thread.spawn({
            let counters = counters.clone();
            move || run(&store, &turn, &room, requests, &counters)
        })?;
        Ok(Self {
            queue,
            counters,
            outbox,
            thread,
        })
    }

    pub(crate) fn stats(&self) -> WriteStats {
        WriteStats {
            transactions: self.counters.worked.transactions.get(),
            commits: self.counters.worked.commits.get(),
        }
    }

    /// Whether the store refuses to write, so that it has to be opened anew.
    pub(crate) fn has_failed(&self) -> bool {
        self.counters.failed.load(Ordering::Relaxed)
    }

    /// Finds out whether the store still writes, after something has failed.
    pub(crate) fn look_after(&self, store: &Store<AnyEngine>) {
        self.counters.look_after(store);
    }

    /// The way in, for a caller that must not hold on to the writer itself while it waits.
    pub(crate) fn queue(&self) -> Queue {
        Queue {
            requests: self.queue.clone(),
            outbox: self.outbox.clone(),
            worked: self.counters.worked.clone(),
        }
    }

    /// Ends the thread after what is waiting. Blocks until it has ended.
    pub(crate) fn stop(self) {
        // The queue can only be closed already when the thread has ended.
        let _ended = self.queue.blocking_send(Message::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the writer's thread panicked");
        }
    }
}

/// The way to the writer's thread, for one request.
pub(crate) struct Queue {
    requests: mpsc::Sender<Message>,
    outbox: Outbox,
    worked: Arc<Worked>,
}

impl Queue {
    /// Has `body` run in a transaction, and waits until it is committed. `keep` is dropped after that, even if the caller no
    /// longer waits.
    pub(crate) async fn transact<T, F>(
        self,
        durability: Durability,
        body: F,
        record: Option<Record>,
        keep: impl Send + 'static,
    ) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let mut outcomes = self.batch(durability, vec![body], record, keep).await?;
        outcomes.pop().unwrap_or(Err(Error::Closed))
    }

    /// The same of several, each in a transaction of its own: one that fails leaves the others alone.
    pub(crate) async fn batch<T, F>(
        self,
        durability: Durability,
        bodies: Vec<F>,
        record: Option<Record>,
        keep: impl Send + 'static,
    ) -> Result<Vec<Result<T, Error>>, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (begun, count) = (Instant::now(), bodies.len() as u64);
        let (reply, outcome) = oneshot::channel();
        let request = Request {
            work: Box::new(Job {
                steps: bodies.into_iter().map(Step::Waits).collect(),
                record,
                outbox: self.outbox,
                reply,
            }),
            durability,
            _keep: Box::new(keep),
        };
        let sent = self.requests.send(Message::Write(request)).await;
        sent.map_err(|_| Error::Closed)?;
        let outcomes = outcome.await.map_err(|_| Error::Closed)?;
        let took = begun.elapsed();
        self.worked.transaction_time.record_each(took, count);
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            Ok(outcome) => outcome,
            // As if the closure had run on the caller's own thread.
            Err(panic) => resume_unwind(panic),
        });
        Ok(outcomes.collect())
    }
}

fn run(
    store: &Store<AnyEngine>,
    turn: &Turn,
    room: &Room,
    mut queue: mpsc::Receiver<Message>,
    counters: &Counters,
) {
    let mut waiting = Vec::with_capacity(GROUP);
    let mut pace = Pace::default();
    while queue.blocking_recv_many(&mut waiting, GROUP) > 0 {
        let began = Instant::now();
        while let Some(pause) = pace.wait(waiting.len(), began.elapsed()) {
            thread::sleep(pause);
            while waiting.len() < GROUP
                && let Ok(message) = queue.try_recv()
            {
                waiting.push(message);
            }
        }
        if waiting
            .iter()
            .any(|message| matches!(message, Message::Stop))
        {
            queue.close();
        }
        let mut requests = waiting.drain(..).filter_map(|message| match message {
            Message::Write(request) => Some(request),
            Message::Stop => None,
        });
        while let Some(first) = requests.next() {
            let held = turn.take();
            let committed = commit_group(store, room, first, &mut requests, counters);
            // Sessions may go on while the disk is waited for.
            drop(held);
            pace = finish(store, committed, &queue, counters);
        }
    }
}

/// Runs requests until there are no more or the group is full, commits once, and answers them, save those that wait for
/// the disk: these are returned.
fn commit_group(
    store: &Store<AnyEngine>,
    room: &Room,
    first: Request,
    more: &mut impl Iterator<Item = Request>,
    counters: &Counters,
) -> Vec<Request> {
    let mut group = match store.group() {
        Ok(group) => group,
        Err(error) => {
            counters.look_after(store);
            first.work.answer(Err(Arc::new(error)));
            return Vec::new();
        }
    };
    let mut durability = Durability::Memory;
    let mut done = Vec::new();
    let mut rows = 0;
    let mut next = Some(first);
    while let Some(mut request) = next {
        rows += request.work.run(&mut group, room);
        durability = durability.max(request.durability.min(Durability::Buffered));
        done.push(request);
        next = if rows < GROUP_ROWS { more.next() } else { None };
    }
    let begun = Instant::now();
    let committed = group.commit(durability).map_err(Arc::new);
    let worked = &counters.worked;
    worked.commit_time.record(begun.elapsed());
    let all: u64 = done.iter().map(|request| request.work.count()).sum();
    let succeeded = match committed {
        Ok(()) => done.iter().map(|request| request.work.succeeded()).sum(),
        Err(_) => 0,
    };
    worked.transactions.add(succeeded);
    worked.failed.add(all - succeeded);
    match committed {
        Ok(()) => worked.commits.add(1),
        // Known before the callers are, so that what they do next finds the store opened anew.
        Err(_) => counters.look_after(store),
    }
    let waits = |request: &Request| committed.is_ok() && request.durability == Durability::Durable;
    let (waiting, done): (Vec<_>, Vec<_>) = done.into_iter().partition(waits);
    answer(done, &committed);
    waiting
}

/// Makes durable what was committed, once for all who wait for it.
fn finish(
    store: &Store<AnyEngine>,
    waiting: Vec<Request>,
    queue: &mpsc::Receiver<Message>,
    counters: &Counters,
) -> Pace {
    if waiting.is_empty() {
        return Pace::default();
    }
    let began = Instant::now();
    let synced = store.flush().map_err(Arc::new);
    counters.worked.flush_time.record(began.elapsed());
    if synced.is_err() {
        counters.look_after(store);
    }
    let pace = Pace::after(waiting.len(), queue.len(), began.elapsed());
    answer(waiting, &synced);
    pace
}

fn answer(requests: Vec<Request>, committed: &Result<(), Arc<StoreError>>) {
    for request in requests {
        request.work.answer(committed.clone());
    }
}

/// Transactions on their way, whatever they return.
trait Work: Send {
    /// Runs them within the group and keeps the outcomes; returns how many rows they changed.
    fn run(&mut self, group: &mut Group<'_, AnyEngine>, room: &Room) -> usize;

    /// How many there are.
    fn count(&self) -> u64;

    /// How many ran and did not fail.
    fn succeeded(&self) -> u64;

    /// Tells the caller, after the commit.
    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>);
}

struct Job<F, T> {
    steps: Vec<Step<F, T>>,
    /// Where what they write is recorded.
    record: Option<Record>,
    outbox: Outbox,
    reply: oneshot::Sender<Vec<Outcome<T>>>,
}

/// A transaction.
enum Step<F, T> {
    Waits(F),
    Done {
        value: T,
        /// What it wrote, where that is recorded.
        token: Option<Token>,
        /// What other nodes are told once it is committed.
        publication: Option<Box<Publication>>,
    },
    Failed(Outcome<T>),
}

/// What the closure returned, or with what it panicked.
type Outcome<T> = thread::Result<Result<T, Error>>;

impl<F, T> Job<F, T>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send,
{
    fn step(&self, body: F, group: &mut Group<'_, AnyEngine>, room: &Room) -> (Step<F, T>, usize) {
        let before = group.last_dot();
        // A group is as it was before a transaction that panics, and the closure's own state goes with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            group.transact(|rows| body(&mut Transaction::new(&mut StoreRows::new(rows, room))))
        }));
        match outcome {
            Ok(Ok((value, delta))) => {
                let rows = delta.rows().len();
                let token = self.record.is_some().then(|| Token::of(&delta));
                let publication = self.outbox.publication(before, group, || Deed::Rows(delta));
                let done = Step::Done {
                    value,
                    token,
                    publication: publication.map(Box::new),
                };
                (done, rows)
            }
            Ok(Err(error)) => (Step::Failed(Ok(Err(error))), 0),
            Err(panic) => (Step::Failed(Err(panic)), 0),
        }
    }
}

impl<F, T> Work for Job<F, T>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, group: &mut Group<'_, AnyEngine>, room: &Room) -> usize {
        let mut changed = 0;
        let steps = std::mem::take(&mut self.steps).into_iter();
        let steps = steps.map(|step| match step {
            Step::Waits(body) => {
                let (step, rows) = self.step(body, group, room);
                changed += rows;
                step
            }
            done => done,
        });
        self.steps = steps.collect();
        changed
    }

    fn count(&self) -> u64 {
        self.steps.len() as u64
    }

    fn succeeded(&self) -> u64 {
        let done = |step: &&Step<F, T>| matches!(step, Step::Done { .. });
        self.steps.iter().filter(done).count() as u64
    }

    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>) {
        let outcomes = self.steps.into_iter().map(|step| match (step, &committed) {
            // Its own failure says more than that of the commit it was no part of.
            (Step::Failed(outcome), _) => outcome,
            (_, Err(error)) => Ok(Err(Error::Store(Arc::clone(error)))),
            (
                Step::Done {
                    value,
                    token,
                    publication,
                },
                Ok(()),
            ) => {
                if let (Some(record), Some(token)) = (&self.record, &token) {
                    lock(record).add(token);
                }
                if let Some(publication) = publication {
                    self.outbox.publish(*publication);
                }
                Ok(Ok(value))
            }
            (Step::Waits(_), Ok(())) => Ok(Err(Error::Closed)),
        });
        // Nobody waits any more when the caller's future was dropped; what is committed stays so.
        let _unheard = self.reply.send(outcomes.collect());
    }
}
