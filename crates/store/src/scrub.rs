//! The scrub: reads all of a store in small steps, finds what is damaged, and mends what can be.
//!
//! A disk gives back what nobody wrote, sooner or later, and mostly in what nobody reads. A scrub
//! reads it before it is needed, while other replicas still have it: a damaged row is withdrawn, so
//! that the next session fetches it; whatever is derived from the rows is made anew from them.
//!
//! It goes over one table after the other. Each step reads a little on a view of its own, so that it
//! neither keeps writers waiting nor old pages alive. What it finds there is no more than a
//! suspicion, for the store has gone on meanwhile: what is mended is looked at again under the right
//! to write. The order is that of what rests on what: rows are held against their own checksums; the
//! dot index and the context against the rows; then damaged rows are withdrawn, which takes an index
//! that can be believed; then digests, sketch, counted index and removal log are checked against rows
//! and index.
//!
//! It knows no time and does not sleep. Whoever drives it does, by the [`Pace`].

use std::collections::BTreeSet;

use syncline_crdt::{Dot, RowKey};

use crate::engine::{Batch, Durability, Engine, Entry, Snapshot, Table};
use crate::format::{self, ScrubPosition, meta};
use crate::group::Mend;
use crate::sketch::Sketch;
use crate::{MAX_MISMATCHES, Mismatch, Store, StoreError, View, Withdrawn};

mod counted;
mod digests;
mod dots;
mod keys;
mod pace;
mod rest;
mod rows;

use keys::Tally;

pub use pace::{Pace, ScrubRate};
pub(crate) use rest::{identity_is_sound, seal_is_sound};

/// How many damaged rows wait for each other to be withdrawn in one commit, which reads the whole
/// dot index.
const MAX_SUSPECTS: usize = 4096;

/// A scrub under way, or one to be taken up where an earlier one was left.
///
/// ```
/// use syncline_crdt::RowKey;
/// use syncline_store::{Batch, Config, Durability, Engine, MemoryDisk, Scrub, Store, StoreError, Table};
///
/// let disk = MemoryDisk::new();
/// let store = Store::open(disk.mount()?, Config::new("app", [7; 32]))?;
/// let name = RowKey::cell(b"name");
/// store.transact(Durability::Durable, |txn| txn.put(&name, b"Ada".to_vec()))?;
/// drop(store);
///
/// let engine = disk.mount()?;
/// let mut batch = Batch::new();
/// batch.put(Table::Rows, name.as_bytes(), b"what a failing disk gives back");
/// engine.commit(batch, Durability::Durable)?;
///
/// let store = Store::open(engine, Config::new("app", [7; 32]))?;
/// let mut scrub = Scrub::resume(&store)?;
/// while !scrub.step(&store, 256, 1 << 20)?.finished {}
/// assert_eq!(scrub.report().withdrawn.rows, 1, "its dot is a gap now, and a peer's copy counts as news");
/// assert!(store.view()?.recount()?.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Scrub {
    phase: Phase,
    /// Where in the phase's table to go on: the first key that was not read.
    from: Vec<u8>,
    /// Where the scrub is to be taken up after a restart, if not where it is: before the first
    /// suspect.
    kept: Option<ScrubPosition>,
    /// Rows that are damaged, or not what the index says.
    suspects: BTreeSet<RowKey>,
    /// Dots that the index lists under what is no key.
    unplaced: BTreeSet<Dot>,
    /// Whether a node of the digest tree is damaged.
    suspects_tree: bool,
    /// Whether the counted index is damaged.
    suspects_counted: bool,
    /// The user keys of the rows read, as long as nobody writes.
    keys: Tally,
    report: ScrubReport,
}

/// What a scrub is reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// The rows, each with its dots and its fences.
    #[default]
    Rows,
    /// The dot index.
    Dots,
    /// The digest tree.
    Digests,
    /// The sketch, in one step.
    Sketch,
    /// The counted index; at its end the counts, in one step.
    Counted,
    /// The removal log, the context and what the store says of itself, in one step.
    Rest,
}

impl Phase {
    pub(crate) const ALL: [Self; 6] = [
        Self::Rows,
        Self::Dots,
        Self::Digests,
        Self::Sketch,
        Self::Counted,
        Self::Rest,
    ];
}

/// What a scrub has read and found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Rows that were read.
    pub rows: u64,
    /// Entries of the other tables that were read.
    pub entries: u64,
    /// Bytes of keys and values that were read.
    pub bytes: u64,
    /// What did not fit, the first [`MAX_MISMATCHES`] of it.
    pub damage: Vec<Mismatch>,
    /// How much did not fit in all. What one damage makes wrong in several tables counts in each.
    pub damage_count: u64,
    /// What went, and has to be fetched from a peer. All else was mended from what is here.
    pub withdrawn: Withdrawn,
    /// Whether the scrub has come to its end.
    pub finished: bool,
}

