//! The sketch of the live dots, as fresh as they are.
//!
//! Every dot that becomes live or dies changes some 16 of the [`SKETCH_SYMBOLS`] symbols, anywhere
//! among them: written one by one they would cost a commit 12 KiB. So what is kept, in memory as in
//! the table, is a *checkpoint*, all symbols as of one commit, and the *changes* since, 17 bytes for
//! each dot. When there are [`MAX_CHANGES`] of these, the next checkpoint is made. The symbols as of
//! now are summed up when a session asks for them, within a millisecond, and so does an opening
//! replay no more than that.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use imbl::Vector;
use syncline_crdt::{Context, Dot, ReplicaId, RowKey};
use syncline_merkle::sketch::{self, Element, Prefix, SketchKey};

use crate::engine::{Batch, Direction, Engine, EngineError, Snapshot, Table};
use crate::format;
use crate::{StoreError, View};

/// How many symbols of the sketch a store keeps: enough for some 2,800 differences.
pub const SKETCH_SYMBOLS: usize = 4096;

/// How many changes a checkpoint is behind at most.
const MAX_CHANGES: usize = 4096;

/// How many symbols are in one row of the table.
const CHUNK: usize = 64;

/// The sketch as of one commit.
#[derive(Clone, PartialEq)]
pub(crate) struct Sketch {
    checkpoint: Arc<Prefix>,
    /// The commit that the checkpoint is of. Zero for the one of a new store, which has no rows.
    as_of: u64,
    changes: Vector<Change>,
    /// How many rows of the table the changes take: one for each commit that made any.
    rows: u16,
}

/// A dot that became live, or was and died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    element: Element,
    is_live: bool,
}

/// Makes elements of dots. Neighbours are mostly of one replica, whose tag is made once.
pub(crate) struct Elements<'k> {
    key: &'k SketchKey,
    last: Option<(ReplicaId, u64)>,
}

impl<'k> Elements<'k> {
    pub(crate) fn new(key: &'k SketchKey) -> Self {
        Self { key, last: None }
    }

    pub(crate) fn of(&mut self, dot: Dot) -> Element {
        let tag = match self.last {
            Some((replica, tag)) if replica == dot.replica => tag,
            _ => self.key.tag(dot.replica.as_bytes()),
        };
        self.last = Some((dot.replica, tag));
        self.key.element(tag, dot.counter)
    }

    pub(crate) fn change(&mut self, dot: Dot, is_live: bool) -> Change {
        Change {
            element: self.of(dot),
            is_live,
        }
    }
}

impl Change {
    const LEN: usize = 17;

    fn apply(&self, symbols: &mut Prefix) {
        if self.is_live {
            symbols.insert(&self.element);
        } else {
            symbols.remove(&self.element);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_live));
        out.extend_from_slice(&self.element.tag().to_be_bytes());
        out.extend_from_slice(&self.element.number().to_be_bytes());
    }

    fn read(key: &SketchKey, bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (is_live, words) = bytes.split_first()?;
        let (words, _) = words.as_chunks();
        let [tag, number] = [0, 1].map(|at| u64::from_be_bytes(words[at]));
        Some(Self {
            element: key.element(tag, number),
            is_live: match is_live {
                0 => false,
                1 => true,
                _ => return None,
            },
        })
    }
}

impl Sketch {
    /// The sketch of no dots.
    pub(crate) fn empty() -> Self {
        Self {
            checkpoint: Arc::new(Prefix::new(SKETCH_SYMBOLS)),
            as_of: 0,
            changes: Vector::new(),
            rows: 0,
        }
    }

    /// The symbols as of now. Costs a copy of them, and 0.1 µs for each change since the
    /// checkpoint.
    pub(crate) fn symbols(&self) -> Prefix {
        let mut symbols = (*self.checkpoint).clone();
        self.changes
            .iter()
            .for_each(|change| change.apply(&mut symbols));
        symbols
    }

    /// The sketch after a commit that makes these changes, which are written to its batch.
    pub(crate) fn after(&self, changes: &[Change], commit: u64, batch: &mut Batch) -> Self {
        if changes.is_empty() {
            return self.clone();
        }
        if self.changes.len() + changes.len() > MAX_CHANGES {
            return Self::anew(self.symbols(), changes, commit, batch);
        }
        // Rows of the checkpoint before are overwritten one by one; each tells which it belongs to.
        batch.put_with(Table::Sketch, &format::changes_key(self.rows), |out| {
            out.extend_from_slice(&self.as_of.to_be_bytes());
            changes.iter().for_each(|change| change.write(out));
        });
        let mut after = self.clone();
        after.changes.extend(changes.iter().copied());
        after.rows += 1;
        after
    }

