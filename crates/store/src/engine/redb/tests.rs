//! What is particular to files: locks, damage, recovery, full disks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;

const ALL: Bounds<'static> = (Bound::Unbounded, Bound::Unbounded);

fn write(
    engine: &RedbEngine,
    keys: std::ops::Range<u32>,
    durability: Durability,
) -> Result<(), EngineError> {
    let mut batch = Batch::new();
    for n in keys {
        batch.put(Table::Rows, &n.to_be_bytes(), &[7; 100]);
    }
    engine.commit(batch, durability)
}

fn count(engine: &RedbEngine) -> usize {
    let snapshot = engine.snapshot().unwrap();
    snapshot.range(Table::Rows, ALL).map(Result::unwrap).count()
}

fn with_store(test: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    test(&directory.path().join("app.store"));
}

fn open(path: &Path) -> Result<RedbEngine, OpenError> {
    RedbEngine::open(path, RedbOptions::default())
}

fn create(path: &Path) -> Result<RedbEngine, OpenError> {
    RedbEngine::create(path, RedbOptions::default())
}

#[test]
fn create_makes_open_opens_and_neither_does_the_others_work() {
    with_store(|path| {
        assert!(matches!(open(path), Err(OpenError::Missing { .. })));
        drop(create(path).unwrap());
        assert!(matches!(create(path), Err(OpenError::Exists { .. })));
        drop(open(path).unwrap());
        drop(RedbEngine::open_or_create(path, RedbOptions::default()).unwrap());
        fs::remove_file(path).unwrap();
        drop(RedbEngine::open_or_create(path, RedbOptions::default()).unwrap());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left of the making: {left:?}");
        let nowhere = path.join("no").join("directory");
        assert!(matches!(
            create(&nowhere),
            Err(OpenError::Unreadable { .. })
        ));
    });
}

#[test]
fn a_file_is_open_once() {
    with_store(|path| {
        let engine = create(path).unwrap();
        let error = open(path).unwrap_err();
        assert!(matches!(error, OpenError::AlreadyOpen { .. }));
        assert!(error.to_string().contains("stop the process"), "{error}");
        drop(engine);
        open(path).unwrap();
    });
}

#[test]
fn other_files_are_refused_and_left_alone() {
    with_store(|path| {
        for content in [&b"{\"json\": true}"[..], b"x", &[0; 4096], &[0xff; 100_000]] {
            fs::write(path, content).unwrap();
            let error = open(path).unwrap_err();
            assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
            assert!(error.to_string().contains("nothing was changed"), "{error}");
            assert_eq!(fs::read(path).unwrap(), content);
            fs::remove_file(path).unwrap();
        }

        let theirs = Database::create(path).unwrap();
        let transaction = theirs.begin_write().unwrap();
        transaction
            .open_table(TableDefinition::<u64, u64>::new("somebody else's"))
            .unwrap();
        transaction.commit().unwrap();
        drop(theirs);
        let error = open(path).unwrap_err();
        assert!(error.to_string().contains("somebody else's"), "{error}");

        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        assert!(matches!(open(path), Err(OpenError::Unreadable { .. })));
    });
}

#[test]
fn truncated_files_are_refused() {
    with_store(|path| {
        let engine = create(path).unwrap();
        write(&engine, 0..2_000, Durability::Durable).unwrap();
        drop(engine);
        let sound = fs::read(path).unwrap();
        for kept in [
            1,
            9,
            63,
            320,
            4096,
            8192,
            sound.len() / 2,
            sound.len() - 4096,
            sound.len() - 1,
        ] {
            fs::write(path, &sound[..kept]).unwrap();
            match open(path) {
                Ok(_) => panic!("{kept} of {} bytes were opened", sound.len()),
                Err(OpenError::Damaged { .. } | OpenError::NotAStore { .. }) => {}
                Err(other) => panic!("{kept} bytes: {other:?}"),
            }
        }
    });
}