impl ScrubReport {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.damage_count == 0
    }

    fn note(&mut self, namespace: &str, mismatch: Mismatch) {
        tracing::warn!(namespace, ?mismatch, "the scrub has found damage");
        self.damage_count += 1;
        if self.damage.len() < MAX_MISMATCHES {
            self.damage.push(mismatch);
        }
    }
}

/// What one step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Rows and other entries that were read.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Whether that was the last step.
    pub finished: bool,
}

impl Scrub {
    /// A scrub that begins at the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scrub that goes on where the last one was [saved](Self::save), and begins at the beginning
    /// if that had come to its end.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn resume<E: Engine>(store: &Store<E>) -> Result<Self, StoreError> {
        let saved = Saved::read(store)?;
        Ok(Self {
            phase: saved.position.phase,
            from: saved.position.from,
            ..Self::default()
        })
    }

    /// What was read and found since it began or was taken up.
    pub fn report(&self) -> &ScrubReport {
        &self.report
    }

    /// What it is reading.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Reads on: at most so many entries, and no more after so many bytes, but at least one entry.
    /// Sketch, counts, removal log and context are read in one step each.
    ///
    /// Waits for the right to write only where it has something to mend. To withdraw rows it reads
    /// the whole dot index under it, 0.5 s for a million rows; to mend digests it reads all rows'
    /// digests, mostly before it asks for it.
    ///
    /// # Errors
    /// [`StoreError::Irreparable`] when a row is damaged and nothing tells what it held; the store
    /// then serves nobody any more. [`StoreError::Failed`], or whatever keeps the engine from being
    /// read and written. A step that failed can be tried again.
    pub fn step<E: Engine>(
        &mut self,
        store: &Store<E>,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<Step, StoreError> {
        let limits = Limits {
            entries: max_entries.max(1),
            bytes: max_bytes.max(1),
        };
        let read = match self.phase {
            Phase::Rows => self.check_rows(store, limits)?,
            Phase::Dots => self.check_dots(store, limits)?,
            Phase::Digests => self.check_digests(store, limits)?,
            Phase::Sketch => self.check_sketch(store)?,
            Phase::Counted => self.check_counted(store, limits)?,
            Phase::Rest => self.check_rest(store)?,
        };
        match self.phase {
            Phase::Rows => self.report.rows += read.entries,
            _ => self.report.entries += read.entries,
        }
        self.report.bytes += read.bytes;
        match read.next {
            Some(next) => self.from = next,
            None => self.end_phase(store)?,
        }
        if self.suspects.len() >= MAX_SUSPECTS {
            self.settle(store)?;
        }
        Ok(Step {
            entries: read.entries,
            bytes: read.bytes,
            finished: self.report.finished,
        })
    }

    /// Remembers in the store how far it has come, for [`resume`](Self::resume). Not durable: a
    /// crash takes it back a little.
    ///
    /// # Errors
    /// [`StoreError::Failed`], or whatever keeps the engine from being written.
    pub fn save<E: Engine>(&self, store: &Store<E>) -> Result<(), StoreError> {
        let here = || ScrubPosition {
            phase: self.phase,
            from: self.from.clone(),
        };
        let saved = Saved {
            finished_ms: Saved::read(store)?.finished_ms,
            position: self.kept.clone().unwrap_or_else(here),
        };
        saved.write(store)
    }

    /// When a scrub of this store last came to its end, in Unix milliseconds.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn last_finished_ms<E: Engine>(store: &Store<E>) -> Result<Option<u64>, StoreError> {
        let finished = Saved::read(store)?.finished_ms;
        Ok((finished > 0).then_some(finished))
    }

    fn end_phase<E: Engine>(&mut self, store: &Store<E>) -> Result<(), StoreError> {
        match self.phase {
            Phase::Rows => {}
            Phase::Dots => self.settle(store)?,
            Phase::Digests => self.mend_digests(store)?,
            Phase::Sketch => {}
            Phase::Counted => self.mend_counted(store)?,
            Phase::Rest => {
                self.check_keys(store)?;
                let done = Saved {
                    finished_ms: store.shared.environment.wall_ms(),
                    position: ScrubPosition::default(),
                };
                done.write(store)?;
                self.report.finished = true;
            }
        }
        let next = Phase::ALL.into_iter().find(|next| *next > self.phase);
        self.phase = next.unwrap_or_default();
        self.from.clear();
        Ok(())
    }

    /// Notes a row to be withdrawn once the index can be believed.
    fn suspect(&mut self, key: RowKey, found_at: &[u8]) {
        self.keep_position(found_at);
        self.suspects.insert(key);
    }

    /// The scrub is to be taken up here, or before.
    fn keep_position(&mut self, found_at: &[u8]) {
        if self.kept.is_none() {
            self.kept = Some(ScrubPosition {
                phase: self.phase,
                from: found_at.to_vec(),
            });
        }
    }

    fn withdraw<E: Engine>(&self, store: &Store<E>) -> Result<Withdrawn, StoreError> {
        let mut group = store.group()?;
        let withdrawn = group.withdraw_all(&self.suspects, &self.unplaced)?;
        group.commit(Durability::Durable)?;
        Ok(withdrawn)
    }

    /// Withdraws the rows that are damaged.
    fn settle<E: Engine>(&mut self, store: &Store<E>) -> Result<(), StoreError> {
        // What is lost from rows and index at once, only the sketch misses.
        let has_suspects = !self.suspects.is_empty() || !self.unplaced.is_empty();
        let is_as_sketched = self.phase != Phase::Dots || index_is_as_sketched(store)?;
        if !is_as_sketched {
            self.report.note(store.namespace(), Mismatch::Sketch);
        }
        if has_suspects || !is_as_sketched {
            let withdrawn = match self.withdraw(store) {
                // The trees have to be read for it, and there is a node that cannot be.
                Err(StoreError::DamagedTable { table, .. })
                    if table == Table::Digests.name() || table == Table::Counts.name() =>
                {
                    self.suspects_tree = true;
                    self.mend_digests(store)?;
                    self.mend_counted(store)?;
                    self.withdraw(store)
                }
                outcome => outcome,
            };
            self.report.withdrawn += withdrawn?;
        }
        self.suspects.clear();
        self.unplaced.clear();
        self.kept = None;
        Ok(())
    }
}