    /// The sketch of the dot index, whose symbols are `index`, with these changes, written in place of
    /// whatever the table has: for a store whose sketch is wrong, cannot be read, or never was.
    pub(crate) fn mended(
        snapshot: &impl Snapshot,
        index: Prefix,
        changes: &[Change],
        commit: u64,
        batch: &mut Batch,
    ) -> Result<Self, EngineError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        snapshot.visit(Table::Sketch, all, Direction::Forward, &mut |key, _| {
            batch.remove(Table::Sketch, key);
            ControlFlow::Continue(())
        })?;
        Ok(Self::anew(index, changes, commit, batch))
    }

    /// The sketch of symbols and changes to them, written as a checkpoint to the batch of a commit.
    fn anew(mut symbols: Prefix, changes: &[Change], commit: u64, batch: &mut Batch) -> Self {
        changes.iter().for_each(|change| change.apply(&mut symbols));
        for (at, chunk) in symbols.symbols().chunks(CHUNK).enumerate() {
            let key = format::checkpoint_key((at * CHUNK) as u16);
            batch.put_with(Table::Sketch, &key, |out| {
                out.extend_from_slice(&commit.to_be_bytes());
                out.extend_from_slice(&sketch::encode(chunk));
            });
        }
        Self {
            checkpoint: Arc::new(symbols),
            as_of: commit,
            ..Self::empty()
        }
    }

    /// The sketch as the table has it; nothing if that cannot be read.
    pub(crate) fn read(
        snapshot: &impl Snapshot,
        key: &SketchKey,
    ) -> Result<Option<Self>, EngineError> {
        let Some(mut sketch) = Self::read_checkpoint(snapshot)? else {
            return Ok(None);
        };
        let mut is_sound = true;
        let (first, end) = (format::changes_key(0), format::changes_key(u16::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&end[..]));
        snapshot.visit(
            Table::Sketch,
            bounds,
            Direction::Forward,
            &mut |row, value| {
                let Some((as_of, changes)) = value.split_first_chunk() else {
                    is_sound = false;
                    return ControlFlow::Break(());
                };
                let as_of = u64::from_be_bytes(*as_of);
                if row != format::changes_key(sketch.rows) || as_of != sketch.as_of {
                    // What is left of earlier checkpoints follows.
                    is_sound = as_of < sketch.as_of;
                    return ControlFlow::Break(());
                }
                let (changes, rest) = changes.as_chunks();
                is_sound &= rest.is_empty();
                for change in changes {
                    match Change::read(key, change) {
                        Some(change) => sketch.changes.push_back(change),
                        None => is_sound = false,
                    }
                }
                is_sound &= sketch.changes.len() <= MAX_CHANGES;
                sketch.rows += 1;
                if is_sound {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        Ok(is_sound.then_some(sketch))
    }

    fn read_checkpoint(snapshot: &impl Snapshot) -> Result<Option<Self>, EngineError> {
        let mut symbols = Vec::with_capacity(SKETCH_SYMBOLS);
        let mut of: Option<u64> = None;
        let mut is_sound = true;
        let (first, end) = (format::checkpoint_key(0), format::checkpoint_key(u16::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&end[..]));
        snapshot.visit(
            Table::Sketch,
            bounds,
            Direction::Forward,
            &mut |row, value| {
                let chunk = value.split_first_chunk().and_then(|(as_of, bytes)| {
                    let as_of = u64::from_be_bytes(*as_of);
                    let in_place = row == format::checkpoint_key(symbols.len() as u16);
                    let is_of_it = *of.get_or_insert(as_of) == as_of;
                    let chunk = sketch::decode(bytes, CHUNK).ok()?;
                    (in_place && is_of_it && chunk.len() == CHUNK).then_some(chunk)
                });
                match chunk {
                    Some(chunk) if symbols.len() < SKETCH_SYMBOLS => {
                        symbols.extend(chunk);
                        ControlFlow::Continue(())
                    }
                    _ => {
                        is_sound = false;
                        ControlFlow::Break(())
                    }
                }
            },
        )?;
        Ok(match of {
            None => is_sound.then(Self::empty),
            Some(as_of) => (is_sound && symbols.len() == SKETCH_SYMBOLS).then(|| Self {
                checkpoint: Arc::new(Prefix::from_symbols(symbols)),
                as_of,
                ..Self::empty()
            }),
        })
    }

    /// The symbols of all dots in the index, by a scan of it: some 0.3 s for a million.
    pub(crate) fn of_index(
        snapshot: &impl Snapshot,
        key: &SketchKey,
    ) -> Result<Prefix, EngineError> {
        let mut symbols = Prefix::new(SKETCH_SYMBOLS);
        let mut elements = Elements::new(key);
        let all = (Bound::Unbounded, Bound::Unbounded);
        snapshot.visit(Table::Dots, all, Direction::Forward, &mut |dot, _| {
            if let Some(dot) = format::read_dot_key(dot) {
                symbols.insert(&elements.of(dot));
            }
            ControlFlow::Continue(())
        })?;
        Ok(symbols)
    }
}

impl<E: Engine> View<E> {
    /// Whether the sketch is of the dots in the index, and the one in memory is that of the table.
    pub(crate) fn sketch_is_sound(&self) -> Result<bool, StoreError> {
        let key = &self.shared.sketch_key;
        let stored = Sketch::read(&self.snapshot, key)?;
        let indexed = Sketch::of_index(&self.snapshot, key)?;
        Ok(stored.as_ref() == Some(&*self.head.sketch) && indexed == self.sketch())
    }

    /// The first [`SKETCH_SYMBOLS`] symbols of the sketch of all live dots: the element of a dot is
    /// its replica's tag and its counter, under [`sketch_key`](Self::sketch_key).
    ///
    /// Costs a millisecond at most, whatever the size of the store.
    ///
    /// ```
    /// use syncline_crdt::RowKey;
    /// use syncline_merkle::sketch::{Decoder, Progress};
    /// use syncline_store::{Config, Durability, MemoryEngine, Store, StoreError};
    ///
    /// let [here, there] = [(); 2].map(|()| Store::open(MemoryEngine::new(), Config::new("app", [7; 32])));
    /// let (here, there) = (here?, there?);
    /// let name = RowKey::cell(b"name");
    /// let (dot, delta) = here.transact(Durability::Durable, |txn| txn.put(&name, b"Ada".to_vec()))?;
    /// there.join_delta(&delta, Durability::Durable)?;
    /// there.transact(Durability::Durable, |txn| txn.remove(&name))?;
    ///
    /// let (here, there) = (here.view()?, there.view()?);
    /// let (ours, theirs) = (here.sketch(), there.sketch());
    /// let mut decoder = Decoder::new(here.sketch_key().clone(), 8);
    /// let differences = theirs.symbols().iter().zip(ours.symbols()).map(|(theirs, ours)| *theirs - *ours);
    /// assert_eq!(decoder.extend(differences.take(8)), Progress::Complete);
    /// let (_, removed) = decoder.found()[0];
    /// assert_eq!(removed.tag(), here.sketch_key().tag(dot.replica.as_bytes()));
    /// assert_eq!(removed.number(), dot.counter);
    /// assert_eq!(here.key_of(dot)?, Some(name));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sketch(&self) -> Prefix {
        self.head.sketch.symbols()
    }

    /// What sketches of this cluster's stores are made and decoded with.
    pub fn sketch_key(&self) -> &SketchKey {
        &self.shared.sketch_key
    }

    /// The live dots that are not in `seen`, in dot order: what has to be taken out of the sketch
    /// before it is compared with that of somebody who has seen no more. `None` if there are more
    /// than `max`.
    ///
    /// Costs a seek for each interval of what is not in `seen`, and a step for each of the dots.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn live_outside(&self, seen: &Context, max: usize) -> Result<Option<Vec<Dot>>, StoreError> {
        let mut live = Vec::new();
        for (replica, first, last) in self.context().difference(seen).intervals() {
            let (first, last) = (Dot::new(replica, first), Dot::new(replica, last));
            self.visit_dots(first, last, |dot, _| {
                live.push(dot);
                if live.len() > max {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            if live.len() > max {
                return Ok(None);
            }
        }
        Ok(Some(live))
    }

    /// The key of the row in which a dot is live, by the dot index. One look-up.
    ///
    /// # Errors
    /// Whatever keeps the engine from being read.
    pub fn key_of(&self, dot: Dot) -> Result<Option<RowKey>, StoreError> {
        self.indexed(dot)
    }
}