/// redb checks pages when it repairs, not when it reads. Wherever a page was altered, using it ends
/// in an error or goes unnoticed here, for the rows' own checksums to tell, but never in a panic.
#[test]
fn altered_pages_end_in_errors() {
    with_store(|path| {
        let engine = create(path).unwrap();
        write(&engine, 0..2_000, Durability::Durable).unwrap();
        drop(engine);
        let sound = fs::read(path).unwrap();
        let mut errors = 0;
        for page in 1..sound.len() / 4096 {
            let mut altered = sound.clone();
            // Where a page says what it is and how much it holds.
            altered[page * 4096 + page % 24] ^= 1 << (page % 8);
            fs::write(path, &altered).unwrap();
            let used = open(path)
                .map_err(|error| error.to_string())
                .and_then(|engine| {
                    let snapshot = engine.snapshot().map_err(|error| error.to_string())?;
                    let rows: Result<Vec<_>, _> = snapshot.range(Table::Rows, ALL).collect();
                    rows.map_err(|error| error.to_string())?;
                    write(&engine, 0..2_000, Durability::Durable).map_err(|error| error.to_string())
                });
            if let Err(error) = used {
                assert!(
                    error.contains("restore it") || error.contains("open the store again"),
                    "{error}"
                );
                errors += 1;
            }
        }
        assert!(
            errors > 0,
            "no page of {} was of any use",
            sound.len() / 4096
        );
    });
}

#[test]
fn a_killed_process_leaves_its_last_synced_commit() {
    with_store(|path| {
        let engine = create(path).unwrap();
        write(&engine, 0..1_000, Durability::Durable).unwrap();
        write(&engine, 1_000..1_500, Durability::Memory).unwrap();
        // What the operating system has is what a killed process leaves.
        let left = path.with_extension("left");
        fs::copy(path, &left).unwrap();
        assert_eq!(count(&open(&left).unwrap()), 1_000);

        // A killed process would lose it otherwise.
        write(&engine, 1_500..1_600, Durability::Buffered).unwrap();
        assert!(engine.is_durable());
        fs::copy(path, &left).unwrap();
        assert_eq!(
            count(&open(&left).unwrap()),
            1_600,
            "a synced commit syncs those before it"
        );
        write(&engine, 1_600..1_700, Durability::Memory).unwrap();
        assert!(!engine.is_durable());
        engine.flush().unwrap();
        assert!(engine.is_durable());
        fs::copy(path, &left).unwrap();
        assert_eq!(count(&open(&left).unwrap()), 1_700, "flushed");
        write(&engine, 1_700..1_800, Durability::Memory).unwrap();
        drop(engine);
        assert_eq!(
            count(&open(path).unwrap()),
            1_800,
            "closing in order keeps all"
        );
    });
}

/// A disk with so many bytes left.
#[derive(Debug)]
struct SmallDisk {
    inner: Arc<InMemoryBackend>,
    left: Arc<AtomicU64>,
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let takes = |left: u64| left.checked_sub(data.len() as u64);
        match self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes)
        {
            Ok(_) => self.inner.write(offset, data),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

#[test]
fn a_full_disk_is_an_error_of_its_own_and_loses_nothing() {
    // The disk fills up at different places of the commit.
    for room in [0, 4_096, 40_000, 100_000, 400_000] {
        let inner = Arc::new(InMemoryBackend::new());
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let mount = || {
            let disk = SmallDisk {
                inner: Arc::clone(&inner),
                left: Arc::clone(&left),
            };
            let database = Database::builder().create_with_backend(disk).unwrap();
            RedbEngine::new(database, PathBuf::new())
        };
        let engine = mount();
        write(&engine, 0..1_000, Durability::Durable).unwrap();
        left.store(room, Ordering::Relaxed);
        let error = write(&engine, 1_000..9_000, Durability::Durable).unwrap_err();
        assert!(
            matches!(error, EngineError::DiskFull(_)),
            "{room}: {error:?}"
        );
        assert!(error.to_string().contains("free some room"), "{error}");
        let error = write(&engine, 0..1, Durability::Durable).unwrap_err();
        assert!(
            error.to_string().contains("open the store again"),
            "{room}: {error}"
        );
        drop(engine);

        left.store(u64::MAX, Ordering::Relaxed);
        let engine = mount();
        assert_eq!(count(&engine), 1_000, "{room}");
        write(&engine, 1_000..9_000, Durability::Durable).unwrap();
        assert_eq!(count(&engine), 9_000, "{room}");
    }
}
