//! Devices that fail or are slow, and threads that share them.

use std::sync::{Mutex, mpsc};

use super::*;
use crate::engine::memory::MemoryFiles;

/// Files that fail when told to, and count.
#[derive(Debug, Clone)]
struct Failing {
    files: MemoryFiles,
    plan: Arc<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Bytes that may still be appended, if there is an end to them.
    room: Mutex<Option<usize>>,
    sync_fails: Mutex<bool>,
    /// Syncs wait for a word before they end.
    gate: Mutex<Option<mpsc::Receiver<()>>>,
    syncs: AtomicU64,
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn LogFile>,
    plan: Arc<Plan>,
}

impl LogFiles for Failing {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        self.files.numbers()
    }

    fn create(&self, number: u64, content: &[u8]) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(FailingFile {
            file: self.files.create(number, content)?,
            plan: Arc::clone(&self.plan),
        }))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.files.read(number)
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.files.remove(number)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.files.path(number)
    }
}

impl LogFile for FailingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(room) = *self.plan.room.lock().unwrap()
            && room < bytes.len()
        {
            self.file.append(&bytes[..room])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.plan.syncs.fetch_add(1, Ordering::SeqCst);
        if *self.plan.sync_fails.lock().unwrap() {
            return Err(io::Error::other("injected"));
        }
        if let Some(gate) = &*self.plan.gate.lock().unwrap() {
            gate.recv().unwrap();
        }
        self.file.sync()
    }
}

fn open(disk: &MemoryDisk) -> (LoggedEngine<MemoryEngine>, Arc<Plan>) {
    let (base, files) = disk.mount_parts().unwrap();
    let plan = Arc::<Plan>::default();
    let files = Failing {
        files,
        plan: Arc::clone(&plan),
    };
    let engine = LoggedEngine::over(base, Arc::new(files), IDLE).unwrap();
    (engine, plan)
}

#[test]
fn a_full_disk_is_an_error_of_its_own_and_tears_nothing() {
    // Into the mark, the header, the payload; and nothing at all.
    for room in [0, 3, 30, 60] {
        let disk = MemoryDisk::new();
        let (engine, plan) = open(&disk);
        write(&engine, 0..5, Durability::Buffered);
        *plan.room.lock().unwrap() = Some(room);
        let error = engine.commit(batch(5), Durability::Buffered).unwrap_err();
        assert!(matches!(error, EngineError::DiskFull(_)), "{error}");
        *plan.room.lock().unwrap() = None;
        for durability in [Durability::Memory, Durability::Durable] {
            let error = engine.commit(batch(5), durability).unwrap_err();
            assert!(matches!(error, EngineError::Stopped(_)), "{error}");
            assert!(error.to_string().contains("the disk is full"), "{error}");
        }
        assert!(engine.flush().is_err() && !engine.is_durable());
        assert_eq!(count(&engine), 5, "reads go on");
        drop(engine);
        let engine = disk.mount_logged(IDLE).unwrap();
        assert_eq!(count(&engine), 5);
        write(&engine, 5..9, Durability::Durable);
    }
}

#[test]
fn after_a_failed_sync_none_is_tried() {
    let disk = MemoryDisk::new();
    let (engine, plan) = open(&disk);
    write(&engine, 0..3, Durability::Buffered);
    *plan.sync_fails.lock().unwrap() = true;
    let error = engine.commit(batch(3), Durability::Durable).unwrap_err();
    assert!(matches!(error, EngineError::Io(_)), "{error}");
    // The next sync would succeed, and mean nothing.
    *plan.sync_fails.lock().unwrap() = false;
    assert!(matches!(engine.flush(), Err(EngineError::Stopped(_))));
    let refused = engine.commit(batch(4), Durability::Memory);
    assert!(matches!(refused, Err(EngineError::Stopped(_))));
    assert!(!engine.is_durable());
    assert_eq!(
        count(&engine),
        4,
        "it may or may not be there; readers saw it"
    );
    drop(engine);
    assert_eq!(plan.syncs.load(Ordering::SeqCst), 1);
    // What is opened next trusts no sync of the old file, but writes everything elsewhere.
    let engine = disk.mount_logged(IDLE).unwrap();
    engine.flush().unwrap();
    disk.crash();
    drop(engine);
    assert_eq!(count(&disk.mount_logged(IDLE).unwrap()), 4);
}

