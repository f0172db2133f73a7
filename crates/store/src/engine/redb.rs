//! The engine on disk: one file, a copy-on-write B-tree per table, by way of redb.

use std::cell::Cell;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{
    CommitError, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, StorageError,
    TableDefinition, TableError, TableHandle, TransactionError,
};

use super::logged::{Beside, LogFiles, sync_directory_of};
use super::{
    Batch, Bounds, Direction, Durability, Engine, EngineError, EngineSize, Entry, Snapshot, Table,
    Visitor, bounds_are_empty,
};
use crate::OpenError;

mod apply;
mod compact;

use apply::apply;
pub use compact::Compaction;

/// Settings of the file engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedbOptions {
    /// Bytes of memory for pages, read and to be written.
    pub cache_bytes: usize,
}

impl Default for RedbOptions {
    /// 128 MiB of cache.
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
        }
    }
}

/// A file of ordered tables.
///
/// Commits are atomic; synced ones save the allocator's state with them, so that opening after a
/// crash takes milliseconds whatever the size of the file. Only one engine at a time can have a
/// file open, in any process.
///
/// What is not synced does not survive the process, so a [`Durability::Buffered`] commit is synced
/// like a durable one. [`LoggedEngine`](super::LoggedEngine) does better.
///
/// ```
/// use syncline_store::{
///     Batch, Durability, Engine, OpenError, RedbEngine, RedbOptions, Snapshot, Table,
/// };
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("app.store");
/// let engine = RedbEngine::create(&path, RedbOptions::default())?;
/// let mut batch = Batch::new();
/// batch.put(Table::Rows, b"ada", b"1");
/// engine.commit(batch, Durability::Durable)?;
///
/// let second = RedbEngine::open(&path, RedbOptions::default());
/// assert!(matches!(second, Err(OpenError::AlreadyOpen { .. })));
/// drop(engine);
/// let engine = RedbEngine::open(&path, RedbOptions::default())?;
/// assert_eq!(engine.snapshot()?.get(Table::Rows, b"ada")?, Some(b"1".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RedbEngine {
    database: Database,
    /// For the size on disk; empty for a backend that is no file.
    path: PathBuf,
    /// Commits that were not synced by themselves.
    unsynced: AtomicU64,
    /// How many of them a later commit has synced.
    covered: AtomicU64,
}

impl RedbEngine {
    /// Makes a new file, which must not exist yet. A crash in the middle leaves no half-made file
    /// at `path`.
    ///
    /// # Errors
    /// [`OpenError::Exists`], [`OpenError::AlreadyOpen`] if another process has made it meanwhile,
    /// or whatever keeps the file from being written.
    pub fn create(path: impl AsRef<Path>, options: RedbOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if path.try_exists().map_err(|e| unreadable(path, e))? {
            return Err(OpenError::Exists { path: path.into() });
        }
        // Made under another name and then linked: a process killed while making it leaves a file
        // that nobody opens, and of two that make it at once one finds the name taken.
        let fresh = fresh_name(path);
        let database = guarded(path, || builder(options).create(&fresh))?;
        let linked = fs::hard_link(&fresh, path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // Not every file system has hard links.
            _ => fs::rename(&fresh, path),
        });
        let removed = match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        linked.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenError::Exists { path: path.into() },
            _ => unreadable(path, error),
        })?;
        removed
            .and_then(|()| sync_directory_of(path))
            .map_err(|error| unreadable(path, error))?;
        Ok(Self::new(database, path.into()))
    }

    /// Opens an existing file. After a crash it is recovered to the last commit that was synced.
    ///
    /// # Errors
    /// [`OpenError::Missing`], [`OpenError::AlreadyOpen`], [`OpenError::NotAStore`],
    /// [`OpenError::Damaged`], or whatever keeps the file from being read. [`OpenError::HasLog`] if
    /// commits are in a log beside it, which would be lost, or worse, applied later to what they do
    /// not follow from.
    pub fn open(path: impl AsRef<Path>, options: RedbOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let engine = Self::open_without_log(path, options)?;
        let files = Beside::new(path);
        match files.numbers().map_err(|e| unreadable(path, e))?.first() {
            Some(number) => Err(OpenError::HasLog {
                path: files.path(*number),
            }),
            None => Ok(engine),
        }
    }

    /// As [`open`](Self::open), for one who sees to the log.
    pub(super) fn open_without_log(path: &Path, options: RedbOptions) -> Result<Self, OpenError> {
        if !path.try_exists().map_err(|e| unreadable(path, e))? {
            return Err(OpenError::Missing { path: path.into() });
        }
        let database = guarded(path, || builder(options).open(path))?;
        let engine = Self::new(database, path.into());
        engine.refuse_foreign_tables()?;
        Ok(engine)
    }

    fn new(database: Database, path: PathBuf) -> Self {
        Self {
            database,
            path,
            unsynced: AtomicU64::new(0),
            covered: AtomicU64::new(0),
        }
    }

    /// Opens the file if it exists, makes it otherwise.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(path: impl AsRef<Path>, options: RedbOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        match Self::open(path, options) {
            Err(OpenError::Missing { .. }) => match Self::create(path, options) {
                Err(OpenError::Exists { .. }) => Self::open(path, options),
                created => created,
            },
            opened => opened,
        }
    }

    /// A valid file of somebody else's tables is not ours to write to. An empty one is: it was
    /// made, and its first commit never came.
    fn refuse_foreign_tables(&self) -> Result<(), OpenError> {
        let names: Vec<String> = guarded(&self.path, || {
            let tables = self
                .database
                .begin_read()
                .map_err(transaction_database_error)?;
            let tables = tables.list_tables()?;
            Ok(tables.map(|table| table.name().to_owned()).collect())
        })?;
        if names.is_empty()
            || names
                .iter()
                .any(|name| Table::ALL.iter().any(|table| table.name() == name))
        {
            return Ok(());
        }
        Err(OpenError::NotAStore {
            path: self.path.clone(),
            found: format!("a redb file with a table named {:?}", names[0]),
        })
    }
}

