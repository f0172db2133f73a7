//! A process that is killed, and a machine that loses power, at each of its steps.

use super::*;
use crate::engine::EngineSize;

/// Ends process or machine when so many steps on the disk have been made.
#[derive(Debug, Clone)]
struct Fate {
    disk: MemoryDisk,
    left: Arc<AtomicI64>,
    death: Death,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    /// `SIGKILL`.
    Kill,
    /// A power loss; of what was not synced, what is left follows from this number.
    PowerLoss(u64),
}

impl Fate {
    fn new(disk: &MemoryDisk, steps: i64, death: Death) -> Self {
        Self {
            disk: disk.clone(),
            left: Arc::new(AtomicI64::new(steps)),
            death,
        }
    }

    fn has_struck(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    /// Whether this step is the last, and remains half done.
    fn is_last_step(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) == 0
    }

    fn strike(&self) {
        match self.death {
            Death::Kill => self.disk.kill(),
            Death::PowerLoss(seed) => self
                .disk
                .crash_keeping(|unsynced| survivors(unsynced, seed)),
        }
    }

    /// Makes a step that is done whole or not at all; the last one is not.
    fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        if self.is_last_step() {
            self.strike();
        }
        step()
    }
}

/// A file system may have written any pieces of what it was not told to sync, and any length.
fn survivors(unsynced: &[u8], seed: u64) -> Vec<u8> {
    const PIECE: usize = 32;
    let mut state = seed;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut left = unsynced.to_vec();
    if seed.is_multiple_of(3) {
        left.truncate(random() as usize % (unsynced.len() + 1));
    }
    let lost = random() % 5;
    for piece in left.chunks_mut(PIECE) {
        if random() % 4 < lost {
            piece.fill(0);
        }
    }
    left
}

#[derive(Debug)]
struct MortalFiles {
    files: Arc<dyn LogFiles>,
    fate: Fate,
}

#[derive(Debug)]
struct MortalFile {
    file: Arc<dyn LogFile>,
    fate: Fate,
}

impl LogFiles for MortalFiles {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        self.files.numbers()
    }

    fn create(&self, number: u64, content: &[u8]) -> io::Result<Arc<dyn LogFile>> {
        if self.fate.is_last_step() {
            self.files.create(number, &content[..content.len() / 2])?;
            self.fate.strike();
        }
        Ok(Arc::new(MortalFile {
            file: self.files.create(number, content)?,
            fate: self.fate.clone(),
        }))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.files.read(number)
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.fate.step(|| self.files.remove(number))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.files.path(number)
    }
}

impl LogFile for MortalFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if self.fate.is_last_step() {
            self.file.append(&bytes[..bytes.len() / 2])?;
            self.fate.strike();
        }
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.fate.step(|| self.file.sync())
    }
}

#[derive(Debug)]
struct MortalEngine {
    engine: MemoryEngine,
    fate: Fate,
}

impl Engine for MortalEngine {
    type Snapshot = <MemoryEngine as Engine>::Snapshot;

    fn snapshot(&self) -> Result<Self::Snapshot, EngineError> {
        self.engine.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), EngineError> {
        self.fate.step(|| self.engine.commit(batch, durability))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.engine.flush()
    }

    fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    fn size(&self) -> Result<EngineSize, EngineError> {
        self.engine.size()
    }
}

/// The process: without threads, so that the steps come in one order.
fn open(fate: &Fate) -> Result<Shared<MortalEngine>, OpenError> {
    let (engine, files) = fate.disk.mount_parts()?;
    let (files, fate) = (Arc::new(files), fate.clone());
    let files = Arc::new(MortalFiles {
        files,
        fate: fate.clone(),
    });
    Shared::open(MortalEngine { engine, fate }, files, IDLE)
}

/// What is owed after a life.
#[derive(Debug, Default, Clone, Copy)]
struct Promised {
    /// So many commits were tried, since ever.
    tried: u32,
    /// So many survive a kill.
    buffered: u32,
    /// So many survive a power loss.
    durable: u32,
}

/// Writes from commit `from` on, as long as it lives.
fn live(fate: &Fate, from: u32, promised: &mut Promised) -> Result<(), EngineError> {
    let Ok(process) = open(fate) else {
        assert!(fate.has_struck());
        return Ok(());
    };
    // What an earlier life has left.
    process.apply()?;
    promised.durable = from;
    promised.buffered = from;
    for n in from..from + 40 {
        promised.tried = n + 1;
        let durability = [
            Durability::Memory,
            Durability::Buffered,
            Durability::Memory,
            Durability::Durable,
            Durability::Buffered,
        ][n as usize % 5];
        process.commit(batch(n), durability)?;
        match durability {
            Durability::Durable => (promised.buffered, promised.durable) = (n + 1, n + 1),
            Durability::Buffered => promised.buffered = n + 1,
            Durability::Memory => {}
        }
        if n % 8 == 6 {
            process.flush()?;
            (promised.buffered, promised.durable) = (n + 1, n + 1);
        }
        // Sealed in one place and applied in another, so that files of two groups are there.
        if n % 9 == 4 {
            process.seal()?;
            (promised.buffered, promised.durable) = (n + 1, n + 1);
        }
        if n % 9 == 8 {
            process.apply()?;
        }
    }
    Ok(())
}