#[test]
fn a_failure_below_stops_the_commits_and_keeps_the_log() {
    for fault in [Fault::DiskFull, Fault::AppliedButReported] {
        let disk = MemoryDisk::new();
        let (base, files) = disk.mount_parts().unwrap();
        let (base, faults) = FailingEngine::new(base);
        let log = LogOptions {
            max_unapplied_bytes: 2_000,
            ..IDLE
        };
        let engine = LoggedEngine::over(base, Arc::new(files), log).unwrap();
        faults.after(1, fault);
        let mut acknowledged = 0;
        let error = loop {
            match engine.commit(batch(acknowledged), Durability::Buffered) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, EngineError::Stopped(_)), "{error}");
        assert!(acknowledged > 5);
        assert_eq!(count(&engine), acknowledged);
        drop(engine);
        let engine = disk.mount_logged(IDLE).unwrap();
        assert_eq!(count(&engine), acknowledged, "{fault:?}");
    }
}

#[test]
fn memory_is_bounded_by_making_commits_wait() {
    let log = LogOptions {
        max_unapplied_bytes: 3_000,
        ..IDLE
    };
    let engine = MemoryDisk::new().mount_logged(log).unwrap();
    for n in 0..1_000 {
        engine.commit(batch(n), Durability::Memory).unwrap();
        let unapplied = engine.shared.lock_state().unapplied();
        assert!(unapplied < 3_000 + 600, "{unapplied} bytes");
    }
    assert_eq!(count(&engine), 1_000);
}

#[test]
fn those_who_wait_for_a_sync_share_the_next() {
    const WRITERS: u32 = 20;
    let disk = MemoryDisk::new();
    let (engine, plan) = open(&disk);
    let (open_gate, gate) = mpsc::channel();
    *plan.gate.lock().unwrap() = Some(gate);
    let put = |n: u32| {
        let mut batch = Batch::new();
        batch.put(Table::Rows, &n.to_be_bytes(), b"");
        engine.commit(batch, Durability::Durable).unwrap();
    };
    thread::scope(|scope| {
        scope.spawn(|| put(0));
        while plan.syncs.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        for n in 1..=WRITERS {
            scope.spawn(move || put(n));
        }
        // The log takes commits while it is synced.
        while engine.shared.lock_state().appended <= u64::from(WRITERS) {
            thread::yield_now();
        }
        open_gate.send(()).unwrap();
        open_gate.send(()).unwrap();
    });
    assert_eq!(plan.syncs.load(Ordering::SeqCst), 2);
    assert!(engine.is_durable());
    disk.crash();
    *plan.gate.lock().unwrap() = None;
    drop(engine);
    let engine = disk.mount_logged(IDLE).unwrap();
    let rows = engine.snapshot().unwrap();
    assert_eq!(rows.range(Table::Rows, ALL).count(), WRITERS as usize + 1);
}

#[test]
fn what_is_written_reaches_the_tables_without_being_asked_for() {
    let log = LogOptions {
        apply_interval: Duration::from_millis(1),
        ..IDLE
    };
    let disk = MemoryDisk::new();
    let engine = disk.mount_logged(log).unwrap();
    for n in 0..3 {
        engine.commit(batch(n), Durability::Memory).unwrap();
        while engine.shared.lock_state().unapplied() > 0 {
            thread::yield_now();
        }
        assert_eq!(count(&engine), n + 1);
    }
    disk.crash();
    drop(engine);
    assert_eq!(count(&disk.mount().unwrap()), 3, "no log is left");
}

#[test]
fn what_is_written_is_synced_without_being_asked_for() {
    let log = LogOptions {
        sync_interval: Duration::from_millis(1),
        ..IDLE
    };
    for durability in [Durability::Memory, Durability::Buffered] {
        let disk = MemoryDisk::new();
        let engine = disk.mount_logged(log).unwrap();
        for n in 0..3 {
            engine.commit(batch(n), durability).unwrap();
            while !engine.is_durable() {
                thread::yield_now();
            }
        }
        disk.crash();
        drop(engine);
        assert_eq!(count(&disk.mount_logged(IDLE).unwrap()), 3);
    }
}