impl Engine for RedbEngine {
    type Snapshot = RedbSnapshot;

    fn snapshot(&self) -> Result<RedbSnapshot, EngineError> {
        distrusting(|| self.read())
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        let sync = durability != Durability::Memory;
        if batch.is_empty() && (!sync || self.is_durable()) {
            return Ok(());
        }
        distrusting(|| self.write(batch, sync))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.commit(Batch::new(), Durability::Durable)
    }

    fn is_durable(&self) -> bool {
        self.covered.load(Ordering::Acquire) >= self.unsynced.load(Ordering::Acquire)
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        let bytes = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(_) if self.path.as_os_str().is_empty() => 0,
            Err(error) => return Err(io_error(error)),
        };
        Ok(EngineSize {
            bytes,
            log_bytes: 0,
        })
    }
}

impl RedbEngine {
    fn read(&self) -> Result<RedbSnapshot, EngineError> {
        let read = self.database.begin_read().map_err(transaction_error)?;
        let mut tables = [const { None }; Table::ALL.len()];
        for table in Table::ALL {
            tables[table as usize] = match read.open_table(definition(table)) {
                Ok(opened) => Some(opened),
                // Tables come into being with their first row.
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(table_error(error)),
            };
        }
        Ok(RedbSnapshot { tables })
    }

    fn write(&self, mut batch: Batch, sync: bool) -> Result<(), EngineError> {
        let mut write = self.database.begin_write().map_err(transaction_error)?;
        write.set_quick_repair(true);
        // Nobody else commits until this transaction ends.
        let covered = self.unsynced.load(Ordering::Acquire);
        if !sync {
            // Before anybody can see it.
            self.unsynced.fetch_add(1, Ordering::AcqRel);
            write
                .set_durability(redb::Durability::None)
                .map_err(|error| EngineError::Stopped(error.to_string()))?;
        }
        for table in Table::ALL {
            let mut edits = batch.sorted(table).peekable();
            if edits.peek().is_some() {
                let mut opened = write.open_table(definition(table)).map_err(table_error)?;
                apply(&mut opened, edits).map_err(storage_error)?;
            }
        }
        write.commit().map_err(|error| match error {
            CommitError::Storage(error) => storage_error(error),
            other => EngineError::Stopped(other.to_string()),
        })?;
        if sync {
            self.covered.fetch_max(covered, Ordering::AcqRel);
        }
        Ok(())
    }
}

type Bytes = &'static [u8];

const fn definition(table: Table) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(table.name())
}