/// What is there after a life; opens a new one that does not end.
fn aftermath(disk: &MemoryDisk, death: Death, promised: Promised) -> u32 {
    let found = count(&disk.mount_logged(IDLE).unwrap());
    let kept = match death {
        Death::Kill => promised.buffered,
        Death::PowerLoss(_) => promised.durable,
    };
    assert!(
        (kept..=promised.tried).contains(&found),
        "{found} commits are left: {promised:?}"
    );
    found
}

fn die_everywhere(deaths: impl Fn(u64) -> Death) {
    let mut steps = 0;
    loop {
        let death = deaths(steps);
        let disk = MemoryDisk::new();
        let fate = Fate::new(&disk, steps as i64, death);
        let mut promised = Promised::default();
        let ended = live(&fate, 0, &mut promised);
        if !fate.has_struck() {
            ended.unwrap();
            break;
        }
        // Without a look, because looking puts everything in order; the second life ends, too,
        // perhaps while it recovers.
        for again in 0..6 {
            let death = deaths(steps + again);
            let twin = disk.copy();
            let fate = Fate::new(&twin, again as i64, death);
            let from = count(&twin.copy().mount_logged(IDLE).unwrap());
            let mut promised = Promised {
                tried: from,
                ..promised
            };
            // What a recovery has shown and not synced may go again.
            let _died = live(&fate, from, &mut promised);
            if !fate.has_struck() {
                twin.kill();
            }
            aftermath(&twin, death, promised);
        }
        let found = aftermath(&disk, death, promised);
        let mut promised = Promised::default();
        live(&Fate::new(&disk, i64::MAX, death), found, &mut promised).unwrap();
        disk.kill();
        assert_eq!(aftermath(&disk, Death::Kill, promised), promised.buffered);
        steps += 1;
    }
    assert!(steps > 40, "{steps} steps");
}

#[test]
fn a_kill_at_any_step_loses_nothing_that_the_system_was_given() {
    die_everywhere(|_| Death::Kill);
}

#[test]
fn a_power_loss_at_any_step_loses_nothing_that_was_synced_and_keeps_the_order() {
    for seed in 0..20 {
        die_everywhere(|step| Death::PowerLoss(seed * 1_000 + step));
    }
}

#[test]
fn each_durability_promises_what_it_says_and_no_more() {
    for (durability, after_kill, after_power_loss) in [
        (Durability::Memory, 0, 0),
        (Durability::Buffered, 9, 0),
        (Durability::Durable, 9, 9),
    ] {
        for (lose_power, left) in [(false, after_kill), (true, after_power_loss)] {
            let disk = MemoryDisk::new();
            let engine = disk.mount_logged(IDLE).unwrap();
            write(&engine, 0..9, durability);
            assert_eq!(count(&engine), 9);
            assert_eq!(engine.is_durable(), durability == Durability::Durable);
            if lose_power {
                disk.crash();
            } else {
                disk.kill();
            }
            drop(engine);
            let engine = disk.mount_logged(IDLE).unwrap();
            assert_eq!(count(&engine), left, "{durability:?}");
        }
    }
}

#[test]
fn a_later_commit_takes_those_before_it_along() {
    for (last, lose_power) in [(Durability::Buffered, false), (Durability::Durable, true)] {
        let disk = MemoryDisk::new();
        let engine = disk.mount_logged(IDLE).unwrap();
        write(&engine, 0..5, Durability::Memory);
        write(&engine, 5..6, last);
        write(&engine, 6..7, Durability::Memory);
        if lose_power {
            disk.crash();
        } else {
            disk.kill();
        }
        drop(engine);
        assert_eq!(count(&disk.mount_logged(IDLE).unwrap()), 6);
    }
}

#[test]
fn what_a_killed_process_left_is_durable_only_once_it_is_applied() {
    let disk = MemoryDisk::new();
    let engine = disk.mount_logged(IDLE).unwrap();
    write(&engine, 0..3, Durability::Buffered);
    disk.kill();
    drop(engine);
    // As a process that does not get to apply it.
    let (base, files) = disk.mount_parts().unwrap();
    let process = Shared::open(base, Arc::new(files), IDLE).unwrap();
    assert!(process.lock_state().recovering);
    drop(process);
    disk.crash();
    assert_eq!(count(&disk.mount_logged(IDLE).unwrap()), 0);

    let engine = disk.mount_logged(IDLE).unwrap();
    write(&engine, 0..3, Durability::Buffered);
    disk.kill();
    drop(engine);
    let engine = disk.mount_logged(IDLE).unwrap();
    assert_eq!(count(&engine), 3);
    engine.flush().unwrap();
    assert!(engine.is_durable());
    disk.crash();
    drop(engine);
    assert_eq!(count(&disk.mount_logged(IDLE).unwrap()), 3);
}
