//! One replica of one namespace: rows, context, digests and dot index in one atomic commit.
//!
//! # What it is
//!
//! A [`Store`] keeps the rows of `syncline-crdt` on an embedded [`Engine`], and beside them, always
//! as fresh as they are, what replication needs: the *context* of all dots ever seen, the *digest
//! tree* of `syncline-merkle`, by which two replicas find where they differ, the *dot index*, by
//! which a replica lists what another has not seen, and, so that removals need no search either, a
//! *sketch* of the live dots and a *log* of removals. For its readers it keeps a *counted index* of
//! sorted sets. One commit changes all of them or none.
//!
//! # What it is not
//!
//! It knows no network, no peers, and no data types: payloads are bytes, and rows of kinds that it
//! does not know are joined, digested and forwarded like any other. Only deadlines and the remnants
//! of counters does it look into, to [drop](Store::collect) what nobody can see any more, and scores
//! and fields, to [count](View::count_entries) them.
//!
//! # How a value flows through it
//!
//! 1. A [`Transaction`] gives each mutation a fresh [`Dot`](syncline_crdt::Dot) and lets it
//!    supersede what it observed. What it did is at the same time a delta for other replicas. A
//!    [`join`](Store::join) merges what they hold.
//! 2. Both happen in a [`Group`], in memory, on top of a snapshot, by the one writer.
//! 3. [`Group::commit`] makes of the group the edits of every [table](Table), and gives them to the
//!    engine as one [`Batch`]. Only when the engine has taken it does the store's memory follow. What
//!    the commit survives is its [`Durability`]; those who wait for a sync share it.
//! 4. A [`View`] shows all of it as of one commit, while writing goes on: rows, root digest,
//!    context, and [what a peer lacks](View::lacking).
//!
//! # Damage
//!
//! A row's digest is stored with it and checked whenever it is read. A row that fails is
//! *withdrawn*, not joined: it goes, and its dots leave the context as gaps, so that the next
//! session fetches it from another replica. [`View::recount`] audits the whole, a [`Scrub`] does so a
//! little at a time and mends what it finds.
#![forbid(unsafe_code)]

mod additions;
mod carriers;
mod chunks;
mod collect;
mod commit;
mod counted;
mod due;
mod engine;
mod environment;
mod error;
pub mod format;
mod group;
mod join;
mod opening;
mod range_removal;
mod ranked;
mod recount;
mod removals;
mod restoring;
mod scrub;
mod seal;
mod sketch;
mod staging;
mod store;
mod transaction;
mod view;
mod watch;
mod withdraw;
mod witness;

pub use additions::Additions;
pub use carriers::{Attendance, SessionGuard, StabilityStatus, Statement};
pub use chunks::{Chunk, Dropped, Remains, Remnant, Removing};
pub use collect::Collected;
pub use counted::{read_score_entry, score_entry};
pub use due::{DueMark, Listed};
pub use engine::{
    Batch, Bounds, Compaction, Direction, Durability, Engine, EngineError, EngineSize, Entry,
    FailingEngine, Fault, Faults, LogOptions, LoggedEngine, LoggedSnapshot, MemoryDisk,
    MemoryEngine, RedbEngine, RedbOptions, Snapshot, Table, Visitor,
};
pub use environment::{Environment, SystemEnvironment};
pub use error::{OpenError, StoreError};
pub use group::Group;
pub use join::{Incoming, Joined};
pub use range_removal::{ChunkLimit, RangeDelta, RangeRemoval};
pub use recount::{MAX_MISMATCHES, Mismatch, Recount};
pub use removals::{Removal, RemovalLogBounds, RemovalLogSize, Removals};
pub use scrub::{Pace, Phase, Scrub, ScrubRate, ScrubReport, Step};
pub use sketch::SKETCH_SYMBOLS;
pub use store::{Config, Store};
pub use transaction::Transaction;
pub use view::View;
pub use watch::{Arrival, Bookmark, Changes, Listener, Signal};
pub use withdraw::Withdrawn;

/// How many rows one transaction may write.
pub const MAX_TRANSACTION_ROWS: usize = 1_000_000;