/// A file's tables as of one commit. Its pages are kept until it is dropped, so a long-lived
/// snapshot makes the file grow while writes go on.
pub struct RedbSnapshot {
    tables: [Option<ReadOnlyTable<Bytes, Bytes>>; Table::ALL.len()],
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(table) = &self.tables[table as usize] else {
            return Ok(None);
        };
        distrusting(|| {
            let value = table.get(key).map_err(storage_error)?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        let Some(table) = &self.tables[table as usize] else {
            return Ok(());
        };
        if bounds_are_empty(bounds) {
            return Ok(());
        }
        // A panic of the visitor is its own, not one of redb's.
        let visiting = Cell::new(false);
        let visit = || {
            let mut entries = table.range::<&[u8]>(bounds).map_err(storage_error)?;
            loop {
                let entry = match direction {
                    Direction::Forward => entries.next(),
                    Direction::Backward => entries.next_back(),
                };
                let Some(entry) = entry else { return Ok(()) };
                let (key, value) = entry.map_err(storage_error)?;
                let (key, value) = (key.value(), value.value());
                visiting.set(true);
                let flow = visitor(key, value);
                visiting.set(false);
                if flow.is_break() {
                    return Ok(());
                }
            }
        };
        match catch_unwind(AssertUnwindSafe(visit)) {
            Ok(done) => done,
            Err(panic) if visiting.get() => resume_unwind(panic),
            Err(_) => Err(EngineError::Damaged(CONTRADICTION.into())),
        }
    }

    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's> {
        let Some(table) = &self.tables[table as usize] else {
            return Box::new(std::iter::empty());
        };
        if bounds_are_empty(bounds) {
            return Box::new(std::iter::empty());
        }
        match distrusting(|| table.range::<&[u8]>(bounds).map_err(storage_error)) {
            Ok(mut entries) => {
                let mut broken = false;
                let next = move || {
                    if broken {
                        return None;
                    }
                    let entry = distrusting(|| {
                        let Some(entry) = entries.next() else {
                            return Ok(None);
                        };
                        let (key, value) = entry.map_err(storage_error)?;
                        Ok(Some((key.value().to_vec(), value.value().to_vec())))
                    });
                    broken = entry.is_err();
                    entry.transpose()
                };
                Box::new(std::iter::from_fn(next))
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

/// What a panic of redb comes down to.
const CONTRADICTION: &str = "its structures contradict each other";

/// Runs a step of redb, which does not verify its pages as it reads them and may panic on one that
/// was altered.
fn distrusting<T>(step: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => done,
        Err(_) => Err(EngineError::Damaged(CONTRADICTION.into())),
    }
}

fn builder(options: RedbOptions) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// Runs an opening step of redb, which trusts a file that was closed in order and may panic on one
/// altered since.
fn guarded<T>(
    path: &Path,
    open: impl FnOnce() -> Result<T, DatabaseError>,
) -> Result<T, OpenError> {
    let damaged = |detail: String| OpenError::Damaged {
        path: path.into(),
        detail,
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)) => {
            Err(OpenError::AlreadyOpen { path: path.into() })
        }
        Ok(Err(DatabaseError::UpgradeRequired(version))) => Err(OpenError::NotAStore {
            path: path.into(),
            found: format!("a redb file of version {version}"),
        }),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error)))) => Err(match error.kind() {
            io::ErrorKind::InvalidData => OpenError::NotAStore {
                path: path.into(),
                found: error.to_string(),
            },
            io::ErrorKind::UnexpectedEof => damaged("it ends too early".into()),
            _ => unreadable(path, error),
        }),
        Ok(Err(DatabaseError::Storage(StorageError::Corrupted(detail)))) => Err(damaged(detail)),
        Ok(Err(other)) => Err(damaged(other.to_string())),
        Err(_) => Err(damaged(CONTRADICTION.into())),
    }
}

fn unreadable(path: &Path, error: io::Error) -> OpenError {
    OpenError::Unreadable {
        path: path.into(),
        cause: error,
    }
}

/// A name beside `path` that no other thread or process uses.
fn fresh_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(
        ".new-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    name.into()
}

pub(super) fn io_error(error: io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            EngineError::DiskFull(error)
        }
        _ => EngineError::Io(error),
    }
}

fn storage_error(error: StorageError) -> EngineError {
    match error {
        StorageError::Io(error) => io_error(error),
        StorageError::Corrupted(detail) => EngineError::Damaged(detail),
        other => EngineError::Stopped(other.to_string()),
    }
}

fn table_error(error: TableError) -> EngineError {
    match error {
        TableError::Storage(error) => storage_error(error),
        other => EngineError::Damaged(other.to_string()),
    }
}

fn transaction_error(error: TransactionError) -> EngineError {
    match error {
        TransactionError::Storage(error) => storage_error(error),
        other => EngineError::Stopped(other.to_string()),
    }
}

fn transaction_database_error(error: TransactionError) -> DatabaseError {
    match error {
        TransactionError::Storage(error) => error.into(),
        other => StorageError::Corrupted(other.to_string()).into(),
    }
}

#[cfg(test)]
mod tests;
