//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

use syncline_crdt::{CarrierId, limits};

use crate::EngineError;

/// Why a store could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no store at {path}; create one, or check the path", path = path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A new store was asked for where there is a file already.
    #[error("{path} exists already; open it, or choose another path", path = path.display())]
    Exists {
        /// The path that is taken.
        path: PathBuf,
    },
    /// Another process, or another part of this one, has the store open.
    #[error("{path} is already open; stop the process that uses it, or choose another path", path = path.display())]
    AlreadyOpen {
        /// The file that is open.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not a Syncline store but {found}; check the path, nothing was changed", path = path.display())]
    NotAStore {
        /// The file that was given.
        path: PathBuf,
        /// What it looks like instead.
        found: String,
    },
    /// The file is a store, but truncated or altered since it was written.
    #[error(
        "{path} is damaged ({detail}); restore it from a backup, or remove it and sync from another replica",
        path = path.display()
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// Commits of the store are in a log beside it, which has to be opened with it.
    #[error(
        "{path} holds commits that the store beside it has not taken up yet; open both with the engine that has a log",
        path = path.display()
    )]
    HasLog {
        /// The log's first file.
        path: PathBuf,
    },
    /// The log beside a store is not its own, as when one of them was put back from a backup.
    #[error(
        "the log {path} does not belong to the store beside it ({detail}); put back the store that it belongs to, or move the log away to go on without it",
        path = path.display()
    )]
    ForeignLog {
        /// The file of the log.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The log beside a store was altered or truncated since it was written.
    #[error(
        "the log {path} is damaged ({detail}); restore the store and its log from a backup, or move the log away, which loses what was written last, and sync from another replica",
        path = path.display()
    )]
    DamagedLog {
        /// The file of the log.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The file could not be read or written.
    #[error(
        "{path} cannot be read and written ({cause}); check its permissions and the device",
        path = path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A later version of Syncline wrote the store.
    #[error(
        "the store has format {found}, and this version knows formats up to {known}; use the version of Syncline that wrote it, or a later one"
    )]
    NewerFormat {
        /// The format in the file.
        found: u32,
        /// The latest format this version knows.
        known: u32,
    },
    /// The store belongs to another namespace.
    #[error("the store holds namespace {found:?}, not {expected:?}; check the data directory")]
    OtherNamespace {
        /// The namespace in the store.
        found: String,
        /// The namespace that was asked for.
        expected: String,
    },
    /// The store was written under another cluster's secret.
    #[error(
        "the store of namespace {namespace:?} was written under another cluster secret; check the data directory and the secret, or move the data by export and import"
    )]
    OtherSecret {
        /// The namespace of the store.
        namespace: String,
    },
    /// The tables hold what no version of Syncline wrote.
    #[error(
        "the store is damaged ({0}); restore it from a backup, or remove it and sync from another replica"
    )]
    DamagedTables(String),
    /// A row was found damaged, and nothing told which dots it held. Were the replica served, others
    /// would take the row's absence for its removal.
    #[error(
        "the row at key {} of namespace {namespace:?} is damaged beyond repair, so that nothing is served of this replica; remove the store and sync it from another one",
        show(key)
    )]
    Irreparable {
        /// The namespace of the store.
        namespace: String,
        /// The bytes of the row's key.
        key: Vec<u8>,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why a read or a write failed. A failed write has changed nothing that can be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row failed its checksum, or the indexes contradict it.
    #[error(
        "the row at key {} is damaged; withdraw it, and the next sync will fetch it from another replica",
        show(key)
    )]
    Damaged {
        /// The bytes of the row's key.
        key: Vec<u8>,
    },
    /// A row is damaged and nothing tells which dots it held. From then on the store serves nobody,
    /// and is not opened again: see [`OpenError::Irreparable`].
    #[error(
        "the row at key {} is damaged beyond repair, so that nothing is served of this replica; remove the store and sync it from another one",
        show(key)
    )]
    Irreparable {
        /// The bytes of the row's key.
        key: Vec<u8>,
    },
    /// A table other than the rows holds what no version of Syncline wrote.
    #[error(
        "the table {table} is damaged ({detail}); remove the store and sync it from another replica"
    )]
    DamagedTable {
        /// The table.
        table: &'static str,
        /// What does not fit.
        detail: &'static str,
    },
    /// A user key is too long.
    #[error(
        "a key of {length} bytes is over the limit of {} bytes; shorten it",
        limits::MAX_KEY
    )]
    KeyTooLong {
        /// The length of the key.
        length: usize,
    },
    /// A field or member is too long.
    #[error(
        "a field or member of {length} bytes is over the limit of {} bytes; shorten it",
        limits::MAX_FIELD
    )]
    FieldTooLong {
        /// The length of the field.
        length: usize,
    },
    /// A value is too large.
    #[error(
        "a value of {length} bytes is over the limit of {} bytes; split it over several keys",
        limits::MAX_VALUE
    )]
    ValueTooLarge {
        /// The length of the payload.
        length: usize,
    },
    /// A transaction writes too many rows.
    #[error(
        "a transaction of more than {} rows is over the limit; split it",
        crate::MAX_TRANSACTION_ROWS
    )]
    TooManyRows,
    /// A context that was taken earlier claims dots which a withdrawn row no longer backs.
    #[error("a damaged row was withdrawn since the session began; begin it anew")]
    Withdrawn,
    /// A join failed half way, so its group may hold rows without their dots.
    #[error(
        "a join of this group failed; drop the group, nothing of it was written, and begin again"
    )]
    Torn,
    /// A store cannot forget itself.
    #[error(
        "a store cannot forget itself; ask another carrier of the namespace to, and remove this one"
    )]
    OwnCarrier,
    /// Rows of this store came with the backup of a carrier that was forgotten since, and nobody knew of this store then.
    #[error(
        "replica {origin}, from whose backup this one was restored, was forgotten since: the backup may hold what came too late; export what only it has, remove this replica and let it begin empty"
    )]
    OriginForgotten {
        /// The carrier whose backup it was.
        origin: CarrierId,
    },
    /// Whoever made the backup has forgotten this store.
    #[error(
        "the backup is of a replica that has forgotten this one; remove this one and restore into an empty namespace"
    )]
    Forgotten,
    /// An earlier commit failed, so this store writes no more.
    #[error(
        "an earlier commit failed ({cause}); open the store again, nothing acknowledged is lost"
    )]
    Failed {
        /// The first failure.
        cause: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl StoreError {
    /// Whether it says that a row, or what should be its key, is damaged, rather than that nothing
    /// can be read.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// A key's bytes for people: as text where it is, escaped where not, cut where long.
pub(crate) fn show(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let mut text = key[..key.len().min(SHOWN)].escape_ascii().to_string();
    if key.len() > SHOWN {
        text.push('…');
    }
    format!("\"{text}\"")
}
