//! What a node counts of its own work. Counting is an addition to an atomic number; whoever wants to know reads them all when asked.

mod histogram;
#[cfg_attr(not(feature = "net"), allow(dead_code))]
mod picture;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::histogram::{Histogram, Latencies};
#[cfg(feature = "net")]
pub use self::picture::Exchanged;
pub(crate) use self::picture::Picture;
use crate::blocking;
use crate::error::Error;
use crate::namespace::Namespace;
use syncline_store::{Listed, RemovalLogSize, Scrub};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has been done with a namespace since the node was started. It outlives an opening of the store.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    pub(crate) reads: Count,
    pub(crate) transactions: Count,
    pub(crate) failed: Count,
    pub(crate) commits: Count,
    pub(crate) rows_received: Count,
    pub(crate) rumours_joined: Count,
    pub(crate) scrubs: Count,
    pub(crate) damage: Count,
    pub(crate) transaction_time: Histogram,
    pub(crate) commit_time: Histogram,
    pub(crate) flush_time: Histogram,
    pub(crate) session_time: Histogram,
}

/// What a node has done with a namespace since it was started; see [`Namespace::work`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Work {
    /// Reads through handles, scans and [`Namespace::read`]; one for each closure, however much that reads.
    pub reads: u64,
    /// Transactions that were committed. A write through a handle is one.
    pub transactions: u64,
    /// Transactions that were not, by their own decision or for want of room, say.
    pub failed: u64,
    /// Commits of the writer. The fewer there are, the more transactions shared one.
    pub commits: u64,
    /// Rows of peers that sessions have joined, those included that only said that something is gone.
    pub rows_received: u64,
    /// Rumours that were joined.
    pub rumours_joined: u64,
    /// Scrubs that came to their end.
    pub scrubs: u64,
    /// What scrubs have found that did not fit.
    pub damage: u64,
    /// How long transactions took, from when they were handed in until their commit was answered, waiting included.
    pub transaction_time: Latencies,
    /// How long the writer's commits took, without the wait for the disk that durable ones end with.
    pub commit_time: Latencies,
    /// How long the disk took to make durable what was written, once for all who waited for it.
    pub flush_time: Latencies,
    /// How long sessions took that ended well.
    pub session_time: Latencies,
}

/// How much room a namespace takes, and for what; see [`Namespace::sizes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// Bytes of its file, or of memory, those of the log included.
    pub bytes: u64,
    /// Bytes of commits in the log that have yet to come to the file.
    pub log_bytes: u64,
    /// Removals that are remembered for peers that missed them.
    pub removals: u64,
    /// Their bytes.
    pub removal_bytes: u64,
    /// Keys with a deadline, counted up to [`Sizes::COUNTED`].
    pub deadlines: u64,
    /// What is left of deleted counters, counted up to [`Sizes::COUNTED`].
    pub remnants: u64,
    /// Damaged rows that were withdrawn since the store was opened.
    pub withdrawn: u64,
    /// When the last scrub came to its end, in Unix milliseconds; 0 if none did.
    pub scrubbed_ms: u64,
}

impl Sizes {
    /// As far as is counted what can only be counted one by one.
    pub const COUNTED: u64 = 10_000;
}

/// What was done with it, and the room that it takes.
impl Namespace {
    /// What this node has done with the namespace since it was started. Opens nothing.
    pub fn work(&self) -> Work {
        let worked = self.worked();
        Work {
            reads: worked.reads.get(),
            transactions: worked.transactions.get(),
            failed: worked.failed.get(),
            commits: worked.commits.get(),
            rows_received: worked.rows_received.get(),
            rumours_joined: worked.rumours_joined.get(),
            scrubs: worked.scrubs.get(),
            damage: worked.damage.get(),
            transaction_time: worked.transaction_time.read(),
            commit_time: worked.commit_time.read(),
            flush_time: worked.flush_time.read(),
            session_time: worked.session_time.read(),
        }
    }

    /// How much room it takes, and for what.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn sizes(&self) -> Result<Sizes, Error> {
        let open = self.replica().open().await?;
        blocking(move || {
            let (view, size) = (open.store.view()?, open.store.size()?);
            let RemovalLogSize { removals, bytes } = view.removal_log();
            let Listed {
                deadlines,
                remnants,
            } = view.listed(usize::try_from(Sizes::COUNTED).unwrap_or(usize::MAX))?;
            Ok(Sizes {
                bytes: size.bytes,
                log_bytes: size.log_bytes,
                removals,
                removal_bytes: bytes,
                deadlines,
                remnants,
                withdrawn: view.withdrawals(),
                scrubbed_ms: Scrub::last_finished_ms(&open.store)?.unwrap_or(0),
            })
        })
        .await
    }
}