/// Whether the sketch misses nothing in the index.
fn index_is_as_sketched<E: Engine>(store: &Store<E>) -> Result<bool, StoreError> {
    let view = store.view()?;
    let index = Sketch::of_index(&view.snapshot, &view.shared.sketch_key)?;
    Ok(!view.head.sketch_testifies || index == view.sketch())
}

/// Mends what takes long to work out: works it out while others write, and commits it if they have
/// not. After a few attempts they wait for it. Returns what was worked out.
fn mend_at_leisure<E: Engine, T>(
    store: &Store<E>,
    work_out: impl Fn(&View<E>) -> Result<T, StoreError>,
    apply: impl Fn(&T, &mut Mend),
) -> Result<T, StoreError> {
    const ATTEMPTS: usize = 3;
    for _ in 1..ATTEMPTS {
        let view = store.view()?;
        let commits = view.head.state.commits;
        let worked_out = work_out(&view)?;
        drop(view);
        let mut is_current = false;
        store.group()?.mend(|base, mend| {
            is_current = base.head.state.commits == commits;
            if is_current {
                apply(&worked_out, mend);
            }
            Ok(())
        })?;
        if is_current {
            return Ok(worked_out);
        }
    }
    let mut done = None;
    store.group()?.mend(|base, mend| {
        let worked_out = work_out(base)?;
        apply(&worked_out, mend);
        done = Some(worked_out);
        Ok(())
    })?;
    Ok(done.expect("a mend that succeeds has run its work"))
}

/// How much one step reads.
#[derive(Clone, Copy)]
struct Limits {
    entries: usize,
    bytes: usize,
}

/// What was read of a table, and where to go on.
#[derive(Default)]
struct Read {
    entries: u64,
    bytes: u64,
    next: Option<Vec<u8>>,
}

/// What the store remembers of its scrubs.
#[derive(Default)]
struct Saved {
    finished_ms: u64,
    position: ScrubPosition,
}

impl Saved {
    /// What cannot be read is no loss: the scrub begins at the beginning.
    fn read<E: Engine>(store: &Store<E>) -> Result<Self, StoreError> {
        let saved = store.view()?.snapshot.get(Table::Meta, meta::SCRUB)?;
        let read = saved.as_deref().and_then(format::read_scrub);
        Ok(
            read.map_or_else(Self::default, |(finished_ms, position)| Self {
                finished_ms,
                position,
            }),
        )
    }

    fn write<E: Engine>(&self, store: &Store<E>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        format::write_scrub(self.finished_ms, &self.position, &mut batch);
        store.group()?.note(batch)
    }
}

/// The entries of a table from a key on, as many as the limits allow, and where to go on.
fn read_entries<S: Snapshot>(
    snapshot: &S,
    table: Table,
    from: &[u8],
    limits: Limits,
) -> Result<(Vec<Entry>, Read), StoreError> {
    use std::ops::{Bound, ControlFlow};

    let mut entries = Vec::new();
    let mut read = Read::default();
    let bounds = (Bound::Included(from), Bound::Unbounded);
    let direction = crate::Direction::Forward;
    snapshot.visit(table, bounds, direction, &mut |key, value| {
        if entries.len() >= limits.entries || read.bytes >= limits.bytes as u64 {
            read.next = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        read.entries += 1;
        read.bytes += (key.len() + value.len()) as u64;
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok((entries, read))
}
