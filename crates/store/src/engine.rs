//! The seam to the embedded engine: ordered tables of bytes, consistent snapshots, atomic batches.
//!
//! Everything durable crosses these two traits, so a file ([`RedbEngine`]), a log before it
//! ([`LoggedEngine`]), memory ([`MemoryEngine`]) and failing hardware ([`FailingEngine`]) are
//! interchangeable below the store, and one test suite holds for all of them.

use std::fmt;
use std::ops::{Bound, ControlFlow};

mod batch;
mod failing;
mod logged;
mod memory;
mod redb;

pub use batch::Batch;
pub use failing::{FailingEngine, Fault, Faults};
pub use logged::{LogOptions, LoggedEngine, LoggedSnapshot};
pub use memory::{MemoryDisk, MemoryEngine};
pub use redb::{Compaction, RedbEngine, RedbOptions};

/// The ordered tables of a store. Their rows' bytes are laid out in [`crate::format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// What the file is, and the counters that every commit moves.
    Meta,
    /// Row key → item digest, row.
    Rows,
    /// Live dot → row key: lists what a peer has not seen without a search.
    Dots,
    /// Fence of a level → digest of the range from it to the next.
    Digests,
    /// Start of an interval of seen dots → its end.
    Context,
    /// Dot of a removal, place → row key: the removal log.
    Removals,
    /// The first symbols of the sketch, and the changes since.
    Sketch,
    /// Rows that are kept for a time only → nothing: deadlines by their time, remnants of counters.
    Due,
    /// Members of sorted sets by their scores, and fields that show nothing → nothing.
    Counted,
    /// Fence of a level → how many of these lie between it and the next.
    Counts,
}

impl Table {
    /// Every table, in the order in which a commit writes them.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Rows,
        Self::Dots,
        Self::Digests,
        Self::Context,
        Self::Removals,
        Self::Sketch,
        Self::Due,
        Self::Counted,
        Self::Counts,
    ];

    /// The table's name in the file: part of the on-disk format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Rows => "rows",
            Self::Dots => "dots",
            Self::Digests => "digests",
            Self::Context => "context",
            Self::Removals => "removals",
            Self::Sketch => "sketch",
            Self::Due => "due",
            Self::Counted => "counted",
            Self::Counts => "counts",
        }
    }
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Greatest key first.
    Backward,
}

/// A lower and an upper bound on keys, borrowed.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What is shown the entries of a table, key and value, until it breaks off.
pub type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// One entry of a table: its key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// How much a write must survive before it is acknowledged. Each survives what the one before it
/// does; an engine may do more than it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// May be lost with the process.
    Memory,
    /// Survives the end of the process, by `SIGKILL` too: the operating system has it. What the
    /// last 100 ms have brought (see [`LogOptions::sync_interval`]) is at risk when the machine
    /// loses power.
    #[default]
    Buffered,
    /// Synced to the device: survives power loss.
    Durable,
}

/// An embedded ordered key-value engine, as much of one as a store needs.
///
/// One store owns one engine and is its only writer. A commit is atomic: after a crash, all of its
/// batch is there or none. Commits survive in their order: where one is there after a crash, all
/// before it are.
pub trait Engine: Send + Sync + 'static {
    /// A consistent view of the tables as of one commit.
    type Snapshot: Snapshot;

    /// The tables as of the last commit. Cheap, and never waits for a disk.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    fn snapshot(&self) -> Result<Self::Snapshot, EngineError>;

    /// Applies a batch atomically, and returns when it will survive what `durability` says, with
    /// all before it.
    ///
    /// # Errors
    /// After an error the batch may or may not have been applied, but never a part of it. The store
    /// then treats the engine as failed until it is opened anew.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError>;

    /// Makes durable every commit that has returned, or that a snapshot can have shown. Those who
    /// call it at once can share the work.
    ///
    /// # Errors
    /// Whatever keeps the engine from syncing. It may have or not; the store then treats it as
    /// failed.
    fn flush(&self) -> Result<(), EngineError>;

    /// Whether every commit that a snapshot can have shown is durable. Never waits for a disk.
    fn is_durable(&self) -> bool;

    /// How much room the engine takes.
    ///
    /// # Errors
    /// Whatever keeps the engine from being measured.
    fn size(&self) -> Result<EngineSize, EngineError>;
}

/// A consistent view of an engine's tables, which outlives later commits.
pub trait Snapshot: Send + Sync + 'static {
    /// The value at a key.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read; not that the key is absent.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Shows the entries within the bounds to `visitor`, in order, until it breaks off. Nothing is
    /// copied, so this is the way to read a few bytes of values that may be large, and to seek.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError>;

    /// The entries within the bounds, in ascending order.
    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's>;
}

/// How much room an engine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineSize {
    /// Bytes of the file, or of keys and values in memory, those of the log included.
    pub bytes: u64,
    /// Bytes of commits in the log that have yet to come to the file. None where there is no log.
    pub log_bytes: u64,
}

/// What an engine can fail with. Nothing that was acknowledged as durable is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device has no room left, or the file may not grow further.
    #[error("the disk is full; free some room, then open the store again ({0})")]
    DiskFull(std::io::Error),
    /// Reading or writing failed.
    #[error(
        "reading or writing the store failed ({0}); check the device, then open the store again"
    )]
    Io(std::io::Error),
    /// The engine found its own structures broken.
    #[error(
        "the store's file is damaged ({0}); restore it from a backup, or remove it and sync from another replica"
    )]
    Damaged(String),
    /// An earlier failure has made the engine refuse to go on.
    #[error("the engine stopped after an earlier failure ({0}); open the store again")]
    Stopped(String),
}

/// Whether a range of these bounds is empty whatever the table holds. Engines differ in what they
/// make of such.
pub(crate) fn bounds_are_empty((lower, upper): Bounds<'_>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
